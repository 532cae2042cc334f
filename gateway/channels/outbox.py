"""Messages to send, as they are written down.

Functions here take a connection and run inside `Store.write` or `Store.read`.  Times are
Unix seconds.  *account* is ``platform:name``.
"""

from collections.abc import Sequence
from enum import StrEnum
from sqlite3 import Connection
from typing import Any, Final

import attrs

from gateway.channels.base import Place


class State(StrEnum):
    """What became of a message."""

    PENDING = "pending"
    """It waits for its turn, or for the platform."""
    SENDING = "sending"
    """It is on its way; found at a start, nobody knows whether it arrived."""
    SENT = "sent"
    """The platform has given it an id."""
    FAILED = "failed"
    """The platform will not take it."""
    EXPIRED = "expired"
    """It became too old before it could be sent."""


@attrs.frozen
class Draft:
    """A message that is to be written down.  *key* is unique: the same is not written twice.

    *edits* is the platform's id of a message that it replaces.  *media* is the id of a
    stored file.
    """

    account: str
    place: Place
    text: str
    key: str
    expires: float
    reply_to: str | None = None
    edits: str | None = None
    media: str | None = None
    markup: bool = True


@attrs.frozen
class Entry:
    """A message that is written down.  *doubtful*: it may have been sent before."""

    id: int
    draft: Draft
    state: str
    created: float
    attempts: int = 0
    doubtful: bool = False
    message_id: str | None = None
    error: str | None = None


_ENTRY: Final = (
    "SELECT id, account, chat, thread, text, key, expires, reply_to, edits, media, markup,"
    " state, created, attempts, doubtful, message_id, error FROM outbox"
)


def _entry(row: Sequence[Any]) -> Entry:
    text, key, expires, reply_to, edits, media = row[4:10]
    draft = Draft(
        account=row[1],
        place=Place(row[2], row[3]),
        text=text,
        key=key,
        expires=expires,
        reply_to=reply_to,
        edits=edits,
        media=media,
        markup=bool(row[10]),
    )
    return Entry(row[0], draft, row[11], row[12], row[13], bool(row[14]), row[15], row[16])


def _first_key(draft: Draft) -> str:
    """Return the key of the first part of what *draft* is a part of: ``KEY.0`` of ``KEY.2``."""
    stem, dot, _ = draft.key.rpartition(".")
    return f"{stem}{dot}0" if dot else draft.key


def _is_known(sql: Connection, key: str) -> bool:
    return sql.execute("SELECT 1 FROM outbox WHERE key = ?", (key,)).fetchone() is not None


def add(sql: Connection, drafts: Sequence[Draft], now: float) -> None:
    """Write down messages; those whose key is there already are left alone.

    So are further parts of them: of another text under the same key nothing is sent.
    """
    found = {key for one in drafts if _is_known(sql, key := _first_key(one))}
    drafts = [each for each in drafts if _first_key(each) not in found]
    sql.executemany(
        "INSERT OR IGNORE INTO outbox (account, chat, thread, text, key, expires, reply_to,"
        " edits, media, markup, state, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(each.account, each.place.chat, each.place.thread, each.text, each.key),
                *(each.expires, each.reply_to, each.edits, each.media, each.markup),
                *(State.PENDING, now),
            )
            for each in drafts
        ],
    )


def count_open(sql: Connection, account: str) -> int:
    """Return how many messages of an account wait."""
    query = "SELECT count(*) FROM outbox WHERE account = ? AND state IN ('pending', 'sending')"
    return int(sql.execute(query, (account,)).fetchone()[0])


def open_entries(sql: Connection, account: str, after: int, limit: int) -> list[Entry]:
    """Return up to *limit* messages of an account that wait, by id, those above *after*."""
    query = (
        f"{_ENTRY} WHERE account = ? AND id > ? AND state IN ('pending', 'sending')"
        " ORDER BY id LIMIT ?"
    )
    return [_entry(row) for row in sql.execute(query, (account, after, limit))]


def by_key(sql: Connection, prefix: str) -> list[Entry]:
    """Return the messages of one key: that itself and its parts, ``KEY.0``, ``KEY.1`` ..."""
    query = f"{_ENTRY} WHERE key >= ? AND key < ? ORDER BY id"
    return [_entry(row) for row in sql.execute(query, (f"{prefix}.", f"{prefix}/"))]


def begin(sql: Connection, entry_id: int, *, doubtful: bool) -> None:
    """Write down that a message is on its way."""
    sql.execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, doubtful = doubtful OR ?"
        " WHERE id = ?",
        (State.SENDING, doubtful, entry_id),
    )


def postpone(sql: Connection, entry_id: int, error: str) -> None:
    """Write down that a message did not get away, and certainly has not arrived."""
    sql.execute(
        "UPDATE outbox SET state = ?, error = ? WHERE id = ?", (State.PENDING, error, entry_id)
    )


def settle(
    sql: Connection,
    entry_id: int,
    state: State,
    now: float,
    *,
    message_id: str | None = None,
    error: str | None = None,
) -> None:
    """Write down what became of a message."""
    sql.execute(
        "UPDATE outbox SET state = ?, message_id = ?, error = ?, settled = ? WHERE id = ?",
        (state, message_id, error, now, entry_id),
    )


def prune(sql: Connection, before: float) -> int:
    """Forget messages that are over since before a time; return how many.

    Also those that nobody has sent by then: their account is gone.
    """
    settled = sql.execute("DELETE FROM outbox WHERE settled < ?", (before,)).rowcount
    left = sql.execute(
        "DELETE FROM outbox WHERE state IN ('pending', 'sending') AND expires < ?", (before,)
    ).rowcount
    return settled + left
