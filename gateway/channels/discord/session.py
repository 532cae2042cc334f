"""A session with Discord's Gateway: what is needed to go on where one was.  Pure.

It outlives connections, incarnations of the child and the process: Discord keeps what comes
meanwhile and sends it after a resume, for some minutes.
"""

from typing import Any, Final, Self, TypeGuard

import attrs
import orjson

from gateway.channels.reading import object_at

NAME_LENGTH: Final = 512
"""Longest session id and URL that is believed; real ones have about 32 and 40 characters.
Both go into frames of which Discord takes 4096 bytes."""


@attrs.frozen
class Session:
    """*seq* is the number of the last event that is safe with us."""

    id: str
    url: str
    seq: int

    @classmethod
    def parse(cls, cursor: str | None) -> Self | None:
        """Return the session in *cursor*; `None` if it has none, or says something else."""
        try:
            found = orjson.loads(cursor or "null")
        except orjson.JSONDecodeError:
            return None
        fields = object_at(found)
        return cls.of(fields.get("id"), fields.get("url"), fields.get("seq"))

    @classmethod
    def of(cls, id: Any, url: Any, seq: Any) -> Self | None:  # noqa: A002 - it is the field
        """Return a session if these are the parts of one."""
        named = is_name(id) and is_name(url)
        return cls(id, url, seq) if named and is_number(seq) else None

    @property
    def cursor(self) -> str:
        """The text that `parse` understands."""
        return orjson.dumps(attrs.asdict(self)).decode()


def is_name(value: Any) -> TypeGuard[str]:
    """Return whether *value* can be an id or an address."""
    return isinstance(value, str) and 0 < len(value) <= NAME_LENGTH and value.isascii()


def is_number(value: Any) -> TypeGuard[int]:
    """Return whether *value* can be the number of an event; JSON's `True` is none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
