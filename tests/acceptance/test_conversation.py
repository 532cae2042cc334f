"""What a user and a client see of a gateway that was just installed."""

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
from outside import READER, TOKEN, RefusedError

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


def test_the_first_start_writes_a_configuration_and_says_how_to_connect(gateway):
    gateway.config.unlink()
    gateway.start()
    assert gateway.config.stat().st_mode & 0o777 == 0o600
    assert str(gateway.config) in gateway.output()
    token = gateway.command("token", "--config", str(gateway.config)).stdout.strip()
    assert len(token) >= 32
    with gateway.client(token=token) as client:
        assert client.call("ping") is not None


def test_an_agent_answers_in_streamed_pieces(shared):
    with shared.client() as client:
        number = client.send("agent.run", {"agentId": "main", "message": "good morning"})
        result = client.answer(number)["result"]
        assert set(result) == {"sessionId", "runId", "reply"}
        assert "good morning" in result["reply"]
        kinds = [frame["event"] for frame in client.events if frame["event"].startswith("agent.")]
        assert kinds[0] == "agent.thinking"
        text = "".join(f["data"]["text"] for f in client.events if f["event"] == "agent.delta")
        assert text == result["reply"]
        done = client.wait_event("agent.done")
        assert done["sessionId"] == result["sessionId"]
        assert done["reply"] == result["reply"]


def test_a_session_remembers_and_its_history_is_in_order(shared):
    with shared.client() as client:
        first = client.call("agent.run", {"message": "one"})
        session = first["sessionId"]
        client.call("agent.run", {"message": "two", "sessionId": session})
        history = client.call("sessions.history", {"sessionId": session})["messages"]
        assert [m["role"] for m in history] == ["user", "assistant"] * 2
        assert [m["content"] for m in history[::2]] == ["one", "two"]


def test_event_numbers_count_from_one_without_holes(shared):
    with shared.client() as client:
        for _ in range(3):
            client.call("agent.run", {"message": "hello there"})
        numbers = [frame["seq"] for frame in client.events]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_client_that_comes_back_gets_what_it_missed(running):
    with running.client() as client:
        client.call("agent.run", {"message": "hello"})
        epoch, seen = client.hello["epoch"], client.events[-1]["seq"]
    with running.client() as other:
        other.call("agent.run", {"message": "meanwhile"})
        missed = [f["data"] for f in other.events if f["event"].startswith("agent.")]
    with running.client(resume={"epoch": epoch, "seq": seen}) as client:
        assert client.hello["resumed"] is True
        assert client.hello["gap"] is False
        done = client.wait_event("agent.done")
        assert "meanwhile" in done["reply"]
        got = [f for f in client.events if f["event"].startswith("agent.")]
        assert [f["data"] for f in got] + [done] == missed
        numbers = [f["seq"] for f in client.events]
        assert numbers == sorted(numbers)
        assert min(numbers) == seen + 1


def test_an_unknown_epoch_is_an_honest_gap(shared):
    with shared.client(resume={"epoch": "e-of-another-life", "seq": 5}) as client:
        assert client.hello["gap"] is True


def test_the_same_idempotency_key_has_one_effect(running):
    with running.client() as client:
        ask = {"message": "once", "idempotencyKey": "k-1"}
        first = client.call("agent.run", ask)
        assert client.call("agent.run", ask) == first
        history = client.call("sessions.history", {"sessionId": first["sessionId"]})["messages"]
        assert [m["content"] for m in history if m["role"] == "user"] == ["once"]


def test_an_idempotency_key_holds_across_a_restart(running):
    ask = {"message": "once", "idempotencyKey": "k-2"}
    with running.client() as client:
        first = client.call("agent.run", ask)
    running.stop()
    running.start()
    with running.client() as client:
        assert client.call("agent.run", ask) == first


def test_a_reader_may_look_but_not_touch(shared):
    with shared.client(token=READER) as client:
        assert client.hello["scopes"] == ["read"]
        client.call("agents.list")
        with pytest.raises(RefusedError) as caught:
            client.call("agent.run", {"message": "hi"})
        assert caught.value.kind == "forbidden"
        assert caught.value.error["data"]["scope"] == "write"


