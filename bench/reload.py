"""Reloads under load and restarts under a stream of connects: what fails, how long it takes.

``python bench/reload.py [--quick] [--json]``.  A real process, real sockets, and a client
library that is not ours.  Whole: 1 000 reloads at 1/s under 100 clients with requests and
streaming turns, 5 000 edits that are not valid, 200 restarts at 200 connects/s.  What has
to be zero is an error of this program, not only a figure.
"""

import argparse
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import trio
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.trio.client import connect

TOKEN = "bench-token-of-many-more-than-128-bits"
CONFIG = f"""
[auth.tokens.default]
token = "{TOKEN}"

[gateway.limits]
requests_per_second = 0
preauth_connections = 0
preauth_per_address = 0

[providers.slow]
kind = "echo"
delay = 0.05

[agents.main]

[agents.slow]
provider = "slow"
"""
CLIENTS, STREAMS = 90, 10
"""Clients that ask ten times a second, and such that always have an answer streaming."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One gateway process with a fresh state directory."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.config = Path(self.home.name, "gateway.toml")
        self.save(CONFIG)
        self.config.chmod(0o600)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "run", "--config", str(self.config)),
                *("--state", str(Path(self.home.name, "state")), "--port", str(self.port)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self.ready():
            assert self.process.poll() is None, "the gateway ended"
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0
        self.home.cleanup()

    def save(self, text):
        draft = self.config.with_name("draft")
        draft.write_text(text)
        draft.replace(self.config)

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                return True
        except OSError:
            return False


class Client:
    """A connection that has one request at a time."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)
        self.events = []

    async def call(self, method, **params):
        number = next(self.numbers)
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            frame = json.loads(await self.socket.recv())
            if frame.get("id") == number:
                assert "result" in frame, frame
                return frame["result"]
            self.events.append(frame)

    async def wait_event(self, *names):
        while True:
            while self.events:
                frame = self.events.pop(0)
                if frame["event"] in names:
                    return frame
            self.events.append(json.loads(await self.socket.recv()))

    async def start(self, *events):
        await self.call("connect", auth={"token": TOKEN}, client={"type": "control", "name": "b"})
        await self.call("events.subscribe", events=list(events))
        return self


def opened(server):
    return connect(f"ws://127.0.0.1:{server.port}/", compression=None)


async def load(server, over, calls):
    async def ask():
        async with opened(server) as connection:
            client = await Client(connection).start()
            while not over.is_set():
                await client.call("agents.list")
                calls.append(None)
                await trio.sleep(0.1)

    async def stream():
        async with opened(server) as connection:
            client = await Client(connection).start("agent.delta")
            while not over.is_set():
                asked = "one two three four five six"
                done = await client.call("agent.run", agentId="slow", message=asked)
                assert asked in done["reply"]
                assert client.events, "nothing was streamed"
                client.events.clear()
                calls.append(None)

    async with trio.open_nursery() as nursery:
        for task in [ask] * CLIENTS + [stream] * STREAMS:
            nursery.start_soon(task)


async def reloads(figures, quick):
    count, calls, took, over = 10 if quick else 1000, [], [], trio.Event()
    with Server() as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, server, over, calls)
            async with opened(server) as connection:
                watcher = await Client(connection).start("config_reloaded", "config_rejected")
                await trio.sleep(1)
                for number in range(count):
                    due = trio.current_time() + 1
                    server.save(CONFIG.replace("= 0\n", f"= 0\nin_flight = {64 + number}\n", 1))
                    began = trio.current_time()
                    frame = await watcher.wait_event("config_reloaded", "config_rejected")
                    took.append(trio.current_time() - began)
                    assert frame["event"] == "config_reloaded", frame
                    # Once for each: the next one would be this one again.
                    assert frame["data"]["revision"] == number + 2, frame
                    await trio.sleep_until(due)
            over.set()
    figures["reloads under 100 clients", ""] = count
    figures["calls meanwhile, none failed", ""] = len(calls)
    figures["save to config_reloaded, median", "ms"] = statistics.median(took) * 1000
    figures["save to config_reloaded, max", "ms"] = max(took) * 1000


async def edits(figures, quick):
    count, rng = 100 if quick else 5000, random.Random(5)
    with Server() as server:
        async with opened(server) as connection:
            client = await Client(connection).start("config_reloaded", "config_rejected")
            before = await client.call("config.get")
            began = trio.current_time()
            for _ in range(count):
                server.save(CONFIG[: rng.randrange(20, 60)] if rng.random() < 0.5 else broken(rng))
                server.process.send_signal(signal.SIGHUP)
                frame = await client.wait_event("config_reloaded", "config_rejected")
                assert frame["event"] == "config_rejected", frame
                assert frame["data"]["issues"][0]["line"] >= 1, frame
            took = trio.current_time() - began
            assert await client.call("config.get") == before
    figures["invalid edits, all rejected", ""] = count
    figures["per invalid edit", "ms"] = took / count * 1000


def broken(rng):
    lines = CONFIG.splitlines()
    lines.insert(rng.randrange(len(lines)), rng.choice(["x = ", "[", "= 1", "[auth", "\0"]))
    return "\n".join(lines)


async def restarts(figures, quick):
    count, counts, over = 10 if quick else 200, {"connected": 0, "refused": 0}, trio.Event()
    took = []

    async def come():
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        except OSError:
            counts["refused"] += 1
        else:
            counts["connected"] += 1
            await stream.aclose()

    async def keep_coming():
        async with trio.open_nursery() as nursery:
            while not over.is_set():
                nursery.start_soon(come)
                await trio.sleep(1 / 200)

    with Server() as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_coming)
            for _ in range(count):
                async with opened(server) as connection:
                    client = await Client(connection).start()
                    before = (await client.call("system.info"))["started"]
                    await client.call("system.restart", reason="bench")
                began = trio.current_time()
                await back(server, before)
                took.append(trio.current_time() - began)
            over.set()
    assert counts["refused"] == 0, counts
    figures["restarts at 200 connects/s", ""] = count
    figures["connects, none refused", ""] = counts["connected"]
    figures["restart to served again, median", "ms"] = statistics.median(took) * 1000


async def back(server, before):
    """Return when a gateway that has started after *before* answers."""
    while True:
        try:
            async with opened(server) as connection:
                client = await Client(connection).start()
                if (await client.call("system.info"))["started"] > before:
                    return
        except (AssertionError, ConnectionClosed, EOFError, OSError, WebSocketException):
            # Cut off while it stops; a refusal would have been counted above.
            await trio.sleep(0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of half an hour")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--only", choices=["reloads", "edits", "restarts"])
    arguments = parser.parse_args()
    figures = {}
    os.environ.pop("NOTIFY_SOCKET", None)
    for part in (reloads, edits, restarts):
        if arguments.only in (None, part.__name__):
            trio.run(part, figures, arguments.quick)
    if arguments.json:
        print(json.dumps({f"{name} [{unit}]": value for (name, unit), value in figures.items()}))
        return
    for (name, unit), value in figures.items():
        print(f"{name:<34} {value:>12,.2f} {unit}")


if __name__ == "__main__":
    main()
