"""Sequences of messages with tools in them that every provider accepts.  Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.agents.providers import Said

LOST: Final = (
    "Error: it is not known what came of this: the gateway was stopped or the run ended "
    "while the tool was used. Do not assume that it happened, or that it did not."
)
"""Stands for a result that nobody has: the tool is not used again without being asked to."""


def legal(messages: Sequence[Said]) -> list[Said]:
    """Return *messages* so that every call is followed by its result, and no result is alone.

    A result whose call is not there, because the beginning was cut off, is left out; a
    missing one is `LOST`.  Source: what OpenAI and Anthropic refuse with 400.
    """
    taken: list[Said] = []
    place = 0
    while place < len(messages):
        said, place = messages[place], place + 1
        if said.role == "tool":
            continue
        taken.append(said)
        end = place
        while end < len(messages) and messages[end].role == "tool":
            end += 1
        taken += _results(said, messages[place:end])
        place = end
    return taken


def _results(said: Said, found: Iterable[Said]) -> list[Said]:
    """Return a result for each call of *said*, in the order of the calls."""
    by_call = {each.call_id: each for each in found}
    return [by_call.get(call.id) or Said("tool", LOST, call_id=call.id) for call in said.calls]


def spoken(messages: Iterable[Said]) -> tuple[Said, ...]:
    """Return what people and models have said in *messages*, without tools.

    For whoever must not see a tool's message without tools: summaries, for example.
    """
    return tuple(
        Said(each.role, each.content) for each in messages if each.content and each.role != "tool"
    )
