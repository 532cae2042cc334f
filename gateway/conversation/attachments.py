"""Files that come with messages: fetched once, stored, and named to the agent.

What became of them is written down before the agent is asked: the question names them, and
a question that is asked again has to be the same.
"""

from typing import Final

import attrs
import structlog
import trio

from gateway.channels import inbox
from gateway.channels.account import Account
from gateway.channels.base import Attachment
from gateway.channels.inbox import Entry, Kept
from gateway.channels.post import Post
from gateway.errors import GatewayError
from gateway.storage.media import MediaFiles, tidy_name

log = structlog.get_logger(__name__)

FILES: Final = 10
"""Most files of one message that are fetched: what Telegram and Discord show as one group."""

FETCH_SECONDS: Final = 30.0
"""For all files of a message: 20 MB take that over a slow line, and a person still waits."""

AT_ONCE: Final = 4
"""Files that are fetched at the same time, for they are in memory until they are stored."""

SLOW: Final = f"could not be fetched within {FETCH_SECONDS:g} seconds"


@attrs.define(eq=False)
class Attachments:
    """Fetches and stores what is attached to messages."""

    media: MediaFiles
    post: Post
    _fetching: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(AT_ONCE), init=False
    )

    async def keep(self, account: Account, entry: Entry, *, fetch: bool = True) -> Entry:
        """Return *entry* with what became of its attachments, which does not change again.

        Without *fetch* it makes do with those that are stored already.

        Takes hardly longer than `FETCH_SECONDS`; a file that was not fetched until then is
        done without.  Cancelled, it begins again, without what is stored already.  Raises
        `UnavailableError` if nothing can be written down.
        """
        if entry.files is not None or not entry.message.attachments:
            return entry
        until = trio.current_time() + (FETCH_SECONDS if fetch else 0.0)
        kept = [
            await self._keep(account, entry, place, until)
            for place in range(len(entry.message.attachments))
        ]
        written = await self.post.database.write(lambda sql: inbox.note_files(sql, entry.id, kept))
        return attrs.evolve(entry, files=written)

    async def _keep(self, account: Account, entry: Entry, place: int, until: float) -> Kept:
        assert account.settings is not None
        limit, attachment = account.settings.media_bytes, entry.message.attachments[place]
        if why := _refused(attachment, place, limit):
            return Kept(None, why)
        if found := await self.media.of((entry.id, place)):
            return Kept(found.id)
        try:
            with trio.move_on_at(until):
                return await self._fetch(account, entry, place, limit)
        except GatewayError as error:
            if error.kind == "too-large":
                return Kept(None, _too_large(limit))
            log.warning("a file was not taken", channel=account.id, why=error.message)
            return Kept(None, "could not be fetched")
        return Kept(None, SLOW)

    async def _fetch(self, account: Account, entry: Entry, place: int, limit: int) -> Kept:
        attachment = entry.message.attachments[place]
        channel = await account.wait_connected()
        async with self._fetching:
            content = await channel.fetch(attachment, limit)
            if len(content) > limit:
                return Kept(None, _too_large(limit))
            file = await self.media.add(
                content,
                attachment.name,
                attachment.mime,
                account=account.id,
                origin=(entry.id, place),
            )
        return Kept(file.id)


def _refused(attachment: Attachment, place: int, limit: int) -> str:
    """Return why a file is not even asked for, empty if it is."""
    if place >= FILES:
        return f"not taken: more than {FILES} files"
    if not limit:
        return "not taken: files are not taken here"
    return _too_large(limit) if (attachment.size or 0) > limit else ""


def _too_large(limit: int) -> str:
    return f"not taken: larger than {limit} bytes"


def described(attachment: Attachment, kept: Kept | None) -> str:
    """Return the line that stands for a file in what an agent is asked."""
    # What ends the line in its place could begin another one.
    name = tidy_name(attachment.name).replace("[", "(").replace("]", ")")
    said = [f"attached {attachment.kind}: {name or 'without a name'}"]
    if attachment.size is not None:
        said.append(f"{attachment.size} bytes")
    if kept is not None:
        said.append(kept.media or kept.why)
    return f"[{', '.join(said)}]"
