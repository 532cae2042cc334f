"""Editors, tools and orchestrators write a file in their own ways; each change is noticed once.

The files are real, the time is not: a look takes no thread here, so that the clock of the
test cannot run away while one is under way.
"""

import os
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from gateway.config.file import ConfigFile
from gateway.config.reload import Outcome
from gateway.config.watch import PERIOD, Watch
from gateway.errors import GatewayError, UnavailableError
from supervisors.testing import running

OLD = "# old\n" + "a = 1\n" * 50
NEW = "# new\n" + "b = 2\n" * 50
SOON = 1.0
"""Seconds of virtual time within which a change has to be read."""


class Close(Watch):
    """A watch that looks without a thread."""

    async def _look(self):
        await trio.lowlevel.checkpoint()
        return self.signature()


@attrs.define(eq=False)
class Desk:
    """A watched file, and what was read of it: `None` where there was none."""

    path: object
    mode: str = "hybrid"
    read: list = attrs.field(factory=list)
    errors: list = attrs.field(factory=list)
    meanwhile: list = attrs.field(factory=list)
    """Texts that somebody writes just after a read."""

    async def reload(self):
        await trio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        self.read.append(self.path.read_text() if self.path.exists() else None)
        if self.meanwhile:
            self.put(self.meanwhile.pop(0))
        return Outcome(1)

    def put(self, text, path=None):
        """Write *text*, stamped with the time of the test: the disk's is too coarse for it."""
        path = path or self.path
        path.write_text(text)
        stamp = int(trio.current_time() * 1e9)
        os.utime(path, ns=(stamp, stamp))


@asynccontextmanager
async def watching(tmp_path, **options):
    """Watch a file around a block; it has been read once."""
    desk = Desk(tmp_path / "gateway.toml", **options)
    desk.put(OLD)
    watch = Close(ConfigFile(desk.path, {}).signature, lambda: desk.mode, desk.reload)
    async with running(watch.run) as desk_life:
        await trio.sleep(SOON)
        assert desk_life.state == "running"
        yield desk


async def rename_over(desk):
    draft = desk.path.with_name("draft")
    desk.put(NEW, draft)
    await trio.sleep(0.05)
    draft.replace(desk.path)


async def truncate_and_write_in_two_steps(desk):
    desk.put("")
    await trio.sleep(0.2)
    desk.put(NEW[:100])
    await trio.sleep(0.2)
    desk.put(NEW)


async def vim_renames_and_writes_anew(desk):
    # :set backupcopy=no: the file becomes the backup, a new one is written in its place.
    backup = desk.path.with_name("gateway.toml~")
    desk.path.rename(backup)
    await trio.sleep(0.02)
    desk.put(NEW)
    await trio.sleep(0.02)
    backup.unlink()


async def vim_copies_and_writes_in_place(desk):
    # :set backupcopy=yes, which it does by itself for links.
    backup = desk.path.with_name("gateway.toml~")
    backup.write_text(OLD)
    await truncate_and_write_in_two_steps(desk)
    backup.unlink()


async def nano_truncates(desk):
    desk.put("")
    await trio.sleep(0.01)
    desk.put(NEW)


async def vs_code_writes_in_place(desk):
    desk.put(NEW)
    await trio.sleep(0.1)
    desk.put(NEW)


async def delete_and_recreate(desk):
    desk.path.unlink()
    await trio.sleep(0.25)
    desk.put(NEW)


async def move_something_with_old_times_there(desk):
    draft = desk.path.with_name("draft")
    draft.write_text(NEW)
    os.utime(draft, ns=(0, 0))
    draft.replace(desk.path)


async def copy_with_old_times_in_place(desk):
    # cp --preserve, rsync --inplace --times: same length, same time, other text.
    found = desk.path.stat()
    desk.path.write_text(NEW)
    os.utime(desk.path, ns=(found.st_atime_ns, found.st_mtime_ns))


WAYS = [
    rename_over,
    truncate_and_write_in_two_steps,
    vim_renames_and_writes_anew,
    vim_copies_and_writes_in_place,
    nano_truncates,
    vs_code_writes_in_place,
    delete_and_recreate,
    move_something_with_old_times_there,
    copy_with_old_times_in_place,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [0.0, PERIOD / 3, PERIOD * 0.99])
