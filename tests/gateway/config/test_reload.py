"""One change after the other: what each costs in each mode, and what it leaves if it fails.

The file, the revisions and the tree are in memory; the child is the real one.
"""

import math
import re
from contextlib import asynccontextmanager, contextmanager

import attrs
import pytest
import trio
from complete import complete

from gateway.bus import Bus
from gateway.config.load import Loaded, load
from gateway.config.model import VERSION, Config, Health, Reload
from gateway.config.reload import WAITING, InvalidConfigError, Reloader
from gateway.config.revisions import Revision
from gateway.config.setting import RESTART, Secret
from gateway.config.tree import ANY, leaves
from gateway.errors import ConflictError, GatewayError, UnavailableError
from supervisors.testing import running

MODES = ("off", "hot", "restart", "hybrid")
TOKEN = "[auth.tokens.default]\ntoken = 'a-secret-of-quite-some-length'\n"
GOOD = f"{TOKEN}[agents.main]\nmodel = 'one'\n"
BETTER = f"{TOKEN}[agents.main]\nmodel = 'two'\n"
MOVED = f"{GOOD}[gateway]\nport = 1\n"
BROKEN = f"{TOKEN}[agents.main]\nmodle = 'one'\n"


@attrs.define(eq=False)
class Shelf:
    """A configuration file in memory; *text* is `None` while there is none."""

    text: str | None
    written: list = attrs.field(factory=list)
    refuse: list = attrs.field(factory=list)
    prepared: dict = attrs.field(factory=dict)

    def read(self):
        if self.text is None:
            return Loaded("", "", None, load("\0").issues)
        return self.check(self.text)

    def check(self, text):
        return self.prepared.get(text) or load(text, "gateway.toml")

    def write(self, text):
        if self.refuse:
            raise self.refuse.pop(0)
        self.text = text
        self.written.append(text)

    def exists(self):
        return self.text is not None

    def signature(self):
        return self.text


@attrs.define(eq=False)
class Shelved:
    """Revisions in memory; each of *failing* fails one of the next."""

    kept: list = attrs.field(factory=list)
    failing: list = attrs.field(factory=list)

    async def add(self, text, hash, who, changed):  # noqa: A002
        await trio.lowlevel.checkpoint()
        if self.failing:
            raise self.failing.pop(0)
        self.kept.append(Revision(len(self.kept) + 1, 0.0, who, hash, changed, text))
        return self.kept[-1]

    async def latest(self):
        await trio.lowlevel.checkpoint()
        return self.kept[-1] if self.kept else None


@attrs.define(eq=False)
class Desk:
    """A reloader with everything around it; *tree* is what is applied now."""

    file: Shelf
    revisions: Shelved = attrs.field(factory=Shelved)
    bus: Bus = attrs.field(factory=Bus)
    news: list = attrs.field(factory=list)
    tree: Config = attrs.field(init=False)
    failing: list = attrs.field(factory=list)
    refusing: list = attrs.field(factory=list)
    restarts: list = attrs.field(factory=list)
    settled: int = 0
    child: object = None
    reloader: Reloader = attrs.field(init=False)

    def __attrs_post_init__(self):
        loaded = self.file.read()
        self.tree = loaded.config
        self.bus.subscribe(lambda news: self.news.append((news.spec.name, dict(news.data))))
        self.reloader = Reloader(
            loaded, self.file, self.revisions, self.bus, self.apply, self.restart, self.settle
        )

    async def apply(self, config):
        await trio.lowlevel.checkpoint()
        self.tree = config
        if self.failing:
            raise ExceptionGroup("down", [self.failing.pop(0)])

    @contextmanager
    def restart(self, loaded):
        if self.refusing:
            raise self.refusing.pop(0)
        yield
        self.restarts.append(loaded)

    def settle(self):
        self.settled += 1

    def told(self, name):
        return [data for each, data in self.news if each == name]

    @property
    def state(self):
        reloader = self.reloader
        return (self.tree, reloader.current, reloader.running, reloader.revision, self.restarts[:])

    async def save(self, text, who="file"):
        """Change the file as an editor does, and have it reloaded."""
        self.file.text = text
        return await self.reloader.reload(who)


@asynccontextmanager
async def at_work(text=GOOD, prepared=None):
    """Run a reloader around a block."""
    desk = Desk(Shelf(text, prepared=prepared or {}))
    async with running(desk.reloader.run) as desk.child:
        yield desk


def problem(desk):
    return desk.child.detail.get("problem")


# --- what a change costs: each setting, in each mode


def full(mode):
    """Return a configuration that has an entry in each table."""
    return complete(reload=Reload(mode))


