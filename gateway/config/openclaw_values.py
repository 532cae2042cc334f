"""Values of OpenClaw's configuration in our terms.  Pure.

Each function returns the value to write, or raises `NotTakenError` with what to do;
no message repeats a value, as it may be a secret.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.values import NAME

_VARIABLE: Final = r"\{[A-Z_][A-Z0-9_]*\}"
_DOLLAR: Final = re.compile(rf"\$\${_VARIABLE}|\${_VARIABLE}|\$\{{")
"""An escaped reference, a reference, or what only looks like the beginning of one."""

_FALLBACK: Final = re.compile(r"\$\{[A-Z_][A-Z0-9_]*:-")
_REFERENCE: Final = re.compile(rf"(?<!\$)\${_VARIABLE}")
_SHOUTED: Final = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")

_LEVELS: Final = {
    "silent": "error",
    "fatal": "error",
    "error": "error",
    "warn": "warning",
    "info": "info",
    "debug": "debug",
    "trace": "debug",
}
_STYLES: Final = {"pretty": "console", "compact": "console", "json": "json"}


class NotTakenError(ValueError):
    """The value has no equal here; the message says what to do about it."""


def text(value: Any) -> str:
    """Return *value* if it is text without references: only secrets may have some."""
    if not isinstance(value, str):
        raise NotTakenError("must be text")
    if _REFERENCE.search(value) or _FALLBACK.search(value):
        raise NotTakenError("only secrets can refer to variables here: write the value itself")
    return value


def number(value: Any) -> int:
    """Return *value* if it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise NotTakenError("must be a whole number")
    return int(value)


def seconds(value: Any) -> float:
    """Return *value* if it is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotTakenError("must be a number of seconds")
    return float(value)


def secret(value: Any) -> Any:
    """Return *value* as a secret; a reference stays one."""
    if isinstance(value, Mapping):
        return _reference(value)
    if not isinstance(value, str) or not value:
        raise NotTakenError("must be text")
    if _FALLBACK.search(value):
        raise NotTakenError("a reference has no fallback here: set the variable, or write ${NAME}")

    def escaped(found: re.Match[str]) -> str:
        return "$${" if found.group() == "${" else found.group()

    return _DOLLAR.sub(escaped, value)


def looks_like_a_variable(value: Any) -> bool:
    """Return whether *value* may be the name of a variable rather than a key."""
    return isinstance(value, str) and _SHOUTED.fullmatch(value) is not None


def _reference(value: Mapping[str, Any]) -> dict[str, str]:
    if value.get("source") == "env" and isinstance(value.get("id"), str):
        return {"env": value["id"]}
    raise NotTakenError('only variables are taken: put it into a file and write { file = "path" }')


def name(value: Any) -> str:
    """Return *value* if it can name an agent or a provider."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise NotTakenError("a name has 1 to 64 letters, digits, _ . and -")
    return value


def level(value: Any) -> str:
    """Return our log level for theirs."""
    return _word(value, _LEVELS)


def style(value: Any) -> str:
    """Return our log format for theirs."""
    return _word(value, _STYLES)


def _word(value: Any, words: Mapping[str, str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise NotTakenError(f"must be one of {', '.join(words)}")
    return words[value]


def origins(value: Any) -> list[str]:
    """Return *value* if it is a list of origins, none of them a wildcard."""
    if not isinstance(value, list):
        raise NotTakenError("must be a list")
    if "*" in value:
        raise NotTakenError("a wildcard would let every web page connect: name the origins")
    return [text(each) for each in value]


def host(value: Any) -> list[str]:
    """Return the host of an origin, as a list of further names of the gateway."""
    try:
        found = urlsplit(text(value)).hostname
    except ValueError:
        found = None
    if not found:
        raise NotTakenError("must be an origin like https://home.example")
    return [found]
