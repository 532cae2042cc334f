"""Sessions: look at conversations, shorten them, take them along, throw them away."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Final, Literal

import attrs

from gateway.agents import records
from gateway.agents.catalog import Catalog
from gateway.agents.compaction import filling, replace_quietly
from gateway.agents.export import markdown
from gateway.agents.lanes import Lanes
from gateway.agents.providers import Said, Turn
from gateway.agents.records import Message, Page, Session, State
from gateway.agents.steps import spoken
from gateway.agents.usage import Usage, of_session
from gateway.errors import ConflictError, GatewayError
from gateway.storage.store import Store

EXPORT_BYTES: Final = 768 * 1024
"""Largest export: with what JSON adds it has to fit what may wait for a client
(``limits.queue_bytes``)."""


@attrs.frozen
class Export:
    """A session as a document: *messages* for ``json``, *content* for ``markdown``."""

    format: str
    session: Session
    messages: tuple[Message, ...] | None = None
    content: str | None = None


@attrs.frozen
class Compacted:
    """What compacting did: *compacted* messages are now represented by *summary*."""

    session_id: str
    compacted: int
    summary: Message | None


@attrs.frozen(eq=False)
class Sessions:
    """All conversations.  Methods raise `NotFoundError` for a session that does not exist.

    *lanes* are those that the runs use.  *now* returns Unix time.
    """

    database: Store
    catalog: Catalog
    lanes: Lanes
    now: Callable[[], float] = records.unix_time

    async def list(
        self, limit: int, before: tuple[float, str] | None = None, agent_id: str | None = None
    ) -> Sequence[Session]:
        """Return up to *limit* sessions, the last used first, those after *before*."""
        return await self.database.read(
            lambda sql: records.list_sessions(sql, limit, before, agent_id)
        )

    async def get(self, session_id: str) -> Session:
        """Return one session."""
        return await self.database.read(lambda sql: records.find_session(sql, session_id))

    async def usage(self, session_id: str) -> Usage:
        """Return what a session has cost; zeros if it does not exist."""
        return await self.database.read(lambda sql: of_session(sql, session_id))

    async def history(
        self, session_id: str, limit: int, before: tuple[int, int] | None = None
    ) -> Page:
        """Return the newest *limit* messages, or those before a place; in order."""

        def work(sql: Connection) -> Page:
            records.find_session(sql, session_id)
            return records.page(sql, session_id, limit, before)

        return await self.database.read(work)

    async def reset(self, session_id: str) -> Session:
        """Forget what was said; raises `ConflictError` while a run goes on."""
        return await self.database.write(
            lambda sql: records.clear_session(sql, session_id, self.now())
        )

    async def delete(self, session_id: str) -> None:
        """Remove a session with everything in it; raises `ConflictError` while a run goes on."""
        await self.database.write(lambda sql: records.remove_session(sql, session_id))

    async def export(self, session_id: str, form: Literal["json", "markdown"]) -> Export:
        """Return everything in a session; raises ``too-large``."""

        def work(sql: Connection) -> tuple[Session, list[Message] | None]:
            session = records.find_session(sql, session_id)
            return session, records.whole(sql, session_id, EXPORT_BYTES)

        session, messages = await self.database.read(work)
        if messages is None:
            raise GatewayError(
                "too-large", f"more than {EXPORT_BYTES} bytes; page through sessions.history"
            )
        if form == "markdown":
            return Export(form, session, content=markdown(session, messages))
        return Export(form, session, messages=tuple(messages))

    async def compact(self, session_id: str, keep: int) -> Compacted:
        """Put a summary in place of all but the newest *keep* messages.

        The session's provider writes it.  What it replaces stays in history and exports,
        flagged.  Waits for runs of the session, and they wait for this.  Cancelled, or if
        the provider fails (its `GatewayError` is raised), nothing has changed.
        """
        session = await self.get(session_id)
        with self.lanes.join(session_id) as place:
            await place.turn.wait()
            old = await self.database.read(lambda sql: records.older_than(sql, session_id, keep))
            # A summary alone gains nothing by being summarised again.
            if all(message.role == "system" for _, message in old):
                return Compacted(session_id, 0, None)
            text = await self._summary(session, [message for _, message in old])
            by = Message(0, "system", text, self.now(), State.COMPLETE)
            summary = await self.database.write(lambda sql: _replace(sql, session_id, old, by))
        return Compacted(session_id, len(old), summary)

    async def relieve(self, session_id: str) -> Compacted:
        """Put a summary in place of older turns if they fill the window of the agent.

        Nobody waits for it: a run that begins meanwhile is shown what there is.  If others
        have compacted or reset the session when the summary is there, it is dropped.
        Errors and cancellation as in `compact`.
        """
        session = await self.get(session_id)
        staff = self.catalog.find(session.agent_id)
        old = await self.database.read(lambda sql: filling(sql, session_id, staff))
        if not old:
            return Compacted(session_id, 0, None)
        text = await self._summary(session, [message for _, message in old])
        by = Message(0, "system", text, self.now(), State.COMPLETE)
        summary = await self.database.write(lambda sql: replace_quietly(sql, session_id, old, by))
        return Compacted(session_id, len(old) if summary else 0, summary)

    async def _summary(self, session: Session, old: Sequence[Message]) -> str:
        staff = self.catalog.find(session.agent_id)
        said = spoken(Said(message.role, message.content) for message in old)
        text = await staff.provider.summary(Turn(staff.settings.model, "", said))
        if not text.strip():
            raise ConflictError("the provider's summary is empty; nothing was compacted")
        return text


def _replace(
    sql: Connection, session_id: str, old: Sequence[tuple[int, Message]], by: Message
) -> Message:
    records.find_session(sql, session_id)
    return records.compact(sql, session_id, old, by)
