"""Conversations that every API accepts: each tool call with its result, and nothing else.  Pure.

A run that was killed between a call and its result, or a history that is cut in between,
leaves one without the other.  APIs refuse that, and so would every later message of the
session be refused.
"""

from collections.abc import Iterable, Iterator

import attrs

from gateway.agents.providers import Said


def paired(messages: Iterable[Said]) -> Iterator[Said]:
    """Yield *messages* without calls that have no result, and results that have no call.

    The results of a call stand right after it, in any order.
    """
    waiting = list(messages)
    while waiting:
        said = waiting.pop(0)
        if said.role == "tool":
            continue
        results = _results(waiting) if said.calls else []
        calls = tuple(c for c in said.calls if any(c.id == r.call_id for r in results))
        if said.content.strip() or calls or not said.calls:
            yield attrs.evolve(said, calls=calls)
        for call in calls:
            yield next(each for each in results if each.call_id == call.id)


def _results(following: list[Said]) -> list[Said]:
    """Take the results at the beginning of *following*."""
    count = next((n for n, said in enumerate(following) if said.role != "tool"), len(following))
    taken, following[:] = following[:count], following[count:]
    return taken
