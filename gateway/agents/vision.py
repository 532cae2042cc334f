"""Images of a question, for models that can see.

They are shown with the question that brought them and not again: in the history their names
stand for them, so a long conversation does not pay for them with every turn.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import attrs
import structlog
import trio

from gateway.agents.providers import Image, Said
from gateway.errors import NotFoundError
from gateway.storage.media import MediaFiles

log = structlog.get_logger(__name__)

IMAGES: Final = 4
"""Most images of one question; each costs some 1 600 tokens."""

IMAGE_BYTES: Final = 3_900_000
"""Largest image: in base64 just below the 5 MiB that Anthropic takes.  OpenAI takes more."""

TOTAL_BYTES: Final = 8_000_000
"""All images of a question: they are in memory, twice, as long as the run goes on."""

SIGNATURES: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
)
"""How the formats begin that all providers take; what the sender says is not believed."""

HIDDEN: Final = "[images that are not shown, because they are too large or no images: {}]"


@attrs.frozen
class Seen:
    """What can be shown of some files, and how many said to be images cannot."""

    images: tuple[Image, ...] = ()
    hidden: int = 0


Look = Callable[[Sequence[str]], Awaitable[Seen]]
"""Returns what can be shown of stored files, by their ids."""


async def blind(_: Sequence[str]) -> Seen:
    """See nothing."""
    await trio.lowlevel.checkpoint()
    return Seen()


def sight(media: MediaFiles) -> Look:
    """Return what finds images in *media*."""
    return partial(_look, media)


async def _look(media: MediaFiles, ids: Sequence[str]) -> Seen:
    images: list[Image] = []
    hidden, left = 0, TOTAL_BYTES
    for media_id in ids:
        try:
            file = await media.find(media_id)
            if not file.mime.startswith("image/"):
                continue
            fits = file.size <= min(IMAGE_BYTES, left) and len(images) < IMAGES
            content = await media.read(file) if fits else b""
        except NotFoundError as error:
            # It was old, and the question comes late: the answer does not depend on it.
            log.info("an image is not there any more", why=error.message)
            content = b""
        mime = kind_of(content)
        if mime is None:
            hidden += 1
            continue
        images.append(Image(mime, content))
        left -= len(content)
    return Seen(tuple(images), hidden)


def kind_of(content: bytes) -> str | None:
    """Return the media type of an image by how it begins; `None` for anything else."""
    if content[8:12] == b"WEBP" and not content.startswith(b"RIFF"):
        return None
    found = (mime for at, mark, mime in SIGNATURES if content[at:].startswith(mark))
    return next(found, None)


def showing(said: Sequence[Said], seen: Seen) -> list[Said]:
    """Return *said* with the images at its last question, and a note of those left out."""
    shown = list(said)
    place = max(number for number, each in enumerate(said) if each.role == "user")
    note = f"\n{HIDDEN.format(seen.hidden)}" if seen.hidden else ""
    question = shown[place]
    shown[place] = attrs.evolve(question, content=question.content + note, images=seen.images)
    return shown
