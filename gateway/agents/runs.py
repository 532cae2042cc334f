"""Runs: a question is written down, waits for its turn, is answered, and that as well.

Every run is a supervised child of its own, so nobody who asked can take it along when he
goes.  What is told (an event, a reply) was on the disk before.
"""

from collections.abc import Callable
from contextlib import suppress
from sqlite3 import Connection, IntegrityError
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.agents import ledger, records
from gateway.agents.catalog import Catalog, Staff
from gateway.agents.lanes import Lanes, Place
from gateway.agents.ledger import Entry, Question
from gateway.agents.providers import Answer, Said, Turn
from gateway.agents.run import Ask, Run, emitter
from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.turns import Turns
from gateway.agents.vision import Look, blind, showing
from gateway.bus import Bus
from gateway.errors import ConflictError, GatewayError, UnavailableError
from gateway.storage.store import Store
from supervisors import Child, Lifetime, Restart, Strategy, Supervisor

log = structlog.get_logger(__name__)

RUNS: Final = 4096
"""Most unfinished runs: each costs a task, and a connection to a provider if it is its turn."""

STOP: Final = 10.0
"""Seconds that a run may go on when the gateway stops; what is left of 30 after requests."""

STORE: Final = 5.0
"""Seconds to write down what became of a run that is cancelled: below the last ones of a stop."""

Begin = Callable[[Connection, bool], Entry]
"""Writes down that a run begins, whether it is first in its lane, and returns how it stands."""


@attrs.frozen
class Report:
    """How the last run of an agent ended: *error* is `None` if it answered; Unix time."""

    agent_id: str
    at: float
    error: str | None


