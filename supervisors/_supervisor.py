"""The supervisor: what others see of it."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import trio

from supervisors._child import Child, Strategy, check_callable, check_kind, check_name, check_number
from supervisors._commands import Commands
from supervisors._engine import Engine, logger
from supervisors._lifetime import Incarnation, Lifetime
from supervisors._limit import Limit
from supervisors._outcome import summary
from supervisors._slots import Slots
from supervisors._status import Event, State, Status, unix_time

Children = Iterable[Child] | Callable[[], Iterable[Child]]


class Supervisor:
    """Keeps a list of children alive.

    *children* are started in order and stopped in reverse order.  If it is a callable it
    is called at every (re)start of the supervisor.  Every (re)start begins with
    *children*: those that were added later are lost then, but those that an operator has
    stopped stay stopped.

    More than *max_restarts* restarts *within* seconds mean that restarting does not help:
    all children are stopped and `run` raises `RestartsExhausted`, which makes this
    supervisor a failed child of its parent.  ``None`` never gives up.  A limit that the
    children's backoff makes unreachable is refused with `ValueError`.

    *on_event* is called synchronously for every `Event` here and below; it must be quick
    and not raise.  *spread* returns a number from 0 to 1 that says how much of a backoff's
    jitter applies.
    """

    def __init__(
        self,
        name: str,
        children: Children = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int | None = 3,
        within: float = 60.0,
        on_event: Callable[[Event], None] | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        check_name(name, "Supervisor.name")
        what = f"Supervisor {name!r}"
        if max_restarts is not None:
            check_number(max_restarts, f"{what}.max_restarts", low=0)
        check_number(within, f"{what}.within", low=0)
        check_callable(spread, f"{what}.spread")
        if on_event is not None:
            check_callable(on_event, f"{what}.on_event")
        self.name = name
        self._strategy = Strategy(strategy)
        self._max_restarts, self._within = max_restarts, within
        self._on_event, self._spread = on_event, spread
        self._children: Callable[[], Iterable[Child]]
        if callable(children):
            self._children = children
        else:
            fixed = self._checked(children)
            self._children = lambda: fixed
        self._engine: Engine | None = None
        self._running = False
        self._runs = 0
        self._since = unix_time()
        self._bubble: Callable[[Event], None] | None = None

    def __repr__(self) -> str:
        return f"<Supervisor {self.name!r} {self._state}>"

    # -- life -------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the children and keep them alive until `shutdown`.

        ``started`` is reported once every child is up.  If one does not come up, those
        before it are stopped and its error is raised (in a pool it is retried).
        Cancelling `run` cancels all children at once; `shutdown` is the orderly way.
        """
        await self._run(self.name, task_status.started)

    def as_child(self, **policy: Any) -> Child:
        """Return this supervisor as a child of another one.

        *policy* is what `Child` takes.  Its timeouts are infinite by default: each of the
        children has its own, and they are waited for.
        """
        endless = {"start_timeout": float("inf"), "stop_timeout": float("inf")}
        return Child(self.name, self._run_below, **(endless | policy))

    async def _run_below(self, life: Lifetime) -> None:
        assert isinstance(life, Incarnation), "as_child() is for supervisors"
        self._bubble = life.emit
        life.nested = self._children_status
        life.when_asked(self.shutdown)
        try:
            await self._run(life.path, life.started, life)
        finally:
            self._bubble = None

    async def _run(
        self, path: str, started: Callable[[], None], life: Incarnation | None = None
    ) -> None:
        if self._running:
            raise RuntimeError(f"supervisor {path} is running already")
        self._runs += 1
        engine = self._new_engine(path)
        if life is not None and life.stopping:
            return
        self._engine, self._running = engine, True
        self._mark()
        try:
            await engine.serve(lambda: self._mark(started))
        finally:
            self._running = False
            self._mark()

    def _new_engine(self, path: str) -> Engine:
        held = {slot.name for slot in self._engine.slots if slot.held} if self._engine else ()
        slots = Slots(path, self._strategy)
        for child in self._checked(self._children()):
            slot = slots.add(child)
            if child.name in held:
                slot.hold()
        return Engine(
            slots=slots,
            limit=self._new_limit(),
            spread=self._spread,
            emit=self._emit,
            incarnation=self._runs,
        )

    def _mark(self, then: Callable[[], None] | None = None) -> None:
        self._since = unix_time()
        if then is not None:
            then()

    def shutdown(self, grace: float = float("inf")) -> None:
        """Begin to stop all children, in reverse order; `run` returns when they are gone.

        *grace* is in seconds; whoever is left after that is cancelled.  A second call can
        only make it shorter.  Has no effect if this supervisor is not running.
        """
        check_number(grace, "grace", low=0)
        if self._running and self._engine is not None:
            if not self._engine.closing.is_set():
                self._mark()
            self._engine.close(grace=grace)

    # -- commands: they run inside the supervisor, so that a cancelled caller never leaves
    # -- one half done

    async def start(self, child: Child) -> object:
        """Add *child*, start it, return what it passed to ``started()``.

        If it does not come up it is forgotten and its error is raised.  Raises
        `ValueError` if its name is taken or its backoff makes the restart limit
        unreachable.  If the caller is cancelled the start goes on.
        """
        commands = self._commands()
        self._checked([child])
        return await commands.start(child)

    async def stop(self, name: str) -> None:
        """Stop a child; it stays stopped, also through restarts of its siblings.

        A temporary child is forgotten.  Raises `KeyError` if there is no such child.
        Returns when the child is gone; a child that stops itself waits for its own end
        and is cancelled after its *stop_timeout*.
        """
        await self._commands().stop(name)

    async def restart(self, name: str) -> None:
        """Start a child again, whatever it is doing; return when it is up.

        Cuts a backoff short and clears the failure count.  The strategy applies: those
        that restart with it are restarted.  If it does not come up its error is raised,
        and it is retried.  Raises `KeyError` if there is no such child, `ValueError` if
        it is temporary, `RuntimeError` if it waits for a sibling that is down.
        """
        await self._commands().restart(name)

    async def remove(self, name: str) -> None:
        """Stop a child and forget it; siblings that wait for it are started without it.

        Raises `KeyError` if there is no such child.
        """
        await self._commands().remove(name)

    async def reconcile(self, children: Iterable[Child]) -> None:
        """Make *children* the children: stop what is gone, start what is new or changed.

        Unchanged children are left alone unless the strategy ties them to a changed one.
        Children that do not come up are retried like any failed child; their errors are
        also raised, as a group, when everything else is done, so that the caller can
        choose to go back (``reconcile(previous)``).  Arguments of temporary children were
        not kept and are not compared.  Raises `ValueError`, before anything is done, if
        *children* could not have been given to `Supervisor`.
        """
        commands = self._commands()
        await commands.reconcile(self._checked(children))

    def _commands(self) -> Commands:
        if self._engine is None or not self._running or self._engine.closing.is_set():
            raise RuntimeError(f"supervisor {self.name!r} is not running")
        return Commands(self._engine)

    # -- what can be seen -------------------------------------------------------------

    def status(self) -> Status:
        """Return a snapshot of the tree from here down.  Consistent because synchronous."""
        engine = self._engine
        failure = None if engine is None else engine.failure
        return Status(
            path=self.name if engine is None else engine.slots.path,
            state=self._state,
            since=self._since,
            incarnation=self._runs,
            error=None if failure is None else summary(failure),
            children=self._children_status(),
        )

    @property
    def _state(self) -> State:
        if self._engine is None or not self._running:
            return State.STOPPED
        if self._engine.closing.is_set():
            return State.STOPPING
        return State.RUNNING if self._engine.up else State.STARTING

    def _children_status(self) -> tuple[Status, ...]:
        return () if self._engine is None else tuple(slot.status() for slot in self._engine.slots)

    def _emit(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # noqa: BLE001  (a bug of the observer must not end the tree it observes)
                logger.exception("on_event of supervisor %r raised", self.name)
        if self._bubble is not None:
            self._bubble(event)

    # -- checks -----------------------------------------------------------------------

    def _new_limit(self) -> Limit:
        return Limit(self._max_restarts, self._within)

    def _checked(self, children: Iterable[Child]) -> tuple[Child, ...]:
        checked, limit = tuple(children), self._new_limit()
        names = set()
        for child in checked:
            self._check_kind(child)
            if child.name in names:
                raise ValueError(f"supervisor {self.name!r} has two children {child.name!r}")
            names.add(child.name)
            limit.check_reachable(child)
        return checked

    def _check_kind(self, child: object) -> None:
        hint = " (use its as_child())" if isinstance(child, Supervisor) else ""
        check_kind(child, Child, f"a child of supervisor {self.name!r}{hint}")
