"""config.*, with the real reloader, file, revisions and router; only the tree is not there."""

import functools
import itertools

import attrs
import orjson
import pytest
import trio

from gateway.bus import Bus
from gateway.config.file import ConfigFile
from gateway.config.load import load
from gateway.config.reload import Reloader
from gateway.config.revisions import KEPT, Revisions
from gateway.methods.config import config_methods
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Principal
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.gate import Gate
from gateway.rpc.idempotency import Idempotency
from gateway.rpc.router import Router
from gateway.storage.database import Database
from supervisors.testing import running

TOKEN = "c4nary-" + "0123456789abcdef" * 2
OTHER = "c4nary-" + "fedcba9876543210" * 2
TEXT = f"""\
# The first line stays.
[gateway]
port = 5   # a comment

[auth.tokens.default]
token = "{TOKEN}"

[agents.main]
model = 'one'
"""

ADMIN = Principal("owner", "control", frozenset({"read", "write", "admin"}))
READER = Principal("reader", "control", frozenset({"read"}))
NODE = Principal("lamp", "node", frozenset({"read", "write", "admin"}))


class RefusedError(Exception):
    """The answer was an error."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error["data"]["kind"]
        self.data = error["data"]


@attrs.define
class Desk:
    """A gateway's configuration with everybody who can ask for something."""

    file: ConfigFile
    reloader: Reloader
    dispatcher: Dispatcher
    applied: list
    fails: list
    answers: list = attrs.field(factory=list)
    numbers: object = attrs.field(factory=lambda: itertools.count(1))

    @property
    def text(self):
        return self.file.path.read_text()

    async def call(self, method, principal=ADMIN, **params):
        """Return the result of a request; raises `RefusedError`."""
        request = {"id": next(self.numbers), "method": f"config.{method}", "params": params}
        raw = await self.dispatcher.answer(orjson.dumps(request), principal, Allowance(0, 0))
        self.answers.append(raw.decode())
        answer = orjson.loads(raw)
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["result"]

    async def refused(self, kind, method, principal=ADMIN, **params):
        """Return the error of a request that must be refused and change nothing."""
        before = self.text, self.reloader.current, len(self.applied)
        with pytest.raises(RefusedError) as caught:
            await self.call(method, principal, **params)
        assert caught.value.kind == kind, caught.value
        assert (self.text, self.reloader.current, len(self.applied)) == before
        return caught.value


