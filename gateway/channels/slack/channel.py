"""An app on Slack as a `gateway.channels.base.Channel`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import orjson
import trio

from gateway.channels.api import Api
from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Link,
    LostError,
    Outbound,
    Place,
    Probe,
    RefusedForGoodError,
    UndeliverableError,
)
from gateway.channels.mending import mending
from gateway.channels.post import unix_time
from gateway.channels.reading import text_at
from gateway.channels.slack.events import Me
from gateway.channels.slack.markup import escape, to_mrkdwn
from gateway.channels.slack.posts import Posts
from gateway.channels.slack.socket import SocketMode
from gateway.channels.slack.web import Web
from gateway.channels.sockets import Connect, connect_tcp
from gateway.config.channels import Slack as Settings
from gateway.web.addresses import is_https_at

FILE_HOSTS: Final = frozenset({"files.slack.com"})
"""Where Slack keeps files: the token goes nowhere else, whatever a message says."""

POLL_SECONDS: Final = 25.0
"""Between two questions whether Slack is there, where it posts to us and nothing else shows."""

UPLOAD_BYTES: Final = 20_000_000
"""Slack takes 1 GB; a send has 10 s."""

EMOJI: Final = {
    "\N{EYES}": "eyes",
    "\N{WHITE HEAVY CHECK MARK}": "white_check_mark",
    "\N{CROSS MARK}": "x",
    "\N{THUMBS UP SIGN}": "+1",
    "\N{HOURGLASS}": "hourglass",
    "\N{THINKING FACE}": "thinking_face",
    "\N{WARNING SIGN}": "warning",
}
"""Slack wants names."""

ABILITIES: Final = Abilities(
    length=3500,  # with everything escaped still below the 40 000 that Slack takes
    edits=True,
    reactions=True,
    edit_seconds=1.5,  # tier 3: 50 a minute
    typing_seconds=60.0,  # Slack takes a status away after two minutes
    media_bytes=UPLOAD_BYTES,
)


def make(settings: Settings) -> Channel:
    """Return the channel of an app."""
    return App(settings)


@attrs.define(eq=False)
class App(Channel):
    """An app.  *transport*, *connect* and *now* replace the world, for tests."""

    settings: Settings
    transport: Any = None
    connect: Connect = connect_tcp
    now: Callable[[], float] = unix_time
    abilities: Abilities = ABILITIES
    _web: Web | None = attrs.field(default=None, init=False)
    _files: Api | None = attrs.field(default=None, init=False)
    _shows_status: bool = attrs.field(default=True, init=False)

    @asynccontextmanager
    async def _opened(self, token: str, base: str | None = None) -> AsyncIterator[Api]:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        root = self.settings.api.rstrip("/") if base is None else base
        async with Api.opened("Slack", root, headers=headers, transport=self.transport) as api:
            yield api

    async def run(self, link: Link) -> None:
        """Receive until something fails."""
        token = self.settings.bot_token.value
        async with self._opened(token) as api, self._opened(token, "") as files:
            self._web, self._files = Web(api), files
            async with mending("Slack"):
                await self._receive(link, self._web)

    async def _receive(self, link: Link, web: Web) -> None:
        me = await self._who(web)
        if self.settings.app_token is not None:
            async with self._opened(self.settings.app_token.value) as api:
                await SocketMode(link, me, lambda: self._ticket(Web(api)), self.connect).run()
        if self.settings.signing_secret is None:
            raise RefusedForGoodError(
                "set app_token (Socket Mode) or signing_secret (Events API) for Slack"
            )
        posts = Posts(link, me, self.settings.signing_secret.value, self.now)
        with link.receive_hook(posts.receive):
            link.connected(me.name)
            while True:
                await trio.sleep(POLL_SECONDS)
                await self._who(web)
                link.alive()

    async def _ticket(self, web: Web) -> str:
        url = text_at(await web.call("apps.connections.open"), "url")
        if self.settings.api.startswith("https:") and not url.startswith("wss://"):
            raise LostError("Slack gave an address without TLS")
        return url

    @staticmethod
    async def _who(web: Web) -> Me:
        found = await web.call("auth.test")
        user = text_at(found, "user_id")
        if not user:
            raise LostError("Slack did not say who the app is")
        name = f"{text_at(found, 'user')[:100]} in {text_at(found, 'team')[:100]}"
        return Me(user, text_at(found, "bot_id"), name)

    @property
    def web(self) -> Web:
        """The Web API as the bot; only while connected."""
        if self._web is None:
            raise LostError("not connected to Slack")
        return self._web

    async def send(self, message: Outbound) -> str:
        """Send a message, with its file if it has one."""
        if message.media is not None:
            return await self._upload(message)
        place = message.place
        sent = await self.web.call(
            "chat.postMessage",
            channel=place.chat,
            thread_ts=place.thread,
            text=_text(message),
            mrkdwn="true" if message.markup else "false",
            unfurl_links="false",
        )
        return f"{place.chat}:{text_at(sent, 'ts')}"

    async def _upload(self, message: Outbound) -> str:
        media = message.media
        assert media is not None
        content = await media.read(ABILITIES.media_bytes)
        slot = await self.web.call(
            "files.getUploadURLExternal", filename=media.name, length=str(len(content))
        )
        url, file = text_at(slot, "upload_url"), text_at(slot, "file_id")
        if self._files is None or not is_https_at(url, FILE_HOSTS):
            raise UndeliverableError("Slack wants the file somewhere else than at Slack")
        reply = await self._files.request("POST", url, content=content)
        if not reply.ok:
            raise LostError(f"Slack did not take the file (HTTP {reply.status})")
        await self.web.call(
            "files.completeUploadExternal",
            files=orjson.dumps([{"id": file, "title": media.name}]).decode(),
            channel_id=message.place.chat,
            thread_ts=message.place.thread,
            initial_comment=_text(message) or None,
        )
        return f"{message.place.chat}:{file}"

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace the text of a message; Slack formats it, whether it was meant so or not."""
        ts = _ts(message_id)
        await self.web.call("chat.update", channel=place.chat, ts=ts, text=_text(message))

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show a status in threads with an assistant; elsewhere Slack has nothing like it."""
        if place.thread is None or not place.chat.startswith("D") or not self._shows_status:
            return
        try:
            await self.web.call(
                "assistant.threads.setStatus",
                channel_id=place.chat,
                thread_ts=place.thread,
                status="is thinking..." if on else "",
            )
        except UndeliverableError:
            # The app is no assistant: not worth asking again.
            self._shows_status = False

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message; Slack knows some hundred, we know those we use."""
        name = EMOJI.get(emoji)
        if name is None:
            raise UndeliverableError(f"there is no name of Slack's for {emoji!r}")
        await self.web.call(
            "reactions.add", channel=place.chat, timestamp=_ts(message_id), name=name
        )

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return a file from Slack's own servers."""
        if self._files is None:
            raise LostError("not connected to Slack")
        if not is_https_at(attachment.ref, FILE_HOSTS):
            raise UndeliverableError("the file is not on a server of Slack's")
        reply = await self._files.download(attachment.ref, limit)
        # Without the permission files:read comes a page to log in, with 200 or a redirect.
        if not reply.ok or (
            reply.headers.get("content-type", "").startswith("text/html")
            and attachment.mime != "text/html"
        ):
            raise UndeliverableError("Slack does not give the file; the app needs files:read")
        return reply.body

    async def probe(self) -> Probe:
        """Ask who the app is."""
        return Probe((await self._who(self.web)).name)


def _text(message: Outbound) -> str:
    return to_mrkdwn(message.text) if message.markup else escape(message.text)


def _ts(message_id: str) -> str:
    return message_id.rpartition(":")[2]
