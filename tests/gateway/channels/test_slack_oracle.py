"""The fake Slack is one that somebody else's client understands."""

import json
import sys
from pathlib import Path

import pytest
import trio
from fakes.slack import APP, BOT, CHANNEL, FakeSlack, event

CLIENT = Path(__file__).parent / "fakes" / "slack_client.py"


@pytest.mark.slow  # a process that imports for seconds
async def test_slack_sdk_connects_to_the_fake_and_answers_what_it_says():
    fake = FakeSlack()

    async def say():
        await fake.until(lambda: fake.opened)
        await fake.say(event(1, "in private"))
        await fake.say(event(2, "in a channel", CHANNEL))
        await fake.until(lambda: len(fake.acks) == 2)
        await fake.send({"type": "disconnect", "reason": "refresh_requested"})
        await fake.until(lambda: fake.opened == 2)
        await fake.say(event(3, "after a refresh"))

    with trio.fail_after(60):
        async with fake.serve() as api, trio.open_nursery() as nursery:
            nursery.start_soon(say)
            # -P: the fakes beside it are not what it is to import.
            command = [sys.executable, "-P", str(CLIENT), api, BOT, APP, "3"]
            done = await trio.run_process(command, capture_stdout=True, check=False)
            nursery.cancel_scope.cancel()
    assert done.returncode == 0
    assert sorted(json.loads(done.stdout)) == ["after a refresh", "in a channel", "in private"]
    assert sorted(fake.acks) == ["e-1", "e-2", "e-3"]
    assert len(fake.messages) == 3
