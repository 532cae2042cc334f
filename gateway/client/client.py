"""A client that stays connected: calls, events, and coming back after a loss."""

import ssl as tls
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal
from weakref import WeakSet

import attrs
import orjson
import trio

import gateway
from gateway.errors import leaves
from gateway.protocol.codes import CODES
from gateway.web.upgrade import CLOSE_SECONDS, cancel_when

from .calls import Calls, Pending, write
from .ending import Delays, Ending, LinkError
from .errors import RpcError
from .events import BACK, GAP, LOST, Event, Events, Position
from .link import Address, Link, OpenStream, open_link

PROTOCOL: Final = 1
"""The version of the protocol that this client speaks."""

WELCOME_SECONDS: Final = 10.0
"""Longest wait for the answer to ``connect``."""

PING_SECONDS: Final = 20.0
"""Between pings, and how long each may take: below usual NAT timeouts."""

STEADY_SECONDS: Final = 10.0
"""A connection that lasted this long was a good one: the next delay is short again."""

IN_FLIGHT: Final = 64
"""Calls at the same time until the gateway has said how many it takes."""

_CLOSED: Final = Ending("the client is closed", reached=True)


@attrs.frozen
class Settings:
    """What a client is, whom it talks to and how persistent it is."""

    address: Address
    open_stream: OpenStream
    auth: Mapping[str, str] = attrs.field(repr=False)
    identity: Mapping[str, Any]
    resume: bool
    reconnect: bool
    wait: float


