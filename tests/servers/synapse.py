"""A real Matrix homeserver, and people who use it: nothing here is ours but the wiring.

Synapse is licensed under the AGPL and its dependencies are others than ours, so it gets an
environment of its own, below ``.servers`` or where ``TEST_SERVERS`` says, and is kept there.
"""

import base64
import fcntl
import hashlib
import hmac
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import attrs
import httpx
import pytest

VERSION = "1.163.2"
ROOT = Path(__file__).parents[2]
SECRET = "whoever knows this may register"
SECONDS = 30

PLAIN = {"trust_env": False, "verify": False, "timeout": SECONDS}
"""No certificates: reading them takes longer than a request."""


def installed():
    """Return the Python that has Synapse; installs it the first time (250 MB, half a minute)."""
    servers = Path(os.environ.get("TEST_SERVERS", ROOT / ".servers"))
    servers.mkdir(parents=True, exist_ok=True)
    home = servers / f"synapse-{VERSION}"
    with (servers / "synapse.lock").open("w") as lock:
        # Only one at a time, when tests run in several processes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _install(home)
    return home / "bin" / "python"


def _install(home):
    shutil.rmtree(home, ignore_errors=True)
    wanted = f"matrix-synapse=={VERSION}"
    # Not compiled: Python compiles the part that is used when it is used.
    install = ["-m", "pip", "install", "-q", "--no-input", "--no-compile", wanted]
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [str(home / "bin/python"), *install],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"Synapse cannot be installed: {done.stderr[-500:]}"
            if os.environ.get("CI"):
                raise AssertionError(reason)
            pytest.skip(reason)
    (home / "complete").touch()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


PLENTY = {"per_second": 10_000, "burst_count": 10_000}


