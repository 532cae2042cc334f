"""How often Discord may be asked: buckets of requests, and a budget of failures.  Pure.

Times are seconds on a clock that the caller chooses, always the same.
Source: Rate Limits.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import attrs

from gateway.channels.api import bounded_wait

BUCKETS: Final = 1000
"""Buckets remembered: one for each chat that was written to lately, and few for the rest."""

FAILURES: Final = 500
FAILURE_SECONDS: Final = 600.0
"""Failures in that time after which we stop.  Discord bans an address for an hour after
10 000 in 10 minutes; several bots may share one."""


@attrs.frozen
class Route:
    """A request as Discord counts it: ids beside the first share a bucket."""

    method: str
    template: str
    """Like ``/channels/{}/messages/{}``."""
    ids: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path with the ids in it, whatever they are."""
        return self.template.format(*(quote(each, safe="") for each in self.ids))

    @property
    def key(self) -> tuple[str, str]:
        """What shares a bucket, as long as the major id is the same."""
        return self.method, self.template

    @property
    def major(self) -> str:
        """The channel, where there is one."""
        return self.ids[0] if self.ids else ""


@attrs.define
class _Bucket:
    remaining: int
    reset: float


@attrs.define(eq=False)
class Limits:
    """What Discord has said about limits so far."""

    until: float = attrs.field(default=0.0, init=False)
    """Nothing at all is to be asked before."""
    _names: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)
    """What Discord calls the bucket of a kind of request; as many as there are kinds."""
    _buckets: OrderedDict[tuple[str, str], _Bucket] = attrs.field(factory=OrderedDict, init=False)
    _failures: deque[float] = attrs.field(factory=deque, init=False)

    def wait(self, route: Route, now: float) -> float:
        """Return the seconds until *route* may be asked."""
        bucket = self._buckets.get(self._place(route))
        free = bucket.reset if bucket is not None and bucket.remaining <= 0 else 0.0
        return max(0.0, free - now, self.wait_for_all(now))

    def wait_for_all(self, now: float) -> float:
        """Return the seconds until anything may be asked."""
        while self._failures and self._failures[0] <= now - FAILURE_SECONDS:
            self._failures.popleft()
        spent = len(self._failures) >= FAILURES
        budget = self._failures[0] + FAILURE_SECONDS if spent else 0.0
        return max(0.0, self.until - now, budget - now)

    def begin(self, route: Route, now: float) -> None:
        """Note that *route* is asked: one less remains, until we are told."""
        bucket = self._buckets.get(self._place(route))
        if bucket is None:
            return
        if bucket.reset <= now:
            # The window is over, and how large the next one is the answer will tell.
            del self._buckets[self._place(route)]
        else:
            bucket.remaining -= 1

    def learn(self, route: Route, headers: Mapping[str, str], now: float) -> None:
        """Note what the headers of an answer say."""
        name = headers.get("x-ratelimit-bucket", "")[:100]
        if name:
            self._names[route.key] = name
        remaining = headers.get("x-ratelimit-remaining", "")
        if remaining.isdecimal() and len(remaining) < 10:
            after = bounded_wait(headers.get("x-ratelimit-reset-after"), 0.0)
            self._set(route, _Bucket(int(remaining), now + after))

    def block(self, route: Route, until: float) -> None:
        """Note that *route* is not to be asked before *until*."""
        self._set(route, _Bucket(0, until))

    def block_all(self, until: float) -> None:
        """Note that nothing is to be asked before *until*."""
        self.until = max(self.until, until)

    def fail(self, now: float) -> None:
        """Count an answer that Discord counts as a failure of ours."""
        self._failures.append(now)

    def _place(self, route: Route) -> tuple[str, str]:
        return self._names.get(route.key, " ".join(route.key)), route.major

    def _set(self, route: Route, bucket: _Bucket) -> None:
        place = self._place(route)
        self._buckets[place] = bucket
        self._buckets.move_to_end(place)
        if len(self._buckets) > BUCKETS:
            self._buckets.popitem(last=False)
