"""What an edit may write where a secret belongs.  Pure.

A client reads secrets as ``***``.  Were that written back, the secret would be lost;
were ``${NAME}``, ``{ file = "..." }`` or ``include`` of a client followed, it could read
variables and files of the gateway.  Source: CVE-2026-32625, ruling R12.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.splice import Names
from gateway.config.tree import ANY, leaves

PLACEHOLDER: Final = "***"
"""What is shown instead of a secret."""

_INCLUDE: Final = ("include",)
_LEAVES: Final = {leaf.pattern: bool(leaf.field.metadata["secret"]) for leaf in leaves()}


class GuardError(ValueError):
    """The value must not be written; *path* is where it was to go."""

    def __init__(self, message: str, path: Names) -> None:
        super().__init__(message)
        self.path = path


def is_setting(path: Names) -> bool:
    """Return whether *path* is a single setting of the model, not a table of them."""
    return _pattern(path) is not None


def guarded(path: Names, value: Any, *, references: bool) -> Any:
    """Return *value* as it may be written at *path*; raises `GuardError` otherwise.

    With *references* it comes from the operator, who may refer to variables and files;
    without, ``${`` means just these characters.
    """
    for length in range(1, len(path)):
        if _secret(path[:length]):
            raise GuardError("is one value: set the secret as a whole", path[:length])
    if _secret(path):
        return _guarded_secret(path, value, references=references)
    if path == _INCLUDE and not references:
        raise GuardError("only the operator can have files included", path)
    if isinstance(value, Mapping):
        return {
            name: guarded((*path, name), each, references=references)
            for name, each in value.items()
        }
    return value


def _guarded_secret(path: Names, value: Any, *, references: bool) -> Any:
    if _redacted(value):
        raise GuardError("*** stands for the secret that is there; leave it out to keep it", path)
    if isinstance(value, Mapping) and not references:
        raise GuardError(
            "only the operator can refer to variables and files; give the value itself", path
        )
    if isinstance(value, str) and not references:
        return value.replace("${", "$${")
    return value


def _redacted(value: Any) -> bool:
    values = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(each, str) and PLACEHOLDER in each for each in values)


def _secret(path: Names) -> bool:
    pattern = _pattern(path)
    return pattern is not None and _LEAVES[pattern]


def _pattern(path: Names) -> Names | None:
    return next((each for each in _LEAVES if _fits(path, each)), None)


def _fits(path: Names, pattern: Names) -> bool:
    return len(path) == len(pattern) and all(
        part in (ANY, name) for name, part in zip(path, pattern, strict=True)
    )
