"""What Telegram can do, in numbers."""

from typing import Final

from gateway.channels.base import Abilities

ABILITIES: Final = Abilities(
    length=4096,  # of what is seen, after formatting
    unit="utf-16",
    edits=True,
    drafts=True,
    reactions=True,
    edit_seconds=1.0,  # a message a second in a chat; groups are paced further
    typing_seconds=5.0,
    media_bytes=20_000_000,  # 50 MB by themselves, which takes longer than a send may
)

CAPTION: Final = 1024
"""UTF-16 units of a text below a file.  Source: ``sendPhoto``."""
