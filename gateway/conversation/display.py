"""Shows that an answer is on its way: a reaction, typing, and the answer as it grows.

Nothing here matters to delivery: what cannot be shown is not shown, and the whole answer is
sent by the outbox in any case.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import structlog
import trio

from gateway.channels.base import (
    SEND_SECONDS,
    Channel,
    ChannelError,
    LostError,
    Outbound,
    Place,
    SlowDownError,
)
from gateway.channels.formatting import clean, size_of, split
from gateway.errors import UnavailableError

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 1.0
"""An answer that is there sooner is simply sent."""

LEAST_SECONDS: Final = 1.0
"""Between two edits, whatever the platform says: more often nobody reads."""

MORE: Final = " ..."
"""Ends a text that is not finished."""

OFF_SECONDS: Final = 2.0
"""For taking back the sign of typing, also when everything stops."""


async def show_typing(channel: Channel, place: Place) -> None:
    """Show that somebody types until cancelled, and then that nobody does any more."""
    seconds = channel.abilities.typing_seconds
    if not seconds:
        return
    try:
        while True:
            try:
                with trio.move_on_after(seconds):
                    await channel.typing(place, on=True)
            except SlowDownError as error:
                await trio.sleep(error.after)
            # Renewed a little before it goes out.
            await trio.sleep(seconds * 0.8)
    except ChannelError as error:
        log.debug("typing is not shown", why=error.message)
    finally:
        with trio.move_on_after(OFF_SECONDS, shield=True):
            await _stop_typing(channel, place)


async def show_reaction(channel: Channel, place: Place, message_id: str, emoji: str) -> None:
    """Put *emoji* to a message, if there is one and the platform can do that."""
    if not emoji or not channel.abilities.reactions:
        return
    try:
        with trio.move_on_after(SEND_SECONDS):
            await channel.react(place, message_id, emoji)
    except ChannelError as error:
        log.debug("a reaction is not shown", why=error.message)


async def _stop_typing(channel: Channel, place: Place) -> None:
    try:
        await channel.typing(place, on=False)
    except ChannelError as error:
        log.debug("typing is shown a little longer", why=error.message)


@attrs.define(eq=False)
class Preview:
    """Shows the beginning of an answer while it grows.

    *text* returns what there is of it.  *note* is told the platform's id of the message
    that shows it, before anything else happens to that message; it may raise
    `UnavailableError`.
    """

    channel: Channel
    place: Place
    key: str
    text: Callable[[], str]
    note: Callable[[str], Awaitable[None]]
    reply_to: str | None = None
    message_id: str | None = None
    """The message that shows it, if there is one yet."""
    _shown: str = attrs.field(default="", init=False)

    async def run(self) -> None:
        """Show what is new, as often as the platform likes it, until cancelled."""
        seconds = max(self.channel.abilities.edit_seconds, LEAST_SECONDS)
        await trio.sleep(FIRST_SECONDS)
        try:
            while True:
                try:
                    await self._show()
                except SlowDownError as error:
                    await trio.sleep(error.after)
                await trio.sleep(seconds)
        except (ChannelError, UnavailableError) as error:
            log.debug("an answer is not shown as it grows", why=error.message)

    async def _show(self) -> None:
        text = first_part(self.channel, self.text())
        if not text or text == self._shown:
            return
        if self.channel.abilities.edits:
            await self._show_message(text)
        else:
            with trio.move_on_after(SEND_SECONDS):
                await self.channel.draft(self.place, self.key, text)
        self._shown = text

    async def _show_message(self, text: str) -> None:
        message = Outbound(self.place, text, self.key, reply_to=self.reply_to, markup=False)
        if self.message_id is not None:
            with trio.move_on_after(SEND_SECONDS):
                await self.channel.edit(self.place, self.message_id, message)
            return
        # Not cut off: nobody would know which message is to be replaced by the answer.
        with trio.move_on_after(SEND_SECONDS, shield=True):
            self.message_id = await self.channel.send(message)
            await self.note(self.message_id)
        if self.message_id is None:
            # Shown or not, nobody knows: another one would be one too many.
            raise LostError("no answer to the beginning of an answer", maybe_done=True)


def first_part(channel: Channel, text: str) -> str:
    """Return what of *text* fits into one message, with a mark that there will be more."""
    abilities = channel.abilities
    room = attrs.evolve(abilities, length=abilities.length - size_of(abilities)(MORE))
    # A long answer is looked at once a second: no more of it than may be shown.
    parts = split(clean(text[: 2 * abilities.length]), room)
    return parts[0] + MORE if parts else ""


def can_show(channel: Channel, *, direct: bool) -> bool:
    """Whether an answer can be shown as it grows."""
    return channel.abilities.edits or (channel.abilities.drafts and direct)
