"""One incarnation of a child: the child's side and the supervisor's side of it."""

import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import attrs
import trio

from supervisors._child import Child
from supervisors._outcome import hidden, is_cancellation, note_once, split, summary
from supervisors._status import Event, Kind, Status

logger = logging.getLogger("supervisors")

STUCK_AFTER = 5.0
"""Seconds between two reports of a child that has been cancelled and does not end: long
enough for an honest clean-up, short enough to be told apart from a quiet night."""


class Aborted(RuntimeError):  # noqa: N818  (reads as what happened)
    """A start came to nothing because somebody wanted the child down meanwhile."""


@attrs.define(eq=False, repr=False)
class Lifetime:
    """One incarnation of one child, as that child sees it.

    Trio functions that take a ``task_status`` accept it, and `wait_stopping` is what
    Hypercorn calls a ``shutdown_trigger``.
    """

    path: str
    """Names the child in its tree and its Trio task: "gateway/channels/telegram:main"."""
    incarnation: int
    """1 for the first start, then 2, 3 ..."""
    _stopping: trio.Event = attrs.field(factory=trio.Event, init=False)
    _drained: "weakref.WeakSet[trio.CancelScope] | None" = attrs.field(default=None, init=False)
    _report: Callable[[], Mapping[str, object]] | None = attrs.field(default=None, init=False)
    _reported_up: bool = attrs.field(default=False, init=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.incarnation} of {self.path}>"

    def started(self, value: object = None) -> None:
        """Report that the child is ready; *value* goes to whoever started it.

        Has no effect once the child has been given up or asked to stop.  Calling it twice
        raises `RuntimeError`.
        """
        if self._reported_up:
            raise RuntimeError(f"{self.path}: started() was called twice")
        self._reported_up = True
        self._come_up(value)

    @property
    def stopping(self) -> bool:
        """Whether the child has been asked to stop."""
        return self._stopping.is_set()

    async def wait_stopping(self) -> None:
        """Return when the child is asked to stop."""
        await self._stopping.wait()

    def until_stopping(self) -> "AbstractContextManager[trio.CancelScope, bool]":
        """Cancel the body, and only the body, as soon as the child is asked to stop.

        Accept new work inside; let work in progress finish outside.  Source: trio #147,
        which asks for such a soft cancellation.
        """
        scope = trio.CancelScope()
        if self.stopping:
            scope.cancel(reason=f"{self.path} was asked to stop")
        elif self._drained is None:
            self._drained = weakref.WeakSet([scope])
        else:
            self._drained.add(scope)
        return scope

    def heartbeat(self) -> None:
        """Say that work is going on.

        Call it because something has been done, not from a timer of its own.
        """

    def describe(self, report: Callable[[], Mapping[str, object]]) -> None:
        """Have *report* called for the ``detail`` of every status snapshot.

        It must be quick and must not block.
        """
        self._report = report

    def _come_up(self, value: object) -> None:
        """Take note of ``started(value)``."""


class Owner(Protocol):
    """Whoever runs an incarnation and wants to know what becomes of it."""

    def came_up(self, life: "Incarnation") -> None:
        """Take note that *life* has called ``started()``."""

    def ended(self, life: "Incarnation") -> None:
        """Take note that *life* is over; called in its own task."""

    def condemned(self, life: "Incarnation") -> None:
        """Take note that *life* is cancelled because of its `failure`."""

    def stuck(self, life: "Incarnation") -> None:
        """Take note that *life* has been cancelled and goes on."""

    def emit(self, event: Event) -> None:
        """Pass on what happened below *life*."""


