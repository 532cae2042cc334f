"""Cost of a request inside the process, from frame to answer, without a socket.

``python bench/rpc.py [--json]``.  CPU time of one process; what the transport adds is
measured by ``bench/transport.py``, and both together by ``bench/gateway.py``.
"""

import argparse
import json
import sqlite3
import time

import attrs
import trio

from gateway.bus import Bus
from gateway.methods.core import core_methods
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.connect import About
from gateway.rpc.dispatch import Caller, Dispatcher
from gateway.rpc.gate import Gate
from gateway.rpc.hub import Hub
from gateway.rpc.idempotency import Idempotency
from gateway.rpc.router import Methods, Router
from gateway.rpc.stream import Filter, Stream

OWNER = Principal("owner", "control", frozenset({"read", "write", "admin"}))
FRAMES = {
    "ping": '{"id":123,"method":"ping"}',
    "echo": '{"id":"req-123","method":"bench.echo","params":{"text":"hello","number":5}}',
    "task": '{"method":"bench.task"}',
    "invalid": '{"id":123,"method":"bench.echo","params":{"text":5,"extra":1}}',
    "unknown": '{"id":123,"method":"bench.ehco"}',
    "garbage": '{"id":123,"method"',
}


@attrs.frozen
class Echo:
    text: str
    number: int = 0


def methods():
    bench = Methods("bench")

    @bench.method("read")
    def echo(params: Echo) -> Echo:
        return params

    @bench.method("read")
    async def task() -> dict[str, int]:
        return {}

    return bench


class Database:
    """Never asked: no request here has an idempotency key."""

    async def read(self, work):
        return work(sqlite3.connect(":memory:"))

    write = read


class Sink:
    """A socket that takes everything at once."""

    full = closed = False
    on_drain = None

    def send_shared(self, *_):
        return True


async def cost(dispatcher, raw, number):
    """Return CPU seconds for each of *number* requests."""
    async with trio.open_nursery() as nursery:

        async def reply(frame):
            pass

        caller = Caller(OWNER, Allowance(1e9, 0), nursery.start_soon, reply)
        began = time.process_time()
        for index in range(number):
            dispatcher.dispatch(raw, caller)
            if index % 50 == 0:
                await trio.lowlevel.checkpoint()
    return (time.process_time() - began) / number


def fan_out(clients, events):
    """Return CPU seconds for each event to each client."""
    bus = Bus()
    hub = Hub(bus, None)
    for _ in range(clients):
        stream = Stream(hub.journal, Filter(OWNER))
        stream.attach(Sink())
        hub.clients[_Member(stream)] = None
    began = time.process_time()
    for _ in range(events):
        bus.publish("agent.delta", {"sessionId": "s", "runId": "r", "text": "x" * 100})
    return (time.process_time() - began) / clients / events


@attrs.frozen(eq=False)
class _Member:
    stream: Stream
    about: About = About()


async def measure(number):
    gate = Gate()
    gate.is_open = True
    router = Router([*core_methods(lambda _: {}), methods()])
    dispatcher = Dispatcher(router, gate, Idempotency(Database()))
    figures = {}
    for name, raw in FRAMES.items():
        figures[f"{name}_us"] = await cost(dispatcher, raw, number) * 1e6
    figures["event_us"] = fan_out(1000, 100) * 1e6
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--number", type=int, default=50_000)
    options, _ = parser.parse_known_args()
    figures = trio.run(measure, options.number)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name.removesuffix('_us'):10} {value:8.2f} us")


if __name__ == "__main__":
    main()
