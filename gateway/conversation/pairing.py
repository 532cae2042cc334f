"""Pairing: a stranger gets a code, and somebody who may approves it.

A code is worth nothing but that one approval, for ten minutes, once.  Source: S19.
"""

import secrets
from collections.abc import Callable
from sqlite3 import Connection
from typing import Final

import attrs
import trio

from gateway.channels import outbox
from gateway.channels.base import Place, Sender
from gateway.channels.outbox import Draft
from gateway.channels.post import Post
from gateway.conversation.access import Role
from gateway.errors import GatewayError, NotFoundError

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""What codes are made of: 0 and O, 1 and I are mistaken for each other."""

LENGTH: Final = 8
"""Characters of a code: 40 bits, for ten minutes and with bounded guesses."""

SECONDS: Final = 10 * 60.0
"""How long a code is good.  Source: issue 4, "Access"."""

OPEN: Final = 20
"""Most codes of one account at a time: strangers cannot fill a list, nor send us spamming."""

GUESSES: Final = 5
"""Wrong codes within `SECONDS` before nobody is listened to for as long."""


@attrs.frozen
class Request:
    """A stranger who wants to talk.  Times are Unix seconds."""

    code: str
    channel: str
    sender: str
    name: str
    created: float
    expires: float


@attrs.frozen
class Approved:
    """Somebody who may talk to an account beside those in the configuration."""

    channel: str
    sender: str
    name: str
    owner: bool
    approved: float
    approved_by: str


def role_of(sql: Connection, account: str, sender: str) -> Role | None:
    """Return what *sender* was approved as, `None` if he was not."""
    row = sql.execute(
        "SELECT owner FROM senders WHERE account = ? AND sender = ?", (account, sender)
    ).fetchone()
    return None if row is None else Role.OWNER if row[0] else Role.USER


def request(
    sql: Connection, account: str, sender: Sender, chat: str, *, code: str, now: float
) -> str | None:
    """Write down that a stranger wants to talk, with *code*.

    Returns the code to tell him; `None` if he has been told one that is still good, or if
    too many want to.
    """
    # Those of the future as well: the clock was set back, and they would be good for longer.
    sql.execute("DELETE FROM pairings WHERE created <= ? OR created > ?", (now - SECONDS, now))
    known = sql.execute(
        "SELECT 1 FROM pairings WHERE account = ? AND sender = ?", (account, sender.id)
    ).fetchone()
    (count,) = sql.execute("SELECT count(*) FROM pairings WHERE account = ?", (account,)).fetchone()
    if known or count >= OPEN:
        return None
    sql.execute(
        "INSERT INTO pairings (code, account, sender, name, chat, created)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (code, account, sender.id, sender.name[:100], chat, now),
    )
    return code


def new_code() -> str:
    """Return a code nobody can guess."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


@attrs.define(eq=False)
class Pairings:
    """Who wants to talk, and who may.  Methods raise `UnavailableError` if the store is down."""

    post: Post
    _wrong: list[float] = attrs.field(factory=list, init=False)
    """When codes were wrong, on Trio's clock."""

    @property
    def _now(self) -> Callable[[], float]:
        return self.post.now

    async def requests(self) -> tuple[Request, ...]:
        """Return who wants to talk and may not yet, the first first."""
        now = self._now()
        rows = await self.post.database.read(
            lambda sql: sql.execute(
                "SELECT code, account, sender, name, created FROM pairings"
                " WHERE created > ? AND created <= ? AND code NOT LIKE 'rejected %'"
                " ORDER BY created",
                (now - SECONDS, now),
            ).fetchall()
        )
        return tuple(
            Request(code, account, sender, name, created, created + SECONDS)
            for code, account, sender, name, created in rows
        )

    async def approved(self) -> tuple[Approved, ...]:
        """Return who may talk beside those in the configuration."""
        rows = await self.post.database.read(
            lambda sql: sql.execute(
                "SELECT account, sender, name, owner, approved, approved_by FROM senders"
                " ORDER BY account, approved"
            ).fetchall()
        )
        return tuple(
            Approved(channel, sender, name, bool(owner), at, by)
            for channel, sender, name, owner, at, by in rows
        )

    async def approve(
        self, code: str, by: str, *, owner: bool = False, account: str | None = None
    ) -> Approved:
        """Let the stranger talk who has *code*, and tell him.

        *account*: only if it is one of that account.  Raises `NotFoundError`, and
        ``rate-limited`` after `GUESSES` wrong ones.
        """
        self._check_guesses()
        code, now = _normal(code), self._now()
        found = await self.post.database.write(
            lambda sql: _approve(sql, code, account, by=by, owner=owner, now=now)
        )
        if found is None:
            self._wrong.append(trio.current_time())
            raise NotFoundError("no such code: it may be too old (10 minutes), or used already")
        self.post.wake(found.channel)
        return found

    async def reject(self, code: str) -> None:
        """Forget a request; the stranger is not told.  Raises `NotFoundError`."""
        count = await self.post.database.write(
            lambda sql: (
                sql.execute(
                    # It stays until it is too old, so that he does not get another at once.
                    "UPDATE pairings SET code = 'rejected ' || code WHERE code = ?",
                    (_normal(code),),
                ).rowcount
            )
        )
        if not count:
            raise NotFoundError("no such code")

    async def revoke(self, account: str, sender: str) -> None:
        """Have *sender* be a stranger again; raises `NotFoundError`."""
        count = await self.post.database.write(
            lambda sql: (
                sql.execute(
                    "DELETE FROM senders WHERE account = ? AND sender = ?", (account, sender)
                ).rowcount
            )
        )
        if not count:
            raise NotFoundError(
                "nobody was approved under this id; those in the configuration are removed there"
            )

    def _check_guesses(self) -> None:
        oldest = trio.current_time() - SECONDS
        self._wrong = [at for at in self._wrong if at > oldest]
        if len(self._wrong) >= GUESSES:
            wait = self._wrong[0] + SECONDS - trio.current_time()
            raise GatewayError(
                "rate-limited", "too many wrong codes; try later", retryAfterMs=round(wait * 1000)
            )


def _normal(code: str) -> str:
    return code.strip().upper().replace("-", "")


def _approve(
    sql: Connection, code: str, account: str | None, *, by: str, owner: bool, now: float
) -> Approved | None:
    row = sql.execute(
        "DELETE FROM pairings WHERE code = ? AND created > ? AND created <= ?"
        " AND account = coalesce(?, account) RETURNING account, sender, name, chat",
        (code, now - SECONDS, now, account),
    ).fetchone()
    if row is None:
        return None
    channel, sender, name, chat = row
    sql.execute(
        "INSERT OR REPLACE INTO senders (account, sender, name, owner, approved, approved_by)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (channel, sender, name, owner, now, by),
    )
    told = Draft(channel, Place(chat), WELCOME, f"pair-{code}.0", now + SECONDS, markup=False)
    outbox.add(sql, [told], now)
    return Approved(channel, sender, name, owner, now, by)


WELCOME: Final = "You have been let in: just write. /help says what else there is."

ASKED: Final = (
    "I do not know you yet. If you belong here, tell the owner this code: {code}\n"
    "It is good for 10 minutes. The owner approves it with: gateway pairing approve {code}"
)
"""All that a stranger is ever told."""
