"""Which nick somebody has at the moment: answers go to him, not to who has his nick now."""

from collections.abc import Iterable
from typing import Final

import attrs
import trio

from gateway.channels.irc.lines import Line
from gateway.channels.irc.login import Session
from gateway.channels.irc.names import ACCOUNT, Source

FRESH: Final = 60.0
"""Seconds for which somebody who wrote is taken to have kept his nick."""

MOST: Final = 1_000
"""People remembered; of others the server is asked."""


@attrs.frozen
class Seen:
    """A nick, and when it was seen (Trio clock)."""

    nick: str
    at: float


@attrs.define(eq=False)
class People:
    """Those who have written, by the id of a sender."""

    session: Session
    _seen: dict[str, Seen] = attrs.field(factory=dict, init=False)

    def hear(self, who: str, nick: str) -> None:
        """Note that somebody has written just now."""
        self._seen.pop(who, None)
        self._seen[who] = Seen(nick, trio.current_time())
        while len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]

    def rename(self, old: str, new: str) -> None:
        """Note that whoever had one nick has another."""
        for who in self._with_nick(old):
            self._seen[who] = Seen(new, trio.current_time())

    def forget(self, nick: str) -> None:
        """Note that whoever had a nick is gone."""
        for who in self._with_nick(nick):
            del self._seen[who]

    def _with_nick(self, nick: str) -> list[str]:
        wanted = self.session.fold(nick)
        return [who for who, seen in self._seen.items() if self.session.fold(seen.nick) == wanted]

    def nick(self, who: str) -> str | None:
        """Return somebody's nick if it is known well enough not to ask."""
        seen = self._seen.get(who)
        fresh = seen is not None and trio.current_time() - seen.at < FRESH
        return seen.nick if seen is not None and fresh else None

    def guess(self, who: str) -> str:
        """Return the nick under which to ask for somebody."""
        if seen := self._seen.get(who):
            return seen.nick
        # Most people have the nick that their account is called.
        return who.removeprefix(ACCOUNT).partition("!")[0]

    def confirm(self, who: str, replies: Iterable[Line]) -> str | None:
        """Return the nick of *who* if these replies to WHOIS say so."""
        ids: set[str] = set()
        nick = ""
        for line in replies:
            if line.command == "311":
                nick = line.param(1)
                source = Source(nick, line.param(2), line.param(3))
                ids.add(source.id("", self.session.mapping))
            elif line.command == "330" and len(line.params) >= 4:
                ids.add(ACCOUNT + self.session.fold(line.param(2)))
        if not nick or who not in ids:
            return None
        self.hear(who, nick)
        return nick


def is_person(chat: str) -> bool:
    """Whether *chat* is the id of a sender, and not the name of a channel or a nick."""
    return chat.startswith(ACCOUNT) or "!" in chat
