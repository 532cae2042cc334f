"""Files are stored under names of ours, whole, bounded, and nowhere else."""

import os
import stat
from functools import partial

import attrs
import pytest
import trio

from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.storage.files import create_confined, read_confined
from gateway.storage.media import BLOCK, ID, MediaFiles, Quota, tidy_mime, tidy_name
from gateway.storage.memory import Memory


@attrs.define
class Stage:
    media: MediaFiles
    quota: Quota = attrs.field(factory=Quota)
    clock: float = 0.0

    @property
    def names(self):
        return {each.name for each in self.media.directory.iterdir()}


@pytest.fixture
def stage(tmp_path):
    with Memory.opened() as database:
        made = Stage(None)
        made.media = MediaFiles(
            tmp_path / "media", database, lambda: made.quota, lambda: made.clock
        )
        yield made


async def test_a_file_comes_back_as_it_was(stage):
    file = await stage.media.add(b"content", "a.txt", "text/plain; charset=utf-8", account="a:b")
    assert attrs.astuple(file) == (file.id, "a.txt", "text/plain", 7, 0.0, "a:b")
    assert await stage.media.find(file.id) == file
    assert await stage.media.read(file) == b"content"


async def test_it_is_for_the_owner_only_whatever_the_umask(stage):
    before = os.umask(0)
    try:
        file = await stage.media.add(b"", "a", "b")
    finally:
        os.umask(before)
    modes = [
        stat.S_IMODE(each.stat().st_mode)
        for each in (stage.media.directory, stage.media.path(file))
    ]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "/etc/passwd", "MEDIA:/etc/passwd", "file:///etc/passwd", "media-",
        "media-0123456789abcdef01234567/../../gateway.db", "media-0123456789ABCDEF01234567",
        "media-0123456789abcdef01234567\n", "%2e%2e%2fpasswd", "a\0b", "x" * 100_000, "\ud800",
        "media-0123456789abcdef01234567",
    ],
)  # fmt: skip
async def test_only_an_id_that_was_given_finds_anything(stage, name):
    await stage.media.add(b"x", name, name)
    with pytest.raises(NotFoundError):
        await stage.media.find(name)
    assert all(ID.fullmatch(each) for each in stage.names)


async def test_of_one_attachment_there_is_one_file(stage):
    first = await stage.media.add(b"x", "a", "b", origin=(1, 0))
    assert await stage.media.add(b"y", "c", "d", origin=(1, 0)) == first
    assert await stage.media.of((1, 0)) == first
    assert await stage.media.of((1, 1)) is None
    assert stage.names == {first.id}


async def test_the_oldest_go_when_there_are_too_many_bytes(stage):
    stage.quota = Quota(10 * BLOCK)
    files = [await stage.media.add(b"x" * BLOCK, f"{n}", "a/b") for n in range(13)]
    assert stage.names == {each.id for each in files[3:]}
    with pytest.raises(NotFoundError):
        await stage.media.find(files[0].id)


async def test_the_smallest_file_counts_as_what_it_takes(stage):
    stage.quota = Quota(10 * BLOCK)
    for _ in range(20):
        await stage.media.add(b"x", "", "")
    assert len(stage.names) == 10


async def test_more_than_there_may_be_at_all_is_refused(stage):
    stage.quota = Quota(10)
    with pytest.raises(GatewayError, match="11 bytes, at most 10") as caught:
        await stage.media.add(b"x" * 11, "", "")
    assert caught.value.kind == "too-large"


async def test_what_is_too_old_goes(stage):
    stage.quota = Quota(age=100.0)
    old = await stage.media.add(b"x", "", "")
    stage.clock = 60.0
    new = await stage.media.add(b"x", "", "")
    stage.clock = 120.0
    await stage.media.clean()
    assert stage.names == {new.id}
    with pytest.raises(NotFoundError):
        await stage.media.find(old.id)


async def test_what_nobody_has_recorded_is_removed_and_what_is_not_ours_stays(stage):
    file = await stage.media.add(b"x", "", "")
    orphan = f"media-{'0' * 24}"
    (stage.media.directory / orphan).write_bytes(b"half")
    (stage.media.directory / "README").write_bytes(b"")
    await stage.media.clean()
    assert stage.names == {file.id, "README"}


async def test_a_file_that_is_being_added_is_no_orphan(stage):
    blocking, cleaned = stage.media.blocking, []

    async def clean_behind(work):
        result = await blocking(work)
        if isinstance(work, partial) and work.func.__name__ == "_create":
            await stage.media.clean()
            cleaned.append(stage.names)
        return result

    stage.media.blocking = clean_behind
    file = await stage.media.add(b"x", "", "")
    assert cleaned == [{file.id}]
    assert await stage.media.read(file) == b"x"


async def test_a_start_without_a_directory_cleans_up_nothing(stage):
    await stage.media.clean()
    assert stage.names == set()


# -- links ------------------------------------------------------------------------------


async def test_a_link_in_place_of_a_file_is_not_followed(stage, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    file = await stage.media.add(b"x", "", "")
    stage.media.path(file).unlink()
    stage.media.path(file).symlink_to(secret)
    with pytest.raises(NotFoundError):
        await stage.media.read(file)


async def test_a_link_in_place_of_the_directory_is_not_followed(stage, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    stage.media.directory.symlink_to(outside)
    with pytest.raises(UnavailableError, match="could not be stored"):
        await stage.media.add(b"x", "", "")
    with pytest.raises(UnavailableError):
        await stage.media.clean()
    assert list(outside.iterdir()) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


async def test_of_a_link_that_nobody_knows_the_link_is_removed(stage, tmp_path):
    await stage.media.add(b"x", "", "")
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    link = stage.media.directory / f"media-{'0' * 24}"
    link.symlink_to(secret)
    await stage.media.clean()
    assert not link.is_symlink()
    assert secret.exists()


def test_nothing_is_written_through_a_link_to_what_is_not_there_yet(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "later")
    with pytest.raises(FileExistsError):
        create_confined(link, b"x")
    assert not (tmp_path / "later").exists()


def test_what_is_no_file_is_not_read_and_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("pipe", "directory"):
        with pytest.raises(OSError, match=r"no regular file|[Ii]s a directory"):
            read_confined(tmp_path / name, 10)


def test_a_file_that_is_longer_than_it_may_be_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_confined(tmp_path / "file", 10)


# -- what is said of them ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.txt", "a.txt"), ("/etc/passwd", "passwd"), (r"C:\x\y.exe", "y.exe"), ("..", ""),
        ("a\n\tb", "a b"), ("a\u202egpj.exe", "a gpj.exe"), ("\ud800", ""), (".hidden", "hidden"),
        ("x" * 1000, "x" * 100), ("", ""), ("a\0.png", "a .png"),
    ],
)  # fmt: skip
def test_a_name_is_one_line_and_no_path(given, name):
    assert tidy_name(given) == name


NO_TYPES = ("", "x", "a/b/c", "a/\n", "../..", "a/" + "b" * 99)


@pytest.mark.parametrize(
    ("given", "mime"),
    [
        ("Image/PNG", "image/png"), ("text/plain; charset=x", "text/plain"),
        *[(bad, "application/octet-stream") for bad in NO_TYPES],
    ],
)  # fmt: skip
def test_a_media_type_is_one_or_that_of_any_bytes(given, mime):
    assert tidy_mime(given) == mime


async def test_many_at_once_are_all_there(stage):
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(stage.media.add, b"%d" % number, "", "")
    assert len(stage.names) == 50
