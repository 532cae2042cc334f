"""How a real process stops."""

import json
import signal
import time

import pytest
from outside import CONFIG
from websockets.exceptions import ConnectionClosed

SLOW = """
[providers.slow]
kind = "echo"
delay = {delay}

[agents.main]

[agents.slow]
provider = "slow"
"""


def slow_agent(gateway, delay):
    """Add an agent that waits *delay* seconds before each word."""
    gateway.config.write_text(CONFIG + SLOW.format(delay=delay))


def test_an_idle_gateway_stops_with_0_and_tells_its_clients(running):
    with running.client() as client:
        running.process.send_signal(signal.SIGTERM)
        assert set(client.wait_event("gateway_closing")) == {"reason", "restartExpectedMs"}
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.read()
        assert closed.value.rcvd.code == 1001
    assert running.process.wait(5) == 0


def test_ctrl_c_is_a_graceful_stop(running):
    assert running.stop(signal.SIGINT) == 0


def test_work_in_flight_is_finished_before_the_end(gateway):
    slow_agent(gateway, 0.3)
    gateway.start()
    with gateway.client() as client:
        number = client.send("agent.run", {"agentId": "slow", "message": "a b c"})
        client.wait_event("agent.thinking")
        gateway.process.terminate()
        client.wait_event("gateway_closing")
        assert "a b c" in client.answer(number, timeout=20)["result"]["reply"]
    assert gateway.process.wait(20) == 0


def test_new_requests_are_refused_while_stopping(gateway):
    slow_agent(gateway, 0.5)
    gateway.start()
    with gateway.client() as client:
        client.send("agent.run", {"agentId": "slow", "message": "a b c"})
        client.wait_event("agent.thinking")
        gateway.process.terminate()
        client.wait_event("gateway_closing")
        # The news are first; a moment later the gate is closed.
        while "error" not in (answer := client.answer(client.send("agents.list"))):
            time.sleep(0.01)
        assert answer["error"]["data"]["kind"] == "unavailable"
    assert gateway.process.wait(20) == 0


def test_a_second_signal_ends_it_at_once(gateway):
    slow_agent(gateway, 30)
    gateway.start()
    with gateway.client() as client:
        client.send("agent.run", {"agentId": "slow", "message": "a b c"})
        client.wait_event("agent.thinking")
        gateway.process.terminate()
        client.wait_event("gateway_closing")
        gateway.process.terminate()
        gateway.process.wait(5)


@pytest.mark.slow
def test_what_does_not_fit_into_the_grace_is_answered_and_logged(gateway):
    """30 requests of 0.1 to 60 s: Source: requirement 6.2 and 4.2."""
    gateway.config.write_text(CONFIG + "\n[agents.main]\n" + "".join(
        f'\n[providers.p{i}]\nkind = "echo"\ndelay = {0.1 * 600 ** (i / 29)}\n'
        f'\n[agents.a{i}]\nprovider = "p{i}"\n'
        for i in range(30)
    ))  # fmt: skip
    gateway.start()
    with gateway.client() as client:
        numbers = {
            client.send("agent.run", {"agentId": f"a{i}", "message": "x"}): i for i in range(30)
        }
        for _ in range(30):
            client.wait_event("agent.thinking")
        began = time.monotonic()
        gateway.process.terminate()
        answers = {}
        with pytest.raises(ConnectionClosed):
            while True:
                frame = client.read(timeout=40)
                if "id" in frame:
                    answers[numbers[frame["id"]]] = frame
        assert gateway.process.wait(20) == 0
        assert time.monotonic() - began < 30.5  # the promise itself, not a guess
    assert sorted(answers) == list(range(30))
    refused = {i: a["error"]["data"]["kind"] for i, a in answers.items() if "error" in a}
    assert set(refused.values()) == {"unavailable"}
    assert 29 in refused
    assert 0 not in refused
    logged = [json.loads(line) for line in gateway.output().splitlines() if "agent.run" in line]
    unfinished = [entry for entry in logged if {"id", "method", "age"} <= set(entry)]
    assert len(unfinished) == len(refused)


def test_a_signal_during_the_start_leaves_nothing_behind(gateway):
    for delay in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        gateway.start(wait=False)
        time.sleep(delay)
        gateway.stop()
    gateway.start()
    with gateway.client() as client:
        client.call("ping")
