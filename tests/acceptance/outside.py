"""A real gateway process, and a foreign WebSocket client for it."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import attrs
from websockets.sync.client import connect

TOKEN = "acceptance-token-of-many-more-than-128-bits"
READER = "reader-token-of-many-more-than-128-bits-too"

CONFIG = f"""
[auth]
password = "a password long enough"

[auth.tokens.default]
token = "{TOKEN}"

[auth.tokens.reader]
token = "{READER}"
scopes = ["read"]
"""


def free_port():
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RefusedError(Exception):
    """The answer was an error."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error
        self.kind = error["data"]["kind"]


@attrs.define
class Client:
    """One connection of a client that the project did not write."""

    socket: object
    hello: dict = attrs.field(factory=dict)
    events: list = attrs.field(factory=list)
    numbers: object = attrs.field(factory=lambda: itertools.count(1))

    def send(self, method, params=None, **more):
        """Send a request and return its id; do not wait."""
        number = next(self.numbers)
        frame = {"id": number, "method": method, "params": params or {}} | more
        self.socket.send(json.dumps(frame))
        return number

    def read(self, timeout=10):
        """Return the next frame, whatever it is."""
        return json.loads(self.socket.recv(timeout=timeout))

    def answer(self, number, timeout=10):
        """Return the frame that answers request *number*; events on the way are kept."""
        until = time.monotonic() + timeout
        while (frame := self.read(until - time.monotonic())).get("id") != number:
            self.events.append(frame)
        return frame

    def call(self, method, params=None, timeout=10, **more):
        """Call and return the result; raises `RefusedError`."""
        frame = self.answer(self.send(method, params, **more), timeout)
        if "error" in frame:
            raise RefusedError(frame["error"])
        return frame["result"]

    def wait_event(self, name, timeout=10):
        """Return the data of the next event of that name."""
        until = time.monotonic() + timeout
        for index, frame in enumerate(self.events):
            if frame.get("event") == name:
                return self.events.pop(index)["data"]
        while (frame := self.read(until - time.monotonic())).get("event") != name:
            self.events.append(frame)
        return frame["data"]


@attrs.define
class Gateway:
    """A gateway process of its own, with a state directory of its own."""

    home: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def config(self):
        return self.home / "gateway.toml"

    @property
    def state(self):
        return self.home / "state"

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/"

    def environment(self):
        # Byte code may be kept: compiling everything anew is most of what a start takes.
        unwanted = ("GATEWAY_", "PYTHONDONTWRITEBYTECODE")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        return clean | {"HOME": str(self.home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}

    def command(self, *arguments, stdin=None, **environment):
        """Run a command of the gateway to its end; returns the finished process."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environment() | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def places(self):
        """What an operator has in his environment whose commands are to find it."""
        return {
            "GATEWAY_CONFIG": str(self.config),
            "GATEWAY_STATE": str(self.state),
            "GATEWAY_PORT": str(self.port),
        }

    def beside(self, *arguments, **options):
        """Run a command as somebody on the same machine would."""
        return self.command(*arguments, **self.places | options)

    def start(self, *arguments, wait=True, **environment):
        """Start it; returns when it accepts connections (unless *wait* is false)."""
        # Output to a file: nobody reads a pipe while the test does something else.
        with (self.home / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gateway", "run"),
                    *("--config", str(self.config), "--state", str(self.state)),
                    *("--port", str(self.port), *arguments),
                ],
                env=self.environment() | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=15):
        """Return when ``/readyz`` says yes."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"gateway ended early:\n{self.output()}")
            try:
                if self.http("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"gateway not ready:\n{self.output()}")

    def output(self):
        """Return everything it has printed."""
        return (self.home / "output.log").read_text(errors="replace")

    def http(self, path, *, method="GET", body=None, **headers):
        """Return status, headers and body of one request."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=body,
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    @contextmanager
    def open(self, **options):
        """Open a socket without authenticating."""
        options = {"max_size": None, "compression": None, "open_timeout": 10} | options
        with connect(self.url, **options) as opened:
            yield Client(opened)

    @contextmanager
    def client(self, token=TOKEN, resume=None, **options):
        """Connect and authenticate."""
        with self.open(**options) as client:
            params = {"auth": {"token": token}, "client": {"type": "control", "name": "test"}}
            client.hello = client.call("connect", params | ({"resume": resume} if resume else {}))
            yield client

    def stop(self, number=signal.SIGTERM, timeout=40):
        """Send a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def configured(home, more=""):
    """Make a gateway that is not running yet, with *more* in its configuration; end it after."""
    made = Gateway(home, free_port())
    made.config.write_text(CONFIG + more)
    made.config.chmod(0o600)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
