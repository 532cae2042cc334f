"""The watchdog names what blocks the loop.  In real time, because a blocked loop is real."""

import logging
import re
import signal
import subprocess
import sys
import threading

import pytest
import trio

from supervisors import Child, Supervisor
from supervisors.testing import running
from supervisors.watchdog import Block, watch_event_loop

LIMIT = 0.1


def block_the_loop(until):
    """Block for as long as it takes to be noticed, and at most 30 s."""
    until.wait(30)


def is_ours(block):
    """Tell whether it is the block that the test makes; a busy machine makes others."""
    return block.function == "block_the_loop"


async def test_the_function_that_blocks_is_named_while_it_blocks():
    noticed = threading.Event()
    witnessed, told, over = [], [], trio.Event()

    def witness(block):
        witnessed.append((block, threading.current_thread()))
        if is_ours(block):
            noticed.set()

    def tell(block):
        told.append(block)
        if is_ours(block):
            over.set()

    async with running(watch_event_loop, LIMIT, tell, witness) as subject:
        assert subject.detail is not None
        block_the_loop(noticed)
        await over.wait()
        detail = subject.detail
    [(block, thread)] = [each for each in witnessed if is_ours(each[0])]
    assert thread is not threading.main_thread()
    assert block.file == __file__
    assert block.seconds >= LIMIT
    assert any("test_the_function_that_blocks" in line for line in block.stack)
    assert not any("unrolled_run" in line for line in block.stack)
    [afterwards] = filter(is_ours, told)
    assert afterwards.seconds >= block.seconds
    assert detail["blocks"] == len(told)
    assert detail["last"]["file"]
    assert detail["longest"]["seconds"] == max(each.seconds for each in told)


class Notice(logging.Handler):
    """Sets an event when the function of the test is named."""

    def __init__(self, event):
        super().__init__()
        self.event = event

    def emit(self, record):
        if is_ours(record.args[0]):
            self.event.set()


async def test_without_callbacks_it_is_logged_from_the_thread(caplog):
    noticed = threading.Event()
    notice = Notice(noticed)
    logger = logging.getLogger("supervisors.watchdog")
    logger.addHandler(notice)
    try:
        async with running(watch_event_loop, LIMIT):
            block_the_loop(noticed)
    finally:
        logger.removeHandler(notice)
    [record] = [each for each in caplog.records if each.args and is_ours(each.args[0])]
    line = r"blocked for \d+\.\d s by block_the_loop \(.*test_watchdog.py:\d+\)"
    assert re.search(line, record.message)
    assert record.levelname == "ERROR"


async def test_an_idle_loop_is_no_blocked_loop():
    blocks = []
    async with running(watch_event_loop, 5.0, blocks.append) as subject:
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert subject.detail["blocks"] == 0
    assert blocks == []


async def test_it_ends_at_once_when_it_is_asked_or_cancelled():
    before = threading.active_count()
    async with running(watch_event_loop, 3600.0, stop_timeout=30):
        pass
    with trio.CancelScope() as scope:
        async with running(watch_event_loop, 3600.0):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert threading.active_count() <= before + 1  # trio keeps one idle worker for a while


async def test_an_error_of_an_observer_ends_the_child_and_its_supervisor_restarts_it():
    noticed = threading.Event()
    ended = trio.Event()

    def observe(_block):
        raise ZeroDivisionError

    def watch(event):
        if event.kind == "crashed" and isinstance(event.error, ZeroDivisionError):
            ended.set()

    child = Child(
        "watchdog",
        watch_event_loop,
        (LIMIT, observe, lambda block: is_ours(block) and noticed.set()),
    )
    supervisor = Supervisor("top", [child], on_event=watch)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        block_the_loop(noticed)
        with trio.fail_after(30):
            await ended.wait()
        supervisor.shutdown()


@pytest.mark.parametrize("limit", [0, -1, None, float("nan"), "1"])
async def test_a_limit_that_makes_no_sense_is_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        async with running(watch_event_loop, limit):
            pass


def test_a_block_reads_as_a_sentence():
    block = Block("Plugin.start", "/x/plugin.py", 7, 1.25, ())
    assert (
        str(block) == "the event loop has been blocked for 1.2 s by Plugin.start (/x/plugin.py:7)"
    )


SUSPENDED = """
import sys, trio
from supervisors.testing import running
from supervisors.watchdog import watch_event_loop

async def main():
    blocks = []
    async with running(watch_event_loop, 0.5, None, blocks.append):
        print("up", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
    print(len(blocks))

trio.run(main)
"""


def test_a_suspended_process_is_not_taken_for_a_blocked_loop():
    with subprocess.Popen(
        [sys.executable, "-c", SUSPENDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            threading.Event().wait(1.5)
            process.send_signal(signal.SIGCONT)
            threading.Event().wait(0.2)
        assert process.communicate("\n", timeout=30)[0] == "0\n"
