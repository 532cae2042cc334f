"""What is in the outbox is sent once, in order, or said to be doubtful."""

import attrs
import pytest
import trio
from channel_stage import ACCOUNT, draft

from gateway.channels import outbox
from gateway.channels.account import Condition
from gateway.channels.base import (
    Abilities,
    LostError,
    MarkupError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import REPEAT
from gateway.channels.memory import MemoryChannel
from gateway.channels.pool import STOP_SECONDS
from gateway.health.snapshot import Verdict
from gateway.parts import channel_parts


@attrs.define(eq=False)
class Sender(MemoryChannel):
    """Fails only to send: its connection is another one."""

    async def run(self, link):
        link.connected("me")
        while True:
            await trio.sleep(10)
            link.alive()

    async def edit(self, place, message_id, message):
        if self.platform.faults:
            raise self.platform.faults.pop(0)
        await super().edit(place, message_id, message)


@pytest.fixture
def sending(stage):
    stage.channel = Sender
    return stage


async def entries(stage, key):
    return await stage.database.read(lambda sql: outbox.by_key(sql, key))


async def test_messages_of_one_chat_arrive_in_their_order(autojump_clock, sending):
    async with sending.running():
        await sending.post.put([draft(f"k.{number}", str(number)) for number in range(50)])
        await sending.post.wait_settled("k")
        assert sending.texts == [("ann", str(number)) for number in range(50)]


async def test_a_key_is_sent_once_however_often_it_is_put(autojump_clock, sending):
    async with sending.running():
        for _ in range(3):
            await sending.post.put([draft("k.0")])
        (entry,) = await sending.post.wait_settled("k")
        assert (entry.state, entry.message_id) == ("sent", "out-1")
        assert len(sending.platform.sent) == 1


async def test_what_waits_is_sent_when_the_account_comes_up(autojump_clock, sending):
    await sending.post.put([draft("k.0")])
    async with sending.running():
        await sending.post.wait_settled("k")
        assert sending.texts == [("ann", "hi")]


async def test_a_message_that_did_not_arrive_is_sent_again_without_a_mark(autojump_clock, sending):
    sending.platform.faults = [LostError("cannot connect"), LostError("cannot connect")]
    async with sending.running():
        await sending.post.put([draft("k.0")])
        (entry,) = await sending.post.wait_settled("k")
        assert sending.texts == [("ann", "hi")]
        assert (entry.attempts, entry.doubtful) == (3, False)


async def test_a_message_that_may_have_arrived_is_sent_again_with_a_mark(autojump_clock, sending):
    sending.platform.faults = [LostError("reset", maybe_done=True)]
    async with sending.running():
        await sending.post.put([draft("k.0")])
        (entry,) = await sending.post.wait_settled("k")
        assert sending.texts == [("ann", f"{REPEAT}\nhi")]
        assert entry.doubtful


async def test_a_platform_that_knows_the_key_needs_no_mark(autojump_clock, sending):
    sending.abilities = Abilities(length=100, idempotent=True)
    sending.platform.faults = [LostError("reset", maybe_done=True)]
    async with sending.running():
        await sending.post.put([draft("k.0")])
        (entry,) = await sending.post.wait_settled("k")
        assert sending.texts == [("ann", "hi")]
        assert not entry.doubtful


async def test_what_was_under_way_when_the_process_died_is_marked(autojump_clock, sending):
    await sending.post.put([draft("k.0")])
    (entry,) = await entries(sending, "k")
    await sending.database.write(lambda sql: outbox.begin(sql, entry.id, doubtful=False))
    sending.again()
    async with sending.running():
        await sending.post.wait_settled("k")
        assert sending.texts == [("ann", f"{REPEAT}\nhi")]


async def test_what_is_too_old_is_never_sent(autojump_clock, sending):
    await sending.post.put([draft("k.0", expires=trio.current_time() + 10)])
    await trio.sleep(10)
    async with sending.running():
        (entry,) = await sending.post.wait_settled("k")
        assert (entry.state, sending.texts) == ("expired", [])


async def test_a_chat_that_has_to_wait_delays_no_other(autojump_clock, sending):
    sending.platform.faults = [SlowDownError(30.0)]
    async with sending.running():
        began = trio.current_time()
        await sending.post.put([draft("slow.0")])
        await trio.sleep(1)
        await sending.post.put([draft("fast.0", chat="bob")])
        await sending.post.wait_settled("fast")
        assert trio.current_time() - began < 5
        await sending.post.wait_settled("slow")
        assert trio.current_time() - began >= 30
        assert sending.texts == [("bob", "hi"), ("ann", "hi")]


async def test_an_account_that_has_to_wait_sends_to_nobody(autojump_clock, sending):
    sending.platform.faults = [SlowDownError(30.0, "account")]
    async with sending.running():
        began = trio.current_time()
        await sending.post.put([draft("one.0")])
        await trio.sleep(1)
        await sending.post.put([draft("two.0", chat="bob")])
        await sending.post.wait_settled("two")
        assert trio.current_time() - began >= 30


async def test_what_the_platform_will_never_take_is_given_up(autojump_clock, sending):
    sending.platform.faults = [UndeliverableError("blocked by the user")]
    async with sending.running():
        await sending.post.put([draft("one.0"), draft("two.0", "next")])
        (one,) = await sending.post.wait_settled("one")
        assert (one.state, one.error) == ("failed", "blocked by the user")
        await sending.post.wait_settled("two")
        assert sending.texts == [("ann", "next")]


async def test_formatting_that_is_refused_is_left_away(autojump_clock, sending):
    sending.platform.faults = [MarkupError("can't parse entities")]
    async with sending.running():
        await sending.post.put([draft("k.0", "*hi")])
        await sending.post.wait_settled("k")
        (sent,) = sending.platform.sent
        assert (sent.text, sent.markup) == ("*hi", False)


async def test_an_answer_replaces_what_showed_it_growing(autojump_clock, sending):
    sending.abilities = Abilities(length=100, edits=True)
    async with sending.running():
        await sending.post.put([draft("k.0", "all of it", edits="out-0")])
        (entry,) = await sending.post.wait_settled("k")
        assert [each[1:] for each in sending.platform.edited] == [("out-0", "all of it")]
        assert (entry.message_id, sending.texts) == ("out-0", [])


async def test_an_answer_is_sent_anew_if_what_it_replaces_is_gone(autojump_clock, sending):
    sending.abilities = Abilities(length=100, edits=True)
    sending.platform.faults = [UndeliverableError("message to edit not found")]
    async with sending.running():
        await sending.post.put([draft("k.0", "all of it", edits="out-0")])
        await sending.post.wait_settled("k")
        assert sending.texts == [("ann", "all of it")]


async def test_a_platform_that_gives_no_answer_holds_up_only_its_chat(autojump_clock, sending):
    class Half(Sender):
        async def send(self, message):
            if message.place.chat == "ann":
                await trio.sleep_forever()
            return await super().send(message)

    sending.channel = Half
    async with sending.running():
        await sending.post.put([draft("one.0"), draft("two.0", chat="bob")])
        await sending.post.wait_settled("two")
        await trio.sleep(25)
        (one,) = await entries(sending, "one")
        assert one.state == "sending"
        assert one.attempts >= 2


async def test_a_stop_lets_what_waits_be_sent(autojump_clock, sending):
    async with sending.running():
        await trio.sleep(1)
        await sending.post.put([draft(f"k.{number}") for number in range(5)])
    assert len(sending.platform.sent) == 5


async def test_more_than_can_wait_is_refused(autojump_clock, sending):
    from gateway.channels.post import WAITING
    from gateway.errors import GatewayError

    await sending.post.put([draft(f"k.{number}") for number in range(WAITING)])
    with pytest.raises(GatewayError, match="wait") as caught:
        await sending.post.put([draft("one-more")])
    assert caught.value.kind == "overloaded"


async def test_an_account_that_hears_and_cannot_send_is_reported(autojump_clock, sending):
    async with sending.running():
        await trio.sleep(1)
        sending.account.channel.send = silence
        await sending.post.put([draft("a.0"), draft("b.0", chat="bob")])
        await trio.sleep(5)
        assert sending.account.complaint is None
        await trio.sleep(55)
        assert sending.account.condition is Condition.CONNECTED
        (part,) = channel_parts([sending.account], sending.pool.supervisor.status())
        assert part.status is Verdict.DEGRADED
        assert part.last_error == "nothing can be sent: no answer to a message for 10 s"
        del sending.account.channel.send
        await trio.sleep(60)
        assert sending.account.complaint is None


async def silence(_):
    await trio.sleep_forever()


async def test_a_stop_is_in_time_also_if_nothing_can_be_sent(autojump_clock, sending, caplog):
    async with sending.running():
        await trio.sleep(1)
        sending.account.channel.send = silence
        await sending.post.put([draft(f"k{number}.0", chat=str(number)) for number in range(20)])
        for seconds in (1, 3):
            await trio.sleep(seconds)
            before = trio.current_time()
            await sending.pool.stop(ACCOUNT)
            assert trio.current_time() - before < STOP_SECONDS
            await sending.pool.supervisor.restart(ACCOUNT)
            sending.account.channel.send = silence
    assert "stuck" not in caplog.text
