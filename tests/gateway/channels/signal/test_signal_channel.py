"""The channel against a fake daemon in memory, in virtual time, with everything going wrong."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from fakes.signal import ANN, GROUP, NUMBER, FakeSignal, envelope

from gateway.channels.base import (
    Attachment,
    LostError,
    Media,
    Outbound,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.memory import MemoryLink
from gateway.channels.signal import make
from gateway.config.channels import Signal
from gateway.errors import GatewayError, leaves
from gateway.web.client import load_httpx

# Now, as in virtual time nothing can wait for a thread.
load_httpx()


@attrs.define
class Stage:
    fake: FakeSignal = attrs.field(factory=FakeSignal)
    link: MemoryLink = attrs.field(factory=MemoryLink)
    channel: object = None
    error: Exception | None = None
    over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self):
        """Run the channel once; remember why it ended."""
        self.channel = make(Signal(number=NUMBER, url="http://signal.test"))
        self.channel.transport = self.fake.transport
        try:
            await self.channel.run(self.link)
        except* (LostError, RefusedForGoodError) as group:
            self.error = leaves(group)[0]
        self.over.set()

    async def ended(self):
        with trio.fail_after(1000):
            await self.run()
        return self.error

    @asynccontextmanager
    async def running(self):
        """Have the channel run; when the body is over, stop it if it has not ended."""
        known = len(self.link.identities)
        with trio.fail_after(100_000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run)
                while len(self.link.identities) == known:
                    self.link.news = trio.Event()
                    await self.link.news.wait()
                yield self
                nursery.cancel_scope.cancel()

    async def heard(self):
        await trio.testing.wait_all_tasks_blocked()
        return [each.text for each in self.link.accepted]


@pytest.fixture
def stage(autojump_clock):
    return Stage()


def outbound(text, chat=ANN, **more):
    return Outbound(Place(chat), text, "k", **more)


# -- receiving ----------------------------------------------------------------------------


async def test_what_is_written_is_heard_and_remembered(autojump_clock, stage):
    async with stage.running():
        assert stage.link.identities == [NUMBER]
        stage.fake.say(envelope("one", 1001), envelope("two", 1002))
        assert await stage.heard() == ["one", "two"]
        assert stage.link.cursor == "1000-2"
    assert stage.fake.resumed == [None]


async def test_after_an_end_nothing_is_lost_and_nothing_comes_twice(autojump_clock, stage):
    async with stage.running():
        stage.fake.say(envelope("one", 1001))
        assert await stage.heard() == ["one"]
        stage.fake.cut()
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(stage.error, LostError)
    stage.fake.say(envelope("two", 1002))
    async with stage.running():
        assert await stage.heard() == ["one", "two"]
    assert stage.fake.resumed == [None, "1000-1"]


async def test_a_replay_of_everything_is_taken_once(autojump_clock, stage):
    stage.link.cursor = "77-5"
    stage.fake.say(*(envelope(str(number), 1000 + number) for number in range(1200)))
    async with stage.running():
        assert len(await stage.heard()) == 1000
    stage.link.cursor = "of another daemon"
    async with stage.running():
        assert len(await stage.heard()) == 1000
    assert stage.fake.resumed == ["77-5", None]


async def test_an_event_cut_in_the_middle_is_not_taken_and_comes_again(autojump_clock, stage):
    async with stage.running():
        stage.fake.say(envelope("one", 1001))
        await trio.testing.wait_all_tasks_blocked()
        event = stage.fake._keep('{"envelope": {}}')
        stage.fake.write(event[: len(event) // 2])
        stage.fake.cut()
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(stage.error, LostError)
    assert stage.link.cursor == "1000-1"


async def test_an_old_daemon_without_ids_will_do(autojump_clock, stage):
    stage.fake.ids = False
    async with stage.running():
        stage.fake.say(envelope("one", 1001))
        assert await stage.heard() == ["one"]
        assert stage.link.cursor is None


@pytest.mark.parametrize(
    "event",
    [
        b"id:1000-9\ndata:{not json\n\n",
        b"id:1000-9\ndata:" + b"[" * 5000 + b"\n\n",
        b"data:\xff\xfe\n\n",
        b'event:other\ndata:{"envelope": {"dataMessage": 5}}\n\n',
        b"retry: never\nunknown\n\n",
    ],
)
async def test_an_event_that_cannot_be_read_is_left_out(autojump_clock, stage, event):
    async with stage.running():
        stage.fake.write(event)
        stage.fake.say(envelope("next", 1002))
        assert await stage.heard() == ["next"]


async def test_a_line_without_end_is_not_read_for_ever(autojump_clock, stage):
    async with stage.running():
        for _ in range(40):
            stage.fake.write(b"x" * 65536)
        await trio.testing.wait_all_tasks_blocked()
        assert "more than" in stage.error.message


async def test_more_than_can_be_written_down_does_not_fill_the_memory(autojump_clock, stage):
    class Stuck(MemoryLink):
        async def accept(self, *messages, cursor=None):
            await trio.sleep_forever()

    stage.link = Stuck()
    async with stage.running():
        for number in range(30):
            stage.fake.say(envelope("x" * 900_000, 1000 + number))
            await trio.testing.wait_all_tasks_blocked()
            if not stage.fake.listeners:
                break
        # The connection is given up, long before all of it has been read.
        assert 10 < number < 25


async def test_the_comments_of_the_daemon_are_its_sign_of_life(autojump_clock, stage):
    async with stage.running():
        beats = stage.link.beats
        await trio.sleep(300)
        assert stage.error is None
        assert stage.link.beats - beats >= 300 // 30


async def test_a_daemon_that_falls_silent_is_noticed_in_time(autojump_clock, stage):
    async with stage.running():
        stage.fake.keep_alive = 1e6
        began = trio.current_time()
        await stage.over.wait()
        assert isinstance(stage.error, StalledError)
        # One comment was under way.
        assert trio.current_time() - began <= 15 + 40


async def test_bytes_that_end_no_line_are_no_sign_of_life(autojump_clock, stage):
    async with stage.running():
        while not stage.over.is_set():
            stage.fake.write(b".")
            with trio.move_on_after(1):
                await stage.over.wait()
        assert isinstance(stage.error, StalledError)
        assert trio.current_time() <= 50


@pytest.mark.parametrize("path", ["/api/v1/check", "/api/v1/events"])
async def test_a_daemon_that_does_not_answer_is_noticed_at_once(autojump_clock, stage, path):
    stage.fake.faults[path] = ["hang"]
    assert isinstance(await stage.ended(), StalledError)
    assert trio.current_time() <= 15
    assert stage.link.identities == []


@pytest.mark.parametrize("path", ["/api/v1/check", "/api/v1/events"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, LostError),
        (503, LostError),
        (404, RefusedForGoodError),
        (401, RefusedForGoodError),
        (400, RefusedForGoodError),
    ],
)
async def test_what_a_status_means_is_told(autojump_clock, stage, path, status, kind):
    stage.fake.faults[path] = [status]
    assert type(await stage.ended()) is kind
    assert stage.link.identities == []


async def test_a_web_page_is_no_daemon(autojump_clock, stage):
    stage.fake.faults["/api/v1/events"] = [b"<html>"]
    assert "no stream" in (await stage.ended()).message


async def test_a_restarted_daemon_is_found_again(autojump_clock, stage):
    async with stage.running():
        stage.fake.say(envelope("one", 1001))
        await stage.heard()
        stage.fake.restart()
        await trio.testing.wait_all_tasks_blocked()
    stage.fake.say(envelope("two", 1002))
    async with stage.running():
        assert await stage.heard() == ["one", "two"]
        assert stage.link.cursor == "2000-1"


# -- sending ------------------------------------------------------------------------------


async def test_an_answer_is_sent_with_its_styles_to_a_person(autojump_clock, stage):
    async with stage.running():
        sent = await stage.channel.send(outbound("**hi** 🎉", reply_to=f"{ANN}/1001"))
    assert sent == f"{NUMBER}/1800000000001"
    assert stage.fake.called("send") == [
        {
            "account": NUMBER,
            "recipient": [ANN],
            "message": "hi 🎉",
            "textStyles": ["0:2:BOLD"],
            "quoteTimestamp": 1001,
            "quoteAuthor": ANN,
        }
    ]


async def test_a_group_is_written_to_by_its_id(autojump_clock, stage):
    async with stage.running():
        await stage.channel.send(outbound("*hi*", GROUP, markup=False, reply_to="no reference"))
        await stage.channel.typing(Place(GROUP), on=True)
        await stage.channel.typing(Place(GROUP), on=False)
        await stage.channel.react(Place(GROUP), f"{ANN}/1001", "👍")
    to = {"account": NUMBER, "groupId": GROUP}
    assert stage.fake.called("send") == [to | {"message": "*hi*"}]
    assert stage.fake.called("sendTyping") == [to, to | {"stop": True}]
    assert stage.fake.called("sendReaction") == [
        to | {"emoji": "👍", "targetAuthor": ANN, "targetTimestamp": 1001}
    ]


async def test_a_file_is_sent_with_its_name(autojump_clock, stage, tmp_path, monkeypatch):
    async def read(media, limit):
        await trio.lowlevel.checkpoint()
        if media.path.name == "small":
            return b"content"
        raise UndeliverableError(f"files may have {limit} bytes")

    # In virtual time nothing waits for a thread.
    monkeypatch.setattr(Media, "read", read)
    media = Media(tmp_path / "small", 'a";/b.txt', "text/plain")
    async with stage.running():
        await stage.channel.send(outbound("", media=media))
        with pytest.raises(UndeliverableError):
            large = Media(tmp_path / "large", "b", "text/plain")
            await stage.channel.send(outbound("", media=large))
    (params,) = stage.fake.called("send")
    assert params["attachments"] == ["data:text/plain;filename=ab.txt;base64,Y29udGVudA=="]


FAILED = {"response": {"timestamp": 1, "results": [{"type": "RATE_LIMIT_FAILURE",
                                                     "retryAfterSeconds": 42}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "data", "kind"),
    [
        (-1, None, UndeliverableError),
        (-3, None, LostError),
        (-4, None, UndeliverableError),
        (-5, FAILED, SlowDownError),
        (-5, None, SlowDownError),
        (-6, None, UndeliverableError),
        (-32602, None, UndeliverableError),
        (-32603, None, LostError),
        (77, "odd", LostError),
        (None, None, LostError),
    ],
)
async def test_what_an_error_of_the_daemon_means_is_told(autojump_clock, stage, code, data, kind):
    stage.fake.errors["send"] = {"code": code, "message": "why", "data": data}
    async with stage.running():
        with pytest.raises(kind) as caught:
            await stage.channel.send(outbound("hi"))
    if kind is SlowDownError:
        assert (caught.value.after, caught.value.scope) == (42 if data else 60, "account")
    if kind is LostError:
        assert caught.value.maybe_done


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (["UNREGISTERED_FAILURE"], UndeliverableError),
        (["IDENTITY_FAILURE"], UndeliverableError),
        (["RATE_LIMIT_FAILURE", "UNREGISTERED_FAILURE"], SlowDownError),
        (["NETWORK_FAILURE"], LostError),
        (["SUCCESS", "UNREGISTERED_FAILURE"], None),
        ([], None),
    ],
)
async def test_a_message_that_reached_nobody_was_not_sent(autojump_clock, stage, types, kind):
    results = [{"type": each} for each in types]
    stage.fake.results["send"] = {"timestamp": 5, "results": results}
    async with stage.running():
        if kind is None:
            assert await stage.channel.send(outbound("hi")) == f"{NUMBER}/5"
            return
        with pytest.raises(kind):
            await stage.channel.send(outbound("hi"))


@pytest.mark.parametrize("fault", ["hang", 500, b"{", b"[]", b'{"result": {}}', b'{"result": []}'])
async def test_no_answer_leaves_open_whether_it_was_sent(autojump_clock, stage, fault):
    async with stage.running():
        stage.fake.faults["/api/v1/rpc"] = [fault]
        with pytest.raises(LostError) as caught:
            await stage.channel.send(outbound("hi"))
    assert caught.value.maybe_done


async def test_who_is_not_connected_cannot_send(autojump_clock, stage):
    channel = make(Signal(number=NUMBER))
    with pytest.raises(LostError) as caught:
        await channel.send(outbound("hi"))
    assert not caught.value.maybe_done


async def test_an_account_that_the_daemon_has_not_is_refused_for_good(autojump_clock, stage):
    channel = make(Signal(number="+1555"))
    channel.transport = stage.fake.transport
    with pytest.RaisesGroup(RefusedForGoodError, flatten_subgroups=True, allow_unwrapped=True):
        await channel.run(stage.link)


# -- files and probe ----------------------------------------------------------------------


async def test_a_file_is_fetched_within_its_limit(autojump_clock, stage):
    stage.fake.files["abc"] = bytes(range(256)) * 100
    file = Attachment("file", f"{ANN} abc")
    async with stage.running():
        assert await stage.channel.fetch(file, 25_600) == stage.fake.files["abc"]
        for limit in (25_599, 100):
            with pytest.raises(GatewayError) as caught:
                await stage.channel.fetch(file, limit)
            assert caught.value.kind == "too-large"
        calls = len(stage.fake.calls)
        with pytest.raises(GatewayError):
            await stage.channel.fetch(attrs.evolve(file, size=200), 100)
        assert len(stage.fake.calls) == calls
        with pytest.raises(UndeliverableError):
            await stage.channel.fetch(Attachment("file", f"{ANN} gone"), 100)
        stage.fake.results["getAttachment"] = {"data": "no base64!"}
        with pytest.raises(UndeliverableError):
            await stage.channel.fetch(file, 100)


async def test_a_probe_asks_the_daemon(autojump_clock, stage):
    async with stage.running():
        assert (await stage.channel.probe()).identity == NUMBER
        stage.fake.faults["/api/v1/check"] = [500]
        with pytest.raises(LostError):
            await stage.channel.probe()
