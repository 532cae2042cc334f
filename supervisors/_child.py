"""What to keep alive and how: frozen values that compare by value.  No Trio."""

import enum
import math
import reprlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

import attrs


class Restart(enum.StrEnum):
    """When a child that ended by itself starts again."""

    PERMANENT = "permanent"
    """Always: it is not supposed to end."""
    TRANSIENT = "transient"
    """After a failure; a child that returned has finished and stays known."""
    TEMPORARY = "temporary"
    """Never; it is forgotten as soon as it ends."""


class Strategy(enum.StrEnum):
    """Who restarts together with a failed child."""

    ONE_FOR_ONE = "one-for-one"
    """Nobody else."""
    REST_FOR_ONE = "rest-for-one"
    """Those that were started after it, because they may depend on it."""
    ONE_FOR_ALL = "one-for-all"
    """All: they share state and are worth nothing alone."""
    POOL = "pool"
    """Nobody else; children have no order: they start and stop concurrently, and a
    child that does not come up with the supervisor is retried."""


def refuse(what: str, expected: str, value: object) -> NoReturn:
    """Raise the `ValueError` of a wrong argument; a wrong type is a bad value too."""
    # reprlib: a value may be as large as the whole tree.
    raise ValueError(f"{what}: must be {expected}, not {reprlib.repr(value)}")


def check_name(name: object, what: str) -> None:
    """Raise `ValueError` unless *name* can be one step of a path."""
    if not isinstance(name, str) or not name or "/" in name:
        refuse(what, 'a string, not empty, without "/"', name)


def check_callable(value: object, what: str) -> None:
    """Raise `ValueError` unless *value* can be called."""
    if not callable(value):
        refuse(what, "callable", value)


def check_kind(value: object, kind: type, what: str) -> None:
    """Raise `ValueError` unless *value* is a *kind*."""
    if not isinstance(value, kind):
        refuse(what, f"a {kind.__name__}", value)


def check_number(value: object, what: str, *, low: float, high: float = math.inf) -> None:
    """Raise `ValueError` unless *value* is a number from *low* to *high*; NaN is none."""
    number = value if isinstance(value, int | float) and value is not bool(value) else math.nan
    if not low <= number <= high:
        refuse(what, f"a number from {low:g} to {high:g}", value)


LONGEST = 1e9
"""Seconds; a delay has to end some day, so it is finite: about thirty years."""


@attrs.frozen
class Backoff:
    """How long to wait before the n-th restart in a row, in seconds.

    The wait grows from *first* by *factor* up to *limit*.  Jitter only ever lengthens
    it, so the nominal value is a lower bound that restart limits can be checked
    against.  A run of at least *reset_after* seconds makes the next failure count as
    the first.

    Source: systemd (growth and cap), Kubernetes (reset after a stable run).
    """

    first: float = 1.0
    factor: float = 2.0
    limit: float = 60.0
    jitter: float = 0.2
    reset_after: float = 120.0

    def __attrs_post_init__(self) -> None:
        """Refuse what would wait forever or not at all where that is not meant."""
        check_number(self.first, "Backoff.first", low=0, high=LONGEST)
        check_number(self.factor, "Backoff.factor", low=1, high=LONGEST)
        check_number(self.limit, "Backoff.limit", low=self.first, high=LONGEST)
        check_number(self.jitter, "Backoff.jitter", low=0, high=LONGEST)
        check_number(self.reset_after, "Backoff.reset_after", low=0)

    def delay(self, failures: int, spread: float = 0.0) -> float:
        """Return the seconds to wait after that many *failures* in a row.

        *spread*, from 0 to 1, says how much of the jitter applies; 0 is the nominal delay.
        """
        return min(self.limit, self._grown(failures - 1)) * (1 + self.jitter * spread)

    def _grown(self, times: int) -> float:
        try:
            return self.first * self.factor ** max(times, 0)
        except OverflowError:  # 2.0 ** 1024; a child may well fail that often
            return self.first and math.inf


@attrs.frozen
class Child:
    """One thing to keep alive: the coroutine function ``run(life, *args)`` and its policy.

    Children compare by value.  Put everything that should cause a restart when it
    changes into *args*, and `Supervisor.reconcile` leaves unchanged children alone.  A
    bound method equals another one of the same object.

    Times are in seconds.  *start_timeout* bounds the wait for ``life.started()``;
    *stop_timeout* is the time between being asked to stop and being cancelled;
    *heartbeat* is the longest silence between two ``life.heartbeat()`` calls before the
    child is taken for hung and restarted (``inf``: it need not beat).  A bad value
    raises `ValueError`.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    # Not in the repr: configuration may hold secrets.
    args: tuple[object, ...] = attrs.field(default=(), repr=False)
    restart: Restart = attrs.field(default=Restart.PERMANENT, converter=Restart, kw_only=True)
    backoff: Backoff = attrs.field(factory=Backoff, kw_only=True)
    start_timeout: float = attrs.field(default=30.0, kw_only=True)
    stop_timeout: float = attrs.field(default=10.0, kw_only=True)
    heartbeat: float = attrs.field(default=math.inf, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Say at once what is wrong, not when the child is started."""
        check_name(self.name, "Child.name")
        what = f"Child {self.name!r}"
        check_callable(self.run, f"{what}.run")
        check_kind(self.args, tuple, f"{what}.args")
        check_kind(self.backoff, Backoff, f"{what}.backoff")
        check_number(self.start_timeout, f"{what}.start_timeout", low=0)
        check_number(self.stop_timeout, f"{what}.stop_timeout", low=0)
        check_number(self.heartbeat, f"{what}.heartbeat", low=0)

    def without_args(self) -> "Child":
        """Return what is worth keeping of a child that will never be started again.

        Source: OTP-16804, arguments of temporary children filled the supervisor's heap.
        """
        return attrs.evolve(self, args=()) if self.restart is Restart.TEMPORARY else self
