"""The command line as a newcomer uses it: real processes on both sides."""

import json
import os
import pty
import subprocess
import sys
import time

import attrs
import pytest
from outside import READER, TOKEN, configured
from terminal import Terminal, terminal

SLOW = """
[providers.slow]
kind = "echo"
delay = 0.2

[agents.main]

[agents.slow]
provider = "slow"
"""


@attrs.define
class Shell:
    """Runs commands as somebody on the same machine would, next to *gateway*."""

    gateway: object

    def environment(self):
        return self.gateway.environment() | self.gateway.places

    def run(self, *arguments, stdin="", **environment):
        """Run a command to its end; returns the finished process."""
        return self.gateway.beside(*arguments, stdin=stdin, **environment)

    def json(self, *arguments, **options):
        """Run a command that succeeds, with nothing but JSON on its stdout."""
        done = self.run(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def terminal(self, *arguments):
        """Run a command in a terminal of its own."""
        return terminal(self.environment(), *arguments)


@pytest.fixture
def shell(gateway):
    with gateway.config.open("a") as file:
        file.write(SLOW)
    return Shell(gateway)


@pytest.fixture
def alone(shell):
    """A shell beside a gateway of its own that runs."""
    shell.gateway.start()
    return shell


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A shell beside a running gateway, for all tests that leave it as it was."""
    with configured(tmp_path_factory.mktemp("shell"), SLOW) as made:
        yield Shell(made.start())


def _fails(done, *words, code=1):
    """Assert that a command failed with a sentence and without a traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    return True


def test_status_shows_the_gateway_on_one_screen(beside):
    done = beside.run("status")
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert done.stderr == ""
    assert shown["health"] == "ok"
    assert shown["address"] == f"ws://127.0.0.1:{beside.gateway.port}"
    assert shown["agents"] == "2 (main, slow)"
    assert shown["restarts"] == "0"
    assert "\x1b" not in done.stdout
    assert beside.json("status")["info"]["pid"] == beside.gateway.process.pid


def test_the_tree_is_the_list_of_children_in_start_order(beside):
    lines = beside.run("tree").stdout.splitlines()
    root = beside.json("tree")
    assert lines[0].startswith("gateway  running")
    assert [child["path"].rpartition("/")[2] for child in root["children"]] == [
        line.split()[1] for line in lines[1:] if not line.startswith("│")
    ]


def test_the_watched_tree_shows_a_change_and_ctrl_c_ends_it(alone):
    with alone.terminal("tree", "--watch") as terminal:
        terminal.wait("announcer")
        alone.json("call", "supervision.stop", "--params", '{"path": "gateway/health"}')
        terminal.wait("stopped")
        terminal.type("\x03")
        assert terminal.wait_exit() == 130
        assert "Traceback" not in terminal.screen


def test_the_watched_tree_survives_a_restart_of_the_gateway(alone):
    with alone.terminal("tree", "--watch") as terminal:
        terminal.wait("announcer")
        alone.gateway.stop()
        terminal.wait("connection lost")
        alone.gateway.start()
        terminal.wait("announcer", timeout=40)


def test_any_method_can_be_called_and_its_result_is_json(beside):
    called = beside.run("call", "agent.run", "--params", '{"message": "hello there"}')
    assert "hello there" in json.loads(called.stdout)["reply"]
    piped = beside.json("call", "agent.run", "--params", "-", stdin='{"message": "from stdin"}')
    assert "from stdin" in piped["reply"]
    assert beside.json("call", "ping") == {}


def test_a_call_that_cannot_be_made_says_what_to_do_next(beside):
    assert _fails(beside.run("call", "sesions.list"), "Did you mean sessions.list?")
    assert _fails(beside.run("call", "ping", "--params", "{oops"), "line 1, column 2")
    assert _fails(beside.run("call", "ping", "--params", "[]"), "must be a JSON object")
    misspelt = beside.run("call", "agent.run", "--params", '{"mesage": "x"}')
    assert _fails(misspelt, "message: is missing", "did you mean 'message'")
    assert _fails(beside.run("call", "agent.wait", "--params", '{"runId": "run-x"}'), "no run")


def test_a_token_that_may_not_do_something_is_told_which_scope_it_lacks(beside):
    for name in ("status", "tree", "health", "methods"):
        assert beside.run(name, "--token", READER).returncode == 0
    wanted = ("call", "agent.run", "--params", '{"message": "x"}', "--token", READER)
    assert _fails(beside.run(*wanted), "agent.run")


def test_a_wrong_token_is_refused_with_the_way_to_the_right_one(alone):
    assert _fails(alone.run("status", "--token", "wrong"), "refused", "token")
    refused = alone.run("status", GATEWAY_TOKEN="wrong-but-long-enough-to-be-a-token")
    assert _fails(refused, "refused", "token")


def test_a_locked_out_address_is_told_to_wait_and_not_to_start_a_gateway(alone):
    for _ in range(5):
        alone.run("status", "--token", "wrong")
    locked = alone.run("status")
    assert _fails(locked, "too many failed attempts", "wait")
    assert "Start it" not in locked.stderr


def test_a_credential_that_only_the_gateway_knows_has_to_be_given(shell):
    shell.gateway.config.write_text(
        '[auth.tokens.default]\ntoken = "${ONLY_THERE}"\n[agents.main]\n'
    )
    shell.gateway.start(ONLY_THERE=TOKEN)
    assert _fails(shell.run("status"), "none is known here", "--token")
    assert shell.run("status", "--token", TOKEN).returncode == 0


def test_without_a_gateway_commands_say_how_to_start_it(shell):
    for arguments in (("status",), ("chat", "-m", "hi"), ("call", "ping"), ("tree", "-w")):
        done = shell.run(*arguments)
        assert _fails(done, f":{shell.gateway.port} (connection refused)", "python -m gateway")


def test_the_local_token_is_not_sent_to_another_machine(beside):
    assert _fails(beside.run("status", "--url", "ws://192.0.2.1:1"), "--token")


def test_arguments_that_make_no_sense_are_usage_errors(shell):
    for arguments in (("stauts",), ("call",), ("logs", "--level", "loud"), ("--port", "x")):
        done = shell.run(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert "Did you mean status?" in shell.run("stauts").stderr


def test_token_prints_the_token_and_nothing_else(shell):
    assert shell.run("token").stdout == f"{TOKEN}\n"


def test_check_gives_the_verdict_of_a_start(shell):
    good = shell.run("check")
    assert (good.returncode, good.stdout) == (0, f"{shell.gateway.config} is valid.\n")
    with shell.gateway.config.open("a") as file:
        file.write('\n[gateway]\nprot = 1\nbind = "0.0.0.0"\n')
    bad, started = shell.run("check"), shell.run("run", "--state", str(shell.gateway.state))
    assert bad.returncode == started.returncode == 78
    assert "did you mean" in bad.stdout
    assert bad.stdout in started.stderr
    listed = json.loads(shell.run("check", "--json").stdout)
    assert listed["valid"] is False
    assert listed["issues"][0]["line"]


def test_what_is_wrong_is_said_once(shell):
    shell.gateway.config.write_text("port = \n")
    started = shell.run("run", "--state", str(shell.gateway.state))
    assert started.returncode == 78
    verdict = f"gateway: not started: {shell.gateway.config} is not valid\n"
    assert started.stderr == shell.run("check").stdout + verdict


def test_what_cannot_be_written_is_named_with_the_flag_for_another_place(shell):
    file = str(shell.gateway.config)
    assert _fails(shell.run("run", "--config", f"{file}/a"), "--config", code=78)
    assert _fails(shell.run("run", "--state", file), "--state")


def test_a_pipe_gets_one_reply_for_each_line_and_nothing_else(beside):
    done = beside.run("chat", stdin="first words\n\nsecond words")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "first words" in done.stdout
    assert done.stdout.splitlines()[-1] == "Echo: second words"
    lines = beside.run("chat", "--json", stdin="one\ntwo\n").stdout.splitlines()
    assert len({json.loads(line)["sessionId"] for line in lines}) == 1
    assert len(lines) == 2


def test_a_conversation_goes_on_where_it_was(beside):
    first = beside.json("chat", "-m", "one")
    again = beside.json("chat", "-m", "two", "--session", first["sessionId"])
    assert again == first | {"reply": "Echo: two", "runId": again["runId"]}
    assert _fails(beside.run("chat", "-m", "x", "--session", "nope"), "no session")
    assert _fails(beside.run("chat", "-m", "x", "--agent", "nobody"), "no agent")


def test_replies_appear_while_they_are_made_and_ctrl_d_leaves(beside):
    with beside.terminal("chat", "--agent", "slow") as terminal:
        terminal.wait("you> ")
        terminal.type("a b c\n")
        terminal.wait("Echo: a")
        assert "[agents.main]" not in terminal.screen  # the end of the reply is yet to come
        terminal.wait("[agents.main]")
        terminal.wait("you> ")
        terminal.type("\x04")
        assert terminal.wait_exit() == 0


def test_ctrl_c_cancels_the_run_and_the_conversation_goes_on(alone):
    with alone.terminal("chat", "--agent", "slow") as terminal:
        terminal.wait("you> ")
        terminal.type("a b c d e f g\n")
        terminal.wait("Echo: a b")
        terminal.type("\x03")
        terminal.wait("cancelled")
        terminal.wait("you> ")
        terminal.type("h\n")
        terminal.wait("Echo: h")
        terminal.wait("you> ")
        terminal.type("\x03")
        terminal.wait("Ctrl-D leaves")
        terminal.type("\x03")
        assert terminal.wait_exit() == 0
    (session,) = alone.json("call", "sessions.list")["sessions"]
    params = json.dumps({"sessionId": session["id"]})
    messages = alone.json("call", "sessions.history", "--params", params)["messages"]
    assert [each["state"] for each in messages if each["role"] == "user"] == [
        "cancelled",
        "complete",
    ]


def test_a_question_survives_a_crash_of_the_gateway(alone):
    command = [sys.executable, "-m", "gateway", "chat", "--agent", "slow", "--json"]
    asking = subprocess.Popen(
        [*command, "-m", "a b c"], env=alone.environment(), stdout=subprocess.PIPE
    )
    with asking, alone.gateway.client() as client:
        while not (sessions := client.call("sessions.list")["sessions"]):
            time.sleep(0.05)
        alone.gateway.process.kill()
        alone.gateway.process.wait()
        alone.gateway.start()
        reply = json.loads(asking.communicate(timeout=60)[0])
    assert asking.returncode == 0
    assert reply["reply"].startswith("Echo: a b c")
    assert reply["sessionId"] == sessions[0]["id"]
    params = json.dumps({"sessionId": reply["sessionId"]})
    messages = alone.json("call", "sessions.history", "--params", params)["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant"]


def test_the_log_can_be_read_and_followed(alone):
    assert any("listening" in line for line in alone.run("logs").stdout.splitlines())
    entries = [json.loads(line) for line in alone.run("logs", "--json").stdout.splitlines()]
    assert "listening" in [entry["event"] for entry in entries]
    assert alone.run("logs", "--level", "error").stdout == ""
    with alone.terminal("logs", "--follow") as terminal:
        terminal.wait("listening")
        alone.json("call", "supervision.restart", "--params", '{"path": "gateway/listener"}')
        terminal.wait("listening")
        terminal.type("\x03")
        assert terminal.wait_exit() == 130


@pytest.mark.parametrize("command", ["methods", "chat -m 'good morning'"])
def test_a_reader_that_has_enough_is_no_error(beside, command):
    command = f"{sys.executable} -m gateway {command} | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=beside.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_colours_are_for_terminals_that_want_them(beside):
    environment = beside.environment()
    del environment["NO_COLOR"]
    for wanted, more in ((True, {}), (False, {"NO_COLOR": "1"})):
        process, number = pty.fork()
        if process == 0:
            command = [sys.executable, "-m", "gateway", "health"]
            os.execve(sys.executable, command, environment | {"TERM": "xterm"} | more)
        terminal = Terminal(process, number)
        assert terminal.wait_exit() == 0
        assert "ok" in terminal.screen
        assert ("\x1b[32m" in terminal.screen) is wanted
        os.close(number)


def test_starting_a_gateway_does_not_import_what_only_commands_need():
    code = (
        "import sys\n"
        "from gateway.cli.main import make_app\n"
        "make_app().parse_args(['--port', '1', '--log-level', 'debug'])\n"
        "import gateway.boot\n"
        "print({'rich.live', 'trio_websocket', 'httpx', 'gateway.client'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"
