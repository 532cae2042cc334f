"""One answer, with as many steps as it takes: ask the model, use tools, ask again.

Every step is on the disk before the next: first what the model wants, then each result.
After a crash a run that is taken up again goes on from there, and no tool is used twice.
"""

import secrets
from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import Any, Final

import attrs

from gateway.agents import records
from gateway.agents.catalog import Staff
from gateway.agents.providers import Answer, Emit, Said, ToolCall, Turn
from gateway.agents.records import Message, State
from gateway.agents.run import Run
from gateway.agents.tools import Use
from gateway.agents.tools.toolbox import ARGUMENT_BYTES, Toolbox
from gateway.errors import GatewayError
from gateway.storage.store import Store

CALLS: Final = 16
"""Most calls of one step that are heeded; models make a handful."""

ENOUGH: Final = "Error: not used: this run has used tools often enough. Answer with what you have."


@attrs.frozen(eq=False)
class Turns:
    """Asks a provider until it has an answer.  *now* returns Unix time."""

    database: Store
    toolbox: Toolbox
    now: Callable[[], float]

    async def answer(self, run: Run, staff: Staff, turn: Turn, emit: Emit) -> Answer:
        """Return the answer to *turn*, with the usage of all steps.

        Raises what the provider raises, and ``conflict`` if the model does not stop wanting
        tools.  Cancelled, the results that there are stay written down.
        """
        use = Use(staff.id, run.session_id, run.id, run.entry.provenance)
        usage: Mapping[str, Any] | None = None
        limit = staff.settings.tools.steps
        # After the last step its calls are refused, and then it has a last chance to answer.
        for left in range(limit, -2, -1):
            offered = attrs.evolve(turn, tools=self.toolbox.offers(use))
            answer = await staff.provider.answer(offered, emit)
            usage = added(usage, answer.usage)
            if not answer.calls:
                return attrs.evolve(answer, usage=usage)
            if left < 0:
                break
            said = await self._step(run, use, answer, refused=not left)
            turn = attrs.evolve(turn, messages=(*turn.messages, *said))
        raise GatewayError(
            "conflict", f"the agent has used tools {limit} times and still has no answer"
        )

    async def _step(self, run: Run, use: Use, answer: Answer, *, refused: bool) -> tuple[Said, ...]:
        """Use the tools that *answer* wants, one after another; return what that adds."""
        wants = Said("assistant", answer.text, _sound(answer.calls))
        await self._store(run, wants)
        run.go_on()
        results: list[Said] = []
        # In the order that the model wrote: the second may build on the first.
        for call in wants.calls:
            text = ENOUGH if refused else await self.toolbox.use(call, use)
            results.append(Said("tool", text, call_id=call.id))
            await self._store(run, results[-1])
        return wants, *results

    async def _store(self, run: Run, said: Said) -> None:
        message = Message(
            id=0,
            role=said.role,
            content=said.content,
            created=self.now(),
            state=State.COMPLETE,
            run_id=run.id,
            calls=said.calls,
            call_id=said.call_id,
        )

        def work(sql: Connection) -> None:
            turn = records.turn_of(sql, run.id)
            records.add_message(sql, run.session_id, turn, message)

        await self.database.write(work)


def _sound(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Return the calls that are heeded, with ids that differ and arguments that are bounded."""
    seen: set[str] = set()
    taken: list[ToolCall] = []
    for call in calls[:CALLS]:
        unique = call.id if call.id and call.id not in seen else f"call-{secrets.token_hex(6)}"
        seen.add(unique)
        # One byte more than there may be, so that it is refused and the model is told.
        arguments = call.arguments.encode("utf-8", "replace")[: ARGUMENT_BYTES + 1]
        taken.append(ToolCall(unique, call.name, arguments.decode("utf-8", "ignore")))
    return tuple(taken)


def added(
    before: Mapping[str, Any] | None, more: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the sum of what a provider has counted in two steps, number by number."""
    if before is None or more is None:
        return before if more is None else more
    return {**before, **{key: _sum(before.get(key), value) for key, value in more.items()}}


def _sum(before: Any, more: Any) -> Any:
    if isinstance(before, Mapping) and isinstance(more, Mapping):
        return added(before, more)
    numbers = isinstance(before, int | float) and isinstance(more, int | float)
    return before + more if numbers else more