@attrs.define(eq=False, repr=False)
class Incarnation(Lifetime):
    """One incarnation as its supervisor sees it.  Never used twice."""

    _child: Child | None  # until it runs: the arguments are the child's alone then
    _owner: Owner
    stop_timeout: float
    """Seconds between being asked to stop and being cancelled."""
    beat: float
    """Seconds of silence after which it is taken for hung."""
    settled: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when it is up, has ended or was asked to stop: the start is decided."""
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when it is gone, with everything it had started."""
    value: object = attrs.field(default=None, init=False)
    """What it passed to ``started()``."""
    up_since: float | None = attrs.field(default=None, init=False)
    """When it called ``started()``, in time of the Trio clock."""
    asked_at: float | None = attrs.field(default=None, init=False)
    """When it was asked to stop, in time of the Trio clock."""
    failure: Exception | None = attrs.field(default=None, init=False)
    """What it died of; complete once it is over."""
    passing: BaseException | None = attrs.field(default=None, init=False)
    """What went through it that is not for a supervisor to stop."""
    reaped: bool = attrs.field(default=False, init=False)
    """Whether somebody watches that it ends after having been cancelled."""
    nested: Callable[[], tuple[Status, ...]] | None = attrs.field(default=None, init=False)
    """Returns the status of the children if this is a supervisor."""
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _pulse: trio.CancelScope | None = attrs.field(default=None, init=False)
    _when_asked: Callable[[], None] | None = attrs.field(default=None, init=False)

    # -- the child's calls ------------------------------------------------------------

    def heartbeat(self) -> None:
        """Say that work is going on."""
        if self._pulse is not None and not self.stopping:
            self._pulse.deadline = trio.current_time() + self.beat

    def _come_up(self, value: object) -> None:
        # A start that has been given up must not come to life again.
        if self.stopping or self.failure is not None or self._scope.cancel_called:
            return
        self.value = value
        self.up_since = trio.current_time()
        self.settled.set()
        self._owner.came_up(self)

    # -- what it is -------------------------------------------------------------------

    @property
    def cut_short(self) -> bool:
        """Whether it was cancelled, by anybody, before it was done."""
        if self.passing is not None:
            return is_cancellation(self.passing)
        was_cancelled = self._scope.cancel_called and self.failure is not None
        return was_cancelled or self._scope.cancelled_caught

    @property
    def error(self) -> BaseException | None:
        """What there is to report of its end; having been cancelled is no error."""
        if self.passing is not None and not is_cancellation(self.passing):
            return self.passing
        return self.failure

    @property
    def kind(self) -> Kind:
        """The event that its end is."""
        if self.cut_short and (self.stopping or self.passing is not None):
            return "cut-short"
        if self.stopping:
            return "stopped"
        return "finished" if self.failure is None and self.passing is None else "crashed"

    def detail(self) -> Mapping[str, object] | None:
        """Return what the child says of itself, or what went wrong when it was asked."""
        if self._report is None:
            return None
        try:
            return dict(self._report())
        except Exception as error:  # noqa: BLE001  (a status must not fail; its reader sees why)
            return {"error": f"describe: {summary(error)}"}

    def when_asked(self, action: Callable[[], None]) -> None:
        """Call *action* as soon as it is asked to stop, maybe now."""
        self._when_asked = action
        if self.stopping:
            action()

    def emit(self, event: Event) -> None:
        """Pass on what happened below."""
        self._owner.emit(event)

    # -- its task ---------------------------------------------------------------------

    async def run(self) -> None:
        """Be the child: let pass what must, keep everything else as `failure`."""
        try:
            with self._scope:
                await self._live()
            # Not reached if somebody further out has cancelled: only this task sees that
            # in time, any observer may be scheduled too late.
            self.passing = None
        finally:
            self._end()

    async def _live(self) -> None:
        try:
            await self._begin()
        except BaseException as raised:
            error, self.passing = split(raised)
            if self.failure is None:
                self.failure = error
            elif error is not None:
                self.failure.__cause__ = error
            if self.passing is None:
                return
            self._log_hidden(self.passing)
            if self._is_stray(self.passing):
                self.failure = self.failure or RuntimeError("raised Cancelled, which nobody wanted")
                return
            if self.passing is raised:
                raise
            raise self.passing from None

    def _begin(self) -> Awaitable[object]:
        """Call the child and forget its arguments; only its own frame holds them then."""
        child, self._child = self._child, None
        assert child is not None, "an incarnation runs once"
        return child.run(self, *child.args)

    @staticmethod
    def _is_stray(passing: BaseException) -> bool:
        """Tell whether *passing* is a `Cancelled` kept from elsewhere: that is a crash."""
        return is_cancellation(passing) and trio.current_effective_deadline() != -float("inf")

    def _log_hidden(self, passing: BaseException) -> None:
        for error in hidden(passing):
            logger.debug("%s: cancelled on top of %s", self.path, summary(error))

    def _end(self) -> None:
        if self.up_since is None and not self.stopping and self.passing is None:
            self.failure = self.failure or RuntimeError("returned without calling started()")
            note_once(self.failure, f"while starting {self.path}")
        self.over.set()
        self.settled.set()
        self._owner.ended(self)

    # -- the supervisor's verbs -------------------------------------------------------

    def ask(self) -> None:
        """Ask it to stop; the first time counts."""
        if self.asked_at is not None:
            return
        self.asked_at = trio.current_time()
        self._stopping.set()
        self.settled.set()
        if self._pulse is not None:
            self._pulse.deadline = float("inf")  # from now on stop_timeout is what counts
        for scope in self._drained or ():
            scope.cancel(reason=f"{self.path} was asked to stop")
        if self._when_asked is not None:
            self._when_asked()

    async def stop(self) -> None:
        """Ask it to stop, cancel it when its time is up, return when it is gone."""
        self.ask()
        assert self.asked_at is not None
        with trio.move_on_at(self.asked_at + self.stop_timeout):
            await self.over.wait()
        if not self.over.is_set():
            self._scope.cancel(reason=f"{self.path} did not stop within {self.stop_timeout:g} s")
            await self._reap()

    async def wait_up(self, start_timeout: float) -> Exception | None:
        """Wait until the start is decided and return why it failed, if it did.

        A child that did not come up is gone when this returns.
        """
        with trio.move_on_after(start_timeout):
            await self.settled.wait()
        if self.up_since is not None:
            return None
        if self.stopping:
            await self.stop()
            return Aborted(f"{self.path} was asked to stop while it was starting")
        if not self.over.is_set():
            await self._condemn(trio.TooSlowError(f"did not start within {start_timeout:g} s"))
        return self.failure or Aborted(f"{self.path} was cancelled while it was starting")

    async def watch_pulse(self) -> None:
        """Cancel it if it is silent for longer than `beat`; return when it is gone."""
        with trio.CancelScope(deadline=trio.current_time() + self.beat) as self._pulse:
            await self.over.wait()
        if not self.over.is_set() and not self.stopping:
            await self._condemn(TimeoutError(f"no heartbeat for {self.beat:g} s"))

    async def _condemn(self, failure: Exception) -> None:
        """Cancel it because of *failure* and wait until it is gone."""
        self.failure = failure
        self._owner.condemned(self)
        self._scope.cancel(reason=f"{self.path}: {failure}")
        await self._reap()

    async def _reap(self) -> None:
        """Wait for the end of what has been cancelled, and say so as long as it goes on.

        Trio cannot kill: a shield, a thread or a C call may take for ever.
        """
        if self.reaped:
            await self.over.wait()
        self.reaped = True
        while not self.over.is_set():
            # Shielded, so that it goes on reporting when the whole tree is cancelled.
            with trio.move_on_after(STUCK_AFTER, shield=True):
                await self.over.wait()
            if not self.over.is_set():
                self._owner.stuck(self)


async def report_stuck(living: Callable[[], list[Incarnation]], owner: Owner) -> None:
    """Once cancelled, report those that go on living; return when nobody does.

    *living* returns the incarnations that are not over.  Those that somebody reaps
    already are left out.
    """
    try:
        await trio.sleep_forever()
    finally:
        while lives := [life for life in living() if not life.reaped]:
            with trio.move_on_after(STUCK_AFTER, shield=True):
                for life in lives:
                    await life.over.wait()
            for life in lives:
                if not life.over.is_set():
                    owner.stuck(life)
