"""What goes on between the welcome and the end of a connection."""

from collections.abc import Callable
from typing import Final

import attrs
import structlog
import trio

from gateway.channels.base import Inbound, Link, LostError, SlowDownError, StalledError
from gateway.channels.irc.heard import Ear
from gateway.channels.irc.lines import Line, build
from gateway.channels.irc.login import Session, fail_if_refused
from gateway.channels.irc.people import People
from gateway.channels.irc.rooms import Rooms
from gateway.channels.irc.wire import Wire
from gateway.config.channels import Irc
from gateway.errors import UnavailableError

log = structlog.get_logger(__name__)

PING_SECONDS: Final = 20.0
"""Between two questions whether the server is there; its answer is our sign of life."""

PONG_SECONDS: Final = 12.0
"""Longest wait for it: with `PING_SECONDS` within the 40 s after which we count as deaf."""

LONGEST_BEGINNING: Final = 30.0
"""For joining, from the welcome on, until messages can be sent."""

NICK_SECONDS: Final = 30.0
"""Between two attempts to get the wanted nick back; a ghost of us lives some minutes."""

STORE_SECONDS: Final = 1.0
"""Between two attempts to write down a message: IRC would not repeat it."""

WAITING: Final = 256
"""Messages that wait to be written down; what comes beyond is a flood, and dropped."""

NOT_LET_IN: Final = frozenset({"403", "405", "437", "471", "473", "474", "475", "476", "477"})
"""Replies to JOIN that say no."""


@attrs.define(eq=False)
class Stay:
    """One session.  What is heard goes to *link*; *now* returns Unix time."""

    wire: Wire
    session: Session
    settings: Irc
    link: Link
    now: Callable[[], float]
    rooms: Rooms = attrs.field(init=False)
    people: People = attrs.field(init=False)
    _ear: Ear = attrs.field(init=False)
    _nick_free: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the wanted nick may have become free."""
    _settled: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.rooms = Rooms(self.session, self.settings.channels)
        self.people = People(self.session)
        self._ear = Ear(self.session, self.settings.nick, self.now)

    @property
    def identity(self) -> str:
        """Who we are, and where."""
        return f"{self.session.nick} on {self.session.network or self.settings.host}"

    async def run(self) -> None:
        """Join, then receive until the connection ends; raises `LostError`."""
        send, receive = trio.open_memory_channel[Inbound](WAITING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, send)
            nursery.start_soon(self._pass_on, receive)
            await self._settle_in()
            nursery.start_soon(self._pulse)
            nursery.start_soon(self._keep_rooms)
            nursery.start_soon(self._keep_nick)

    async def _settle_in(self) -> None:
        """Do what comes first; when it returns, messages can be sent."""
        with trio.move_on_after(LONGEST_BEGINNING):
            # What the server says of itself precedes its answer.
            await self.wire.ping()
            if self.session.bot:
                await self._command(build("MODE", self.session.nick, f"+{self.session.bot}"))
            await self._join_due()
            self._settled = True
            self.link.connected(self.identity)
            return
        raise StalledError(f"{self.wire.name} gives no answers")

    # -- in -----------------------------------------------------------------------------

    async def _receive(self, heard: trio.MemorySendChannel[Inbound]) -> None:
        """Read, and never wait for anybody: the server's pings are answered here."""
        while True:
            line = await self.wire.read()
            if line.command == "PRIVMSG":
                self._hear(line, heard)
            else:
                self._see(line)

    def _hear(self, line: Line, heard: trio.MemorySendChannel[Inbound]) -> None:
        source = line.source
        if source is not None and self.session.is_us(source.nick):
            self._see_us(line)
        message = self._ear.understand(line)
        if message is None or source is None:
            return
        self.people.hear(message.sender.id, source.nick)
        try:
            heard.send_nowait(message)
        except trio.WouldBlock:
            log.warning("a message is dropped: too many wait", channel=message.place.chat)

    async def _pass_on(self, heard: trio.MemoryReceiveChannel[Inbound]) -> None:
        """Have messages written down, one after the other."""
        async for message in heard:
            while True:
                try:
                    await self.link.accept(message)
                    break
                except UnavailableError as error:
                    log.warning("a message is not stored yet", why=error.message)
                await trio.sleep(STORE_SECONDS)

    def _see(self, line: Line) -> None:
        fail_if_refused(line, self.wire.name)
        nick = line.source.nick if line.source is not None else ""
        match line.command:
            case "005":
                self.session.learn(line)
            case "396":
                # Our host is another one for others from now on.
                self.session.seen = None
            case "JOIN" | "PART" | "NICK" | "CHGHOST" if self.session.is_us(nick):
                self._see_us(line)
            case "KICK" if self.session.is_us(line.param(1)):
                self.rooms.left(line.param(0), f"kicked by {nick}: {line.param(-1)}")
            case "KILL" if self.session.is_us(line.param(0)):
                raise LostError(f"killed by {nick}: {line.param(-1)}")
            case "NICK" | "QUIT":
                self._see_change(nick, line.param(0) if line.command == "NICK" else None)
            case command if command in NOT_LET_IN:
                self.rooms.refused(line.param(1), line.param(-1))

    def _see_us(self, line: Line) -> None:
        """Look at a line that comes from ourselves."""
        self.session.seen = line.source
        match line.command:
            case "JOIN":
                self.rooms.entered(line.param(0))
            case "PART":
                # We never leave: services made us.
                self.rooms.left(line.param(0), "removed")
            case "NICK":
                self.session.nick, self.session.seen = line.param(0), None
                log.info("has another nick", server=self.wire.name, nick=self.session.nick)
                if self._settled:
                    self.link.connected(self.identity)
            case "CHGHOST":
                self.session.seen = None

    def _see_change(self, old: str, new: str | None) -> None:
        if new is None:
            self.people.forget(old)
        else:
            self.people.rename(old, new)
        if self.session.fold(old) == self.session.fold(self.settings.nick):
            self._nick_free.set()

    # -- what is done again and again ---------------------------------------------------

    async def _command(self, line: bytes) -> None:
        """Have a line executed when it is its turn, however long that takes."""
        while True:
            try:
                await self.wire.ask(line)
                return
            except SlowDownError as error:
                wait = error.after
            await trio.sleep(wait)

    async def _pulse(self) -> None:
        """Ask the server whether it is there; only its answer is a sign of life."""
        while True:
            await trio.sleep(PING_SECONDS)
            with trio.move_on_after(PONG_SECONDS) as patience:
                await self.wire.ping()
            if patience.cancelled_caught:
                raise StalledError(f"{self.wire.name} did not answer for {PONG_SECONDS:g} s")
            self.link.alive()

    async def _keep_rooms(self) -> None:
        while True:
            await self.rooms.wait_due()
            await self._join_due()

    async def _join_due(self) -> None:
        while names := self.rooms.take_due():
            await self._command(build("JOIN", ",".join(names)))

    async def _keep_nick(self) -> None:
        """Get the wanted nick back as soon as it is free."""
        while True:
            self._nick_free = trio.Event()
            with trio.move_on_after(NICK_SECONDS):
                await self._nick_free.wait()
            if self.session.nick != self.settings.nick:
                await self._command(build("NICK", self.settings.nick))
