"""A channel fails and hangs, and nobody else feels it.  Source: requirement 4.2."""

import random
import time

import pytest
import trio
from whole import client, gateway, wait_until

from gateway.channels.base import Inbound, LostError, Place, Sender
from gateway.channels.memory import MemoryChannel, Platform
from gateway.config.channels import Channels, Signal
from supervisors import Backoff

FAILURES, HANGS, CLIENTS = 100, 20, 50


def arrange(app, platforms):
    """Have *app* run an account on each of *platforms*; the bad one is noticed quickly."""
    stalls = {"good": 50.0, "bad": 0.5}
    accounts = {
        name: Signal(number="+1", strangers="allow", stall_seconds=stalls[name])
        for name in platforms
    }
    pool = app.office.pool
    pool.initial = lambda: Channels(signal=accounts)
    pool.reconnect = Backoff(first=0.02, factor=1.0, limit=0.02, jitter=0.0)
    # Accounts are made in the order of the configuration.
    waiting = iter(platforms.values())

    def platform(_):
        mine = next(waiting)

        async def find():
            await trio.lowlevel.checkpoint()
            return lambda _: MemoryChannel(mine)

        return find

    pool.platform = platform


def message(name, number):
    return Inbound(
        f"{name}-{number}", Place(name), Sender(name), f"{name} says {number}", time.time()
    )


def answered(platform):
    """Return what was answered, in order, without hints and marks."""
    return [each.text.partition("Echo: ")[2].partition("\n")[0] for each in platform.sent]


@pytest.mark.slow
async def test_a_channel_that_fails_and_hangs_harms_nobody_else(tmp_path):
    rng = random.Random(5)
    bad, good = Platform(poll_seconds=0.1), Platform()
    platforms = {"bad": bad, "good": good}
    async with gateway(tmp_path, prepare=lambda app: arrange(app, platforms)) as app:

        def status(name):
            children = app.office.pool.supervisor.status().children
            return next(each for each in children if each.path.endswith(f":{name}"))

        over = trio.Event()
        calls = 0

        async def talk(connected):
            nonlocal calls
            while not over.is_set():
                frame = await connected.call("channels.list")
                assert "result" in frame, frame
                calls += 1
                await trio.sleep(rng.uniform(0.1, 0.3))

        async def be_client():
            async with client(app) as connected:
                await talk(connected)

        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(be_client)
            kinds = ["raise"] * FAILURES + ["hang"] * HANGS
            rng.shuffle(kinds)
            for number, kind in enumerate(kinds):
                good.say(message("good", number))
                bad.say(message("bad", number))
                before = status("bad").restarts
                if kind == "raise":
                    error = rng.choice([LostError("reset"), OSError(5, "EIO"), KeyError(1)])
                    bad.faults.append(error)
                else:
                    bad.deaf = True
                bad.wake()
                await wait_until(lambda before=before: status("bad").restarts > before)
                bad.deaf = False
                await trio.sleep(rng.uniform(0, 0.02))
            for name, platform in platforms.items():
                asked = {f"{name} says {number}" for number in range(len(kinds))}
                with trio.move_on_after(60):
                    await wait_until(lambda: asked <= set(answered(platform)), 100)  # noqa: B023
                assert set(answered(platform)) == asked
            over.set()
        assert calls > CLIENTS
        assert status("good").restarts == 0
        assert status("bad").restarts >= FAILURES + HANGS
        assert sorted(answered(good)) == sorted(f"good says {n}" for n in range(len(kinds)))
        # What it may have said twice it has marked.
        plain = [each.text for each in bad.sent if "perhaps a repeat" not in each.text]
        assert len(set(plain)) == len(plain)
