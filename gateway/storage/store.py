"""What whoever keeps something needs of the database."""

from collections.abc import Callable
from sqlite3 import Connection
from typing import Protocol, TypeVar

T = TypeVar("T")


class Store(Protocol):
    """A place for what must survive: `gateway.storage.database.Database`, or one in memory.

    *work* is quick and returns plain values.  Both raise `UnavailableError` if the store is
    down or the disk refuses.
    """

    async def read(self, work: Callable[[Connection], T], /) -> T:
        """Return what *work* returns; it sees one consistent state and changes nothing."""
        ...

    async def write(self, work: Callable[[Connection], T], /) -> T:
        """Return what *work* returns, once what it has written is committed.

        Cancelled, it is done whole or not at all.
        """
        ...
