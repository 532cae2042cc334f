"""A question without a conversation leaves nothing behind; a session can be made by its name."""

import pytest
import trio

from gateway.agents import ledger, records
from gateway.agents.providers import Said
from gateway.agents.run import Ask
from gateway.errors import ConflictError, NotFoundError

EARLIER = (Said("user", "one"), Said("assistant", "ONE"))
KEYED = {"principal": "me", "word": "k"}


def once(**more):
    return {"session_id": records.new_id(records.ONCE), "make_session": True, **more}


async def test_the_model_is_shown_what_the_asker_says_was_before(autojump_clock, stage):
    async with stage.running():
        await stage.ask("two", **once(earlier=EARLIER))
    assert stage.told.turns[0].messages == (*EARLIER, Said("user", "two"))


async def test_nothing_of_it_is_left_when_it_is_over(autojump_clock, stage):
    async with stage.running():
        kept = await stage.ask("keep me")
        entry = await stage.ask("two", **once(earlier=EARLIER))
        assert entry.reply == "TWO"
        with pytest.raises(NotFoundError):
            await stage.runs.find(entry.id)
        with pytest.raises(NotFoundError):
            await stage.sessions.get(entry.session_id)
        sql = stage.database.inner.connection
        assert sql.execute("SELECT session_id FROM runs").fetchall() == [(kept.session_id,)]
        assert len(sql.execute("SELECT * FROM messages").fetchall()) == 2


async def test_it_is_not_listed_while_it_goes_on(autojump_clock, stage):
    stage.told.delay = 5
    async with stage.running():
        run = await stage.runs.submit(Ask("slow", **once()))
        assert await stage.sessions.list(10) == []
        assert (await stage.sessions.get(run.session_id)).title == "slow"
        await run.wait()


async def test_a_retry_with_its_key_gets_the_reply_for_a_day(autojump_clock, stage):
    async with stage.running():
        first = await stage.ask("two", **once(earlier=EARLIER, **KEYED))
        again = await stage.ask("two", **once(earlier=EARLIER, **KEYED))
        assert (again.id, again.reply) == (first.id, "TWO")
        assert len(stage.told.turns) == 1
        stage.clock += ledger.KEPT
        await stage.ask("another", **once())
        with pytest.raises(NotFoundError):
            await stage.sessions.get(first.session_id)


async def test_its_key_is_for_the_same_earlier_messages_only(autojump_clock, stage):
    async with stage.running():
        await stage.ask("two", **once(earlier=EARLIER, **KEYED))
        with pytest.raises(ConflictError, match="other params"):
            await stage.ask("two", **once(**KEYED))


async def test_a_retry_after_a_crash_shows_the_model_the_same(autojump_clock, stage):
    stage.told.delay = 50
    async with stage.running():
        run = await stage.runs.submit(Ask("two", **once(earlier=EARLIER, **KEYED)))
        unkeyed = await stage.runs.submit(Ask("lost", **once()))
        await trio.testing.wait_all_tasks_blocked()
        stage.root.shutdown(0)
    stage.again()
    stage.told.delay = 0
    async with stage.running():
        entry = await stage.ask("two", **once(earlier=EARLIER, **KEYED))
        assert (entry.id, entry.reply) == (run.id, "TWO")
        assert stage.told.turns[-1].messages == (*EARLIER, Said("user", "two"))
        with pytest.raises(NotFoundError):
            await stage.sessions.get(unkeyed.session_id)


async def test_a_named_session_is_made_once_and_gone_on_with(autojump_clock, stage):
    named = {"session_id": "sess-mine", "make_session": True}
    async with stage.running():
        async with trio.open_nursery() as nursery:
            for word in ("one", "two", "three"):
                nursery.start_soon(lambda word=word: stage.ask(word, **named))
        await stage.ask("four", **named)
        assert [each.id for each in await stage.sessions.list(10)] == ["sess-mine"]
        assert len(await stage.said("sess-mine")) == 8
        with pytest.raises(ConflictError, match="agent 'main'"):
            await stage.ask("five", agent_id="other", **named)


async def test_without_make_session_a_session_has_to_exist(autojump_clock, stage):
    async with stage.running():
        with pytest.raises(NotFoundError):
            await stage.ask("hi", session_id="sess-mine")
