"""Which session a chat is in, as it is written down.

Functions here take a connection and run inside `Store.write`.  Times are Unix seconds.
"""

from collections.abc import Callable
from sqlite3 import Connection

import attrs

from gateway.agents import records
from gateway.channels import inbox
from gateway.channels.base import Place


@attrs.frozen
class Chat:
    """The session that a chat is in, with whom, and when it was used last."""

    session_id: str
    agent_id: str
    used: float


def find(sql: Connection, account: str, place: Place) -> Chat | None:
    """Return the session of a chat; `None` if it has none yet."""
    row = sql.execute(
        "SELECT session_id, agent_id, used FROM chats"
        " WHERE account = ? AND chat = ? AND thread = ?",
        (account, place.chat, place.thread or ""),
    ).fetchone()
    return Chat(*row) if row else None


def claim(
    sql: Connection, entry: inbox.Entry, agent_id: str, *, stale: Callable[[Chat], bool], now: float
) -> inbox.Entry:
    """Write down that answering a message begins, and in which session; return it with that.

    Taken up again after a crash it goes on in the session of the first time.  *stale* says
    of what a chat has whether a new session is to follow it.
    """
    entry = _bound(sql, entry)
    if entry.session_id is None:
        chat = find(sql, entry.account, entry.message.place)
        if chat is None or chat.agent_id != agent_id or stale(chat) or _is_gone(sql, chat):
            chat = Chat(records.new_id("sess"), agent_id, now)
        entry = attrs.evolve(entry, agent_id=agent_id, session_id=chat.session_id)
        use(sql, entry.account, entry.message.place, attrs.evolve(chat, used=now))
    entry = attrs.evolve(entry, attempts=entry.attempts + 1, state=inbox.State.CLAIMED)
    sql.execute(
        "UPDATE inbox SET state = ?, attempts = ?, agent_id = ?, session_id = ? WHERE id = ?",
        (entry.state, entry.attempts, entry.agent_id, entry.session_id, entry.id),
    )
    return entry


def _bound(sql: Connection, entry: inbox.Entry) -> inbox.Entry:
    """Return *entry* with the session that `leave` has bound it to while it waited, if so."""
    row = sql.execute(
        "SELECT agent_id, session_id FROM inbox WHERE id = ? AND session_id IS NOT NULL",
        (entry.id,),
    ).fetchone()
    return attrs.evolve(entry, agent_id=row[0], session_id=row[1]) if row else entry


def _is_gone(sql: Connection, chat: Chat) -> bool:
    """Whether somebody has deleted the session; one that was never used is not there yet."""
    if records.has_session(sql, chat.session_id):
        return False
    pending = sql.execute(
        "SELECT 1 FROM inbox WHERE session_id = ? AND state = 'claimed'", (chat.session_id,)
    ).fetchone()
    return pending is None


def use(sql: Connection, account: str, place: Place, chat: Chat) -> None:
    """Have a chat be in a session."""
    sql.execute(
        "INSERT OR REPLACE INTO chats (account, chat, thread, session_id, agent_id, used)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (account, place.chat, place.thread or "", chat.session_id, chat.agent_id, chat.used),
    )


def leave(sql: Connection, account: str, place: Place, before: int) -> bool:
    """Have the next message of a chat begin a new session; return whether it had one.

    Those that wait and came *before* that message still belong to the old one.
    """
    chat = find(sql, account, place)
    if chat is None:
        return False
    sql.execute(
        "UPDATE inbox SET agent_id = ?, session_id = ? WHERE account = ? AND chat = ?"
        " AND thread IS ? AND id < ? AND state = 'received'",
        (chat.agent_id, chat.session_id, account, place.chat, place.thread, before),
    )
    sql.execute(
        "DELETE FROM chats WHERE account = ? AND chat = ? AND thread = ?",
        (account, place.chat, place.thread or ""),
    )
    return True
