"""Who is who on IRC: nicks, masks, accounts, and who is addressed.  Pure."""

import re
from collections.abc import Iterator
from typing import Final

import attrs

ACCOUNT: Final = "account:"
"""Begins the id of a sender whom the network's services know; no nick has a colon."""

_UPPER: Final = {
    "ascii": ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"),
    "rfc1459": ("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]\\~", "abcdefghijklmnopqrstuvwxyz{}|^"),
    "rfc1459-strict": ("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]\\", "abcdefghijklmnopqrstuvwxyz{}|"),
}
_TABLES: Final = {name: str.maketrans(*pair) for name, pair in _UPPER.items()}

NICK_CHARACTERS: Final = r"A-Za-z0-9\[\]\\`_^{|}\-"
"""Source: RFC 2812 2.3.1."""


def fold(name: str, mapping: str) -> str:
    """Return *name* as the server compares it; *mapping* is the one of its ``CASEMAPPING``.

    Only ASCII is folded: look-alikes of other alphabets stay apart.
    """
    return name.translate(_TABLES.get(mapping, _TABLES["rfc1459"]))


@attrs.frozen
class Source:
    """Where a line comes from: a person has all three, a server only a *nick*."""

    nick: str
    user: str = ""
    host: str = ""

    @classmethod
    def parse(cls, written: str) -> "Source":
        """Return what ``nick!user@host`` says."""
        before, _, host = written.partition("@")
        nick, _, user = before.partition("!")
        return cls(nick, user, host)

    @property
    def person(self) -> bool:
        """Whether it is complete."""
        return bool(self.nick and self.user and self.host)

    def __str__(self) -> str:
        return f"{self.nick}!{self.user}@{self.host}" if self.user else self.nick

    def id(self, account: str, mapping: str) -> str:
        """Return the id of a sender: by the *account* if he is logged in, else by the mask.

        An account is his as long as the services say so.  A mask is his as long as nobody
        else on his host can take nick and user name.
        """
        if account:
            return ACCOUNT + fold(account, mapping)
        return f"{fold(self.nick, mapping)}!{self.user}@{self.host.lower()}"


def strip_address(text: str, nicks: Iterator[str] | list[str], mapping: str) -> tuple[str, bool]:
    """Return *text* without an address to one of *nicks* at its beginning, and if it had one.

    ``nick: text``, ``nick, text`` and ``@nick text`` are such; ``@nick`` elsewhere counts
    too, and stays.  A nick alone does not: it may be a word.
    """
    wanted = {fold(each, mapping) for each in nicks}
    for pattern in (_FIRST, _AT_FIRST):
        found = pattern.match(text)
        if found and fold(found[1], mapping) in wanted:
            return text[found.end() :].strip(), True
    named = any(fold(each, mapping) in wanted for each in _AT.findall(text))
    return text, named


_FIRST: Final = re.compile(rf"\s*([{NICK_CHARACTERS}]+)[:,](?:\s+|$)")
_AT_FIRST: Final = re.compile(rf"\s*@([{NICK_CHARACTERS}]+)[:,]?(?:\s+|$)")
_AT: Final = re.compile(rf"(?<![\w@.])@([{NICK_CHARACTERS}]+)")


def alternatives(nick: str, number: int) -> Iterator[str]:
    """Yield other nicks, the nearest first; *number* from 0 to 999 makes the last ones rare.

    RFC 2812 guarantees nine characters: those behind it fit everywhere.
    """
    yield f"{nick}_"
    yield f"{nick}__"
    for offset in range(5):
        yield f"{nick[:5]}-{(number + 37 * offset) % 1000:03}"
