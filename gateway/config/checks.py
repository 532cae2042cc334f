"""What a type cannot say: bounds, names that must exist, and credentials.  Pure."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.config import values
from gateway.config.accounts import check_missing, check_same
from gateway.config.agents import BUILT_IN, Agent
from gateway.config.channels import Channels
from gateway.config.hooks import accounts_in
from gateway.config.hooks import problems as hook_problems
from gateway.config.issues import Issue, Path, render_path
from gateway.config.mcp import wrong
from gateway.config.model import Config
from gateway.config.setting import Secret
from gateway.config.strength import NEEDED, bits
from gateway.config.tools import unknown_tools
from gateway.config.tree import settings, tables
from gateway.protocol.issues import did_you_mean, shorten

LARGEST: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly.  Source: RFC 7493, 2.2."""

HOW_TO_GENERATE: Final = "generate one: openssl rand -hex 32"


def check(config: Config, raw: Mapping[str, Any], *, whole: bool = True) -> Iterator[Issue]:
    """Yield what is wrong with *config* beyond the types of its values.

    *raw* is the document: parts of it that had the wrong type are missing from *config*,
    and what refers to them must not be blamed.  Unless it is *whole*, what is missing may
    be elsewhere, and is not blamed either.
    """
    for path, field, value in settings(config):
        yield from _check_value(path, field, value)
    yield from _check_names(config)
    yield from _check_repeated(config)
    if whole:
        yield from _check_agents(config, raw)
        yield from _check_providers(config, raw)
        yield from _check_tools(config, raw)
        yield from _check_presence(config, raw)
        yield from _check_hooks(config, raw)
        yield from _check_bound(config, raw)
        yield from check_missing(config.channels, raw)
    yield from _check_servers(config, raw)
    yield from _check_windows(config)
    yield from _check_bindings(config)
    yield from check_same(config.channels)
    yield from _check_strength(config)


