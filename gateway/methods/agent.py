"""agent.*: ask, wait, cancel."""

from typing import Final

import attrs
import trio

from gateway.agents.ledger import Entry
from gateway.agents.run import Ask
from gateway.agents.runs import Runs
from gateway.errors import GatewayError, InvalidParamError
from gateway.rpc.router import Call, Methods

DEADLINE: Final = 600.0
"""Seconds.  Source: protocol, "Requests"."""


@attrs.frozen
class Question:
    """*message* for an agent (the default one), in a session (a new one)."""

    message: str
    agent_id: str | None = None
    session_id: str | None = None


@attrs.frozen
class Wait:
    """Which run, and for how many milliseconds at most."""

    run_id: str
    timeout_ms: int | None = None


@attrs.frozen
class Cancel:
    """Which run."""

    run_id: str


@attrs.frozen
class Reply:
    """What the agent answered.  Source: requirement, agent.run."""

    session_id: str
    run_id: str
    reply: str


@attrs.frozen
class Ended:
    """What became of the run: ``cancelled``, or what it was before."""

    session_id: str
    run_id: str
    state: str


def agent_methods(runs: Runs) -> Methods:
    """Return the methods that ask *runs*."""
    methods = Methods("agent")

    @methods.method("write", deadline=DEADLINE, effect=True)
    async def run(params: Question, call: Call) -> Reply:
        """Ask an agent and return its reply; it goes on if the client disconnects."""
        started = await runs.submit(
            Ask(
                message=params.message,
                agent_id=params.agent_id,
                session_id=params.session_id,
                principal=call.principal.name,
                word=call.idempotency_key,
            )
        )
        return _reply(await started.wait())

    @methods.method("write", deadline=DEADLINE)
    async def wait(params: Wait) -> Reply:
        """Return the reply of a run as `agent.run` does, now or when it is there."""
        if params.timeout_ms is not None and params.timeout_ms < 0:
            raise InvalidParamError("timeoutMs", "must not be negative")
        found = await runs.find(params.run_id)
        limit = float("inf") if params.timeout_ms is None else params.timeout_ms / 1000
        entry: Entry | None = None
        with trio.move_on_after(limit):
            entry = await found.wait()
        if entry is None:
            raise GatewayError("timeout", "the run is not over yet", **found.names)
        return _reply(entry)

    @methods.method("write")
    async def cancel(params: Cancel) -> Ended:
        """End a run; what it has answered so far stays in the history."""
        found = await runs.find(params.run_id)
        found.cancel()
        entry = await found.wait()
        return Ended(entry.session_id, entry.id, entry.state)

    return methods


def _reply(entry: Entry) -> Reply:
    """Return the reply; raises what became of the run instead."""
    if entry.state != "done":
        raise GatewayError(
            entry.kind or "internal",
            entry.error or "the run failed",
            sessionId=entry.session_id,
            runId=entry.id,
        )
    return Reply(entry.session_id, entry.id, entry.reply)
