"""Names what blocks the event loop, while it is blocked."""

import logging
import queue
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import attrs
import trio

from supervisors._child import check_number
from supervisors._lifetime import Lifetime

logger = logging.getLogger("supervisors.watchdog")

STACK_DEPTH = 50
"""Frames of a stack that are kept; recursion must not fill the log."""

LONGEST_PAUSE = 0.5
"""Seconds between two questions: a block is named within a second after its limit."""

FOREIGN = (sysconfig.get_paths()["stdlib"], str(Path(trio.__file__).parent))
"""Where a function lives that is not to blame: somebody called it."""


@attrs.frozen
class Block:
    """A stretch of time in which the event loop did nothing else.

    *function*, *file* and *line* say who made the call that blocks; *seconds* is how long
    it has lasted so far; *stack* is the task's, outermost first, one "file:line function"
    each.
    """

    function: str
    file: str
    line: int
    seconds: float
    stack: tuple[str, ...]

    def __str__(self) -> str:
        where = f"{self.function} ({self.file}:{self.line})"
        return f"the event loop has been blocked for {self.seconds:.1f} s by {where}"


def log_block(block: Block) -> None:
    """Log a block with its stack, while it lasts."""
    logger.error("%s\n  %s", block, "\n  ".join(block.stack))


async def watch_event_loop(
    life: Lifetime,
    limit: float = 1.0,
    on_block: Callable[[Block], None] | None = None,
    while_blocked: Callable[[Block], None] = log_block,
) -> None:
    """Watch, from a thread, whether the event loop answers within *limit* seconds.

    *while_blocked* is called in that thread, once per block and as soon as *limit* is
    over, because the loop cannot do anything then; it must be thread-safe.  *on_block* is
    called on the loop when it is back, with the full length.  What either raises ends the
    child.  The detail of its status tells the number of blocks and the longest and last
    one.  The loop is woken for an answer at least twice a second, which costs nothing.
    """
    check_number(limit, "limit", low=0.001, high=threading.TIMEOUT_MAX)
    record = _Record(on_block)
    thread = _Thread(limit, ready=life.started, during=while_blocked, afterwards=record.add)
    life.describe(record.detail)
    async with trio.open_nursery() as nursery:
        # A limiter of its own: the watch must not wait for a thread to become free.
        limiter = trio.CapacityLimiter(1)
        nursery.start_soon(_run_thread, thread, limiter, name=f"{life.path} (thread)")
        try:
            await life.wait_stopping()
        finally:
            thread.quit()


async def _run_thread(thread: "_Thread", limiter: trio.CapacityLimiter) -> None:
    await trio.to_thread.run_sync(thread.run, limiter=limiter)


@attrs.define
class _Record:
    """What has been seen, for the status."""

    _on_block: Callable[[Block], None] | None
    _count: int = attrs.field(default=0, init=False)
    _longest: Block | None = attrs.field(default=None, init=False)
    _last: Block | None = attrs.field(default=None, init=False)

    def add(self, block: Block) -> None:
        """Take note of a block that is over."""
        self._count += 1
        self._last = block
        if self._longest is None or block.seconds > self._longest.seconds:
            self._longest = block
        if self._on_block is not None:
            self._on_block(block)

    def detail(self) -> dict[str, object]:
        """Return what a status shows."""
        return {"blocks": self._count, "longest": _short(self._longest), "last": _short(self._last)}


def _short(block: Block | None) -> dict[str, object] | None:
    if block is None:
        return None
    return {
        "function": block.function,
        "file": block.file,
        "line": block.line,
        "seconds": block.seconds,
    }


class _Thread:
    """Asks the loop for an answer, again and again."""

    def __init__(
        self,
        limit: float,
        *,
        ready: Callable[[], None],
        during: Callable[[Block], None],
        afterwards: Callable[[Block], None],
    ) -> None:
        self._limit = limit
        self._ready, self._during, self._afterwards = ready, during, afterwards
        self._loop = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._answers: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._quitting = threading.Event()

    def quit(self) -> None:
        """Make `run` return soon."""
        self._quitting.set()
        self._answers.put(None)

    def run(self) -> None:
        """Watch until `quit`; only now somebody watches, so only now it is up."""
        trio.from_thread.run_sync(self._ready)
        pause = min(self._limit / 4, LONGEST_PAUSE)
        while not self._quitting.wait(pause):
            asked, busy = time.monotonic(), time.process_time()
            self._loop.run_sync_soon(self._answers.put, None)
            if self._answered_within(self._limit):
                continue
            # Nobody is to blame if the whole process was suspended or starved.
            late = time.monotonic() - asked - self._limit
            starved = late > self._limit / 2 and time.process_time() - busy < late / 2
            if not (starved and self._answered_within(self._limit)):
                self._witness(asked)

    def _answered_within(self, seconds: float) -> bool:
        try:
            self._answers.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _witness(self, asked: float) -> None:
        """Tell what blocks, wait for the end of it, tell how long it took."""
        block = self._look(asked)
        # If the block has ended just now, the stack shows something else.
        if block is None or self._answered_within(0):
            return
        self._during(block)
        self._answers.get()
        if not self._quitting.is_set():
            block = attrs.evolve(block, seconds=time.monotonic() - asked)
            trio.from_thread.run_sync(self._afterwards, block)

    def _look(self, asked: float) -> Block | None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  (documented, for this)
        if frame is None:
            return None
        frames = [*_frames(frame)]
        # The one who made the call, not the select() or sleep() below it.
        culprit = next((frame for frame in frames if not _is_foreign(frame)), frames[0])
        stack = tuple(_location(frame) for frame in reversed(frames[:STACK_DEPTH]))
        code = culprit.f_code
        seconds = time.monotonic() - asked
        return Block(code.co_qualname, code.co_filename, culprit.f_lineno, seconds, stack)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a task, innermost first; the loop below it is of no interest."""
    while frame is not None and frame.f_code.co_name != "unrolled_run":
        yield frame
        frame = frame.f_back


def _is_foreign(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    in_library = file.startswith(FOREIGN) and "site-packages" not in file.removeprefix(FOREIGN[1])
    return in_library or file.startswith("<frozen")


def _location(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
