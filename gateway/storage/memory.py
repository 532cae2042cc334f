"""A database in memory without threads, for tests in virtual time."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import attrs
import trio

from gateway.storage.opening import migrate
from gateway.storage.schema import STEPS
from gateway.storage.writer import explain

T = TypeVar("T")


@attrs.define(eq=False)
class Memory:
    """Promises what `gateway.storage.database.Database` does, except to survive."""

    connection: sqlite3.Connection

    @classmethod
    @contextmanager
    def opened(cls, steps: Sequence[str] = STEPS) -> Iterator["Memory"]:
        """Have an empty one with all *steps* taken while the body runs."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, steps)
            yield cls(connection)
        finally:
            connection.close()

    async def write(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Return what *work* returns, once that is committed."""
        await trio.lowlevel.checkpoint()
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                return work(self.connection)
        except sqlite3.Error as error:
            if told := explain(error):
                raise told from error
            raise

    async def read(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Return what *work* returns."""
        await trio.lowlevel.checkpoint()
        return work(self.connection)
