"""The last that is said on a connection that is not served, or not any more."""

import trio

from gateway.serving.head import response

PARTING_SECONDS = 1.0
"""For the answer to a refused request, which fits into any socket's buffer, and for the peer
to read the end of what was said."""
GOODBYE_BYTES = 65_536
"""Input read and dropped after a refusal, lest the connection be reset under it."""
READ_BYTES = 16_384
"""One read."""


async def turn_away(stream: trio.abc.Stream) -> None:
    """Say 503 without reading what was asked, and without waiting: there are many."""
    with trio.move_on_after(PARTING_SECONDS):
        await stream.send_all(response(503, "too many connections"))


async def part(
    stream: trio.abc.Stream, status: int, message: str, *, with_body: bool = True
) -> None:
    """Answer with *status* and end the connection; bounded by `PARTING_SECONDS`."""
    await say(stream, response(status, message, with_body=with_body))


async def say(stream: trio.abc.Stream, answer: bytes) -> None:
    """Send *answer* and end the connection; bounded by `PARTING_SECONDS`."""
    with trio.move_on_after(PARTING_SECONDS):
        await stream.send_all(answer)
        await linger(stream, GOODBYE_BYTES)


async def linger(stream: trio.abc.Stream, most: int) -> None:
    """Say that nothing follows, then read and drop up to *most* bytes.

    A socket that is closed with unread input resets the connection, and the peer may never
    see what was said last.  As long as the peer takes: it is for the caller to bound.
    """
    if isinstance(stream, trio.abc.HalfCloseableStream):
        await stream.send_eof()
    while most > 0 and (received := await stream.receive_some(min(most, READ_BYTES))):
        most -= len(received)
