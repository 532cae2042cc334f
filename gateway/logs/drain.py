"""A thread that writes lines, so that whoever logs never waits for a disk or a terminal."""

import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

import attrs

MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes that may wait: a second of a flood.  More is dropped, counted and reported."""

BATCH: Final = 64 * 1024
"""Bytes written at once."""

Write = Callable[[bytes], None]


@attrs.define(eq=False)
class Drain:
    """Passes lines on to *write* in a thread of its own, in order and in batches.

    Where *write* raises `OSError` or `ValueError` (a closed stream) the batch is lost;
    *notice* makes the line that says how many were, once writing works again.
    """

    write: Write
    notice: Callable[[int], bytes]
    lost: int = attrs.field(default=0, init=False)
    _lines: deque[bytes] = attrs.field(factory=deque, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _busy: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # A daemon: a terminal that was stopped must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Have *line* written soon, or dropped if too much is waiting."""
        with self._changed:
            if self._closed or self._waiting + len(line) > MOST_WAITING:
                self.lost += 1
                return
            self._lines.append(line)
            self._waiting += len(line)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until everything is written, at most *timeout* seconds; return if it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._lines or self._busy), timeout)

    def close(self, timeout: float) -> None:
        """Write what is waiting, at most *timeout* seconds, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._report()
                self.write(b"".join(batch))
            except (OSError, ValueError):
                self.lost += len(batch)

    def _report(self) -> None:
        if lost := self.lost:
            self.write(self.notice(lost))
            self.lost -= lost

    def _take(self) -> list[bytes]:
        """Wait for lines and return some; none when closed."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._closed)
            batch: list[bytes] = []
            room = BATCH
            for _ in count():
                if not self._lines or (room := room - len(self._lines[0])) < 0 < len(batch):
                    break
                batch.append(self._lines.popleft())
            self._waiting -= sum(map(len, batch))
            self._busy = True
            return batch