def test_operators_read_the_tree_and_restart_a_child(running):
    with running.client() as client:
        tree = client.call("supervision.tree")
        names = [child["path"].split("/")[1] for child in tree["children"]]
        assert names == [
            "watchdog", "store", "settings", "clients", "mcp", "agents", "compaction",
            "conversations", "requests", "listener", "channels", "health", "reload", "watch",
            "announcer",
        ]  # fmt: skip
        assert {child["state"] for child in tree["children"]} == {"running"}
        client.call("supervision.restart", {"path": "gateway/health"})
        again = client.call("supervision.tree")["children"][names.index("health")]
        assert again["incarnation"] == 2


def test_health_is_a_fold_of_the_tree(shared):
    with shared.client() as client:
        health = client.call("health")
        assert health["status"] == "ok"
        assert {"version", "uptime", "channels", "agents", "plugins", "nodes"} <= set(health)
        assert [agent["id"] for agent in health["agents"]] == ["main"]


def test_the_published_description_lists_every_method(shared):
    with shared.client() as client:
        document = client.call("rpc.discover")
        assert document["openrpc"].startswith("1.")
        assert {method["name"] for method in document["methods"]} >= set(client.hello["methods"])


def test_any_json_rpc_client_is_understood(shared):
    with shared.client() as client:
        client.socket.send('{"jsonrpc": "2.0", "id": "a", "method": "ping"}')
        answer = client.read()
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == "a"


def test_one_request_over_http_is_answered_by_the_same_router(shared):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    headers = {"authorization": f"Bearer {TOKEN}", "content_type": "application/json"}
    status, _, answer = shared.http("/rpc", method="POST", body=body, **headers)
    assert status == 200
    assert "result" in json.loads(answer)


def test_the_curl_of_the_tutorial_gets_an_answer(shared):
    text = TUTORIAL.read_text().replace("\\\n", "")
    (command,) = re.findall(r"^curl .*", text, re.MULTILINE)
    words = shlex.split(command.replace("$(gateway token)", TOKEN))
    headers = dict(b.split(": ", 1) for a, b in itertools.pairwise(words) if a == "-H")
    body = words[words.index("-d") + 1].encode()
    status, _, answer = shared.http("/rpc", method="POST", body=body, **headers)
    assert (status, json.loads(answer)["result"]["status"]) == (200, "ok")


@pytest.mark.parametrize("path", ["/", "/rpc", "/metrics", "/nothing", "/v1/models", "/../etc"])
def test_everything_but_the_two_probes_refuses_strangers(shared, path):
    assert shared.http(path)[0] == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_say_a_status_and_nothing_else(shared, path):
    status, _, body = shared.http(path)
    assert status == 200
    assert len(body) < 40


def test_metrics_are_there_for_who_may_see_them(shared):
    status, _, body = shared.http("/metrics", authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert b"process_resident_memory_bytes" in body
    assert b"gateway_" in body


def test_the_start_page_is_a_page(shared):
    status, headers, body = shared.http("/", authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert b"<html" in body.lower()


def test_files_are_for_the_owner_only(running):
    with running.client() as client:
        client.call("agent.run", {"message": "hello"})
    modes = {path: path.stat().st_mode & 0o777 for path in running.state.rglob("*")}
    assert modes
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_second_instance_names_the_first(running):
    other = running.command(
        *("run", "--config", str(running.config), "--state", str(running.state), "--port", "0")
    )
    assert other.returncode == 1
    assert str(running.process.pid) in other.stderr + other.stdout


def test_commands_find_a_gateway_that_was_told_another_port(gateway):
    gateway.start()
    environment = {"GATEWAY_CONFIG": str(gateway.config), "GATEWAY_STATE": str(gateway.state)}
    assert f":{gateway.port}" not in gateway.config.read_text()
    found = gateway.command("call", "ping", **environment)
    assert found.returncode == 0, found.stderr
    gateway.stop()
    assert not (gateway.state / "listening").exists()