@attrs.define(eq=False)
class Client:
    """A connection to a gateway; made by `connect`.

    Any number of tasks may call and listen at the same time.
    """

    _settings: Settings
    welcome: Mapping[str, Any] = attrs.field(factory=dict, init=False)
    """The gateway's answer to ``connect``, the newest: scopes, methods, limits, ..."""

    _calls: Calls = attrs.field(factory=Calls, init=False)
    _slots: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(IN_FLIGHT), init=False
    )
    _listeners: WeakSet[Events] = attrs.field(factory=WeakSet, init=False)
    _position: Position = attrs.field(factory=Position, init=False)
    _subscribed: tuple[str, ...] | None = attrs.field(default=None, init=False)
    _closing: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    _connected_at: float | None = attrs.field(default=None, init=False)  # Trio clock
    _ending: Ending | None = attrs.field(default=None, init=False)
    _leaving: trio.Event = attrs.field(factory=trio.Event, init=False)
    _left: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connected_at is not None

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - its end is an RpcError like the gateway's
    ) -> Any:
        """Call *method* and return its result, as JSON gives it.

        Raises `RpcError` for an error that the gateway answers, and for *timeout* (in
        seconds; the gateway has deadlines of its own).  Without a connection it waits
        for one.  If the connection is lost meanwhile it raises `ConnectionLostError`,
        unless *params* have an ``idempotencyKey``: then it is sent again.  A client that
        is refused or closed raises what ended it.  Cancelling tells the gateway.
        """
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            async with self._slots:
                return await self._ask(method, params)
        raise RpcError(
            "timeout", f"{method} was not answered within {timeout:g} s", code=CODES["timeout"]
        )

    async def _ask(self, method: str, params: Mapping[str, Any] | None) -> Any:
        if self._ending is not None:
            raise self._ending.error()
        call = self._calls.add(method, params)
        self._check_size(call)
        try:
            await call.done.wait()
        finally:
            self._calls.abandon(call)
        return call.result()

    def _check_size(self, call: Pending) -> None:
        most = self.welcome.get("limits", {}).get("frameBytes", 0)
        if most and len(call.frame.encode()) > most:
            self._calls.abandon(call)
            message = f"{call.method}: the request is larger than the {most} bytes allowed"
            raise RpcError("too-large", message, code=CODES["too-large"])

    def events(self, *patterns: str, buffer: int = 1000) -> Events:
        """Return the events that match one of *patterns* (``agent.*``), from now on.

        Without patterns: all.  At most *buffer* events wait for their reader.
        """
        events = Events(patterns or ("*",), buffer)
        self._listeners.add(events)
        if self._ending is not None:
            events.end(self._ending.error)
        return events

    async def subscribe(self, *patterns: str) -> None:
        """Have the gateway send only events that match one of *patterns*.

        Saves traffic, and holds over reconnects; `events` chooses among what comes.
        """
        self._subscribed = patterns
        await self.call("events.subscribe", {"events": list(patterns)})

    # --- the task behind it ------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a connection until cancelled or refused; started once it is welcome.

        Raises a `GatewayError` if the first connection cannot be made.
        """
        delays = Delays()
        patience = trio.current_time() + self._settings.wait
        while True:
            ending = await self._stay_connected(task_status, delays)
            if self._leaving.is_set():
                return
            first = not self.welcome
            if first:
                ending = attrs.evolve(ending, reached=False)
            delay = delays.next(at_least=ending.retry_after or 0.0)
            hopeless = ending.advice is not None or not (self._settings.reconnect or first)
            if hopeless or (first and trio.current_time() + delay > patience):
                self.end(ending)
                if first:
                    raise ending.error()
                return
            self._lose(ending, delay)
            await trio.sleep(delay)

    async def _stay_connected(self, task_status: trio.TaskStatus[None], delays: Delays) -> Ending:
        """Connect and converse until that ends; return how it ended."""
        ending = _CLOSED
        try:
            async with open_link(self._settings.address, self._settings.open_stream) as link:
                first = not self.welcome
                await self._greet(link)
                if first:
                    task_status.started()
                await self._converse(link)
        except* LinkError as group:
            # More than one if reader and pinger noticed at once.
            ending = leaves(group)[0].ending
        if self._leaving.is_set():
            self._left.set()
        if self._connected_at is not None:
            if trio.current_time() - self._connected_at >= STEADY_SECONDS:
                delays.reset()
            self._connected_at = None
        if self._closing is not None:
            back = self._closing.get("restartExpectedMs")
            seconds = back / 1000 if isinstance(back, int | float) else 0.0
            ending = attrs.evolve(ending, retry_after=seconds)
            self._closing = None
        return ending

    async def _greet(self, link: Link) -> None:
        resume = self._settings.resume and bool(self._position.epoch)
        params = {
            "auth": self._settings.auth,
            **self._settings.identity,
            **({"resume": attrs.asdict(self._position)} if resume else {}),
        }
        with trio.move_on_after(WELCOME_SECONDS):
            await link.send(write({"id": 0, "method": "connect", "params": params}))
            answer = _parse(await link.receive())
            if "error" in answer:
                raise LinkError(_unwelcome(RpcError.from_frame(answer["error"])))
            self._settle(answer.get("result") or {})
            return
        raise LinkError(Ending(f"no answer to connect within {WELCOME_SECONDS:g} s"))

    def _settle(self, welcome: Mapping[str, Any]) -> None:
        if welcome.get("protocol") != PROTOCOL:
            reason = f"it speaks protocol {welcome.get('protocol')}, this client {PROTOCOL}"
            raise LinkError(Ending(reason, kind="invalid-request"))
        again = bool(self.welcome)
        self.welcome = welcome
        self._connected_at = trio.current_time()
        in_flight = welcome.get("limits", {}).get("inFlight", IN_FLIGHT)
        self._slots.total_tokens = in_flight or float("inf")
        lost = self._position.settle(welcome)
        if again:
            self._tell(BACK, resumed=not lost)
        if lost:
            self._tell(GAP, reason="restart")

    async def _converse(self, link: Link) -> None:
        queue = self._calls.open()
        if self._subscribed is not None:
            # Whether a resumed stream still knows its patterns is the gateway's affair.
            self._calls.add("events.subscribe", {"events": list(self._subscribed)})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all, link, queue)
            nursery.start_soon(_keep_alive, link)
            nursery.start_soon(cancel_when, self._leaving, nursery.cancel_scope)
            while True:
                self._take(_parse(await link.receive()))

    async def _send_all(self, link: Link, queue: trio.MemoryReceiveChannel[Pending]) -> None:
        # One task sends, so that cancelling a caller cannot cut a frame in two.
        async for call in queue:
            if self._calls.is_due(call):
                call.sent += 1
                await link.send(call.frame)

    def _take(self, frame: Mapping[str, Any]) -> None:
        if "event" not in frame:
            self._calls.settle(frame, closing=self._closing is not None)
            return
        event = Event(frame["event"], frame.get("data") or {}, frame.get("seq"))
        place = "next" if event.seq is None else self._position.take(event.seq)
        if place == "again":
            return
        if place == "hole":
            self._tell(GAP, reason="hole")
        if event.name == "gateway_closing":
            self._closing = event.data
        self._put(event)

    def _lose(self, ending: Ending, delay: float) -> None:
        self._calls.lose(ending)
        if ending.code == 1009:
            # One of us sends frames that the other refuses; do not have it sent again.
            self._position.forget()
        if self.welcome:
            self._tell(LOST, reason=ending.reason, retryMs=round(delay * 1000))

    def end(self, ending: Ending) -> None:
        """Fail all calls and end all events: there will be no further connection."""
        self._ending = self._ending or ending
        self._calls.fail(ending)
        for events in tuple(self._listeners):
            events.end(ending.error)

    async def close(self) -> None:
        """End it because its user is done with it: events just stop.

        Says goodbye to the gateway, for which it waits a little; if cancelled it does not.
        """
        self._ending = self._ending or _CLOSED
        self._calls.fail(self._ending)
        for events in tuple(self._listeners):
            events.end(lambda: None)
        self._leaving.set()
        if self.connected:
            with trio.move_on_after(2 * CLOSE_SECONDS):
                await self._left.wait()

    def _tell(self, name: str, **data: object) -> None:
        self._put(Event(name, data))

    def _put(self, event: Event) -> None:
        for events in tuple(self._listeners):
            events.put(event)


async def _keep_alive(link: Link) -> None:
    while True:
        await trio.sleep(PING_SECONDS)
        with trio.move_on_after(PING_SECONDS) as patience:
            await link.ping()
        if patience.cancelled_caught:
            raise LinkError(Ending(f"no answer to a ping for {PING_SECONDS:g} s", reached=True))


def _parse(text: str) -> dict[str, Any]:
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        frame = None
    if not isinstance(frame, dict):
        raise LinkError(Ending("what it sends is not the gateway's protocol", reached=True))
    return frame


def _unwelcome(error: RpcError) -> Ending:
    after = error.data.get("retryAfterMs")
    return Ending(
        error.message,
        kind=error.kind,
        retry_after=after / 1000 if isinstance(after, int | float) else None,
    )


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one exception in *group* that is no cancellation, if it is one."""
    real = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
    return real[0] if len(real) == 1 else None


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    password: str | None = None,
    name: str = "python",
    type: Literal["control", "node"] = "control",  # noqa: A002 - the protocol's word
    node: Mapping[str, Any] | None = None,
    resume: bool = True,
    reconnect: bool = True,
    wait: float = 0.0,
    ssl_context: tls.SSLContext | None = None,
    open_stream: OpenStream | None = None,
) -> AsyncIterator[Client]:
    """Connect to the gateway at *url* (``ws://`` or ``wss://``) and stay connected.

    *name* is how this client appears in the gateway's logs; a client of *type* ``node``
    describes itself in *node* (protocol, "Connecting").  *wait* is for how many seconds
    to try again if the gateway is not there yet; after the first connection, lost ones
    are made again without end (*reconnect*), from where the events broke off (*resume*).
    *open_stream* replaces TCP and TLS, for tunnels and tests.

    Raises `RefusedError` if the gateway does not want us, `UnreachableError` if it is
    not there, and `ValueError` for a bad *url*.  What the body raises comes out as it is.
    """
    address = Address.parse(url)
    client_of = {"type": type, "name": name, "version": gateway.__version__}
    settings = Settings(
        address=address,
        open_stream=open_stream or (lambda: address.open(ssl_context)),
        auth={key: value for key, value in (("token", token), ("password", password)) if value},
        identity={"client": client_of, **({"node": node} if node is not None else {})},
        resume=resume,
        reconnect=reconnect,
        wait=wait,
    )
    client = Client(settings)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            try:
                yield client
            finally:
                try:
                    await client.close()
                finally:
                    nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = _only(group)
        if error is None:
            raise
        context = error.__context__
        try:
            raise error
        finally:
            # The group is our doing: what the error came from is what it was.
            error.__context__ = context
