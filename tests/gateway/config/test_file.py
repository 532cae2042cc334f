"""The configuration file, with those that it includes: noticing and reloading."""

import os

import attrs
import pytest
import trio

from gateway.bus import Bus
from gateway.config.file import ConfigFile
from gateway.config.reload import Reloader
from gateway.config.revisions import Revision
from gateway.config.watch import Watch
from gateway.errors import GatewayError
from supervisors.testing import running

MAIN = 'include = ["c/*.toml"]\n[auth]\npassword = "a password"\n'


@attrs.define
class Shelf:
    """Keeps revisions in memory."""

    kept: list = attrs.field(factory=list)

    async def add(self, text, hash, who, changed):  # noqa: A002 - its name on the wire
        self.kept.append(Revision(len(self.kept) + 1, 0, who, hash, changed, text))
        return self.kept[-1]

    async def latest(self):
        return self.kept[-1] if self.kept else None


@attrs.define
class Desk:
    """A reloader of a real file, and what was told of it; nothing is applied."""

    file: ConfigFile
    revisions: Shelf = attrs.field(factory=Shelf)
    bus: Bus = attrs.field(factory=Bus)
    reloader: Reloader = attrs.field(init=False)

    def __attrs_post_init__(self):
        async def apply(config):
            pass

        self.reloader = Reloader(
            self.file.read(), self.file, self.revisions, self.bus, apply, lambda _: None
        )

    def save(self, text, name="a.toml"):
        """Save an included file as editors do."""
        path = self.file.path.parent / "c" / name
        draft = path.with_name(f".{name}.draft")
        draft.write_text(text)
        draft.chmod(0o600)
        draft.rename(path)

    async def news(self, act):
        """Do *act* and return the next event that comes of it."""
        heard, news = trio.Event(), []

        def listen(each):
            news.append(each)
            heard.set()

        with self.bus.listening(listen):
            act()
            await heard.wait()
        return news[0].spec.name, news[0].data


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "c").mkdir()
    path = tmp_path / "gateway.toml"
    path.write_text(MAIN)
    path.chmod(0o600)
    return Desk(ConfigFile(path, {}))


def test_a_signature_changes_with_what_was_included_when_it_was_read(desk):
    seen = [desk.file.signature()]

    def changed():
        seen.append(desk.file.signature())
        return seen[-1] != seen[-2]

    assert not changed()
    desk.save("")
    assert changed()
    desk.save("[agents.main]")
    assert changed()
    (desk.file.path.parent / "c/a.toml").unlink()
    assert changed()
    desk.save("", "b.txt")
    assert not changed()
    desk.file.path.write_text(MAIN.replace("*.toml", "*.txt"))
    assert changed()
    desk.file.read()
    assert changed()
    desk.save("# mine", "b.txt")
    assert changed()
    desk.file.path.unlink()
    assert changed()


def test_a_text_is_tried_out_with_what_it_includes(desk):
    desk.save('[agents.main]\nmodel = "one"')
    assert desk.file.check(MAIN).config.agents["main"].model == "one"
    assert desk.file.check(MAIN) == desk.file.read()
    os.truncate(desk.file.path.parent / "c/a.toml", 5)
    assert not desk.file.check(MAIN).valid


async def test_editing_an_included_file_reloads(desk, autojump_clock):
    reloader = desk.reloader
    watch = Watch(desk.file.signature, lambda: "hot", lambda: reloader.reload("file", again=False))
    async with running(reloader.run), running(watch.run):
        name, told = await desk.news(lambda: desk.save('[agents.main]\nmodel = "one"'))
        assert (name, told["applied"]) == ("config_reloaded", ["agents.main.model"])
        name, told = await desk.news(lambda: desk.save("[agents.main]\nmodel = 5"))
        assert (name, told["issues"][0]["line"]) == ("config_rejected", 2)
        assert told["issues"][0]["file"].endswith("c/a.toml")
        assert reloader.running.agents["main"].model == "one"
        name, told = await desk.news(lambda: desk.save('[agents.main]\nmodel = "two"'))
        assert (name, reloader.running.agents["main"].model) == ("config_reloaded", "two")
        gone = desk.file.path.parent / "c/a.toml"
        name, told = await desk.news(gone.unlink)
        assert (name, reloader.running.agents["main"].model) == ("config_reloaded", "")
    assert {each.text for each in desk.revisions.kept} == {MAIN}
    assert [each.changed for each in desk.revisions.kept[1:]] == [("agents.main.model",)] * 3


async def test_nothing_happens_twice(desk):
    desk.save('[agents.main]\nmodel = "one"')
    async with running(desk.reloader.run):
        first = await desk.reloader.reload("file")
        assert (first.revision, first.applied) == (2, ("agents.main.model",))
        assert (await desk.reloader.reload("file")).changed == ()
        desk.save("[agents.main]\nmodel = 5")
        with pytest.raises(GatewayError):
            await desk.reloader.reload("file", again=False)
        assert (await desk.reloader.reload("file", again=False)).revision == 2
        desk.save("[agents.main]\nmodel = 6")
        with pytest.raises(GatewayError):
            await desk.reloader.reload("file", again=False)


async def test_an_edit_of_what_an_included_file_sets_is_refused(desk):
    desk.save('[agents.main]\nmodel = "one"')
    async with running(desk.reloader.run):
        await desk.reloader.reload("file")
        base = desk.reloader.current.hash
        with pytest.raises(GatewayError, match=r"c/a.toml:2:1.*is there twice.*gateway.toml:5"):
            await desk.reloader.change(
                lambda text: text + '[agents.main]\nmodel = "two"\n', "me", base
            )
        assert desk.file.path.read_text() == MAIN
        done = await desk.reloader.change(lambda text: text + "[agents.b]\n", "me", base)
        assert done.revision == 3
        assert desk.reloader.current.config.agents.keys() == {"main", "b"}
