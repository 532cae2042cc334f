"""Tells the world that the gateway is there, that it still is, and that it goes.

The last child to start and the first to stop: when it starts everything is up, and when
it is asked to stop everything still is, so that the news reach everybody.
"""

import time
from collections.abc import Callable, Mapping

import attrs
import trio
from trio_util import periodic

from gateway.bus import Bus
from supervisors import Lifetime

TICK = 30.0
"""Seconds between two ``tick`` events.  Source: protocol, "Events"."""


@attrs.define
class Announcer:
    """Publishes ``tick`` and ``gateway_closing``, and talks to the service manager.

    *notify* sends one line to the service manager.  *watchdog* is the number of seconds
    between two proofs of life, or `None`.  They come from a task of the event loop on
    purpose: a blocked loop must fall silent.  *closing* returns what clients are told.
    """

    bus: Bus
    notify: Callable[[str], None]
    watchdog: float | None
    closing: Callable[[], Mapping[str, object]]

    async def run(self, life: Lifetime) -> None:
        """Announce until asked to stop, then announce that."""
        self.notify("READY=1")
        with life.until_stopping():
            life.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick, life)
                if self.watchdog is not None:
                    nursery.start_soon(self._prove_life, self.watchdog)
        self.notify("STOPPING=1")
        self.bus.publish("gateway_closing", self.closing())

    async def _tick(self, life: Lifetime) -> None:
        async for _ in periodic(TICK):
            self.bus.publish("tick", {"time": time.time()})
            life.heartbeat()

    async def _prove_life(self, interval: float) -> None:
        async for _ in periodic(interval):
            self.notify("WATCHDOG=1")
