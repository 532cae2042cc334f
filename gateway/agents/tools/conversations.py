"""``sessions_search``: what was said before."""

from sqlite3 import Connection
from typing import Final

import attrs

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Tools
from gateway.errors import InvalidParamError
from gateway.protocol.convert import param
from gateway.storage.store import Store

MOST: Final = 20
"""Most messages found: what a model can make use of."""

EXCERPT: Final = 400
"""Characters of each message around what was looked for."""

QUERY: Final = 200
"""Longest text that is looked for."""


@attrs.frozen
class Search:
    """What to look for."""

    text: str = param("A word or phrase that the messages must contain; case does not matter.")
    limit: int = param("Most messages to return, up to 20.", 10)


@attrs.frozen
class Found:
    """One message: *created* is Unix time, *excerpt* is the place around the text."""

    session_id: str
    role: str
    created: float
    excerpt: str


def conversation_tools(database: Store) -> Tools:
    """Return the tools that look into what is stored in *database*."""
    tools = Tools()

    @tools.tool()
    async def sessions_search(params: Search, use: Use) -> tuple[Found, ...]:
        """Search what was said in earlier conversations with you; the newest come first."""
        if not 0 < len(params.text.strip()) <= QUERY:
            raise InvalidParamError("text", f"must have 1 to {QUERY} characters")
        limit = min(max(params.limit, 1), MOST)
        return await database.read(lambda sql: search(sql, use, params.text.strip(), limit))

    return tools


def search(sql: Connection, use: Use, text: str, limit: int) -> tuple[Found, ...]:
    """Return messages of people and agents that contain *text*.

    Those of the same agent, and unless the owner asks, only those of the same session:
    what others have told the agent is none of a visitor's business.
    """
    pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = sql.execute(
        "SELECT m.session_id, m.role, m.created, m.content FROM messages m"
        " JOIN sessions s ON s.id = m.session_id"
        " WHERE s.agent_id = ? AND (? OR s.id = ?) AND coalesce(m.run_id, '') != ?"
        " AND s.id NOT GLOB 'once-*'"  # of questions that nothing was to be left of
        " AND m.role IN ('user', 'assistant') AND m.content LIKE ? ESCAPE '\\'"
        " ORDER BY m.id DESC LIMIT ?",
        (use.agent_id, use.by_owner, use.session_id, use.run_id, f"%{pattern}%", limit),
    )
    return tuple(
        Found(session_id, role, created, _around(content, text))
        for session_id, role, created, content in rows
    )


def _around(content: str, text: str) -> str:
    place = max(content.lower().find(text.lower()), 0)
    start = max(place - EXCERPT // 2, 0)
    piece = content[start : start + EXCERPT]
    return ("…" if start else "") + piece + ("…" if start + EXCERPT < len(content) else "")
