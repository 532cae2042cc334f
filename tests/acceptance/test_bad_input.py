"""Each hostile input gets its documented answer, and nobody else notices."""

import base64
import json
import os
import socket
import struct
import time
from contextlib import contextmanager

import psutil
import pytest
from outside import TOKEN, RefusedError
from websockets.exceptions import ConnectionClosed, InvalidStatus

FRAMES = [
    ("not JSON", "{", "parse-error"),
    ("nothing", "", "parse-error"),
    ("deep JSON", "[" * 100_000, "parse-error"),
    ("deep JSON that closes", "[" * 100_000 + "]" * 100_000, "parse-error"),
    ("NaN", '{"id": 1, "method": "ping", "params": {"x": NaN}}', "parse-error"),
    ("a list", "[]", "invalid-request"),
    ("a number", "5", "invalid-request"),
    ("no method", '{"id": 1}', "invalid-request"),
    ("an id that is a list", '{"id": [], "method": "ping"}', "invalid-request"),
    ("an id that is too long", json.dumps({"id": "x" * 129, "method": "ping"}), "invalid-request"),
    ("an unknown method", '{"id": 1, "method": "no.such"}', "unknown-method"),
    ("params that are a list", '{"id": 1, "method": "ping", "params": [1]}', "invalid-params"),
    ("an unknown param", '{"id": 1, "method": "ping", "params": {"x": 1}}', "invalid-params"),
    (
        "a wrong type",
        '{"id": 1, "method": "agent.run", "params": {"message": 5}}',
        "invalid-params",
    ),
    (
        "a huge number",
        '{"id": 1, "method": "logs.tail", "params": {"limit": 1' + "0" * 5000 + "}}",
        None,
    ),
    ("binary", b"\x00\x01", "invalid-request"),
]


@pytest.mark.parametrize(("frame", "kind"), [f[1:] for f in FRAMES], ids=[f[0] for f in FRAMES])
def test_a_bad_frame_is_answered_and_the_connection_survives(shared, frame, kind):
    with shared.client() as client:
        client.socket.send(frame)
        error = client.read()["error"]
        assert error["data"]["kind"] in ({kind} if kind else {"parse-error", "invalid-params"})
        client.call("ping")


def test_all_wrong_params_are_named_at_once(shared):
    with shared.client() as client, pytest.raises(RefusedError) as caught:
        client.call("agent.run", {"mesage": "x", "agentId": 5})
    paths = {issue["path"] for issue in caught.value.error["data"]["issues"]}
    assert paths == {"message", "mesage", "agentId"}


def handshake(gateway, **headers):
    """Open a socket and send an upgrade by hand; return it with the answer's first line."""
    sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=15)
    lines = {
        "Host": f"127.0.0.1:{gateway.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    } | headers
    head = "GET / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v) + "\r\n"
    sock.sendall(head.encode())
    return sock, sock.recv(4096).decode(errors="replace").splitlines()[0]


def frame(payload, opcode=0x1, fin=True, length=None):
    """Return a client frame, masked with zeros; *length* may lie."""
    size = len(payload) if length is None else length
    first = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return first + bytes([0x80 | size]) + b"\0" * 4 + payload
    if size < 65536:
        return first + b"\xfe" + struct.pack("!H", size) + b"\0" * 4 + payload
    return first + b"\xff" + struct.pack("!Q", size) + b"\0" * 4 + payload


@contextmanager
def raw(gateway):
    """An authenticated connection on which bytes can be sent by hand."""
    sock, answer = handshake(gateway)
    assert "101" in answer
    connect = {"id": 1, "method": "connect", "params": {"auth": {"token": TOKEN}}}
    connect["params"]["client"] = {"type": "control", "name": "raw"}
    sock.sendall(frame(json.dumps(connect).encode()))
    sock.recv(65536)
    with sock:
        yield sock


def close_code(sock):
    """Read until the server closes; return the code of its close frame."""
    received = b""
    while chunk := sock.recv(65536):
        received += chunk
    at = received.rfind(b"\x88")
    return struct.unpack("!H", received[at + 2 : at + 4])[0]


def flood(sock, chunks):
    """Send *chunks* until the server has had enough."""
    try:
        for chunk in chunks:
            sock.sendall(chunk)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("chunks", "codes"),
    [
        ([frame(b"", length=2**63 - 1)], {1009}),
        ([frame(b"x" * 2_000_000)], {1009}),
        ([frame(b"\xff\xfe")], {1007}),
        ([b"\x81\x05hello"], {1002}),
        ([frame(b"x", fin=False), *[frame(b"x", 0, fin=False)] * 3000], {1008, 1009}),
    ],
    ids=["announced 2^63-1", "too large", "invalid UTF-8", "unmasked", "endless fragments"],
)
def test_a_hostile_frame_closes_its_connection_and_no_other(shared, chunks, codes):
    with shared.client() as other, raw(shared) as sock:
        flood(sock, chunks)
        assert close_code(sock) in codes
        other.call("ping")


