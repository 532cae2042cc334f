"""Lanes: in one session one thing at a time, in the order in which it was asked for."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from gateway.errors import GatewayError

DEPTH: Final = 32
"""Most that may wait in one session: nobody who types gets there, a loop does."""


@attrs.define(eq=False)
class Place:
    """A place in a lane.  *turn* is set when everybody before is gone."""

    turn: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def first(self) -> bool:
        """Whether it is this one's turn."""
        return self.turn.is_set()


@attrs.define(eq=False)
class Lanes:
    """One lane per key; a lane that nobody is in costs nothing.

    In each, *depth* may wait.
    """

    depth: int = DEPTH
    _lanes: dict[str, deque[Place]] = attrs.field(factory=dict, init=False)

    def check(self, key: str) -> None:
        """Raise ``overloaded`` if *depth* wait in the lane *key*."""
        if len(self._lanes.get(key, ())) > self.depth:
            waiting = f"{self.depth} messages wait in this session; await them"
            raise GatewayError("overloaded", waiting)

    @contextmanager
    def join(self, key: str) -> Iterator[Place]:
        """Have a place at the end of the lane *key* while the body runs.

        Order is that of the calls.  Raises ``overloaded`` if *depth* wait already.
        """
        self.check(key)
        lane = self._lanes.setdefault(key, deque())
        place = Place()
        lane.append(place)
        self._call(lane)
        try:
            yield place
        finally:
            lane.remove(place)
            self._call(lane)
            if not lane:
                del self._lanes[key]

    @staticmethod
    def _call(lane: deque[Place]) -> None:
        if lane:
            lane[0].turn.set()

    def __len__(self) -> int:
        return len(self._lanes)
