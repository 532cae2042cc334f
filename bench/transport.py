"""The transport alone: echo throughput, fan-out, memory of an idle connection.

``python -m bench.transport`` starts a server process and prints a table.  The client is
made of plain sockets and prepared frames, so that the server is what is measured; CPU is
the server's own, from /proc.
"""

import argparse
import os
import selectors
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import orjson
import trio

from gateway.serving.admission import Admission
from gateway.serving.limits import Limits
from gateway.serving.listener import serve
from gateway.serving.websocket import WebSocket

REQUEST = {"id": 123, "method": "echo", "params": {"text": "hello, world", "number": 12345}}
EVENT = orjson.dumps({"event": "agent.delta", "data": {"text": "x" * 120}})[:-1]
TICKS = os.sysconf("SC_CLK_TCK")


# --- the server -------------------------------------------------------------------------

clients: list[WebSocket] = []


async def dispatch(websocket: WebSocket) -> None:
    websocket.authenticated()
    clients.append(websocket)
    while batch := await websocket.receive_batch():
        for message in batch:
            request = orjson.loads(message)
            if request["method"] == "broadcast":
                await broadcast(request["params"]["events"])
                continue
            reply = orjson.dumps({"id": request["id"], "result": request["params"]})
            if not websocket.send_text(reply):
                await websocket.send_patiently(reply)
    clients.remove(websocket)


async def broadcast(events: int) -> None:
    for number in range(events):
        suffix = b',"seq":%07d}' % number
        for client in clients:
            client.send_shared(EVENT, suffix)
        await trio.lowlevel.checkpoint()


async def run_server() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    print(listeners[0].socket.getsockname()[1], flush=True)
    limits = Limits(
        preauth_connections=0, preauth_per_address=0, connections=0, queue_bytes=64 * 2**20
    )
    await serve(dispatch, listeners, admission=Admission(["127.0.0.1"]), limits=limits)


# --- the client -------------------------------------------------------------------------


def masked_text(payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload  # masked with zeros


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += connection.recv(1)
    connection.setblocking(False)
    return connection


class Server:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.transport", "--server"], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def echo(server: Server, connections: int, in_flight: int, seconds: float) -> tuple[float, float]:
    """Return requests per second and microseconds of CPU per request."""
    frame = masked_text(orjson.dumps(REQUEST))
    reply = len(orjson.dumps({"id": REQUEST["id"], "result": REQUEST["params"]})) + 2
    selector = selectors.DefaultSelector()
    pending = {}
    for _ in range(connections):
        connection = connect(server.port)
        selector.register(connection, selectors.EVENT_READ)
        pending[connection] = 0
        connection.sendall(frame * in_flight)
    done = 0
    cpu, begun = server.cpu(), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for key, _ in selector.select(1):
            connection = key.fileobj
            whole, pending[connection] = divmod(
                pending[connection] + len(connection.recv(262_144)), reply
            )
            done += whole
            if whole:
                connection.sendall(frame * whole)
    elapsed = time.perf_counter() - begun
    cpu = server.cpu() - cpu
    for connection in pending:
        connection.close()
    return done / elapsed, cpu / done * 1e6


def fan_out(server: Server, connections: int, events: int) -> tuple[float, float]:
    """Return frames per second and microseconds of CPU per frame."""
    selector = selectors.DefaultSelector()
    opened = [connect(server.port) for _ in range(connections)]
    for connection in opened:
        selector.register(connection, selectors.EVENT_READ)
    payload = len(EVENT) + len(b',"seq":0000000}')
    wanted = (payload + (2 if payload < 126 else 4)) * connections * events
    cpu, begun = server.cpu(), time.perf_counter()
    ask = {"id": 1, "method": "broadcast", "params": {"events": events}}
    opened[0].sendall(masked_text(orjson.dumps(ask)))
    received = 0
    while received < wanted:
        for key, _ in selector.select(1):
            received += len(key.fileobj.recv(262_144))
    elapsed = time.perf_counter() - begun
    cpu = server.cpu() - cpu
    for connection in opened:
        connection.close()
    return connections * events / elapsed, cpu / connections / events * 1e6


def idle_memory(server: Server, connections: int) -> float:
    """Return bytes per idle connection."""
    warm = [connect(server.port) for _ in range(100)]
    before = server.rss()
    opened = [connect(server.port) for _ in range(connections)]
    time.sleep(1)
    used = server.rss() - before
    for connection in warm + opened:
        connection.close()
    return used / connections


def main() -> None:
    print(f"{'':34}{'per second':>12}{'CPU us each':>13}")
    for connections, in_flight in ((16, 64), (16, 1), (1, 1)):
        with closing(Server()) as server:
            rate, cpu = echo(server, connections, in_flight, 3)
        print(f"{f'JSON echo, {connections} x {in_flight} in flight':34}{rate:12,.0f}{cpu:13.1f}")
    with closing(Server()) as server:
        rate, cpu = fan_out(server, 1000, 100)
    print(f"{'one event to 1 000 connections':34}{rate:12,.0f}{cpu:13.1f}")
    with closing(Server()) as server:
        print(f"{'idle connection':34}{idle_memory(server, 3000) / 1000:9.1f} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="store_true", help="be the server process")
    if parser.parse_args().server:
        trio.run(run_server)
    else:
        main()
