"""The Events API: what Slack posts to us, once it is proven that it is Slack.

Source: Verifying requests from Slack; Events API, Responding to events.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import attrs
import structlog

from gateway.channels.base import Link
from gateway.channels.reading import text_at
from gateway.channels.slack.events import Me, read_event
from gateway.web.client import parsed
from gateway.web.hooks import HookAnswer, HookRequest, UnverifiedError

log = structlog.get_logger(__name__)

OLDEST: Final = 300.0
"""Seconds that the clock of a request may be off; an older one may be a replay."""


def fail_if_forged(request: HookRequest, secret: str, now: float) -> None:
    """Raise `UnverifiedError` unless *request* was signed with *secret* lately."""
    stamp = request.headers.get("x-slack-request-timestamp", "")
    given = request.headers.get("x-slack-signature", "")
    # Ten digits: no other text is a time of this century.
    fresh = stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12
    if not fresh or abs(now - int(stamp)) > OLDEST:
        raise UnverifiedError
    signed = b"v0:" + stamp.encode() + b":" + request.body
    right = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
        raise UnverifiedError


@attrs.define(eq=False)
class Posts:
    """Takes what is posted; *now* is Unix time, for stamps that another machine made."""

    link: Link
    me: Me
    secret: str = attrs.field(repr=False)
    now: Callable[[], float]

    async def receive(self, request: HookRequest) -> HookAnswer:
        """Answer one post; a message is on the disk by then, and a repeat of it is dropped."""
        fail_if_forged(request, self.secret, self.now())
        payload: Any = parsed(request.body)
        kind = text_at(payload, "type")
        if kind == "url_verification":
            return HookAnswer(200, text_at(payload, "challenge")[:1000].encode())
        if kind == "event_callback":
            message = read_event(payload, self.me)
            if message is not None:
                await self.link.accept(message)
        return HookAnswer()
