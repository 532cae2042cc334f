"""Discord's REST API, within its limits, with every refusal as one of the channel's errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import structlog
import trio

from gateway import __version__
from gateway.channels.api import Api, Reply, bounded_wait
from gateway.channels.base import (
    LostError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.discord.closes import FATAL
from gateway.channels.discord.limits import Limits, Route
from gateway.config.channels import Discord as Settings

log = structlog.get_logger(__name__)

USER_AGENT: Final = f"DiscordBot (https://pypi.org/project/assistant-gateway, {__version__})"
"""In the form that Discord asks for; without it Cloudflare refuses.  Source: Reference."""

SHORT_WAIT: Final = 4.0
"""Longest wait for a bucket on the spot: most refill within 5 s, and a send may take 10."""

UNKNOWN_TOKEN: Final = f"Discord {FATAL[4004]}"


@attrs.define(eq=False)
class Rest:
    """The API for one bot; several tasks may ask at once."""

    api: Api
    limits: Limits = attrs.field(factory=Limits)
    _refused: bool = attrs.field(default=False, init=False)

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, transport: Any = None) -> AsyncIterator["Rest"]:
        """Have the API while the body runs; *transport* replaces the network, for tests."""
        headers = {"Authorization": f"Bot {settings.token.value}", "User-Agent": USER_AGENT}
        async with Api.opened(
            "Discord", settings.api.rstrip("/"), headers=headers, transport=transport
        ) as api:
            yield cls(api)

    async def ask(self, route: Route, **content: Any) -> Reply:
        """Return the answer if it is one of success.

        *content* is what httpx takes.  Raises `SlowDownError` without asking while Discord
        wants that, and `RefusedForGoodError` for ever after it has not known the token.
        """
        await self._wait_for(route)
        self.limits.begin(route, trio.current_time())
        reply = await self.api.request(route.method, route.path, **content)
        self.limits.learn(route, reply.headers, trio.current_time())
        if not reply.ok:
            raise self._refusal(route, reply)
        return reply

    async def _wait_for(self, route: Route) -> None:
        while True:
            if self._refused:
                raise RefusedForGoodError(UNKNOWN_TOKEN)
            now = trio.current_time()
            wait = self.limits.wait(route, now)
            if wait <= 0:
                return
            if wait > SHORT_WAIT:
                for_all = self.limits.wait_for_all(now) >= wait
                raise SlowDownError(wait, "account" if for_all else "chat")
            await trio.sleep(wait)

    def _refusal(self, route: Route, reply: Reply) -> Exception:
        said = _said(reply)
        if reply.status == 429:
            return self._slow_down(route, reply)
        if reply.status >= 500:
            return LostError(f"Discord answered with HTTP {reply.status}", maybe_done=True)
        if reply.status in (401, 403):
            self.limits.fail(trio.current_time())
        if reply.status == 401:
            # Not once more: too many of these and Discord bans the address.
            self._refused = True
            return RefusedForGoodError(UNKNOWN_TOKEN)
        return UndeliverableError(f"Discord refuses it: {said}")

    def _slow_down(self, route: Route, reply: Reply) -> SlowDownError:
        now = trio.current_time()
        scope = reply.headers.get("x-ratelimit-scope", "user")
        after = bounded_wait(reply.object.get("retry_after"), reply.wait())
        if scope != "shared":
            self.limits.fail(now)
        # Without JSON it is Cloudflare, before Discord: it counts by address.
        for_all = reply.object.get("global") is True or scope == "global" or not reply.object
        if for_all:
            self.limits.block_all(now + after)
        else:
            self.limits.block(route, now + after)
        return SlowDownError(after, "account" if for_all else "chat")


def _said(reply: Reply) -> str:
    """Return what the answer says for people, without its details: they repeat our text."""
    message, code = reply.object.get("message"), reply.object.get("code")
    text = "".join(c for c in message if c.isprintable())[:200] if isinstance(message, str) else ""
    number = f" ({code})" if isinstance(code, int) else ""
    return (text or f"HTTP {reply.status}") + number
