"""Conversations: listed, paged, exported, compacted, forgotten."""

import re

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.agents import records
from gateway.agents import sessions as sessions_module
from gateway.agents.export import markdown
from gateway.agents.providers import Said
from gateway.agents.run import Ask
from gateway.errors import ConflictError, GatewayError, NotFoundError, UnavailableError


async def talk(stage, *messages):
    """Have a conversation; return the session's id."""
    session = None
    for message in messages:
        session = (await stage.ask(message, session_id=session)).session_id
    return session


async def contents(stage, session, **kind):
    page = await stage.sessions.history(session, 1000)
    wanted = [m for m in page.messages if all(getattr(m, k) == v for k, v in kind.items())]
    return [message.content for message in wanted]


async def test_a_session_is_named_after_its_first_question(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "\n  How   are\tyou?  \nmore", "second")
        found = await stage.sessions.get(session)
        assert (found.title, found.agent_id, found.message_count) == ("How are you?", "main", 4)
        assert found.created < found.updated


def test_a_title_is_one_short_line():
    assert records.title_of("x" * 500) == "x" * 79 + "…"
    assert records.title_of("\n") == ""


async def test_sessions_are_listed_by_last_use_in_pages_without_holes(autojump_clock, stage):
    async with stage.running():
        made = [await talk(stage, str(number)) for number in range(7)]
        await stage.ask("again", session_id=made[0])
        expected = [made[0], *made[:0:-1]]
        got, before = [], None
        while page := await stage.sessions.list(3, before):
            got += [session.id for session in page]
            before = (page[-1].updated, page[-1].id)
        assert got == expected


async def test_sessions_of_one_agent_can_be_listed(autojump_clock, stage):
    async with stage.running():
        await talk(stage, "main")
        entry = await stage.ask("other", agent_id="other")
        assert [s.id for s in await stage.sessions.list(9, None, "other")] == [entry.session_id]


async def test_a_history_is_paged_from_the_newest_and_in_order(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, *(f"m{n}" for n in range(5)))
        pages, before = [], None
        while True:
            page = await stage.sessions.history(session, 4, before)
            pages.insert(0, [message.content for message in page.messages])
            if (before := page.older) is None:
                break
    assert pages == [["m0", "M0"], ["m1", "M1", "m2", "M2"], ["m3", "M3", "m4", "M4"]]


async def test_a_page_of_long_messages_is_shorter_but_never_empty(
    autojump_clock, stage, monkeypatch
):
    monkeypatch.setattr(records, "PAGE_BYTES", 10)
    async with stage.running():
        session = await talk(stage, "x" * 20, "y" * 4)
        page = await stage.sessions.history(session, 100)
        assert [message.content for message in page.messages] == ["yyyy", "YYYY"]
        page = await stage.sessions.history(session, 100, page.older)
        assert [message.content for message in page.messages] == ["X" * 20]


@pytest.mark.parametrize("call", ["get", "history", "reset", "delete", "export", "compact"])
async def test_what_does_not_exist_is_not_found(autojump_clock, stage, call):
    more = {"history": (10,), "export": ("json",), "compact": (0,)}.get(call, ())
    async with stage.running():
        with pytest.raises(NotFoundError, match="no session 'sess-x'"):
            await getattr(stage.sessions, call)("sess-x", *more)


