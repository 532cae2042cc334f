"""What a handler sees, and what the peer does: over streams in memory, in virtual time."""

import pytest
import trio
from raw_peer import BINARY, CONT, PING, PONG, TEXT, close, frame, served, text
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from gateway.serving.echo import echo
from gateway.serving.limits import Limits


async def silent(websocket):
    """Authenticate and read without ever sending."""
    websocket.authenticated()
    while await websocket.receive_batch():
        pass


class TestReceiving:
    async def test_text_and_binary_come_back_as_they_were_sent(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            await peer.send(text("grüße"), frame(BINARY, b"\x00\xff"))
            assert [await peer.message(), await peer.message()] == ["grüße", b"\x00\xff"]

    async def test_messages_that_arrive_together_are_one_batch(self, autojump_clock):
        batches = []

        async def collect(websocket):
            while batch := await websocket.receive_batch():
                batches.append(batch)

        async with served(collect) as server:
            peer = await server.websocket()
            await peer.send(text("a"), text("b"), frame(PING), text("c"))
            await peer.frame()
        assert batches == [["a", "b", "c"]]

    async def test_what_came_behind_the_upgrade_is_a_message(self, autojump_clock):
        async with served() as server:
            peer = server.connect()
            assert await peer.upgrade(behind=text("early")) == 101
            assert await peer.message() == "early"

    async def test_receive_returns_messages_one_by_one_and_none_at_the_end(self, autojump_clock):
        received = []

        async def collect(websocket):
            while True:
                received.append(await websocket.receive())
                if received[-1] is None:
                    return

        async with served(collect) as server:
            peer = await server.websocket()
            await peer.send(text("a"), text("b"), close(1000))
            await peer.rest()
        assert received == ["a", "b", None]

    async def test_a_cancelled_receive_loses_nothing(self, autojump_clock):
        async def impatient(websocket):
            with trio.move_on_after(1):
                await websocket.receive()
            websocket.send(await websocket.receive())

        async with served(impatient) as server:
            peer = await server.websocket()
            whole = text("in two parts")
            await peer.send(whole[:9])
            await trio.sleep(2)
            await peer.send(whole[9:])
            assert await peer.message() == "in two parts"

    async def test_a_message_may_come_byte_by_byte(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            for byte in text("slowly"):
                await peer.send(bytes([byte]))
                await wait_all_tasks_blocked()
            assert await peer.message() == "slowly"

    async def test_fragments_are_joined_and_control_frames_may_come_between(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            half = "ü".encode()
            await peer.send(frame(TEXT, half[:1], fin=False), frame(PING, b"?"))
            pong = await peer.frame()
            assert (pong.opcode, bytes(pong.data)) == (PONG, b"?")
            await peer.send(frame(CONT, half[1:], fin=False), frame(CONT))
            assert await peer.message() == "ü"

    async def test_headers_are_there_until_the_peer_is_known(self, autojump_clock):
        seen = []

        async def look(websocket):
            seen.append((websocket.path, websocket.headers["authorization"]))
            seen.append(websocket.headers["x-twice"])
            websocket.authenticated()
            seen.append(dict(websocket.headers))

        async with served(look) as server:
            peer = server.connect()
            headers = b"Authorization: Bearer x\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
            await peer.upgrade(b"/ws?y=1", headers)
            await peer.rest()
        assert seen == [("/ws", "Bearer x"), "1, 2", {}]


class TestViolations:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (frame(TEXT, b"x", mask=False), 1002),
            (frame(TEXT, b"x", rsv1=True), 1002),
            (frame(CONT, b"x"), 1002),
            (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
            (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
            (frame(PING, b"x" * 126), 1002),
            (frame(PING, b"x", fin=False), 1002),
            (frame(8, b"\x03"), 1002),  # half a close code
            (frame(8, b"\x03\xed"), 1002),  # 1005, which is never sent
            (frame(8, b"\x03\xe8\xff"), 1007),
            (frame(TEXT, b"\xff"), 1007),
            (frame(TEXT, b"\xc3", fin=False) + frame(CONT), 1007),
            (frame(TEXT, b"\xed\xa0\x80", fin=False), 1007),  # before the message is complete
            (b"\x81\xff" + b"\x7f" + b"\xff" * 7, 1009),  # announces 2**63-1 bytes
            (b"\x81\xfe\xff\xff", 1009),
        ],
        # Masks are made by chance, and names of tests must not be.
        ids=lambda each: "frame" if isinstance(each, bytes) else str(each),
    )
    async def test_a_violation_is_answered_with_its_close_code(self, autojump_clock, sent, code):
        limits = Limits(frame_bytes=1000)
        async with served(limits=limits) as server:
            peer = await server.websocket()
            await peer.send(sent)
            assert await peer.message() == code
            assert await peer.message() is None

    async def test_invalid_text_is_refused_while_its_frame_arrives(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            whole = frame(TEXT, b"valid so far \xf4\x90 and more")
            await peer.send(whole[: 6 + 15])
            assert await peer.message() == 1007

    async def test_what_came_before_a_violation_is_answered_before_the_close(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            await peer.send(text("a"), text("b"), frame(CONT, b"unexpected"))
            assert [await peer.message() for _ in range(3)] == ["a", "b", 1002]

    async def test_closing_in_the_middle_of_a_message_is_allowed(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            await peer.send(frame(TEXT, b"x", fin=False), close(1000))
            assert await peer.message() == 1000

    async def test_a_frame_of_a_stranger_may_be_small_only(self, autojump_clock):
        async def wait(websocket):
            await websocket.receive()

        async with served(wait, limits=Limits(preauth_frame_bytes=100)) as server:
            peer = await server.websocket()
            await peer.send(text("x" * 101))
            assert await peer.message() == 1009

    async def test_the_limit_holds_for_all_fragments_together(self, autojump_clock):
        async with served(limits=Limits(frame_bytes=100)) as server:
            peer = await server.websocket()
            await peer.send(frame(TEXT, b"x" * 60, fin=False), frame(CONT, b"x" * 60))
            assert await peer.message() == 1009

    async def test_empty_fragments_are_bounded_in_number(self, autojump_clock):
        limits = Limits(fragments=10, control_frames_per_second=0)
        async with served(limits=limits) as server:
            peer = await server.websocket()
            await peer.send(frame(TEXT, fin=False), frame(CONT, fin=False) * 10)
            assert await peer.message() == 1008

    async def test_a_flood_of_pings_ends_the_connection(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            await peer.send(frame(PING) * 501)
            assert await peer.message() == 1008

    async def test_a_moderate_stream_of_pings_does_not(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
            for _ in range(20):
                await peer.send(frame(PING) * 90)
                await trio.sleep(1)
            await peer.send(text("still there"))
            assert await peer.message() == "still there"

    async def test_a_compression_bomb_ends_with_too_large(self, autojump_clock):
        import zlib

        packer = zlib.compressobj(wbits=-15)
        bomb = packer.compress(bytes(50_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
        async with served(limits=Limits(compression=True)) as server:
            peer = server.connect()
            offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            assert await peer.upgrade(headers=offer) == 101
            await peer.send(frame(BINARY, bomb[:-4], rsv1=True))
            assert await peer.message() == 1009


class TestClosing:
    async def test_a_handler_that_returns_closes_with_1000(self, autojump_clock):
        async def once(websocket):
            websocket.send("bye")

        async with served(once) as server:
            peer = await server.websocket()
            assert [await peer.message(), await peer.message()] == ["bye", 1000]
            await peer.send(close(1000))
            assert await peer.message() is None

    async def test_the_peers_close_is_echoed(self, autojump_clock):
        codes = []

        async def note(websocket):
            await websocket.receive()
            codes.append(websocket.close_code)

        async with served(note) as server:
            peer = await server.websocket()
            await peer.send(close(4321, "reasons"))
            assert await peer.message() == 4321
            assert await peer.message() is None
        assert codes == [4321]

    async def test_a_peer_that_does_not_answer_a_close_is_cut_off(self, autojump_clock):
        async with served(limits=Limits(close_seconds=3)) as server:
            peer = await server.websocket()
            begun = trio.current_time()
            await peer.send(text("x"))
            await peer.message()
            await server_side_close(server, peer)
            assert trio.current_time() - begun < 10

    async def test_a_long_reason_is_shortened_to_what_fits(self, autojump_clock):
        async def verbose(websocket):
            await websocket.close(1008, "ü" * 200)

        async with served(verbose) as server:
            peer = await server.websocket()
            received = await peer.frame()
            assert bytes(received.data)[2:].decode() == "ü" * 61

    async def test_nothing_is_sent_behind_a_close_frame(self, autojump_clock):
        taken = []

        async def chatty(websocket):
            websocket.close_soon(4000)
            taken.append((websocket.closed, websocket.send("too late")))

        async with served(chatty) as server:
            peer = await server.websocket()
            assert await peer.message() == 4000
            assert await peer.message() is None
        assert taken == [(True, False)]

    async def test_a_handler_that_never_asks_again_does_not_keep_a_closed_connection(
        self, autojump_clock
    ):
        async def stuck(websocket):
            await websocket.receive()
            await trio.sleep(10_000)

        async with served(stuck, limits=Limits(close_seconds=4)) as server:
            peer = await server.websocket()
            await peer.send(text("x"), close(1000))
            await peer.rest()
            assert trio.current_time() < 100


async def server_side_close(server, peer):
    """Send an unfinished close handshake and wait for the end of the stream."""
    await peer.send(frame(8, b"\x03\xe8"))
    await peer.rest()


class TestTime:
    async def test_a_silent_stranger_is_closed_at_the_deadline_with_a_reason(self, autojump_clock):
        async def wait(websocket):
            await websocket.receive()

        async with served(wait) as server:
            peer = await server.websocket()
            received = await peer.frame()
            assert bytes(received.data)[:2] == (1008).to_bytes(2, "big")
            assert b"authenticate" in bytes(received.data)
            assert trio.current_time() == pytest.approx(10, abs=0.1)

    async def test_a_quiet_peer_is_pinged_and_stays_if_it_answers(self, autojump_clock):
        async with served(silent) as server:
            peer = await server.websocket()
            for _ in range(10):
                assert (await peer.frame()).opcode is PING
                await peer.send(frame(PONG))
            assert trio.current_time() > 200

    async def test_a_dead_peer_is_given_up(self, autojump_clock):
        async with served(silent) as server:
            peer = await server.websocket()
            assert (await peer.frame()).opcode is PING
            assert await peer.message() == 1011
            assert 40 <= trio.current_time() <= 45


class TestSlowConsumers:
    async def test_the_queue_is_bounded_and_the_consumer_closed_with_4008(self, autojump_clock):
        limits = Limits(queue_bytes=10_000, slow_seconds=10, close_seconds=5)
        state = {}

        async def talk(websocket):
            websocket.authenticated()
            await trio.sleep(0.1)  # the answer to the upgrade has been read
            while websocket.send("x" * 1000):
                pass
            state.update(full=websocket.full, queued=websocket.queued_bytes)
            await websocket.drained()
            state.update(closed=websocket.closed, at=trio.current_time())

        async with served(talk, limits=limits, make_pair=lockstep_stream_pair) as server:
            peer = await server.websocket()
            await trio.sleep(12.6)
            while isinstance(received := await peer.message(), str):
                pass
            assert received == 4008
        assert state["full"]
        assert state["queued"] <= 11_100

    async def test_a_consumer_that_catches_up_is_told_of_and_stays(self, autojump_clock):
        drained = []

        async def talk(websocket):
            websocket.authenticated()
            websocket.on_drain = lambda: drained.append(websocket.full)
            count = 0
            for _ in range(3):
                while websocket.send("x" * 1000):
                    count += 1
                await websocket.drained()
            websocket.send(str(count))

        limits = Limits(queue_bytes=10_000)
        async with served(talk, limits=limits, make_pair=lockstep_stream_pair) as server:
            peer = await server.websocket()
            seen = 0
            while len(received := await peer.message()) == 1000:
                seen += 1
                await trio.sleep(0.1)
            assert received == str(seen)
        assert drained == [False] * 3

    async def test_who_does_not_read_answers_is_not_asked_for_questions(self, autojump_clock):
        batches = []

        async def answer(websocket):
            websocket.authenticated()
            while batch := await websocket.receive_batch():
                batches.append(batch)
                websocket.send("x" * 20_000)

        limits = Limits(queue_bytes=10_000)
        async with served(answer, limits=limits, make_pair=lockstep_stream_pair) as server:
            peer = await server.websocket()
            await peer.send(text("first"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send, text("second"))
                await trio.sleep(5)
                assert batches == [["first"]]
                assert len(await peer.message()) == 20_000
            assert len(await peer.message()) == 20_000

    async def test_patient_sending_waits_for_room(self, autojump_clock):
        async def talk(websocket):
            websocket.authenticated()
            for _ in range(5):
                assert await websocket.send_patiently(b"x" * 6000)
            assert websocket.close_soon() is None
            assert not await websocket.send_patiently(b"late")

        limits = Limits(queue_bytes=10_000)
        async with served(talk, limits=limits, make_pair=lockstep_stream_pair) as server:
            peer = await server.websocket()
            for _ in range(5):
                await trio.sleep(1)
                assert await peer.message() == "x" * 6000
            assert await peer.message() == 1000


async def test_a_shared_prefix_and_an_own_suffix_are_one_text_frame(autojump_clock):
    async def talk(websocket):
        for size in (1, 125, 126, 5000, 70_000):
            assert websocket.send_shared(b"x" * size, b"-%d" % size)

    async with served(talk) as server:
        peer = await server.websocket()
        for size in (1, 125, 126, 5000, 70_000):
            assert await peer.message() == "x" * size + f"-{size}"


async def test_large_messages_are_compressed_if_that_was_agreed(autojump_clock):
    async def talk(websocket):
        websocket.send("x" * 100_000)

    async with served(talk, limits=Limits(compression=True)) as server:
        peer = server.connect()
        assert (
            await peer.upgrade(headers=b"Sec-WebSocket-Extensions: permessage-deflate\r\n") == 101
        )
        received = await peer.rest()
        assert received[0] == 0xC1
        assert len(received) < 1000


async def test_an_abort_does_not_wait_for_the_peer(autojump_clock):
    async def leave(websocket):
        websocket.abort(1013, "no")
        await websocket.wait_closed()

    async with served(leave) as server:
        peer = await server.websocket()
        assert await peer.message() == 1013
        assert await peer.message() is None
        assert trio.current_time() < 2


async def test_echo_waits_for_a_slow_reader_and_loses_nothing(autojump_clock):
    limits = Limits(queue_bytes=5000)
    async with served(echo, limits=limits, make_pair=lockstep_stream_pair) as server:
        peer = await server.websocket()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, b"".join(text(f"{n:0500}") for n in range(50)))
            for n in range(50):
                await trio.sleep(0.05)
                assert await peer.message() == f"{n:0500}"
