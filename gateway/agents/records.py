"""Sessions and their messages: the values, and the SQL that finds and changes them.

Functions here take a connection and run inside `Database.write` or `Database.read`.
Times are Unix seconds.
"""

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from sqlite3 import Connection
from typing import Any, Final

import attrs

from gateway.agents.providers import Said, ToolCall
from gateway.agents.steps import legal
from gateway.errors import ConflictError, NotFoundError

PENDING: Final = 2**62
"""Turn of a question whose run has not started: beyond all others."""

unix_time: Final = time.time
"""For stamps that people see.  Source: the rules of the house, durations are Trio's."""

TITLE: Final = 80
"""Longest title, in characters: one line of a list."""

PAGE_BYTES: Final = 512 * 1024
"""Where a page of messages ends, whatever was asked for: half of what may wait for a client
(``limits.queue_bytes``), so that a page cannot get its reader closed."""


class State(StrEnum):
    """What became of a message's turn."""

    PENDING = "pending"
    """Its run waits or goes on."""
    COMPLETE = "complete"
    """Asked and answered."""
    FAILED = "failed"
    """The provider did not answer, or not to the end."""
    CANCELLED = "cancelled"
    """Somebody cancelled the run; an answer is what there was until then."""
    INTERRUPTED = "interrupted"
    """The gateway stopped or died meanwhile; an answer is what there was until then."""


@attrs.frozen
class Session:
    """A conversation with one agent.  *message_count* does not count what was compacted."""

    id: str
    agent_id: str
    title: str
    created: float
    updated: float
    message_count: int


@attrs.frozen
class Message:
    """One message.  *compacted*: a summary stands for it when the model is asked.

    *calls* are the tools that an assistant wanted used, *call_id* is the call that a
    message with the role ``tool`` is the result of.
    """

    id: int
    role: str
    content: str
    created: float
    state: str
    run_id: str | None = None
    compacted: bool = False
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@attrs.frozen
class Page:
    """Messages in order, and the place where older ones are; `None` if there are none."""

    messages: tuple[Message, ...]
    older: tuple[int, int] | None


ONCE: Final = "once"
"""Prefix of sessions for one question: not listed, and gone when nobody can ask for it again."""


def is_once(session_id: str | None) -> bool:
    """Return whether a session is for one question only."""
    return session_id is not None and session_id.startswith(f"{ONCE}-")


def new_id(prefix: str) -> str:
    """Return an id nobody can guess: ``run-`` and 96 bits."""
    return f"{prefix}-{secrets.token_hex(12)}"


def title_of(text: str) -> str:
    """Return the first line of *text* that says something, shortened."""
    first = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= TITLE else first[: TITLE - 1] + "…"


# -- sessions ---------------------------------------------------------------------------

_SESSION: Final = "SELECT id, agent_id, title, created, updated, message_count FROM sessions"