@pytest.fixture
async def desk(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    path.chmod(0o600)
    file = ConfigFile(path, {"WORD": "hidden-" * 6})
    database = Database(tmp_path / "state" / "gateway.db")
    applied, fails = [], []

    async def apply(config):
        await trio.lowlevel.checkpoint()
        applied.append(config)
        if fails:
            raise ExceptionGroup("down", [fails.pop()])

    revisions = Revisions(database)
    reloader = Reloader(file.read(), file, revisions, Bus(), apply, lambda loaded: None)
    methods = config_methods(reloader, revisions, functools.partial(load, source="text"))
    gate = Gate()
    dispatcher = Dispatcher(Router([methods]), gate, Idempotency(database))
    async with running(database.run), running(gate.run), running(reloader.run):
        desk = Desk(file, reloader, dispatcher, applied, fails)
        yield desk
    told = "".join(desk.answers)
    assert TOKEN not in told
    assert OTHER not in told


# --- looking


async def test_what_is_in_use_is_shown_without_its_secrets(desk):
    result = await desk.call("get", READER)
    assert result["config"]["gateway"]["port"] == 5
    redacted = {"secret": "***", "from": "value"}
    assert result["config"]["auth"]["tokens"]["default"]["token"] == redacted
    assert result["baseHash"] == load(TEXT).hash


async def test_a_part_can_be_asked_for_by_key_or_by_path(desk):
    assert (await desk.call("get", key="gateway.port"))["config"] == 5
    assert (await desk.call("get", path=["agents", "main", "model"]))["config"] == "one"
    assert (await desk.call("get", key="auth.password"))["config"] is None
    error = await desk.refused("not-found", "get", key="gateway.prot")
    assert str(error) == "there is no gateway.prot; did you mean 'port'?"
    await desk.refused("not-found", "get", path=["gateway", "port", "x"])
    await desk.refused("invalid-params", "get", key="a b")
    await desk.refused("invalid-params", "get", key="gateway", path=["gateway"])


async def test_the_schema_is_that_of_the_file(desk):
    result = await desk.call("schema")
    assert result["$defs"]["Gateway"]["properties"]["port"]["maximum"] == 65535


# --- trying out


async def test_a_bad_text_is_told_with_every_mistake_and_without_a_plan(desk):
    result = await desk.call("check", text=TEXT + "[gatway]\n[logging]\nlevel = 5")
    places = [(each["path"], each["line"], each["severity"]) for each in result["issues"]]
    assert places == [("gatway", 10, "error"), ("logging.level", 12, "error")]
    assert result["issues"][0]["hint"] == "did you mean 'gateway'?"
    assert (result["valid"], result["changedPaths"]) == (False, None)


async def test_a_good_text_is_told_with_what_it_would_change(desk):
    text = TEXT.replace("port = 5", "port = 6").replace("'one'", "'two'")
    expected = {
        "valid": True,
        "issues": [],
        "changedPaths": ["agents.main.model", "gateway.port"],
        "restartRequired": ["gateway.port"],
    }
    assert await desk.call("check", text=text) == expected
    desk.file.write(text)
    assert await desk.call("check") == expected
    assert desk.reloader.current.text == TEXT


async def test_the_file_itself_is_checked_with_its_references(desk):
    desk.file.write(TEXT.replace(f'"{TOKEN}"', '"${GONE}"'))
    result = await desk.call("check")
    assert [each["path"] for each in result["issues"]] == ["auth.tokens.default.token"]


async def test_an_answer_does_not_tell_what_exists_on_this_machine(desk):
    answers = [
        await desk.call("check", READER, text=f"[auth]\npassword = {form}")
        for form in ('"${WORD}"', '"${GONE}"', '{ file = "/etc/passwd" }', '{ file = "/gone" }')
    ]
    assert {answer["valid"] for answer in answers} == {True}
    assert all(answer == answers[0] for answer in answers)


async def test_what_a_text_includes_is_not_read_so_its_plan_is_not_known(desk):
    part = desk.file.path.with_name("part.toml")
    part.write_text('[agents.main]\nmodel = "two"\n')
    part.chmod(0o600)
    text = 'include = ["part.toml"]\n' + TEXT.replace("model = 'one'", "")
    result = await desk.call("check", text=text)
    assert (result["valid"], result["changedPaths"]) == (True, None)
    await desk.refused("invalid-params", "set", key="include", value=["part.toml"])
    desk.file.write(text)
    assert (await desk.call("check", READER))["changedPaths"] == ["include", "agents.main.model"]


async def test_who_may_only_read_cannot_guess_a_secret(desk):
    wrong = TEXT.replace(TOKEN, OTHER)
    right = await desk.call("check", READER, text=TEXT)
    assert right == await desk.call("check", READER, text=wrong)
    assert right["changedPaths"] == ["auth.tokens.default.token"]
    assert (await desk.call("check", text=TEXT))["changedPaths"] == []
    assert (await desk.call("check", text=wrong))["changedPaths"] == right["changedPaths"]


# --- changing


async def test_setting_a_value_changes_its_line_and_no_other(desk):
    result = await desk.call("set", key="agents.main.model", value="two")
    assert result == {
        "revision": 2,
        "changedPaths": ["agents.main.model"],
        "applied": ["agents.main.model"],
        "restartRequired": [],
        "restarting": False,
    }
    assert desk.text == TEXT.replace("'one'", '"two"')
    assert desk.applied[-1].agents["main"].model == "two"
    assert (await desk.call("get", path=["agents", "main", "model"]))["config"] == "two"


async def test_a_path_may_have_names_that_a_key_would_have_to_quote(desk):
    await desk.call("set", path=["agents", "b.c"], value={"model": "three"})
    assert desk.applied[-1].agents["b.c"].model == "three"
    await desk.call("set", key='agents."b.c".model', value="four")
    assert desk.applied[-1].agents["b.c"].model == "four"


async def test_a_patch_is_done_whole(desk):
    change = {"agents": {"main": {"model": {"$delete": True}, "system_prompt": "Be kind."}}}
    result = await desk.call("patch", patch=change)
    assert set(result["changedPaths"]) == {"agents.main.model", "agents.main.system_prompt"}
    change["health"] = {"quick_seconds": -1}
    error = await desk.refused("invalid-params", "patch", patch=change)
    assert error.data["issues"][0]["path"] == "health.quick_seconds"


async def test_an_edit_of_a_text_that_its_author_has_not_seen_is_a_conflict(desk):
    base = (await desk.call("get"))["baseHash"]
    change = {"key": "agents.main.model", "value": "two", "baseHash": base}
    await desk.call("set", **change)
    await desk.refused("conflict", "set", **change)
    await desk.refused("conflict", "patch", patch={"gateway": {}}, baseHash=base)
    await desk.refused("conflict", "rollback", revision=1, baseHash=base)
    # By hand, and not reloaded yet: that is what would be overwritten.
    base = (await desk.call("get"))["baseHash"]
    desk.file.write(desk.text + "# mine\n")
    await desk.refused("conflict", "set", **change | {"baseHash": base})


async def test_what_is_wrong_is_said_with_its_place_and_changes_nothing(desk):
    error = await desk.refused("invalid-params", "set", key="gateway.port", value=70000)
    (issue,) = error.data["issues"]
    assert (issue["path"], issue["line"]) == ("gateway.port", 3)
    for params in (
        {"value": 1},
        {"value": 1, "key": "gateway.port", "path": ["gateway", "port"]},
        {"value": 1, "key": "gateway = 1\nx"},
        {"value": 1, "key": ""},
        {"value": None, "key": "gateway.port"},
        {"value": {"$delete": True}, "key": "gateway.port"},
        {"value": [1], "path": []},
        {"key": "gateway.port"},
        {"value": 1, "path": ["gateway", 5]},
    ):
        await desk.refused("invalid-params", "set", **params)
    await desk.refused("invalid-params", "patch", patch=[])
    await desk.refused("invalid-params", "patch", patch={"version": 99})


async def test_what_does_not_come_up_changes_nothing(desk):
    desk.fails.append(OSError("no route"))
    with pytest.raises(RefusedError, match="no route") as caught:
        await desk.call("set", key="agents.main.model", value="two")
    assert caught.value.kind == "unavailable"
    assert desk.text == desk.reloader.current.text == TEXT


async def test_a_request_that_comes_twice_is_done_once(desk):
    change = {"key": "agents.main.model", "value": "two", "idempotencyKey": "k"}
    first = await desk.call("set", **change)
    await desk.call("set", key="agents.main.model", value="three")
    assert await desk.call("set", **change) == first
    assert desk.applied[-1].agents["main"].model == "three"


async def test_an_edit_by_hand_takes_effect_when_asked_for(desk):
    desk.file.write(TEXT.replace("'one'", "'two'"))
    assert (await desk.call("reload"))["applied"] == ["agents.main.model"]
    desk.file.write("nonsense")
    with pytest.raises(RefusedError) as caught:
        await desk.call("reload")
    assert caught.value.data["issues"][0]["line"] == 1
    assert desk.reloader.current.config.agents["main"].model == "two"


# --- secrets


async def test_a_new_secret_is_taken_and_never_told(desk):
    result = await desk.call("set", key="auth.tokens.default.token", value=OTHER)
    assert result["changedPaths"] == ["auth.tokens.default.token"]
    assert desk.applied[-1].auth.tokens["default"].token.value == OTHER
    short = {"auth": {"tokens": {"default": {"token": f"{OTHER}\n"}}}}
    await desk.refused("invalid-params", "patch", patch=short)


async def test_what_is_shown_for_a_secret_cannot_be_written_back(desk):
    shown = (await desk.call("get"))["config"]
    token = shown["auth"]["tokens"]["default"]["token"]
    for params in (
        {"key": "auth.tokens.default.token", "value": token},
        {"key": "auth.tokens.default.token", "value": "***"},
        {"key": "auth.tokens.default", "value": shown["auth"]["tokens"]["default"]},
        {"key": "auth", "value": {"tokens": {"default": {"token": token}}}},
        {"path": [], "value": shown},
    ):
        await desk.refused("invalid-params", "set", **params)
    await desk.refused("invalid-params", "patch", patch={"auth": shown["auth"]})


async def test_a_client_cannot_have_a_variable_or_a_file_read(desk):
    for value in ({"env": "WORD"}, {"file": "/etc/hostname"}):
        await desk.refused("invalid-params", "set", key="auth.password", value=value)
        await desk.refused("invalid-params", "patch", patch={"auth": {"password": value}})
    await desk.refused("invalid-params", "set", key="auth.password.env", value="WORD")
    literal = "${WORD} and many more letters"
    await desk.call("set", key="auth.password", value=literal)
    assert desk.applied[-1].auth.password.value == literal


# --- going back


async def test_every_change_is_a_revision_and_one_can_go_back(desk):
    await desk.call("set", key="agents.main.model", value="two")
    await desk.call("set", key="gateway.hosts", value=["home.example"])
    listed = (await desk.call("revisions"))["revisions"]
    assert [(each["revision"], each["who"], each["changedPaths"]) for each in listed] == [
        (3, "rpc:owner", ["gateway.hosts"]),
        (2, "rpc:owner", ["agents.main.model"]),
        (1, "start", []),
    ]
    assert listed[0]["hash"] == (await desk.call("get"))["baseHash"]
    result = await desk.call("rollback", revision=1)
    assert result["revision"] == 4
    assert set(result["changedPaths"]) == {"agents.main.model", "gateway.hosts"}
    assert desk.text == TEXT
    assert [each["revision"] for each in (await desk.call("revisions", limit=1))["revisions"]] == [
        4
    ]


async def test_going_back_to_what_is_there_is_no_revision(desk):
    assert (await desk.call("rollback", revision=1))["revision"] == 1
    assert len((await desk.call("revisions"))["revisions"]) == 1


async def test_a_revision_of_an_older_layout_is_migrated(desk):
    old = f'# Old.\nversion = 2\n[gateway]\nport = 5\n[gateway.auth]\ntoken = "{OTHER}"\n'
    await Revisions(desk.reloader.revisions._database).add(old, "x", "file", ())
    result = await desk.call("rollback", revision=2)
    assert "auth.tokens.default.token" in result["changedPaths"]
    assert desk.applied[-1].auth.tokens["default"].token.value == OTHER
    assert desk.text.startswith("# Old.\n")


async def test_there_is_no_way_to_a_revision_that_is_not_kept(desk):
    await desk.refused("not-found", "rollback", revision=99)
    await desk.refused("not-found", "rollback", revision=0)
    await desk.refused("not-found", "rollback", revision=-(2**63))
    await desk.refused("not-found", "rollback", revision=2**64 - 1)
    await desk.refused("invalid-params", "revisions", limit=0)
    await desk.refused("invalid-params", "revisions", limit=KEPT + 1)


# --- who may


EDITS = {
    "set": {"key": "agents.main.model", "value": "two"},
    "patch": {"patch": {"agents": {"main": {"model": "two"}}}},
    "reload": {},
    "rollback": {"revision": 1},
    "revisions": {},
}
LOOKS = {"get": {}, "schema": {}, "check": {"text": TEXT.replace("one", "two")}}


async def test_who_may_only_read_and_a_node_cannot_edit_by_any_method(desk):
    known = {name.removeprefix("config.") for name in desk.dispatcher.router.methods}
    assert known == EDITS.keys() | LOOKS.keys()
    desk.file.write(TEXT.replace("'one'", "'by hand'"))
    writer = Principal("writer", "control", frozenset({"read", "write"}))
    for name, params in EDITS.items():
        for principal in (READER, writer):
            error = await desk.refused("forbidden", name, principal, **params)
            assert error.data["scope"] == "admin"
    for name, params in (EDITS | LOOKS).items():
        await desk.refused("unknown-method", name, NODE, **params)
    before = desk.text, desk.reloader.current
    for name, params in LOOKS.items():
        await desk.call(name, READER, **params)
    await desk.call("check", READER)
    assert (desk.text, desk.reloader.current, desk.applied) == (*before, [])


async def test_params_that_are_not_known_are_errors(desk):
    for name in EDITS.keys() | LOOKS.keys():
        await desk.refused("invalid-params", name, zzz=1)
