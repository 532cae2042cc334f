"""A run outlives whoever asked, ends exactly once, and nothing untrue is told of it."""

import attrs
import pytest
import trio
from agent_stage import Told
from trio.testing import wait_all_tasks_blocked

from gateway.agents import run as run_module
from gateway.agents import runs as runs_module
from gateway.agents.providers import Said
from gateway.agents.run import Ask
from gateway.errors import ConflictError, GatewayError, NotFoundError, UnavailableError

KEYED = {"principal": "me", "word": "k"}

USED = {"words": 2, "provider": "told", "model": "m"}
"""What the provider says of its answer, and what is said about the provider."""


async def test_a_question_is_answered_and_both_are_in_the_history(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("good morning")
        assert (entry.state, entry.reply, entry.usage) == ("done", "GOOD MORNING", USED)
        assert await stage.said(entry.session_id) == [
            ("user", "good morning", "complete"),
            ("assistant", "GOOD MORNING", "complete"),
        ]


async def test_events_tell_a_run_from_its_start_to_its_end(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("good morning")
    ids = {"sessionId": entry.session_id, "runId": entry.id}
    assert stage.events == [
        ("agent.thinking", ids | {"text": "Thinking..."}),
        ("agent.thinking", ids | {"text": "hm"}),
        ("agent.delta", ids | {"text": "GOOD"}),
        ("agent.delta", ids | {"text": " MORNING"}),
        ("agent.done", ids | {"reply": "GOOD MORNING", "usage": USED}),
    ]


async def test_what_is_told_as_done_is_stored_already(autojump_clock, stage):
    stored = []

    def look(news):
        if news.spec.name == "agent.done":
            sql = stage.database.inner.connection
            stored.append(sql.execute("SELECT content FROM messages ORDER BY id").fetchall())

    async with stage.running():
        with stage.bus.listening(look):
            await stage.ask("hi")
    assert stored == [[("hi",), ("HI",)]]


async def test_the_model_sees_its_prompt_and_what_was_said(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("one")
        await stage.ask("two", session_id=entry.session_id)
    turn = stage.told.turns[-1]
    assert (turn.model, turn.system_prompt) == ("m", "Be kind.")
    assert turn.messages == (Said("user", "one"), Said("assistant", "ONE"), Said("user", "two"))


async def test_the_one_who_asks_may_go_and_the_run_goes_on(autojump_clock, stage):
    stage.told.delay = 5.0
    async with stage.running():
        run = await stage.runs.submit(Ask("hi"))
        with trio.move_on_after(1) as impatient:
            await run.wait()
        assert impatient.cancelled_caught
        found = await stage.runs.find(run.id)
        assert (await found.wait()).reply == "HI"
        later = await stage.runs.find(run.id)
        assert (await later.wait()).reply == "HI"


async def test_a_run_is_a_child_of_the_pool_while_it_goes_on(autojump_clock, stage):
    stage.told.delay = 5.0
    async with stage.running():
        run = await stage.runs.submit(Ask("hi"))
        [pool] = stage.root.status().children
        assert f"gateway/agents/{run.id}" in [child.path for child in pool.children]
        await run.wait()
        await wait_all_tasks_blocked()
        [pool] = stage.root.status().children
        assert [child.path for child in pool.children] == ["gateway/agents/recovery"]
        assert len(stage.runs) == 0
        assert len(stage.lanes) == 0


async def test_in_a_session_one_after_the_other_in_the_order_of_asking(autojump_clock, stage):
    stage.told.delay = 1.0
    async with stage.running():
        first = await stage.runs.submit(Ask("question 0"))
        session = first.session_id
        asks = [Ask(f"question {number}", session_id=session) for number in range(1, 10)]
        runs = [first, *[await stage.runs.submit(ask) for ask in asks]]
        for run in runs:
            await run.wait()
        assert [content for _, content, _ in await stage.said(session)] == [
            text for n in range(10) for text in (f"question {n}", f"QUESTION {n}")
        ]
    starts = [data["runId"] for name, data in stage.events if data.get("text") == "Thinking..."]
    assert starts == [run.id for run in runs]


async def test_sessions_do_not_wait_for_each_other(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        began = trio.current_time()
        runs = [await stage.runs.submit(Ask("hi")) for _ in range(20)]
        for run in runs:
            await run.wait()
        assert trio.current_time() - began == 10.0


async def test_a_session_with_too_many_questions_takes_no_more(autojump_clock, stage):
    stage.lanes.depth = 2
    stage.told.delay = 10.0
    async with stage.running():
        session = (await stage.runs.submit(Ask("0"))).session_id
        for _ in range(2):
            await stage.runs.submit(Ask("x", session_id=session))
        with pytest.raises(GatewayError) as caught:
            await stage.runs.submit(Ask("x", session_id=session))
        assert caught.value.kind == "overloaded"
        assert len(await stage.said(session)) == 3


async def test_too_many_runs_are_too_many(autojump_clock, stage, monkeypatch):
    monkeypatch.setattr(runs_module, "RUNS", 2)
    stage.told.delay = 10.0
    async with stage.running():
        for _ in range(2):
            await stage.runs.submit(Ask("x"))
        with pytest.raises(GatewayError) as caught:
            await stage.runs.submit(Ask("x"))
        assert caught.value.kind == "overloaded"


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (Ask("x", agent_id="nobody"), "not-found"),
        (Ask("x", session_id="nowhere"), "not-found"),
        (Ask(" \n"), "invalid-params"),
        (Ask("x" * (run_module.MESSAGE_BYTES + 1)), "too-large"),
    ],
)
async def test_what_cannot_be_asked_leaves_nothing_behind(autojump_clock, stage, ask, kind):
    async with stage.running():
        with pytest.raises(GatewayError) as caught:
            await stage.runs.submit(ask)
        assert caught.value.kind == kind
        assert await stage.sessions.list(10) == []


async def test_a_session_belongs_to_its_agent(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("x", agent_id="other")
        assert entry.reply.startswith("Echo: x")
        again = await stage.ask("y", session_id=entry.session_id)
        assert (again.agent_id, again.reply) == ("other", "Echo: y")
        with pytest.raises(ConflictError, match="with agent 'other'"):
            await stage.ask("z", session_id=entry.session_id, agent_id="main")


# -- ends other than an answer ----------------------------------------------------------


async def test_a_provider_that_fails_leaves_the_question_and_what_it_had(autojump_clock, stage):
    stage.told.errors = [UnavailableError("set an api_key")]
    async with stage.running():
        entry = await stage.ask("one two")
        assert (entry.state, entry.kind, entry.error) == ("failed", "unavailable", "set an api_key")
        assert await stage.said(entry.session_id) == [
            ("user", "one two", "failed"),
            ("assistant", "ONE", "failed"),
        ]
        assert stage.events[-1] == (
            "agent.failed",
            {"sessionId": entry.session_id, "runId": entry.id}
            | {"kind": "unavailable", "message": "set an api_key"},
        )
        assert stage.runs.reports["main"].error == "set an api_key"
        await stage.ask("three", session_id=entry.session_id)
        assert stage.runs.reports["main"].error is None


async def test_a_bug_of_a_provider_ends_its_run_and_nothing_else(autojump_clock, stage):
    stage.told.errors = [ZeroDivisionError("secret detail")]
    async with stage.running():
        entry = await stage.ask("one")
        assert (entry.state, entry.kind) == ("failed", "internal")
        assert "secret" not in entry.error
        assert (await stage.ask("two", session_id=entry.session_id)).reply == "TWO"


async def test_a_run_that_takes_too_long_is_given_up(autojump_clock, stage):
    stage.told.delay = 60.0
    async with stage.running():
        entry = await stage.ask("one two three")
        assert (entry.state, entry.kind, entry.reply) == ("failed", "timeout", "ONE")


async def test_time_in_the_queue_is_not_time_of_the_run(autojump_clock, stage):
    stage.told.delay = 90.0
    async with stage.running():
        runs = [await stage.runs.submit(Ask("one"))]
        for _ in range(2):
            runs.append(await stage.runs.submit(Ask("two", session_id=runs[0].session_id)))
        assert [(await run.wait()).state for run in runs] == ["done"] * 3


async def test_a_cancelled_run_keeps_what_it_has_said(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one two"))
        await trio.sleep(15)
        run.cancel()
        entry = await run.wait()
        assert (entry.state, entry.kind) == ("cancelled", "cancelled")
        assert await stage.said(run.session_id) == [
            ("user", "one two", "cancelled"),
            ("assistant", "ONE", "cancelled"),
        ]


async def test_a_run_can_be_cancelled_before_its_turn(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        first = await stage.runs.submit(Ask("one"))
        second = await stage.runs.submit(Ask("two", session_id=first.session_id))
        third = await stage.runs.submit(Ask("three", session_id=first.session_id))
        second.cancel()
        assert (await second.wait()).state == "cancelled"
        assert (await first.wait()).state == "done"
        assert (await third.wait()).state == "done"
        assert [content for _, content, _ in await stage.said(first.session_id)] == [
            "one", "ONE", "two", "three", "THREE",
        ]  # fmt: skip


async def test_a_reply_that_is_too_long_is_cut_off(autojump_clock, stage, monkeypatch):
    monkeypatch.setattr(run_module, "REPLY_BYTES", 5)
    async with stage.running():
        entry = await stage.ask("abc def")
        assert (entry.state, entry.kind, entry.reply) == ("failed", "too-large", "ABC")


async def test_an_answer_that_cannot_be_stored_is_not_told(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one"))
        await trio.sleep(1)
        stage.database.full = True
        with pytest.raises(UnavailableError, match="lost"):
            await run.wait()
        assert "agent.done" not in stage.told_of(run.id)
        assert stage.told_of(run.id)[-1] == "agent.failed"
        stage.database.full = False
        assert (await stage.ask("two")).state == "done"


async def test_a_question_that_cannot_be_stored_is_refused(autojump_clock, stage):
    async with stage.running():
        stage.database.full = True
        with pytest.raises(UnavailableError, match="full"):
            await stage.ask("one")
        assert len(stage.runs) == 0
        stage.database.full = False
        assert (await stage.ask("one")).state == "done"


# -- stopping ---------------------------------------------------------------------------


async def test_asked_to_stop_a_running_turn_finishes_and_queued_ones_are_interrupted(
    autojump_clock, stage
):
    stage.told.delay = 2.0
    async with stage.running():
        first = await stage.runs.submit(Ask("one two"))
        second = await stage.runs.submit(Ask("three", session_id=first.session_id))
        await trio.sleep(1)
        stage.root.shutdown()
        assert (await first.wait()).reply == "ONE TWO"
        assert (await second.wait()).state == "interrupted"


async def test_what_does_not_finish_in_time_is_stored_as_far_as_it_got(autojump_clock, stage):
    stage.told.delay = runs_module.STOP - 1
    async with stage.running():
        run = await stage.runs.submit(Ask("one two three"))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        stage.root.shutdown()
        entry = await run.wait()
        assert trio.current_time() - began == runs_module.STOP
    assert (entry.state, entry.kind) == ("interrupted", "unavailable")
    assert await stage.said(run.session_id) == [
        ("user", "one two three", "interrupted"),
        ("assistant", "ONE", "interrupted"),
    ]


async def test_a_store_that_hangs_does_not_hold_up_a_stop(autojump_clock, stage, monkeypatch):
    async def hang(work):
        await trio.sleep_forever()

    stage.told.delay = 1000.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one"))
        await wait_all_tasks_blocked()
        monkeypatch.setattr(type(stage.database), "write", lambda self, work: hang(work))
        began = trio.current_time()
        stage.root.shutdown()
        with pytest.raises(UnavailableError):
            await run.wait()
        assert trio.current_time() - began == runs_module.STOP + runs_module.STORE


async def test_nobody_hangs_when_the_pool_is_restarted(autojump_clock, stage):
    stage.told.delay = 50.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one"))
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.root.restart, "agents")
            assert (await run.wait()).state == "interrupted"
        stage.told.delay = 0.0
        assert (await stage.ask("two")).state == "done"


async def test_without_the_pool_asking_is_unavailable(autojump_clock, stage):
    with pytest.raises(UnavailableError, match="stopping or restarting"):
        await stage.ask("one")
    assert len(stage.runs) == 0


# -- asking twice -----------------------------------------------------------------------


async def test_the_same_key_is_the_same_run(autojump_clock, stage):
    async with stage.running():
        first = await stage.ask("once", **KEYED)
        assert await stage.ask("once", **KEYED) == first
        assert len(await stage.said(first.session_id)) == 2
        assert len(stage.told.turns) == 1


async def test_the_same_key_at_the_same_time_is_the_same_run(autojump_clock, stage):
    stage.told.delay = 1.0
    entries = []

    async def ask():
        entries.append(await stage.ask("once", **KEYED))

    async with stage.running():
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert len({entry.id for entry in entries}) == 1
        assert len(await stage.sessions.list(10)) == 1
        assert len(stage.told.turns) == 1


async def test_the_same_key_of_somebody_else_is_another_run(autojump_clock, stage):
    async with stage.running():
        one = await stage.ask("once", **KEYED)
        other = await stage.ask("once", principal="you", word="k")
        assert one.id != other.id


async def test_a_key_that_was_used_for_something_else_is_a_conflict(autojump_clock, stage):
    async with stage.running():
        await stage.ask("once", **KEYED)
        with pytest.raises(ConflictError, match="idempotencyKey"):
            await stage.ask("twice", **KEYED)


async def test_a_key_is_free_again_after_a_day(autojump_clock, stage):
    async with stage.running():
        first = await stage.ask("once", **KEYED)
        stage.clock += 25 * 60 * 60
        second = await stage.ask("something else", **KEYED)
        assert first.id != second.id


async def test_a_retry_after_a_failure_asks_the_same_question_again(autojump_clock, stage):
    stage.told.errors = [UnavailableError("later")]
    async with stage.running():
        first = await stage.ask("one two", **KEYED)
        assert first.state == "failed"
        second = await stage.ask("one two", **KEYED)
        assert (second.id, second.state, second.reply) == (first.id, "done", "ONE TWO")
        assert await stage.said(first.session_id) == [
            ("user", "one two", "complete"),
            ("assistant", "ONE TWO", "complete"),
        ]
        assert (await stage.sessions.get(first.session_id)).message_count == 2


async def test_a_cancelled_run_is_not_begun_again_by_its_key(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running():
        run = await stage.runs.submit(Ask("once", **KEYED))
        run.cancel()
        await run.wait()
        assert (await stage.ask("once", **KEYED)).state == "cancelled"


async def test_a_retry_keeps_its_place_in_the_conversation(autojump_clock, stage):
    stage.told.errors = [UnavailableError("later")]
    async with stage.running():
        first = await stage.ask("one", **KEYED)
        await stage.ask("two", session_id=first.session_id)
        await stage.ask("one", **KEYED)
        assert [content for _, content, _ in await stage.said(first.session_id)] == [
            "one", "ONE", "two", "TWO",
        ]  # fmt: skip
        assert stage.told.turns[-1].messages == (Said("user", "one"),)


async def test_a_retry_that_comes_just_when_the_run_ends_gets_its_reply(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("once", **KEYED)
        # What a retry has read may be out of date when it begins.
        run = await stage.runs._resume(attrs.evolve(entry, state="running", reply=""))
        assert await run.wait() == entry
        assert len(stage.told.turns) == 1


async def test_a_retry_of_somebody_who_has_gone_finds_what_he_began(autojump_clock, stage):
    stage.told.delay = 1.0
    async with stage.running():
        with trio.CancelScope() as gone:
            gone.cancel()
            # Past the look for its key, and cancelled while it is written down.
            await stage.runs._begin(Ask("once", **KEYED))
        entry = await stage.ask("once", **KEYED)
        assert entry.reply == "ONCE"
        assert len(await stage.sessions.list(10)) == 1


# -- after a crash ----------------------------------------------------------------------


async def crash(stage, *asks):
    """Ask, and have the process die before any answer; return the runs."""
    stage.told.delay = 50.0
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.root.run)
        runs = [await stage.runs.submit(ask) for ask in asks]
        await wait_all_tasks_blocked()
        # Nothing that happens while it dies reaches the disk.
        stage.database.full = True
        nursery.cancel_scope.cancel()
    stage.database.full = False
    stage.told.delay = 0.0
    stage.events.clear()
    stage.again()
    return runs


async def test_what_a_dead_process_left_is_shown_as_interrupted(autojump_clock, stage):
    [run] = await crash(stage, Ask("one"))
    async with stage.running():
        assert await stage.said(run.session_id) == [("user", "one", "interrupted")]
        entry = await (await stage.runs.find(run.id)).wait()
        assert (entry.state, entry.kind) == ("interrupted", "unavailable")
        assert (await stage.ask("two", session_id=run.session_id)).state == "done"


async def test_a_retry_after_a_crash_answers_the_same_question_once(autojump_clock, stage):
    [run] = await crash(stage, Ask("one", **KEYED))
    async with stage.running():
        entry = await stage.ask("one", **KEYED)
        assert (entry.id, entry.session_id, entry.reply) == (run.id, run.session_id, "ONE")
        assert await stage.said(run.session_id) == [
            ("user", "one", "complete"),
            ("assistant", "ONE", "complete"),
        ]


async def test_a_question_that_waited_at_a_crash_has_its_place(autojump_clock, stage):
    [first] = await crash(stage, Ask("one"))
    await crash(stage, Ask("two", session_id=first.session_id))
    async with stage.running():
        await stage.ask("three", session_id=first.session_id)
        assert [content for _, content, _ in await stage.said(first.session_id)] == [
            "one", "two", "three", "THREE",
        ]  # fmt: skip


async def test_recovery_leaves_alone_what_lives(autojump_clock, stage):
    stage.told.delay = 5.0
    async with stage.running():
        run = await stage.runs.submit(Ask("one"))
        await stage.runs.supervisor.restart("recovery")
        assert (await run.wait()).reply == "ONE"


async def test_an_unknown_run_is_not_found(autojump_clock, stage):
    async with stage.running():
        with pytest.raises(NotFoundError):
            await stage.runs.find("run-x")


def test_the_double_promises_what_a_provider_does():
    from gateway.agents.providers import Provider

    promised = {name for name in vars(Provider) if not name.startswith("_")}
    assert promised <= set(dir(Told))
