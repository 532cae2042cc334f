"""Which agent a message is for.  Pure.

Of the bindings that match, that wins which names the sender; then the chat; then the
account; then the channel.  With the same of these named they would have to be equal, and
the configuration refuses that, so there is never a tie and no order to think about.

Ids are compared exactly: no other case, no ending, no display name, and no id at all
matches only what names none.  Source: S29, GHSA-4rj2-gpmh-qq5x and its kin.
"""

from collections.abc import Iterable

import attrs

from gateway.config.bindings import Binding


@attrs.frozen
class Place:
    """Where a message has come from, in stable ids of its platform.

    *channel* is the platform and *account* the name of ours there.  *sender* is empty if
    the platform does not say who it was.
    """

    channel: str
    account: str
    chat: str
    sender: str = ""


def route(bindings: Iterable[Binding], place: Place) -> str | None:
    """Return the agent that is bound to *place*; `None` if none is: the default one."""
    best = max((each for each in bindings if _matches(each, place)), key=_specificity, default=None)
    return None if best is None else best.agent


def _matches(binding: Binding, place: Place) -> bool:
    there = (place.sender, place.chat, place.account, place.channel)
    return all(
        wanted is None or wanted == found
        for wanted, found in zip(binding.place, there, strict=True)
    )


def _specificity(binding: Binding) -> tuple[bool, ...]:
    return tuple(each is not None for each in binding.place)
