"""One connection to Discord's Gateway: heartbeats, logging in, events in order."""

import math
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from typing import Any, Final, Protocol

import attrs
import orjson
import structlog
import trio

from gateway.channels.base import LostError, RefusedForGoodError, StalledError
from gateway.channels.discord.session import Session, is_number
from gateway.channels.racing import run_with
from gateway.channels.reading import integer_at, object_at, text_at
from gateway.channels.sockets import Socket
from gateway.web.client import parsed

log = structlog.get_logger(__name__)


class Op(IntEnum):
    """What a frame is.  Source: Gateway Opcodes."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    ACKNOWLEDGED = 11


INTENTS: Final = 1 << 0 | 1 << 9 | 1 << 12 | 1 << 15
"""Guilds (for threads), messages in guilds and in private, and what they say."""

BEAT_SECONDS: Final = 20.0
"""Longest time between heartbeats.  Discord asks for one each 41 s and takes more: a beat
without an answer is noticed after two intervals, which is to be less than ``stall_seconds``."""

HELLO_SECONDS: Final = 20.0
"""Longest wait for the first frame."""

LOGIN_SECONDS: Final = 30.0
"""Longest time without an event before we are logged in; a resume may bring thousands."""

OUT_BYTES: Final = 4096
"""Largest frame that Discord takes.  Source: Gateway, Sending Events."""

ANSWER_SECONDS: Final = 1.0
"""Least time between two heartbeats that Discord asks for: it allows 120 frames a minute
and closes beyond, whoever it was that asked."""


class Ending(Enum):
    """How a connection ended that Discord itself told to end."""

    RESUME = "resume"
    """The session goes on over a new connection."""
    RENEW = "renew"
    """The session is over."""


class Listener(Protocol):
    """Who gets what comes."""

    async def take(self, name: str, content: Mapping[str, Any], seq: int | None) -> None:
        """Take an event; it is safe when this returns."""

    async def acknowledge(self) -> None:
        """Note that Discord has answered a heartbeat."""


def login_frame(token: str, session: Session | None) -> Mapping[str, Any]:
    """Return the frame that goes on with *session*, or begins one."""
    if session is not None:
        resume = {"token": token, "session_id": session.id, "seq": session.seq}
        return {"op": Op.RESUME, "d": resume}
    properties = {"os": "linux", "browser": "assistant-gateway", "device": "assistant-gateway"}
    return {"op": Op.IDENTIFY, "d": {"token": token, "intents": INTENTS, "properties": properties}}


@attrs.define(eq=False)
class Connection:
    """Speaks over *socket* for one session; *seq* returns the number of the last event.

    *spread* gives a number from 0 to 1: the first beat is late by as much, so that not all
    bots of the world beat together.
    """

    socket: Socket
    login: Mapping[str, Any] = attrs.field(repr=False)
    listener: Listener
    seq: Callable[[], int | None]
    spread: Callable[[], float]
    _beat_acknowledged: bool = attrs.field(default=True, init=False)
    _answered: float = attrs.field(default=-math.inf, init=False)
    """When a heartbeat was last sent because Discord asked (Trio clock)."""
    _patience: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _logged_in: bool = attrs.field(default=False, init=False)

    async def run(self) -> Ending:
        """Log in and pass on events until Discord wants to end it.

        Raises `LostError`: a `gateway.channels.sockets.ClosedError` has a code with a
        meaning.  Whoever raises `ChannelError` in the listener ends it as well.
        """
        interval = await self._greeted()
        await self._send(self.login)

        async def beat() -> None:
            await self._beat(interval)

        return await run_with(self._read, beat)

    async def _greeted(self) -> float:
        """Return the seconds between heartbeats."""
        with trio.move_on_after(HELLO_SECONDS):
            frame = await self._receive()
            wanted = integer_at(frame, "d", "heartbeat_interval")
            if frame.get("op") != Op.HELLO or wanted is None or wanted <= 0:
                raise LostError("Discord's Gateway did not say hello")
            return min(wanted / 1000, BEAT_SECONDS)
        raise StalledError(f"Discord's Gateway said nothing for {HELLO_SECONDS:g} s")

    async def _beat(self, interval: float) -> None:
        await trio.sleep(interval * self.spread())
        while self._beat_acknowledged:
            self._beat_acknowledged = False
            await self._send_beat()
            await trio.sleep(interval)
        # A zombie: open, and nobody there.  Source: Gateway, Heartbeat.
        raise StalledError("Discord no longer acknowledges heartbeats")

    async def _send_beat(self) -> None:
        await self._send({"op": Op.HEARTBEAT, "d": self.seq()})

    async def _read(self) -> Ending:
        self._patience = trio.CancelScope(deadline=trio.current_time() + LOGIN_SECONDS)
        with self._patience:
            while (ending := await self._react(await self._receive())) is None:
                pass
            return ending
        raise StalledError("Discord does not answer to the login")

    async def _receive(self) -> Mapping[str, Any]:
        text = await self.socket.receive()
        frame = parsed(text.encode("utf-8", "replace"))
        if not isinstance(frame, dict):
            log.warning("a frame of Discord is no JSON object", length=len(text))
            return {}
        return frame

    async def _react(self, frame: Mapping[str, Any]) -> Ending | None:
        match frame.get("op"):
            case Op.DISPATCH:
                await self._take(frame)
            case Op.HEARTBEAT:
                await self._answer()
            case Op.RECONNECT:
                return Ending.RESUME
            case Op.INVALID_SESSION:
                return Ending.RESUME if frame.get("d") is True else Ending.RENEW
            case Op.ACKNOWLEDGED:
                self._beat_acknowledged = True
                await self.listener.acknowledge()
        return None

    async def _take(self, frame: Mapping[str, Any]) -> None:
        name, seq = text_at(frame, "t"), frame.get("s")
        if not name:
            log.warning("an event of Discord has no name")
        self._logged_in = self._logged_in or name in ("READY", "RESUMED")
        await self.listener.take(name, object_at(frame, "d"), seq if is_number(seq) else None)
        late = math.inf if self._logged_in else trio.current_time() + LOGIN_SECONDS
        self._patience.deadline = late

    async def _answer(self) -> None:
        now = trio.current_time()
        if now - self._answered >= ANSWER_SECONDS:
            self._answered = now
            await self._send_beat()

    async def _send(self, frame: Mapping[str, Any]) -> None:
        text = orjson.dumps(frame)
        if len(text) > OUT_BYTES:
            raise RefusedForGoodError("the token is longer than any of Discord's")
        await self.socket.send(text.decode())
