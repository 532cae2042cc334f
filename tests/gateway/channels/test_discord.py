"""A bot on a Discord that breaks, waits, refuses and lies: in memory, in virtual time."""

from contextlib import asynccontextmanager

import pytest
import trio
from fakes.discord import (
    ANN,
    CHANNEL,
    DM,
    FIRST_MESSAGE,
    ME,
    THREAD,
    TOKEN,
    FakeDiscord,
    message,
)

from gateway.channels.base import (
    Attachment,
    ChannelError,
    LostError,
    Media,
    Outbound,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.discord.channel import Bot
from gateway.channels.discord.closes import KEEPING
from gateway.channels.discord.session import Session
from gateway.channels.memory import MemoryLink
from gateway.config.channels import Discord
from gateway.config.setting import Secret
from gateway.errors import GatewayError


@pytest.fixture
async def fake():
    async with FakeDiscord().running() as fake:
        yield fake


def bot(fake, token=TOKEN):
    settings = Discord(token=Secret(token))
    return Bot(settings, transport=fake.transport, connect=fake.connect, spread=lambda: 0.5)


@asynccontextmanager
async def connected(fake, link=None):
    """Have a bot that runs until the body ends."""
    link, channel = link or MemoryLink(), bot(fake)
    before = len(link.identities)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, link)
        await until(link, lambda: len(link.identities) > before)
        # Not around the start: that has a thread, and meanwhile virtual time jumps.
        with trio.fail_after(10_000):
            yield channel, link
        nursery.cancel_scope.cancel()


async def until(link, condition):
    while not condition():
        link.news = trio.Event()
        await link.news.wait()


async def failure(fake, link=None, token=TOKEN):
    """Return how a bot fails."""
    with pytest.raises(ChannelError) as caught:
        await bot(fake, token).run(link or MemoryLink())
    return caught.value


async def run_again(fake, link, done, failures):
    """Be the supervisor: run bots, one after the other, until *done*."""
    async with trio.open_nursery() as nursery:

        async def rerun():
            while True:
                try:
                    await bot(fake).run(link)
                except LostError as error:
                    failures.append(error)
                    await trio.sleep(1)

        nursery.start_soon(rerun)
        await until(link, done)
        nursery.cancel_scope.cancel()


def out(text, key="k", place=None, **more):
    return Outbound(place or Place(DM), text, key, **more)


# -- receiving --------------------------------------------------------------------------


async def test_a_message_in_private_is_taken_with_who_wrote_it_and_when(autojump_clock, fake):
    async with connected(fake) as (_, link):
        fake.say(message(1, "hi"))
        await until(link, lambda: link.accepted)
    [taken] = link.accepted
    assert (taken.text, taken.sender.id, taken.sender.name) == ("hi", ANN["id"], "Ann")
    assert taken.place == Place(DM)
    assert taken.direct
    assert taken.at == pytest.approx(((FIRST_MESSAGE + 1 >> 22) + 1_420_070_400_000) / 1000)
    assert link.identities == ["assistant"]


async def test_a_message_in_a_thread_is_in_the_channel_of_the_thread(autojump_clock, fake):
    async with connected(fake) as (_, link):
        fake.say(message(1, "a", CHANNEL), message(2, "b", THREAD), message(3, "c", THREAD))
        await until(link, lambda: len(link.accepted) == 3)
    assert [each.place for each in link.accepted] == [
        Place(CHANNEL), Place(CHANNEL, THREAD), Place(CHANNEL, THREAD),
    ]  # fmt: skip
    assert not any(each.direct for each in link.accepted)
    # Asked once, and remembered.
    assert [each.path for each in fake.requests].count(f"/channels/{THREAD}") <= 1


async def test_what_bots_and_webhooks_and_we_ourselves_write_is_passed_over(autojump_clock, fake):
    async with connected(fake) as (_, link):
        fake.say(
            message(1, author=ME),
            message(2, author=ANN | {"id": "2002", "bot": True}),
            message(3, webhook_id="5"),
            message(4, type=7),
            message(5, "", attachments=[]),
            message(6, "for you"),
        )
        await until(link, lambda: link.accepted)
    assert [each.text for each in link.accepted] == ["for you"]


async def test_the_number_of_an_event_advances_only_when_its_message_is_on_the_disk(
    autojump_clock, fake
):
    class Slow(MemoryLink):
        async def accept(self, *messages, cursor=None):
            if messages:
                await trio.sleep_forever()
            await super().accept(*messages, cursor=cursor)

    link = Slow()
    async with connected(fake, link):
        before = Session.parse(link.cursor)
        fake.say(message(1))
        await trio.sleep(15)
    assert Session.parse(link.cursor) == before


