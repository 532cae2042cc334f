"""Who waits for whom, and what still holds when a message has waited for long."""

import attrs
import trio
from channel_stage import message

from gateway.channels.base import Place, Sender
from gateway.channels.outbox import Draft
from gateway.conversation import reception

FLOOD = {"place": Place("flood"), "sender": Sender("zed", "Zed")}


async def test_a_flood_in_one_chat_keeps_no_other_waiting(autojump_clock, stage, monkeypatch):
    monkeypatch.setattr(reception, "AT_ONCE", 50)
    stage.settings = attrs.evolve(stage.settings, expiry_seconds=1e9)
    stage.told.delay = 60.0
    async with stage.running():
        await stage.ask(*(message(number, f"f{number}", **FLOOD) for number in range(60)))
        await stage.ask(message(100, "hello"), message(101, "/help"), seconds=61)
        assert [chat for chat, _ in stage.texts].count("ann") >= 2
        await stage.ask(message(102, "/stop", **FLOOD), seconds=1)
        assert ("flood", "Stopped.") in stage.texts
        stage.told.delay = 0.0
        await trio.sleep(300)
        answers = [text for chat, text in stage.texts if chat == "flood" and text[0] == "F"]
        assert answers == [f"F{number}" for number in range(60) if number != 1]
        assert set((await stage.states()).values()) == {"answered"}


async def test_messages_behind_a_crowd_wait_on_the_disk(autojump_clock, stage):
    stage.told.delay = 1000.0
    async with stage.running():
        await stage.ask(*(message(number, **FLOOD) for number in range(500)))
        assert len(stage.office.reception.supervisor.status().children) < 30


async def test_whoever_is_revoked_gets_no_answer_to_what_waits(autojump_clock, stage):
    stage.settings = attrs.evolve(stage.settings, strangers="ignore")
    stage.database.connection.execute(
        "INSERT INTO senders VALUES ('signal:main', 'ann', 'Ann', 0, 0, 'test')"
    )
    stage.told.delay = 60.0
    async with stage.running():
        await stage.ask(message(1, "one"), message(2, "two"))
        await stage.office.pairings.revoke("signal:main", "ann")
        await trio.sleep(300)
        # The first was being answered already.
        assert stage.texts == [("ann", "ONE")]
        assert await stage.states() == {"m-1": "answered", "m-2": "ignored"}


async def test_what_becomes_too_old_behind_another_is_not_answered(autojump_clock, stage):
    stage.told.delay = 1000.0
    async with stage.running():
        await stage.ask(message(1, "one"), message(2, "two"), seconds=2500)
        assert await stage.states() == {"m-1": "answered", "m-2": "expired"}


async def test_a_message_that_was_done_since_it_was_read_is_left_alone(autojump_clock, stage):
    async with stage.running():
        await stage.ask(message(1, "/new"), message(2, "one"))
        sent = list(stage.texts)
        rows = await stage.database.read(
            lambda sql: sql.execute("SELECT session_id FROM chats").fetchall()
        )
        stale = reception.inbox.find(stage.database.connection, 1)
        await stage.office.reception._begin(attrs.evolve(stale, state="received"))
        await trio.sleep(10)
        assert stage.texts == sent
        assert stage.database.connection.execute("SELECT session_id FROM chats").fetchall() == rows


async def test_messages_of_an_account_that_is_gone_cost_nothing(autojump_clock, stage):
    async with stage.running():
        stage.database.connection.executemany(
            "INSERT INTO inbox (account, message_id, chat, sender, sender_name, text, at, direct,"
            " mentioned, state, received) VALUES ('irc:old', ?, 'a', 'a', '', 'x', 0, 1, 0,"
            " 'received', 1000)",
            [(str(number),) for number in range(1000)],
        )
        await stage.ask(message(1), seconds=60)
        assert stage.texts == [("ann", "HELLO")]
        assert len(stage.office.reception.supervisor.status().children) == 2


async def test_what_is_left_of_an_account_that_is_gone_is_forgotten_in_the_end(
    autojump_clock, stage
):
    def count(table):
        return stage.database.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    async with stage.running():
        await trio.sleep(5)
        stage.database.connection.execute(
            "INSERT INTO inbox (account, message_id, chat, sender, sender_name, text, at, direct,"
            " mentioned, state, received) VALUES ('irc:old', '1', 'a', 'a', '', 'x', 0, 1, 0,"
            " 'received', 1000)"
        )
        place = Place("a")
        await stage.office.post.put([Draft("irc:old", place, "x", "k.0", stage.now() + 900)])
        await trio.sleep(7_200)
        assert (count("inbox"), count("outbox")) == (1, 1)
        stage.start += reception.KEPT_SECONDS
        await trio.sleep(7_200)
        assert (count("inbox"), count("outbox")) == (0, 0)
