"""One child under test, without a supervisor: `running`."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from supervisors._child import Child
from supervisors._lifetime import Incarnation, Lifetime
from supervisors._outcome import split, summary
from supervisors._status import Event, State, Status, unix_time


@attrs.define(eq=False, repr=False)
class Running:
    """A running child and what can be seen of it."""

    _child: Child
    events: list[Event] = attrs.field(factory=list, init=False)
    """What happened, oldest first; of nested supervisors too."""
    life: Lifetime = attrs.field(init=False)
    """What the child was given."""
    _life: Incarnation = attrs.field(init=False)
    _seen: bool = attrs.field(default=False, init=False)
    _condemned: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the only incarnation."""
        child = self._child
        self.life = self._life = Incarnation(
            child.name, 1, child, self, child.stop_timeout, child.heartbeat
        )

    @property
    def value(self) -> object:
        """What the child passed to ``started()``."""
        return self._life.value

    @property
    def detail(self) -> Mapping[str, object] | None:
        """What the child reports of itself, see `Lifetime.describe`."""
        return self._life.detail()

    @property
    def stopping(self) -> bool:
        """Whether the child has been asked to stop."""
        return self._life.stopping

    @property
    def state(self) -> State:
        """The state that a supervisor would show."""
        if self._life.over.is_set():
            return State.STOPPED if self.stopping or self._life.error else State.FINISHED
        if self.stopping or self._condemned:
            return State.STOPPING
        return State.STARTING if self._life.up_since is None else State.RUNNING

    @property
    def status(self) -> Status:
        """A snapshot, like the one of a supervisor."""
        error, nested = self._life.error, self._life.nested
        return Status(
            path=self._life.path,
            state=self.state,
            since=unix_time(),
            incarnation=1,
            error=None if error is None else summary(error),
            detail=self.detail,
            children=() if nested is None else nested(),
        )

    def ask_to_stop(self) -> None:
        """Ask the child to stop, and do not wait for it."""
        self._life.ask()

    async def wait_ended(self) -> None:
        """Return when the child is gone."""
        await self._life.over.wait()

    async def stop(self) -> None:
        """Ask the child to stop and return when it is gone.

        Raises what it failed with, or `trio.TooSlowError` if it had to be cancelled,
        unless its *stop_timeout* is 0.
        """
        await self._life.stop()
        self._fail()

    def _fail(self) -> None:
        """Raise what is wrong with how the child ended; once is enough."""
        failure, timeout = self._life.failure, self._life.stop_timeout
        if failure is None and self._life.cut_short and timeout > 0:
            failure = trio.TooSlowError(f"{self._life.path} did not stop within {timeout:g} s")
        seen, self._seen = self._seen, True
        if failure is not None and not seen:
            raise failure

    async def _start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._run, name=self._life.path)
        error = await self._life.wait_up(self._child.start_timeout)
        if error is not None:
            raise error

    async def _run(self) -> None:
        await self._life.run()
        if self._life.up_since is not None and not self.stopping:
            self._fail()

    # -- what the incarnation reports

    def came_up(self, life: Incarnation) -> None:
        """Take note that the child has called ``started()``."""
        self.emit(Event("started", life.path, life.incarnation))

    def ended(self, life: Incarnation) -> None:
        """Take note that the child is gone."""
        self.emit(Event(life.kind, life.path, life.incarnation, life.error))

    def condemned(self, life: Incarnation) -> None:  # noqa: ARG002  (there is one only)
        """Take note that the child is cancelled because it is too slow or silent."""
        self._condemned = True

    def stuck(self, life: Incarnation) -> None:
        """Take note that the child has been cancelled and goes on."""
        self.emit(Event("stuck", life.path, life.incarnation))

    def emit(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)


@asynccontextmanager
async def running(
    run: Callable[..., Awaitable[object]],
    *args: object,
    name: str = "test",
    start_timeout: float = 30.0,
    stop_timeout: float = 10.0,
    heartbeat: float = math.inf,
) -> AsyncIterator[Running]:
    """Run one child while the block runs; it is up inside, and gone afterwards.

    At the end of the block the child is asked to stop.  Times are in seconds and mean
    what they mean for `Child`.  Errors are raised as they are, not in groups: what the
    child fails with (which cancels the block), `trio.TooSlowError` if it does not start or
    stop in time (with *stop_timeout* 0 it is cancelled and nobody complains), and what
    the block raises (which cancels the child).
    """
    subject = Running(
        Child(
            name,
            run,
            args,
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
            heartbeat=heartbeat,
        )
    )
    try:
        async with trio.open_nursery() as nursery:
            await subject._start(nursery)  # noqa: SLF001  (two halves of one thing)
            if heartbeat < math.inf:
                nursery.start_soon(subject._life.watch_pulse)  # noqa: SLF001  (likewise)
            yield subject
            await subject._life.stop()  # noqa: SLF001  (two halves of one thing)
    except BaseExceptionGroup as group:
        error, rest = split(group)
        if rest is not None or error is None:
            raise
        raise error from None
    subject._fail()  # noqa: SLF001  (two halves of one thing)
