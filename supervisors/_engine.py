"""Launch, recover, halt: one run of a supervisor, and everything in it that awaits."""

import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from supervisors._child import Restart
from supervisors._lifetime import Aborted, Incarnation, report_stuck
from supervisors._limit import Limit, RestartsExhausted
from supervisors._outcome import summary
from supervisors._slots import STARTABLE, Slot, Slots
from supervisors._status import Event, Kind, State

logger = logging.getLogger("supervisors")

LEVELS: dict[Kind, int] = {
    "started": logging.DEBUG,
    "finished": logging.DEBUG,
    "stopped": logging.DEBUG,
    "restarting": logging.INFO,
    "crashed": logging.WARNING,
    "cut-short": logging.WARNING,
    "stuck": logging.ERROR,
    "gave-up": logging.ERROR,
}
"""What goes as planned is for debugging only.  Source: OTP-15062, progress reports."""


@attrs.define(eq=False, repr=False, kw_only=True)
class Engine:
    """One run of a supervisor.

    Every task, of a child or of an operation, is in the one nursery of `serve`, so that
    no caller's cancellation or context reaches it.  Who starts or stops a child holds the
    lock of its slot; the final stop of all needs none, because nothing starts any more
    once *closing* is set.
    """

    slots: Slots
    limit: Limit
    spread: Callable[[], float]
    emit: Callable[[Event], None]
    incarnation: int
    closing: trio.Event = attrs.field(factory=trio.Event, init=False)
    up: bool = attrs.field(default=False, init=False)
    """Whether all children have been started."""
    failure: Exception | None = attrs.field(default=None, init=False)
    structure: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Held by whoever goes through all slots: the boot, a reconciliation."""
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _watch: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _context: contextvars.Context = attrs.field(factory=contextvars.copy_context, init=False)

    # -- one run ----------------------------------------------------------------------

    async def serve(self, started: Callable[[], None]) -> None:
        """Start the children, keep them alive until `close`, and raise what ended it."""
        try:
            with self._scope:
                async with trio.open_nursery() as self._nursery:
                    await self._oversee(started)
        finally:
            for slot in self.slots:
                if slot.state is not State.FINISHED:
                    slot.enter(State.STOPPED)
        if self.failure is not None:
            raise self.failure

    async def _oversee(self, started: Callable[[], None]) -> None:
        try:
            self.spawn(self._report_stuck, name=f"{self.slots.path} (watch)")
            self.spawn(self._boot, started, name=f"{self.slots.path} (boot)")
            await self.closing.wait()
            await self.take_down(list(self.slots), State.STOPPED)
        finally:
            # The nursery closes before its block ends: nothing may be spawned from here on.
            self.close()
            self._watch.cancel()

    def close(self, failure: Exception | None = None, *, grace: float = float("inf")) -> None:
        """Begin to stop everything; the first *failure* is what `serve` raises.

        Whoever is left after *grace* seconds is cancelled.
        """
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + grace)
        if self.closing.is_set():
            return
        self.failure = failure
        self.closing.set()
        for slot in self.slots:
            slot.advance()

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object, name: str) -> None:
        """Run *function* as a task of this supervisor, in this supervisor's context.

        `start_soon` copies the caller's context: a child started from a request would
        carry that request's variables for life.
        """
        start_soon = self._nursery.start_soon
        self._context.run(lambda: start_soon(function, *args, name=name))

    async def _boot(self, started: Callable[[], None]) -> None:
        async with self.structure:
            domains = self.slots.domains()
            if self.slots.concurrent:
                await _concurrently(self._boot_pooled, [slot for [slot] in domains])
            else:
                for domain in domains:
                    await self._boot_in_order(domain)
        if not self.closing.is_set():
            self.up = True
            started()

    async def _boot_pooled(self, slot: Slot) -> None:
        async with slot.lock:
            await self.bring_up([slot])

    async def _boot_in_order(self, domain: Sequence[Slot]) -> None:
        async with domain[0].lock:
            for slot in domain:
                outcome = await self.launch(slot)
                if isinstance(outcome, Exception) and not isinstance(outcome, Aborted):
                    self.close(outcome)

    async def _report_stuck(self) -> None:
        with self._watch:
            await report_stuck(self._living, self)

    def _living(self) -> list[Incarnation]:
        return [slot.life for slot in self.slots if slot.life is not None]

    # -- up ---------------------------------------------------------------------------

    async def launch(self, slot: Slot) -> Incarnation | Exception:
        """Start a child and return its incarnation, or why it did not come up.

        It may be over again by then.  The caller holds the lock.
        """
        if self.closing.is_set() or slot not in self.slots or slot.state not in STARTABLE:
            return Aborted(f"{slot.path} is not to be started any more")
        start_timeout = slot.child.start_timeout
        life = slot.begin(self)
        self.spawn(life.run, name=slot.path)
        outcome = await life.wait_up(start_timeout)
        if isinstance(outcome, Aborted) and slot.life is None and not self.closing.is_set():
            # Whoever wanted it down decides what becomes of it; until then it belongs to its
            # group, which may be taken down meanwhile.
            slot.enter(State.STOPPED if slot.held else State.WAITING)
        return outcome or life

    async def bring_up(self, slots: Iterable[Slot]) -> dict[Slot, Exception]:
        """Start children, in order where there is one; return who did not come up, and why.

        They are retried.  In a group the rest waits for the first that does not come up.
        The caller holds the locks.
        """
        errors: dict[Slot, Exception] = {}
        if self.slots.concurrent:
            await _concurrently(self._bring_up_one, slots, errors)
            return errors
        blocker = None
        for slot in slots:
            if slot.state not in STARTABLE:
                continue
            if blocker is not None:
                slot.enter(State.WAITING, blocker)
            elif await self._bring_up_one(slot, errors) and self.slots.grouped:
                blocker = slot
        return errors

    async def _bring_up_one(self, slot: Slot, errors: dict[Slot, Exception]) -> bool:
        """Start a child; return whether others have to wait for it, with why in *errors*."""
        outcome = await self.launch(slot)
        if isinstance(outcome, Incarnation):
            return False
        errors[slot] = outcome
        if not isinstance(outcome, Aborted):
            self._settle(slot, outcome, ran=0)
        return slot in self.slots

    # -- down -------------------------------------------------------------------------

    async def take_down(
        self, slots: Sequence[Slot], into: State, waits_for: Slot | None = None
    ) -> None:
        """Stop children in reverse order, concurrently where there is none.

        The caller holds the locks, or is the one who closes.
        """

        async def halt(slot: Slot) -> None:
            await self.halt(slot, into, None if waits_for is slot else waits_for)

        if self.slots.concurrent:
            await _concurrently(halt, slots)
        else:
            for slot in reversed(slots):
                await halt(slot)

    async def halt(self, slot: Slot, into: State, waits_for: Slot | None = None) -> None:
        """Stop a child; a temporary one is forgotten.  The caller holds the lock."""
        if slot.life is not None:
            slot.enter(State.STOPPING)
            await slot.life.stop()
        slot.advance()  # it may have crashed before it was asked: nobody is to act on that
        if slot.temporary:
            self.forget(slot)
        elif self.closing.is_set():
            slot.enter(State.STOPPED)
        else:
            slot.enter(into, waits_for)

    def forget(self, slot: Slot) -> None:
        """Drop a slot; those that wait for it are started without it."""
        self.slots.drop(slot)
        if self.slots.waiting_for(slot) and not self.closing.is_set():
            self.spawn(self._release, slot, name=f"{slot.path} (release)")

    async def _release(self, forgotten: Slot) -> None:
        async with forgotten.lock:
            await self.bring_up(self.slots.waiting_for(forgotten))

    # -- recovery ---------------------------------------------------------------------

    def _settle(self, slot: Slot, error: Exception | None, *, ran: float) -> None:
        """Decide what follows now that a child has ended by itself after *ran* seconds."""
        if slot.replacing:
            slot.enter(State.WAITING)
        elif slot.temporary:
            self.forget(slot)
        elif slot.child.restart is Restart.TRANSIENT and error is None:
            slot.failures = 0
            slot.enter(State.FINISHED)
        else:
            self._fail(slot, error or RuntimeError(f"{slot.path} returned"), ran)

    def _fail(self, slot: Slot, error: Exception, ran: float) -> None:
        slot.failures = 1 if ran >= slot.child.backoff.reset_after else slot.failures + 1
        slot.error = summary(error)
        if self.closing.is_set():
            slot.enter(State.STOPPED)
            return
        slot.enter(State.BACKING_OFF)
        task = f"{slot.path} (recovery)"
        self.spawn(self._recover, slot, slot.epoch, error, name=task)

    async def _recover(self, slot: Slot, notice: trio.Event, error: Exception) -> None:
        async with slot.lock:
            # Taken down and replaced meanwhile, by a sibling's recovery or a command.
            if notice.is_set():
                return
            decided = await self._decide(slot, error)
        if decided is None:
            return
        epoch, retry_at = decided
        # The nap is outside of the lock, so that commands work meanwhile.  Even one of no
        # length is a checkpoint: a child that fails at once must not starve the others.
        with trio.move_on_at(retry_at):
            await epoch.wait()
        async with slot.lock:
            if not epoch.is_set():
                await self.bring_up(_ordered(self.slots, [slot, *self.slots.waiting_for(slot)]))

    async def _decide(self, slot: Slot, error: Exception) -> tuple[trio.Event, float] | None:
        """Take down those that restart with *slot*; return the new epoch and when it ends."""
        now = trio.current_time()
        if self.limit.exceeded_by(error, now):
            self._give_up()
            return None
        delay = slot.child.backoff.delay(slot.failures, self.spread())
        retry_at = slot.retry_at = now + delay
        slot.restarts += 1
        epoch = slot.advance()
        self.tell("restarting", slot.path, slot.incarnation, delay=delay)
        siblings = [member for member in self.slots.unit(slot) if member is not slot]
        await self.take_down(siblings, State.WAITING, slot)
        return epoch, retry_at

    def _give_up(self) -> None:
        path = self.slots.path
        message = (
            f"{path}: more than {self.limit.max_restarts} restarts within {self.limit.within:g} s"
        )
        failure = RestartsExhausted(message, self.limit.errors)
        self.tell("gave-up", path, self.incarnation, error=failure)
        self.close(failure)

    # -- what incarnations report -----------------------------------------------------

    def came_up(self, life: Incarnation) -> None:
        """Take note that a child has called ``started()``."""
        self._slot_of(life).enter(State.RUNNING)
        self.tell("started", life.path, life.incarnation)
        if life.beat < float("inf"):
            self.spawn(life.watch_pulse, name=f"{life.path} (pulse)")

    def ended(self, life: Incarnation) -> None:
        """Take note that a child is gone and decide what follows, if nobody else does."""
        slot = self._slot_of(life)
        slot.life = None
        if life.error is not None:
            slot.error = summary(life.error)
        if life.passing is not None:
            slot.enter(State.STOPPED)
        elif life.up_since is not None and not life.stopping:
            self._settle(slot, life.failure, ran=trio.current_time() - life.up_since)
        self.tell(life.kind, life.path, life.incarnation, error=life.error)

    def condemned(self, life: Incarnation) -> None:
        """Take note that a child is cancelled because it is too slow or silent."""
        self._slot_of(life).enter(State.STOPPING)

    def stuck(self, life: Incarnation) -> None:
        """Take note that a child has been cancelled and goes on."""
        slot = self._slot_of(life)
        slot.error = "does not end although it has been cancelled"
        if slot.state is not State.STOPPING:
            slot.enter(State.STOPPING)
        self.tell("stuck", life.path, life.incarnation)

    def _slot_of(self, life: Incarnation) -> Slot:
        # A slot is not forgotten before its incarnation is over.
        return self.slots.find(life.path.rpartition("/")[2])

    def tell(
        self,
        kind: Kind,
        path: str,
        incarnation: int,
        *,
        error: BaseException | None = None,
        delay: float | None = None,
    ) -> None:
        """Log an event and pass it on."""
        event = Event(kind, path, incarnation, error, delay)
        in_short = "" if (line := event.summary) is None else f": {line}"
        wait = "" if delay is None else f" in {delay:.3g} s"
        trace = error if kind == "crashed" else None
        logger.log(LEVELS[kind], "%s %s%s%s", path, kind, wait, in_short, exc_info=trace)
        self.emit(event)


@asynccontextmanager
async def locked(slots: Iterable[Slot]) -> AsyncIterator[None]:
    """Hold the locks of *slots*, each once."""
    async with AsyncExitStack() as stack:
        for lock in dict.fromkeys(slot.lock for slot in slots):
            await stack.enter_async_context(lock)
        yield


def _ordered(slots: Slots, chosen: Iterable[Slot]) -> list[Slot]:
    wanted = set(chosen)
    return [slot for slot in slots if slot in wanted]


async def _concurrently(
    function: Callable[..., Awaitable[object]], slots: Iterable[Slot], *args: object
) -> None:
    async with trio.open_nursery() as nursery:
        for slot in slots:
            nursery.start_soon(function, slot, *args, name=f"{slot.path} (pool)")
