"""Bookkeeping: one slot per child, and which of them belong together.  Nothing awaits here."""

from collections.abc import Iterable, Iterator, Sequence

import attrs
import trio

from supervisors._child import Child, Restart, Strategy
from supervisors._lifetime import Incarnation, Owner
from supervisors._status import State, Status, unix_time

STARTABLE = frozenset({State.STARTING, State.WAITING, State.BACKING_OFF})
"""States of a child that is down and meant to be up; STARTING: not launched yet."""


@attrs.define(eq=False, repr=False)
class Slot:
    """What a supervisor knows of one child.

    A decision about a child begins a new *epoch*; whoever still acts on an older one
    (the notice of a crash, a nap before a restart) finds its event set and gives up.
    """

    child: Child
    path: str
    lock: trio.Lock
    """Held by whoever starts or stops the child; shared by all slots of a group strategy."""
    state: State = State.WAITING
    since: float = attrs.field(factory=unix_time, init=False)
    epoch: trio.Event = attrs.field(factory=trio.Event, init=False)
    life: Incarnation | None = attrs.field(default=None, init=False)
    held: bool = attrs.field(default=False, init=False)
    """Whether an operator has stopped it: it stays down through restarts of siblings."""
    replacing: bool = attrs.field(default=False, init=False)
    """Whether *child* is new and starts as soon as its predecessor is gone."""
    waits_for: "Slot | None" = attrs.field(default=None, init=False)
    """The sibling it starts together with."""
    retry_at: float | None = attrs.field(default=None, init=False)
    incarnation: int = attrs.field(default=0, init=False)
    failures: int = attrs.field(default=0, init=False)
    """Failures in a row."""
    restarts: int = attrs.field(default=0, init=False)
    error: str | None = attrs.field(default=None, init=False)

    def __repr__(self) -> str:
        return f"<Slot {self.path} {self.state}>"

    @property
    def name(self) -> str:
        """The child's name."""
        return self.child.name

    def enter(self, state: State, waits_for: "Slot | None" = None) -> None:
        """Change the state."""
        self.state, self.since = state, unix_time()
        self.waits_for, self.retry_at = waits_for, None

    def wait_for(self, sibling: "Slot") -> None:
        """Start together with *sibling*, unless it is up or not meant to be."""
        if self.life is None and self.state in STARTABLE:
            self.enter(State.WAITING, sibling)

    def advance(self) -> trio.Event:
        """Begin a new epoch: whatever was going to happen will not."""
        self.epoch.set()
        self.epoch = trio.Event()
        return self.epoch

    def hold(self) -> None:
        """Take note that an operator wants it down."""
        self.held, self.replacing = True, False
        if self.life is None:
            self.enter(State.STOPPED)

    @property
    def temporary(self) -> bool:
        """Whether the slot goes with its incarnation."""
        return self.child.restart is Restart.TEMPORARY and not self.replacing

    def check_restartable(self) -> None:
        """Raise `ValueError` if its arguments are gone."""
        if self.child.restart is Restart.TEMPORARY:
            raise ValueError(f"{self.path} is temporary: it cannot be started again")

    def begin(self, owner: Owner) -> Incarnation:
        """Return the next incarnation."""
        self.incarnation += 1
        self.replacing = False
        self.enter(State.STARTING)
        child, self.child = self.child, self.child.without_args()
        self.life = Incarnation(
            self.path, self.incarnation, child, owner, child.stop_timeout, child.heartbeat
        )
        return self.life

    def become(self, child: Child) -> None:
        """Take another child of the same name; what was counted does not apply to it."""
        self.child, self.failures, self.error = child, 0, None
        self.held, self.replacing = False, True
        if self.life is None and self.state in (State.STOPPED, State.FINISHED):
            self.enter(State.WAITING)

    def status(self) -> Status:
        """Return a snapshot."""
        life = self.life
        nested = None if life is None else life.nested
        wait = None if self.retry_at is None else max(0.0, self.retry_at - trio.current_time())
        return Status(
            path=self.path,
            state=self.state,
            since=self.since,
            incarnation=self.incarnation,
            restarts=self.restarts,
            error=self.error,
            retry_in=wait,
            detail=None if life is None else life.detail(),
            children=() if nested is None else nested(),
        )


