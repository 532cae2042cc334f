"""Mutated frames never crash the server, and never touch another connection."""

import random

import pytest
import trio
from raw_peer import CONT, PING, TEXT, UPGRADE, close, frame, served, text
from structlog.testing import capture_logs

from gateway.serving.limits import Limits

SEEDS = [
    text("hello"),
    text("x" * 200),
    frame(2, bytes(range(256)) * 300),
    frame(TEXT, "ü".encode()[:1], fin=False) + frame(PING, b"?") + frame(CONT, "ü".encode()[1:]),
    close(1000, "bye"),
    frame(PING, b"x" * 125) * 3,
    frame(TEXT, b"\xc1\xf3\x48\xcd\xc9\xc9\x07\x00", rsv1=True),
]


def mutate(random_, data):
    """Return *data* with some bytes flipped, dropped, doubled or invented."""
    mutated = bytearray(data)
    for _ in range(random_.randint(0, 4)):
        at = random_.randrange(len(mutated) + 1)
        match random_.randrange(4):
            case 0 if at < len(mutated):
                mutated[at] ^= 1 << random_.randrange(8)
            case 1:
                del mutated[at : at + random_.randint(1, 8)]
            case 2:
                mutated[at:at] = random_.randbytes(random_.randint(1, 8))
            case _:
                mutated[at:at] = mutated[at : at + 16]
    return bytes(mutated)


def stream_of(random_):
    return b"".join(mutate(random_, random_.choice(SEEDS)) for _ in range(random_.randint(1, 6)))


async def attack(server, sent, *, compressed):
    """Send *sent* on a connection of its own and read whatever comes back."""
    peer = server.connect()
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
    assert await peer.upgrade(headers=offer) == 101
    await peer.send(sent)
    with trio.move_on_after(1):
        await peer.rest()
    await peer.stream.aclose()


@pytest.mark.parametrize("seed", range(10))
async def test_mutated_frames_hurt_only_their_own_connection(autojump_clock, seed):
    random_ = random.Random(seed)
    limits = Limits(compression=True, ping_seconds=0)
    with capture_logs() as logs:
        async with served(limits=limits) as server:
            bystander = await server.websocket()
            for number in range(30):
                await attack(server, stream_of(random_), compressed=bool(number % 2))
                await bystander.send(text(str(number)))
                assert await bystander.message() == str(number)
    assert logs == []


@pytest.mark.parametrize("seed", range(5))
async def test_mutated_heads_are_answered_or_dropped(autojump_clock, seed):
    random_ = random.Random(seed)
    with capture_logs() as logs:
        async with served() as server:
            bystander = await server.websocket()
            for number in range(60):
                peer = server.connect()
                await peer.send(mutate(random_, UPGRADE % b"/ws" + b"\r\n"), text("x"))
                with trio.move_on_after(1):
                    answer = await peer.head()
                    assert not answer or answer.startswith(b"HTTP/1.1 ")
                await peer.stream.aclose()
                await bystander.send(text(str(number)))
                assert await bystander.message() == str(number)
    assert logs == []
