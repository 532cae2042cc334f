"""How often restarting may be tried before it is taken for hopeless."""

from collections import deque
from collections.abc import Iterable

import attrs

from supervisors._child import Child, Restart
from supervisors._outcome import summary


class RestartsExhausted(Exception):  # noqa: N818  (reads as what happened, like StopIteration)
    """Too many restarts: the children of a supervisor do not stay up.

    Not an `ExceptionGroup`, because ``except*`` refuses those.
    """

    errors: tuple[Exception, ...]
    """The failures that led to it, oldest first; never empty."""

    def __init__(self, message: str, errors: Iterable[Exception]) -> None:
        self.errors = tuple(errors)
        super().__init__(message, self.errors)

    def __str__(self) -> str:
        return f"{self.args[0]}, last: {summary(self.errors[-1])}"


@attrs.define
class Limit:
    """A sliding window: more than *max_restarts* *within* seconds is too many.

    A window and not a decaying score, because an operator can compute it.
    """

    max_restarts: int | None
    within: float
    _recent: deque[tuple[float, Exception]] = attrs.field(factory=deque, init=False)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """The failures in the window, oldest first."""
        return tuple(error for _, error in self._recent)

    def exceeded_by(self, error: Exception, now: float) -> bool:
        """Count one more failure and tell whether it is one too many."""
        if self.max_restarts is None:
            return False
        self._recent.append((now, error))
        while now - self._recent[0][0] > self.within:
            self._recent.popleft()
        return len(self._recent) > self.max_restarts

    def check_reachable(self, child: Child) -> None:
        """Raise `ValueError` if *child* alone could fail forever without exceeding this.

        Ten restarts of a child that waits 1, 2, 4, ... 60 s take 303 s, so "10 within
        60 s" is a limit that never trips.  Source: systemd, which accepts it.
        """
        if self.max_restarts is None or child.restart is Restart.TEMPORARY:
            return
        if child.backoff.first == 0:
            return  # it never waits, and the sum below would be long in coming
        needed = 0.0
        for failures in range(1, self.max_restarts + 1):
            needed += child.backoff.delay(failures)
            if needed > self.within:
                raise ValueError(
                    f"child {child.name!r}: its backoff makes {self.max_restarts} restarts within"
                    f" {self.within:g} s impossible ({failures} take {needed:g} s), so the limit"
                    " would never trip; lower the limit, widen the window or use max_restarts=None"
                )
