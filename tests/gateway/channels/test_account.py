"""An account stays connected, says honestly how it is, and takes each message once."""

import attrs
import pytest
import trio
import trio.lowlevel
from channel_stage import ACCOUNT, message

from gateway.channels import inbox
from gateway.channels.account import CRASHED, Condition
from gateway.channels.base import LostError, RefusedForGoodError, StalledError
from gateway.channels.memory import MemoryChannel
from gateway.config.channels import Signal, Telegram
from gateway.config.setting import Secret
from gateway.errors import UnavailableError
from supervisors import State


async def test_a_message_is_on_the_disk_before_it_is_acknowledged(autojump_clock, stage):
    async with stage.running():
        stage.platform.say(message(1))
        await trio.sleep(1)
        assert stage.platform.waiting == []
        (entry,) = await stage.database.read(lambda sql: inbox.open_entries(sql, 0, 10))
        assert (entry.account, entry.message) == (ACCOUNT, message(1))
        assert [each.id for each in stage.taken] == [entry.id]


async def test_a_message_that_is_given_out_again_is_taken_once(autojump_clock, stage):
    async with stage.running():
        stage.platform.say(message(1))
        await trio.sleep(1)
        stage.platform.say(message(1), message(2))
        await trio.sleep(1)
        assert [each.message.id for each in stage.taken] == ["m-1", "m-2"]


async def test_what_could_not_be_stored_is_not_acknowledged(autojump_clock, stage):
    async with stage.running():
        await trio.sleep(1)
        stage.database.connection.execute("DROP TABLE cursors")
        stage.database.connection.execute("ALTER TABLE inbox RENAME TO gone")
        stage.platform.say(message(1))
        await trio.sleep(1)
        assert stage.platform.waiting == [message(1)]
        stage.database.connection.execute("ALTER TABLE gone RENAME TO inbox")
        stage.database.connection.execute("CREATE TABLE cursors (account TEXT, cursor TEXT)")
        await trio.sleep(10)
        assert stage.platform.waiting == []
        assert len(stage.taken) == 1


async def test_a_lost_connection_is_made_anew_with_growing_waits(autojump_clock, stage):
    stage.platform.faults = [LostError("reset") for _ in range(4)]
    async with stage.running():
        # 1, 2, 4 and 8 seconds, and up to half of that as jitter.
        await trio.sleep(14)
        assert stage.account.condition is Condition.RETRYING
        await trio.sleep(9)
        assert stage.account.condition is Condition.CONNECTED
        assert stage.status.restarts == 4
    assert stage.conditions()[-1] == "stopped"


async def test_a_platform_that_falls_silent_is_noticed_within_a_minute(autojump_clock, stage):
    async with stage.running():
        await trio.sleep(100)
        assert stage.account.condition is Condition.CONNECTED
        stage.platform.deaf = True
        for _ in range(10):
            await trio.sleep(60)
            assert stage.account.condition is Condition.DEAF
        assert "no heartbeat" in stage.status.error
        assert stage.status.restarts > 1
        stage.platform.deaf = False
        await trio.sleep(240)
        assert stage.account.condition is Condition.CONNECTED


@attrs.define(eq=False)
class DeafAtOnce(MemoryChannel):
    """Notices by itself that nothing comes."""

    async def run(self, link):
        if self.platform.deaf:
            raise StalledError("no answer within 10 s")
        await super().run(link)


async def test_an_account_whose_attempts_find_silence_stays_deaf(autojump_clock, stage):
    stage.channel, stage.platform.deaf = DeafAtOnce, True
    async with stage.running():
        await trio.sleep(30)
        assert stage.account.condition is Condition.DEAF
        assert stage.account.error == "no answer within 10 s"


async def test_a_refusal_for_good_is_not_tried_again_until_somebody_asks(autojump_clock, stage):
    stage.platform.faults = [RefusedForGoodError("the token is not valid: get another")]
    async with stage.running():
        await trio.sleep(1000)
        assert stage.account.condition is Condition.FAILED
        assert stage.account.error == "the token is not valid: get another"
        assert (stage.status.state, stage.status.restarts) == (State.FINISHED, 0)
        await stage.pool.supervisor.restart(ACCOUNT)
        await trio.sleep(1)
        assert stage.account.condition is Condition.CONNECTED
        assert stage.account.error is None


async def test_nothing_is_taken_while_the_account_stops(autojump_clock, stage):
    stage.busy = trio.Event()
    async with stage.running():
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.pool.supervisor.stop, ACCOUNT)
            await trio.sleep(1)
            stage.platform.say(message(1))
            await trio.sleep(1)
            assert stage.platform.waiting == [message(1)]
            stage.busy.set()
        assert stage.platform.waiting == [message(1)]
        assert stage.account.condition is Condition.STOPPED


