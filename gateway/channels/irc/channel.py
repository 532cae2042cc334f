"""The channel: one nick on one network, for as long as the connection lives."""

import itertools
import math
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Final

import attrs
import trio

from gateway.channels.base import (
    SEND_SECONDS,
    Abilities,
    Channel,
    Link,
    LostError,
    Outbound,
    Probe,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.formatting import clean
from gateway.channels.irc.lines import Line, build, divide, room
from gateway.channels.irc.login import Login
from gateway.channels.irc.markup import render
from gateway.channels.irc.people import is_person
from gateway.channels.irc.stay import Stay
from gateway.channels.irc.wire import BURST, Enough, Pace, Wire
from gateway.config.channels import Irc
from gateway.web.client import tls_context

LENGTH: Final = 400
"""Bytes of a message: fits beside the longest masks and names that are usual.  Where it
does not, a message becomes several lines."""

LOGIN_SECONDS: Final = 30.0
"""From the first packet to the welcome; servers that look up names and idents take ten."""

NOT_SENT: Final = frozenset(
    {"401", "402", "403", "404", "405", "407", "411", "412", "417", "442", "477", "531", "716"}
)
"""Replies to PRIVMSG that say that it was not passed on."""

TRY_LATER: Final = frozenset({"263", "439"})
"""``RPL_TRYAGAIN``, and "target changes too fast"."""

LATER_SECONDS: Final = 10.0

unix_time: Final = time.time
"""Messages are stamped, for people, where the server does not."""

Open = Callable[[Irc], Awaitable[trio.abc.Stream]]
"""Connects to a server; raises `LostError`."""


def make(settings: Irc) -> Channel:
    """Return the channel of an account; connects nothing."""
    return IrcChannel(settings)


async def open_stream(settings: Irc) -> trio.abc.Stream:
    """Connect, with TLS if that is wanted; raises `LostError`."""
    where = f"{settings.host}:{settings.port}"
    try:
        if not settings.tls:
            return await trio.open_tcp_stream(settings.host, settings.port)
        stream = await trio.open_ssl_over_tcp_stream(
            settings.host, settings.port, ssl_context=await tls_context(), https_compatible=True
        )
    except OSError as error:
        raise LostError(f"cannot connect to {where}: {error}") from error
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        cause = error.__cause__
        why = f": {cause.reason}" if isinstance(cause, ssl.SSLError) else ""
        raise LostError(f"no TLS connection to {where}{why}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


@attrs.define(eq=False)
class IrcChannel(Channel):
    """One connection of an account.  *opens* connects, *now* returns Unix time."""

    settings: Irc
    opens: Open = open_stream
    now: Callable[[], float] = unix_time
    abilities: Abilities = Abilities(length=LENGTH, unit="bytes", lines=True)
    _stay: Stay | None = attrs.field(default=None, init=False)

    async def run(self, link: Link) -> None:
        """Connect, log in, join, receive."""
        fail_if_in_the_clear(self.settings)
        name = f"{self.settings.host}:{self.settings.port}"
        with trio.move_on_after(LOGIN_SECONDS) as patience:
            wire = Wire(await self.opens(self.settings), name, Pace(self.settings.line_seconds))
            try:
                session = await Login(wire, self.settings).run()
                patience.deadline = math.inf
                self._stay = Stay(wire, session, self.settings, link, self.now)
                await self._stay.run()
            finally:
                self._stay = None
                await wire.close(build("QUIT", "going away"))
        raise StalledError(f"{name} did not welcome us within {LOGIN_SECONDS:g} s")

    async def send(self, message: Outbound) -> str:
        """Send a message, in several lines if it has to be."""
        if message.media is not None:
            raise UndeliverableError("IRC takes no files")
        stay = self._here()
        target = await self._target(stay, message.place.chat)
        length = room(stay.session.mask, target)
        lines = [piece for text in _texts(message) for piece in divide(text, length)]
        if not 0 < len(lines) <= BURST:
            raise UndeliverableError(f"a message must have 1 to {BURST} lines, not {len(lines)}")
        replies = await stay.wire.ask(
            *(build("PRIVMSG", target, each) for each in lines),
            enough=self._proof(stay, target, len(lines)),
        )
        return self._sent(stay, target, replies)

    @staticmethod
    def _proof(stay: Stay, target: str, number: int) -> Enough | None:
        """Return what recognises that *number* lines to *target* have been dealt with."""
        if "echo-message" not in stay.session.capabilities:
            return None
        missing = itertools.count(number - 1, -1)
        return lambda line: bool(_verdict(stay, target, line)) and next(missing) <= 0

    def _here(self) -> Stay:
        if self._stay is None:
            raise LostError("not connected")
        return self._stay

    @staticmethod
    async def _target(stay: Stay, chat: str) -> str:
        """Return the channel or the nick that *chat* is now."""
        if not is_person(chat):
            return chat
        nick = stay.people.nick(chat)
        if nick is None:
            nick = stay.people.guess(chat)
            nick = stay.people.confirm(chat, await stay.wire.ask(build("WHOIS", nick)))
        if nick is None:
            raise UndeliverableError(f"{chat} is not there, or has another nick")
        return nick

    @staticmethod
    def _sent(stay: Stay, target: str, replies: Iterable[Line]) -> str:
        """Return the id of what was sent, given what the server said to it."""
        sent = f"sent-{secrets.token_hex(12)}"
        for line in replies:
            match _verdict(stay, target, line):
                case "sent":
                    sent = line.tags.get("msgid", sent)
                case "later":
                    raise SlowDownError(LATER_SECONDS)
                case "refused":
                    raise UndeliverableError(f"{target}: {line.param(-1)}")
        return sent

    async def probe(self) -> Probe:
        """Ask the server whether it is there."""
        stay = self._here()
        with trio.move_on_after(SEND_SECONDS):
            await stay.wire.ping()
            return Probe(stay.identity)
        raise StalledError(f"{stay.wire.name} does not answer")


def _verdict(stay: Stay, target: str, line: Line) -> str:
    """Return what *line* says about a message to *target*; empty if it says nothing."""
    session = stay.session
    if line.command in TRY_LATER:
        return "later"
    if session.fold(line.param(1 if line.numeric else 0)) != session.fold(target):
        return ""
    if line.command == "PRIVMSG" and line.source is not None:
        return "sent" if session.is_us(line.source.nick) else ""
    if line.command in NOT_SENT:
        # We are not in it, but about to be.
        return "later" if stay.rooms.is_coming(target) else "refused"
    return ""


def _texts(message: Outbound) -> Iterator[str]:
    """Yield the lines of a message in which there is something to see."""
    for line in clean(message.text).replace("\t", "    ").split("\n"):
        text = render(line) if message.markup else line
        if line.strip():
            yield text if text.strip() else line


def fail_if_in_the_clear(settings: Irc) -> None:
    """Raise `RefusedForGoodError` if a password would be read by whoever is on the way."""
    secret = settings.password or settings.server_password
    if secret is not None and not settings.tls and not _is_here(settings.host):
        raise RefusedForGoodError("the password would be sent in the clear: set tls = true")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
