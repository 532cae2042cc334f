"""A webhook is taken once, from who it is for, and chooses nothing but its words."""

import json
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from agent_stage import Faulty, Stage

from gateway.config.hooks import Hook
from gateway.config.setting import Secret
from gateway.conversation.hooks import KEPT, Webhooks
from gateway.conversation.signatures import sign
from gateway.errors import GatewayError, UnavailableError
from gateway.storage.memory import Memory
from gateway.web.hooks import HookRequest, Hooks, UnverifiedError
from supervisors import Supervisor

SECRET = "0f8d3b6a92c14e57b1d0c9a86e2f7354"
GITHUB = Hook(secret=Secret(SECRET), agent="main", template="push to {repository.name}")
TIMED = attrs.evolve(GITHUB, header="X-Signature", prefix="", timestamp_header="X-Timestamp")
BODY = '{"repository": {"name": "žluť 🐈"}}'.encode()


@attrs.define(eq=False)
class Desk:
    """Hooks that are up, on agents in memory; *at* is Unix time."""

    stage: Stage
    hooks: dict
    mounts: Hooks = attrs.field(factory=Hooks)
    sent: list = attrs.field(factory=list)
    at: float = 1_700_000_000.0
    full: bool = False
    tree: object = None
    children: object = None

    @asynccontextmanager
    async def running(self):
        self.stage.again()
        webhooks = Webhooks(
            self.stage.runs, self.stage.database, self.mounts, self.send, now=lambda: self.at
        )
        self.children = lambda: webhooks.children(self.hooks)
        self.tree = Supervisor("settings", self.children, max_restarts=None)
        async with self.stage.running(), trio.open_nursery() as nursery:
            await nursery.start(self.tree.run)
            yield self
            self.tree.shutdown(1)

    async def reload(self):
        await self.tree.reconcile(self.children())

    async def send(self, account, chat, text, key):
        if self.full:
            raise UnavailableError("the disk is full")
        if key not in [each[3] for each in self.sent]:
            self.sent.append((account, chat, text, key))

    async def post(self, body=BODY, *, name="push", signed=None, headers=(), method="POST", at=0.0):
        """Post *body* with the signature of *signed*, if that is another one; return the answer."""
        hook = self.hooks[name]
        made = sign(hook, body if signed is None else signed, self.at + at)
        lowered = {each.lower(): value for each, value in (made | dict(headers)).items()}
        request = HookRequest(method, headers=lowered, body=body, peer="10.0.0.1")
        answer = await self.mounts.find(name)(request)
        return answer.status, json.loads(answer.body)

    async def questions(self):
        await trio.testing.wait_all_tasks_blocked()
        return [turn.messages[-1].content for turn in self.stage.told.turns]


@pytest.fixture
def desk():
    with Memory.opened() as memory:
        yield Desk(Stage(Faulty(memory)), {"push": GITHUB, "timed": TIMED})


async def test_a_delivery_asks_the_agent_and_is_told_which_run_it_is(autojump_clock, desk):
    async with desk.running():
        status, told = await desk.post()
        run = await desk.stage.runs.find(told["runId"])
        assert (await run.wait()).reply == "PUSH TO ŽLUŤ 🐈"
    assert (status, told) == (202, {"runId": run.id, "sessionId": run.session_id})
    assert run.entry.provenance == "hook"


async def test_the_question_is_on_the_disk_when_the_sender_is_answered(autojump_clock, desk):
    desk.stage.told.delay = 100
    async with desk.running():
        _, told = await desk.post()
        sql = desk.stage.database.inner.connection
        rows = sql.execute("SELECT content FROM messages WHERE run_id = ?", (told["runId"],))
        assert rows.fetchall() == [("push to žluť 🐈",)]


@pytest.mark.parametrize(
    "value",
    ["", "sha256=", "sha256=" + "0" * 64, "0" * 64, "sha1=" + "0" * 40, "sha256=ž", "x" * 10_000],
)
async def test_a_wrong_signature_is_unverified(autojump_clock, desk, value):
    async with desk.running():
        with pytest.raises(UnverifiedError):
            await desk.post(headers={"X-Hub-Signature-256": value})
        assert await desk.questions() == []


