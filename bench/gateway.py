"""The whole gateway from outside: start, latency, throughput, fan-out, memory, stop.

``python bench/gateway.py [--quick] [--json]``.  A real process, real sockets, and a client
library that is not ours.  Figures from one run can be compared with each other; machines
are too noisy for anything else.
"""

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil

TOKEN = "bench-token-of-many-more-than-128-bits"
CONFIG = f"""
[auth.tokens.default]
token = "{TOKEN}"

[gateway.limits]
requests_per_second = 0
in_flight = 0
connections = 0
"""
HERE = Path(__file__).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One gateway process with a fresh state directory."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory()
        self.port = free_port()
        config = Path(self.home.name, "gateway.toml")
        config.write_text(CONFIG)
        config.chmod(0o600)
        self.command = [
            *(sys.executable, "-m", "gateway", "run", "--config", str(config)),
            *("--state", str(Path(self.home.name, "state")), "--port", str(self.port)),
        ]
        self.took = 0.0

    def __enter__(self):
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not self.ready():
            assert self.process.poll() is None, "the gateway ended"
            time.sleep(0.005)
        self.took = time.perf_counter() - began
        return self

    def __exit__(self, *_):
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)
        self.stopped = time.perf_counter() - began
        self.home.cleanup()

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                return True
        except OSError:
            return False

    def rss(self):
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def cpu(self):
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def load(self, kind, **options):
        return [
            *(sys.executable, str(HERE / "load.py"), kind),
            *("--url", f"ws://127.0.0.1:{self.port}/", "--token", TOKEN),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]

    def run(self, kind, **options):
        done = subprocess.run(
            self.load(kind, **options), check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def holding(server, clients):
    """Hold idle clients while the body runs."""
    process = subprocess.Popen(
        server.load("hold", clients=clients),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(process.stdout.readline())["clients"] == clients
    yield
    out, _ = process.communicate("")
    assert json.loads(out)["alive"] == clients


def start(figures, quick):
    took, stopped, rss = [], [], []
    for _ in range(3 if quick else 7):
        with Server() as server:
            took.append(server.took)
            time.sleep(0.5)
            rss.append(server.rss())
        stopped.append(server.stopped)
    figures["start to ready, median", "s"] = statistics.median(took)
    figures["idle stop, median", "s"] = statistics.median(stopped)
    figures["idle RSS", "MiB"] = statistics.median(rss)


def latency(figures, quick):
    with Server() as server:
        before = server.cpu()
        got = server.run("latency", clients=100, rate=1000, seconds=5 if quick else 30)
        figures["100 clients, 1000/s: p50", "ms"] = got["p50"] * 1000
        figures["100 clients, 1000/s: p99", "ms"] = got["p99"] * 1000
        figures["100 clients, 1000/s: max", "ms"] = got["max"] * 1000
        figures["CPU per request", "us"] = (server.cpu() - before) / got["requests"] * 1e6
        figures["unanswered", ""] = got["unanswered"]
        got = server.run("latency", clients=2000, rate=2000, seconds=5 if quick else 20)
        figures["2000 clients, 1/s each: p99", "ms"] = got["p99"] * 1000


def fanout(figures, quick):
    with Server() as server:
        got = server.run("fanout", clients=200 if quick else 1001)
        figures[f"fan-out to {got['clients'] - 1} clients", "frames/s"] = got["rate"]


def memory(figures, quick):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = 1000 if quick else min(10_000, hard - 500)
    with Server() as server:
        before = server.rss()
        with holding(server, clients):
            time.sleep(1)
            after = server.rss()
            figures[f"RSS with {clients} idle clients", "MiB"] = after
            figures["per idle client", "KiB"] = (after - before) * 1024 / clients
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--only", choices=["start", "latency", "fanout", "memory"])
    arguments = parser.parse_args()
    figures = {}
    os.environ.pop("NOTIFY_SOCKET", None)
    # A warm start has its byte code.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for part in (start, latency, fanout, memory):
        if arguments.only in (None, part.__name__):
            part(figures, arguments.quick)
    if arguments.json:
        print(json.dumps({f"{name} [{unit}]": value for (name, unit), value in figures.items()}))
        return
    for (name, unit), value in figures.items():
        print(f"{name:<34} {value:>12,.2f} {unit}")


if __name__ == "__main__":
    main()
