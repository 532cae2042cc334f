"""Files that are whole or not there, and the lock of the state directory."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gateway.errors import ConflictError, UnavailableError
from gateway.storage import files


@contextmanager
def umask(mask):
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def mode(path):
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_is_written_is_for_the_owner_only_whatever_the_umask_says(tmp_path, mask):
    with umask(mask):
        files.make_private_directory(tmp_path / "a" / "state")
        files.atomic_write(tmp_path / "a" / "state" / "file", b"secret")
        files.touch_private(tmp_path / "a" / "state" / "empty")
    assert mode(tmp_path / "a" / "state") == 0o700
    assert mode(tmp_path / "a" / "state" / "file") == 0o600
    assert mode(tmp_path / "a" / "state" / "empty") == 0o600


def test_a_directory_that_others_could_read_is_narrowed(tmp_path):
    tmp_path.chmod(0o755)
    files.make_private_directory(tmp_path)
    assert mode(tmp_path) == 0o700


def test_a_file_is_replaced_whole_and_its_mode_is_the_one_asked_for(tmp_path):
    path = tmp_path / "file"
    files.atomic_write(path, b"old")
    files.atomic_write(path, b"new", 0o644)
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(OSError):
        files.atomic_write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path):
    with files.state_lock(tmp_path):
        with (
            pytest.raises(ConflictError, match=f"pid {os.getpid()}\\)"),
            files.state_lock(tmp_path),
        ):
            pass
        assert (tmp_path / files.LOCK_NAME).read_text() == f"{os.getpid()}\n"
    with files.state_lock(tmp_path):
        pass


HOLD = """
import sys, time
from pathlib import Path
from gateway.storage.files import state_lock
with state_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_directory_of_all_users_is_refused_and_left_as_it_is(tmp_path):
    tmp_path.chmod(0o1777)
    with pytest.raises(UnavailableError, match="--state"), files.state_lock(tmp_path):
        pass
    assert mode(tmp_path) == 0o777
    with files.state_lock(tmp_path / "own"):
        pass


@pytest.mark.parametrize("where", ["file", "file/state"])
def test_a_state_that_cannot_be_written_says_what_to_do(tmp_path, where):
    (tmp_path / "file").touch()
    refused = pytest.raises(UnavailableError, match="choose another directory with --state")
    with refused, files.state_lock(tmp_path / where):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ConflictError, match=str(holder.pid)), files.state_lock(tmp_path):
                pass
        finally:
            holder.kill()
        holder.wait()
        with files.state_lock(tmp_path):
            pass


def test_a_file_is_made_whole_once_and_what_is_there_is_left_alone(tmp_path):
    path = tmp_path / "file"
    assert files.create_whole(path, b"first")
    assert not files.create_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_made_whole_is_not_made(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"):
        files.create_whole(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())
