"""What of a conversation a model is shown: as much of the end as fits into its window.  Pure.

Whole turns are left out, the oldest first: a turn is a question with everything up to the
next one, so a tool's result never loses the call that it belongs to.  What always stays is
the last turn, and the summary of what was compacted, cut if they do not fit together.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from gateway.agents.providers import Said, Turn
from gateway.agents.tokens import estimate

FRAME: Final = 6.0
"""Tokens of the marks around each message: role, beginning and end; OpenAI's are 4."""

IMAGE: Final = 1600.0
"""Tokens of an image: the most that one costs at Anthropic; OpenAI's cost about as much."""

SUMMARY: Final = 0.5
"""Share of the room that a summary may always have; beyond, it is cut so that the last turn
fits: some models repeat everything instead."""

CUT: Final = "…"
"""Ends a summary that was cut."""

RESULT: Final = "(This result was left out: it does not fit into the context.)"
"""Stands for a tool's result where even the last turn alone is too long."""


def fit(turn: Turn, room: float) -> Turn:
    """Return *turn* with as many of its last turns as have *room* estimated tokens.

    If the last alone is too long, results of tools in it are left out, the oldest first.
    The question itself is never touched; whether it fits is the provider's to say.
    """
    if room == float("inf"):
        return turn
    pinned, turns = _split(turn.messages)
    last = turns.pop() if turns else ()
    room -= base(turn)
    needed = sum(map(cost, last))
    pinned = tuple(_cut(said, max(room * SUMMARY, room - needed)) for said in pinned)
    room -= sum(map(cost, pinned))
    left = room - needed
    kept: list[Said] = []
    for each in reversed(turns):
        left -= sum(map(cost, each))
        if left < 0:
            break
        kept[:0] = each
    if not kept and left < 0:
        last = _without_results(last, room)
    return attrs.evolve(turn, messages=(*pinned, *kept, *last))


def size(turn: Turn) -> float:
    """Return about how many tokens *turn* has."""
    return base(turn) + sum(map(cost, turn.messages))


def base(turn: Turn) -> float:
    """Return the tokens of what comes with every question: the prompt and the tools."""
    tools = sum(
        estimate(f"{each.name} {each.description} {each.parameters}") for each in turn.tools
    )
    return FRAME + estimate(turn.system_prompt) + tools


def cost(said: Said) -> float:
    """Return the tokens of a message, with what it wants done."""
    calls = sum(FRAME + estimate(each.name) + estimate(each.arguments) for each in said.calls)
    return FRAME + estimate(said.content) + calls + IMAGE * len(said.images)


def _split(messages: Sequence[Said]) -> tuple[tuple[Said, ...], list[tuple[Said, ...]]]:
    """Return the summary in front, if any, and the turns; the first may lack its question."""
    start = next((n for n, each in enumerate(messages) if each.role != "system"), len(messages))
    return tuple(messages[:start]), [tuple(each) for each in _turns(messages[start:])]


def _turns(messages: Sequence[Said]) -> Iterator[list[Said]]:
    turn: list[Said] = []
    for said in messages:
        if said.role == "user" and turn:
            yield turn
            turn = []
        turn.append(said)
    if turn:
        yield turn


def _cut(said: Said, most: float) -> Said:
    """Return *said* with as much of its beginning as *most* tokens may be."""
    text = said.content
    # Letters are not alike, so one step may not be enough.
    while text and (spent := cost(attrs.evolve(said, content=text))) > most:
        share = max(0.0, most - FRAME - estimate(CUT)) / spent
        text = text[: int(len(text) * share)]
    return said if text == said.content else attrs.evolve(said, content=text + CUT)


def _without_results(turn: Sequence[Said], room: float) -> tuple[Said, ...]:
    """Return *turn* with results left out, the oldest first, until it fits into *room*."""
    shortened = list(turn)
    excess = sum(map(cost, turn)) - room
    for number, said in enumerate(turn):
        if excess <= 0:
            break
        if said.role == "tool" and len(said.content) > len(RESULT):
            shortened[number] = attrs.evolve(said, content=RESULT)
            excess -= cost(said) - cost(shortened[number])
    return tuple(shortened)
