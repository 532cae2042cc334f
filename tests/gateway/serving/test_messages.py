"""Bytes to messages, without I/O."""

import pytest
from raw_peer import BINARY, CONT, TEXT, frame, text

from gateway.serving.limits import FLOOD_SECONDS, Limits
from gateway.serving.messages import Assembler, Flood, close_reason
from gateway.serving.protocol import Protocol


@pytest.fixture
def assembler():
    return Assembler(Protocol(Limits()), Limits(), lambda: 0.0)


def cut(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 4096, 100_000])
def test_messages_do_not_depend_on_how_bytes_arrive(assembler, size):
    sent = ["", "a", "ü" * 200, "\U0001f600" * 20_000 + "x", b"", bytes(range(256)) * 40]
    stream = b"".join(
        frame(TEXT, each.encode()) if isinstance(each, str) else frame(BINARY, each)
        for each in sent
    )
    stream = stream.replace(b"", b"")
    limits = Limits(preauth_frame_bytes=0)
    assembler = Assembler(Protocol(limits), limits, lambda: 0.0)
    assert [message for part in cut(stream, size) for message in assembler.feed(part)] == sent


@pytest.mark.parametrize("size", [1, 2, 3, 5, 4096])
def test_fragments_may_be_cut_anywhere(assembler, size):
    pieces = cut("grüße \U0001f600".encode(), size)
    stream = frame(TEXT, pieces[0], fin=False)
    stream += b"".join(frame(CONT, piece, fin=False) for piece in pieces[1:]) + frame(CONT)
    assert assembler.feed(stream) == ["grüße \U0001f600"]
    assert assembler.feed(text("next")) == ["next"]


@pytest.mark.parametrize("bad", [b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90", b"\xff"])
@pytest.mark.parametrize("start", range(9))
def test_bad_text_is_noticed_at_the_byte_that_makes_it_bad(assembler, bad, start):
    whole = frame(TEXT, b"x" * start + bad + b"x" * 100)
    assembler.feed(whole[: 6 + start + len(bad)])
    assert assembler.protocol.close_sent.code == 1007


def test_bad_text_in_a_later_fragment_is_noticed_while_it_arrives(assembler):
    assembler.feed(frame(TEXT, b"\xf4", fin=False) + frame(CONT, b"\x90" + b"x" * 50)[:7])
    assert assembler.protocol.close_sent.code == 1007


def test_binary_messages_may_hold_anything(assembler):
    assert assembler.feed(frame(BINARY, b"\xff", fin=False) + frame(CONT, b"\xfe" * 9)[:12]) == []
    assert assembler.protocol.close_sent is None


def test_a_flood_is_a_rate_kept_up_not_a_burst():
    now = 0.0
    flood = Flood(100, lambda: now)
    assert not any(flood.add() for _ in range(int(100 * FLOOD_SECONDS)))
    assert flood.add()
    now = 1000.0
    assert not flood.add()


@pytest.mark.parametrize(
    ("reason", "kept"), [("", 0), ("x" * 123, 123), ("x" * 124, 123), ("ü" * 100, 61)]
)
def test_a_reason_fits_into_a_close_frame(reason, kept):
    assert close_reason(reason) == reason[:kept]
