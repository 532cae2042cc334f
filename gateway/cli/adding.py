"""``gateway channels add PLATFORM``: from a token to a bot that answers.

There is a command for each platform, made from its settings class.
"""

import getpass
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from gateway.cli.accounts import PATIENCE, Change, Wait, accounts, carry_out
from gateway.cli.edits import Edit
from gateway.cli.errors import CommandError, UsageError
from gateway.cli.platforms import (
    PLATFORMS,
    REFERENCES,
    Option,
    as_tables,
    missing,
    options,
    read_options,
    read_pairs,
)
from gateway.cli.values import nested, refers
from gateway.cli.where import Where
from gateway.config.edit import patch

STDIN: Final = "-"
"""Given as a secret: it is read from standard input."""

_Name = Annotated[str, Parameter(help="What the account is called here.")]
_Config = Annotated[
    Path | None, Parameter(help="Configuration file of the gateway on this machine.")
]
_Url = Annotated[
    str | None, Parameter(name="--gateway-url", help="Address of the gateway; default: this one.")
]
_Token = Annotated[
    str | None,
    Parameter(
        name="--gateway-token", help="Token of the gateway itself.", allow_leading_hyphen=True
    ),
]
_Pairs = Annotated[
    str, Parameter(help="KEY=VALUE, for what has no option: groups.ID.when=always.", name="PAIRS")
]


def make_add() -> App:
    """Return ``channels add`` with a command for each platform."""
    add = App(name="add", help="Add an account on a platform; it can be talked to at once.")
    for platform, model in PLATFORMS.items():
        add.command(_command(platform), name=platform, help=inspect.getdoc(model))
    return add


def _command(platform: str) -> Callable[..., None]:
    """Return the function behind ``channels add PLATFORM``, with its options as parameters."""
    parameters = list(_parameters(platform))
    defaults = {each.name: each.default for each in parameters if each.name != "pairs"}

    def run(*pairs: str, **given: Any) -> None:
        given = defaults | given
        here = Where(given["gateway_url"], given["gateway_token"], given["config"])
        add_account(platform, pairs, given, here)

    # What cyclopts reads: options, their help and what completion offers come of these two.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # may be set
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _parameters(platform: str) -> Iterator[inspect.Parameter]:
    yield inspect.Parameter("pairs", inspect.Parameter.VAR_POSITIONAL, annotation=_Pairs)
    yield _keyword("name", _Name, "main")
    for option in options(platform):
        group = "Needed" if option.required else "Settings"
        told = Parameter(
            name=option.flag,
            help=_told(option),
            group=group,
            allow_leading_hyphen=True,
            negative_iterable=(),
        )
        yield _keyword(option.key, Annotated[option.typed_as | None, told])
        for way, words in REFERENCES.items() if option.secret else ():
            told = Parameter(name=f"{option.flag}-{way}", help=words, group=group)
            yield _keyword(f"{option.key}_{way}", Annotated[str | None, told])
    yield _keyword("wait", Wait, PATIENCE)
    yield _keyword("json", Annotated[bool, Parameter(help="Print JSON.")], default=False)
    yield _keyword("config", _Config)
    yield _keyword("gateway_url", _Url)
    yield _keyword("gateway_token", _Token)


def _keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _told(option: Option) -> str:
    more = " - reads it from stdin: other users see the arguments of commands."
    return option.help + (more if option.secret else "")


add = make_add()
"""The command, for `gateway.cli.main`."""


def add_account(
    platform: str, pairs: tuple[str, ...], given: Mapping[str, Any], where: Where
) -> None:
    """Write an account into the configuration, and say how it does; raises `CommandError`."""
    name, channel = given["name"], f"{platform}:{given['name']}"
    settings = as_tables(
        [
            *read_options(platform, name, _with_stdin(platform, given)),
            *read_pairs(platform, name, pairs),
        ]
    )
    wanted = missing(platform, settings)
    _check_asked(platform, wanted, json=given["json"])
    if channel in accounts(where):
        raise CommandError(
            f"there is {channel} already. Change it with: gateway config set"
            f" channels.{platform}.{name}.KEY VALUE; or remove it first, or choose another --name."
        )
    settings |= {each.key: _ask(each) for each in wanted}
    tables = nested(("channels", platform, name), settings)
    edit = Edit(
        "config.patch",
        {"patch": tables},
        partial(patch, changes=tables, references=True),
        refers=any(
            refers(("channels", platform, name, key), value) for key, value in settings.items()
        ),
    )
    carry_out(
        where, Change(channel, edit, "is in the configuration", given["wait"]), json=given["json"]
    )


def _with_stdin(platform: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return *given* with what stdin has in the place of a ``-``."""
    secret = [each.key for each in options(platform) if each.secret and given[each.key] == STDIN]
    if len(secret) > 1:
        raise UsageError("only one secret can come from stdin.")
    return dict(given) | {key: sys.stdin.readline().strip() for key in secret}


def _check_asked(platform: str, wanted: list[Option], *, json: bool) -> None:
    """Raise `UsageError` if something is *wanted*, and nobody sits there who could be asked."""
    if wanted and (json or not (sys.stdin.isatty() and sys.stderr.isatty())):
        flags = ", ".join(f"{each.flag} ({each.doc.rstrip('.')})" for each in wanted)
        raise UsageError(f"{platform} needs {flags}.")


def _ask(option: Option) -> str:
    question = f"{option.key} ({option.doc.rstrip('.')}): "
    while True:
        try:
            # Both write to the terminal itself, so that stdout stays what it is.
            value = getpass.getpass(question) if option.secret else input(question)
        except EOFError:
            raise CommandError("nothing has changed.") from None
        try:
            check = option.field.metadata["check"]
            _ = check and check(value.strip())
        except ValueError as error:
            print(f"it {error}.", file=sys.stderr)
        else:
            return value.strip()
