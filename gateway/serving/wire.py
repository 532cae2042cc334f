"""The bytes of one connection: reading, and a bounded queue of what is to be written.

Writing never waits.  What is written during one tick of the scheduler goes out together
at the end of it, in one system call, tried without blocking; a task exists only while the
peer does not take it.
"""

import abc
import os
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_WR

import trio

READ_BYTES = 16_384
"""One read: large enough for a burst of requests, small enough that a read full of the
smallest frames does not hold up the event loop for more than some milliseconds."""
SHARED_BYTES = 4096
"""From this size on a chunk is queued by reference; smaller ones are cheaper to copy."""
BLOCK_BYTES = 65_536
"""Small chunks behind a stalled peer are merged into blocks of about this size, since 50
bytes each would cost twice their size in bookkeeping."""
IOV_MAX = 1024
"""Chunks in one writev; the limit of Linux."""
FLUSHES_PER_STEP = 128
"""Connections flushed before other tasks get their turn: about a millisecond."""

FAREWELL_SECONDS = 1.0
"""For a close frame to a peer that is not waited for: one round trip, with room."""

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Flusher:
    """Flushes, in the next tick, every wire that was written to in this one.

    One task for all connections; it sleeps while nothing is written.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        """In which pumps run."""
        self._dirty: list[Wire] = []
        self._sleeper: trio.lowlevel.Task | None = None

    def soon(self, wire: "Wire") -> None:
        """Have *wire* flushed after the tasks that are runnable now."""
        self._dirty.append(wire)
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            if not self._dirty:
                await self._sleep()
            dirty, self._dirty = self._dirty, []
            for start in range(0, len(dirty), FLUSHES_PER_STEP):
                for wire in dirty[start : start + FLUSHES_PER_STEP]:
                    wire.flush()
                await trio.lowlevel.checkpoint()

    async def _sleep(self) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._sleeper = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)


class Wire(abc.ABC):
    """What `SocketWire` and `StreamWire` have in common: the queue.

    *limit* is in bytes.  A wire at or over it is *full*; it takes what is written all the
    same, so whoever writes looks at `full` first.  Full ends when half of it is gone.
    """

    __slots__ = (
        "_changed",
        "_chunks",
        "_dirty",
        "_flusher",
        "_limit",
        "_pumping",
        "closed",
        "full_since",
        "on_drain",
        "queued",
    )

    def __init__(self, flusher: Flusher, limit: float) -> None:
        self._flusher = flusher
        self._limit = limit
        self._chunks: list[bytes | bytearray | memoryview] = []
        self._dirty = False  # the flusher has it on its list
        self._pumping = False
        self._changed: trio.Event | None = None
        self.queued = 0
        """Bytes that wait to be written."""
        self.full_since: float | None = None
        """When it became full, on Trio's clock."""
        self.on_drain: Callable[[], None] | None = None
        """Called when it is no longer full; must be quick and not raise."""
        self.closed = False

    @property
    def full(self) -> bool:
        """Whether writers should hold back."""
        return self.full_since is not None

    @abc.abstractmethod
    async def read(self) -> bytes:
        """Wait for bytes; return none at the end of the stream and when it broke."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Write what the peer takes at once; the rest follows by itself."""

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """Say that nothing follows; the queue must be empty.  Never raises."""

    def write(self, *chunks: bytes) -> None:
        """Queue *chunks*, which stay together.  Ignored once closed."""
        if self.closed:
            return
        for chunk in chunks:
            self.queued += len(chunk)
            if self._pumping and len(chunk) < SHARED_BYTES:
                self._merge(chunk)
            else:
                self._chunks.append(chunk)
        if self.queued >= self._limit and self.full_since is None:
            self.full_since = trio.current_time()
        if not (self._dirty or self._pumping):
            self._dirty = True
            self._flusher.soon(self)

    async def drained(self) -> None:
        """Wait until it is not full, or closed."""
        while self.full and not self.closed:
            await self._wait_changed()

    async def emptied(self) -> None:
        """Wait until everything is written, or closed."""
        self.flush()
        while self.queued and not self.closed:
            await self._wait_changed()

    async def wait_closed(self) -> None:
        """Wait until it is closed, by whomever."""
        while not self.closed:
            await self._wait_changed()

    def close(self) -> None:
        """Close at once, dropping what is queued.  Readers get the end of the stream."""
        if self.closed:
            return
        self.closed = True
        self._chunks.clear()
        self.queued = 0
        self._close()
        self._notify()

    @abc.abstractmethod
    def close_after_flush(self) -> None:
        """Close at once, or as soon as the peer has taken what it takes readily."""

    @abc.abstractmethod
    def _close(self) -> None: ...

    async def _wait_changed(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _merge(self, chunk: bytes) -> None:
        last = self._chunks[-1] if self._chunks else None
        if isinstance(last, bytearray) and len(last) < BLOCK_BYTES:
            last += chunk
        else:
            self._chunks.append(bytearray(chunk))

    def _cut(self, count: int) -> None:
        """Take *count* bytes off the front of the chunks."""
        chunks = self._chunks
        whole = 0
        while whole < len(chunks) and count >= len(chunks[whole]):
            count -= len(chunks[whole])
            whole += 1
        del chunks[:whole]
        if not count:
            return
        first = chunks[0]
        if isinstance(first, bytearray):
            del first[:count]
        else:
            # A view, because a large chunk goes out in many parts.
            chunks[0] = memoryview(first)[count:]

    def _sent(self, count: int) -> None:
        """Account for *count* bytes that have been written."""
        self.queued -= count
        if not self.queued:
            self._notify()
        if self.full_since is not None and self.queued <= self._limit / 2:
            self.full_since = None
            self._notify()
            if self.on_drain is not None:
                self.on_drain()

    def _start_pump(self) -> None:
        self._pumping = True
        self._flusher.nursery.start_soon(self._pump, name="pump")

    @abc.abstractmethod
    async def _pump(self) -> None:
        """Write until the queue is empty."""


class SocketWire(Wire):
    """A plain socket: system calls are made on its file descriptor directly.

    *stream* is owned by the wire from now on.
    """

    __slots__ = ("_fd", "_stream")

    def __init__(self, stream: trio.SocketStream, flusher: Flusher, limit: float) -> None:
        super().__init__(flusher, limit)
        self._stream = stream
        self._fd = stream.socket.fileno()

    async def read(self) -> bytes:
        """Wait for bytes; return none at the end of the stream and when it broke."""
        try:
            while not self.closed:
                await trio.lowlevel.wait_readable(self._fd)
                with suppress(BlockingIOError):
                    # Closed meanwhile, the descriptor is -1 and never somebody else's.
                    return os.read(self._fd, READ_BYTES)
        except GONE:
            pass
        return b""

    def flush(self) -> None:
        """Write what the socket takes at once; start a pump for the rest."""
        self._dirty = False
        if self._pumping or self.closed:
            return
        self._write_now()
        if self._chunks:
            self._start_pump()

    def _write_now(self) -> None:
        try:
            while self._chunks:
                written = os.writev(self._fd, self._chunks[:IOV_MAX])
                self._cut(written)
                self._sent(written)
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    async def _pump(self) -> None:
        try:
            while self._chunks:
                await trio.lowlevel.wait_writable(self._fd)
                self._write_now()
        except GONE:
            self.close()
        finally:
            self._pumping = False

    async def send_eof(self) -> None:
        """Shut the writing side down."""
        with suppress(OSError):
            self._stream.socket.shutdown(SHUT_WR)

    def close_after_flush(self) -> None:
        """Close, after one attempt to write."""
        self.flush()
        self.close()

    def _close(self) -> None:
        self._fd = -1
        self._stream.socket.close()


class StreamWire(Wire):
    """Any Trio stream, such as TLS: only the pump writes."""

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.Stream, flusher: Flusher, limit: float) -> None:
        super().__init__(flusher, limit)
        self._stream = stream

    async def read(self) -> bytes:
        """Wait for bytes; return none at the end of the stream and when it broke."""
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except GONE:
            return b""

    def flush(self) -> None:
        """Start a pump."""
        self._dirty = False
        if self._chunks and not (self._pumping or self.closed):
            self._start_pump()

    async def _pump(self) -> None:
        whole = False
        try:
            while self._chunks:
                batch = self._take()
                await self._stream.send_all(batch)
                self._sent(len(batch))
            whole = True
        except GONE:
            pass
        finally:
            self._pumping = False
            if not whole:
                # Broken, or cancelled: half a frame may be out, so nothing may follow.
                self.close()

    def _take(self) -> bytes:
        """Remove and return chunks of about `BLOCK_BYTES`."""
        size = count = 0
        while count < len(self._chunks) and size < BLOCK_BYTES:
            size += len(self._chunks[count])
            count += 1
        batch = b"".join(self._chunks[:count])
        del self._chunks[:count]
        return batch

    async def send_eof(self) -> None:
        """Send the end of the stream, if this kind of stream has one."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with suppress(*GONE):
                await self._stream.send_eof()

    def close_after_flush(self) -> None:
        """Close when the queue is empty, or after `FAREWELL_SECONDS`."""
        if not self.closed:
            self._flusher.nursery.start_soon(self._close_after_flush, name="farewell")

    async def _close_after_flush(self) -> None:
        with trio.move_on_after(FAREWELL_SECONDS):
            await self.emptied()
        self.close()

    def _close(self) -> None:
        self._flusher.nursery.start_soon(trio.aclose_forcefully, self._stream)


def wire_on(stream: trio.abc.Stream, flusher: Flusher, limit: float) -> Wire:
    """Return the fastest wire for *stream*."""
    if isinstance(stream, trio.SocketStream):
        return SocketWire(stream, flusher, limit)
    return StreamWire(stream, flusher, limit)
