"""Slack's Web API, with every ``ok: false`` as one of the channel's errors."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from gateway.channels.api import Api
from gateway.channels.base import (
    ChannelError,
    LostError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import text_at

FATAL: Final[Mapping[str, str]] = {
    "invalid_auth": "does not know the token; copy it again (OAuth & Permissions, or Basic "
    "Information for the app-level token)",
    "not_authed": "got no token",
    "account_inactive": "says that the app was removed from the workspace; install it again",
    "token_revoked": "says that the token was revoked; install the app again and copy the new one",
    "token_expired": "says that the token has expired; switch off token rotation for the app",
    "not_allowed_token_type": "wants the other token: bot_token begins with xoxb-, app_token "
    "with xapp-",
    "missing_scope": "misses a permission of the app; add it (OAuth & Permissions, Scopes), and "
    "install the app again",
}
"""Errors after which trying again is of no use, and what to do."""

PASSING: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
"""Errors of Slack's own; what was asked may have been done."""

OPTIONAL: Final = frozenset({"reactions.add", "assistant.threads.setStatus", "chat.update"})
"""Without a permission for these everything else works."""


@attrs.define(eq=False)
class Web:
    """The Web API with one token."""

    api: Api

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to *method*; params that are `None` are left out.

        Raises what the errors of Slack mean for the channel.
        """
        form = {key: value for key, value in params.items() if value is not None}
        reply = await self.api.request("POST", f"/{method}", data=form)
        if reply.status == 429:
            raise SlowDownError(reply.wait(), "chat")
        if reply.status >= 500:
            raise LostError(f"Slack answered with HTTP {reply.status}", maybe_done=True)
        if reply.object.get("ok") is True:
            return reply.object
        error = text_at(reply.object, "error")
        if error in ("ratelimited", "rate_limited"):
            raise SlowDownError(reply.wait(), "chat")
        raise _meaning(method, error, text_at(reply.object, "needed"))


def _meaning(method: str, error: str, needed: str) -> ChannelError:
    if error in FATAL and not (error == "missing_scope" and method in OPTIONAL):
        which = f": {_word(needed)}" if needed else ""
        return RefusedForGoodError(f"Slack {FATAL[error]} ({error}{which})")
    if error in PASSING or not error:
        return LostError(f"{method} failed at Slack ({_word(error)})", maybe_done=True)
    return UndeliverableError(f"Slack refuses {method}: {_word(error)}")


def _word(text: str) -> str:
    """Return an error's name: never what else may be in the place of it."""
    return "".join(c for c in text if c.isascii() and (c.isalnum() or c in "_:,.-"))[:100] or "?"
