"""What the close codes of Discord's Gateway mean for us.  Pure."""

from collections.abc import Mapping
from typing import Final

from gateway.channels.base import LostError, RefusedForGoodError
from gateway.channels.sockets import TOO_BIG, ClosedError

KEEPING: Final = 4000
"""The code with which we close, also at a shutdown: 1000 and 1001 would end the session, and
what is written while we are away would be lost.  Source: Gateway, Initiating a Disconnect."""

FATAL: Final[Mapping[int, str]] = {
    4004: "does not know the token; set a new one (Developer Portal, Bot, Reset Token)",
    4010: "says that the shard is wrong, which is a fault of this program",
    4011: "wants sharding: the bot is in too many servers for this program",
    4012: "no longer speaks version 10 of its Gateway: update this program",
    4013: "does not know the intents that were asked for, which is a fault of this program",
    4014: (
        "does not let the bot read messages; switch on Message Content Intent "
        "(Developer Portal, Bot, Privileged Gateway Intents)"
    ),
}
"""Codes after which trying again is of no use.  Source: Gateway Close Event Codes."""

SESSION_OVER: Final = frozenset({4007, 4009})
"""The number of the event is unknown, the session has timed out: only a new one helps."""


def is_session_over(error: ClosedError) -> bool:
    """Return whether the session is not to be resumed.

    `TOO_BIG`: one event was larger than we take, and would come again and again.
    """
    return error.code in SESSION_OVER or error.code == TOO_BIG


def meaning(error: ClosedError) -> LostError | RefusedForGoodError:
    """Return what to raise after the end *error*."""
    if error.code in FATAL:
        return RefusedForGoodError(f"Discord {FATAL[error.code]} (close code {error.code})")
    return error
