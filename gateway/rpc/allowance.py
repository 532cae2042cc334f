"""What one client may cost: requests a second, and requests at the same time."""

from typing import Final

import attrs
import trio

from gateway.config.model import Limits

BURST: Final = 2.0
"""Seconds of the sustained rate that may come at once.  Source: protocol, "Requests"."""


@attrs.define(eq=False)
class Allowance:
    """A token bucket and a counter.

    *rate* is in requests per second and *in_flight* in requests; 0 is unlimited.
    """

    rate: float
    in_flight: int
    busy: int = attrs.field(default=0, init=False)
    _tokens: float = attrs.field(init=False)
    _since: float = attrs.field(factory=trio.current_time, init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.rate * BURST

    @classmethod
    def of(cls, limits: Limits) -> "Allowance":
        """Return a full one."""
        return cls(limits.requests_per_second, limits.in_flight)

    def fits(self, limits: Limits) -> bool:
        """Return whether *limits* are those that it was made of."""
        return (self.rate, self.in_flight) == (limits.requests_per_second, limits.in_flight)

    @property
    def full(self) -> bool:
        """Whether no further request may run."""
        return bool(self.in_flight) and self.busy >= self.in_flight

    def take(self) -> float:
        """Take one token; return 0, or how many seconds until there is one."""
        if not self.rate:
            return 0.0
        now = trio.current_time()
        self._tokens = min(self.rate * BURST, self._tokens + (now - self._since) * self.rate)
        self._since = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / self.rate
        self._tokens -= 1.0
        return 0.0
