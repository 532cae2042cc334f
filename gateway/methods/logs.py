"""logs.*: what was written down lately."""

from typing import Any, Final, Literal, Protocol

import attrs

from gateway.protocol.convert import InvalidError, Issue, param
from gateway.rpc.router import Methods

MOST: Final = 1_000
"""Most entries of one answer."""


class Tail(Protocol):
    """What is needed of `gateway.logs.tail.Tail`."""

    def since(
        self, cursor: int | None = None, limit: int = 100, level: str = "debug"
    ) -> tuple[list[Any], int, bool]:
        """Return entries after *cursor*, where to go on, and whether some are gone."""
        ...


@attrs.frozen
class Wanted:
    """Which entries."""

    cursor: int | None = param("Where the last answer ended; without it the latest.", None)
    limit: int = param("Most entries to return, at most 1000.", 100)
    level: Literal["debug", "info", "warning", "error"] = param("Least important level.", "debug")


@attrs.frozen
class Entries:
    """A piece of the log."""

    entries: list[dict[str, Any]] = param("Oldest first; secrets are redacted.")
    cursor: int = param("Where to go on.")
    gap: bool = param("Whether entries after the cursor are gone, or it is from another life.")


def logs_methods(tail: Tail) -> Methods:
    """Return the methods about *tail*."""
    methods = Methods("logs")

    @methods.method("read", name="logs.tail")
    def latest(params: Wanted) -> Entries:
        """Return the latest log entries; poll with the cursor to follow."""
        if not 1 <= params.limit <= MOST:
            raise InvalidError((Issue("limit", f"must be from 1 to {MOST}"),))
        entries, cursor, gap = tail.since(params.cursor, params.limit, params.level)
        return Entries(entries, cursor, gap)

    return methods
