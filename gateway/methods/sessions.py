"""sessions.*: conversations, looked at and looked after."""

import re
from typing import Final, Literal

import attrs

from gateway.agents.records import Message, Session
from gateway.agents.sessions import Compacted, Export, Sessions
from gateway.agents.usage import Usage
from gateway.errors import InvalidParamError
from gateway.rpc.router import Methods

LIST: Final = 200
"""Most sessions of one page."""

HISTORY: Final = 1000
"""Most messages of one page; it also ends at half a megabyte."""

SUMMARY_SECONDS: Final = 300.0
"""A model has to read the conversation; long ones take minutes on small machines."""


@attrs.frozen
class List:
    """*cursor* is where the page before has ended."""

    limit: int = 50
    cursor: str | None = None
    agent_id: str | None = None


@attrs.frozen
class Listed:
    """The last used first; *cursor* is for the next page, absent at the end."""

    sessions: tuple[Session, ...]
    cursor: str | None


@attrs.frozen
class Which:
    """One session."""

    session_id: str


@attrs.frozen
class Details(Session):
    """A session, and what it has cost since it was begun or reset."""

    usage: Usage


@attrs.frozen
class History:
    """*cursor* is where the page before, which is newer, has begun."""

    session_id: str
    limit: int = 100
    cursor: str | None = None


@attrs.frozen
class Messages:
    """Messages in order, the newest page first; *cursor* leads to older ones."""

    messages: tuple[Message, ...]
    cursor: str | None


@attrs.frozen
class Compact:
    """*keep* is how many of the newest messages stay as they are."""

    session_id: str
    keep: int = 20


@attrs.frozen
class Form:
    """One session, and how to write it down."""

    session_id: str
    format: Literal["json", "markdown"] = "json"


def sessions_methods(sessions: Sessions) -> Methods:
    """Return the methods on *sessions*."""
    methods = Methods("sessions")

    @methods.method("read", name="sessions.list")
    async def list_page(params: List) -> Listed:
        """Return sessions, the last used first."""
        _check("limit", params.limit, 1, LIST)
        before = _read_cursor(params.cursor)
        place = None if before is None else (float(before[0]), before[1])
        found = await sessions.list(params.limit, place, params.agent_id)
        full = len(found) == params.limit
        return Listed(tuple(found), f"{found[-1].updated!r}_{found[-1].id}" if full else None)

    @methods.method("read")
    async def get(params: Which) -> Details:
        """Return one session, and what it has cost."""
        session = await sessions.get(params.session_id)
        return Details(**attrs.asdict(session), usage=await sessions.usage(params.session_id))

    @methods.method("read")
    async def history(params: History) -> Messages:
        """Return messages in order, the newest ones unless there is a cursor."""
        _check("limit", params.limit, 1, HISTORY)
        before = _read_cursor(params.cursor)
        place = None if before is None else (_number(before[0]), _number(before[1]))
        page = await sessions.history(params.session_id, params.limit, place)
        return Messages(page.messages, page.older and f"{page.older[0]}_{page.older[1]}")

    @methods.method("write", effect=True)
    async def reset(params: Which) -> Session:
        """Forget what was said in a session; it stays, empty."""
        return await sessions.reset(params.session_id)

    @methods.method("write", effect=True)
    async def delete(params: Which) -> Which:
        """Remove a session with everything in it."""
        await sessions.delete(params.session_id)
        return params

    @methods.method("write", deadline=SUMMARY_SECONDS, effect=True)
    async def compact(params: Compact) -> Compacted:
        """Put a summary in place of older messages; they stay in the history, flagged."""
        _check("keep", params.keep, 0, HISTORY)
        return await sessions.compact(params.session_id, params.keep)

    @methods.method("write")
    async def export(params: Form) -> Export:
        """Return everything in a session as one document."""
        return await sessions.export(params.session_id, params.format)

    return methods


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidParamError(name, f"must be from {low} to {high}")


def _read_cursor(cursor: str | None) -> tuple[str, str] | None:
    """Return the two parts of a cursor; raises `InvalidParamError` if it is none of ours."""
    if cursor is None:
        return None
    match = re.fullmatch(r"(\d{1,19}(?:\.\d{1,9})?)_([\w-]{1,64})", cursor, re.ASCII)
    if match is None:
        raise InvalidParamError("cursor", "take it from the page before")
    return match[1], match[2]


def _number(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**63:
        raise InvalidParamError("cursor", "take it from the page before")
    return int(text)
