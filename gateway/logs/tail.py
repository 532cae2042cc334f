"""The latest entries, in memory, for whoever asks what has just happened."""

import secrets
from collections import deque
from itertools import islice
from threading import RLock
from typing import Final

import attrs
import orjson

from gateway.logs.clean import Entry

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Levels by name; a higher one is more important."""

MOST: Final = 2000
"""Entries kept: a screenful for each minute of a bad half-hour."""

MOST_BYTES: Final = 2 * 1024 * 1024
"""Bytes kept, however long the entries are."""


@attrs.define
class Tail:
    """A ring of entries, each with a number; safe to use from threads.

    Numbers begin somewhere at random, so that a cursor from before a restart is noticed.
    """

    _next: int = attrs.field(factory=lambda: secrets.randbits(48), init=False)
    _lines: deque[tuple[int, bytes]] = attrs.field(factory=deque, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    # Reentrant: the garbage collector may log in the middle of anything.
    _lock: RLock = attrs.field(factory=RLock, init=False)

    def add(self, level: str, line: bytes) -> None:
        """Keep an entry, as a line of JSON, in the place of the oldest ones."""
        with self._lock:
            self._lines.append((LEVELS.get(level, 20), line))
            self._next += 1
            self._bytes += len(line)
            while len(self._lines) > MOST or self._bytes > MOST_BYTES:
                self._bytes -= len(self._lines.popleft()[1])

    def since(
        self, cursor: int | None = None, limit: int = 100, level: str = "debug"
    ) -> tuple[list[Entry], int, bool]:
        """Return at most *limit* entries of *level* or above, oldest first.

        They come after *cursor*, or are the latest when it is `None`.  With them come
        the cursor to go on from, and whether entries after *cursor* are gone or the
        cursor is not one of ours: then they begin at the oldest.
        """
        with self._lock:
            lines, end = list(self._lines), self._next
        oldest = end - len(lines)
        reset = cursor is not None and not oldest <= cursor <= end
        start = oldest if cursor is None or reset else cursor
        wanted = (
            (number, line)
            for number, (rank, line) in enumerate(lines[start - oldest :], start + 1)
            if rank >= LEVELS[level]
        )
        found = deque(wanted, maxlen=limit) if cursor is None else list(islice(wanted, limit))
        # With fewer than asked for, everything up to the end has been looked at.
        after = found[-1][0] if cursor is not None and len(found) == limit and found else end
        return [orjson.loads(line) for _, line in found], after, reset


tail: Final = Tail()
"""The one of this process."""
