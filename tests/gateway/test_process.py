"""Signals need a process of their own: these tests run small ones."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack

import pytest

from gateway.process import Exit, make_notify, unfinished, watchdog_interval
from supervisors import State, Status

PRELUDE = """
import structlog, sys, trio
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from gateway.process import Process
from supervisors import Child, Supervisor

async def quick(life):
    life.started()
    print("ready", flush=True)
    await life.wait_stopping()
    print("asked", flush=True)

async def slow(life):
    life.started()
    print("ready", flush=True)
    await life.wait_stopping()
    print("asked", flush=True)
    await trio.sleep(60)

async def deaf(life):
    life.started()
    print("ready", flush=True)
    with trio.CancelScope(shield=True):
        await trio.sleep(60)

async def late(life):
    print("ready", flush=True)
    await trio.sleep(60)

async def impossible(life):
    raise OSError("port is taken")

def run(child, stop_timeout=60, **kwargs):
    process = Process(Supervisor("root", [Child("c", child, stop_timeout=stop_timeout)]), **kwargs)
    sys.exit(process.run())
"""


@pytest.fixture
def start():
    """Starts small programs; whatever is left of them is killed."""
    with ExitStack() as started:

        def start(line):
            program = PRELUDE + textwrap.dedent(line)
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


def finish(process):
    out, err = process.communicate(timeout=20)
    return process.returncode, out.split(), err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_tree_in_order_and_exits_0(start, number):
    process = start("run(quick)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert finish(process)[:2] == (Exit.STOPPED, ["asked"])


def test_a_signal_during_the_start_stops_it(start):
    process = start("run(late, stop_timeout=0.1)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == Exit.STOPPED


def test_a_second_signal_does_not_wait(start):
    process = start("run(slow)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == Exit.STOPPED


def test_the_grace_ends_a_slow_child(start):
    process = start("run(slow, grace=0.1)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == Exit.STOPPED


def test_a_child_that_cannot_be_stopped_is_named_and_the_process_ends_all_the_same(start):
    process = start("run(deaf, grace=0.1)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == Exit.STUCK
    assert "did not stop in time: root/c" in err


def test_a_closed_terminal_does_not_end_a_service(start):
    process = start("run(quick)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[:2] == (Exit.STOPPED, ["asked"])


def test_an_error_during_the_start_is_the_callers(start):
    code, _, err = finish(start("run(impossible)"))
    assert code == Exit.FAILED
    assert "port is taken" in err


def test_unfinished_names_the_leaves_that_still_run():
    def status(path, state, *children):
        return Status(path=path, state=state, since=0.0, children=children)

    tree = status(
        "root",
        State.STOPPING,
        status("root/a", State.STOPPED),
        status("root/b", State.STOPPING, status("root/b/c", State.STOPPING)),
    )
    assert unfinished(tree) == ["root/b/c"]


def test_the_service_manager_gets_datagrams(tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        make_notify(address)("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_address_works_too():
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        make_notify("@" + name)("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_is_sent_and_nothing_fails(tmp_path):
    make_notify(None)("READY=1")
    make_notify(str(tmp_path / "gone"))("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_proofs_of_life_come_twice_as_often_as_they_are_due(environment, seconds):
    assert watchdog_interval(environment) == seconds


def test_as_many_files_are_allowed_as_the_system_lets_it_have():
    program = (
        "import resource as r\nfrom gateway.process import raise_descriptor_limit\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, r.getrlimit(r.RLIMIT_NOFILE)[1]))\n"
        "raise_descriptor_limit()\nsoft, hard = r.getrlimit(r.RLIMIT_NOFILE)\n"
        "assert soft == hard > 256"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
