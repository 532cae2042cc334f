"""Requests that wait for their answers, over any number of connections.  No Trio tasks."""

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson
import trio

from gateway.errors import GatewayError

from .ending import Ending
from .errors import ConnectionLostError, RpcError

RESENDS: Final = 5
"""How often a request is sent at most: one that kills each connection must not do so
forever."""


@attrs.define(eq=False)
class Pending:
    """One request and, once *done* is set, its *outcome*: the result or an exception."""

    id: int
    method: str
    frame: str
    keyed: bool
    sent: int = 0
    outcome: object = None
    done: trio.Event = attrs.field(factory=trio.Event)

    def result(self) -> Any:
        """Return the result or raise the error; only once *done*."""
        if isinstance(self.outcome, GatewayError):
            raise self.outcome
        return self.outcome


@attrs.define(eq=False)
class Calls:
    """All requests of one client, in the order in which they were made.

    What is pending when a connection ends is sent again over the next one if that does
    no harm: if it was not sent at all, or carries an ``idempotencyKey``.
    """

    _pending: dict[int, Pending] = attrs.field(factory=dict, init=False)
    _queue: trio.MemorySendChannel[Pending] | None = attrs.field(default=None, init=False)
    _last: int = attrs.field(default=0, init=False)

    def open(self) -> trio.MemoryReceiveChannel[Pending]:
        """Return what to send over a new connection: what is pending, then what comes.

        Unbounded by itself: its length is that of the pending requests, and the client
        bounds those.
        """
        self._queue, receive = trio.open_memory_channel[Pending](math.inf)
        for call in self._pending.values():
            self._queue.send_nowait(call)
        return receive

    def add(self, method: str, params: Mapping[str, Any] | None) -> Pending:
        """Have a request sent as soon as there is a connection.

        Raises `TypeError` if *params* cannot be written as JSON.
        """
        self._last += 1
        frame = write({"id": self._last, "method": method, "params": params or {}})
        call = Pending(self._last, method, frame, "idempotencyKey" in (params or {}))
        self._pending[call.id] = call
        if self._queue is not None:
            self._queue.send_nowait(call)
        return call

    def abandon(self, call: Pending) -> None:
        """Forget a request that nobody waits for any more, and tell the gateway so."""
        if self._pending.pop(call.id, None) is not None and call.sent and self._queue is not None:
            frame = write({"method": "request.cancel", "params": {"id": call.id}})
            self._queue.send_nowait(Pending(0, "request.cancel", frame, keyed=False))

    def is_due(self, call: Pending) -> bool:
        """Return whether *call* is still to be sent: nobody abandoned it meanwhile."""
        return call.id == 0 or call.id in self._pending

    def settle(self, frame: Mapping[str, Any], *, closing: bool) -> None:
        """Give an answer to whoever waits for it; answers nobody waits for are dropped.

        A gateway that is *closing* answers ``unavailable`` to what it cannot finish:
        requests with an ``idempotencyKey`` wait for its successor instead.
        """
        call = self._pending.get(frame.get("id", 0))
        if call is None:
            return
        if "error" in frame:
            error = RpcError.from_frame(frame["error"])
            if closing and call.keyed and error.kind == "unavailable" and call.sent < RESENDS:
                return
            call.outcome = error
        else:
            call.outcome = frame.get("result")
        self._finish(call)

    def lose(self, ending: Ending) -> None:
        """Fail what the end of a connection leaves unknown; keep what can be sent again."""
        self._queue = None
        # 1009: one of these was too large, so that sending it again would end it again.
        for call in tuple(self._pending.values()):
            again = call.keyed and call.sent < RESENDS and ending.code != 1009
            if call.sent and not again:
                call.outcome = ConnectionLostError(
                    f"the connection was lost ({ending.reason}) before {call.method} was "
                    "answered: it may or may not have been done"
                )
                self._finish(call)

    def fail(self, ending: Ending) -> None:
        """Fail everything: there will be no further connection."""
        self.lose(ending)
        for call in tuple(self._pending.values()):
            call.outcome = ending.error()
            self._finish(call)

    def _finish(self, call: Pending) -> None:
        del self._pending[call.id]
        call.done.set()


def write(frame: Mapping[str, Any]) -> str:
    """Return *frame* as JSON text; raises `TypeError` for what JSON has not."""
    return orjson.dumps(frame).decode()
