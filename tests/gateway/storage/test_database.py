"""Writes are on the disk when they return; nothing that fails is acknowledged."""

import resource
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager

import pytest
import trio
from notes_table import STEPS, note, notes
from trio.testing import wait_all_tasks_blocked

from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.storage import database as storage
from gateway.storage.database import Database
from gateway.storage.opening import NewerError
from supervisors import Backoff, Child, State, Supervisor
from supervisors.testing import running


async def test_what_was_written_can_be_read(database):
    async with running(database.run):
        assert await database.write(note("one")) == 1
        assert await database.write(note("two")) == 2
        assert await database.read(notes) == ["one", "two"]


async def test_what_was_written_is_there_in_the_next_incarnation(database):
    for text in ("one", "two"):
        async with running(database.run):
            await database.write(note(text))
    async with running(database.run):
        assert await database.read(notes) == ["one", "two"]


async def test_a_closed_database_is_one_file(database, path):
    async with running(database.run):
        await database.write(note("one"))
        await database.read(notes)
    assert [part.name for part in path.parent.iterdir()] == ["gateway.db"]


async def test_writers_share_commits_and_each_gets_its_own_result(database):
    results = {}

    async def write(number):
        results[number] = await database.write(lambda _: number * 2)

    async with running(database.run) as child:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(write, number)
        assert results == {number: number * 2 for number in range(200)}
        assert child.detail["writes"] == 200
        assert child.detail["groups"] < 100


async def test_a_write_that_raises_is_undone_alone(database):
    begun, go_on = threading.Event(), threading.Event()

    def hold(sql):
        begun.set()
        assert go_on.wait(10)

    def fail(sql):
        note("never")(sql)
        raise NotFoundError("nothing there")

    async def fails():
        with pytest.raises(NotFoundError, match="nothing there"):
            await database.write(fail)

    async with running(database.run):
        async with trio.open_nursery() as nursery:
            # All in one group: they queue up while the thread is held.
            nursery.start_soon(database.write, hold)
            await trio.to_thread.run_sync(begun.wait)
            for text in ("one", "two"):
                nursery.start_soon(database.write, note(text))
                nursery.start_soon(fails)
            await wait_all_tasks_blocked()
            go_on.set()
        assert sorted(await database.read(notes)) == ["one", "two"]


async def test_an_error_of_the_statement_comes_back_as_it_is(database):
    async with running(database.run):
        await database.write(note("one"))
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(note("one"))
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await database.write(lambda sql: sql.execute("DELETE FROM nowhere"))
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await database.read(lambda sql: sql.execute("SELECT * FROM nowhere"))


async def test_a_reader_cannot_write(database):
    async with running(database.run):
        with pytest.raises(UnavailableError, match="readonly"):
            await database.read(note("never"))
        assert await database.read(notes) == []


async def test_a_cancelled_write_that_has_not_begun_is_left_out(database):
    begun, go_on = threading.Event(), threading.Event()

    def hold(sql):
        begun.set()
        assert go_on.wait(10)

    async with running(database.run) as child:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, hold)
            await trio.to_thread.run_sync(begun.wait)
            with trio.CancelScope() as scope:
                scope.cancel()
                await database.write(note("never"))
            go_on.set()
        assert scope.cancelled_caught
        await database.write(note("one"))
        assert await database.read(notes) == ["one"]
        assert child.detail["waiting"] == 0


async def test_a_cancelled_write_that_has_begun_is_done_whole(database):
    begun, go_on = threading.Event(), threading.Event()

    def write(sql):
        note("first half")(sql)
        begun.set()
        assert go_on.wait(10)
        note("second half")(sql)

    async with running(database.run):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, write)
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
            go_on.set()
        await database.write(note("after"))
        assert await database.read(notes) == ["first half", "second half", "after"]


async def test_asked_to_stop_it_first_writes_what_waits(database):
    written = []

    async def write(text):
        written.append(await database.write(note(text)))

    async with trio.open_nursery() as nursery, running(database.run):
        for number in range(50):
            nursery.start_soon(write, str(number))
        await wait_all_tasks_blocked()
    assert len(written) == 50


async def test_further_writers_wait_while_the_queue_is_full(database, monkeypatch):
    monkeypatch.setattr(storage, "QUEUE", 3)
    begun, go_on = threading.Event(), threading.Event()

    def hold(sql):
        begun.set()
        assert go_on.wait(10)

    async with running(database.run) as child:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, hold)
            await trio.to_thread.run_sync(begun.wait)
            for number in range(20):
                nursery.start_soon(database.write, note(str(number)))
            await wait_all_tasks_blocked()
            assert child.detail["waiting"] == 3
            go_on.set()
        assert len(await database.read(notes)) == 20
        assert child.detail["waiting"] == 0


async def test_callers_wait_for_a_store_that_is_just_starting(database):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.write, note("early"))
        await wait_all_tasks_blocked()
        async with running(database.run):
            await database.write(note("late"))
            assert sorted(await database.read(notes)) == ["early", "late"]