@attrs.frozen(eq=False, repr=False)
class Changes:
    """The difference between the children there are and those that are wanted."""

    gone: Sequence[Slot]
    added: Sequence[Slot]
    replaced: Sequence[Slot]
    """Changed ones and those that the strategy ties to them, in order."""

    @property
    def leaving(self) -> list[Slot]:
        """Those whose current incarnation ends."""
        return [*self.replaced, *self.gone]


@attrs.define(eq=False, repr=False)
class Slots:
    """The children of one supervisor, in start order."""

    path: str
    strategy: Strategy
    _slots: dict[str, Slot] = attrs.field(factory=dict, init=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def __contains__(self, slot: Slot) -> bool:
        return self._slots.get(slot.name) is slot

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def grouped(self) -> bool:
        """Whether children restart together."""
        return self.strategy in (Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL)

    @property
    def concurrent(self) -> bool:
        """Whether children start and stop at the same time."""
        return self.strategy is Strategy.POOL

    def find(self, name: str) -> Slot:
        """Return a slot by name; raises `KeyError` if there is none."""
        if name not in self._slots:
            raise KeyError(f"{self.path} has no child {name!r}")
        return self._slots[name]

    def add(self, child: Child, state: State = State.WAITING) -> Slot:
        """Append a slot; raises `ValueError` if the name is taken."""
        if child.name in self._slots:
            raise ValueError(f"{self.path} has a child {child.name!r} already")
        lock = self._lock if self.grouped else trio.Lock()
        slot = self._slots[child.name] = Slot(child, f"{self.path}/{child.name}", lock, state)
        return slot

    def drop(self, slot: Slot) -> None:
        """Forget a slot, if it is known."""
        if slot in self:
            del self._slots[slot.name]

    def unit(self, failed: Slot) -> list[Slot]:
        """Return those that restart together with *failed*, in order, itself included.

        Those that an operator has stopped are left alone, and so are those whose first
        start is still to come.
        """
        return [slot for slot in self._reach(failed) if slot is failed or _movable(slot)]

    def waiting_for(self, slot: Slot) -> list[Slot]:
        """Return those that start together with *slot*, in order, itself left out.

        Who waits for one that waits belongs to them.
        """
        found = {slot}
        while more := {other for other in self if other.waits_for in found} - found:
            found |= more
        return [other for other in self if other in found and other is not slot]

    def blocker(self, slot: Slot) -> Slot | None:
        """Return the sibling that has to come back before *slot* may start, if any."""
        if slot.waits_for is not None or not self.grouped:
            return slot.waits_for
        down = (other for other in self if other.state is State.BACKING_OFF and other is not slot)
        return next((other for other in down if slot in self._reach(other)), None)

    def domains(self) -> list[list[Slot]]:
        """Return all slots, partitioned by the lock they share."""
        return [list(self)] if self.grouped and self._slots else [[slot] for slot in self]

    def change(self, wanted: Iterable[Child]) -> Changes:
        """Make the table what is *wanted* and return what has to happen for it.

        Those that are gone stay in the table until they have been stopped.
        """
        children = {child.name: child for child in wanted}
        gone = [slot for slot in self if slot.name not in children]
        changed = {slot for slot in self if _differs(slot.child, children.get(slot.name))}
        new = [child for name, child in children.items() if name not in self._slots]
        added = [self.add(child, State.STARTING) for child in new]
        for slot in changed:
            slot.become(children[slot.name])
        self._reorder([*children, *(slot.name for slot in gone)])
        return Changes(gone, added, self._tied(changed, set(gone)))

    def _reorder(self, names: Iterable[str]) -> None:
        self._slots = {name: self._slots[name] for name in names}

    def _tied(self, changed: set[Slot], gone: set[Slot]) -> list[Slot]:
        """Return *changed* and all that the strategy ties to them, in order."""
        first = next((slot for slot in self if slot in changed), None)
        unit = self.unit(first) if first is not None and self.grouped else ()
        tied = changed.union(unit) - gone
        return [slot for slot in self if slot in tied]

    def _reach(self, failed: Slot) -> list[Slot]:
        if self.strategy is Strategy.ONE_FOR_ALL:
            return list(self)
        if self.strategy is Strategy.REST_FOR_ONE:
            slots = list(self)
            return slots[slots.index(failed) :]
        return [failed]


def _movable(slot: Slot) -> bool:
    return not slot.held and slot.state is not State.STARTING


def _differs(now: Child, wanted: Child | None) -> bool:
    """Compare; the arguments of a temporary child were not kept, so they cannot count."""
    return wanted is not None and now.without_args() != wanted.without_args()
