"""Receives from Discord: one session over as many connections as Discord wants.

Reconnects that Discord asks for happen in here; everything unexpected is an error, and the
next incarnation goes on with the session in the cursor.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import attrs
import structlog
import trio

from gateway.channels.base import (
    Inbound,
    Link,
    LostError,
    Place,
    RefusedForGoodError,
    UndeliverableError,
)
from gateway.channels.discord.closes import KEEPING, is_session_over, meaning
from gateway.channels.discord.connection import Connection, Ending, login_frame
from gateway.channels.discord.limits import Route
from gateway.channels.discord.messages import Me, read_message, read_threads
from gateway.channels.discord.rest import Rest
from gateway.channels.discord.session import Session, is_name
from gateway.channels.reading import integer_at
from gateway.channels.sockets import ClosedError, Connect, Socket, open_socket

log = structlog.get_logger(__name__)

FRAME_BYTES: Final = 16 * 1024 * 1024
"""Largest event: a big server with all its channels and roles has some MiB."""

FRUITLESS: Final = 3
"""Connections in a row without a login before it counts as a failure."""

RENEW_SECONDS: Final = 5.0
"""Wait before a new session: one login each 5 s is allowed.  Source: Rate Limiting."""

LOGINS_LEFT: Final = 50
"""Of 1000 new sessions a day so many are never used: beyond them Discord resets the token,
and whoever is to find out why may need some.  Source: Session Start Limit Object."""

CHANNELS: Final = 10_000
"""Channels of which it is remembered whether they are threads."""

GATEWAY: Final = Route("GET", "/gateway/bot")
CHANNEL: Final = "/channels/{}"


@attrs.define(eq=False)
class Reception:
    """Goes on with *session* if there is one; *token* is the bot's, *me* who it is."""

    link: Link
    rest: Rest
    token: str = attrs.field(repr=False)
    me: Me
    connect: Connect
    session: Session | None
    tls: bool = True
    """Whether addresses without TLS are refused."""
    spread: Callable[[], float] = random.random
    _stored: Session | None = attrs.field(default=None, init=False)
    """The session as it is in the cursor."""
    _logged_in: bool = attrs.field(default=False, init=False)
    _parents: OrderedDict[str, str | None] = attrs.field(factory=OrderedDict, init=False)
    """The parent of each channel that is known; `None` of those that are no threads."""

    async def run(self) -> NoReturn:
        """Receive until something fails."""
        fruitless = 0
        while True:
            self._logged_in = False
            ending = await self._connection()
            fruitless = 0 if self._logged_in else fruitless + 1
            if fruitless >= FRUITLESS:
                raise LostError("Discord ends every connection before the login")
            if ending is Ending.RENEW:
                log.warning("Discord has ended a session: messages may be missing")
                await self._keep(None)
                await trio.sleep(RENEW_SECONDS)
            await trio.sleep(self.spread())

    async def _connection(self) -> Ending:
        url = await self._login_url() if self.session is None else self.session.url
        if self.tls and not url.startswith("wss://"):
            await self._keep(None)
            raise LostError("Discord gave an address without TLS")
        opened = False
        try:
            async with open_socket(
                f"{url.rstrip('/')}/?v=10&encoding=json",
                connect=self.connect,
                frame_bytes=FRAME_BYTES,
                close_code=KEEPING,
            ) as socket:
                opened = True
                return await self._converse(socket)
        except ClosedError as error:
            if is_session_over(error):
                return Ending.RENEW
            raise meaning(error) from None
        except LostError:
            if not opened and self.session is not None:
                # That server may be gone for good, and others know the session too.
                await self._keep(attrs.evolve(self.session, url=await self._any_url()))
            raise

    async def _converse(self, socket: Socket) -> Ending:
        frame = login_frame(self.token, self.session)
        connection = Connection(socket, frame, self, self._seq, spread=self.spread)
        return await connection.run()

    def _seq(self) -> int | None:
        return None if self.session is None else self.session.seq

    # -- where to connect -------------------------------------------------------------

    async def _any_url(self) -> str:
        return _url_in((await self.rest.ask(GATEWAY)).object)

    async def _login_url(self) -> str:
        """Return where to begin a session, unless too many were begun."""
        found = (await self.rest.ask(GATEWAY)).object
        left = integer_at(found, "session_start_limit", "remaining")
        if left is not None and left < LOGINS_LEFT:
            raise RefusedForGoodError(
                f"Discord takes only {left} more logins of this bot today: find out what logs "
                "in again and again, and start the channel tomorrow"
            )
        return _url_in(found)

    # -- what comes -------------------------------------------------------------------

    async def take(self, name: str, content: Mapping[str, Any], seq: int | None) -> None:
        """Take an event; its number counts as received when what it says is on the disk."""
        messages: tuple[Inbound, ...] = ()
        if name == "READY":
            session_id, url = content.get("session_id"), content.get("resume_gateway_url")
            await self._keep(Session.of(session_id, url, seq))
        elif name == "MESSAGE_CREATE":
            messages = await self._messages(content)
        elif name in ("GUILD_CREATE", "THREAD_CREATE", "THREAD_LIST_SYNC"):
            for channel, parent in read_threads(content):
                self._learn(channel, parent)
        await self._advance(messages, seq)
        if name in ("READY", "RESUMED"):
            self._logged_in = True
            self.link.connected(self.me.name)

    async def acknowledge(self) -> None:
        """Note that Discord lives, and keep on the disk how far we are."""
        if self.session != self._stored:
            await self._keep(self.session)
        self.link.alive()

    async def _messages(self, content: Mapping[str, Any]) -> tuple[Inbound, ...]:
        message = read_message(content, self.me)
        if message is None:
            log.debug("a message on Discord is not for us")
            return ()
        if message.direct:
            return (message,)
        place = await self._place(message.place.chat)
        return (attrs.evolve(message, place=place),)

    async def _advance(self, messages: tuple[Inbound, ...], seq: int | None) -> None:
        session = self.session
        if session is not None and seq is not None and seq > session.seq:
            session = attrs.evolve(session, seq=seq)
        if messages:
            await self.link.accept(*messages, cursor="" if session is None else session.cursor)
            self._stored = session
        self.session = session

    async def _keep(self, session: Session | None) -> None:
        """Store *session*, and go on with it."""
        await self.link.accept(cursor="" if session is None else session.cursor)
        self.session = self._stored = session

    # -- threads ----------------------------------------------------------------------

    def _learn(self, channel: str, parent: str | None) -> None:
        self._parents[channel] = parent
        if len(self._parents) > CHANNELS:
            self._parents.popitem(last=False)

    async def _place(self, channel: str) -> Place:
        """Return where a channel of a server is: a thread is in its parent.

        It has to be the same place every time: conversations go by it.
        """
        if channel not in self._parents:
            try:
                found = (await self.rest.ask(Route("GET", CHANNEL, (channel,)))).object
            except UndeliverableError:
                found = {}
            self._learn(channel, dict(read_threads(found)).get(channel))
        parent = self._parents[channel]
        return Place(channel) if parent is None else Place(parent, channel)


def _url_in(answer: Mapping[str, Any]) -> str:
    url = answer.get("url")
    if not is_name(url):
        raise LostError("Discord did not say where its Gateway is")
    return url