async def test_what_is_damaged_is_passed_over_and_what_follows_is_taken(autojump_clock, fake):
    async with connected(fake) as (_, link):
        for odd in ("[]", "{}", "nonsense", '{"op":0,"t":7}', '{"op":99}', "[" * 5000):
            await fake.send(odd)
        for odd in (
            {}, [], None, "x", 5, {"id": 3}, message(1) | {"author": 5}, message(2, content=[]),
            message(3, mentions=7), message(4, attachments={"a": 1}),
        ):  # fmt: skip
            fake.emit("MESSAGE_CREATE", odd)
        fake.emit("GUILD_CREATE", {"threads": [{"id": 1}, None], "channels": 3})
        fake.say(message(9, "good"))
        await until(link, lambda: any(each.text == "good" for each in link.accepted))


# -- staying alive ----------------------------------------------------------------------


async def test_an_idle_connection_shows_a_sign_of_life_each_20_seconds(autojump_clock, fake):
    async with connected(fake) as (_, link):
        beats = link.beats
        await trio.sleep(600)
        assert link.beats - beats == pytest.approx(30, abs=1)
    [(first, _), *_] = [each for each in fake.frames if each[1]["op"] == 1]
    assert first == pytest.approx(fake.frames[0][0] + 10)  # half of the interval: the jitter


async def test_a_connection_without_acknowledgements_is_a_zombie(autojump_clock, fake):
    link = MemoryLink()
    async with trio.open_nursery() as nursery:

        async def fail():
            assert isinstance(await failure(fake, link), StalledError)
            nursery.cancel_scope.cancel()

        nursery.start_soon(fail)
        await until(link, lambda: link.identities)
        fake.acknowledges, since = False, trio.current_time()
        await trio.sleep_forever()
    assert trio.current_time() - since < 40
    assert fake.closes == [KEEPING]
    fake.acknowledges = True
    async with connected(fake, link):
        pass
    assert fake.logins == ["identify", "resume"]


async def test_a_heartbeat_that_discord_asks_for_comes_at_once_and_not_without_end(
    autojump_clock, fake
):
    async with connected(fake):
        before = len(fake.frames)
        for _ in range(500):
            await fake.send({"op": 1})
        await trio.sleep(0.5)
        assert len(fake.frames) == before + 1
        await trio.sleep(2)
        await fake.send({"op": 1})
        await trio.sleep(0.1)
        assert len(fake.frames) == before + 2
        assert fake.sockets


async def test_op_7_is_followed_by_a_resume_without_a_failure_of_the_child(autojump_clock, fake):
    async with connected(fake) as (_, link):
        fake.say(message(1))
        await until(link, lambda: len(link.accepted) == 1)
        await fake.send({"op": 7})
        fake.say(message(2))
        await until(link, lambda: len(link.accepted) == 2)
        await until(link, lambda: len(link.identities) == 2)
    assert fake.logins == ["identify", "resume"]
    assert fake.targets[-1].host == "gateway-us-east1-b.discord.gg"
    assert fake.closes[0] == KEEPING


@pytest.mark.parametrize(("resumable", "then"), [(True, "resume"), (False, "identify")])
async def test_op_9_says_whether_the_session_goes_on(autojump_clock, fake, resumable, then):
    async with connected(fake) as (_, link):
        await fake.send({"op": 9, "d": resumable})
        await until(link, lambda: len(link.identities) == 2)
    assert fake.logins == ["identify", then]


async def test_a_session_that_is_gone_is_followed_by_a_new_one(autojump_clock, fake):
    link = MemoryLink(cursor=Session("gone", "wss://elsewhere.discord.gg", 7).cursor)
    async with connected(fake, link):
        pass
    assert fake.logins == ["resume", "identify"]
    assert Session.parse(link.cursor).id == "session-1"


@pytest.mark.parametrize("code", [4007, 4009])
async def test_close_codes_that_end_a_session_are_followed_by_a_new_one(autojump_clock, fake, code):
    async with connected(fake) as (_, link):
        await fake.close(code)
        await until(link, lambda: len(link.identities) == 2)
    assert fake.logins == ["identify", "identify"]


