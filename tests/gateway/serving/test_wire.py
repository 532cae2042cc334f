"""The queue and both ways of writing; real sockets where system calls are the point."""

from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from gateway.serving.wire import Flusher, SocketWire, StreamWire, wire_on


def socket_pair():
    ours, theirs = trio.socket.socketpair()
    ours.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
    return trio.SocketStream(ours), trio.SocketStream(theirs)


@asynccontextmanager
async def wired(make_pair, limit=1e9):
    """Yield a wire with a running flusher, and its far end."""
    ours, theirs = make_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        flusher = Flusher(nursery)
        nursery.start_soon(flusher.run)
        yield wire_on(ours, flusher, limit), theirs
        nursery.cancel_scope.cancel()


PAIRS = [socket_pair, memory_stream_pair, lockstep_stream_pair]


async def read_exactly(stream, count):
    received = b""
    while len(received) < count:
        chunk = await stream.receive_some()
        assert chunk
        received += chunk
    return received


@pytest.mark.parametrize("pair", PAIRS)
async def test_what_is_written_arrives_in_order_whatever_its_size(pair):
    async with wired(pair) as (wire, theirs):
        sizes = [1, 100, 5000, 200_000, 3, 70_000, 4096, 0, 2]
        sent = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
        for chunk in sent[:4]:
            wire.write(chunk)
        await wait_all_tasks_blocked()  # the pump works now
        wire.write(*sent[4:6])
        for chunk in sent[6:]:
            wire.write(chunk)
        assert await read_exactly(theirs, sum(sizes)) == b"".join(sent)
        await wire.emptied()
        assert wire.queued == 0


async def test_a_plain_socket_gets_the_direct_wire_and_others_the_general_one():
    async with wired(socket_pair) as (wire, _):
        assert isinstance(wire, SocketWire)
    async with wired(memory_stream_pair) as (wire, _):
        assert isinstance(wire, StreamWire)


async def test_writes_of_one_tick_are_one_system_call():
    async with wired(socket_pair) as (wire, theirs):
        for letter in b"abc":
            wire.write(bytes([letter]))
        await wait_all_tasks_blocked()
        # All three, in a read that was not waited for.
        assert await theirs.receive_some() == b"abc"


@pytest.mark.parametrize("pair", [socket_pair, lockstep_stream_pair])
async def test_a_full_wire_says_so_until_half_of_it_is_gone(pair):
    drained = []
    async with wired(pair, 100_000) as (wire, theirs):
        wire.on_drain = lambda: drained.append(wire.queued)
        while not wire.full:
            wire.write(b"x" * 999)
            await trio.lowlevel.checkpoint()
        assert 100_000 <= wire.queued < 101_000
        assert wire.full_since is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.drained)
            while wire.full:
                await theirs.receive_some(999)
                await trio.lowlevel.checkpoint()
        assert len(drained) == 1
        assert drained[0] <= 50_000


async def test_small_chunks_behind_a_stalled_peer_are_merged():
    async with wired(lockstep_stream_pair) as (wire, _):
        wire.write(b"first")
        await wait_all_tasks_blocked()
        for _ in range(10_000):
            wire.write(b"x" * 50)
        assert len(wire._chunks) < 10


@pytest.mark.parametrize("pair", PAIRS)
async def test_the_end_of_the_stream_is_no_bytes(pair):
    async with wired(pair, 1) as (wire, theirs):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.send_all, b"last")
            assert await wire.read() == b"last"
        await theirs.send_eof()
        assert await wire.read() == b""


@pytest.mark.parametrize("pair", PAIRS)
async def test_closing_ends_readers_and_waiters(pair):
    async with wired(pair, 10) as (wire, theirs):
        wire.write(b"x" * 1_000_000)
        ends = []

        async def wait(what):
            ends.append(await what())

        async with trio.open_nursery() as nursery:
            for what in (wire.read, wire.drained, wire.emptied, wire.wait_closed):
                nursery.start_soon(wait, what)
            await wait_all_tasks_blocked()
            wire.close()
            wire.close()
        assert sorted(ends, key=str) == [None, None, None, b""]
        wire.write(b"ignored")
        wire.flush()
        assert (wire.queued, await wire.read()) == (0, b"")
        await theirs.aclose()


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_peer_that_has_gone_closes_the_wire(pair):
    async with wired(pair) as (wire, theirs):
        await theirs.aclose()
        wire.write(b"x" * 1_000_000)
        await wire.wait_closed()


async def test_a_cancelled_pump_leaves_no_half_frame_to_be_continued():
    ours, _ = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        flusher = Flusher(nursery)
        wire = StreamWire(ours, flusher, 1e9)
        wire.write(b"x" * 100)
        wire.flush()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert wire.closed


@pytest.mark.parametrize("pair", PAIRS)
async def test_close_after_flush_delivers_what_the_peer_takes(pair):
    async with wired(pair) as (wire, theirs):
        wire.write(b"farewell")
        wire.close_after_flush()
        assert await read_exactly(theirs, 8) == b"farewell"
        await wire.wait_closed()
        assert await theirs.receive_some() == b""


async def test_close_after_flush_does_not_wait_for_ever(autojump_clock):
    async with wired(lockstep_stream_pair) as (wire, _):
        wire.write(b"farewell")
        wire.close_after_flush()
        await wire.wait_closed()
        assert trio.current_time() <= 2


@pytest.mark.parametrize("pair", PAIRS)
async def test_eof_can_be_sent_after_the_queue_and_again(pair):
    async with wired(pair) as (wire, theirs):
        async with trio.open_nursery() as nursery:
            wire.write(b"x")
            nursery.start_soon(wire.emptied)
            assert await read_exactly(theirs, 1) == b"x"
        await wire.send_eof()
        await wire.send_eof()
        assert await theirs.receive_some() == b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.send_all, b"heard")
            assert await wire.read() == b"heard"
        wire.close()
        await wire.send_eof()


async def test_a_thousand_wires_are_flushed_without_starving_others():
    async with trio.open_nursery() as nursery:
        flusher = Flusher(nursery)
        nursery.start_soon(flusher.run)
        pairs = [memory_stream_pair() for _ in range(1000)]
        for ours, _ in pairs:
            StreamWire(ours, flusher, 1e9).write(b"x")
        for _, theirs in pairs:
            assert await theirs.receive_some() == b"x"
        nursery.cancel_scope.cancel()
