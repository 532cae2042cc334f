"""supervision.*: the tree of children, what happened in it, and changing it by hand."""

import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any, Final

import attrs

from gateway.errors import ConflictError, GatewayError, NotFoundError, UnavailableError
from gateway.protocol.convert import InvalidError, Issue, param
from gateway.protocol.issues import shorten
from gateway.rpc.router import Methods
from supervisors import Event, State, Status, Supervisor

KEPT: Final = 1_000
"""Events kept: some hours of a child that does not come up, at one restart a minute."""

COMMAND: Final = 120.0
"""Seconds for a command: stopping and starting a child may take both its timeouts."""


@attrs.frozen
class ChildStatus:
    """One child of the supervisor tree, and what is below it."""

    path: str = param("Its place: `gateway/agents`.")
    state: str = param("`starting`, `running`, `backing-off`, `waiting`, `stopping`, "
                       "`stopped` or `finished`.")  # fmt: skip
    healthy: bool = param("Whether it and all below it are where somebody wants them.")
    since: float = param("When its state changed last, in Unix time.", unit="seconds")
    incarnation: int = param("How often it has been started.")
    restarts: int = param("How often it was started again.")
    error: str | None = param("Its last failure in one line, kept while it runs again.", None)
    retry_in_ms: int | None = param("When it is started again.", None, unit="milliseconds")
    detail: dict[str, Any] | None = param("What it says of itself.", None)
    children: list["ChildStatus"] = param("Those below it, in start order.", attrs.Factory(list))

    @classmethod
    def of(cls, status: Status) -> "ChildStatus":
        """Return the wire's form of a snapshot."""
        return cls(
            path=status.path,
            state=str(status.state),
            healthy=status.healthy,
            since=status.since,
            incarnation=status.incarnation,
            restarts=status.restarts,
            error=status.error,
            retry_in_ms=_milliseconds(status.retry_in),
            detail=None if status.detail is None else dict(status.detail),
            children=[cls.of(child) for child in status.children],
        )


@attrs.frozen
class SupervisionEvent:
    """Something that happened to a child."""

    cursor: int = param("Its number; give it as `after` to get what came later.")
    kind: str = param("`started`, `finished`, `crashed`, `restarting`, `stopped`, "
                      "`cut-short`, `stuck` or `gave-up`.")  # fmt: skip
    path: str = param("The child's place in the tree.")
    incarnation: int = param("Which run of it.")
    error: str | None = param("What it failed of, in one line.", None)
    delay_ms: int | None = param("When it is started again.", None, unit="milliseconds")


@attrs.frozen
class After:
    """Which events."""

    after: int | None = param("A cursor; without it the latest events are returned.", None)
    limit: int = param("Most events to return, at most 1000.", 100)


@attrs.frozen
class Events:
    """A piece of the log of events."""

    events: list[SupervisionEvent] = param("Oldest first.")
    cursor: int = param("Where to go on.")
    gap: bool = param("Whether events after the cursor are gone, or it is from another life.")


@attrs.frozen
class Path:
    """Which child."""

    path: str = param("Like `gateway/agents`, from `supervision.tree`.")


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


@attrs.define
class EventLog:
    """The latest events; cursors begin at random, so that one of another life is noticed."""

    _end: int = attrs.field(factory=lambda: secrets.randbits(40), init=False)
    _events: deque[SupervisionEvent] = attrs.field(factory=lambda: deque(maxlen=KEPT), init=False)

    def record(self, event: Event) -> dict[str, object]:
        """Keep *event*; return the data of ``supervision.changed`` about it."""
        self._end += 1
        kept = SupervisionEvent(
            self._end, event.kind, event.path, event.incarnation,
            error=event.summary, delay_ms=_milliseconds(event.delay),
        )  # fmt: skip
        self._events.append(kept)
        told = {"kind": kept.kind, "path": kept.path, "incarnation": kept.incarnation}
        more = {"error": kept.error, "delayMs": kept.delay_ms}
        return told | {name: value for name, value in more.items() if value is not None}

    def since(self, after: int | None, limit: int) -> Events:
        """Return up to *limit* events after a cursor, or the latest ones."""
        oldest = self._end - len(self._events)
        if after is None:
            found = list(self._events)[-limit:]
            return Events(found, self._end, gap=False)
        gap = not oldest <= after <= self._end
        start = 0 if gap else after - oldest
        found = list(islice(self._events, start, start + limit))
        return Events(found, found[-1].cursor if found else self._end, gap=gap)