async def test_who_is_never_let_in_gives_up_and_is_tried_again_by_the_supervisor(
    autojump_clock, fake
):
    fake.accepts_sessions, fake.resumable = False, True
    link = MemoryLink(cursor=Session("s", "wss://x.discord.gg", 7).cursor)
    error = await failure(fake, link)
    assert type(error) is LostError
    assert fake.logins == ["resume"] * 3


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"id":1}', '{"id":"a","url":"b","seq":true}'])
async def test_a_cursor_that_says_nothing_begins_a_new_session(autojump_clock, fake, cursor):
    async with connected(fake, MemoryLink(cursor=cursor)):
        pass
    assert fake.logins == ["identify"]


async def test_a_session_outlives_the_process_and_brings_what_was_said_meanwhile(
    autojump_clock, fake
):
    async with connected(fake) as (_, link):
        fake.say(message(1))
        await until(link, lambda: link.accepted)
    assert fake.closes == [KEEPING]  # 1000 would end the session
    fake.say(message(2, "while you were away"))
    again = MemoryLink(cursor=link.cursor)
    async with connected(fake, again):
        await until(again, lambda: again.accepted)
    assert [each.text for each in again.accepted] == ["while you were away"]
    assert fake.logins == ["identify", "resume"]


async def test_a_resume_does_not_depend_on_the_server_that_was_named_for_it(autojump_clock, fake):
    fake.unreachable.add("gone.discord.gg")
    link = MemoryLink()
    async with connected(fake, link):
        pass
    link.cursor = Session("session-1", "wss://gone.discord.gg", 2).cursor
    assert type(await failure(fake, link)) is LostError
    async with connected(fake, link):
        pass
    assert fake.logins == ["identify", "resume"]


async def test_of_1000_messages_none_is_lost_or_doubled_though_connections_break(
    autojump_clock, fake
):
    link, failures = MemoryLink(), []

    async def say():
        await fake.until(lambda: fake.sessions)
        fake.breaks = 0.02
        for number in range(1000):
            fake.say(message(number, f"{number}"))
            await trio.sleep(fake.spread.random())
            if fake.spread.random() < 0.005:
                await fake.send({"op": 7})
            if fake.spread.random() < 0.005:
                await fake.send({"op": 9, "d": True})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        await run_again(fake, link, lambda: len(link.accepted) >= 1000, failures)
    assert [each.text for each in link.accepted] == [f"{number}" for number in range(1000)]
    assert len(failures) > 5
    assert fake.logins.count("identify") == 1
    assert fake.logins.count("resume") > 10


# -- refusals ---------------------------------------------------------------------------


async def test_a_wrong_token_is_refused_for_good_and_asked_with_once(autojump_clock, fake):
    error = await failure(fake, token="wrong-secret")
    assert isinstance(error, RefusedForGoodError)
    assert "Reset Token" in error.message
    assert "wrong-secret" not in str(error)
    assert len(fake.requests) == 1


async def test_a_bot_that_may_not_read_messages_is_told_where_to_allow_it(autojump_clock, fake):
    fake.allowed_intents = 0
    error = await failure(fake)
    assert isinstance(error, RefusedForGoodError)
    assert "Message Content Intent" in error.message
    assert "4014" in error.message


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_fatal_close_codes_are_refusals_for_good(autojump_clock, fake, code):
    async def close():
        await fake.until(lambda: fake.sessions)
        await fake.close(code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close)
        assert isinstance(await failure(fake), RefusedForGoodError)


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4002, 4005, 4008])
async def test_other_close_codes_are_losses_and_the_session_stays(autojump_clock, fake, code):
    link = MemoryLink()

    async def close():
        await until(link, lambda: link.identities)
        await fake.close(code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close)
        assert isinstance(await failure(fake, link), LostError)
    assert Session.parse(link.cursor) is not None


async def test_logins_that_are_left_are_not_burned(autojump_clock, fake):
    fake.logins_left = 49
    error = await failure(fake)
    assert isinstance(error, RefusedForGoodError)
    assert "49 more logins" in error.message
    assert fake.logins == []


async def test_addresses_without_tls_are_not_connected_to(autojump_clock, fake):
    fake.gateway_url = "ws://gateway.discord.gg"
    assert "TLS" in (await failure(fake)).message
    assert fake.targets == []


@pytest.mark.parametrize(
    "hello", ["{}", "[]", "x", '{"op":10}', '{"op":10,"d":{"heartbeat_interval":0}}']
)
async def test_a_gateway_that_does_not_say_hello_is_lost(autojump_clock, fake, hello):
    fake.hello = hello
    assert "hello" in (await failure(fake)).message


