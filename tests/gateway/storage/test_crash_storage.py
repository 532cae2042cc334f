"""Killed between any two lines, the store has everything that it has acknowledged."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "5"))

WRITER = """
import os, sys
from pathlib import Path
import trio
from gateway.storage.database import Database
from supervisors.testing import running

STEPS = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)

async def keep_writing(database, name):
    number = 0
    while True:
        text = f"{name}-{number}"
        def work(sql):
            # Two rows, so that half a write would show.
            sql.execute("INSERT INTO notes (text) VALUES (?)", (text,))
            sql.execute("INSERT INTO notes (text) VALUES (?)", (text + "'",))
        await database.write(work)
        os.write(1, f"{text}\\n".encode())
        number += 1

async def main(path, life):
    database = Database(Path(path), STEPS)
    async with running(database.run):
        os.write(1, b"up\\n")
        async with trio.open_nursery() as nursery:
            for name in range(20):
                nursery.start_soon(keep_writing, database, f"life{life}-task{name}")

trio.run(main, *sys.argv[1:])
"""


def live_and_die(path, life, seconds):
    """Have a process write for a while and kill it; return what it has acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "up\n"
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        # A line that was cut off has not been read by anybody.
        return [line[:-1] for line in writer.stdout if line.endswith("\n")]


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path):
    rng = random.Random(7)
    acknowledged = []
    for life in range(KILLS):
        acknowledged += live_and_die(path, life, rng.uniform(0.0, 0.3))
    connection = sqlite3.connect(path)
    written = Counter(text for (text,) in connection.execute("SELECT text FROM notes"))
    connection.close()
    assert len(acknowledged) > KILLS
    assert not [text for text in acknowledged if written[text] != 1]
    assert set(written.values()) == {1}
    assert {text for text in written if f"{text.rstrip(chr(39))}'" not in written} == set()
    assert [part.name for part in path.parent.iterdir() if "damaged" in part.name] == []
