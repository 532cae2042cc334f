"""What comes for a bot: polled, or posted to a webhook."""

import hmac
from collections.abc import Callable
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.channels.base import (
    Inbound,
    Link,
    LostError,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import integer_at, text_at
from gateway.channels.telegram.calls import BotApi, WebhookSetError
from gateway.channels.telegram.updates import Me, moved, read_message
from gateway.protocol.issues import shorten
from gateway.web.client import parsed
from gateway.web.hooks import HookAnswer, HookRequest, UnverifiedError

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 20
"""How long Telegram waits for an update before it says that there is none."""

POLL_MARGIN: Final = 8.0
"""For the way there and back; with it a silent line is noticed within 30 s."""

BATCH: Final = 50
"""Updates of one poll: at the very worst some hundred KiB each, and replies are bounded."""

LONGEST_PAUSE: Final = 25.0
"""Most seconds that a poll waits when told to, or the account would count as stalled."""

WATCH_SECONDS: Final = 20.0
"""Between looks at a webhook that is set: nothing else says that Telegram is there."""

UPDATES: Final = ("message",)
"""What we ask for: edits, reactions and posts of channels are not answered anyway."""


@attrs.frozen(eq=False)
class Intake:
    """Gives updates to *link*; *note_move* is told old and new id of a group that moves."""

    me: Me
    link: Link
    note_move: Callable[[str, str], None]

    async def take(self, updates: list[Any], cursor: str | None = None) -> None:
        """Have the messages in *updates* taken; what is none of ours is passed over."""
        messages: list[Inbound] = []
        for update in updates:
            if change := moved(update):
                self.note_move(*change)
            if message := read_message(update, self.me):
                messages.append(message)
        await self.link.accept(*messages, cursor=cursor)

    # -- polling ------------------------------------------------------------------------

    async def poll(self, api: BotApi) -> None:
        """Receive until cancelled.  *api* has a connection that nobody else uses.

        What Telegram has kept for us (up to 24 hours) is taken, also the first time: what
        is too old to be answered is told by its time.
        """
        # The first does not wait: only a poll that works shows that nobody else polls.
        offset = await self._poll_once(api, read_offset(self.link.cursor), wait=0)
        self.link.connected(self.me.identity)
        while True:
            offset = await self._poll_once(api, offset, wait=POLL_SECONDS)

    async def _poll_once(self, api: BotApi, offset: int | None, *, wait: int) -> int | None:
        """Take what there is and return the offset of the next poll, which confirms it."""
        try:
            updates = await self._updates(api, offset, wait)
        except SlowDownError as error:
            if error.after > LONGEST_PAUSE:
                raise LostError(error.message) from None
            self.link.alive()
            await trio.sleep(error.after)
            return offset
        if not updates:
            self.link.alive()
            return offset
        numbers = [number for each in updates if (number := integer_at(each, "update_id"))]
        if not numbers:
            raise LostError("Telegram sent updates without ids")
        # Not the largest ever: after a week of silence Telegram counts from anywhere.
        offset = max(numbers) + 1
        await self.take(updates, str(offset))
        return offset

    async def _updates(self, api: BotApi, offset: int | None, wait: int) -> list[Any]:
        try:
            return await _get_updates(api, offset, wait)
        except WebhookSetError:
            log.warning("a webhook of this bot is removed, as it is to be polled")
            # What waits to be posted is kept for the poll.
            await api.call("deleteWebhook", drop_pending_updates=False)
        return await _get_updates(api, offset, wait)

    # -- webhook ------------------------------------------------------------------------

    async def receive_posts(self, api: BotApi, address: str, secret: str) -> None:
        """Have Telegram post to *address* until cancelled, and see that it goes on doing so.

        The webhook stays when we stop: then Telegram keeps what comes, and tries again.
        """

        async def receive(request: HookRequest) -> HookAnswer:
            return await self._receive(request, secret)

        with self.link.receive_hook(receive):
            await _set_webhook(api, address, secret)
            self.link.connected(self.me.identity)
            while True:
                await trio.sleep(WATCH_SECONDS)
                info = await api.call("getWebhookInfo")
                if text_at(info, "url") != address:
                    raise LostError("another program has changed the webhook of this bot")
                self.link.alive()
                if integer_at(info, "pending_update_count") and text_at(info, "last_error_message"):
                    why = shorten(text_at(info, "last_error_message"))
                    log.warning("Telegram cannot post updates to us", why=why)

    async def _receive(self, request: HookRequest, secret: str) -> HookAnswer:
        shown = request.headers.get("x-telegram-bot-api-secret-token", "")
        if not hmac.compare_digest(shown.encode(), secret.encode()):
            raise UnverifiedError
        # Answered when it is on the disk, and not before: else it comes again.
        await self.take([parsed(request.body)])
        return HookAnswer()


async def _get_updates(api: BotApi, offset: int | None, wait: int) -> list[Any]:
    found = await api.call(
        "getUpdates",
        seconds=wait + POLL_MARGIN,
        offset=offset,
        limit=BATCH,
        timeout=wait,
        allowed_updates=UPDATES,
    )
    if not isinstance(found, list):
        raise LostError("Telegram sent no list of updates")
    return found


async def _set_webhook(api: BotApi, address: str, secret: str) -> None:
    try:
        await api.call(
            "setWebhook",
            url=address,
            secret_token=secret,
            allowed_updates=UPDATES,
            drop_pending_updates=False,
            # One after the other, or messages would overtake each other.
            max_connections=1,
        )
    except UndeliverableError as error:
        raise RefusedForGoodError(f"the webhook is not taken: {error.message}") from None


def read_offset(cursor: str | None) -> int | None:
    """Return the offset in a cursor; `None` for one that is none of ours."""
    try:
        offset = int(cursor or "")
    except ValueError:
        return None
    return offset if 0 < offset < 2**31 else None
