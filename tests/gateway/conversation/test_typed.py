"""What is typed with a slash is done by the gateway, not told to the agent."""

import attrs
import trio
from channel_stage import message

from gateway.agents.tools import Use
from gateway.channels.base import Place, Sender
from gateway.config.bindings import Binding


async def test_new_begins_another_session_and_keeps_the_old_one(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "one"))
        await stage.ask(message(2, "/new"))
        await stage.ask(message(3, "two"))
        assert len(await stage.sessions()) == 2
        assert [each.content for each in stage.told.turns[-1].messages] == ["two"]


async def test_what_was_written_before_new_belongs_to_the_old_conversation(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        await stage.ask(message(1, "one"), message(2, "two"))
        await stage.ask(message(3, "/new"), message(4, "three"), seconds=100)
        assert [[said.content for said in turn.messages] for turn in stage.told.turns] == [
            ["one"],
            ["one", "ONE", "two"],
            ["three"],
        ]
        await stage.ask(message(5, "four"), seconds=20)
        assert [said.content for said in stage.told.turns[-1].messages][-1] == "four"
        assert len(stage.told.turns[-1].messages) == 3


async def test_stop_ends_the_answer_that_is_being_made(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "/stop"))
        assert stage.texts[-1] == ("ann", "Nothing is being answered here.")
        stage.told.delay = 10.0
        await stage.ask(message(2, "a b c"), seconds=15)
        await stage.ask(message(3, "/stop"))
        assert ("ann", "Stopped.") in stage.texts
        assert ("ann", "A [stopped]") in stage.texts
        stage.told.delay = 0.0
        await stage.ask(message(4, "next"))
        assert stage.texts[-1] == ("ann", "NEXT")


async def test_stop_ends_nothing_in_other_chats(autojump_clock, stage):
    async with stage.running():
        stage.told.delay = 10.0
        await stage.ask(message(1, "hello"))
        await stage.ask(message(2, "/stop", place=Place("bob"), sender=Sender("bob")))
        await trio.sleep(20)
        assert ("ann", "HELLO") in stage.texts


async def test_status_and_help_say_what_there_is(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "hello"))
        await stage.ask(message(2, "/status"))
        assert stage.texts[-1][1] == (
            "Agent: main\nConversation: 2 messages\nChannel: signal:main, connected"
        )
        await stage.ask(message(3, "/help"))
        text = " ".join(text for _, text in stage.texts[2:])
        assert "/stop" in text
        assert "/approve" not in text


async def test_status_says_if_there_is_no_such_agent(autojump_clock, stage):
    stage.bindings = {"all": Binding(agent="gone", channel="signal")}
    async with stage.running():
        await stage.ask(message(1, "/status"))
        assert stage.texts[0][1].startswith("Agent: no agent 'gone'")


async def test_an_owner_is_asked_in_his_chat_whether_a_tool_may_be_used(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, owners=("ann",))
    stage.told.delay = 50.0
    async with stage.running():
        other = {"place": Place("b"), "sender": Sender("b")}
        await stage.ask(message(1, "do it"), message(2, "do it", **other))
        rows = stage.database.connection.execute("SELECT id, session_id, provenance FROM runs")
        by_whom = {each[2]: Use("main", each[1], each[0], each[2]) for each in rows.fetchall()}
        outcomes = []
        async with trio.open_nursery() as nursery:

            async def ask(use):
                outcomes.append(await stage.approvals.ask(use, "delete", '{"all": true}', 60))

            nursery.start_soon(ask, by_whom["owner"])
            nursery.start_soon(ask, by_whom["user"])
            await trio.sleep(2)
            ((chat, text),) = stage.texts
            assert chat == "ann"
            assert text.startswith('May I use delete with {"all": true}\n/allow ')
            approval_id = text.split("/allow ")[1].split()[0]
            await stage.ask(message(3, f"/allow {approval_id}", **other))
            assert stage.texts[-1] == ("b", "Only an owner can do that.")
            await stage.ask(message(4, f"/allow {approval_id}"))
            assert ("ann", "delete: allowed.") in stage.texts
        assert sorted(outcomes) == ["approved", "expired"]
