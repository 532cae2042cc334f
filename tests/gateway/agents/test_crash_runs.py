"""Killed between any two lines, and asked again: every question once, every answer once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import trio

from gateway.agents.catalog import Catalog
from gateway.agents.lanes import Lanes
from gateway.agents.run import Ask
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.bus import Bus
from gateway.config.model import Config
from gateway.storage.database import Database
from supervisors import Child, Supervisor

KILLS = int(os.environ.get("GATEWAY_TEST_KILLS", "5"))
TALKERS = 8

TALKER = """
import os, json, sys
from pathlib import Path
import structlog
import trio
sys.path.insert(0, sys.argv[3])
from test_crash_runs import ask, make

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def talk(runs, name, session, start):
    for number in range(start, 10**9):
        text = f"{name}-{number}"
        os.write(1, json.dumps(["asked", text, session]).encode() + b"\\n")
        run = await runs.submit(ask(text, session))
        entry = await run.wait()
        assert entry.state == "done", entry
        session = session or entry.session_id
        os.write(1, json.dumps(["answered", text, entry.session_id, entry.id]).encode() + b"\\n")

async def main(path, todo, _):
    root, runs, _ = make(Path(path))
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        os.write(1, b"up\\n")
        for name, (session, start) in json.loads(todo).items():
            nursery.start_soon(talk, runs, name, session, start)

trio.run(main, *sys.argv[1:])
"""


def make(path):
    """Return the tree, the runs and the sessions on a database."""
    database, catalog, lanes = Database(path), Catalog.of(Config()), Lanes()
    runs = Runs(database, Bus(), catalog, lanes)
    root = Supervisor("root", [Child("store", database.run), runs.supervisor.as_child()])
    return root, runs, Sessions(database, catalog, lanes)


def ask(text, session):
    return Ask(text, session_id=session, principal="me", word=text)


def live_and_die(path, todo, seconds):
    """Have a process answer questions for a while and kill it; return what it has said."""
    command = [
        sys.executable,
        "-c",
        TALKER,
        str(path),
        json.dumps(todo),
        str(Path(__file__).parent),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as talker:
        assert talker.stdout.readline() == "up\n"
        time.sleep(seconds)
        talker.send_signal(signal.SIGKILL)
        return [json.loads(line) for line in talker.stdout if line.endswith("\n")]


@pytest.mark.slow
async def test_a_kill_at_any_moment_and_a_retry_neither_lose_nor_double(tmp_path):
    rng = random.Random(11)
    path = tmp_path / "gateway.db"
    todo = {f"talker{n}": (None, 0) for n in range(TALKERS)}
    answered = {}
    for _ in range(KILLS):
        for kind, text, session, *more in live_and_die(path, todo, rng.uniform(0.0, 0.4)):
            name, _, number = text.partition("-")
            if kind == "answered":
                answered[text] = (session, *more)
                todo[name] = (session, int(number) + 1)
            # What was asked and not answered is what the next life begins with: the retry.
    root, runs, sessions = make(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(root.run)
        for name, (session, start) in todo.items():
            entry = await (await runs.submit(ask(f"{name}-{start}", session))).wait()
            answered[f"{name}-{start}"] = (entry.session_id, entry.id)
        assert len(await sessions.list(1000)) == TALKERS
        for session in {session for session, _ in answered.values()}:
            messages, before = [], None
            while True:
                page = await sessions.history(session, 1000, before)
                messages[:0] = page.messages
                if (before := page.older) is None:
                    break
            check(messages, [text for text, (where, _) in answered.items() if where == session])
        root.shutdown()


def check(messages, answered):
    """Every question once and in order, with its one answer behind it."""
    questions = [message.content for message in messages[::2]]
    assert [message.role for message in messages] == ["user", "assistant"] * len(questions)
    assert questions == sorted(questions, key=lambda text: int(text.partition("-")[2]))
    assert Counter(questions) == Counter(answered)
    for question, answer in zip(messages[::2], messages[1::2], strict=True):
        assert question.run_id == answer.run_id
        assert question.content in answer.content.split()
        assert (question.state, answer.state) == ("complete", "complete")
