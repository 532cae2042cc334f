"""Somebody who talks to an agent in a terminal says there what it may do."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from outside import configured
from terminal import terminal

ASKING = """
[providers.far]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"

[agents.main]
provider = "far"
model = "m"

[agents.main.tools]
ask = ["sessions_search"]
"""


class Model(BaseHTTPRequestHandler):
    """A model that looks for cats, then says that it has."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = asked["messages"][-1]
        if told["role"] == "tool":
            delta, why = {"content": "I have heard: " + told["content"]}, "stop"
        else:
            function = {"name": "sessions_search", "arguments": '{"text": "cats"}'}
            call = {"index": 0, "id": "c1", "type": "function", "function": function}
            delta, why = {"tool_calls": [call]}, "tool_calls"
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": why}
        chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *_):
        pass


@contextmanager
def model():
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def chat(tmp_path):
    with model() as port, configured(tmp_path, ASKING.format(port=port)) as gateway:
        gateway.start()
        with terminal(gateway.environment() | gateway.places, "chat") as screen:
            screen.gateway = gateway
            screen.wait("you> ")
            yield screen


def approval(screen):
    """Return the id of what the screen asks about."""
    screen.wait('May I use sessions_search with {"text":"cats"}')
    screen.wait("/allow ")
    screen.wait("you> ")
    with screen.gateway.client() as client:
        (waiting,) = client.call("approvals.list")["approvals"]
    return waiting["id"]


def test_what_an_agent_asks_is_answered_where_it_is_asked(chat):
    chat.type("where are cats\n")
    asked = approval(chat)
    chat.type("yes, do\n")
    chat.wait("The agent waits for /allow ID")
    chat.type(f"/allow {asked}\n")
    chat.wait("sessions_search: allowed.")
    chat.wait("I have heard")
    chat.wait("you> ")
    chat.type("again\n")
    approval(chat)
    chat.type("/stop\n")
    chat.wait("cancelled")
    chat.type("/status\n")
    chat.wait("Agent: main")


def test_answered_elsewhere_the_prompt_is_that_of_the_next_question(chat):
    chat.type("where are cats\n")
    asked = approval(chat)
    with chat.gateway.client() as client:
        client.call("approvals.deny", {"id": asked})
    chat.wait("I have heard")
    chat.type("/status\n")
    chat.wait("Agent: main")
    chat.wait("Conversation: 4 messages")
    # Typed before the prompt is there, the end of input belongs to nobody.
    chat.wait("you> ")
    chat.type("\x04")
    assert chat.wait_exit() == 0
