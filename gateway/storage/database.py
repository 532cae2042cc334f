"""The database: writes that are on the disk when they return, and reads that never wait."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

import attrs
import outcome
import trio

from gateway.errors import UnavailableError
from gateway.storage.opening import (
    DAMAGED,
    Opened,
    check,
    code_of,
    open_or_explain,
    open_reader,
)
from gateway.storage.schema import STEPS
from gateway.storage.writer import Write, Writer, explain
from supervisors import Lifetime

T = TypeVar("T")

QUEUE: Final = 10_000
"""Writes that may wait: a tenth of a second's work; more would only hide that the disk is
too slow.  Further writers wait in their own tasks."""

RESTART: Final = 5.0
"""Seconds to wait for a store that is not up; a restart takes a fraction of one."""

READERS: Final = 4
"""Reads at the same time.  They hold Python's lock most of the time: more gain nothing."""


@attrs.define(eq=False)
class Database:
    """One SQLite file.  `run` is the child that owns it; the rest may be called by anybody.

    *steps* are the migrations.  The object outlives incarnations of its child: while one
    is replaced by the next, callers wait for up to `RESTART` seconds.
    """

    path: Path
    steps: Sequence[str] = STEPS
    _intake: "SimpleQueue[Write | None] | None" = attrs.field(default=None, init=False)
    _up: trio.Event = attrs.field(factory=trio.Event, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _room: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _open: set[Write] = attrs.field(factory=set, init=False)
    _readers: list[tuple[int, sqlite3.Connection]] = attrs.field(factory=list, init=False)
    _reading: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(READERS), init=False
    )
    _epoch: int = attrs.field(default=0, init=False)
    _set_aside: list[Path] = attrs.field(factory=list, init=False)
    _counts: dict[str, int] = attrs.field(factory=lambda: {"writes": 0, "groups": 0}, init=False)

    # -- for everybody ----------------------------------------------------------------

    async def write(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Return what *work* returns, once that is on the disk.

        *work* runs in another thread, in a transaction with the work of others but undone
        alone if it raises; that exception is raised here.  It must be quick, return plain
        values, and neither begin nor end a transaction.

        Cancelled, *work* is done whole or not at all.  Raises `UnavailableError` if the
        store is down or the disk refuses; then it was not done.
        """
        intake = self._intake
        if intake is None or self._waiting >= QUEUE:
            intake = await self._wait_room()
        write = Write(work, trio.lowlevel.current_task())
        self._put(intake, write)

        def abort(_: object) -> trio.lowlevel.Abort:
            write.withdrawn = True
            return trio.lowlevel.Abort.SUCCEEDED

        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    async def read(self, work: Callable[[sqlite3.Connection], T], /) -> T:
        """Return what *work* returns; it sees one consistent state of the database.

        *work* runs in another thread, with a connection that cannot write, and must return
        plain values.  Cancelled, it is left to itself.  Raises `UnavailableError` if the
        store is down or the disk refuses.
        """
        intake = await self._wait_up()
        try:
            return await trio.to_thread.run_sync(
                self._read, work, self._epoch, abandon_on_cancel=True, limiter=self._reading
            )
        except UnavailableError as error:
            if isinstance(error.__cause__, sqlite3.Error) and code_of(error.__cause__) in DAMAGED:
                self._doubt(intake)
            raise

    def _doubt(self, intake: "SimpleQueue[Write | None]") -> None:
        """Have the file checked; if it is damaged the store restarts and sets it aside."""
        if intake is self._intake:
            self._put(intake, Write(check, None))

    def _put(self, intake: "SimpleQueue[Write | None]", write: Write) -> None:
        self._open.add(write)
        self._waiting += 1
        intake.put(write)

    # -- waiting for the store --------------------------------------------------------

    async def _wait_room(self) -> "SimpleQueue[Write | None]":
        """Return the queue as soon as it has room."""
        while True:
            intake = await self._wait_up()
            if self._waiting < QUEUE:
                return intake
            await self._room.park()

    async def _wait_up(self) -> "SimpleQueue[Write | None]":
        """Return the queue of the store that is up; raises `UnavailableError` if none is."""
        if self._intake is None:
            with trio.move_on_after(RESTART):
                await self._up.wait()
        if self._intake is None:
            raise UnavailableError("the database is not available; try again in a moment")
        return self._intake

    # -- the child --------------------------------------------------------------------

    async def run(self, life: Lifetime) -> None:
        """Serve until asked to stop, then write what waits, and close.

        Raises `UnavailableError`, like `gateway.storage.opening.NewerError`, if the file
        cannot be opened, and `sqlite3.Error` if it is found damaged.
        """
        queue: SimpleQueue[Write | None] = SimpleQueue()
        post = trio.lowlevel.current_trio_token().run_sync_soon

        def settled(group: list[Write]) -> None:
            post(self._settle, group)

        def up(opened: Opened, writer: Writer) -> None:
            self._set_aside += [opened.set_aside] if opened.set_aside else []
            self._come_up(life, writer)

        def thread() -> None:
            opened = open_or_explain(self.path, self.steps)
            writer = Writer(opened.connection, queue, settled)
            with closing(writer.connection):
                trio.from_thread.run_sync(up, opened, writer)
                writer.serve()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_end, life, queue)
                await trio.to_thread.run_sync(thread, limiter=trio.CapacityLimiter(1))
                nursery.cancel_scope.cancel(reason="the writer has ended")
        finally:
            # Its groups were settled before the thread's end was known: these were not done.
            self._refuse(list(self._open))

    def _come_up(self, life: Lifetime, writer: Writer) -> None:
        life.describe(lambda: self._report(writer))
        if life.stopping:
            return
        self._intake = writer.queue
        self._up.set()
        life.started()

    async def _wait_end(self, life: Lifetime, queue: "SimpleQueue[Write | None]") -> None:
        """Wait until asked to stop; then let nobody in and have the thread finish."""
        try:
            await life.wait_stopping()
        finally:
            # Also when cancelled: the thread ends only if it is told so.
            self._intake = None
            self._up = trio.Event()
            self._room.unpark_all()
            self._epoch += 1
            # Before the writer: the last one that closes puts the log into the file.
            while self._readers:
                self._readers.pop()[1].close()
            queue.put(None)

    def _refuse(self, writes: list[Write]) -> None:
        for write in writes:
            write.outcome = outcome.Error(UnavailableError("the database has been closed"))
        self._settle(writes)

    def _report(self, writer: Writer) -> dict[str, object]:
        problems = [f"a damaged database was set aside as {path}" for path in self._set_aside]
        problems += [f"writing fails: {writer.problem}"] if writer.problem else []
        report: dict[str, object] = {"waiting": self._waiting, **self._counts}
        return report | ({"problem": "; ".join(problems)} if problems else {})

    # -- waking whoever waits ---------------------------------------------------------

    def _settle(self, group: list[Write]) -> None:
        self._waiting -= len(group)
        self._counts["writes"] += len(group)
        self._counts["groups"] += 1
        for write in group:
            self._open.discard(write)
            if write.waiter is not None and write.outcome is not None and not write.withdrawn:
                trio.lowlevel.reschedule(write.waiter, write.outcome)
        room = QUEUE - self._waiting
        if self._room and room > 0:
            self._room.unpark(count=room)

    # -- readers ----------------------------------------------------------------------

    def _read(self, work: Callable[[sqlite3.Connection], T], epoch: int) -> T:
        """Do *work* with a connection of its own; in a thread."""
        try:
            with self._reader(epoch) as connection:
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    connection.rollback()
        except sqlite3.Error as error:
            if told := explain(error):
                raise told from error
            raise

    @contextmanager
    def _reader(self, epoch: int) -> Iterator[sqlite3.Connection]:
        connection = self._idle_reader(epoch) or open_reader(self.path)
        keep = False
        try:
            yield connection
            keep = True
        finally:
            # One that failed, or whose incarnation is over, is not used again.
            if keep and epoch == self._epoch:
                self._readers.append((epoch, connection))
            else:
                connection.close()

    def _idle_reader(self, epoch: int) -> sqlite3.Connection | None:
        """Return a connection to the file as it is now; it may have been replaced."""
        # Asked for forgiveness: other threads take some as well.
        with suppress(IndexError):
            while True:
                born, connection = self._readers.pop()
                if born == epoch:
                    return connection
                connection.close()
        return None
