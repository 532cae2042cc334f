"""What can be seen of a tree: snapshots and events.  Frozen values; nothing awaits here."""

import enum
import time
from collections.abc import Mapping
from typing import Literal

import attrs

from supervisors._outcome import summary


class State(enum.StrEnum):
    """Where a child is between its incarnations and in them."""

    STARTING = "starting"
    """Running, but has not called ``started()`` yet; or about to be launched."""
    RUNNING = "running"
    """Up."""
    BACKING_OFF = "backing-off"
    """Failed; the next start is in ``retry_in`` seconds."""
    WAITING = "waiting"
    """Down because of a sibling, and starts with it."""
    STOPPING = "stopping"
    """Asked to stop or cancelled, and not gone yet."""
    STOPPED = "stopped"
    """Down because somebody wanted it so."""
    FINISHED = "finished"
    """A transient child that has returned."""

    @property
    def wanted(self) -> bool:
        """Whether somebody wants it so; all others are on the way from one to the next."""
        return self in (State.RUNNING, State.STOPPED, State.FINISHED)


def unix_time() -> float:
    """Return the Unix time, in seconds: a stamp for people, no measure of durations."""
    return time.time()


@attrs.frozen
class Status:
    """A snapshot of one child and of what is below it.

    *since* is the Unix time of the last change of *state*.  *error* is the last failure
    in one line and is kept while the child is running again.  *retry_in* is in seconds.
    *detail* is what the child reports of itself (`Lifetime.describe`).
    """

    path: str
    state: State
    since: float
    incarnation: int = 0
    restarts: int = 0
    error: str | None = None
    retry_in: float | None = None
    detail: Mapping[str, object] | None = None
    children: tuple["Status", ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether this child and all below it are where they are meant to be."""
        return self.state.wanted and all(child.healthy for child in self.children)


Kind = Literal[
    "started", "finished", "crashed", "restarting", "stopped", "cut-short", "stuck", "gave-up"
]


@attrs.frozen
class Event:
    """Something happened to the child at *path*.

    started: it is up.  finished: it returned.  crashed: it failed, *error* says how.
    restarting: it will start again in *delay* seconds.  stopped: it ended as it was
    asked to.  cut-short: it was cancelled before it was done.  stuck: it has been
    cancelled and does not end.  gave-up: too many restarts; *path* is the supervisor's.
    """

    kind: Kind
    path: str
    incarnation: int
    error: BaseException | None = None
    delay: float | None = None

    @property
    def summary(self) -> str | None:
        """The *error* in one printable line of at most 200 characters."""
        return None if self.error is None else summary(self.error)