@pytest.mark.parametrize("name", ["push", "timed"])
async def test_an_absent_or_blank_signature_is_unverified(autojump_clock, desk, name):
    async with desk.running():
        for headers in ({}, {desk.hooks[name].header.lower(): " "}):
            request = HookRequest("POST", headers=headers, body=BODY)
            with pytest.raises(UnverifiedError):
                await desk.mounts.find(name)(request)


async def test_one_altered_byte_is_unverified(autojump_clock, desk):
    async with desk.running():
        for altered in (BODY + b" ", BODY[:-1], BODY.replace("ž".encode(), "z\u030c".encode())):
            with pytest.raises(UnverifiedError):
                await desk.post(altered, signed=BODY)


async def test_a_blank_secret_verifies_nothing(autojump_clock, desk):
    """Source: GHSA-mp5h-m6qj-6292."""
    for blank in ("", " "):
        desk.hooks["push"] = attrs.evolve(GITHUB, secret=Secret(blank))
        async with desk.running():
            with pytest.raises(UnverifiedError):
                await desk.post()
    desk.hooks["push"] = attrs.evolve(GITHUB, secret=Secret(""), scheme="bearer")
    async with desk.running():
        for token in ("Bearer ", "Bearer", ""):
            with pytest.raises(UnverifiedError):
                await desk.post(headers={"Authorization": token})


async def test_the_signature_of_another_hook_is_none(autojump_clock, desk):
    desk.hooks["other"] = attrs.evolve(GITHUB, secret=Secret(SECRET[::-1]))
    async with desk.running():
        theirs = sign(desk.hooks["other"], BODY, 0)
        with pytest.raises(UnverifiedError):
            await desk.post(headers=theirs)
        # The same content is another delivery there.
        first, second = await desk.post(), await desk.post(name="other")
        assert (first[0], second[0]) == (202, 202)
        assert first[1]["runId"] != second[1]["runId"]