def find_session(sql: Connection, session_id: str) -> Session:
    """Return a session; raises `NotFoundError`."""
    row = sql.execute(f"{_SESSION} WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"no session {session_id[:100]!r}")
    return Session(*row)


def has_session(sql: Connection, session_id: str) -> bool:
    """Return whether there is such a session."""
    return bool(sql.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone())


def list_sessions(
    sql: Connection, limit: int, before: tuple[float, str] | None, agent_id: str | None
) -> list[Session]:
    """Return up to *limit* sessions, the last used first, those after *before* in that order.

    Without those for one question.
    """
    where, values = [f"id NOT GLOB '{ONCE}-*'"], list[Any]()
    if before is not None:
        where.append("(updated, id) < (?, ?)")
        values += before
    if agent_id is not None:
        where.append("agent_id = ?")
        values.append(agent_id)
    query = f"{_SESSION} WHERE {' AND '.join(where)} ORDER BY updated DESC, id DESC LIMIT ?"
    return [Session(*row) for row in sql.execute(query, (*values, limit))]


def add_session(sql: Connection, session: Session) -> None:
    """Store a new session."""
    sql.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", attrs.astuple(session))


def remove_session(sql: Connection, session_id: str) -> None:
    """Remove a session with everything in it; raises `NotFoundError`, `ConflictError`."""
    find_session(sql, session_id)
    check_idle(sql, session_id)
    sql.execute("DELETE FROM sessions WHERE id = ?", (session_id,))


def clear_session(sql: Connection, session_id: str, now: float) -> Session:
    """Remove what was said in a session; raises `NotFoundError`, `ConflictError`."""
    find_session(sql, session_id)
    check_idle(sql, session_id)
    sql.execute("DELETE FROM messages WHERE session_id = ?", (session_id,))
    sql.execute("DELETE FROM runs WHERE session_id = ?", (session_id,))
    sql.execute("UPDATE sessions SET title = '' WHERE id = ?", (session_id,))
    recount(sql, session_id, now)
    return find_session(sql, session_id)


def check_idle(sql: Connection, session_id: str) -> None:
    """Raise `ConflictError` if a run of the session is not over."""
    row = sql.execute(
        "SELECT id FROM runs WHERE session_id = ? AND state IN ('queued', 'running')", (session_id,)
    ).fetchone()
    if row is not None:
        raise ConflictError("a run is going on: await it, or agent.cancel it", runId=row[0])


def recount(sql: Connection, session_id: str, now: float) -> None:
    """Bring a session's count and time up to date."""
    sql.execute(
        "UPDATE sessions SET updated = ?, message_count = (SELECT count(*) FROM messages"
        " WHERE session_id = sessions.id AND NOT compacted) WHERE id = ?",
        (now, session_id),
    )


# -- messages ---------------------------------------------------------------------------

_COLUMNS: Final = "id, role, content, created, state, run_id, compacted, calls, call_id"
_ORDERED: Final = " ORDER BY turn, id"


def _message(row: Sequence[Any]) -> Message:
    compacted, calls, call_id = row[6:9]
    more = {"compacted": bool(compacted), "calls": read_calls(calls), "call_id": call_id}
    return attrs.evolve(Message(*row[:6]), **more)


def read_calls(text: str | None) -> tuple[ToolCall, ...]:
    """Return the calls that `write_calls` has written."""
    return tuple(ToolCall(*each) for each in json.loads(text or "[]"))


def write_calls(calls: Sequence[ToolCall]) -> str | None:
    """Return *calls* as text, `None` for none."""
    return json.dumps([attrs.astuple(each) for each in calls]) if calls else None


def add_message(
    sql: Connection, session_id: str, turn: int, message: Message, *, count: int = 1
) -> Message:
    """Store a message (its id is given here) and return it; the session counts *count* more."""
    values = (session_id, turn, message.role, message.content, message.created, message.state)
    cursor = sql.execute(
        "INSERT INTO messages"
        " (session_id, turn, role, content, created, state, run_id, calls, call_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, message.run_id, write_calls(message.calls), message.call_id),
    )
    sql.execute(
        "UPDATE sessions SET updated = ?, message_count = message_count + ? WHERE id = ?",
        (message.created, count, session_id),
    )
    return attrs.evolve(message, id=int(cursor.lastrowid or 0))


def next_turn(sql: Connection, session_id: str) -> int:
    """Return the number of the turn that begins now."""
    (last,) = sql.execute(
        "SELECT max(turn) FROM messages WHERE session_id = ? AND turn < ?", (session_id, PENDING)
    ).fetchone()
    return (last or 0) + 1


def turn_of(sql: Connection, run_id: str) -> int:
    """Return the turn of a run, which is that of its question."""
    (turn,) = sql.execute(
        "SELECT turn FROM messages WHERE run_id = ? AND role = 'user'", (run_id,)
    ).fetchone()
    return int(turn)


def page(sql: Connection, session_id: str, limit: int, before: tuple[int, int] | None) -> Page:
    """Return the newest *limit* messages, or those before a place; in order.

    A page is never empty if there is something, and not much above `PAGE_BYTES`.
    """
    rows = sql.execute(
        f"SELECT {_COLUMNS}, turn FROM messages WHERE session_id = ? AND (turn, id) < (?, ?)"  # noqa: S608  only constants
        " ORDER BY turn DESC, id DESC",
        (session_id, *(before or (PENDING, 2**62))),
    )
    taken, size = list[Any](), 0
    for row in rows:
        size += len(row[2].encode()) + len((row[7] or "").encode())
        if len(taken) == limit or (taken and size > PAGE_BYTES):
            return Page(_in_order(taken), (taken[-1][-1], taken[-1][0]))
        taken.append(row)
    return Page(_in_order(taken), None)


def _in_order(rows: Iterable[Sequence[Any]]) -> tuple[Message, ...]:
    return tuple(_message(row) for row in rows)[::-1]


def context(sql: Connection, session_id: str, run_id: str, limit: int) -> list[Said]:
    """Return what the model is shown for *run_id*: its question, and what tools said since.

    Before that are the summary of what was compacted, if any, and the last *limit*
    messages before the question.
    """
    turn = turn_of(sql, run_id)
    said = (
        "SELECT role, content, calls, call_id FROM messages WHERE session_id = ? AND turn < ?"
        " AND NOT compacted AND (content != '' OR calls NOTNULL OR call_id NOTNULL)"
    )
    summary = sql.execute(
        f"{said} AND role = 'system' ORDER BY turn DESC, id DESC LIMIT 1", (session_id, turn)
    ).fetchall()
    recent = sql.execute(
        f"{said} AND role != 'system' ORDER BY turn DESC, id DESC LIMIT ?",
        (session_id, turn, limit),
    ).fetchall()
    # An answer that a retry is to replace is no part of the question.
    own = sql.execute(
        "SELECT role, content, calls, call_id FROM messages WHERE run_id = ?"
        " AND (role = 'user' OR calls NOTNULL OR call_id NOTNULL) ORDER BY id",
        (run_id,),
    ).fetchall()
    rows = [*summary, *recent[::-1], *own]
    return legal([Said(row[0], row[1], read_calls(row[2]), row[3]) for row in rows])


def whole(sql: Connection, session_id: str, most: int) -> list[Message] | None:
    """Return all messages in order; `None` if their texts have more than *most* bytes."""
    (size,) = sql.execute(
        "SELECT total(length(CAST(content || coalesce(calls, '') AS BLOB)) + 100)"
        " FROM messages WHERE session_id = ?",
        (session_id,),
    ).fetchone()
    if size > most:
        return None
    query = f"SELECT {_COLUMNS} FROM messages WHERE session_id = ?{_ORDERED}"  # noqa: S608  only constants
    return [_message(row) for row in sql.execute(query, (session_id,))]


def older_than(sql: Connection, session_id: str, keep: int) -> list[tuple[int, Message]]:
    """Return what compacting would replace, with turns, in order.

    That is all but the newest *keep* messages, and the rest of the turn that those begin in.
    """
    kept = sql.execute(
        "SELECT turn FROM messages WHERE session_id = ? AND NOT compacted"
        " ORDER BY turn DESC, id DESC LIMIT 1 OFFSET ?",
        (session_id, max(keep, 1) - 1),
    ).fetchone()
    if kept is None:
        return []
    rows = sql.execute(
        f"SELECT {_COLUMNS}, turn FROM messages"  # noqa: S608  only constants
        f" WHERE session_id = ? AND turn < ? AND NOT compacted{_ORDERED}",
        (session_id, kept[0] if keep else PENDING),
    )
    return [(row[-1], _message(row)) for row in rows]


def compact(
    sql: Connection, session_id: str, old: Sequence[tuple[int, Message]], by: Message
) -> Message:
    """Flag the messages *old* as compacted and put the summary *by* behind the last of them."""
    sql.executemany(
        "UPDATE messages SET compacted = 1 WHERE id = ?", [(message.id,) for _, message in old]
    )
    summary = add_message(sql, session_id, old[-1][0], by, count=0)
    recount(sql, session_id, by.created)
    return summary
