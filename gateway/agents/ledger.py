"""What is written down of runs, so that a retry after a crash neither loses nor doubles.

Functions here take a connection and run inside `Database.write` or `Database.read`.
Times are Unix seconds.
"""

import json
from collections.abc import Callable, Collection, Mapping
from sqlite3 import Connection
from typing import Any, Final

import attrs

from gateway.agents.records import (
    ONCE,
    PENDING,
    Message,
    Session,
    State,
    add_message,
    add_session,
    find_session,
    has_session,
    is_once,
    next_turn,
    title_of,
)
from gateway.errors import ConflictError, NotFoundError

KEPT: Final = 24 * 60 * 60.0
"""Seconds for which an idempotency key is good.  Source: protocol, "Requests"."""

UNFINISHED: Final = ("queued", "running")

FINAL: Final = ("done", "cancelled")
"""What a retry with the same key does not change; after anything else it tries again."""


@attrs.frozen
class Key:
    """Whose request it is, under which word, and a digest of what was asked."""

    principal: str
    word: str
    digest: bytes


@attrs.frozen
class Entry:
    """A run as it is written down.

    *state* is ``queued``, ``running``, or what became of it.  *kind* and *error* say why it
    failed.  *reply* is what was answered, as far as it got.  *provenance* is where the
    question came from.
    """

    id: str
    session_id: str
    agent_id: str
    state: str
    kind: str | None = None
    error: str | None = None
    reply: str = ""
    usage: Mapping[str, Any] | None = None
    provenance: str = "owner"

    @property
    def finished(self) -> bool:
        """Whether it will not change any more, unless it is asked for again."""
        return self.state not in UNFINISHED


@attrs.frozen
class Question:
    """What begins a run; *new* is whether the session is to be made."""

    run_id: str
    session_id: str
    agent_id: str
    text: str
    now: float
    new: bool
    key: Key | None
    provenance: str = "owner"


_ENTRY: Final = (
    "SELECT r.id, r.session_id, r.agent_id, r.state, r.kind, r.error,"
    " coalesce(m.content, ''), r.usage, r.provenance FROM runs r"
    " LEFT JOIN messages m ON m.run_id = r.id AND m.role = 'assistant' AND m.calls IS NULL"
)


def _entry(row: Any) -> Entry:
    usage = json.loads(row[7]) if row[7] else None
    return attrs.evolve(Entry(*row[:7]), usage=usage, provenance=row[8])


def find(sql: Connection, run_id: str) -> Entry:
    """Return a run; raises `NotFoundError`."""
    row = sql.execute(f"{_ENTRY} WHERE r.id = ?", (run_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"no run {run_id[:100]!r}")
    return _entry(row)


def find_keyed(sql: Connection, key: Key, now: float) -> Entry | None:
    """Return the run that *key* began; raises `ConflictError` if it asked for something else."""
    row = sql.execute(
        "SELECT id, digest FROM runs WHERE principal = ? AND key = ? AND created > ?",
        (key.principal, key.word, now - KEPT),
    ).fetchone()
    if row is None:
        return None
    if row[1] != key.digest:
        raise ConflictError("idempotencyKey: was used with other params; take a new one")
    return find(sql, row[0])


def begin(sql: Connection, question: Question, *, first: bool) -> Entry:
    """Write down a question and its run, which starts at once if it is *first* in its lane.

    Raises `NotFoundError` if the session is gone, and `sqlite3.IntegrityError` if the key
    has begun a run meanwhile.
    """
    if question.new and not has_session(sql, question.session_id):
        add_session(sql, _session(question))
    else:
        find_session(sql, question.session_id)
    _add_run(sql, question, "running" if first else "queued")
    turn = next_turn(sql, question.session_id) if first else PENDING
    user = Message(0, "user", question.text, question.now, State.PENDING, question.run_id)
    add_message(sql, question.session_id, turn, user)
    sql.execute(
        "UPDATE sessions SET title = ? WHERE id = ? AND title = ''",
        (title_of(question.text), question.session_id),
    )
    return find(sql, question.run_id)


def _session(question: Question) -> Session:
    now = question.now
    title = title_of(question.text)
    return Session(question.session_id, question.agent_id, title, now, now, message_count=0)


def _add_run(sql: Connection, question: Question, state: str) -> None:
    key = question.key
    if key is not None:
        sql.execute(
            "UPDATE runs SET key = NULL WHERE principal = ? AND key = ? AND created <= ?",
            (key.principal, key.word, question.now - KEPT),
        )
    sql.execute(
        "INSERT INTO runs"
        " (id, session_id, agent_id, principal, key, digest, state, created, provenance)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(question.run_id, question.session_id, question.agent_id),
            *((key.principal, key.word, key.digest) if key else (None, None, None)),
            *(state, question.now, question.provenance),
        ),
    )


