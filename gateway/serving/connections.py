"""The open connections and what they share; they outlive the listener."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from gateway.serving.budget import Budget
from gateway.serving.limits import Limits, bound
from gateway.serving.websocket import WebSocket
from gateway.serving.wire import Flusher

SWEEPS = 4
"""Sweeps during the shortest period that they watch over: late by a quarter at most."""
SWEPT_PER_STEP = 512
"""Connections swept before other tasks get their turn: less than a millisecond."""


class Connections:
    """All connections of one port: their nursery, their writer and their sweeper.

    It stands apart from `serve` so that a listener can stop, or crash and restart, while
    connections live on.  Objects can be run again after `run` has ended.
    """

    def __init__(self, limits: Limits) -> None:
        self.strangers = Budget(0, 0)
        """Connections that have not authenticated."""
        self.http = Budget(0, 0)
        """Connections that speak HTTP."""
        self.apply(limits)
        self.websockets: set[WebSocket] = set()
        self.count = 0
        """Connections of any kind."""
        self._nursery: trio.Nursery | None = None
        self._flusher: Flusher | None = None

    def apply(self, limits: Limits) -> None:
        """Have *limits* hold for connections made from now on."""
        self.limits = limits
        self.strangers.apply(
            limits.preauth_connections, limits.preauth_per_address, limits.handshake_seconds
        )
        self.http.apply(limits.http_connections, limits.http_per_address)

    @property
    def nursery(self) -> trio.Nursery:
        """Where the connections' tasks live; raises `RuntimeError` outside of `run`."""
        if self._nursery is None:
            raise RuntimeError("connections can only be opened while Connections.run runs")
        return self._nursery

    @property
    def flusher(self) -> Flusher:
        """Writes for all; raises `RuntimeError` outside of `run`."""
        if self._flusher is None:
            raise RuntimeError("connections can only be opened while Connections.run runs")
        return self._flusher

    @property
    def full(self) -> bool:
        """Whether no further connection may be opened."""
        return self.count >= bound(self.limits.connections)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep connections until cancelled; then they are cut.

        For an orderly end call `close_all` first.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._flusher = Flusher(nursery)
            try:
                nursery.start_soon(self._flusher.run, name="flusher")
                nursery.start_soon(self.strangers.run, name="handshake deadlines")
                task_status.started()
                await self._sweep_forever()
            finally:
                self._nursery = self._flusher = None

    async def close_all(self, code: int, reason: str) -> None:
        """Close every WebSocket and wait until they are gone, at most ``close_seconds``."""
        with trio.move_on_after(self.limits.close_seconds):
            async with trio.open_nursery() as nursery:
                for websocket in tuple(self.websockets):
                    websocket.close_soon(code, reason)
                for websocket in tuple(self.websockets):
                    nursery.start_soon(websocket.wait_closed)
        for websocket in tuple(self.websockets):
            websocket.abort(code, reason)

    async def _sweep_forever(self) -> None:
        while True:
            limits = self.limits
            periods = (limits.ping_seconds, limits.pong_seconds, limits.slow_seconds,
                       limits.close_seconds)  # fmt: skip
            await trio.sleep(min(map(bound, periods)) / SWEEPS)
            swept = list(self.websockets)
            for start in range(0, len(swept), SWEPT_PER_STEP):
                now = trio.current_time()
                for websocket in swept[start : start + SWEPT_PER_STEP]:
                    websocket.sweep(now)
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_connections(limits: Limits) -> AsyncIterator[Connections]:
    """Run `Connections` around a block; they are cut when it ends."""
    connections = Connections(limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(connections.run)
        yield connections
        nursery.cancel_scope.cancel()
