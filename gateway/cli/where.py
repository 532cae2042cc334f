"""Which gateway a command talks to, and with which credential."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import attrs
from cyclopts import Parameter

from gateway.cli.errors import CommandError
from gateway.config.file import ConfigFile
from gateway.config.load import load
from gateway.config.model import Config, Token
from gateway.config.overrides import overrides
from gateway.config.paths import find
from gateway.config.revisions import last_good


@Parameter(name="*")
@attrs.frozen
class Where:
    """The options that every command has that talks to a gateway."""

    url: Annotated[
        str | None, Parameter(help="Its address, like ws://127.0.0.1:18789; default: this machine.")
    ] = None
    token: Annotated[
        str | None,
        Parameter(
            help="The token; needed with the --url of another machine.", allow_leading_hyphen=True
        ),
    ] = attrs.field(default=None, repr=False)
    config: Annotated[
        Path | None, Parameter(help="Configuration file of the gateway on this machine.")
    ] = None


HERE = Where()
"""The gateway on this machine."""


@attrs.frozen
class Target:
    """An address, and the credential for it, if one is known."""

    url: str
    token: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)


class InvalidFileError(CommandError):
    """The configuration of this machine is not valid, and no earlier one is known."""


def resolve(where: Where, environ: Mapping[str, str] = os.environ) -> Target:
    """Return what to connect to; raises `CommandError` with what to do.

    The credential of this machine never goes to another one.
    """
    _check(where)
    if where.token is not None and where.url is not None:
        return Target(where.url, where.token)
    if where.url is not None and not is_here(where.url):
        raise CommandError(
            f"{where.url} is another machine: give its token with --token. "
            "The token of this machine is not sent there."
        )
    config = local_config(where.config, environ)
    url = where.url or _listening(where.config, environ) or _configured(config)
    if where.token is not None:
        return Target(url, where.token)
    if (token := best_token(config)) is not None:
        return Target(url, token.token.value)
    password = config.auth.password
    return Target(url, password=password.value if password and password.resolved else None)


def _check(where: Where) -> None:
    """Raise `CommandError` if what was given cannot be meant."""
    if where.token == "":
        raise CommandError("--token is empty: leave it out to use the one of this machine.")
    if where.url is not None:
        from gateway.client.link import Address  # noqa: PLC0415 - seldom needed, and slow to come

        try:
            Address.parse(where.url)
        except ValueError as error:
            raise CommandError(f"{error}.") from error


def _listening(path: Path | None, environ: Mapping[str, str]) -> str | None:
    """Return where the gateway of this configuration says that it listens.

    It may have been told so when it was started, and the file does not know.  What
    another gateway says does not count: it has another token.
    """
    if environ.get("GATEWAY_PORT"):
        return None
    try:
        paths = find(environ, config=path)
        config, *addresses = paths.listening.read_text().splitlines() or [""]
    except OSError:
        return None
    if config != str(paths.config):
        return None
    urls = [f"ws://{_reachable(address)}" for address in addresses]
    return next((url for url in urls if is_here(url)), urls[0] if urls else None)


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]") else address  # noqa: S104  compared


def _configured(config: Config) -> str:
    return f"ws://{_host(config.gateway.bind)}:{config.gateway.port}"


def local_file(path: Path | None, environ: Mapping[str, str] = os.environ) -> ConfigFile:
    """Return the configuration file of this machine's gateway; raises `CommandError`."""
    file = find(environ, config=path).config
    if not file.exists():
        raise CommandError(
            f"there is no configuration at {file}. Start the gateway once to get one "
            "(python -m gateway), or say where it is with --config or --url and --token."
        )
    return ConfigFile(file, environ, overrides(environ))


def local_config(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration of this machine's gateway; raises `CommandError`.

    While the file is not valid it is the one accepted last: a gateway runs on that.  A
    secret that refers to what only the gateway's environment has is not resolved.
    """
    file = local_file(path, environ)
    revision = last_good(find(environ).database)
    texts = [file.read().text, *([revision.text] if revision else [])]
    for text in texts:
        for config in (file.check(text).config, load(text, overrides=file.overrides).config):
            if config is not None:
                return config
    raise InvalidFileError(f"{file.path} is not valid; python -m gateway check says what is wrong.")


def best_token(config: Config) -> Token | None:
    """Return the token for people that allows most, or `None` if none is known here."""
    tokens = [
        each
        for each in config.auth.tokens.values()
        if each.role == "control" and each.token.resolved
    ]
    return max(tokens, key=lambda token: len(set(token.scopes)), default=None)


def is_here(url: str) -> bool:
    """Return whether *url* is an address of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(bind: str) -> str:
    """Return the host to connect to for a gateway on this machine that listens on *bind*."""
    if bind in ("loopback", "lan"):
        return "127.0.0.1"
    from gateway.serving.binding import own_addresses  # noqa: PLC0415 - seldom needed
    from gateway.serving.binding import resolve as listen_on  # noqa: PLC0415 - as above

    address = listen_on(bind, own_addresses())[0]
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)
