"""What operators ask for.  Every command is a task of the supervisor, not of its caller."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs
import trio

from supervisors._child import Child
from supervisors._engine import Engine, locked
from supervisors._lifetime import Aborted
from supervisors._slots import Changes, Slot
from supervisors._status import State

Result = TypeVar("Result")


@attrs.define(eq=False, repr=False)
class Ticket(Generic[Result]):
    """The result of an operation, for a caller who may have gone away by then."""

    _operation: Callable[[], Awaitable[Result]]
    _done: trio.Event = attrs.field(factory=trio.Event, init=False)
    _results: list[Result] = attrs.field(factory=list, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)

    async def run(self) -> None:
        """Perform the operation and keep what comes of it."""
        try:
            self._results.append(await self._operation())
        except Exception as error:  # noqa: BLE001  (it is raised at the caller)
            self._error = error
        finally:
            self._done.set()

    async def result(self) -> Result:
        """Wait for the result; a cancelled caller changes nothing."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        if not self._results:
            raise RuntimeError("the supervisor has ended before the command was done")
        return self._results[0]


@attrs.frozen(eq=False, repr=False)
class Commands:
    """The operations on a running engine.

    The part of a command that is called without ``await`` takes effect at once: naps end
    and starts in progress are given up, so that nobody waits for what is not wanted.
    """

    _engine: Engine

    async def perform(self, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run *operation* inside the supervisor and return its result."""
        ticket = Ticket(operation)
        self._engine.spawn(ticket.run, name=f"{self._engine.slots.path} (command)")
        return await ticket.result()

    async def start(self, child: Child) -> object:
        """Add a child, start it, return what it passed to ``started()``."""
        slot = self._engine.slots.add(child, State.STARTING)
        epoch = slot.epoch

        async def operation() -> object:
            async with slot.lock:
                if epoch.is_set():
                    raise Aborted(f"{slot.path} was stopped before it was started")
                return await self._start(slot)

        return await self.perform(operation)

    async def _start(self, slot: Slot) -> object:
        outcome = await self._engine.launch(slot)
        if not isinstance(outcome, Exception):
            return outcome.value
        if not isinstance(outcome, Aborted):
            self._engine.forget(slot)
        raise outcome

    async def stop(self, name: str) -> None:
        """Stop a child and keep it stopped."""
        slot = self._engine.slots.find(name)
        _preempt(slot)
        slot.hold()

        async def operation() -> None:
            async with slot.lock:
                if slot in self._engine.slots:
                    await self._engine.halt(slot, State.STOPPED)

        await self.perform(operation)

    async def remove(self, name: str) -> None:
        """Stop a child and forget it; those that wait for it go on without it."""
        slot = self._engine.slots.find(name)
        _preempt(slot)

        async def operation() -> None:
            async with slot.lock:
                if slot in self._engine.slots:
                    await self._engine.halt(slot, State.STOPPED)
                    self._engine.forget(slot)

        await self.perform(operation)

    async def restart(self, name: str) -> None:
        """Replace the incarnation of a child, and of those that restart with it."""
        slot = self._engine.slots.find(name)
        slot.check_restartable()
        _preempt(slot)

        async def operation() -> None:
            async with slot.lock:
                await self._restart(slot)

        await self.perform(operation)

    async def _restart(self, slot: Slot) -> None:
        slots = self._engine.slots
        blocker = slots.blocker(slot)
        if slot not in slots:
            raise Aborted(f"{slot.path} was removed")
        if blocker is not None:
            slot.wait_for(blocker)
            raise RuntimeError(f"{slot.path} waits for {blocker.path}: restart that one")
        slot.failures = 0
        slot.held = False
        unit = slots.unit(slot)
        await self._engine.take_down(unit, State.WAITING, slot)
        errors = await self._engine.bring_up(member for member in unit if member in slots)
        if slot in errors:
            raise errors[slot]

    async def reconcile(self, children: Sequence[Child]) -> None:
        """Make *children* the children."""

        async def operation() -> None:
            async with self._engine.structure:
                changes = self._engine.slots.change(children)
                for slot in changes.leaving:
                    _preempt(slot)
                affected = [*changes.leaving, *changes.added] or list(self._engine.slots)
                async with locked(affected):
                    errors = await self._replace(changes)
            if errors:
                path = self._engine.slots.path
                raise ExceptionGroup(f"{path}: {len(errors)} children did not come up", errors)

        await self.perform(operation)

    async def _replace(self, changes: Changes) -> list[Exception]:
        slots = self._engine.slots
        leaving = {slot for slot in changes.leaving if slot in slots}
        # Whoever waits for a sibling that is left alone goes on waiting.
        moved = {slot for slot in leaving if slot.waits_for is None or slot.waits_for in leaving}
        moved.update(changes.gone)
        freed = {waiter for slot in changes.gone for waiter in slots.waiting_for(slot)}
        await self._engine.take_down([slot for slot in slots if slot in moved], State.WAITING)
        for slot in changes.gone:
            slots.drop(slot)
        starting = moved | freed | set(changes.added)
        errors = await self._engine.bring_up([slot for slot in slots if slot in starting])
        return [error for error in errors.values() if not isinstance(error, Aborted)]


def _preempt(slot: Slot) -> None:
    """End a nap, give up a start: something else is wanted now."""
    slot.advance()
    if slot.life is not None and slot.state is State.STARTING:
        slot.life.ask()