@attrs.define(eq=False)
class Runs:
    """All runs.  *supervisor* is the pool ``agents`` that they are the children of.

    *now* returns Unix time.  *toolbox* is what the agents may use, nothing at first.
    *look* returns the images among stored files.
    """

    database: Store
    bus: Bus
    catalog: Catalog
    lanes: Lanes
    now: Callable[[], float] = records.unix_time
    toolbox: Toolbox = attrs.field(default=attrs.Factory(lambda runs: Toolbox(runs.bus), True))
    look: Look = blind
    supervisor: Supervisor = attrs.field(init=False)
    reports: dict[str, Report] = attrs.field(factory=dict, init=False)
    """How agents are, by id: those that have been asked."""
    _keys: Lanes = attrs.field(factory=Lanes, init=False)
    _live: dict[str, Run] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the pool: what dead processes left is seen to whenever it starts."""
        recovery = Child("recovery", self._recover, restart=Restart.TRANSIENT)
        self.supervisor = Supervisor(
            "agents", [recovery], strategy=Strategy.POOL, max_restarts=None
        )

    # -- for whoever asks -------------------------------------------------------------

    async def submit(self, ask: Ask) -> Run:
        """Return the run of *ask* as soon as the question is on the disk and queued.

        With a key that was used before it is the run from then; one that came to nothing
        tries again with the same question.  Cancelled, it may or may not go on.  Raises
        `NotFoundError`, `ConflictError`, `UnavailableError`, ``overloaded``, ``too-large``.
        """
        ask.check()
        key = ask.key
        if key is None:
            return await self._begin(ask)
        with self._keys.join(f"{key.principal} {key.word}") as place:
            await place.turn.wait()
            while True:
                known = await self._find_keyed(key)
                if known is not None:
                    return await self._resume(known, ask.earlier, ask.media)
                # Whoever asked first may have gone while his question was written down.
                with suppress(IntegrityError):
                    return await self._begin(ask)

    async def find(self, run_id: str) -> Run:
        """Return a run, over or not; raises `NotFoundError`."""
        # Looked for in this order: it may end in between.
        entry = await self.database.read(lambda sql: ledger.find(sql, run_id))
        run = self._live.get(run_id)
        if run is None and not entry.finished:
            entry = await self.database.read(lambda sql: ledger.find(sql, run_id))
        return run or Run.over(entry if entry.finished else ledger.interrupted(entry))

    def __len__(self) -> int:
        return len(self._live)

    # -- the beginning ----------------------------------------------------------------

    async def _find_keyed(self, key: ledger.Key) -> Entry | None:
        return await self.database.read(lambda sql: ledger.find_keyed(sql, key, self.now()))

    async def _begin(self, ask: Ask) -> Run:
        """Return a new run; raises `IntegrityError` if its key has one already."""
        question = await self._question(ask)
        entry = Entry(question.run_id, question.session_id, question.agent_id, "queued")
        return await self._start(
            Run(entry, ask.earlier, ask.media),
            lambda sql, first: ledger.begin(sql, question, first=first),
        )

    async def _resume(
        self, entry: Entry, earlier: tuple[Said, ...] = (), media: tuple[str, ...] = ()
    ) -> Run:
        """Return the run of *entry*; take it up again if it came to nothing."""
        if (run := self._live.get(entry.id)) is not None:
            return run
        if entry.state in ledger.FINAL:
            return Run.over(entry)
        self.catalog.find(entry.agent_id)
        run = Run(entry, earlier, media)
        return await self._start(run, lambda sql, _: ledger.again(sql, entry.id))

    async def _question(self, ask: Ask) -> Question:
        """Return what *ask* comes to; raises if there is no such agent or session."""
        session = await self._session(ask)
        agent_id = ask.agent_id
        if session is not None:
            if agent_id not in (None, session.agent_id):
                raise ConflictError(f"the session is with agent {session.agent_id!r}")
            agent_id = session.agent_id
        staff = self.catalog.find(agent_id)
        return Question(
            run_id=records.new_id("run"),
            session_id=ask.session_id or records.new_id("sess"),
            agent_id=staff.id,
            text=ask.message,
            now=self.now(),
            new=session is None,
            key=ask.key,
            provenance=ask.provenance,
        )

    async def _session(self, ask: Ask) -> records.Session | None:
        """Return the session that *ask* goes on with, `None` if one is to be made."""
        session_id = ask.session_id
        if session_id is None:
            return None

        def work(sql: Connection) -> records.Session | None:
            if ask.make_session and not records.has_session(sql, session_id):
                return None
            return records.find_session(sql, session_id)

        return await self.database.read(work)

    async def _start(self, run: Run, begin: Begin) -> Run:
        """Have *run* be a child; return when it is written down."""
        if len(self._live) >= RUNS:
            raise GatewayError("overloaded", f"{RUNS} runs are going on; try again later")
        self.lanes.check(run.session_id)
        child = Child(
            run.id, self._serve, (run, begin), restart=Restart.TEMPORARY, stop_timeout=STOP
        )
        # From here on a retry finds this one.
        self._live[run.id] = run
        try:
            await self.supervisor.start(child)
        except RuntimeError as error:
            self._forget(run)
            raise UnavailableError("agents are stopping or restarting; try again") from error
        return run

    # -- the child --------------------------------------------------------------------

    async def _serve(self, life: Lifetime, run: Run, begin: Begin) -> None:
        """Be a run, from the moment that it is written down to the one when its end is."""
        self._live[run.id] = run
        try:
            with self.lanes.join(run.session_id) as place:
                first = place.first
                run.entry = await self.database.write(lambda sql: begin(sql, first))
                life.started()
                if run.entry.finished:
                    run.settle(run.entry)
                else:
                    await self._see_through(life, run, place)
        finally:
            self._forget(run)

    def _forget(self, run: Run) -> None:
        if self._live.get(run.id) is run:
            del self._live[run.id]
        run.lose()

    async def _see_through(self, life: Lifetime, run: Run, place: Place) -> None:
        entry: Entry | None = None
        try:
            with run.scope:
                entry = await self._answer(life, run, place)
            if run.scope.cancelled_caught:
                entry = _given_up(run)
        except GatewayError as error:
            entry = _failed(run, error.kind, error.message)
        finally:
            await self._finish(run, entry or _ended_from_outside(run))

    async def _answer(self, life: Lifetime, run: Run, place: Place) -> Entry:
        """Wait for the turn, ask, and return what came of it."""
        with life.until_stopping():
            await place.turn.wait()
        if not place.first:
            return ledger.interrupted(run.entry)
        if run.entry.state == "queued":
            await self.database.write(lambda sql: ledger.claim(sql, run.id, run.session_id))
        staff = self.catalog.find(run.entry.agent_id)
        run.scope.deadline = trio.current_time() + staff.settings.run_seconds
        self.bus.publish("agent.thinking", run.names | {"text": "Thinking..."})
        turn = await self._turn(run, staff)
        turns = Turns(self.database, self.toolbox, self.now)
        answer = await turns.answer(run, staff, turn, emitter(run, self.bus.publish))
        return _answered(run, answer)

    async def _turn(self, run: Run, staff: Staff) -> Turn:
        limit = staff.settings.history_messages
        said = await self.database.read(
            lambda sql: records.context(sql, run.session_id, run.id, limit)
        )
        if run.media and staff.settings.vision:
            said = showing(said, await self.look(run.media))
        return Turn(staff.settings.model, staff.settings.system_prompt, (*run.earlier, *said))

    # -- the end ----------------------------------------------------------------------

    async def _finish(self, run: Run, entry: Entry) -> None:
        """Write down how *run* ended, then tell it; also if the task is cancelled."""
        stored = False
        with trio.move_on_after(STORE, shield=True):
            try:
                await self.database.write(lambda sql: ledger.finish(sql, entry, self.now()))
                stored = True
            except UnavailableError as error:
                log.warning("the end of a run was not stored", run=run.id, why=error.message)
        self._note(entry)
        if stored:
            self._tell(run, entry)
            run.settle(entry)
        else:
            # Nothing that is not on the disk is told as done; a retry begins it again.
            self._tell(run, _failed(run, "unavailable", "the reply could not be stored"))
            run.lose()

    def _tell(self, run: Run, entry: Entry) -> None:
        if entry.state == "done":
            event: dict[str, Any] = {"reply": entry.reply, "usage": entry.usage}
            self.bus.publish("agent.done", run.names | event)
        else:
            event = {"kind": entry.kind, "message": entry.error}
            self.bus.publish("agent.failed", run.names | event)

    def _note(self, entry: Entry) -> None:
        if entry.state in ("done", "failed"):
            error = entry.error if entry.state == "failed" else None
            self.reports[entry.agent_id] = Report(entry.agent_id, self.now(), error)

    # -- what dead processes left -----------------------------------------------------

    async def _recover(self, life: Lifetime) -> None:
        """Write down that runs of processes that died were interrupted."""
        # The ids are looked up in the transaction: what begins later is not in the table yet.
        count = await self.database.write(
            lambda sql: ledger.interrupt_dead(sql, lambda: set(self._live), self.now())
        )
        if count:
            log.warning("runs were interrupted when the gateway ended", runs=count)
        life.started()


def _answered(run: Run, answer: Answer) -> Entry:
    return attrs.evolve(run.entry, state="done", reply=answer.text, usage=answer.usage)


def _failed(run: Run, kind: str, message: str) -> Entry:
    return attrs.evolve(run.entry, state="failed", kind=kind, error=message, reply=run.text)


def _given_up(run: Run) -> Entry:
    """Return the end of a run whose scope was cancelled: by somebody, or by its deadline."""
    if run.cancelled:
        why = "the run was cancelled"
        return attrs.evolve(_failed(run, "cancelled", why), state="cancelled")
    return _failed(run, "timeout", "the run took longer than its agent may (run_seconds)")


def _ended_from_outside(run: Run) -> Entry:
    """Return the end of a run that was cancelled with the tree, or has a bug."""
    if trio.current_effective_deadline() == -float("inf"):
        return ledger.interrupted(run.entry, run.text)
    return _failed(run, "internal", "internal error; the log has the details under the run's id")
