"""system.*, health, metrics and logs.tail: thin over what others know."""

import os
from pathlib import Path

import pytest

from gateway.health.snapshot import Reason, Snapshot, Verdict
from gateway.logs.tail import Tail
from gateway.methods.health import health_methods
from gateway.methods.logs import logs_methods
from gateway.methods.metrics import metrics_methods
from gateway.methods.system import Counts, Facts, system_methods
from gateway.protocol.convert import InvalidError
from gateway.protocol.frames import encode, parse


async def call(methods, name, **params):
    """Return the result as it is on the wire."""
    return parse(encode(await methods.call(name, params)))


@pytest.fixture
def ended():
    return []


@pytest.fixture
def system(ended):
    return system_methods(
        Facts(Path("/etc/gateway.toml"), Path("/var/lib/gateway"), 1e9),
        lambda: Counts(connections=3, clients=2, nodes=1, in_flight=0),
        uptime=lambda: 12.3456,
        shutdown=lambda reason: ended.append(("shutdown", reason)),
        restart=lambda reason, process: ended.append(("restart", reason, process)),
    )


async def test_the_system_describes_itself(system):
    told = await call(system, "system.info")
    assert told["pid"] == os.getpid()
    assert told["config"] == str(Path("/etc/gateway.toml"))
    assert (told["started"], told["uptime"]) == (1e9, 12.346)
    assert told["counts"] == {"connections": 3, "clients": 2, "nodes": 1, "inFlight": 0}


async def test_ending_is_accepted_and_has_a_reason(system, ended):
    assert await call(system, "system.shutdown", reason="upgrade") == {"accepted": True}
    await call(system, "system.shutdown")
    assert ended == [("shutdown", "upgrade"), ("shutdown", "system.shutdown")]


async def test_starting_over_is_in_the_same_process_unless_another_one_is_wanted(system, ended):
    assert await call(system, "system.restart") == {"accepted": True}
    await call(system, "system.restart", reason="upgrade", process=True)
    assert ended == [("restart", "system.restart", False), ("restart", "upgrade", True)]


async def test_health_is_the_snapshot():
    snapshot = Snapshot(Verdict.DEGRADED, "1", 5.0, (Reason("gateway/x", "down"),))
    told = await call(health_methods(lambda: snapshot), "health")
    assert told["status"] == "degraded"
    assert told["reasons"] == [{"path": "gateway/x", "message": "down"}]


async def test_metrics_are_text():
    assert await call(metrics_methods(lambda: b"up 1\n"), "metrics") == {"text": "up 1\n"}


def tail_of(*messages):
    tail = Tail()
    for message in messages:
        tail.add("info", encode({"event": message}))
    return tail


async def test_the_log_can_be_followed_with_a_cursor():
    tail = tail_of("one", "two")
    methods = logs_methods(tail)
    first = await call(methods, "logs.tail")
    assert [entry["event"] for entry in first["entries"]] == ["one", "two"]
    tail.add("error", encode({"event": "three"}))
    more = await call(methods, "logs.tail", cursor=first["cursor"], level="warning")
    assert [entry["event"] for entry in more["entries"]] == ["three"]
    assert not more["gap"]
    assert (await call(methods, "logs.tail", cursor=first["cursor"] - 100))["gap"]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 1001}, {"level": "loud"}])
async def test_what_is_asked_of_the_log_is_bounded(params):
    with pytest.raises(InvalidError):
        await logs_methods(tail_of()).call("logs.tail", params)
