"""What a homeserver's answer means when it is no success.  Pure."""

from typing import Final

from gateway.channels.api import Reply, bounded_wait
from gateway.channels.base import (
    ChannelError,
    LostError,
    MarkupError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import clean
from gateway.channels.reading import text_at
from gateway.protocol.issues import shorten

GET_ANOTHER: Final = (
    "the homeserver does not accept the access token (any more):"
    " get a new one and put it into `token`, or give `user` and `password`"
)

NO_LOGIN: Final = (
    "the homeserver does not accept `user` and `password`:"
    " correct them, or give an access token as `token`"
)

NO_HOMESERVER: Final = (
    "this does not answer like a Matrix homeserver: `homeserver` must be the address for"
    " clients, the base_url in https://DOMAIN/.well-known/matrix/client"
)

OTHERWISE: Final = 5.0
"""Seconds to wait where a homeserver does not say how long; Synapse allows a message in five."""


def code_of(reply: Reply) -> str:
    """Return the ``errcode``, like ``M_FORBIDDEN``; empty if there is none."""
    return shorten(clean(text_at(reply.object, "errcode")))


def failure(reply: Reply, *, has_password: bool = False, formatted: bool = False) -> ChannelError:
    """Return what a reply means that is no success.

    *has_password*: we can log in again.  *formatted*: it was a message with HTML.
    """
    says = _says(reply)
    match reply.status:
        case 429:
            # Homeservers count what a user does, wherever he does it.
            return SlowDownError(wait_of(reply), "account")
        case 401 if has_password:
            return LostError(f"logged out: {says}")
        case 401:
            return RefusedForGoodError(f"{GET_ANOTHER} ({says})")
        case 400 if formatted:
            return MarkupError(says)
        case 400 | 403 | 404 | 413:
            return UndeliverableError(says)
        case _:
            return LostError(says, maybe_done=True)


def login_failure(reply: Reply) -> ChannelError:
    """Return what a reply to an attempt to log in means that is no success."""
    if reply.status == 429:
        return SlowDownError(wait_of(reply), "account")
    if reply.status in (400, 401, 403) and code_of(reply):
        return RefusedForGoodError(f"{NO_LOGIN} ({_says(reply)})")
    if reply.status == 404:
        return LostError(f"{NO_HOMESERVER} ({_says(reply)})")
    return LostError(_says(reply))


def wait_of(reply: Reply) -> float:
    """Return the seconds that a 429 tells us to wait."""
    # The header is newer and in whole seconds; many servers have only the other one.
    found = reply.object.get("retry_after_ms")
    if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0:
        return bounded_wait(found / 1000, OTHERWISE)
    return reply.wait(OTHERWISE)


def _says(reply: Reply) -> str:
    text = shorten(clean(text_at(reply.object, "error")).replace("\n", " "))
    return " ".join(each for each in (f"HTTP {reply.status}", code_of(reply), text) if each)