def _check_value(path: Path, field: "attrs.Attribute[Any]", value: Any) -> Iterator[Issue]:
    if isinstance(value, Secret):
        yield from _check_text(path, field, value.value) if value.resolved else ()
    elif isinstance(value, str):
        yield from _check_text(path, field, value)
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _check_text((*path, index), field, each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_number(path, field, value)


def _check_text(path: Path, field: "attrs.Attribute[Any]", value: str) -> Iterator[Issue]:
    check = field.metadata["check"]
    if field.metadata["secret"] and not value:
        yield Issue("must not be empty", path, HOW_TO_GENERATE)
        return
    try:
        if check is not None:
            check(value)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        yield Issue(message, path, hint)


def _check_number(path: Path, field: "attrs.Attribute[Any]", value: float) -> Iterator[Issue]:
    least, most = field.metadata["minimum"], field.metadata["maximum"]
    most = LARGEST if most is None else most
    least = -LARGEST if least is None else least
    # Written so that NaN, which is neither more nor less, fails too.
    if not (math.isfinite(value) and least <= value <= most):
        unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
        limits = f"at least {least}" if most == LARGEST else f"between {least} and {most}"
        yield Issue(f"must be {limits}{unit}", path)


def _check_names(config: Config) -> Iterator[Issue]:
    for path, field, entries in tables(config):
        for name in entries:
            if not field.metadata["keys"].fullmatch(name):
                yield Issue(_NAMES[field.metadata["keys"]], (*path, name))


_NAMES: Final = {
    values.NAME: "a name has 1 to 64 letters, digits, _ . and -, and not only dots",
    values.GROUP: "the id of a group has 1 to 255 visible characters",
}


def _check_agents(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    # Not config.providers: one with a mistake in it has been named nevertheless.
    named = raw.get("providers")
    known = {BUILT_IN, *(named if isinstance(named, dict) else ())}
    for name, agent in config.agents.items():
        if agent.provider not in known:
            path = ("agents", name, "provider")
            yield _unknown(agent.provider, known, path, "must be echo or in [providers]")
        yield from _check_fallbacks(("agents", name, "fallbacks"), agent, known)
    if not config.agents and raw.get("agents") == {}:
        yield Issue("needs at least one agent", ("agents",), "add [agents.main]")


def _check_fallbacks(path: Path, agent: Agent, known: Collection[str]) -> Iterator[Issue]:
    for index, each in enumerate(agent.fallbacks):
        provider, slash, model = each.partition("/")
        if provider not in known:
            message = "must name echo or one of [providers]"
            yield _unknown(provider, known, (*path, index), message)
        elif slash and not model:
            yield Issue("names no model after the /", (*path, index))


def _check_windows(config: Config) -> Iterator[Issue]:
    for name, agent in config.agents.items():
        if 0 < agent.context_tokens <= agent.reply_tokens:
            message = f"must be less than context_tokens, which is {agent.context_tokens}"
            yield Issue(message, ("agents", name, "reply_tokens"))


def _unknown(word: str, known: Collection[str], path: Path, message: str) -> Issue:
    listed = shorten(f"there are {', '.join(sorted(known))}" if known else "there are none")
    return Issue(message, path, did_you_mean(word, known).removeprefix("; ") or listed)


def _check_bound(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield what bindings name that there is not: they would never hold, in silence."""
    # As above: what has a mistake in it has been named nevertheless.
    agents, channels = raw.get("agents", config.agents), raw.get("channels", {})
    if not (isinstance(agents, Mapping) and isinstance(channels, Mapping)):
        return
    platforms = [field.name for field in attrs.fields(Channels)]
    for name, binding in config.bindings.items():
        path = ("bindings", name)
        if binding.agent not in agents:
            yield _unknown(binding.agent, agents, (*path, "agent"), "must be in [agents]")
        if binding.channel is None:
            continue
        accounts = channels.get(binding.channel, {})
        if binding.channel not in platforms:
            message = "must be a platform"
            yield _unknown(binding.channel, platforms, (*path, "channel"), message)
        elif binding.account is not None and binding.account not in accounts:
            message = f"must be in [channels.{binding.channel}]"
            yield _unknown(binding.account, accounts, (*path, "account"), message)


def _check_bindings(config: Config) -> Iterator[Issue]:
    first: dict[object, str] = {}
    for name, binding in config.bindings.items():
        if binding.channel is None and any(binding.place):
            # Somebody else has the same id elsewhere.  Source: S29, GHSA-25pw-4h6w-qwvm.
            message = "is missing: an id means something only on its platform"
            yield Issue(message, ("bindings", name, "channel"))
        if (other := first.setdefault(binding.place, name)) != name:
            yield Issue(
                f"is for the same place as {render_path(('bindings', other))}",
                ("bindings", name),
                "only one of them can count; remove the other",
            )


def _check_providers(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    for name, provider in config.providers.items():
        if provider.kind == "openai" and "base_url" not in raw["providers"][name]:
            message = "is missing: kind openai needs it, like https://host/v1"
            yield Issue(message, ("providers", name, "base_url"))


def _check_tools(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    # Not config.mcp: one with a mistake in it has been named nevertheless.
    named = raw.get("mcp")
    servers = tuple(named) if isinstance(named, dict) else ()
    for name, agent in config.agents.items():
        for which, index, hint in unknown_tools(agent.tools, servers):
            yield Issue("there is no such tool", ("agents", name, "tools", which, index), hint)


def _check_servers(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    for name, server in config.mcp.items():
        # A command that has the wrong type is reported as that, not as missing.
        given = {each for each in ("command", "url") if getattr(server, each) is not None}
        if given == {"command", "url"} & raw["mcp"][name].keys():
            for path, message, hint in wrong(name, server):
                yield Issue(message, ("mcp", name, *path), hint)


def _credentials(config: Config) -> Iterator[tuple[Path, Secret]]:
    """Yield what clients authenticate with, as far as its value is known."""
    if config.auth.password is not None and config.auth.password.resolved:
        yield ("auth", "password"), config.auth.password
    for name, token in config.auth.tokens.items():
        if token.token.resolved:
            yield ("auth", "tokens", name, "token"), token.token


def _check_hooks(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    # As above: what has a mistake in it has been named nevertheless.
    agents, accounts = raw.get("agents", config.agents), accounts_in(raw.get("channels"))
    for name, hook in config.hooks.items():
        known = agents if isinstance(agents, Mapping) else ()
        for which, message, hint in hook_problems(hook, known, accounts):
            yield Issue(message, ("hooks", name, which), hint)


def _hook_secrets(config: Config) -> Iterator[tuple[Path, Secret]]:
    for name, hook in config.hooks.items():
        if hook.secret.resolved:
            yield ("hooks", name, "secret"), hook.secret


def _check_repeated(config: Config) -> Iterator[Issue]:
    first: dict[str, Path] = {}
    for path, secret in (*_credentials(config), *_hook_secrets(config)):
        if first.setdefault(secret.value, path) != path and secret.value:
            other = ".".join(map(str, first[secret.value]))
            yield Issue(f"has the same value as {other}", path, "each credential needs its own")


def _check_presence(config: Config, raw: Mapping[str, Any]) -> Iterator[Issue]:
    auth = raw.get("auth", {})
    # A credential with a mistake in it is reported as that, not as missing.
    given = not isinstance(auth, dict) or "password" in auth or bool(auth.get("tokens"))
    if not given and not config.auth.tokens:
        yield Issue(
            "no credential is configured, so nobody could connect",
            ("auth",),
            f"add [auth.tokens.default] with a token ({HOW_TO_GENERATE}), or set GATEWAY_TOKEN",
        )


def _check_strength(config: Config) -> Iterator[Issue]:
    """Source: ruling on binds: beyond loopback every credential has 128 bits."""
    if not values.is_wide(config.gateway.bind):
        return
    for path, secret in _credentials(config):
        if 0 < (strength := bits(secret.value)) < NEEDED:
            yield Issue(
                f"has about {strength:.0f} bits; a bind beyond loopback needs {NEEDED}",
                path,
                f'{HOW_TO_GENERATE}; or set gateway.bind = "loopback"',
            )
