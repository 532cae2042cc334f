"""From a token to a bot that answers, with the commands of the README: real processes."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import attrs
import pytest
from outside import free_port
from terminal import terminal

FAKE = Path(__file__).parents[1] / "gateway" / "channels" / "fakes" / "telegram.py"
BOT_TOKEN = "123456:AAH-a_token_that_must_not_be_seen_xx"
WRONG = "123456:AAH-another_one_that_must_not_show_x"


@attrs.define
class Telegram:
    """Somebody else's server: the fake Bot API in a process of its own."""

    url: str

    def control(self, what, **body):
        request = urllib.request.Request(
            f"{self.url}/control/{what}",
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def wait_said(self, text, seconds=20):
        """Return the first message of the bot that has *text* in it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for each in self.control("sent"):
                if text in each["parameters"].get("text", ""):
                    return each["parameters"]["text"]
            time.sleep(0.05)
        raise AssertionError(f"nothing with {text!r}: {self.control('sent')}")


@pytest.fixture
def telegram():
    port = free_port()
    command = [sys.executable, "-P", str(FAKE), "--port", str(port), "--token", BOT_TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield Telegram(f"http://127.0.0.1:{port}")
        process.kill()


@pytest.fixture
def run(gateway):
    def run(*arguments, code=0, stdin=None, **environment):
        """Run a command to its end, expecting exit *code*; return all that it printed."""
        done = gateway.beside(*arguments, stdin=stdin, **environment)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        assert BOT_TOKEN not in said
        assert WRONG not in said
        return said

    return run


def test_a_token_and_two_commands_make_a_bot_that_answers(gateway, telegram, run):
    gateway.start()
    api = f"api={telegram.url}"
    said = run("channels", "add", "telegram", "--token", WRONG, api, code=1)
    assert "telegram:main does not work" in said
    assert "get one from @BotFather" in said
    assert "already" in run("channels", "add", "telegram", "--token", BOT_TOKEN, api, code=1)
    run("channels", "remove", "telegram:main")

    said = run("channels", "add", "telegram", "--token", "-", api, stdin=f"{BOT_TOKEN}\n")
    assert "telegram:main is connected as @butler_bot" in said
    assert "gateway pairing approve CODE --owner" in said

    telegram.control("say", text="good morning")
    code = telegram.wait_said("pairing approve").split()[-1]
    assert code in run("pairing", "list")
    assert "See gateway pairing list" in run("pairing", "approve", "NOTACODE", code=1)
    assert "is an owner" in run("pairing", "approve", code, "--owner")
    telegram.wait_said("let in")
    telegram.control("say", text="good evening")
    assert telegram.wait_said("Echo: good evening")
    (approved,) = json.loads(run("pairing", "list", "--json"))["approved"]
    assert (approved["sender"], approved["owner"]) == ("777", True)

    secret = gateway.home / "token"
    secret.write_text(BOT_TOKEN)
    secret.chmod(0o600)
    more = ("--name", "more", "--token-file", str(secret), "--no-enabled", api)
    assert "telegram:more is in the configuration" in run("channels", "add", "telegram", *more)
    assert f'token = {{ file = "{secret}" }}' in gateway.config.read_text()
    assert BOT_TOKEN not in gateway.config.read_text().partition("telegram.more")[2]

    assert "Sent" in run("channels", "send", "telegram:main", "777", "**news**")
    assert telegram.wait_said("<b>news</b>")
    (bot, _) = json.loads(run("channels", "list", "--json"))
    assert (bot["condition"], bot["received"]) == ("connected", 2)
    run("pairing", "revoke", "telegram:main", "777")
    run("channels", "disable", "telegram:main")
    assert "telegram:main" not in run("channels", "list")
    for place in [gateway.home / "output.log", *gateway.state.rglob("*.log*")]:
        assert BOT_TOKEN not in place.read_text(errors="replace")


def test_without_a_gateway_an_account_is_written_for_the_next_start(gateway, run):
    said = run("channels", "add", "telegram", "--token-env", "BOT_TOKEN", "strangers=ignore")
    assert "No gateway runs here" in said
    written = gateway.config.read_text()
    assert 'token = { env = "BOT_TOKEN" }' in written
    run("channels", "disable", "telegram:main", BOT_TOKEN=BOT_TOKEN)
    assert "enabled = false" in gateway.config.read_text()
    run("channels", "remove", "telegram:main")
    assert "[channels" not in gateway.config.read_text()
    assert "There is none yet" in run("channels", "remove", "telegram:main", code=1)


def test_what_is_missing_or_misspelt_is_said_before_anything_is_done(gateway, run):
    assert "--token (From @BotFather)" in run("channels", "add", "telegram", code=2)
    assert "telegram" in run("channels", "add", "telegarm", code=2)
    assert "KEY=VALUE" in run("channels", "add", "telegram", BOT_TOKEN, code=2)
    assert "channels" not in gateway.config.read_text()


def test_at_a_terminal_the_token_is_asked_for_and_changes_are_followed(gateway, telegram):
    gateway.start()
    environment = gateway.environment() | gateway.places
    with terminal(environment, "channels", "add", "telegram", f"api={telegram.url}") as screen:
        screen.wait("token (From @BotFather): ")
        screen.type("not a token\n")
        screen.wait("token (From @BotFather): ")
        screen.type(f"{BOT_TOKEN}\n")
        screen.wait("telegram:main is in the configuration")
        assert screen.wait_exit() == 0
        assert "connected as @butler_bot" in screen.screen
        assert BOT_TOKEN not in screen.screen
    with terminal(environment, "channels", "list", "--watch") as screen, gateway.client() as client:
        screen.wait("connected")
        client.call("channels.stop", {"channel": "telegram:main"})
        screen.wait("stopped")
        screen.type("\x03")
        assert screen.wait_exit() == 130


def test_commands_typed_in_a_chat_are_not_for_the_agent(gateway, run):
    gateway.start()
    said = run("chat", stdin="one\n/new\n/new\n/status\n/help\n/allow nothing\n/unknown\n")
    assert "A new conversation begins.\nThis conversation is new already.\n" in said
    assert "Agent: main\nConversation: new\nChannel: webchat, connected\n" in said
    assert "/allow - ID" in said
    assert "nothing waits under this id" in said
    assert "Echo: /unknown" in said
