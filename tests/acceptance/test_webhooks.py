"""Others post to a real gateway, over a socket, with what they really send."""

import hashlib
import hmac
import json
import signal
import socket

import psutil
import pytest
from outside import TOKEN, configured

SECRET = "3c1f9d0b7a5e48d2a6c4f0e19b8d7352"
OTHER = "b8e02d7f61c9435aa1f7d40c5e9382b6"
HOOKS = f"""
[hooks.deploy]
secret = "{SECRET}"
template = "{{repository.name}} was deployed"
session = "deploys"

[hooks.alarm]
secret = "{OTHER}"
scheme = "bearer"
template = "{{}}"
"""
BODY = json.dumps({"repository": {"name": "žluť 🐈"}}, ensure_ascii=False).encode()


@pytest.fixture
def gateway(tmp_path):
    with configured(tmp_path, HOOKS) as made:
        yield made.start()


def signature(body, secret=SECRET):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def post(gateway, body=BODY, name="deploy", **headers):
    """Post as GitHub does; return status and what is said."""
    headers = headers or {"X_Hub_Signature_256": signature(body)}
    status, _, said = gateway.http(f"/hooks/{name}", method="POST", body=body, **headers)
    return status, json.loads(said)


def questions(gateway, session):
    with gateway.client() as client:
        history = client.call("sessions.history", {"sessionId": session})["messages"]
    return [each["content"] for each in history if each["role"] == "user"]


def test_a_signed_delivery_is_answered_by_an_agent(gateway):
    status, told = post(gateway)
    assert status == 202
    with gateway.client() as client:
        reply = client.call("agent.wait", {"runId": told["runId"]})["reply"]
    assert reply.startswith("Echo: žluť 🐈 was deployed")
    status, _ = post(gateway, b"disk full", "alarm", Authorization=f"Bearer {OTHER}")
    assert status == 202


def test_a_replay_is_known_after_the_process_was_killed(gateway):
    _, told = post(gateway)
    assert post(gateway) == (200, told)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    gateway.start()
    assert post(gateway) == (200, told)
    assert questions(gateway, told["sessionId"]) == ["žluť 🐈 was deployed"]


def test_strangers_learn_nothing_and_stop_nobody(gateway):
    answers = {
        post(gateway, name=name, X_Hub_Signature_256=signature(BODY, "wrong"))[0]
        for name in ["deploy", "alarm", "nothing"] * 5
    }
    assert answers == {401}
    # Gateway credentials are none here, and the secret of a hook is none elsewhere.
    assert post(gateway, Authorization=f"Bearer {TOKEN}")[0] == 401
    bearer = f"Bearer {OTHER}"
    assert gateway.http("/rpc", method="POST", body=b"{}", Authorization=bearer)[0] == 401
    assert post(gateway)[0] == 202


def test_a_new_secret_counts_at_once(gateway):
    """Source: CVE-2026-43585."""
    new = SECRET[::-1]
    with gateway.client() as client:
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(SECRET, new))
        client.wait_event("config_reloaded")
    assert post(gateway)[0] == 401
    assert post(gateway, X_Hub_Signature_256=signature(BODY, new))[0] == 202


def test_a_hook_that_is_removed_is_gone_at_once(gateway):
    with gateway.client() as client:
        text = gateway.config.read_text()
        gateway.config.write_text(text[: text.index("[hooks.deploy]")])
        client.wait_event("config_reloaded")
    assert post(gateway)[0] == 401


@pytest.mark.parametrize("how", ["announced", "chunked"])
def test_a_huge_body_is_refused_early_and_costs_nothing(gateway, how):
    """Source: CVE-2026-32980."""
    process = psutil.Process(gateway.process.pid)
    before, sent = process.memory_info().rss, 0
    head = f"POST /hooks/deploy HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n"
    length = "Content-Length: 10000000000" if how == "announced" else "Transfer-Encoding: chunked"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as peer:
        peer.sendall(f"{head}{length}\r\n\r\n".encode())
        try:
            while how == "chunked" and sent < 1_000_000_000:
                peer.sendall(chunk)
                sent += len(chunk)
        except (ConnectionError, TimeoutError):
            pass  # it does not listen any more
        answer = b""
        try:
            answer = peer.recv(100)
        except ConnectionError:
            assert how == "chunked"
    assert how == "chunked" or answer.startswith(b"HTTP/1.1 413")
    assert sent < 100_000_000
    assert process.memory_info().rss - before < 20_000_000
    assert post(gateway)[0] == 202


def test_the_command_line_lists_hooks_and_signs_as_a_sender_would(gateway, tmp_path):
    options = ("--config", str(gateway.config))
    listed = gateway.command("hooks", "list", *options).stdout.splitlines()
    assert listed == [
        "/hooks/deploy  hmac-sha256, asks the default agent, in session deploys",
        "/hooks/alarm   bearer, asks the default agent",
    ]
    assert SECRET not in "".join(listed)
    signed = gateway.command("hooks", "sign", "deploy", *options, stdin=BODY.decode())
    assert signed.stdout == f"X-Hub-Signature-256: {signature(BODY)}\n"
    unknown = gateway.command("hooks", "sign", "deplyo", *options)
    assert unknown.returncode == 1
    assert "deploy" in unknown.stderr
