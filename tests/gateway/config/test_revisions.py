"""What was accepted is kept, and found again by a start whose file is not valid."""

import itertools
import os
import sqlite3

import pytest

from gateway.config.revisions import KEPT, Revision, Revisions, find, last_good, look_back
from gateway.errors import NotFoundError
from gateway.storage.database import Database
from gateway.storage.memory import Memory
from gateway.storage.opening import open_writer
from gateway.storage.schema import STEPS
from supervisors.testing import running

SECRET = "c4nary-0123456789abcdef"


@pytest.fixture
def revisions():
    with Memory.opened() as database:
        yield Revisions(database, now=itertools.count(1001.0).__next__)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a state?#%41" / "gateway.db"


async def _add(revisions, number, changed=("gateway.port",)):
    return await revisions.add(f"# {number} {SECRET}", f"hash {number}", "owner", changed)


async def test_what_is_added_is_returned_and_found_again(revisions):
    added = await _add(revisions, 1, changed=('agents."a b".model', "gateway"))
    assert added == Revision(
        1, 1001.0, "owner", "hash 1", ('agents."a b".model', "gateway"), f"# 1 {SECRET}"
    )
    assert await revisions.get(1) == await revisions.latest() == added


async def test_a_list_is_newest_first_and_has_no_texts(revisions):
    added = [await _add(revisions, number) for number in range(1, 5)]
    listed = await revisions.list(3)
    assert [each.number for each in listed] == [4, 3, 2]
    assert {each.text for each in listed} == {""}
    assert listed[0].hash == added[-1].hash
    assert SECRET not in repr(listed) + repr(added)


async def test_only_the_last_ones_are_kept_and_no_number_comes_twice(revisions):
    for number in range(KEPT + 3):
        await _add(revisions, number)
    assert [each.number for each in await revisions.list()] == list(range(KEPT + 3, 3, -1))
    with pytest.raises(NotFoundError, match="no revision 3"):
        await revisions.get(3)


async def test_without_revisions_there_is_no_latest(revisions):
    assert await revisions.latest() is None
    assert await revisions.list() == []
    with pytest.raises(NotFoundError):
        await revisions.get(1)


async def test_a_start_finds_the_newest_one_although_nothing_was_closed(path):
    database = Database(path)
    async with running(database.run):
        revisions = Revisions(database)
        await _add(revisions, 1)
        newest = await _add(revisions, 2)
        # The write-ahead log is all there is of it, as after kill -9.
        assert last_good(path) == newest
    assert last_good(path) == newest
    assert [each.number for each in look_back(path)] == [2, 1]
    assert look_back(path, 1)[0].text == ""
    assert find(path, 2) == newest
    for number in (0, 3, 2**64):
        with pytest.raises(NotFoundError, match="no revision"):
            find(path, number)


def _make(path, steps=STEPS):
    connection = open_writer(path, steps).connection
    connection.close()


def test_a_start_finds_nothing_where_there_is_nothing_and_makes_nothing(path):
    assert last_good(path) is None
    assert look_back(path) == []
    assert not path.exists()
    _make(path)
    before = path.read_bytes()
    assert last_good(path) is None
    assert path.read_bytes() == before


def test_a_database_of_before_there_were_revisions_has_none(path):
    _make(path, STEPS[:1])
    assert last_good(path) is None
    _make(path)
    assert last_good(path) is None


def test_a_damaged_database_has_none(path, tmp_path):
    _make(path)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO config_revisions VALUES (1, 1, 'x', 'x', 'no JSON', 'x')")
    connection.commit()
    connection.close()
    assert last_good(path) is None
    for content in (b"no database" * 1000, b"", path.read_bytes()[:5000]):
        path.write_bytes(content)
        assert last_good(path) is None
    path.unlink()
    path.mkdir()
    assert last_good(path) is None
    assert last_good(tmp_path / "no\0name") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_database_that_cannot_be_read_has_none(path):
    _make(path)
    path.chmod(0)
    assert last_good(path) is None