def blocked(tree: Status, block: object) -> dict[str, object]:
    """Return the data of ``supervision.changed`` about a *block* of the event loop."""
    path = f"{tree.path}/watchdog"
    incarnations = {each.path: each.incarnation for each in tree.children}
    return {
        "kind": "blocked",
        "path": path,
        "incarnation": incarnations[path],
        "error": str(block),
    }


@attrs.frozen
class Tree:
    """The supervisors by path: *root*, and *nested* ones like ``gateway/agents``."""

    root: Supervisor
    nested: Mapping[str, Supervisor] = attrs.field(factory=dict)

    def find(self, path: str) -> tuple[Supervisor, str]:
        """Return the supervisor of the child at *path*, and the child's name there.

        Raises `NotFoundError`, and `ConflictError` for the root.
        """
        root = self.root.status().path
        if path == root:
            raise ConflictError("that is the gateway itself: use system.restart or system.shutdown")
        parent, _, name = path.rpartition("/")
        supervisor = self.root if parent == root else self.nested.get(parent)
        if supervisor is None:
            raise NotFoundError(f"no child {shorten(path)!r}; supervision.tree lists them")
        return supervisor, name

    def status(self, path: str) -> Status:
        """Return the snapshot of one child; raises like `find`."""
        supervisor, _ = self.find(path)
        for child in supervisor.status().children:
            if child.path == path:
                return child
        raise NotFoundError(f"no child {shorten(path)!r}; supervision.tree lists them")

    async def command(
        self, path: str, act: Callable[[Supervisor, str], Awaitable[object]]
    ) -> ChildStatus:
        """Do *act* to the child at *path* and return how it is then.

        It is done even if the caller goes away meanwhile.  A child that does not come up
        is ``unavailable``, and retried by its supervisor.
        """
        supervisor, name = self.find(path)
        self.status(path)
        try:
            await act(supervisor, name)
        except (GatewayError, KeyError, RuntimeError) as error:
            raise UnavailableError(f"{path}: {error}") from error
        except Exception as error:
            # The child's own; its supervisor has logged it.
            raise UnavailableError(
                f"{path} did not come up; supervision.tree has the error"
            ) from error
        return ChildStatus.of(self.status(path))


def supervision_methods(tree: Tree, events: EventLog) -> Methods:
    """Return the methods about *tree*."""
    methods = Methods("supervision")

    @methods.method("read", always=True, name="supervision.tree")
    def snapshot() -> ChildStatus:
        """Return how every child is."""
        return ChildStatus.of(tree.root.status())

    @methods.method("read", always=True, name="supervision.events")
    def recent(params: After) -> Events:
        """Return what happened lately: starts, crashes, restarts."""
        if not 1 <= params.limit <= KEPT:
            raise InvalidError((Issue("limit", f"must be from 1 to {KEPT}"),))
        return events.since(params.after, params.limit)

    _add_commands(methods, tree)
    return methods


def _add_commands(methods: Methods, tree: Tree) -> None:
    # `always`: the gate is a child too.  It must not wait for the command that stops it,
    # nor refuse the one that starts it again.
    @methods.method("admin", always=True, deadline=COMMAND)
    async def restart(params: Path) -> ChildStatus:
        """Replace a child by a new incarnation, at once also while it is backing off.

        Restarting `gateway/clients` closes the connection that asks for it.
        """
        return await tree.command(params.path, Supervisor.restart)

    @methods.method("admin", always=True, deadline=COMMAND)
    async def stop(params: Path) -> ChildStatus:
        """Stop a child and keep it stopped until it is started or restarted by hand.

        With `gateway/listener` nobody new can connect, so keep a connection to start it
        again; with `gateway/clients` this connection ends and only restarting the process
        helps.
        """
        return await tree.command(params.path, Supervisor.stop)

    @methods.method("admin", always=True, deadline=COMMAND)
    async def start(params: Path) -> ChildStatus:
        """Start a child that is stopped or finished."""
        if (state := tree.status(params.path).state) not in (State.STOPPED, State.FINISHED):
            raise ConflictError(f"{shorten(params.path)} is {state}; use supervision.restart")
        return await tree.command(params.path, Supervisor.restart)