def settings(home, port):
    """Return a configuration: as usual but for limits, which only some tests want."""
    return {
        "server_name": "localhost",
        "pid_file": str(home / "pid"),
        "listeners": [
            {
                "bind_addresses": ["127.0.0.1"],
                "port": port,
                "type": "http",
                "tls": False,
                "resources": [{"names": ["client"], "compress": False}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": str(home / "homeserver.db")}},
        "media_store_path": str(home / "media"),
        "log_config": str(home / "log.yaml"),
        "signing_key_path": str(home / "signing.key"),
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": "m" * 40,
        "form_secret": "f" * 40,
        "bcrypt_rounds": 4,
        "report_stats": False,
        "trusted_key_servers": [],
        "presence": {"enabled": False},
        "max_upload_size": "2M",
        "rc_message": PLENTY,
        "rc_registration": PLENTY,
        "rc_joins": {"local": PLENTY, "remote": PLENTY},
        "rc_joins_per_room": PLENTY,
        "rc_invites": {"per_room": PLENTY, "per_user": PLENTY, "per_issuer": PLENTY},
        "rc_login": {"address": PLENTY, "account": PLENTY, "failed_attempts": PLENTY},
    }


LOG = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
}


@attrs.define
class Synapse:
    """A homeserver; it keeps what it knows in *home* when it is stopped."""

    python: Path
    home: Path
    port: int = attrs.field(factory=free_port)
    process: subprocess.Popen | None = None
    _admin: "Person | None" = None
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Return when it answers."""
        config = self.home / "homeserver.yaml"
        if not config.exists():
            # JSON is YAML.
            config.write_text(json.dumps(settings(self.home, self.port)))
            (self.home / "log.yaml").write_text(json.dumps(LOG))
            seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
            (self.home / "signing.key").write_text(f"ed25519 a_test {seed}\n")
        with (self.home / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [self.python, "-m", "synapse.app.homeserver", "-c", str(config)],
                cwd=self.home,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"]},
            )
        self.wait_ready()
        return self

    def wait_ready(self, timeout=60):
        until = time.monotonic() + timeout
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", **PLAIN).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        output = (self.home / "output.log").read_text(errors="replace")
        raise AssertionError(f"Synapse does not answer:\n{output[-3000:]}")

    def stop(self):
        """Return when it has ended."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def pause(self):
        """Be a black hole: connections are accepted by the kernel, and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def register(self, name=None, password="password", *, admin=False):
        """Return a new user, logged in; with a name of his own unless one is given."""
        name = name or f"user{next(self._numbers)}"
        where = f"{self.url}/_synapse/admin/v1/register"
        nonce = httpx.get(where, **PLAIN).raise_for_status().json()["nonce"]
        words = [nonce, name, password, "admin" if admin else "notadmin"]
        mac = hmac.new(SECRET.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
        wanted = {"nonce": nonce, "username": name, "password": password, "admin": admin}
        made = httpx.post(where, json=wanted | {"mac": mac}, **PLAIN)
        found = made.raise_for_status().json()
        return Person(self.url, found["user_id"], found["access_token"])

    def limit(self, user, per_second, burst):
        """Have *user* send at most so many messages."""
        if self._admin is None:
            self._admin = self.register("administrator", admin=True)
        where = f"/_synapse/admin/v1/users/{user}/override_ratelimit"
        limits = {"messages_per_second": per_second, "burst_count": burst}
        self._admin.ask("POST", where, json=limits)


@attrs.define
class Person:
    """A user of the homeserver who sits before another client."""

    url: str
    id: str
    token: str = attrs.field(repr=False)
    seen: list = attrs.field(factory=list)
    """Pairs of room and event, everything that came by `look`, in order."""
    _since: str | None = None
    _count: int = 0

    def ask(self, method, path, **content):
        """Return the reply to a request; raises `httpx.HTTPStatusError`."""
        with httpx.Client(base_url=self.url, **PLAIN) as client:
            headers = {"Authorization": f"Bearer {self.token}"} | content.pop("headers", {})
            reply = client.request(method, path, headers=headers, **content).raise_for_status()
            return reply.json() if "json" in reply.headers["content-type"] else reply.content

    def call(self, method, path, **content):
        return self.ask(method, f"/_matrix/client/v3/{path}", **content)

    def open_room(self, *others, encrypted=False, **more):
        """Make a room, invite *others* and return its id."""
        wanted = {"preset": "private_chat", "invite": [each.id for each in others]} | more
        if encrypted:
            content = {"algorithm": "m.megolm.v1.aes-sha2"}
            state = {"type": "m.room.encryption", "state_key": "", "content": content}
            wanted["initial_state"] = [state]
        return self.call("POST", "createRoom", json=wanted)["room_id"]

    def join(self, room):
        self.call("POST", f"rooms/{room}/join", json={})

    def send(self, room, content, kind="m.room.message"):
        """Send an event and return its id."""
        self._count += 1
        where = f"rooms/{room}/send/{kind}/txn-{self._count}-{time.monotonic_ns()}"
        return self.call("PUT", where, json=content)["event_id"]

    def say(self, room, text, **more):
        return self.send(room, {"msgtype": "m.text", "body": text} | more)

    def upload(self, content, mime, name):
        return self.ask(
            "POST",
            "/_matrix/media/v3/upload",
            content=content,
            params={"filename": name},
            headers={"Content-Type": mime},
        )["content_uri"]

    def download(self, uri):
        path = f"/_matrix/client/v1/media/download/{uri.removeprefix('mxc://')}"
        return self.ask("GET", path)

    def look(self, timeout=1.0):
        """Note what is new, after at most *timeout* seconds."""
        wanted = {"timeout": round(timeout * 1000)} | (
            {"since": self._since} if self._since else {}
        )
        found = self.call("GET", "sync", params=wanted)
        self._since = found["next_batch"]
        for room, news in found.get("rooms", {}).get("join", {}).items():
            for part in ("timeline", "ephemeral"):
                self.seen += [(room, each) for each in news.get(part, {}).get("events", [])]

    def wait(self, room, holds, timeout=SECONDS):
        """Return the first event in *room*, seen or to come, for which *holds* does."""
        until = time.monotonic() + timeout
        while True:
            for where, event in self.seen:
                if where == room and holds(event):
                    return event
            assert time.monotonic() < until, f"only {self.texts(room)}"
            self.look()

    def wait_text(self, room, text, timeout=SECONDS):
        """Return the message that says *text*."""
        return self.wait(room, lambda event: event["content"].get("body") == text, timeout)

    def texts(self, room):
        """Return who has said what in *room*, as far as it was seen."""
        return [
            (event["sender"], event["content"]["body"])
            for where, event in self.seen
            if where == room and "body" in event.get("content", {})
        ]

    def members(self, room):
        return set(self.call("GET", f"rooms/{quote(room)}/joined_members")["joined"])


@contextmanager
def running(home):
    """Have a homeserver for the body; *home* is an empty folder."""
    server = Synapse(installed(), home)
    try:
        yield server.start()
    finally:
        server.stop()