@pytest.mark.slow
def test_a_flood_of_pings_is_ended(running):
    with running.client() as other, raw(running) as sock:
        until = time.monotonic() + 30
        pings = frame(b"", 0x9) * 100
        with pytest.raises(OSError):
            while time.monotonic() < until:
                sock.sendall(pings)
                time.sleep(0.1)
        other.call("ping")


def test_a_compressed_bomb_is_not_inflated(running):
    import zlib

    squeeze = zlib.compressobj(9, wbits=-15)
    bomb = squeeze.compress(b"\0" * 800_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    before = psutil.Process(running.process.pid).memory_info().rss
    with running.client() as other:
        offer = {"Sec-WebSocket-Extensions": "permessage-deflate"}
        sock, _ = handshake(running, **offer)
        with sock:
            flood(sock, [b"\xc1" + frame(bomb)[1:]])
            close_code_or_none(sock)
        other.call("ping")
    assert psutil.Process(running.process.pid).memory_info().rss < before + 8_000_000


def close_code_or_none(sock):
    """Read until the end; a reset is an end too."""
    try:
        return close_code(sock)
    except (OSError, struct.error):
        return None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, "403"),
        ({"Origin": "null"}, "403"),
        ({"Host": "evil.example"}, "421"),
        ({"Host": "127.0.0.1.evil.example"}, "421"),
        ({"Host": None}, "400"),
    ],
)
def test_a_foreign_page_gets_no_socket(shared, headers, status):
    sock, answer = handshake(shared, **headers)
    sock.close()
    assert status in answer or (status == "400" and "421" in answer)


def test_credentials_in_the_query_are_refused(shared):
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus) as caught, connect(f"{shared.url}?token={TOKEN}"):
        pass
    assert caught.value.response.status_code == 400


def test_a_wrong_token_is_told_what_to_do(running):
    with running.open() as client:
        error = client.answer(client.send("connect", {"auth": {"token": "wrong"}}))["error"]
        assert error["data"]["kind"] in {"unauthorized", "invalid-params"}
        with pytest.raises(ConnectionClosed) as closed:
            client.read()
        assert closed.value.rcvd.code == 1008


def test_five_wrong_tokens_lock_the_address_out_but_not_who_is_in(running):
    with running.client() as inside:
        for _ in range(5):
            with running.open() as client:
                params = {"auth": {"token": "wrong"}, "client": {"type": "control"}}
                client.answer(client.send("connect", params))
        with pytest.raises((RefusedError, ConnectionClosed, InvalidStatus)), running.client():
            pass
        inside.call("ping")


def test_anything_before_connect_is_refused(shared):
    with shared.open() as client:
        error = client.answer(client.send("agents.list"))["error"]
        assert error["data"]["kind"] == "unauthorized"
        with pytest.raises(ConnectionClosed) as closed:
            client.read()
        assert closed.value.rcvd.code == 1008


@pytest.mark.slow
def test_silent_sockets_and_slow_heads_are_ended_in_time(running):
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(8)]
    slow = socket.create_connection(("127.0.0.1", running.port))
    began = time.monotonic()
    slow.sendall(b"GET / HTTP/1.1\r\nHost: 127")
    with running.client() as client:
        client.call("ping")
    for sock in (*silent, slow):
        sock.settimeout(15)
        flood_end(sock)
        sock.close()
    assert time.monotonic() - began < 20


def flood_end(sock):
    """Read until the server closes."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass


def test_an_endless_head_is_refused(shared):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=15) as sock:
        flood(
            sock,
            [b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", *[b"X: " + b"y" * 1000 + b"\r\n"] * 100],
        )
        assert b"431" in sock.recv(100)


@pytest.mark.slow
def test_a_stalled_reader_is_closed_and_others_lose_nothing(running):
    with running.client() as other, raw(running) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = psutil.Process(running.process.pid).memory_info().rss
        until = time.monotonic() + 14
        seen = 0
        while time.monotonic() < until:
            other.call("agent.run", {"message": "x" * 50_000})
            seen += len(other.events)
            numbers = [event["seq"] for event in other.events]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            other.events.clear()
        assert psutil.Process(running.process.pid).memory_info().rss < before + 30_000_000
        # It is full of old events; then comes the close frame, which it does not answer.
        stalled.settimeout(15)
        flood_end(stalled)
        assert seen