async def test_a_store_that_does_not_come_is_unavailable_after_a_while(database, autojump_clock):
    for call in (lambda: database.write(note("never")), lambda: database.read(notes)):
        began = trio.current_time()
        with pytest.raises(UnavailableError, match="not available"):
            await call()
        assert trio.current_time() - began == storage.RESTART


async def test_writers_do_not_notice_a_restart_of_the_store(database):
    supervisor = Supervisor("root", [Child("store", database.run)])
    stopped = False
    written = []

    async def keep_writing(name):
        number = 0
        while not stopped:
            text = f"{name}-{number}"
            await database.write(note(text))
            written.append(text)
            number += 1

    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        async with trio.open_nursery() as writers:
            for name in "abcd":
                writers.start_soon(keep_writing, name)
            for _ in range(5):
                await supervisor.restart("store")
            stopped = True
        assert Counter(await database.read(notes)) == Counter(written)
        assert supervisor.status().children[0].incarnation == 6
        supervisor.shutdown()


@contextmanager
def files_at_most(size):
    """Have no file of this process grow beyond *size* bytes: what a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill(database, number, outcomes):
    try:
        await database.write(note(f"{number} " + "x" * 50_000))
    except GatewayError as error:
        outcomes[number] = error.kind
    else:
        outcomes[number] = "written"


async def test_a_full_disk_fails_every_writer_of_the_group_and_the_next_works(database):
    outcomes = {}
    async with running(database.run) as child:
        await database.write(note("before"))
        # The commit is what fails: until then the pages are in memory.
        with files_at_most(300_000):
            async with trio.open_nursery() as nursery:
                for number in range(40):
                    nursery.start_soon(fill, database, number, outcomes)
            assert "writing fails" in child.detail["problem"]
        assert await database.write(note("after"))
        assert "problem" not in child.detail
        texts = [text.split()[0] for text in await database.read(notes)]
    acknowledged = [str(number) for number, what in outcomes.items() if what == "written"]
    assert sorted(texts) == sorted([*acknowledged, "before", "after"])
    assert set(outcomes.values()) <= {"written", "unavailable"}
    assert "unavailable" in outcomes.values()


async def test_a_limit_of_the_database_fails_the_write_that_meets_it(database):
    def full(sql):
        sql.execute("PRAGMA max_page_count = 1")
        note("x" * 50_000)(sql)

    async with running(database.run):
        with pytest.raises(UnavailableError, match="full"):
            await database.write(full)
        await database.write(lambda sql: sql.execute("PRAGMA max_page_count = 1000000"))
        await database.write(note("after"))
        assert await database.read(notes) == ["after"]


async def test_a_damaged_file_is_set_aside_and_the_status_says_so(database, path):
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    async with running(database.run) as child:
        aside = next(path.parent.glob("gateway.db.damaged-*"))
        assert str(aside) in child.detail["problem"]
        await database.write(note("new"))


async def test_damage_found_while_running_restarts_the_store_with_a_new_file(database, path):
    text = "x" * 200_000
    async with running(database.run):
        for number in range(5):
            await database.write(note(f"{number}{text}"))
    crashed = trio.Event()
    supervisor = Supervisor(
        "root",
        [Child("store", database.run, backoff=Backoff(first=0.01))],
        on_event=lambda event: crashed.set() if event.kind == "crashed" else None,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        content = bytearray(path.read_bytes())
        for at in range(4096, len(content), 4096):
            content[at : at + 100] = b"\xff" * 100
        path.write_bytes(content)
        with pytest.raises(UnavailableError, match="malformed"):
            await database.read(notes)
        await crashed.wait()
        await database.write(note("new"))
        assert await database.read(notes) == ["new"]
        assert list(path.parent.glob("gateway.db.damaged-*"))
        supervisor.shutdown()


async def test_a_newer_file_does_not_start(path):
    newer = Database(path, (*STEPS, "CREATE TABLE future (x)"))
    async with running(newer.run):
        pass
    supervisor = Supervisor("root", [Child("store", Database(path, STEPS).run)])
    with pytest.raises(NewerError, match="version 2"):
        await supervisor.run()
    assert supervisor.status().children[0].state is State.STOPPED


async def test_a_cancelled_store_still_finishes_the_group_that_it_writes(database):
    begun, go_on = threading.Event(), threading.Event()

    def write(sql):
        begun.set()
        assert go_on.wait(10)
        note("one")(sql)

    outcomes = []

    async def try_to_write():
        outcomes.append(await database.write(write))

    async with trio.open_nursery() as nursery, running(database.run, stop_timeout=0):
        nursery.start_soon(try_to_write)
        await trio.to_thread.run_sync(begun.wait)
        go_on.set()
    assert len(outcomes) == 1
    async with running(database.run):
        assert await database.read(notes) == ["one"]