async def test_a_change_is_read_once_when_it_is_whole(tmp_path, autojump_clock, way, after):
    async with watching(tmp_path) as desk:
        await trio.sleep(after)
        await way(desk)
        await trio.sleep(SOON)
        assert desk.read == [OLD, NEW]
        await trio.sleep(10)
        assert desk.read == [OLD, NEW]


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        desk.put(NEW, tmp_path / "new.toml")
        desk.path.unlink()
        desk.path.symlink_to("new.toml")
        await trio.sleep(SOON)
        desk.put(OLD, tmp_path / "old.toml")
        draft = tmp_path / "link"
        draft.symlink_to("old.toml")
        draft.replace(desk.path)
        await trio.sleep(SOON)
        desk.put(OLD + "# in the place it leads to\n", tmp_path / "old.toml")
        await trio.sleep(SOON)
        assert desk.read == [OLD, NEW, OLD, OLD + "# in the place it leads to\n"]


async def test_an_update_of_a_mounted_config_map_is_a_change(tmp_path, autojump_clock):
    """Kubernetes: the file is a link through ``..data``, which is swapped as a whole."""

    def publish(name, text):
        (tmp_path / name).mkdir()
        desk.put(text, tmp_path / name / "gateway.toml")
        draft = tmp_path / "..data_tmp"
        draft.symlink_to(name)
        draft.replace(tmp_path / "..data")

    async with watching(tmp_path) as desk:
        desk.path.unlink()
        publish("..2026_01_01", OLD + "# mounted\n")
        desk.path.symlink_to("..data/gateway.toml")
        await trio.sleep(SOON)
        publish("..2026_01_02", NEW)
        await trio.sleep(SOON)
        assert desk.read == [OLD, OLD + "# mounted\n", NEW]


async def test_of_fifty_saves_in_a_second_the_last_is_read_once(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        for number in range(50):
            desk.put(f"{NEW}# {number:02}\n")
            await trio.sleep(0.02)
        await trio.sleep(SOON)
        assert desk.read == [OLD, f"{NEW}# 49\n"]


async def test_what_is_written_while_it_is_read_is_read_again(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        desk.meanwhile.append(NEW + "# meanwhile\n")
        desk.put(NEW)
        await trio.sleep(2 * SOON)
        assert desk.read == [OLD, NEW, NEW + "# meanwhile\n"]


async def test_half_a_file_that_rests_is_read_as_it_is_and_the_rest_later(tmp_path, autojump_clock):
    # Nobody can tell it from a whole one; the reloader does not accept it if it is not valid.
    async with watching(tmp_path) as desk:
        desk.put(NEW[:100])
        await trio.sleep(SOON)
        desk.put(NEW)
        await trio.sleep(SOON)
        assert desk.read == [OLD, NEW[:100], NEW]


async def test_a_file_that_stays_away_is_noticed_and_so_is_its_return(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        desk.path.unlink()
        await trio.sleep(SOON)
        desk.put(NEW)
        await trio.sleep(SOON)
        assert desk.read == [OLD, None, NEW]


async def test_in_mode_off_nothing_is_read_until_it_is_on_again(tmp_path, autojump_clock):
    async with watching(tmp_path, mode="off") as desk:
        desk.put(NEW)
        await trio.sleep(SOON)
        assert desk.read == []
        desk.mode = "hot"
        await trio.sleep(SOON)
        assert desk.read == []
        desk.put(NEW + "# touched\n")
        await trio.sleep(SOON)
        assert desk.read == [NEW + "# touched\n"]


async def test_a_change_that_is_refused_waits_for_the_next(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        desk.errors.append(UnavailableError("it did not come up"))
        desk.put(NEW)
        await trio.sleep(10)
        assert desk.read == [OLD]
        desk.put(NEW + "# again\n")
        await trio.sleep(SOON)
        assert desk.read == [OLD, NEW + "# again\n"]


async def test_a_change_for_which_there_was_no_room_is_not_forgotten(tmp_path, autojump_clock):
    async with watching(tmp_path) as desk:
        desk.errors += [GatewayError("overloaded", "try again")] * 3
        desk.put(NEW)
        await trio.sleep(3 * SOON)
        assert desk.read == [OLD, NEW]


async def test_a_watch_that_died_notices_what_was_changed_meanwhile(tmp_path, autojump_clock):
    desk = Desk(tmp_path / "gateway.toml")
    desk.put(OLD)
    watch = Close(ConfigFile(desk.path, {}).signature, lambda: "hybrid", desk.reload)
    for text in (OLD, NEW):
        desk.put(text)
        async with running(watch.run):
            await trio.sleep(SOON)
    assert desk.read == [OLD, NEW]


async def test_a_look_takes_place_in_a_thread(tmp_path):
    # A network file system may let it wait; the loop must not.
    looked = trio.Event()

    def signature():
        trio.from_thread.run_sync(looked.set)

    async def never():
        raise AssertionError

    async with running(Watch(signature, lambda: "off", never).run):
        with trio.fail_after(5):
            await looked.wait()