def other(leaf, value):
    """Return a value for the setting *leaf* that is not *value*."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() | None:
            return "x" if leaf.name != "reload.mode" else "hot" if value != "hot" else "hybrid"
        case tuple():
            return (*value, "x")
        case Secret():
            return Secret(value.value + "x")


def with_another(leaf, table, path):
    """Return *table* with another value of *leaf* at *path*."""
    first, *rest = path
    inner = table[first] if isinstance(table, dict) else getattr(table, first)
    value = with_another(leaf, inner, rest) if rest else other(leaf, inner)
    changed = {first: value}
    return table | changed if isinstance(table, dict) else attrs.evolve(table, **changed)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.name)
async def test_each_setting_costs_in_each_mode_what_the_table_says(leaf, mode):
    path = tuple("one" if part == ANY else part for part in leaf.pattern)
    old, new = full(mode), with_another(leaf, full(mode), path)
    prepared = {"old": Loaded("", "1", old, text="old"), "new": Loaded("", "2", new, text="new")}
    async with at_work("old", prepared) as desk:
        done = await desk.save("new")
        cold = leaf.field.metadata["reload"] == RESTART
        (name,) = done.changed
        assert name == ".".join(path)
        assert (done.restarting, done.applied, done.restart_required) == {
            # Asked for expressly, `off` is like `hybrid`: only the watcher holds still.
            ("off", False): (False, (name,), ()),
            ("off", True): (True, (), (name,)),
            ("hot", False): (False, (name,), ()),
            ("hot", True): (False, (), (name,)),
            ("restart", False): (True, (), ()),
            ("restart", True): (True, (), (name,)),
            ("hybrid", False): (False, (name,), ()),
            ("hybrid", True): (True, (), (name,)),
        }[mode, cold]
        in_effect = new if done.applied else old
        assert desk.tree == desk.reloader.running == in_effect
        assert desk.reloader.current.config == new
        assert [each.config for each in desk.restarts] == ([new] if done.restarting else [])
        assert len(desk.told("config_reloaded")) == 1
        assert desk.reloader.revision == done.revision == 2


def test_what_needs_a_restart_is_what_the_design_says():
    assert {leaf.name for leaf in leaves() if leaf.field.metadata["reload"] == RESTART} == {
        "gateway.port",
        "gateway.bind",
    }


async def test_in_mode_hot_the_hot_part_takes_effect_and_the_rest_waits():
    hot = "[reload]\nmode = 'hot'\n"
    async with at_work(GOOD + hot) as desk:
        done = await desk.save(BETTER + hot + "[gateway]\nport = 1\n")
        assert done.applied == ("agents.main.model",)
        assert done.restart_required == ("gateway.port",)
        assert desk.tree.agents["main"].model == "two"
        assert desk.tree.gateway.port == 18789
        assert desk.reloader.current.config.gateway.port == 1
        # Who has to go back goes back to what ran, not to what was never tried.
        assert desk.reloader.in_effect.config == desk.tree
        # It waits on, whatever else changes, and comes back for nothing.
        done = await desk.save(GOOD + hot + "[gateway]\nport = 1\n")
        assert done.applied == ("agents.main.model",)
        assert done.restart_required == ("gateway.port",)
        assert (await desk.save(GOOD + hot)).changed == ()


# --- once, or not at all


async def test_a_text_that_says_the_same_is_a_revision_but_changes_nothing():
    async with at_work() as desk:
        done = await desk.save("# a comment\n" + GOOD)
        assert (done.revision, done.changed, done.restarting) == (2, (), False)
        assert desk.reloader.current.text == "# a comment\n" + GOOD
        assert await desk.save("# a comment\n" + GOOD) == attrs.evolve(done)
        assert len(desk.told("config_reloaded")) == 1


async def test_each_accepted_revision_is_told_once():
    async with at_work() as desk:
        for number in range(50):
            await desk.save(f"{TOKEN}[agents.a{number}]\n")
            await desk.reloader.reload("file", again=False)
        numbers = [data["revision"] for data in desk.told("config_reloaded")]
        assert numbers == list(range(2, 52))
        assert [each.number for each in desk.revisions.kept] == list(range(1, 52))


async def test_what_is_told_has_paths_and_no_values():
    async with at_work() as desk:
        await desk.save(GOOD + "[auth.tokens.x]\ntoken = 'another-secret-of-some-length'\n")
        assert desk.told("config_reloaded") == [
            {
                "revision": 2,
                "changedPaths": [f"auth.tokens.x.{name}" for name in ("token", "role", "scopes")],
                "applied": [f"auth.tokens.x.{name}" for name in ("token", "role", "scopes")],
                "restartRequired": [],
            }
        ]


async def test_an_invalid_text_changes_nothing_and_is_shown_until_a_good_one_comes():
    async with at_work() as desk:
        before = desk.state
        with pytest.raises(InvalidConfigError):
            await desk.save(BROKEN)
        assert desk.state == before
        ((issue,),) = [data["issues"] for data in desk.told("config_rejected")]
        assert (issue["path"], issue["file"], issue["line"]) == (
            "agents.main.modle",
            "gateway.toml",
            4,
        )
        # With its line, so that one finds it in the file.
        assert re.search(r"\b\d+: agents\.main\.modle: ", problem(desk))
        await desk.save(BETTER)
        assert problem(desk) is None
        with pytest.raises(InvalidConfigError):
            await desk.save(BROKEN)
        # Back to what runs is good, too.
        assert (await desk.save(BETTER)).revision == 2
        assert problem(desk) is None


async def test_a_rejected_text_is_tried_again_only_on_request():
    async with at_work() as desk:
        desk.failing.append(OSError("the port is gone"))
        with pytest.raises(UnavailableError):
            await desk.save(BETTER)
        await desk.reloader.reload("file", again=False)
        assert desk.tree.agents["main"].model == "one"
        assert len(desk.told("config_rejected")) == 1
        assert (await desk.reloader.reload("SIGHUP")).applied == ("agents.main.model",)


async def test_a_file_that_cannot_be_read_is_told_each_time_it_changes():
    async with at_work() as desk:
        for text in (None, "\0", None):
            desk.file.text = text
            with pytest.raises(InvalidConfigError):
                await desk.reloader.reload("file", again=False)
        desk.file.text = GOOD
        assert (await desk.reloader.reload("file", again=False)).revision == 1
        assert problem(desk) is None


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
async def test_an_emptied_file_cuts_nobody_off(text):
    # Of an editor that was interrupted, or a full disk.
    async with at_work() as desk:
        before = desk.state
        with pytest.raises(InvalidConfigError, match="no credential"):
            await desk.save(text)
        assert desk.state == before


# --- a failure at each step


async def test_what_does_not_come_up_is_taken_back_and_says_why():
    async with at_work() as desk:
        before = desk.state
        desk.failing.append(ExceptionGroup("more", [OSError("the disk is full")]))
        with pytest.raises(UnavailableError, match="the disk is full"):
            await desk.save(BETTER)
        assert desk.state == before
        assert len(desk.revisions.kept) == 1
        assert "the disk is full" in problem(desk)
        assert desk.told("config_reloaded") == []
        assert desk.settled == 1


async def test_what_does_not_even_come_up_as_it_was_is_still_what_is_wanted():
    async with at_work() as desk:
        before = desk.state
        desk.failing += [OSError("first"), OSError("second")]
        with pytest.raises(UnavailableError, match="first"):
            await desk.save(BETTER)
        assert desk.state == before
        await desk.save(BETTER)
        assert problem(desk) is None


async def test_what_cannot_be_written_down_is_taken_back():
    async with at_work() as desk:
        before = desk.state
        desk.revisions.failing.append(UnavailableError("the disk is full"))
        with pytest.raises(UnavailableError, match="the disk is full"):
            await desk.save(BETTER)
        assert desk.state == before
        assert desk.told("config_reloaded") == []
        assert desk.settled == 1


async def test_a_restart_that_cannot_be_written_down_does_not_begin():
    async with at_work() as desk:
        before = desk.state
        desk.revisions.failing.append(UnavailableError("the disk is full"))
        with pytest.raises(UnavailableError):
            await desk.save(MOVED)
        assert desk.state == before
        assert desk.restarts == []


async def test_a_restart_that_cannot_work_does_not_begin():
    async with at_work() as desk:
        before = desk.state
        desk.refusing.append(UnavailableError("port 1 is in use"))
        with pytest.raises(UnavailableError, match="port 1 is in use"):
            await desk.save(MOVED)
        assert desk.state == before
        assert len(desk.revisions.kept) == 1
        assert "port 1 is in use" in problem(desk)


async def test_a_reloader_that_died_in_the_middle_of_a_change_takes_it_back_when_it_is_back():
    desk = Desk(Shelf(GOOD))
    before = desk.reloader.running
    with pytest.raises(KeyError):
        async with running(desk.reloader.run):
            desk.revisions.failing.append(KeyError("a bug"))
            with pytest.raises(UnavailableError, match="the log says why"):
                await desk.save(BETTER)
    assert desk.tree != before
    async with running(desk.reloader.run):
        await trio.testing.wait_all_tasks_blocked()
        assert desk.tree == desk.reloader.running == before
        assert (await desk.save(BETTER)).revision == 2


# --- edits


def to(text):
    return lambda _: text


async def test_an_edit_is_one_revision_although_the_watcher_sees_it_too():
    async with at_work() as desk:
        done = await desk.reloader.change(to(BETTER), "rpc:me")
        await desk.reloader.reload("file", again=False)
        assert desk.file.text == BETTER
        assert [each.who for each in desk.revisions.kept] == ["start", "rpc:me"]
        assert desk.reloader.revision == done.revision == 2
        assert len(desk.told("config_reloaded")) == 1


@pytest.mark.parametrize("step", ["write", "apply", "keep", "refuse"])
async def test_an_edit_that_fails_leaves_the_file_as_it_was(step):
    text, error = BETTER, UnavailableError("broken")
    async with at_work() as desk:
        match step:
            case "write":
                desk.file.refuse.append(OSError(28, "No space left on device"))
            case "apply":
                desk.failing.append(error)
            case "keep":
                desk.revisions.failing.append(error)
            case "refuse":
                text = MOVED
                desk.refusing.append(error)
        before = desk.state
        with pytest.raises(UnavailableError):
            await desk.reloader.change(to(text), "rpc:me")
        assert desk.state == before
        assert desk.file.text == GOOD
        # It is not in the file either, so nothing is wrong there.
        assert problem(desk) is None


async def test_an_edit_that_is_not_valid_is_only_told_to_who_made_it():
    async with at_work() as desk:
        with pytest.raises(InvalidConfigError):
            await desk.reloader.change(to(BROKEN), "rpc:me")
        assert (desk.file.written, desk.news, problem(desk)) == ([], [], None)


async def test_an_edit_of_what_its_author_has_not_seen_is_refused():
    async with at_work() as desk:
        seen = desk.reloader.current.hash
        desk.file.text = BETTER
        with pytest.raises(ConflictError):
            await desk.reloader.change(to(MOVED), "rpc:me", seen)
        assert desk.file.text == BETTER


async def test_an_edit_of_a_file_that_was_deleted_is_one_of_what_is_in_use():
    async with at_work() as desk:
        desk.file.text = None
        await desk.reloader.change(lambda text: text + "# kept\n", "rpc:me")
        assert desk.file.text == GOOD + "# kept\n"


async def test_an_edit_of_what_nobody_can_read_is_refused():
    async with at_work() as desk:
        desk.file.text = "\0"
        desk.file.prepared["\0"] = Loaded("", "", None, load("\0").issues)
        with pytest.raises(UnavailableError, match="mend it first"):
            await desk.reloader.change(to(BETTER), "rpc:me")
        assert desk.file.text == "\0"


# --- one after the other


async def test_a_change_is_made_whole_although_nobody_waits_for_it_any_more():
    async with at_work() as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.reloader.change, to(BETTER), "rpc:me")
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    # Asked to stop, it has finished what was in progress.
    assert desk.file.text == desk.reloader.current.text == BETTER
    assert desk.tree.agents["main"].model == "two"


async def test_who_comes_too_much_is_refused_and_who_waits_at_the_end_is_told():
    desk, answers = Desk(Shelf(GOOD)), []

    async def ask():
        try:
            await desk.reloader.reload("rpc:me")
        except GatewayError as error:
            answers.append(error.kind)
        else:
            answers.append("done")

    async with trio.open_nursery() as nursery:
        for _ in range(WAITING + 1):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == ["overloaded"]
        desk.reloader.reload_soon("SIGHUP")
        async with running(desk.reloader.run) as child:
            child.ask_to_stop()
    # What was in progress is done, for the others it is too late.
    assert len(answers) == 1 + WAITING
    assert set(answers[1:]) <= {"done", "unavailable"}
    assert answers[-1] == "unavailable"


async def test_what_nobody_waits_for_is_done_as_well():
    async with at_work() as desk:
        desk.file.text = BETTER
        desk.reloader.reload_soon("SIGHUP")
        assert (await desk.reloader.reload("rpc:me")).revision == 2
        assert desk.revisions.kept[-1].who == "SIGHUP"


async def test_a_start_on_what_was_in_use_before_makes_no_revision():
    desk = Desk(Shelf(GOOD))
    for text, number in ((GOOD, 1), (GOOD, 1), (BETTER, 2)):
        desk = Desk(Shelf(text), desk.revisions)
        async with running(desk.reloader.run):
            assert desk.reloader.revision == number
    assert [each.changed for each in desk.revisions.kept] == [(), ("*",)]


def test_the_model_is_of_one_version():
    # Else `version` could change while running, which the table above takes for hot.
    assert Config().version == VERSION
    assert not math.isnan(Health().quick_seconds)
