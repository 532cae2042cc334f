"""The writer: one thread, one connection, one COMMIT for everybody who was waiting.

A COMMIT costs a sync of the disk, which costs the same for one write and for a hundred.
So whatever has been asked for while the last group was written is the next group.  Each
write has its own savepoint: one that fails is undone alone.
"""

import sqlite3
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

import attrs
import outcome
import structlog
import trio

from gateway.errors import UnavailableError
from gateway.storage.opening import DAMAGED, code_of

log = structlog.get_logger(__name__)

GROUP: Final = 1000
"""Most writes of one COMMIT: bounds the time that the first of them waits to some 10 ms."""

PASSING: Final = DAMAGED | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
}
"""Result codes that are no bug of the statement: the disk, the memory, somebody's lock."""

Work = Callable[[sqlite3.Connection], Any]
Result = outcome.Value[Any] | outcome.Error


@attrs.define(eq=False)
class Write:
    """One piece of work on its way.

    *waiter* is the task to wake, if there is one.  *withdrawn*: it was cancelled, so it is
    left out if it has not begun, and nobody is to be told.
    """

    work: Work
    waiter: trio.lowlevel.Task | None
    withdrawn: bool = attrs.field(default=False, init=False)
    outcome: Result | None = attrs.field(default=None, init=False)


def explain(error: sqlite3.Error) -> UnavailableError | None:
    """Return what to tell whoever asked, `None` if *error* is a bug of the statement."""
    if code_of(error) not in PASSING:
        return None
    told = UnavailableError(f"the database cannot be used at the moment: {error}")
    told.__cause__ = error
    return told


@attrs.define(eq=False)
class Writer:
    """Takes writes from *queue* until it takes `None`; `serve` is the thread's life.

    *settled* is called in the thread with each group whose outcomes are final: after its
    COMMIT, never before.
    """

    connection: sqlite3.Connection
    queue: "SimpleQueue[Write | None]"
    settled: Callable[[list[Write]], None]
    problem: str | None = attrs.field(default=None, init=False)
    """Why the last group was not committed; for people."""
    _stopping: bool = attrs.field(default=False, init=False)

    def serve(self) -> None:
        """Write group after group; raises `sqlite3.Error` if the file turns out damaged."""
        while not self._stopping:
            group = self._gather()
            if group:
                self._write(group)

    def _gather(self) -> list[Write]:
        """Wait for a write and return it with all others that wait."""
        group: list[Write] = []
        item = self.queue.get()
        try:
            while item is not None:
                group.append(item)
                if len(group) == GROUP:
                    return group
                item = self.queue.get_nowait()
        except Empty:
            return group
        self._stopping = True
        return group

    def _write(self, group: list[Write]) -> None:
        try:
            self._attempt(group)
            self.problem = None
        except sqlite3.Error as error:
            self._fail(group, error)
            if code_of(error) in DAMAGED:
                # Opening it again finds out what it is, and sets the file aside.
                raise
        finally:
            self.settled(group)

    def _attempt(self, group: list[Write]) -> None:
        """Do *group* in one transaction; raises if nothing of it is in the file."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        for write in group:
            if write.withdrawn:
                continue
            execute("SAVEPOINT one")
            result = outcome.capture(write.work, self.connection)
            if isinstance(result, outcome.Error):
                self._undo(result.error)
            execute("RELEASE one")
            write.outcome = _translated(result)
        execute("COMMIT")

    def _undo(self, error: BaseException) -> None:
        """Undo one write; raises *error* if it concerns the whole group."""
        # SQLite may roll everything back by itself, for example on a full disk.
        lost = not self.connection.in_transaction
        if isinstance(error, sqlite3.Error) and (lost or code_of(error) in DAMAGED):
            raise error
        self.connection.execute("ROLLBACK TO one")

    def _fail(self, group: list[Write], error: sqlite3.Error) -> None:
        """Undo what is left of the transaction: nobody of *group* is told a success."""
        self.problem = str(error)
        log.warning("a group of writes failed", writes=len(group), error=str(error))
        if self.connection.in_transaction:
            self.connection.rollback()
        for write in group:
            write.outcome = outcome.Error(explain(error) or error)


def _translated(result: Result) -> Result:
    """Return *result* with an error of the disk as `UnavailableError`."""
    if isinstance(result, outcome.Error) and isinstance(result.error, sqlite3.Error):
        return outcome.Error(explain(result.error) or result.error)
    return result
