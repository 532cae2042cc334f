"""A message from a channel is answered there, once, by the right agent, in its session."""

import attrs
import pytest
import trio
from agent_stage import Told
from channel_stage import ACCOUNT, message

from gateway.agents.providers import Answer
from gateway.channels.base import Abilities, Attachment, LostError, Place, Sender
from gateway.channels.formatting import REPEAT
from gateway.config.bindings import Binding
from gateway.conversation.answering import NOTHING_SAID
from gateway.errors import UnavailableError
from gateway.storage.media import ID


async def test_a_message_is_answered_in_its_chat(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "good day"))
        assert stage.texts == [("ann", "GOOD DAY")]
        assert await stage.states() == {"m-1": "answered"}


async def test_a_message_that_comes_twice_is_answered_once(autojump_clock, stage):
    async with stage.running():
        for _ in range(3):
            await stage.ask(message(1))
        assert len(stage.texts) == 1


async def test_a_chat_goes_on_in_one_session_and_another_has_its_own(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "one"))
        await stage.ask(message(2, "two"))
        await stage.ask(message(3, "three", place=Place("bob"), sender=Sender("bob")))
        assert len(await stage.sessions()) == 2
        said = [each.content for each in stage.told.turns[1].messages]
        assert said == ["one", "ONE", "two"]


async def test_messages_of_a_chat_are_answered_in_their_order(autojump_clock, stage):
    stage.told.delay = 1.0
    async with stage.running():
        await stage.ask(*[message(number, f"n{number}") for number in range(20)], seconds=60)
        assert [text for _, text in stage.texts] == [f"N{number}" for number in range(20)]


async def test_a_slow_answer_delays_no_other_chat(autojump_clock, stage):
    async with stage.running():
        stage.told.delay = 500.0
        await stage.ask(message(1, "slow"))
        stage.told.delay = 0.0
        await stage.ask(message(2, "quick", place=Place("bob"), sender=Sender("bob")))
        assert stage.texts == [("bob", "QUICK")]
        await trio.sleep(600)
        assert ("ann", "SLOW") in stage.texts


async def test_a_binding_decides_which_agent_answers(autojump_clock, stage):
    stage.bindings["b"] = Binding("other", channel="signal", account="main", sender="bob")
    async with stage.running():
        await stage.ask(message(1, place=Place("bob"), sender=Sender("bob")), message(2))
        assert {turn.model for turn in stage.told.turns} == {"m", "n"}
        rows = stage.database.connection.execute("SELECT chat, agent_id FROM chats").fetchall()
        assert sorted(rows) == [("ann", "main"), ("bob", "other")]


async def test_another_agent_begins_another_session(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1))
        stage.bindings["b"] = Binding("other", channel="signal")
        await stage.ask(message(2))
        assert len(await stage.sessions()) == 2


async def test_a_long_answer_comes_in_parts_and_in_order(autojump_clock, stage):
    text = " ".join(f"word{number}" for number in range(60))
    async with stage.running():
        await stage.ask(message(1, text))
        assert len(stage.texts) > 3
        assert all(len(part) <= 100 for _, part in stage.texts)
        assert " ".join(part for _, part in stage.texts) == text.upper()


async def test_a_failed_run_is_said_and_the_next_is_answered(autojump_clock, stage):
    stage.told.errors = [UnavailableError("provider 'told' is in trouble")]
    async with stage.running():
        await stage.ask(message(1))
        await stage.ask(message(2, "next"))
        assert stage.texts == [
            ("ann", "I could not answer: provider 'told' is in trouble"),
            ("ann", "NEXT"),
        ]
        assert await stage.states() == {"m-1": "failed", "m-2": "answered"}


async def test_a_message_too_long_for_an_agent_is_answered_with_that(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "x" * 200_000))
        ((_, text),) = stage.texts
        assert text.startswith("I could not answer: message: 200000 bytes")


async def test_an_agent_sees_what_is_attached_and_who_speaks_in_a_group(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, owners=("ann",))
    async with stage.running():
        file = Attachment("image", "ref", "cat\n.png", "image/png", 12)
        await stage.ask(
            message(1, "look", direct=False, mentioned=True, attachments=(file,)),
            message(2, "", attachments=(file,), place=Place("bob")),
        )
        asked = {ID.sub("ID", turn.messages[-1].content) for turn in stage.told.turns}
        assert asked == {
            "[Ann] look\n[attached image: cat .png, 12 bytes, ID]",
            "[attached image: cat .png, 12 bytes, ID]",
        }


async def test_nothing_at_all_is_not_answered(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, " \n\x00"))
        assert stage.texts == []
        assert await stage.states() == {"m-1": "ignored"}


async def test_in_a_group_an_answer_refers_to_its_message(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, owners=("ann",))
    async with stage.running():
        await stage.ask(message(1, direct=False, mentioned=True))
        assert [each.reply_to for each in stage.platform.sent] == ["m-1"]


# -- over the end of a process ----------------------------------------------------------


