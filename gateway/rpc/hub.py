"""The connected clients, and what they are told."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import structlog
import trio

from gateway.bus import Bus, News
from gateway.protocol.codes import Close
from gateway.rpc.auth import Principal
from gateway.rpc.journal import KEPT_SECONDS, Journal
from gateway.rpc.stream import Filter, Stream
from supervisors import Lifetime

if TYPE_CHECKING:
    from gateway.rpc.client import Client

log = structlog.get_logger(__name__)

PARKED: Final = 1_000
"""Streams kept for clients that may come back; then the one that left first is dropped.
Each has at most 1 000 numbers, 40 KB; most have a few."""


class Connections(Protocol):
    """Where connections live: `gateway.serving.connections.Connections`."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep them until cancelled."""

    async def close_all(self, code: int, reason: str) -> None:
        """Close them all and wait for that, bounded."""


@attrs.frozen(eq=False)
class _Parked:
    stream: Stream
    at: float  # on Trio's clock


@attrs.define(eq=False)
class Hub:
    """Knows who is connected and tells them the news of *bus*; the child ``clients``.

    Publishing costs one encoding, whatever the number of clients.
    """

    _bus: Bus
    _connections: Connections
    journal: Journal = attrs.field(factory=Journal, init=False)
    clients: dict["Client", None] = attrs.field(factory=dict, init=False)
    nodes: dict[str, "Client"] = attrs.field(factory=dict, init=False)
    _live: dict[str, "Client"] = attrs.field(factory=dict, init=False)  # by epoch
    _parked: OrderedDict[str, _Parked] = attrs.field(factory=OrderedDict, init=False)

    def __attrs_post_init__(self) -> None:
        """Listen from now on, also while `run` does not: who comes back misses nothing."""
        self._bus.subscribe(self.publish)

    async def run(self, life: Lifetime) -> None:
        """Keep connections; asked to stop, close them all (1001)."""
        life.describe(lambda: {"clients": len(self.clients)})
        async with trio.open_nursery() as nursery:
            await nursery.start(self._connections.run)
            life.started()
            await life.wait_stopping()
            await self._connections.close_all(Close.SHUTDOWN, "the gateway is shutting down")
            nursery.cancel_scope.cancel(reason="all connections are closed")

    def publish(self, news: News) -> None:
        """Write *news* down and to every client that wants it and keeps up."""
        self.journal.add(news)
        for client in self.clients:
            client.stream.pump()

    def join(self, client: "Client") -> None:
        """Count *client* as connected; an older connection of the same node has to go."""
        self.clients[client] = None
        self._live[client.stream.epoch] = client
        if client.node is not None:
            if older := self.nodes.get(client.node.id):
                older.close(Close.REPLACED, "replaced by a newer connection of this node")
            self.nodes[client.node.id] = client

    def leave(self, client: "Client") -> None:
        """Count *client* no more, and keep its stream in case it comes back."""
        del self.clients[client]
        if client.node is not None and self.nodes.get(client.node.id) is client:
            del self.nodes[client.node.id]
        stream = client.stream
        if self._live.get(stream.epoch) is client:
            # Else a newer connection has resumed it already.
            del self._live[stream.epoch]
            self._park(stream)

    def resume(self, epoch: str, seq: int, wanted: Filter) -> Stream | None:
        """Return the stream that *epoch* names, back at *seq*; `None` if that is lost.

        Only for the same principal with the same credential and rights.  A connection
        that has it still is closed: its client knows better than we that it is dead.
        """
        self._forget_old()
        holder, parked = self._live.get(epoch), self._parked.get(epoch)
        stream = holder.stream if holder else parked.stream if parked else None
        if stream is None or not stream.belongs_to(wanted) or not stream.rewind(seq):
            return None
        stream.detach()
        self._parked.pop(epoch, None)
        if holder is not None:
            holder.close(Close.REPLACED, "resumed by a newer connection")
        return stream

    def revoke(self, is_gone: Callable[[Principal], bool]) -> int:
        """Close the connections of principals that *is_gone* (4001); return how many."""
        gone = [client for client in self.clients if is_gone(client.principal)]
        for client in gone:
            log.info("credential revoked", principal=client.principal.name, client=client.id)
            client.close(Close.REVOKED, "credential revoked")
        for epoch, parked in tuple(self._parked.items()):
            if is_gone(parked.stream.filter.principal):
                del self._parked[epoch]
        return len(gone)

    def _park(self, stream: Stream) -> None:
        stream.detach()
        self._parked[stream.epoch] = _Parked(stream, trio.current_time())
        if len(self._parked) > PARKED:
            self._parked.popitem(last=False)

    def _forget_old(self) -> None:
        oldest = trio.current_time() - KEPT_SECONDS
        while self._parked and next(iter(self._parked.values())).at < oldest:
            self._parked.popitem(last=False)
