"""Messages that came, as they are written down.

Functions here take a connection and run inside `Store.write` or `Store.read`.  Times are
Unix seconds.  *account* is ``platform:name``.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from sqlite3 import Connection
from typing import Any, Final, TypeVar

import attrs
import orjson

from gateway.channels.base import Attachment, Inbound, Place, Sender


class State(StrEnum):
    """What became of a message."""

    RECEIVED = "received"
    """On the disk, acknowledged to the platform, not looked at yet."""
    CLAIMED = "claimed"
    """Its run has begun, or is about to."""
    ANSWERED = "answered"
    """What is to be said is in the outbox."""
    IGNORED = "ignored"
    """Not for us: a stranger, a group where nobody has addressed us."""
    FAILED = "failed"
    """It could not be answered, and that is said in the outbox if at all possible."""
    EXPIRED = "expired"
    """It was too old when it could have been answered."""


Text = TypeVar("Text", str, str | None)


@attrs.frozen
class Kept:
    """What became of an attachment: the id of a stored file, or else the reason."""

    media: str | None
    why: str = ""


@attrs.frozen
class Entry:
    """A message that came.  *attempts* counts how often answering it was begun.

    *agent_id* and *session_id* are what it was claimed for.  *preview* is the platform's
    id of a message that showed the answer while it grew.  *files* is what became of its
    attachments, in their order; `None` as long as nobody has fetched them.
    """

    id: int
    account: str
    message: Inbound
    state: str
    received: float
    attempts: int = 0
    agent_id: str | None = None
    session_id: str | None = None
    preview: str | None = None
    files: tuple[Kept, ...] | None = None

    @property
    def word(self) -> str:
        """What makes everything that it leads to unique: runs, messages in the outbox."""
        return f"in-{self.id}"

    @property
    def metadata(self) -> dict[str, Any]:
        """What may be told of it to everybody who reads events: not what it says."""
        return {
            "channel": self.account,
            "direction": "in",
            "chat": self.message.place.chat,
            "sender": self.message.sender.id,
            "messageId": self.message.id,
            "state": self.state,
        }


def read_cursor(sql: Connection, account: str) -> str | None:
    """Return where the account goes on reading."""
    row = sql.execute("SELECT cursor FROM cursors WHERE account = ?", (account,)).fetchone()
    return row[0] if row else None


def belongs_to(sql: Connection, account: str, whose: str) -> bool:
    """Return whether what is kept of an account is *whose*."""
    row = sql.execute("SELECT whose FROM identities WHERE account = ?", (account,)).fetchone()
    return bool(row) and row[0] == whose


def take_over(sql: Connection, account: str, whose: str) -> None:
    """Have what comes for an account be *whose* from now on.

    The place to go on of somebody else would have messages passed over, and his ids would
    have them taken for repeats; those of *whose* from an earlier time count again.
    """
    row = sql.execute("SELECT whose FROM identities WHERE account = ?", (account,)).fetchone()
    sql.execute("INSERT OR REPLACE INTO identities VALUES (?, ?)", (account, whose))
    if row is None:
        return
    sql.execute("DELETE FROM cursors WHERE account = ?", (account,))
    former, again = (f"of {each} " for each in (row[0], whose))
    sql.execute(
        "UPDATE OR IGNORE inbox SET message_id = ? || message_id"
        " WHERE account = ? AND substr(message_id, 1, ?) != ?",
        (former, account, len(again), again),
    )
    sql.execute(
        "UPDATE OR IGNORE inbox SET message_id = substr(message_id, ?)"
        " WHERE account = ? AND substr(message_id, 1, ?) = ?",
        (len(again) + 1, account, len(again), again),
    )


def accept(
    sql: Connection, account: str, messages: Iterable[Inbound], *, cursor: str | None, now: float
) -> list[Entry]:
    """Write down messages and the cursor; return those that were not there yet."""
    entries = [each for one in messages if (each := _add(sql, account, one, now))]
    if cursor is not None:
        sql.execute(
            "INSERT INTO cursors (account, cursor) VALUES (?, ?)"
            " ON CONFLICT (account) DO UPDATE SET cursor = excluded.cursor",
            (account, cursor),
        )
    return entries


def sound(message: Inbound) -> Inbound:
    """Return *message* with half surrogate pairs spelled out, which no UTF-8 can hold.

    Spelled out they are still different ids, if they stand in ids.
    """
    sounds: dict[str, Any] = {
        "place": Place(_sound(message.place.chat), _sound(message.place.thread)),
        "sender": Sender(_sound(message.sender.id), _sound(message.sender.name)),
        "attachments": tuple(map(_sound_file, message.attachments)),
    }
    texts = {name: _sound(getattr(message, name)) for name in ("id", "text", "reply_to")}
    return attrs.evolve(message, **sounds, **texts)


def _sound_file(file: Attachment) -> Attachment:
    return attrs.evolve(file, ref=_sound(file.ref), name=_sound(file.name), mime=_sound(file.mime))


def _sound(text: Text) -> Text:
    return text and text.encode("utf-8", "backslashreplace").decode("utf-8")


def _add(sql: Connection, account: str, message: Inbound, now: float) -> Entry | None:
    message = sound(message)
    files = [attrs.asdict(each) for each in message.attachments]
    cursor = sql.execute(
        "INSERT OR IGNORE INTO inbox (account, message_id, chat, thread, sender, sender_name,"
        " text, at, direct, mentioned, reply_to, attachments, state, received)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(account, message.id, message.place.chat, message.place.thread),
            *(message.sender.id, message.sender.name, message.text, message.at),
            *(message.direct, message.mentioned, message.reply_to),
            *(orjson.dumps(files).decode() if files else None, State.RECEIVED, now),
        ),
    )
    if not cursor.rowcount:
        return None
    return Entry(int(cursor.lastrowid or 0), account, message, State.RECEIVED, now)


_ENTRY: Final = (
    "SELECT id, account, message_id, chat, thread, sender, sender_name, text, at, direct,"
    " mentioned, reply_to, attachments, state, received, attempts, agent_id, session_id, preview,"
    " files FROM inbox"
)


def _entry(row: Sequence[Any]) -> Entry:
    files = orjson.loads(row[12]) if row[12] else ()
    message = Inbound(
        id=row[2],
        place=Place(row[3], row[4]),
        sender=Sender(row[5], row[6]),
        text=row[7],
        at=row[8],
        direct=bool(row[9]),
        mentioned=bool(row[10]),
        reply_to=row[11],
        attachments=tuple(Attachment(**each) for each in files),
    )
    kept = None if row[19] is None else tuple(Kept(**each) for each in orjson.loads(row[19]))
    return attrs.evolve(Entry(row[0], row[1], message, *row[13:19]), files=kept)


def find(sql: Connection, entry_id: int) -> Entry | None:
    """Return a message, or `None`."""
    row = sql.execute(f"{_ENTRY} WHERE id = ?", (entry_id,)).fetchone()
    return _entry(row) if row else None


def open_entries(sql: Connection, after: int, limit: int) -> list[Entry]:
    """Return messages that nothing has become of yet, in the order in which they came.

    Up to *limit* of those whose id is above *after*.
    """
    query = f"{_ENTRY} WHERE state IN ('received', 'claimed') AND id > ? ORDER BY id LIMIT ?"
    return [_entry(row) for row in sql.execute(query, (after, limit))]


def is_open(sql: Connection, entry_id: int) -> bool:
    """Return whether nothing has become of a message yet."""
    query = "SELECT 1 FROM inbox WHERE id = ? AND state IN ('received', 'claimed')"
    return sql.execute(query, (entry_id,)).fetchone() is not None


def settle(sql: Connection, entry_id: int, state: State, run_id: str | None = None) -> bool:
    """Write down what became of a message; return whether it was still open."""
    cursor = sql.execute(
        "UPDATE inbox SET state = ?, run_id = coalesce(?, run_id)"
        " WHERE id = ? AND state IN ('received', 'claimed')",
        (state, run_id, entry_id),
    )
    return bool(cursor.rowcount)


def note_preview(sql: Connection, entry_id: int, message_id: str) -> None:
    """Remember the message that shows the answer while it grows."""
    sql.execute("UPDATE inbox SET preview = ? WHERE id = ?", (message_id, entry_id))


def note_files(sql: Connection, entry_id: int, kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """Remember what became of the attachments; return it, or what is remembered already.

    What an agent is asked is made of it, and has to be the same whenever it is asked again.
    """
    text = orjson.dumps([attrs.asdict(each) for each in kept]).decode()
    (found,) = sql.execute(
        "UPDATE inbox SET files = coalesce(files, ?) WHERE id = ? RETURNING files",
        (text, entry_id),
    ).fetchone() or (text,)
    return tuple(Kept(**each) for each in orjson.loads(found))


def prune(sql: Connection, before: float) -> int:
    """Forget messages that came before a time; return how many.

    Also those that are open: their account is gone, or they would have been too old by then.
    """
    return sql.execute("DELETE FROM inbox WHERE received < ?", (before,)).rowcount
