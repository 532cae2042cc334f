"""Failures that a caller can expect and do something about.

Everything else is a bug: it flies to the supervisor, and a client sees only
``internal`` and the reference under which the traceback is in the log.
"""

from collections.abc import Mapping
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class GatewayError(Exception):
    """An expected failure, safe to show to whoever asked.

    *kind* is a key of `gateway.protocol.codes.CODES` ("not-found", "conflict", ...).
    *message* is one sentence that says what to do next where that is not obvious.
    *data* is public too; its names are those on the wire (camelCase).
    """

    def __init__(self, kind: str, message: str, **data: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.data: Mapping[str, object] = data


class InvalidParamError(GatewayError):
    """One param has the right type and a value that will not do; *path* names the param."""

    def __init__(self, path: str, message: str) -> None:
        issues = [{"path": path, "message": message}]
        super().__init__("invalid-params", f"{path}: {message}", issues=issues)


class NotFoundError(GatewayError):
    """The thing named does not exist."""

    def __init__(self, message: str, **data: object) -> None:
        super().__init__("not-found", message, **data)


class ConflictError(GatewayError):
    """The thing exists already, or is not in the state that the caller thinks."""

    def __init__(self, message: str, **data: object) -> None:
        super().__init__("conflict", message, **data)


class UnavailableError(GatewayError):
    """It would work at another time: shutting down, overloaded far end, node offline."""

    def __init__(self, message: str, **data: object) -> None:
        super().__init__("unavailable", message, **data)


def leaves(group: BaseExceptionGroup[E]) -> list[E]:
    """Return the errors inside *group*, however deep nurseries have wrapped them; never empty."""
    found: list[E] = []
    for each in group.exceptions:
        found += leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found
