"""The configuration from the command line: beside a real gateway, and without one."""

import json
import os
import pty
import stat
import subprocess
import sys

import attrs
import pytest
from outside import READER, TOKEN

SECRET = "c4nary-of-many-more-than-128-bits-of-randomness"
AGENT = '\n[agents.main]  # a comment\nmodel = "one"\n'


@attrs.define
class Desk:
    """Runs ``gateway config`` as the operator would, next to *gateway*; keeps what was said."""

    gateway: object
    said: list = attrs.field(factory=list)

    @property
    def text(self):
        return self.gateway.config.read_text()

    def environment(self):
        return self.gateway.environment() | self.gateway.places

    def run(self, *arguments, stdin="", code=0, **environment):
        """Run a command to its end, expecting exit *code*; return what it printed."""
        done = self.gateway.beside(*arguments, stdin=stdin, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        self.said += [done.stdout, done.stderr]
        return done.stderr if code else done.stdout

    def config(self, *arguments, **options):
        return self.run("config", *arguments, **options)

    def json(self, *arguments, **options):
        """Return what a command prints with ``--json``."""
        return json.loads(self.config(*arguments, "--json", **options))

    def editor(self, script):
        """Return an editor that is a line of shell; ``$1`` is the file."""
        path = self.gateway.home / "editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return str(path)


@pytest.fixture
def desk(gateway):
    with gateway.config.open("a") as file:
        file.write(AGENT)
    desk = Desk(gateway)
    yield desk
    for secret in (TOKEN, READER, SECRET):
        assert secret not in "".join(desk.said)


@pytest.fixture
def beside(desk):
    """A desk beside a gateway that runs."""
    desk.gateway.start()
    return desk


def test_a_value_is_set_and_removed_again_while_the_gateway_runs(beside):
    before = beside.text
    done = beside.json("set", "agents.main.model", "two")
    assert done == {
        "running": True,
        "changedPaths": ["agents.main.model"],
        "revision": 2,
        "restartRequired": [],
        "restarting": False,
    }
    assert beside.text == before.replace('"one"', '"two"')
    assert stat.S_IMODE(beside.gateway.config.stat().st_mode) == 0o600
    assert beside.config("get", "agents.main.model") == "two\n"
    assert beside.config("unset", "agents.main.model") == "revision 3:\n  agents.main.model\n"
    assert beside.text == before.replace('model = "one"\n', "")
    assert beside.config("unset", "agents.main.model") == "no setting has changed.\n"


def test_one_can_look_at_the_past_and_go_back(beside):
    before = beside.text
    beside.config("set", "agents.main.model", "4.1")
    beside.config("set", "agents.b", "{ provider = 'echo' }")
    rows = beside.config("revisions", "--limit", "2").splitlines()
    assert [row.split()[0] for row in rows] == ["3", "2"]
    assert rows[1].endswith("rpc:default  agents.main.model")
    listed = beside.json("revisions")["revisions"]
    assert [each["who"] for each in listed] == ["rpc:default", "rpc:default", "start"]
    assert beside.json("rollback", "1")["revision"] == 4
    assert beside.text == before
    assert "no revision 77" in beside.config("rollback", "77", code=1)


def test_what_would_not_be_valid_is_refused_with_its_place(beside):
    before = beside.text
    said = beside.config("set", "health.quick_seconds", "0", code=1)
    assert "health.quick_seconds: must be at least" in said
    assert "did you mean 'agents'" in beside.config("set", "agent.main.model", "x", code=1)
    assert "must be a key" in beside.config("set", "a = 1\nb", "x", code=1)
    assert "did you mean 'model'" in beside.config("get", "agents.main.modle", code=1)
    assert beside.text == before


def test_a_token_that_may_only_read_cannot_edit(beside):
    before = beside.text
    for command in (
        ("set", "agents.main.model", "two"),
        ("set", "auth.password", "${HOME}"),
        ("unset", "agents.main.model"),
        ("rollback", "1"),
        ("revisions",),
    ):
        assert "scope admin" in beside.config(*command, "--token", READER, code=1)
        assert beside.text == before
    assert beside.config("get", "agents.main.model", "--token", READER) == "one\n"


def test_what_needs_a_restart_says_so_and_has_it(beside):
    beside.config("set", "reload.mode", "restart")
    said = beside.config("set", "agents.main.model", "two")
    assert said == "the gateway starts over with:\n  agents.main.model\n"
    beside.gateway.wait_ready()
    assert beside.config("get", "agents.main.model") == "two\n"
    assert len(beside.json("revisions")["revisions"]) == 3


def test_secrets_are_taken_but_never_shown(beside):
    beside.config("set", "auth.tokens.other.token", "-", stdin=f"{SECRET}\n")
    assert f'token = "{SECRET}"' in beside.text
    shown = beside.json("get", "auth.tokens.other.token")["config"]
    assert shown == {"secret": "***", "from": "value"}
    assert "***" in beside.config("set", "auth.tokens.other.token", "***", code=1)
    assert beside.json("get", "auth.password", "--url", beside.gateway.url, "--token", SECRET)


def test_only_the_operator_at_the_machine_may_refer_to_a_variable(desk):
    desk.gateway.start(WORD=SECRET)
    done = desk.json("set", "auth.tokens.other.token", "${WORD}")
    assert "auth.tokens.other.token" in done["changedPaths"]
    assert 'token = "${WORD}"' in desk.text
    with desk.gateway.client(SECRET):
        pass
    before = desk.text
    # The gateway's environment counts, and it has no such variable.
    said = desk.config("set", "auth.password", "{ env = 'GONE' }", code=1)
    assert "the environment variable GONE is not set" in said
    assert desk.text == before
    said = desk.config(
        "set", "auth.password", "${WORD}", "--url", "ws://192.0.2.1:1", "--token", "x", code=1
    )
    assert "only on the machine" in said


def test_the_file_is_compared_with_what_runs(beside):
    assert beside.config("diff") == "the file is what the gateway runs on.\n"
    beside.config("set", "reload.mode", "off")
    beside.gateway.config.write_text(beside.text.replace('"one"', '"two"') + "[gateway]\nport=1\n")
    assert beside.config("diff").splitlines()[1:] == ["  agents.main.model"]
    assert beside.run("check", "--diff").splitlines()[-1] == "  agents.main.model"
    plan = json.loads(beside.run("check", "--diff", "--json"))["plan"]
    assert plan["changedPaths"] == ["agents.main.model"]


def test_an_editor_is_given_the_text_and_gets_it_back_if_it_is_wrong(beside):
    before = beside.text
    assert beside.config("edit", EDITOR="true") == "no setting has changed.\n"
    assert "failed" in beside.config("edit", EDITOR="false", code=1)
    assert "cannot be started" in beside.config("edit", EDITOR="/no/editor", code=1)
    wrong = beside.editor("sed -i 's/model = .*/model = 5/' $1")
    assert "model = 5" not in beside.text
    assert "agents.main.model" in beside.config("edit", VISUAL=wrong, code=1)
    assert beside.text == before
    # Wrong the first time, right the second.
    twice = beside.editor(
        "grep -q 'model = 5' $1 && sed -i 's/= 5/= \"two\"/' $1 || "
        "sed -i 's/model = .*/model = 5/' $1"
    )
    process, number = pty.fork()
    if process == 0:
        command = [sys.executable, "-m", "gateway", "config", "edit"]
        os.execve(sys.executable, command, beside.environment() | {"EDITOR": twice})
    screen = ""
    while "[Y/n]" not in screen:
        screen += os.read(number, 65536).decode()
    os.write(number, b"y\n")
    _, status = os.waitpid(process, 0)
    os.close(number)
    assert os.waitstatus_to_exitcode(status) == 0
    assert beside.text == before.replace('"one"', '"two"')
    assert beside.config("get", "agents.main.model") == "two\n"


def test_without_a_gateway_the_file_itself_is_changed_and_that_is_said(desk):
    before = desk.text
    said = desk.config("set", "agents.main.model", "two")
    assert said.startswith(f"no gateway runs here: changed {desk.gateway.config} itself")
    assert desk.text == before.replace('"one"', '"two"')
    assert desk.json("unset", "agents.main.model")["running"] is False
    assert "is not set in the file" in desk.config("unset", "agents.main.model", code=1)
    assert "must be at least" in desk.config("set", "health.quick_seconds", "0", code=1)
    assert desk.json("get", "agents.main")["config"]["provider"] == "echo"
    assert desk.config("get", "auth.password").count("***") == 1
    assert "nothing listens" in desk.config("diff", code=1)
    assert desk.json("revisions") == {"revisions": []}
    assert "no revision 1" in desk.config("rollback", "1", code=1)
    desk.config("set", "auth.password", "${NOT_HERE}")
    assert 'password = "${NOT_HERE}"' in desk.text
    assert "GONE" not in desk.text


def test_without_a_gateway_one_can_go_back_from_a_file_that_is_broken(desk):
    before = desk.text
    desk.gateway.start().stop()
    desk.gateway.config.write_text("broken")
    assert "not valid" in desk.config("get", code=1)
    desk.config("rollback", "1")
    assert desk.text == before


def test_the_schema_is_json():
    command = [sys.executable, "-m", "gateway", "config", "schema"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["title"] == "Configuration of the gateway"


def test_one_can_move_in_from_openclaw(beside):
    theirs = beside.gateway.home / "openclaw.json"
    made = {"gateway": {"auth": {"token": TOKEN}}, "agents": {"list": [{"id": "home"}]}, "zzz": 1}
    theirs.write_text(f"// JSON5\n{json.dumps(made)}")
    before = beside.text
    said = beside.config("import-openclaw", str(theirs))
    assert "no counterpart" in said
    assert beside.text == before
    beside.config("import-openclaw", str(theirs), "--write")
    assert beside.json("get", "agents")["config"].keys() == {"home"}
    assert (beside.gateway.home / "gateway.toml.before-import").read_text() == before
    theirs.write_text(f"{{gateway: {{auth: {{token: '{SECRET}'}}}}}}")
    assert beside.json("import-openclaw", str(theirs), "--write")["written"] is True
    assert beside.json("get", "agents")["config"].keys() == {"main"}
    theirs.write_text("{gateway: {auth: {}}}")
    said = beside.config("import-openclaw", str(theirs), "--write", code=1)
    assert "not complete" in said
    assert beside.json("get", "agents")["config"].keys() == {"main"}
    theirs.write_text("{")
    assert "openclaw.json:1:2: not valid JSON5" in beside.config(
        "import-openclaw", str(theirs), code=1
    )


def test_the_credential_in_use_can_be_changed(beside):
    done = beside.json("set", "auth.tokens.default.token", "-", stdin=SECRET)
    assert done["changedPaths"] == ["auth.tokens.default.token"]
    assert done["revision"] == 2
    assert beside.config("get", "agents.main.model") == "one\n"
