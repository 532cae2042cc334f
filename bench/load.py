"""A foreign load generator: many clients of the `websockets` library in one asyncio process.

Run by ``bench/gateway.py`` as a process of its own, so that client and server do not
share an event loop.  Prints one JSON object.
"""

import argparse
import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect

BATCH = 16
"""Clients that connect at the same time: what one address may hold unauthenticated."""


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None


async def opened(arguments):
    """Connect and authenticate all clients, a batch at a time."""
    clients = []

    async def one():
        socket = await connect(
            arguments.url, compression=None, ping_interval=None, max_queue=None, open_timeout=30
        )
        auth = {"auth": {"token": arguments.token}, "client": {"type": "control", "name": "load"}}
        await socket.send(json.dumps({"id": 0, "method": "connect", "params": auth}))
        hello = json.loads(await socket.recv())
        assert "result" in hello, hello
        clients.append(socket)

    while len(clients) < arguments.clients:
        wanted = min(BATCH, arguments.clients - len(clients))
        await asyncio.gather(*(one() for _ in range(wanted)))
    return clients


async def latency(arguments):
    """An open loop: requests leave on schedule, however long the answers take."""
    clients = await opened(arguments)
    sent, took = {}, []

    async def read(number, socket):
        async for message in socket:
            frame = json.loads(message)
            if "id" in frame:
                took.append(time.perf_counter() - sent.pop((number, frame["id"])))

    readers = [asyncio.create_task(read(*pair)) for pair in enumerate(clients)]
    total = int(arguments.rate * arguments.seconds)
    began = time.perf_counter()
    for request in range(total):
        number = request % len(clients)
        if (wait := began + request / arguments.rate - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        sent[number, request] = time.perf_counter()
        await clients[number].send(f'{{"id":{request},"method":"{arguments.method}"}}')
    for _ in range(200):
        if not sent:
            break
        await asyncio.sleep(0.05)
    for reader in readers:
        reader.cancel()
    return {
        "requests": total,
        "unanswered": len(sent),
        "rate": len(took) / (time.perf_counter() - began),
        "p50": percentile(took, 0.5),
        "p99": percentile(took, 0.99),
        "max": max(took),
    }


async def hold(arguments):
    """Open idle clients and hold them until standard input ends."""
    clients = await opened(arguments)
    print(json.dumps({"clients": len(clients)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    alive = sum(socket.close_code is None for socket in clients)
    return {"alive": alive}


async def fanout(arguments):
    """One run's events to all clients: time from asking to the last client's last event."""
    clients = await opened(arguments)
    done = []

    async def read(socket):
        count = 0
        async for message in socket:
            count += 1
            if '"agent.done"' in message:
                done.append(time.perf_counter())
                return count
        return count

    readers = [asyncio.create_task(read(socket)) for socket in clients[1:]]
    await asyncio.sleep(1)
    began = time.perf_counter()
    ask = {"id": 1, "method": "agent.run", "params": {"message": "hello " * 20}}
    await clients[0].send(json.dumps(ask))
    counts = await asyncio.gather(*readers)
    return {
        "clients": len(clients),
        "events": sum(counts),
        "seconds": max(done) - began,
        "rate": sum(counts) / (max(done) - began),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["latency", "hold", "fanout"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--method", default="ping")
    arguments = parser.parse_args()
    kinds = {"latency": latency, "hold": hold, "fanout": fanout}
    print(json.dumps(asyncio.run(kinds[arguments.kind](arguments))))


if __name__ == "__main__":
    main()