async def test_what_was_taken_before_a_crash_is_answered_after_it(autojump_clock, stage):
    stage.told.delay = 100.0
    with trio.move_on_after(5):
        async with stage.running():
            stage.platform.say(message(1, "hello"))
            await trio.sleep_forever()
    assert stage.texts == []
    stage.told.delay = 0.0
    stage.again()
    async with stage.running():
        await trio.sleep(5)
        assert stage.texts == [("ann", "HELLO")]
        assert len(await stage.sessions()) == 1


async def test_an_orderly_stop_leaves_what_takes_long_for_the_next_start(autojump_clock, stage):
    async with stage.running():
        stage.told.delay = 1000.0
        await stage.ask(message(1, "hello"), message(2, "more"))
    assert stage.texts == []
    stage.told.delay = 0.0
    stage.again()
    async with stage.running():
        await trio.sleep(5)
        assert stage.texts == [("ann", "HELLO"), ("ann", "MORE")]


async def test_a_stop_waits_for_an_answer_that_is_nearly_there(autojump_clock, stage):
    stage.told.delay = 2.0
    async with stage.running():
        await stage.ask(message(1, "hello"), seconds=1.0)
    assert stage.texts == [("ann", "HELLO")]


async def test_what_is_too_old_is_not_answered_but_reported(autojump_clock, stage):
    stage.told.delay = 5000.0
    with trio.move_on_after(5):
        async with stage.running():
            stage.platform.say(message(1))
            await trio.sleep_forever()
    await trio.sleep(900)
    stage.told.delay = 0.0
    stage.events.clear()
    stage.again()
    async with stage.running():
        await trio.sleep(5)
        assert stage.texts == []
        assert await stage.states() == {"m-1": "expired"}
        assert [data["state"] for name, data in stage.events if name == "channel.message"] == [
            "expired"
        ]


async def test_an_answer_that_was_on_its_way_is_sent_again_with_a_mark(autojump_clock, stage):
    stage.platform.faults = []
    async with stage.running():
        await stage.ask(message(1))
    stage.database.connection.execute("UPDATE outbox SET state = 'sending'")
    stage.again()
    async with stage.running():
        await trio.sleep(5)
        assert stage.texts == [("ann", "HELLO"), ("ann", f"{REPEAT}\nHELLO")]


async def test_a_message_that_always_fails_is_given_up_and_said(autojump_clock, stage):
    async with stage.running():
        await trio.sleep(1)
        stage.told.errors = [ZeroDivisionError("a bug")] * 10
        await stage.ask(message(1), seconds=120)
        ((_, text),) = stage.texts
        assert text.startswith("I could not answer: internal error")


async def test_a_database_that_is_away_for_a_while_loses_nothing(autojump_clock, stage):
    class Away:
        full = False

        def __init__(self, inner):
            self.inner, self.connection = inner, inner.connection

        async def read(self, work):
            if self.full:
                raise UnavailableError("away")
            return await self.inner.read(work)

        async def write(self, work):
            if self.full:
                raise UnavailableError("away")
            return await self.inner.write(work)

    stage.database = Away(stage.database)
    stage.again()
    stage.told.delay = 3.0
    async with stage.running():
        await stage.ask(message(1, "one"), seconds=1)
        stage.database.full = True
        await trio.sleep(60)
        stage.database.full = False
        await stage.ask(message(2, "two"), seconds=200)
        assert sorted(text for _, text in stage.texts) == ["ONE", "TWO"]


# -- while it is made -------------------------------------------------------------------


async def test_typing_is_shown_while_an_answer_is_made_and_then_no_more(autojump_clock, stage):
    stage.abilities = Abilities(length=100, typing_seconds=5.0)
    stage.told.delay = 20.0
    async with stage.running():
        await stage.ask(message(1), seconds=19)
        assert len(stage.platform.typing) == 5
        assert all(on for _, on in stage.platform.typing)
        await trio.sleep(60)
        assert [on for _, on in stage.platform.typing].count(False) == 1
        assert stage.platform.typing[-1][1] is False


async def test_typing_that_cannot_be_shown_harms_no_answer(autojump_clock, stage):
    class Mute(stage.channel):
        async def typing(self, place, *, on):
            raise LostError("reset")

    stage.abilities = Abilities(length=100, typing_seconds=5.0)
    stage.told.delay = 3.0
    stage.channel = Mute
    async with stage.running():
        await stage.ask(message(1))
        assert stage.texts == [("ann", "HELLO")]


async def test_a_message_gets_a_reaction_when_it_begins_to_be_answered(autojump_clock, stage):
    stage.abilities = Abilities(length=100, reactions=True)
    stage.settings = attrs.evolve(stage.settings, reaction="👀")
    stage.told.delay = 3.0
    async with stage.running():
        await stage.ask(message(1), message(2, "/status"))
        assert stage.platform.reactions == [(Place("ann"), "m-1", "👀")]


