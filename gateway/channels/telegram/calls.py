"""Calls of the Bot API, with each refusal as the error of channels that it is."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import attrs
import orjson

from gateway.channels.api import SECONDS, Api, Reply, bounded_wait
from gateway.channels.base import (
    ChannelError,
    LostError,
    MarkupError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import integer_at, object_at, text_at
from gateway.config.channels import Telegram as Settings
from gateway.protocol.issues import shorten
from gateway.web.client import MASK

UNKNOWN_BOT: Final = (
    "Telegram does not know this token (any more): get one from @BotFather, and set it as `token`"
)

_ALWAYS_THERE: Final = ("getMe", "getUpdates", "setWebhook", "deleteWebhook", "getWebhookInfo")
"""Methods that every server has: not found, it is the token that it does not find."""


class NotModifiedError(UndeliverableError):
    """A message is to be replaced by what it says already."""


class MovedError(UndeliverableError):
    """A group has become a supergroup and has another id, *chat*."""

    def __init__(self, chat: str) -> None:
        super().__init__(f"the group has a new id: {chat}")
        self.chat = chat


class OtherPollerError(LostError):
    """Somebody else polls with the same token."""

    def __init__(self) -> None:
        super().__init__(
            "another program reads this bot's messages with the same token: stop it, or get"
            " another bot from @BotFather (after a crash it may be our own old connection,"
            " which ends within a minute)"
        )


class WebhookSetError(LostError):
    """The bot's updates are posted to a webhook, so that they cannot be polled."""

    def __init__(self) -> None:
        super().__init__("a webhook is set for this bot")


@attrs.frozen(eq=False)
class BotApi:
    """The methods of one bot; each client of its own."""

    api: Api

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, transport: Any = None) -> AsyncIterator["BotApi"]:
        """Have it while the body runs.  The token is in every path, and in no error or log."""
        token = settings.token.value
        async with Api.opened(
            "Telegram", settings.api.rstrip("/"), masked=token, transport=transport
        ) as api:
            yield cls(api)

    async def call(self, method: str, *, seconds: float = SECONDS, **parameters: Any) -> Any:
        """Return the result of *method*; parameters that are `None` are left out.

        Raises every kind of `ChannelError`.
        """
        content = {name: value for name, value in parameters.items() if value is not None}
        path = f"/bot{MASK}/{method}"
        return result_of(
            method, await self.api.request("POST", path, seconds=seconds, json=content)
        )

    async def upload(
        self, method: str, files: Mapping[str, tuple[str, bytes, str]], **parameters: Any
    ) -> Any:
        """Do the same with *files*: by field their name, content and type."""
        fields = {name: _field(value) for name, value in parameters.items() if value is not None}
        path = f"/bot{MASK}/{method}"
        return result_of(method, await self.api.request("POST", path, data=fields, files=files))

    async def download(self, path: str, limit: int) -> bytes:
        """Return a file by the path that ``getFile`` gave; raises ``too-large``."""
        reply = await self.api.download(f"/file/bot{MASK}/{quote(path)}", limit)
        if not reply.ok:
            raise ChannelError(f"Telegram does not give the file ({reply.status})")
        return reply.body


def _field(value: Any) -> str:
    """Return *value* for a form: what is no string as JSON.  Source: "Making requests"."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def result_of(method: str, reply: Reply) -> Any:
    """Return the result in a reply; raises what the reply means."""
    found = reply.object
    if found.get("ok") is True and "result" in found:
        return found["result"]
    if found.get("ok") is not False:
        # A proxy's page, a captive portal, half a reply: nothing that Telegram said.
        raise LostError(f"Telegram answered {reply.status} without any JSON", maybe_done=True)
    code = integer_at(found, "error_code") or reply.status
    said = shorten(text_at(found, "description") or f"error {code}")
    raise _refusal(method, code, said, object_at(found, "parameters"))


def _refusal(method: str, code: int, said: str, parameters: Mapping[str, Any]) -> ChannelError:
    if code == 401 or (code == 404 and method in _ALWAYS_THERE):
        return RefusedForGoodError(UNKNOWN_BOT)
    if code == 409:
        return WebhookSetError() if "webhook" in said.lower() else OtherPollerError()
    if code == 429:
        return SlowDownError(bounded_wait(parameters.get("retry_after"), 1.0))
    if code >= 500:
        return LostError(f"Telegram has a fault: {said}", maybe_done=True)
    return _bad_request(said, parameters)


def _bad_request(said: str, parameters: Mapping[str, Any]) -> ChannelError:
    moved = integer_at(parameters, "migrate_to_chat_id")
    if moved is not None:
        return MovedError(str(moved))
    lowered = said.lower()
    if "message is not modified" in lowered:
        return NotModifiedError(said)
    if "can't parse entities" in lowered:
        return MarkupError(f"Telegram refuses: {said}")
    return UndeliverableError(f"Telegram refuses: {said}")
