"""Settings from the command line and the environment, which win over the file.  Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from gateway.config.setting import Secret


@attrs.frozen
class Override:
    """One setting from elsewhere; *origin* is the flag or variable that set it."""

    path: tuple[str, ...]
    value: object
    origin: str


def overrides(
    environ: Mapping[str, str],
    *,
    port: int | None = None,
    bind: str | None = None,
    log_level: str | None = None,
) -> tuple[Override, ...]:
    """Return what flags (the named parameters) and *environ* say.  Flags win.

    An empty variable counts as not set.  There is no flag for the token: everybody on
    the machine can read the arguments of a process.
    """
    flags = [
        Override(("gateway", "port"), port, "--port"),
        Override(("gateway", "bind"), bind, "--bind"),
        Override(("logging", "level"), log_level, "--log-level"),
    ]
    variables = [
        Override(("gateway", "port"), _number(environ.get("GATEWAY_PORT")), "GATEWAY_PORT"),
        Override(
            ("auth", "tokens", "default", "token"),
            _token(environ.get("GATEWAY_TOKEN")),
            "GATEWAY_TOKEN",
        ),
    ]
    return tuple(each for each in (*variables, *flags) if each.value is not None)


def apply_overrides(raw: Mapping[str, Any], given: Iterable[Override]) -> dict[str, Any]:
    """Return the document *raw* with *given* written over it, the last one winning.

    They are applied before anything is checked, so that they obey the same rules.
    """
    result = dict(raw)
    for override in given:
        result = _with(result, override.path, override.value)
    return result


def _with(table: Any, path: tuple[str, ...], value: object) -> Any:
    if not path:
        return value
    if not isinstance(table, dict):
        return table  # has the wrong type, which is said elsewhere
    return table | {path[0]: _with(table.get(path[0], {}), path[1:], value)}


def _number(text: str | None) -> object:
    """Return an integer where *text* is one; the converter complains about the rest."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _token(text: str | None) -> Secret | None:
    return Secret(text, "env:GATEWAY_TOKEN") if text else None
