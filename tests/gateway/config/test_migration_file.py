"""Whatever fails while a file is migrated, it is the old one or the new one."""

import os
from itertools import count

import pytest

from gateway.config import migration_file
from gateway.config.migrate import MigrationError, migrate
from gateway.config.migration_file import migrate_file

OLD = 'token = "${T}"  # mine\nport = 1\n'
NEW = migrate(OLD).text
CALLS = ["open", "fsync", "fchmod", "link", "replace", "unlink", "stat", "close"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(OLD)
    path.chmod(0o640)
    return path


def names(path):
    return sorted(each.name for each in path.parent.iterdir())


def test_the_file_is_rewritten_and_the_old_text_is_in_a_private_backup(path):
    done = migrate_file(path)
    assert path.read_text() == NEW
    assert done.migrated == migrate(OLD)
    assert done.backup == path.with_name("gateway.toml.v1.bak")
    assert done.backup.read_text() == OLD
    assert done.backup.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path) == ["gateway.toml", "gateway.toml.v1.bak"]


def test_doing_it_again_does_nothing(path):
    migrate_file(path)
    before = path.stat()
    assert migrate_file(path) is None
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_backup_with_another_content_is_never_overwritten(path):
    other = path.with_name("gateway.toml.v1.bak")
    other.write_text("mine")
    assert migrate_file(path).backup.name == "gateway.toml.v1.bak.2"
    assert other.read_text() == "mine"
    path.write_text(OLD)
    assert migrate_file(path).backup.name == "gateway.toml.v1.bak.2"


def test_there_is_an_end_to_backups(path, monkeypatch):
    monkeypatch.setattr(migration_file, "MOST_BACKUPS", 1)
    path.with_name("gateway.toml.v1.bak").mkdir()
    with pytest.raises(FileExistsError, match="different backups"):
        migrate_file(path)
    assert path.read_text() == OLD


def test_a_link_stays_a_link(path, tmp_path):
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "link.toml"
    link.symlink_to(path)
    assert migrate_file(link).backup.parent == path.parent
    assert link.is_symlink()
    assert path.read_text() == NEW


def test_line_ends_survive(path):
    path.write_bytes(OLD.replace("\n", "\r\n").encode())
    migrate_file(path)
    assert path.read_bytes() == NEW.replace("\n", "\r\n").encode()


def test_a_file_that_was_saved_meanwhile_is_not_overwritten(path, monkeypatch):
    link = os.link

    def save(*args):
        link(*args)
        path.write_text("port = 2\n")

    monkeypatch.setattr(os, "link", save)
    with pytest.raises(MigrationError, match="was changed while"):
        migrate_file(path)
    assert path.read_text() == "port = 2\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"port = [", "1:9: not valid TOML"), (b"\xff", "not valid UTF-8"), (None, "cannot be read")],
)
def test_what_cannot_be_read_is_refused_with_its_name(path, content, expected):
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(MigrationError, match=expected) as caught:
        migrate_file(path)
    assert str(path) in str(caught.value)


class Faulty:
    """Lets each of the system's calls fail when its turn comes, or from then on."""

    def __init__(self, monkeypatch, turn, *, dead):
        self.turn, self.dead, self.calls = turn, dead, count(1)
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, real):
        def call(*args, **options):
            number = next(self.calls)
            if number == self.turn or (self.dead and number > self.turn):
                raise OSError(28, "No space left on device")
            return real(*args, **options)

        return call


@pytest.mark.parametrize("dead", [False, True], ids=["one call fails", "the process dies"])
def test_at_each_step_the_file_is_whole_and_the_next_try_finishes(path, monkeypatch, dead):
    for turn in count(1):
        for each in path.parent.iterdir():
            each.unlink()
        path.write_text(OLD)
        with monkeypatch.context() as patched:
            Faulty(patched, turn, dead=dead)
            try:
                migrate_file(path)
                failed = False
            except (OSError, MigrationError):
                failed = True
        assert path.read_text() in (OLD, NEW)
        if path.read_text() == NEW:
            assert path.with_name("gateway.toml.v1.bak").read_text() == OLD
        if failed:
            migrate_file(path)
        assert path.read_text() == NEW
        visible = [each for each in names(path) if not each.startswith(".")]
        assert visible == ["gateway.toml", "gateway.toml.v1.bak"]
        # What is hidden is a private draft that could not be removed.
        assert dead or len(names(path)) <= len(visible) + 1
        if not failed:
            break
    assert turn > 10
