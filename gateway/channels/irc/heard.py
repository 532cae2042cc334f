"""What somebody said: from a line to a message for the gateway.  Pure but for new ids."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs

from gateway.channels.base import Inbound, Place, Sender
from gateway.channels.irc.lines import Line
from gateway.channels.irc.login import Session
from gateway.channels.irc.names import strip_address

_CODES: Final = re.compile(
    r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9a-fA-F]{6}(?:,[0-9a-fA-F]{6})?)?|[\x00-\x1f\x7f]"
)
_BOT: Final = frozenset({"bot", "draft/bot", "inspircd.org/bot"})
"""Tags that say that a program wrote.  Source: https://ircv3.net/specs/extensions/bot-mode."""


@attrs.frozen
class Ear:
    """Understands what is said to us.  *wanted* is our nick in the settings."""

    session: Session
    wanted: str
    now: Callable[[], float]

    def understand(self, line: Line) -> Inbound | None:
        """Return the message in a PRIVMSG; `None` if it is not for us to answer."""
        source, session = line.source, self.session
        if source is None or not source.person or session.is_us(source.nick):
            return None
        target, said = line.param(0), _said(source.nick, line.param(1))
        group = session.is_channel(target)
        if not said or line.tags.keys() & _BOT or not (group or session.is_us(target)):
            return None
        at = _unix_time(line.tags.get("time", ""))
        since = _unix_time(session.since)
        if at is not None and since is not None and at < since:
            # A bouncer or a channel's history repeats what was said before we came.
            return None
        who = source.id(self._account(line), session.mapping)
        text, named = strip_address(said, [session.nick, self.wanted], session.mapping)
        return Inbound(
            id=line.tags.get("msgid") or f"local-{secrets.token_hex(12)}",
            place=Place(session.fold(target) if group else who),
            sender=Sender(who, source.nick),
            text=text or said,
            at=self.now() if at is None else at,
            direct=not group,
            mentioned=named or not group,
        )

    def _account(self, line: Line) -> str:
        # Only then the server sees to it that the tag is its own.
        known = "account-tag" in self.session.capabilities
        return line.tags.get("account", "") if known else ""


def _said(nick: str, text: str) -> str:
    """Return what can be read of *text*; nothing of CTCP but actions."""
    if text.startswith("\x01"):
        command, _, rest = text.strip("\x01").partition(" ")
        rest = _CODES.sub("", rest).strip()
        return f"* {nick} {rest}" if command == "ACTION" and rest else ""
    return _CODES.sub("", text).strip()


def _unix_time(stamp: str) -> float | None:
    """Return the Unix time of a tag ``time``; `None` if it is none."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