def again(sql: Connection, run_id: str) -> Entry:
    """Take a run up again that came to nothing: the same question, no answer yet.

    What tools have done meanwhile stays, so that it is not done twice.
    One that has answered or was cancelled meanwhile is left alone.  Returns how it stands.
    """
    entry = find(sql, run_id)
    if entry.state in FINAL:
        return entry
    sql.execute(
        "UPDATE runs SET state = 'queued', kind = NULL, error = NULL, finished = NULL WHERE id = ?",
        (run_id,),
    )
    _drop_answer(sql, run_id)
    sql.execute(
        "UPDATE messages SET state = ? WHERE run_id = ? AND role = 'user'",
        (State.PENDING, run_id),
    )
    return attrs.evolve(entry, state="queued", kind=None, error=None, reply="")


def _drop_answer(sql: Connection, run_id: str) -> None:
    removed = sql.execute(
        "DELETE FROM messages WHERE run_id = ? AND role = 'assistant' AND calls IS NULL",
        (run_id,),
    ).rowcount
    sql.execute(
        "UPDATE sessions SET message_count = message_count - ?"
        " WHERE id = (SELECT session_id FROM runs WHERE id = ?)",
        (removed, run_id),
    )


def claim(sql: Connection, run_id: str, session_id: str) -> None:
    """Write down that a run starts: its question gets its turn, if it has none yet."""
    sql.execute("UPDATE runs SET state = 'running' WHERE id = ?", (run_id,))
    sql.execute(
        "UPDATE messages SET turn = ? WHERE run_id = ? AND turn = ?",
        (next_turn(sql, session_id), run_id, PENDING),
    )


def finish(sql: Connection, entry: Entry, now: float) -> None:
    """Write down what became of a run, with as much of an answer as there is."""
    usage = json.dumps(entry.usage) if entry.usage else None
    sql.execute(
        "UPDATE runs SET state = ?, kind = ?, error = ?, usage = ?, finished = ? WHERE id = ?",
        (entry.state, entry.kind, entry.error, usage, now, entry.id),
    )
    state = _message_state(entry.state)
    _settle_question(sql, entry, state)
    if entry.reply or state is State.COMPLETE:
        (turn,) = sql.execute(
            "SELECT turn FROM messages WHERE run_id = ? AND role = 'user'", (entry.id,)
        ).fetchone()
        answer = Message(0, "assistant", entry.reply, now, state, entry.id)
        add_message(sql, entry.session_id, turn, answer)
    if is_once(entry.session_id):
        sweep_once(sql, now)


def sweep_once(sql: Connection, now: float) -> None:
    """Remove sessions for one question whose run is over, and which no key can ask for again."""
    sql.execute(
        "DELETE FROM sessions WHERE id GLOB ? AND NOT EXISTS"
        " (SELECT 1 FROM runs WHERE session_id = sessions.id AND"
        "  (state IN ('queued', 'running') OR (key NOTNULL AND created > ?)))",
        (f"{ONCE}-*", now - KEPT),
    )


def _message_state(state: str) -> State:
    return State.COMPLETE if state == "done" else State(state)


def _settle_question(sql: Connection, entry: Entry, state: State) -> None:
    """Give a question its final state, and its turn if the run never started."""
    turn = next_turn(sql, entry.session_id)
    sql.execute(
        "UPDATE messages SET state = ?, turn = min(turn, ?) WHERE run_id = ? AND role = 'user'",
        (state, turn, entry.id),
    )


def interrupted(entry: Entry, reply: str = "") -> Entry:
    """Return *entry* as a run that the end of the gateway has ended."""
    why = "the gateway was stopped meanwhile; ask again with the same idempotencyKey, or anew"
    return attrs.evolve(entry, state="interrupted", kind="unavailable", error=why, reply=reply)


def interrupt_dead(sql: Connection, alive: Callable[[], Collection[str]], now: float) -> int:
    """Write down that runs which nobody runs were interrupted; return how many.

    *alive* returns the ids of those that somebody does run.
    """
    rows = sql.execute(
        f"{_ENTRY} WHERE r.state IN ('queued', 'running') ORDER BY r.created"
    ).fetchall()
    living = alive()
    dead = [_entry(row) for row in rows if row[0] not in living]
    for entry in dead:
        finish(sql, interrupted(entry), now)
    sweep_once(sql, now)
    return len(dead)
