"""The fake Telegram in a process of its own, driven over its control routes."""

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import attrs
from outside import free_port

FAKE = Path(__file__).parents[1] / "gateway" / "channels" / "fakes" / "telegram.py"
BOT_TOKEN = "123456:AAH-fake_token_of_thirty_five_chars"


@attrs.define
class Telegram:
    """The far end of a bot."""

    port: int
    process: subprocess.Popen

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def control(self, name, given=None):
        """Call a control route and return what it says."""
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.url}/control/{name}", data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def say(self, text):
        """Have Ann write *text* to the bot."""
        self.control("say", {"text": text})

    def texts(self):
        """Return what the bot has said, in order."""
        return [
            each["parameters"]["text"]
            for each in self.control("sent")
            if each["method"] == "sendMessage"
        ]

    def wait_texts(self, condition, seconds=20):
        """Return what the bot has said as soon as *condition* holds for it."""
        until = time.monotonic() + seconds
        while not condition(texts := self.texts()):
            assert time.monotonic() < until, texts
            time.sleep(0.1)
        return texts

    def config(self, **more):
        """Return the part of a configuration that makes a bot of it."""
        lines = [f'token = "{BOT_TOKEN}"', f'api = "{self.url}"']
        lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
        return "\n".join(["\n[channels.telegram.main]", *lines, ""])


@contextmanager
def telegram():
    """Run it around a block."""
    port = free_port()
    # -P: beside it are files with names of modules of Python, like signal.
    process = subprocess.Popen([sys.executable, "-P", str(FAKE), "--port", str(port)])
    found = Telegram(port, process)
    until = time.monotonic() + 20
    while True:
        try:
            found.control("state")
            break
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    try:
        yield found
    finally:
        process.kill()
        process.wait()