@pytest.mark.parametrize(
    ("off", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
async def test_a_timestamp_may_be_off_by_five_minutes(autojump_clock, desk, off, taken):
    async with desk.running():
        if taken:
            assert (await desk.post(name="timed", at=off))[0] == 202
        else:
            with pytest.raises(UnverifiedError):
                await desk.post(name="timed", at=off)


async def test_a_timestamp_is_signed_as_well(autojump_clock, desk):
    async with desk.running():
        for stamp in (str(int(desk.at) + 1), "", "now", "1e9", "-1", "٣", "9" * 5000):
            with pytest.raises(UnverifiedError):
                await desk.post(name="timed", headers={"X-Timestamp": stamp})


async def test_a_replay_gets_the_same_run_and_asks_nothing(autojump_clock, desk):
    async with desk.running():
        first = await desk.post()
        again = await desk.post()
        assert (first[0], again) == (202, (200, first[1]))
        assert len(await desk.questions()) == 1


async def test_a_replay_after_a_restart_is_one_for_seven_days(autojump_clock, desk):
    async with desk.running():
        first = await desk.post()
    desk.at += KEPT - 1
    async with desk.running():
        assert await desk.post() == (200, first[1])
    desk.at += 2
    desk.stage.clock = desk.at
    async with desk.running():
        status, told = await desk.post()
        assert status == 202
        assert told != first[1]


async def test_a_replay_with_another_delivery_id_is_one_all_the_same(autojump_clock, desk):
    """Source: GHSA-8689-gm9g-jgr6."""
    desk.hooks["push"] = attrs.evolve(GITHUB, dedupe_header="X-GitHub-Delivery")
    async with desk.running():
        first = await desk.post(headers={"X-GitHub-Delivery": "1"})
        assert (await desk.post(headers={"X-GitHub-Delivery": "2"}))[0] == 200
        other = b'{"repository": {"name": "other attempt"}}'
        assert await desk.post(other, headers={"X-GitHub-Delivery": "1"}) == (200, first[1])
        assert (await desk.post(other, headers={"X-GitHub-Delivery": "3"}))[0] == 202


async def test_two_at_the_same_time_are_one(autojump_clock, desk):
    answers = []

    async def post():
        answers.append(await desk.post())

    async with desk.running():
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(post)
        assert sorted(status for status, _ in answers) == [200] * 4 + [202]
        assert len({told["runId"] for _, told in answers}) == 1


async def test_what_could_not_be_taken_is_taken_when_it_comes_again(autojump_clock, desk):
    async with desk.running():
        desk.stage.database.full = True
        with pytest.raises(UnavailableError):
            await desk.post()
        desk.stage.database.full = False
        assert (await desk.post())[0] == 202
        assert len(await desk.questions()) == 1


async def test_each_delivery_has_a_session_unless_one_is_named(autojump_clock, desk):
    named = attrs.evolve(GITHUB, session="builds")
    desk.hooks |= {"named": named, "named-too": named}
    async with desk.running():
        bodies = (b'{"n": 1}', b'{"n": 2, "sessionId": "x", "session": "y"}')
        found = {
            name: [(await desk.post(body, name=name))[1]["sessionId"] for body in bodies]
            for name in ("push", "named", "named-too")
        }
    assert len(set(found["push"])) == 2
    assert len(set(found["named"])) == 1
    # The same name at another hook is another session.
    assert not set(found["named"]) & set(found["named-too"])


async def test_a_template_that_finds_nothing_is_refused(autojump_clock, desk):
    desk.hooks["push"] = attrs.evolve(GITHUB, template=" {missing.key} ")
    async with desk.running():
        for body, kind in ((b"{}", "invalid-params"), (b"{", "parse-error"), (b"", "parse-error")):
            with pytest.raises(GatewayError) as caught:
                await desk.post(body)
            assert caught.value.kind == kind


@pytest.mark.parametrize(
    "word", ["{}", "{__class__}", "%s%n", "\u202e", "\\u0000", "💩" * 1000, "'; --"]
)
async def test_naughty_words_are_only_words(autojump_clock, desk, word):
    async with desk.running():
        await desk.post(json.dumps({"repository": {"name": word}}).encode())
        assert await desk.questions() == [f"push to {word}"]


async def test_a_body_that_is_no_json_may_be_all_of_the_text(autojump_clock, desk):
    desk.hooks["push"] = attrs.evolve(GITHUB, template="It says: {}")
    async with desk.running():
        await desk.post("disk füll ".encode() + b"\xff")
        assert await desk.questions() == ["It says: disk füll \ufffd"]


async def test_a_hook_may_post_to_a_chat_instead(autojump_clock, desk):
    desk.hooks["push"] = attrs.evolve(GITHUB, agent=None, channel="telegram/main", to="42")
    async with desk.running():
        desk.full = True
        with pytest.raises(UnavailableError):
            await desk.post()
        desk.full = False
        assert await desk.post() == (202, {"sent": True})
        assert await desk.post() == (200, {"sent": True})
    assert [each[:3] for each in desk.sent] == [("telegram/main", "42", "push to žluť 🐈")]


async def test_a_bearer_says_who_he_is_with_a_token(autojump_clock, desk):
    desk.hooks["push"] = attrs.evolve(GITHUB, scheme="bearer", dedupe_header="X-Id")
    async with desk.running():
        assert (await desk.post(headers={"X-Id": "1"}))[0] == 202
        assert (await desk.post(headers={"X-Id": "2"}))[0] == 202
        assert (await desk.post(headers={"X-Id": "2"}))[0] == 200
        for wrong in (f"Bearer {SECRET}x", SECRET, f"Basic {SECRET}", f"Bearer {SECRET.upper()}"):
            with pytest.raises(UnverifiedError):
                await desk.post(headers={"Authorization": wrong})


async def test_hooks_are_posted_to_and_nothing_else(autojump_clock, desk):
    async with desk.running():
        with pytest.raises(GatewayError, match="posted to"):
            await desk.post(method="GET")


async def test_a_new_secret_counts_at_once_and_the_old_one_no_more(autojump_clock, desk):
    """Source: S18."""
    async with desk.running():
        old = sign(GITHUB, BODY, 0)
        desk.hooks = {"push": attrs.evolve(GITHUB, secret=Secret(SECRET[::-1]))}
        await desk.reload()
        with pytest.raises(UnverifiedError):
            await desk.post(headers=old)
        assert (await desk.post())[0] == 202
        assert desk.mounts.find("timed") is None
        assert not desk.mounts.is_away("timed")


async def test_a_hook_is_away_while_its_child_does_not_run(autojump_clock, desk):
    async with desk.running():
        assert not desk.mounts.is_away("push")
    assert desk.mounts.is_away("push")
