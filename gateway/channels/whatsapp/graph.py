"""Calls of the Graph API, with each refusal as the error of channels that it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from gateway.channels.api import Api, Reply
from gateway.channels.base import (
    ChannelError,
    LostError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import integer_at, object_at, text_at
from gateway.config.channels import WhatsApp as Settings
from gateway.protocol.issues import shorten

WINDOW: Final = (
    "the person has not written for 24 hours: WhatsApp then takes only templates, which are"
    " not supported; it can go on when the person writes again"
)
"""Code 131047.  Source: "Customer service windows"."""

_NO_ACCESS: Final = (
    "Meta refuses the token: make one of a system user with whatsapp_business_messaging, which"
    " does not expire, and set it as `token`"
)

_TOKEN_CODES: Final = frozenset({0, 3, 10, 190, *range(200, 300)})
"""Expired, revoked, or without the permission."""

_LOCKED_CODES: Final = frozenset({368, 131031})

_LATER_CODES: Final = frozenset({1, 2, 131000, 131016, 133004})
"""Faults of theirs, whatever the status."""

_WAITS: Final = {131056: 6.0, 130429: 5.0, 80007: 60.0, 4: 60.0, 131048: 300.0}
"""Seconds to wait where nothing is said: to one person one message every 6 seconds goes."""

_PAIR: Final = 131056
"""Too many messages to one person; the other limits are those of the account."""

_HOSTS: Final = ("fbsbx.com", "facebook.com", "whatsapp.net")
"""Where Meta keeps files; below them the token may go, and nowhere else."""


@attrs.frozen(eq=False)
class Graph:
    """What belongs to one number."""

    api: Api
    root: str
    number: str

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, transport: Any = None) -> AsyncIterator["Graph"]:
        """Have it while the body runs; each has connections of its own."""
        headers = {"Authorization": f"Bearer {settings.token.value}"}
        root = settings.api.rstrip("/")
        async with Api.opened("WhatsApp", root, headers=headers, transport=transport) as api:
            yield cls(api, root, settings.phone_number_id)

    async def number_itself(self) -> dict[str, Any]:
        """Return what Meta says of the number."""
        fields = {"fields": "display_phone_number,verified_name"}
        return result_of(await self.api.request("GET", f"/{self.number}", params=fields))

    async def post_message(self, content: dict[str, Any]) -> dict[str, Any]:
        """Send a message, or say that one was read."""
        content = {"messaging_product": "whatsapp"} | content
        path = f"/{self.number}/messages"
        return result_of(await self.api.request("POST", path, json=content))

    async def upload(self, name: str, content: bytes, mime: str) -> str:
        """Have a file kept there, and return its id."""
        fields = {"messaging_product": "whatsapp", "type": mime}
        files = {"file": (name, content, mime)}
        path = f"/{self.number}/media"
        found = result_of(await self.api.request("POST", path, data=fields, files=files))
        if not (media := text_at(found, "id")):
            raise LostError("Meta does not say where the file is")
        return media

    async def describe(self, media: str) -> dict[str, Any]:
        """Return what Meta says of a file: ``url``, ``file_size``."""
        return result_of(await self.api.request("GET", f"/{media}"))

    async def download(self, url: str, limit: int) -> bytes:
        """Return a file; raises ``too-large``.  The address works for some minutes only."""
        if not self.is_trusted(url):
            raise UndeliverableError("the file is at an address that is none of Meta's")
        reply = await self.api.download(url, limit)
        if not reply.ok:
            raise ChannelError(f"Meta does not give the file ({reply.status})")
        return reply.body

    def is_trusted(self, url: str) -> bool:
        """Whether the token may go to *url*: by https to Meta, or to where the API is."""
        try:
            parts, root = urlsplit(url), urlsplit(self.root)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if "@" in parts.netloc:
            return False
        if (parts.scheme, host, port) == (root.scheme, root.hostname, root.port):
            return True
        metas = any(host == each or host.endswith(f".{each}") for each in _HOSTS)
        return parts.scheme == "https" and metas and port in (None, 443)


def result_of(reply: Reply) -> dict[str, Any]:
    """Return the object in a reply; raises what the reply means."""
    found = reply.object
    error = object_at(found, "error")
    if reply.ok and found and not error:
        return found
    if not error:
        raise LostError(f"Meta answered {reply.status} without any JSON", maybe_done=True)
    raise refusal(reply, error)


def refusal(reply: Reply, error: dict[str, Any]) -> ChannelError:
    """Return what an error means.  Meta advises to go by the code.  Source: "Error codes"."""
    code = integer_at(error, "code")
    said = shorten(text_at(error, "error_data", "details") or text_at(error, "message"))
    if reply.status == 401 or code in _TOKEN_CODES:
        return RefusedForGoodError(f"{_NO_ACCESS} ({said})")
    if code in _LOCKED_CODES:
        return RefusedForGoodError(f"Meta has locked the account: {said}")
    if code in _WAITS or reply.status == 429:
        after = reply.wait(_WAITS.get(code or 0, 5.0))
        return SlowDownError(after, "chat" if code == _PAIR else "account")
    if reply.status >= 500 or code in _LATER_CODES:
        return LostError(f"Meta has a fault: {said}", maybe_done=True)
    return UndeliverableError(WINDOW if code == 131047 else f"WhatsApp refuses: {said}")
