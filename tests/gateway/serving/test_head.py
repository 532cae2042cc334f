import h11
import pytest
from trio.testing import memory_stream_pair

from gateway.serving.head import Head, HeadError, read_opening, response


async def opening_of(*chunks, limit=1000):
    ours, theirs = memory_stream_pair()
    for chunk in chunks:
        await ours.send_all(chunk)
    await ours.send_eof()
    return await read_opening(theirs, limit)


async def test_a_head_is_read_and_what_is_behind_it_is_kept():
    opening = await opening_of(b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\nX-A:  b \r\n\r\nbehind")
    assert opening.head == Head("GET", "/x?y=1", (("host", "a"), ("x-a", "b")))
    assert opening.rest == b"behind"
    assert opening.received.endswith(b"\r\n\r\nbehind")


async def test_a_head_may_come_in_pieces():
    opening = await opening_of(*(bytes([byte]) for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert opening.head.target == "/"


async def test_an_end_before_the_end_of_the_head_is_nothing():
    assert await opening_of(b"GET / HTTP/1.1\r\nHo") is None
    assert await opening_of() is None


@pytest.mark.parametrize("size", [990, 5000, 100_000])
async def test_a_large_head_is_refused_whether_complete_or_not(size):
    for end in (b"", b"\r\n\r\n"):
        with pytest.raises(HeadError) as caught:
            await opening_of(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * size + end)
        assert caught.value.status == 431


async def test_many_headers_are_refused():
    with pytest.raises(HeadError) as caught:
        await opening_of(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n")
    assert caught.value.status == 431


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # without Host
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_nonsense_is_refused_or_ends(head):
    with pytest.raises(HeadError) as caught:
        await opening_of(head)
    assert caught.value.status in (400, 501)


def test_a_head_knows_its_parts():
    head = Head(
        "GET", "/a?b=c?d", [("connection", "Keep-Alive, Upgrade"), ("upgrade", "WebSocket")]
    )
    assert (head.path, head.query, head.authority) == ("/a", "b=c?d", None)
    assert head.tokens("connection") == ["keep-alive", "upgrade"]
    assert head.wants_websocket
    assert not Head("GET", "/", [("upgrade", "h2c")]).wants_websocket


def test_an_absolute_target_has_an_authority():
    head = Head("GET", "http://a:1?b", [])
    assert (head.path, head.query, head.authority) == ("/", "b", "a:1")


@pytest.mark.parametrize("with_body", [True, False])
def test_a_response_is_one_that_h11_understands(with_body):
    client = h11.Connection(h11.CLIENT)
    method = "GET" if with_body else "HEAD"
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response(403, "no", with_body=with_body))
    answer = client.next_event()
    assert (answer.status_code, answer.reason) == (403, b"Forbidden")
    if with_body:
        assert bytes(client.next_event().data) == b"no\n"
    assert type(client.next_event()) is h11.EndOfMessage
