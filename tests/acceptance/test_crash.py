"""The process is killed between any two lines: nothing acknowledged is lost or doubled."""

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
from websockets.exceptions import ConnectionClosed

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "6"))
"""More for a long run; the suite has 15 minutes for everything."""


def talk(gateway, name, acknowledged, asked):
    """Send numbered messages in one session until the gateway dies; retry what is open."""
    session = None
    try:
        with gateway.client() as client:
            while True:
                message = f"{name}-{len(asked[name])}"
                asked[name].append(message)
                ask = {"message": message, "idempotencyKey": message}
                ask |= {"sessionId": session} if session else {}
                session = client.call("agent.run", ask)["sessionId"]
                acknowledged.append((session, message))
    except (ConnectionClosed, OSError, TimeoutError):
        return


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(gateway):
    rng = random.Random(42)
    acknowledged, asked = [], {}
    for life in range(KILLS):
        began = time.monotonic()
        gateway.start()
        assert time.monotonic() - began < 10
        talkers = []
        for number in range(4):
            name = f"life{life}-talker{number}"
            asked[name] = []
            talkers.append(threading.Thread(target=talk, args=(gateway, name, acknowledged, asked)))
            talkers[-1].start()
        time.sleep(rng.uniform(0.05, 0.6))
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        for talker in talkers:
            talker.join(20)
    gateway.start()
    assert acknowledged
    with gateway.client() as client:
        for session in {session for session, _ in acknowledged}:
            history = client.call("sessions.history", {"sessionId": session, "limit": 1000})
            users = Counter(m["content"] for m in history["messages"] if m["role"] == "user")
            answers = [m["content"] for m in history["messages"] if m["role"] == "assistant"]
            for message in (message for where, message in acknowledged if where == session):
                assert users[message] == 1
                assert sum(f"{message}" in answer.split() for answer in answers) == 1


def test_what_was_asked_before_a_kill_is_answered_once_when_asked_again(gateway):
    gateway.config.write_text(
        gateway.config.read_text() + '\n[agents.main]\nprovider = "slow"\n'
        '\n[providers.slow]\nkind = "echo"\ndelay = 0.2\n'
    )
    gateway.start()
    ask = {"message": "only once", "idempotencyKey": "k"}
    with gateway.client() as client:
        client.send("agent.run", ask)
        session = client.wait_event("agent.thinking")["sessionId"]
        client.wait_event("agent.delta")
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
    gateway.start()
    with gateway.client() as client:
        result = client.call("agent.run", ask)
        assert result["sessionId"] == session
        history = client.call("sessions.history", {"sessionId": session})["messages"]
        assert [m["content"] for m in history if m["role"] == "user"] == ["only once"]