async def test_an_answer_grows_in_one_message_that_is_edited(autojump_clock, stage):
    stage.abilities = Abilities(length=100, edits=True)
    stage.told.delay = 2.3
    async with stage.running():
        await stage.ask(message(1, "a b c d"), seconds=60)
        assert [text for _, text in stage.texts] == ["A ..."]
        assert [each[2] for each in stage.platform.edited] == [
            "A B ...",
            "A B C ...",
            "A B C D",
        ]
        rows = stage.database.connection.execute("SELECT state, message_id FROM outbox")
        assert rows.fetchall() == [("sent", "out-1")]


async def test_a_short_answer_is_sent_without_a_preview(autojump_clock, stage):
    stage.abilities = Abilities(length=100, edits=True)
    async with stage.running():
        await stage.ask(message(1, "a b c d"))
        assert stage.texts == [("ann", "A B C D")]
        assert stage.platform.edited == []


async def test_after_a_crash_the_answer_replaces_what_was_shown_of_it(autojump_clock, stage):
    stage.abilities = Abilities(length=100, edits=True)
    stage.told.delay = 2.0
    with trio.move_on_after(5):
        async with stage.running():
            stage.platform.say(message(1, "a b c d"))
            await trio.sleep_forever()
    assert [text for _, text in stage.texts] == ["A ..."]
    stage.again()
    stage.told.delay = 0.0
    async with stage.running():
        await trio.sleep(5)
        assert [text for _, text in stage.texts] == ["A ..."]
        assert stage.platform.edited[-1][1:] == ("out-1", "A B C D")


async def test_a_preview_of_which_nobody_knows_whether_it_is_there_is_the_only_one(
    autojump_clock, stage
):
    class Slow(stage.channel):
        async def send(self, message):
            message_id = await super().send(message)
            if message.key.endswith(".p"):
                await trio.sleep_forever()
            return message_id

    stage.channel = Slow
    stage.abilities = Abilities(length=100, edits=True)
    stage.told.delay = 15.0
    async with stage.running():
        await stage.ask(message(1, "a b c d e"), seconds=200)
        assert [text for _, text in stage.texts] == ["A ...", "A B C D E"]


@pytest.mark.parametrize("broken", ["typing", "fetch"])
async def test_a_bug_in_what_an_answer_can_do_without_costs_no_answer(
    autojump_clock, stage, broken
):
    class Buggy(stage.channel):
        async def typing(self, place, *, on):
            assert broken != "typing"

        async def fetch(self, attachment, limit):
            assert broken != "fetch"
            return await super().fetch(attachment, limit)

    stage.channel = Buggy
    stage.abilities = Abilities(length=200, typing_seconds=5.0)
    async with stage.running():
        await stage.ask(message(1, attachments=(Attachment("image", "ref"),)), seconds=120)
        ((_, text),) = stage.texts
        assert text.startswith("HELLO")
        assert ("COULD NOT BE FETCHED" in text) == (broken == "fetch")


async def test_another_text_under_the_same_key_is_not_sent(autojump_clock, stage):
    async with stage.running():
        await trio.sleep(1)
        for text in ("one", "two " * 100, "three"):
            await stage.office.send(ACCOUNT, "ann", text, "key")
        await trio.sleep(5)
        assert stage.texts == [("ann", "one")]


async def test_a_run_that_is_lost_has_its_message_wait(autojump_clock, stage, caplog):
    stage.told.delay = 5.0
    async with stage.running():
        await stage.ask(message(1), seconds=1)
        (run,) = stage.runs._live.values()
        run.lose()
        await trio.sleep(120)
        assert stage.texts == [("ann", "HELLO")]
    assert "crashed" not in caplog.text


@pytest.mark.parametrize("reply", ["", " \n\x01", "```"])
async def test_an_answer_in_which_nothing_is_to_be_seen_is_said_to_be_none(
    autojump_clock, stage, reply
):
    class Blank(Told):
        async def answer(self, turn, emit):
            await trio.lowlevel.checkpoint()
            return Answer(reply, {})

    # A message is a line, and a fence alone makes none.
    stage.abilities = Abilities(length=100, lines=True)
    stage.told = Blank()
    stage.again()
    async with stage.running():
        await stage.ask(message(1))
        assert stage.texts == [("ann", NOTHING_SAID)]


# -- with a channel that does what it likes ---------------------------------------------


async def test_hundred_crashes_and_twenty_hangs_lose_and_double_nothing(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, expiry_seconds=1e6)
    async with stage.running():
        for number in range(120):
            if number % 6 == 0:
                stage.platform.deaf = True
            else:
                stage.platform.faults.append(LostError("reset"))
            stage.platform.say(message(number, f"n{number}"))
            await trio.sleep(130)
            stage.platform.deaf = False
            await trio.sleep(130)
        await trio.sleep(1000)
        assert sorted(stage.texts) == sorted(("ann", f"N{number}") for number in range(120))
        (status,) = stage.office.pool.supervisor.status().children
        assert status.restarts >= 100
