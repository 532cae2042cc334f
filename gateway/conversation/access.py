"""Who may talk to an agent, and in which group it listens.  Pure.

Ids are compared exactly, an empty one is nobody's, and display names count for nothing.
Whoever was let in by a pairing code may write directly; in groups, where others read along,
only owners and those whom the configuration names are answered.
Source: S29, GHSA-25pw-4h6w-qwvm, GHSA-4rj2-gpmh-qq5x.
"""

from enum import StrEnum

import attrs

from gateway.channels.base import Inbound
from gateway.config.channels import Account, Group


class Role(StrEnum):
    """What somebody is to an account; the value is the provenance of his questions."""

    OWNER = "owner"
    """May approve others, and whatever agents ask to be approved."""
    USER = "user"
    """May talk."""


class Verdict(StrEnum):
    """What a message gets."""

    ANSWER = "answer"
    PAIR = "pair"
    """A code to show to an owner, and nothing else."""
    NOTHING = "nothing"


@attrs.frozen
class Judgement:
    """What a message gets, and what its sender is."""

    verdict: Verdict
    role: Role = Role.USER


NOTHING = Judgement(Verdict.NOTHING)


def judge(settings: Account, message: Inbound, paired: Role | None) -> Judgement:
    """Return what *message* gets; *paired* is what its sender was approved as, if he was."""
    sender = message.sender.id
    if not sender:
        return NOTHING
    if sender in settings.owners or paired is Role.OWNER:
        role, named = Role.OWNER, True
    else:
        role, named = Role.USER, sender in settings.allow
    if not message.direct:
        return _in_group(settings, message, Judgement(Verdict.ANSWER, role), named=named)
    if named or paired is not None or settings.strangers == "allow":
        return Judgement(Verdict.ANSWER, role)
    return Judgement(Verdict.PAIR) if settings.strangers == "pair" else NOTHING


def _in_group(settings: Account, message: Inbound, answer: Judgement, *, named: bool) -> Judgement:
    group = settings.groups.get(message.place.chat, Group(when=settings.when))
    if not named and group.who != "anyone":
        # No code either: it would be read by everybody in the group.
        return NOTHING
    if group.when == "always" or (group.when == "mention" and message.mentioned):
        return answer
    return NOTHING
