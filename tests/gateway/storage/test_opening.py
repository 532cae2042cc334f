"""Modes, migrations and damage."""

import os
import random
import sqlite3
from contextlib import closing

import pytest
from notes_table import STEPS

from gateway.errors import UnavailableError
from gateway.storage import opening
from gateway.storage.schema import STEPS as REAL_STEPS

MORE = (*STEPS, "ALTER TABLE notes ADD COLUMN at REAL; CREATE INDEX by_at ON notes (at)")


def version(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


def make(path, count=0, steps=STEPS):
    connection = opening.open_writer(path, steps).connection
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO notes (text) VALUES (?)", [(f"note {n} " * 20,) for n in range(count)]
    )
    connection.execute("COMMIT")
    connection.close()


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_database_is_for_the_owner_only_whatever_the_umask_says(path, mask):
    old = os.umask(mask)
    try:
        connection = opening.open_writer(path, STEPS).connection
        connection.execute("INSERT INTO notes (text) VALUES ('x')")
        modes = {part.name: part.stat().st_mode & 0o777 for part in path.parent.iterdir()}
        connection.close()
    finally:
        os.umask(old)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}


def test_what_is_committed_is_synced():
    connection = opening._connect(":memory:")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    connection.close()


def test_an_older_file_is_migrated_and_keeps_what_it_has(path):
    make(path, 3)
    connection = opening.open_writer(path, MORE).connection
    assert version(connection) == 2
    assert connection.execute("SELECT count(*), count(at) FROM notes").fetchone() == (3, 0)
    connection.close()


def test_a_migration_that_fails_changes_nothing(path):
    make(path, 3)
    broken = (*STEPS, "ALTER TABLE notes ADD COLUMN at REAL; CREATE TABLE notes (x)")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        opening.open_writer(path, broken)
    connection = opening.open_writer(path, MORE).connection
    assert version(connection) == 2
    connection.close()


def test_a_newer_file_is_refused_with_both_versions_and_left_alone(path):
    make(path, 3, MORE)
    before = path.read_bytes()
    with pytest.raises(opening.NewerError, match=r"version 2, .* up to 1"):
        opening.open_writer(path, STEPS)
    assert path.read_bytes() == before
    assert [part.name for part in path.parent.iterdir()] == ["gateway.db"]


def test_the_real_steps_work_from_nothing(path):
    connection = opening.open_writer(path, REAL_STEPS).connection
    assert version(connection) == len(REAL_STEPS)
    connection.close()


@pytest.mark.parametrize("content", [b"no database" * 1000, b"\0" * 8192])
def test_what_is_no_database_is_set_aside_and_a_new_one_made(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    path.with_name("gateway.db-wal").write_bytes(b"its log")
    opened = opening.open_writer(path, STEPS)
    assert opened.set_aside.read_bytes() == content
    assert opened.set_aside.name.startswith("gateway.db.damaged-")
    assert opened.set_aside.with_name(opened.set_aside.name + "-wal").read_bytes() == b"its log"
    assert opened.connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    opened.connection.close()


def test_damaged_files_never_overwrite_each_other(path):
    for _ in range(3):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no database" * 1000)
        opening.open_writer(path, STEPS).connection.close()
    assert len(list(path.parent.glob("gateway.db.damaged-*"))) == 3


def everything(path):
    connection = opening.open_reader(path)
    try:
        return connection.execute("SELECT text FROM notes ORDER BY id").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(int(os.environ.get("GATEWAY_TEST_DAMAGES", "30"))))
def test_any_damage_ends_in_a_database_that_works_or_a_refusal_and_the_old_file_kept(path, seed):
    rng = random.Random(seed)
    make(path, 300)
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del content[rng.randrange(1, len(content)) :]
    else:
        # Page headers and the schema, not only texts, of which SQLite knows no checksum.
        at = rng.randrange(len(content) // 4096) * 4096 + rng.randrange(100)
        content[at : at + 8] = rng.randbytes(8)
    path.write_bytes(content)
    try:
        opened = opening.open_writer(path, STEPS)
        with closing(opened.connection) as connection:
            connection.execute("INSERT INTO notes (text) VALUES ('new')")
    except (opening.NewerError, sqlite3.OperationalError):
        # Looks like the work of a later version: refused, and nothing is lost.
        assert path.read_bytes() == content
        return
    assert everything(path)[-1] == ("new",)
    if opened.set_aside is not None:
        assert opened.set_aside.read_bytes() == content


@pytest.mark.parametrize(("at", "why"), [(47, "unsupported file format"), (61, "version 327681")])
def test_a_header_that_a_later_version_may_have_written_is_refused_and_kept(path, at, why):
    make(path, 3)
    content = bytearray(path.read_bytes())
    content[at] = 5
    path.write_bytes(content)
    with pytest.raises((opening.NewerError, sqlite3.OperationalError), match=why):
        opening.open_writer(path, STEPS)
    assert path.read_bytes() == content


def test_a_header_that_says_that_only_later_versions_may_write_is_believed(path):
    make(path, 3)
    content = bytearray(path.read_bytes())
    content[18] = 5
    path.write_bytes(content)
    connection = opening.open_writer(path, STEPS).connection
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO notes (text) VALUES ('new')")
    connection.close()
    assert path.read_bytes() == content


def test_a_damaged_text_does_not_hide_the_rows_beside_it(path):
    make(path, 3)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"note 1 note", b"note \xff note", 1))
    opening.open_writer(path, STEPS).connection.close()
    texts = [text for (text,) in everything(path)]
    assert [text[:6] for text in texts] == ["note 0", "note �", "note 2"]


def test_a_check_that_takes_too_long_is_given_up_and_the_file_used(path, monkeypatch):
    make(path, 2000)
    monkeypatch.setattr(opening, "CHECK", -1)
    monkeypatch.setattr(opening, "PROGRESS", 10)
    opened = opening.open_writer(path, STEPS)
    assert opened.set_aside is None
    opened.connection.close()


def test_a_reader_cannot_write(path):
    make(path, 1)
    reader = opening.open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM notes")
    reader.close()


def test_what_only_the_operator_can_mend_says_so(path):
    path.mkdir(parents=True)
    with pytest.raises(UnavailableError, match=r"is a directory; see to .* another --state"):
        opening.open_or_explain(path, STEPS)


def test_a_file_that_another_program_keeps_locked_is_named(path, monkeypatch):
    make(path)
    monkeypatch.setattr(opening, "BUSY", 0)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnavailableError, match=f"{path} cannot be opened: database is locked"):
            opening.open_or_explain(path, MORE)


def test_a_bug_in_a_step_stays_a_bug(path):
    make(path)
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        opening.open_or_explain(path, (*STEPS, "OOPS"))
