"""Socket Mode: envelopes over WebSockets that Slack replaces every few hours."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.channels.base import ChannelError, Link, LostError, RefusedForGoodError, StalledError
from gateway.channels.racing import run_with
from gateway.channels.reading import object_at, text_at
from gateway.channels.slack.events import Me, read_event
from gateway.channels.sockets import Connect, Socket, open_socket
from gateway.errors import leaves
from gateway.web.client import parsed

log = structlog.get_logger(__name__)

FRAME_BYTES: Final = 4 * 1024 * 1024
"""Largest envelope; a message with its blocks and files has some 100 KiB."""

HELLO_SECONDS: Final = 15.0
"""Longest wait for the first frame."""

PING_SECONDS: Final = 15.0
"""Between a pong and the next ping, and how long that may take: together less than the 40 s
after which an account counts as stalled at the earliest."""

LINGER_SECONDS: Final = 60.0
"""How long a connection that was replaced is still read; Slack closes it after some 10 s."""

PAUSE: Final = 1.0
"""Least time between two connections, whatever Slack asks for."""


@attrs.define(eq=False)
class _Line:
    """One connection.  *replaced*: it may end, another one is there or on its way."""

    socket: Socket
    replaced: bool = False
    patience: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False)
class SocketMode:
    """Receives for *me*; *ticket* gives the address of a new connection, good for one."""

    link: Link
    me: Me
    ticket: Callable[[], Awaitable[str]]
    connect: Connect
    _replace: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Receive until something fails; a connection that Slack wants to replace is no failure.

        Raises the first `ChannelError` as it is, without a group around it.
        """
        failure: ChannelError | None = None
        try:
            await self._receive()
        except* ChannelError as group:
            failure = leaves(group)[0]
        if failure is not None:
            raise failure

    async def _receive(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                self._replace = trio.Event()
                # The old one goes on meanwhile, so that nothing is missed.
                await nursery.start(self._one)
                await self._replace.wait()
                await trio.sleep(PAUSE)

    async def _one(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        url = await self.ticket()
        line: _Line | None = None
        try:
            async with open_socket(url, connect=self.connect, frame_bytes=FRAME_BYTES) as socket:
                line = _Line(socket)
                await self._greeted(socket)
                self.link.connected(self.me.name)
                task_status.started()
                await run_with(partial(self._read, line), partial(self._watch, line))
        except LostError:
            if line is None or not line.replaced:
                raise
            log.debug("a replaced connection to Slack has ended")

    async def _greeted(self, socket: Socket) -> None:
        with trio.move_on_after(HELLO_SECONDS):
            frame = parsed((await socket.receive()).encode("utf-8", "replace"))
            if text_at(frame, "type") == "disconnect":
                self._refuse(text_at(frame, "reason"))
            if text_at(frame, "type") != "hello":
                raise LostError("Slack did not say hello")
            return
        raise StalledError(f"Slack said nothing for {HELLO_SECONDS:g} s")

    async def _read(self, line: _Line) -> None:
        with line.patience:
            while True:
                text = await line.socket.receive()
                await self._take(line, parsed(text.encode("utf-8", "replace")))

    async def _watch(self, line: _Line) -> None:
        # Slack may go without closing: only an answer shows that it is there.
        while True:
            await trio.sleep(PING_SECONDS)
            await line.socket.ping(PING_SECONDS)
            self.link.alive()

    async def _take(self, line: _Line, frame: Any) -> None:
        kind, envelope = text_at(frame, "type"), text_at(frame, "envelope_id")
        if kind == "disconnect":
            self._refuse(text_at(frame, "reason"))
            self._retire(line)
        if not envelope:
            return
        if kind == "events_api":
            message = read_event(object_at(frame, "payload"), self.me)
            if message is not None:
                # Before the acknowledgement: a commit takes milliseconds of Slack's 3 s.
                await self.link.accept(message)
        # Everything is acknowledged, or what we do not understand would come for ever.
        await line.socket.send(orjson.dumps({"envelope_id": envelope[:200]}).decode())

    def _refuse(self, reason: str) -> None:
        """Raise if *reason* says that there is no use in another connection."""
        if reason == "link_disabled":
            raise RefusedForGoodError(
                "Slack says that Socket Mode is off; switch it on for the app (Socket Mode)"
            )

    def _retire(self, line: _Line) -> None:
        if not line.replaced:
            line.replaced = True
            line.patience.deadline = min(math.inf, trio.current_time() + LINGER_SECONDS)
            self._replace.set()
