"""One connected WebSocket client: let in, served, seen off."""

import secrets

import attrs
import structlog
import trio

from gateway import __version__
from gateway.config.model import Limits
from gateway.protocol.codes import Close
from gateway.protocol.frames import Id, answer, failure
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.connect import PROTOCOL, About, Allowed, Connected, Node, Server
from gateway.rpc.dispatch import Caller, Dispatcher
from gateway.rpc.faults import Fault
from gateway.rpc.handshake import Handshake, Hello, RefusedError
from gateway.rpc.hub import Hub
from gateway.rpc.socket import Socket
from gateway.rpc.stream import Filter, Stream

log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Client:
    """Somebody connected.  *about* is what it says about itself and proves nothing."""

    id: str
    principal: Principal
    about: About
    node: Node | None
    socket: Socket
    stream: Stream
    _caller: Caller | None = attrs.field(default=None, init=False)

    def cancel(self, id: Id) -> bool:  # noqa: A002  its name on the wire
        """Cancel a request of this client; return whether it was in flight."""
        return self._caller is not None and self._caller.cancel(id)

    def close(self, code: int, reason: str) -> None:
        """Close the connection and give its requests up."""
        self.socket.close_soon(code, reason)
        if self._caller is not None:
            for entry in tuple(self._caller.running.values()):
                entry.cancel("cancelled")

    async def serve(self, batch: list[str | bytes], dispatch: Dispatcher, limits: Limits) -> None:
        """Answer requests, *batch* first, until the connection is closed.

        Requests still in flight then are cancelled: nobody waits for them.
        """
        async with trio.open_nursery() as nursery:
            self._caller = Caller(
                self.principal,
                Allowance.of(limits),
                nursery.start_soon,
                self.socket.send_patiently,
                client=self,
            )
            while batch or (batch := await self.socket.receive_batch()):
                await self._answer(batch, dispatch, self._caller)
                batch = []
            nursery.cancel_scope.cancel(reason="the connection is closed")

    async def _answer(
        self, batch: list[str | bytes], dispatcher: Dispatcher, caller: Caller
    ) -> None:
        """Answer what can be answered at once: the transport makes one write of it."""
        socket = self.socket
        for raw in batch:
            if socket.closed:
                return  # revoked meanwhile: nothing more is executed
            frame = dispatcher.dispatch(raw, caller) if type(raw) is str else _binary(caller)
            if frame is not None and not socket.send_text(frame):
                await socket.send_patiently(frame)


def _binary(caller: Caller) -> bytes:
    caller.allowance.take()
    return failure(None, "invalid-request", "frames are text, not binary")


@attrs.define(eq=False)
class Endpoint:
    """Where WebSockets arrive: `serve` is the transport's handler."""

    hub: Hub
    dispatcher: Dispatcher
    handshake: Handshake
    limits: Limits

    def apply(self, limits: Limits) -> None:
        """Have *limits* hold for connections made from now on."""
        self.limits = limits
        self.handshake.lockout.failures = limits.login_failures

    async def serve(self, socket: Socket) -> None:
        """Serve one connection to its end.  The deadline for `connect` is the transport's."""
        batch = await socket.receive_batch()
        if not batch:
            return
        try:
            client = self._admit(batch[0], socket)
        except RefusedError as refusal:
            # Five times at most before the lock-out, and then nobody needs to know.
            tell = log.debug if refusal.locked_out else log.info
            tell("not let in", peer=socket.peer, reason=refusal.reason)
            socket.send_text(refusal.frame)
            socket.close_soon(Close.POLICY, refusal.reason)
            return
        try:
            client.stream.attach(socket)
            await client.serve(batch[1:], self.dispatcher, self.limits)
        finally:
            self.hub.leave(client)

    def _admit(self, raw: str | bytes, socket: Socket) -> Client:
        """Return the client that connects, already told so; raises `RefusedError`.

        Nothing may wait in here: between a credential's check and the client's entry in
        the hub it could be revoked, and nobody would close the connection.
        """
        hello = self.handshake.read(raw, socket)
        self._check_node(hello)
        stream, resumed = self._stream(hello)
        identity = f"c-{secrets.token_hex(8)}"
        client = Client(identity, hello.principal, hello.params.client, hello.node, socket, stream)
        socket.authenticated()
        self.hub.join(client)
        socket.send_text(answer(hello.request, self._connected(client, hello, resumed=resumed)))
        return client

    def _check_node(self, hello: Hello) -> None:
        node = hello.node
        holder = self.hub.nodes.get(node.id) if node else None
        if holder is not None and holder.principal.name != hello.principal.name:
            fault = Fault("conflict", "a node of this id is connected with another credential")
            raise RefusedError(fault, hello.request.id, jsonrpc=hello.request.jsonrpc)

    def _stream(self, hello: Hello) -> tuple[Stream, bool]:
        wanted = Filter(hello.principal, node=hello.node.id if hello.node else None)
        if resume := hello.params.resume:
            stream = self.hub.resume(resume.epoch, resume.seq, wanted)
            if stream is not None:
                return stream, True
        return Stream(self.hub.journal, wanted), False

    def _connected(self, client: Client, hello: Hello, *, resumed: bool) -> Connected:
        limits, principal = self.limits, client.principal
        return Connected(
            connection_id=client.id,
            protocol=PROTOCOL,
            server=Server("gateway", __version__),
            role=principal.role,
            scopes=sorted(principal.scopes),
            epoch=client.stream.epoch,
            seq=client.stream.seq,
            resumed=resumed,
            gap=hello.params.resume is not None and not resumed,
            methods=self.dispatcher.router.names(principal),
            events=client.stream.filter.names,
            limits=Allowed(
                limits.frame_bytes,
                limits.queue_bytes,
                limits.in_flight,
                limits.requests_per_second,
            ),
        )