@pytest.mark.parametrize("answer", [(500, {}, b"<html>"), (404, {}, {}), (200, {}, b"[]")])
async def test_a_login_that_makes_no_sense_is_a_loss(autojump_clock, fake, answer):
    fake.answers = [answer]
    assert isinstance(await failure(fake), LostError)


async def test_an_event_that_is_too_large_does_not_come_for_ever(autojump_clock, fake, monkeypatch):
    monkeypatch.setattr("gateway.channels.discord.reception.FRAME_BYTES", 20_000)
    async with connected(fake) as (_, link):
        fake.say(message(1, "x" * 30_000))
        await until(link, lambda: len(link.identities) == 2)
        fake.say(message(2, "small"))
        await until(link, lambda: link.accepted)
    assert fake.logins == ["identify", "identify"]


# -- sending ----------------------------------------------------------------------------


async def test_a_message_sent_twice_with_one_key_is_there_once(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        first = await channel.send(out("hi @everyone", "key", reply_to="77"))
        assert await channel.send(out("hi @everyone", "key")) == first
        await channel.send(out("hi", "other"))
    assert [each["content"] for each in fake.messages[DM]] == ["hi @everyone", "hi"]
    [sent, *_] = [each.json for each in fake.requests if each.method == "POST"]
    assert sent["allowed_mentions"]["parse"] == []
    assert sent["message_reference"] == {"message_id": "77", "fail_if_not_exists": False}


async def test_answers_in_a_thread_go_into_the_thread(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        await channel.send(out("hi", place=Place(CHANNEL, THREAD)))
    assert list(fake.messages) == [THREAD]


async def test_a_message_can_be_edited_and_typing_and_reactions_are_shown(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        sent = await channel.send(out("draft"))
        await channel.edit(Place(DM), sent, out("final"))
        await channel.typing(Place(DM), on=True)
        await channel.typing(Place(DM), on=False)
        await channel.react(Place(DM), sent, "\N{EYES}")
        with pytest.raises(UndeliverableError, match="Unknown Message"):
            await channel.edit(Place(DM), "1", out("x"))
    assert fake.messages[DM][0]["content"] == "final"
    paths = [(each.method, each.path) for each in fake.requests]
    assert paths.count(("POST", f"/channels/{DM}/typing")) == 1
    assert ("PUT", f"/channels/{DM}/messages/{sent}/reactions/%F0%9F%91%80/@me") in paths


async def test_a_file_is_sent_beside_its_text(autojump_clock, fake, tmp_path):
    path = tmp_path / "1"
    path.write_bytes(b"\x89PNG")
    async with connected(fake) as (channel, _):
        await channel.send(out("look", media=Media(path, "a.png", "image/png")))
    parts = fake.requests[-1].parts
    assert parts["files[0]"] == ("a.png", b"\x89PNG")
    assert fake.requests[-1].json["content"] == "look"


async def test_text_without_markup_is_shown_as_it_is(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        await channel.send(out("2*3*4 _x_", markup=False))
        await channel.send(out("*" * 1500, "k2", markup=False))
    texts = [each["content"] for each in fake.messages[DM]]
    assert texts == [r"2\*3\*4 \_x\_", "*" * 1500]


async def test_a_chat_that_is_gone_is_undeliverable_and_its_text_is_in_no_error(
    autojump_clock, fake
):
    async with connected(fake) as (channel, _):
        with pytest.raises(UndeliverableError, match="Unknown Channel"):
            await channel.send(out("secret", place=Place("../users")))
        with pytest.raises(UndeliverableError) as caught:
            await channel.send(out("secret" * 400))
    assert "secret" not in str(caught.value)


async def test_an_empty_bucket_is_waited_for_if_that_is_short(autojump_clock, fake):
    headers = {"x-ratelimit-bucket": "b", "x-ratelimit-remaining": "0",
               "x-ratelimit-reset-after": "3.5"}  # fmt: skip
    async with connected(fake) as (channel, _):
        fake.answers = [(200, headers, {"id": "1"})]
        await channel.send(out("a", "1"))
        since = trio.current_time()
        await channel.typing(Place(DM), on=True)  # another route
        await channel.send(out("b", "2", place=Place(CHANNEL)))  # another channel
        assert trio.current_time() - since < 1
        await channel.send(out("c", "3"))
        assert trio.current_time() - since == pytest.approx(3.5, abs=0.1)


async def test_an_empty_bucket_that_takes_long_is_said_without_asking(autojump_clock, fake):
    headers = {"x-ratelimit-bucket": "b", "x-ratelimit-remaining": "0",
               "x-ratelimit-reset-after": "30"}  # fmt: skip
    async with connected(fake) as (channel, _):
        fake.answers = [(200, headers, {"id": "1"})]
        await channel.send(out("a", "1"))
        asked = len(fake.requests)
        with pytest.raises(SlowDownError) as caught:
            await channel.send(out("b", "2"))
        assert caught.value.after == pytest.approx(30, abs=0.1)
        assert caught.value.scope == "chat"
        assert len(fake.requests) == asked


@pytest.mark.parametrize(
    ("headers", "body", "scope"),
    [
        ({"x-ratelimit-scope": "user"}, {"retry_after": 7.5, "global": False}, "chat"),
        ({"x-ratelimit-scope": "shared"}, {"retry_after": 7.5, "global": False}, "chat"),
        ({"x-ratelimit-scope": "global"}, {"retry_after": 7.5, "global": True}, "account"),
        ({"retry-after": "7.5"}, b"<html>cloudflare", "account"),
    ],
)
async def test_a_429_says_how_long_and_for_whom(autojump_clock, fake, headers, body, scope):
    async with connected(fake) as (channel, _):
        fake.answers = [(429, headers, body)]
        with pytest.raises(SlowDownError) as caught:
            await channel.send(out("a"))
        assert (caught.value.after, caught.value.scope) == (7.5, scope)
        # Kept to by everybody whom it concerns.
        asked = len(fake.requests)
        if scope == "account":
            with pytest.raises(SlowDownError):
                await channel.send(out("b", place=Place(CHANNEL)))
            assert len(fake.requests) == asked
        else:
            await channel.send(out("b", place=Place(CHANNEL)))


async def test_too_many_failures_stop_all_requests_before_discord_bans_the_address(
    autojump_clock, fake
):
    async with connected(fake) as (channel, _):
        fake.answers = [(403, {}, {"message": "Missing Access", "code": 50001})] * 600
        asked = len(fake.requests)
        refusals = 0
        for number in range(600):
            try:
                await channel.send(out("a", f"{number}"))
            except UndeliverableError:
                refusals += 1
            except SlowDownError as error:
                scope = error.scope
                break
        assert scope == "account"
        assert len(fake.requests) - asked == refusals == 500
        fake.answers = []
        await trio.sleep(601)
        await channel.send(out("again", "again"))


async def test_a_token_that_is_withdrawn_is_not_used_again(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        fake.answers = [(401, {}, {"message": "401: Unauthorized"})]
        for _ in range(2):
            with pytest.raises(RefusedForGoodError):
                await channel.send(out("a"))
        assert not fake.messages
        assert [each.method for each in fake.requests].count("POST") == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_failure_of_discord_may_have_done_it(autojump_clock, fake, status):
    async with connected(fake) as (channel, _):
        fake.answers = [(status, {}, b"oops")]
        with pytest.raises(LostError) as caught:
            await channel.send(out("a"))
        assert caught.value.maybe_done


async def test_a_probe_says_who_the_bot_is(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        assert (await channel.probe()).identity == "assistant"


# -- files ------------------------------------------------------------------------------

FILE = "https://cdn.discordapp.com/attachments/1/2/a.png?ex=1"


async def test_a_file_is_fetched_without_the_token_and_within_the_limit(autojump_clock, fake):
    async with connected(fake) as (channel, _):
        fake.answers = [(200, {}, b"12345"), (200, {}, b"12345"), (404, {}, b"")]
        assert await channel.fetch(Attachment("image", FILE), 5) == b"12345"
        assert "authorization" not in fake.requests[-1].headers
        with pytest.raises(GatewayError) as caught:
            await channel.fetch(Attachment("image", FILE), 4)
        assert caught.value.kind == "too-large"
        with pytest.raises(UndeliverableError):
            await channel.fetch(Attachment("image", FILE), 4)


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.discordapp.com/a",
        "https://cdn.discordapp.com.evil.example/a",
        "https://evil.example/cdn.discordapp.com",
        "https://cdn.discordapp.com:8080/a",
        "https://cdn.discordapp.com@evil.example/a",
        "https://[/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_no_file_is_fetched_from_anywhere_else(autojump_clock, fake, url):
    async with connected(fake) as (channel, _):
        asked = len(fake.requests)
        with pytest.raises(UndeliverableError):
            await channel.fetch(Attachment("image", url), 100)
        assert len(fake.requests) == asked
