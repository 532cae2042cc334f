"""Summarising what fills the window of a model, after the turn and behind everybody's back.

The lane of the session is not taken: a summary takes a model a minute, and the next
question need not wait for it.  What is summarised is old and does not change any more,
except that somebody compacts or resets the session himself; that is looked at in the
transaction that puts the summary in its place.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from sqlite3 import Connection
from typing import Final

import attrs
import structlog
import trio

from gateway.agents import records
from gateway.agents.catalog import Staff
from gateway.agents.context import base, cost
from gateway.agents.providers import Said, Turn
from gateway.agents.records import Message
from gateway.bus import Bus, News
from gateway.errors import GatewayError, NotFoundError
from supervisors import Lifetime

log = structlog.get_logger(__name__)

KEPT: Final = 0.25
"""Share of the room that the newest turns may have after compacting: enough to go on as if
nothing had happened, and far from having to do it again soon."""

AT_ONCE: Final = 4
"""Summaries at the same time: each keeps a model busy that people wait for."""

SECONDS: Final = 300.0
"""Longest a summary may take.  Source: ``sessions.compact``."""

WAITING: Final = 1024
"""Most sessions that wait to be looked at; one that is left out is looked at after its next
turn."""

Placed = Sequence[tuple[int, Message]]
"""Messages with their turns, in order."""


@attrs.define(eq=False)
class Compaction:
    """Has every session looked at by *relieve* after each turn; one that is in work is not."""

    relieve: Callable[[str], Awaitable[object]]
    bus: Bus
    _busy: set[str] = attrs.field(factory=set, init=False)

    async def run(self, life: Lifetime) -> None:
        """Be the child that does it; asked to stop it ends at once, and nothing has changed."""
        ended, ends = trio.open_memory_channel[str](WAITING)

        def hear(news: News) -> None:
            if news.spec.name == "agent.done":
                try:
                    ended.send_nowait(str(news.data["sessionId"]))
                except trio.WouldBlock:
                    log.warning("too many sessions wait for being compacted")

        limit = trio.CapacityLimiter(AT_ONCE)
        with self.bus.listening(hear), ended, ends, life.until_stopping():
            life.started()
            async with trio.open_nursery() as nursery:
                async for session_id in ends:
                    if session_id not in self._busy:
                        self._busy.add(session_id)
                        nursery.start_soon(self._look, session_id, limit)

    async def _look(self, session_id: str, limit: trio.CapacityLimiter) -> None:
        try:
            async with limit:
                await self._relieve(session_id)
        finally:
            self._busy.discard(session_id)

    async def _relieve(self, session_id: str) -> None:
        with trio.move_on_after(SECONDS) as scope:
            try:
                await self.relieve(session_id)
            except NotFoundError:
                pass  # it, or its agent, was removed meanwhile
            except GatewayError as error:
                # After the next turn it is tried again; until then the oldest is left out.
                log.warning("a session was not compacted", session=session_id, why=error.message)
        if scope.cancelled_caught:
            log.warning("a session was not compacted in time", session=session_id, seconds=SECONDS)


def filling(sql: Connection, session_id: str, staff: Staff) -> Placed:
    """Return what to summarise so that the session fits well again; empty if it does.

    These are whole turns, the oldest; the last one is never among them.
    """
    window, settings = staff.provider, staff.settings
    if not window.bounded or not settings.compact_at:
        return ()
    turns = _turns(records.older_than(sql, session_id, 0))
    costs = [sum(cost(as_said(message)) for _, message in turn) for turn in turns]
    prompt = base(Turn(settings.model, settings.system_prompt, ()))
    if prompt + sum(costs) <= settings.compact_at * window.room:
        return ()
    keep, spent = 1, costs[-1] if costs else 0.0
    while keep < len(turns) and spent + costs[-keep - 1] <= KEPT * window.room:
        spent += costs[-keep - 1]
        keep += 1
    old = [each for turn in turns[:-keep] for each in turn]
    # A summary alone gains nothing by being summarised again.
    return () if all(message.role == "system" for _, message in old) else old


def as_said(message: Message) -> Said:
    """Return *message* as a model is shown it."""
    return Said(message.role, message.content, message.calls, message.call_id)


def _turns(messages: Placed) -> list[list[tuple[int, Message]]]:
    return [list(turn) for _, turn in groupby(messages, key=lambda each: each[0])]


def replace_quietly(sql: Connection, session_id: str, old: Placed, by: Message) -> Message | None:
    """Put *by* in place of *old* unless that has changed; `None` then.

    The session does not count as used: nobody has said anything.
    """
    updated = records.find_session(sql, session_id).updated
    now = {message.id for _, message in records.older_than(sql, session_id, 0)}
    if not all(message.id in now for _, message in old):
        return None
    summary = records.compact(sql, session_id, old, by)
    sql.execute("UPDATE sessions SET updated = ? WHERE id = ?", (updated, session_id))
    return summary