async def test_a_reset_session_is_empty_and_can_be_used_again(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two")
        assert (await stage.sessions.reset(session)).message_count == 0
        assert await contents(stage, session) == []
        await stage.ask("three", session_id=session)
        assert stage.told.turns[-1].messages == (Said("user", "three"),)
        assert (await stage.sessions.get(session)).title == "three"


async def test_a_deleted_session_is_gone_with_everything_in_it(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one")
        await stage.sessions.delete(session)
        with pytest.raises(NotFoundError):
            await stage.sessions.get(session)
        sql = stage.database.inner.connection
        for table in ("messages", "runs"):
            assert sql.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize("call", ["reset", "delete"])
async def test_a_session_in_use_is_not_pulled_away(autojump_clock, stage, call):
    stage.told.delay = 5.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one"))
        with pytest.raises(ConflictError) as caught:
            await getattr(stage.sessions, call)(run.session_id)
        assert caught.value.data == {"runId": run.id}
        await run.wait()
        await getattr(stage.sessions, call)(run.session_id)


# -- compacting -------------------------------------------------------------------------


async def test_compacting_puts_a_summary_in_place_of_what_is_old(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two", "three")
        done = await stage.sessions.compact(session, 2)
        assert (done.compacted, done.summary.content) == (4, "one | ONE | two | TWO")
        assert (await stage.sessions.get(session)).message_count == 3
        await stage.ask("four", session_id=session)
    assert stage.told.turns[-1].messages == (
        Said("system", "one | ONE | two | TWO"),
        Said("user", "three"),
        Said("assistant", "THREE"),
        Said("user", "four"),
    )


async def test_what_was_compacted_stays_in_the_history_flagged_and_in_order(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two")
        await stage.sessions.compact(session, 2)
        assert await contents(stage, session) == ["one", "ONE", "one | ONE", "two", "TWO"]
        assert await contents(stage, session, compacted=True) == ["one", "ONE"]


async def test_a_turn_is_never_torn_apart(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two")
        assert (await stage.sessions.compact(session, 1)).compacted == 2
        assert await contents(stage, session, compacted=False) == ["one | ONE", "two", "TWO"]


async def test_compacting_again_takes_the_summary_along(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two", "three")
        await stage.sessions.compact(session, 4)
        done = await stage.sessions.compact(session, 0)
        assert done.summary.content == "one | ONE | two | TWO | three | THREE"
        assert await contents(stage, session, compacted=False) == [done.summary.content]


@pytest.mark.parametrize("keep", [2, 100])
async def test_where_there_is_nothing_old_nothing_happens(autojump_clock, stage, keep):
    async with stage.running():
        session = await talk(stage, "one")
        done = await stage.sessions.compact(session, keep)
        assert (done.compacted, done.summary) == (0, None)


async def test_a_summary_alone_is_not_summarised_again(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one")
        await stage.sessions.compact(session, 0)
        assert (await stage.sessions.compact(session, 0)).compacted == 0


async def test_a_provider_that_fails_changes_nothing(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two")
        stage.told.errors = [UnavailableError("later")]
        with pytest.raises(UnavailableError, match="later"):
            await stage.sessions.compact(session, 2)
        assert await contents(stage, session) == ["one", "ONE", "two", "TWO"]


async def test_compacting_and_runs_wait_for_each_other(autojump_clock, stage):
    stage.told.delay = 5.0
    async with stage.running():
        session = await talk(stage, "one")
        run = await stage.runs.submit(Ask("two", session_id=session))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.sessions.compact, session, 2)
            await wait_all_tasks_blocked()
            after = await stage.runs.submit(Ask("three", session_id=session))
            assert (await run.wait()).reply == "TWO"
            await after.wait()
        assert stage.told.turns[-1].messages[0] == Said("system", "one | ONE")


async def test_the_echo_summarises_without_any_model(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("first line\nsecond", agent_id="other")
        done = await stage.sessions.compact(entry.session_id, 0)
        assert done.summary.content.splitlines()[0] == "user: first line"


# -- exports ----------------------------------------------------------------------------


async def test_an_export_has_everything(autojump_clock, stage):
    async with stage.running():
        session = await talk(stage, "one", "two")
        await stage.sessions.compact(session, 2)
        export = await stage.sessions.export(session, "json")
        assert export.session.id == session
        assert [m.content for m in export.messages] == ["one", "ONE", "one | ONE", "two", "TWO"]
        text = (await stage.sessions.export(session, "markdown")).content
    assert text.startswith("# one\n\nAgent main, 1970-01-01 00:")
    assert re.search(r"## User \(1970-01-01 00:\d\d:\d\d, compacted\)\n\none\n", text)
    assert "## Summary of what was said (" in text


async def test_what_went_wrong_is_in_the_export(autojump_clock, stage):
    stage.told.errors = [UnavailableError("later")]
    async with stage.running():
        session = await talk(stage, "one")
        export = await stage.sessions.export(session, "json")
    assert ", failed)\n\nONE" in markdown(export.session, export.messages)


async def test_an_export_that_is_too_large_is_refused(autojump_clock, stage, monkeypatch):
    monkeypatch.setattr(sessions_module, "EXPORT_BYTES", 300)
    async with stage.running():
        session = await talk(stage, "x" * 100)
        with pytest.raises(GatewayError) as caught:
            await stage.sessions.export(session, "json")
        assert caught.value.kind == "too-large"