async def test_a_stop_does_not_wait_for_ever_for_an_answer(autojump_clock, stage):
    stage.busy = trio.Event()
    async with stage.running():
        await trio.sleep(1)
        before = trio.current_time()
        await stage.pool.supervisor.stop(ACCOUNT)
        assert trio.current_time() - before < 9


async def test_a_bug_of_a_channel_restarts_it_and_no_other(autojump_clock, stage):
    class Buggy(MemoryChannel):
        async def run(self, link):
            await super().run(link)

    stage.channel = Buggy
    async with stage.running():
        await trio.sleep(1)
        stage.platform.faults = [ZeroDivisionError("bug")]
        stage.platform.say(message(1))
        await trio.sleep(30)
        assert stage.status.restarts == 1
        assert stage.account.condition is Condition.CONNECTED
        assert [each.message.id for each in stage.taken] == ["m-1"]


async def test_an_account_that_crashes_again_and_again_does_not_seem_stopped(
    autojump_clock, stage, caplog
):
    class Buggy(MemoryChannel):
        async def run(self, link):
            link.connected("me")
            await trio.sleep(5)
            raise ZeroDivisionError("the bug")

    stage.channel = Buggy
    async with stage.running():
        seen = set()
        for _ in range(60):
            await trio.sleep(1)
            seen.add((str(stage.account.condition), stage.account.error))
        assert seen == {("connected", None), ("retrying", CRASHED)}
        # In the wait before the next attempt, of some ten seconds by now.
        await trio.sleep_until(stage.account.last_alive + 6)
        assert stage.account.condition is Condition.RETRYING
        await stage.pool.stop(ACCOUNT)
        assert stage.account.condition is Condition.STOPPED
        assert stage.conditions()[-1] == "stopped"


async def test_a_database_that_is_away_is_the_reason_that_is_given(autojump_clock, stage):
    class Away:
        async def read(self, work):
            raise UnavailableError("the disk is full")

    stage.database = Away()
    stage.again()
    async with stage.running():
        await trio.sleep(3)
        assert stage.account.condition is Condition.RETRYING
        assert stage.account.error == "the disk is full"


async def test_what_goes_on_behind_the_end_of_a_connection_revives_nothing(autojump_clock, stage):
    links = []

    class Posted(MemoryChannel):
        async def run(self, link):
            links.append(link)
            await super().run(link)

    stage.channel = Posted
    async with stage.running():
        await trio.sleep(1)
        stage.platform.faults = [LostError("reset")] * 9
        stage.platform.say(message(2))
        await trio.sleep(5)
        assert stage.account.condition is Condition.RETRYING
        # As a request does that was let in while it was up.
        links[0].connected("me")
        links[0].alive()
        with trio.move_on_after(10) as waiting:
            await links[0].accept(message(1), cursor="x")
        assert waiting.cancelled_caught
        assert stage.account.condition is Condition.RETRYING
        with trio.move_on_after(1):
            await stage.account.wait_connected()
            raise AssertionError("it is not connected")


@attrs.frozen(kw_only=True)
class Somebody(Signal):
    """An account whose messages are only his."""

    whose: str = "a"


async def test_another_bot_under_the_same_name_begins_anew(autojump_clock, stage):
    links = []

    class Counting(MemoryChannel):
        async def run(self, link):
            links.append(link.cursor)
            link.connected("me")
            await link.accept(message(1), cursor=f"of {self.platform}")
            await trio.sleep_forever()

    stage.channel = Counting
    for bot, cursor, taken in (("a", None, 1), ("b", None, 2), ("b", "of b", 2), ("a", None, 2)):
        stage.platform, stage.settings = bot, Somebody(number="+1", whose=bot)
        stage.again()
        async with stage.running():
            await trio.sleep(1)
            assert (links[-1], len(stage.taken)) == (cursor, taken)


def test_a_telegram_bot_is_known_by_its_number_and_not_by_its_secret():
    bot = Telegram(token=Secret("123456:AAsecret"))
    assert bot.whose == attrs.evolve(bot, token=Secret("123456:BBother")).whose == "123456"
    assert attrs.evolve(bot, token=Secret("AAsecret")).whose == ""


@pytest.mark.parametrize("seconds", [3, 300])
async def test_a_quiet_platform_that_answers_polls_is_connected(autojump_clock, stage, seconds):
    async with stage.running():
        await trio.sleep(seconds)
        assert stage.account.condition is Condition.CONNECTED
        assert stage.status.restarts == 0
