"""The fake Discord is one that somebody else's client understands."""

import json
import sys
from pathlib import Path

import pytest
import trio
from fakes.discord import CHANNEL, DM, TOKEN, FakeDiscord, message

CLIENT = Path(__file__).parent / "fakes" / "discord_client.py"


@pytest.mark.slow  # importing it takes seconds
async def test_discord_py_logs_in_to_the_fake_and_answers_what_it_says():
    fake = FakeDiscord(interval=1000)

    async def say():
        await fake.until(lambda: fake.sessions)
        fake.say(message(1, "in private"), message(2, "in a server", CHANNEL))

    with trio.fail_after(30):
        async with fake.serve() as api, trio.open_nursery() as nursery:
            nursery.start_soon(say)
            # -P: the fake beside it has the name of the library.
            command = [sys.executable, "-P", str(CLIENT), api, fake.gateway_url, TOKEN, "2"]
            done = await trio.run_process(command, capture_stdout=True, check=False)
            nursery.cancel_scope.cancel()
    assert done.returncode == 0
    assert sorted(text for _, _, text in json.loads(done.stdout)) == ["in a server", "in private"]
    texts = [each["content"] for place in (DM, CHANNEL) for each in fake.messages[place]]
    assert texts == ["echo in private!", "echo in a server!"]
    assert fake.logins == ["identify"]
    assert any(frame["op"] == 1 for _, frame in fake.frames)
