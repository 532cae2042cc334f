"""The health snapshot: what is wrong, read off the supervisor tree.  Pure."""

from collections.abc import Iterator
from enum import StrEnum

import attrs

from supervisors import State, Status

PROBLEM = "problem"
"""A child that runs but is not well says why under this key of its detail."""


class Verdict(StrEnum):
    """Three answers, because "not known yet" is neither yes nor no."""

    OK = "ok"
    """Seen to be well."""
    DEGRADED = "degraded"
    """Something does not work; `Snapshot.reasons` says what."""
    UNKNOWN = "unknown"
    """Still starting, or never tried."""


@attrs.frozen
class Reason:
    """Why something is not ok: the child's *path* and one line."""

    path: str
    message: str


@attrs.frozen
class Part:
    """The health of one channel, agent, plugin or node.

    *since* is Unix seconds of the last change, `None` where nothing has happened yet.
    """

    id: str
    status: Verdict
    since: float | None = None
    last_error: str | None = None
    restarts: int = 0


@attrs.frozen
class Snapshot:
    """The health of the gateway.  *uptime* is in seconds.  Source: requirement 2.6."""

    status: Verdict
    version: str
    uptime: float
    reasons: tuple[Reason, ...] = ()
    channels: tuple[Part, ...] = ()
    agents: tuple[Part, ...] = ()
    plugins: tuple[Part, ...] = ()
    nodes: tuple[Part, ...] = ()


def reasons(status: Status) -> Iterator[Reason]:
    """Yield everything below *status* that is not well; the most specific path speaks."""
    below = [reason for child in status.children for reason in reasons(child)]
    yield from below
    if not below and (message := _complaint(status)):
        yield Reason(status.path, message)


def _complaint(status: Status) -> str | None:
    """Return what is wrong with this child itself, without those below it."""
    if problem := (status.detail or {}).get(PROBLEM):
        return str(problem)
    if status.state.wanted or _starts_first(status):
        return None
    return f"{status.state}: {status.error}" if status.error else str(status.state)


def _starts_first(status: Status) -> bool:
    """Return whether this is a first start, of which nothing can be said yet."""
    return status.state is State.STARTING and status.restarts == 0


def is_starting(status: Status) -> bool:
    """Return whether anything below *status* is in its first start."""
    return _starts_first(status) or any(is_starting(child) for child in status.children)


def verdict(status: Status, why: tuple[Reason, ...]) -> Verdict:
    """Return the one word for a tree, of which *why* are the `reasons`."""
    if why:
        return Verdict.DEGRADED
    return Verdict.UNKNOWN if is_starting(status) else Verdict.OK
