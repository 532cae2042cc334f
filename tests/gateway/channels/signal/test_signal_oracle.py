"""The fake daemon, judged by other people's clients; and ours with it, over real sockets."""

import json
import os
import sys

import trio
from fakes.asgi import server
from fakes.signal import ANN, NUMBER, FakeSignal, envelope
from far_server import serve

from gateway.channels.base import Attachment, Outbound
from gateway.channels.memory import MemoryLink
from gateway.channels.signal import make
from gateway.config.channels import Signal

CLIENT = """
import json, sys
import httpx
from httpx_sse import connect_sse
from jsonrpcclient import Error, Ok, parse_json, request_json

url, number, ann = sys.argv[1:]
said = []

def ask(method, **params):
    headers = {"Content-Type": "application/json"}
    body = request_json(method, params=params)
    match parse_json(client.post("/api/v1/rpc", content=body, headers=headers).text):
        case Ok(result, _):
            return result
        case Error(code, message, _, _):
            return [code, message]

def listen(count, **headers):
    with connect_sse(client, "GET", "/api/v1/events", headers=headers) as source:
        events = source.iter_sse()
        found = [next(events) for _ in range(count)]
        return [[e.event, e.id, e.json()["envelope"]["dataMessage"]["message"]] for e in found]

with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
    said.append(client.get("/api/v1/check").status_code)
    said.append(client.get("/api/v1/nothing").status_code)
    said.append(client.post("/api/v1/rpc", content=b"x").status_code)
    said.append(listen(2, **{"Last-Event-ID": "1000-1"}))
    said.append(listen(3, **{"Last-Event-ID": "unknown"}))
    said.append(ask("send", recipient=[ann], message="hi", account=number)["timestamp"])
    said.append(ask("send", recipient=[ann], message="hi", account="+1"))
    said.append(ask("send", message="hi"))
    said.append(ask("nothing"))
    said.append(client.get("/api/v1/events", params={"account": "+1"}).status_code)
print(json.dumps(said))
"""


async def test_clients_of_other_people_are_content_with_the_fake():
    fake = FakeSignal()
    fake.say(*(envelope(text, 1000 + at) for at, text in enumerate(("one", "two", "three"))))
    async with serve(server(fake.asgi)) as far:
        command = [sys.executable, "-c", CLIENT, far.url, NUMBER, ANN]
        with trio.fail_after(60):
            done = await trio.run_process(
                command,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd="/",
                env={**os.environ, "PYTHONPATH": "", "NO_PROXY": "*"},
            )
    assert done.returncode == 0, done.stderr.decode()
    events = [["receive", f"1000-{n}", text] for n, text in ((1, "one"), (2, "two"), (3, "three"))]
    assert json.loads(done.stdout) == [
        200,
        404,
        415,
        events[1:],
        events,
        1_800_000_000_001,
        [-32602, "Specified account does not exist"],
        [-1, "No recipients given"],
        [-32601, "Method not implemented"],
        400,
    ]


async def test_a_conversation_over_the_network():
    fake, link = FakeSignal(), MemoryLink()
    async with serve(server(fake.asgi)) as far:
        channel = make(Signal(number=NUMBER, url=far.url))
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.run, link)
                while not link.identities:
                    link.news = trio.Event()
                    await link.news.wait()
                fake.say(envelope("hello"))
                while not link.accepted:
                    link.news = trio.Event()
                    await link.news.wait()
                (message,) = link.accepted
                await channel.send(Outbound(message.place, "**hi**", "k", reply_to=message.id))
                fake.files["big"] = bytes(3_000_000)
                file = Attachment("file", f"{ANN} big")
                assert await channel.fetch(file, 4_000_000) == fake.files["big"]
                nursery.cancel_scope.cancel()
    (sent,) = fake.called("send")
    assert (sent["message"], sent["quoteTimestamp"]) == ("hi", 1_700_000_000_000)
