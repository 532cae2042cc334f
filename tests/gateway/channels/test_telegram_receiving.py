"""What people write to a bot comes once, in order, and is acknowledged when it is stored."""

import pytest
import trio
import trio.testing
from fakes.telegram import ANN, BOT, FakeTelegram
from telegram_stage import channel_of, next_news, running, texts

from gateway.channels.base import LostError, RefusedForGoodError, StalledError
from gateway.channels.memory import MemoryLink
from gateway.channels.telegram.receiving import read_offset
from gateway.errors import UnavailableError
from gateway.web.hooks import HookRequest, UnverifiedError


async def ends(fake, link=None, **more):
    """Run a channel until it fails, and return with what, and after how long."""
    link, before = link or MemoryLink(), trio.current_time()
    with pytest.RaisesGroup(Exception, flatten_subgroups=True, allow_unwrapped=True) as caught:
        with trio.fail_after(1000):
            await channel_of(fake, **more).run(link)
    return caught.value, trio.current_time() - before


async def test_a_message_is_taken_and_then_confirmed(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake)) as link:
        assert link.identities == ["@butler_bot"]
        update = fake.say("hello")
        await texts(link, 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert fake.confirmed == update["update_id"]
        assert link.cursor == str(update["update_id"] + 1)
        (message,) = link.accepted
        assert message.sender.id == str(ANN["id"])
        assert message.direct


async def test_what_waits_at_the_first_start_is_taken_in_order(autojump_clock):
    fake = FakeTelegram()
    for number in range(130):
        fake.say(f"m{number}")
    async with running(channel_of(fake)) as link:
        assert await texts(link, 130) == [f"m{number}" for number in range(130)]


class Broken(MemoryLink):
    """Cannot store."""

    async def accept(self, *messages, cursor=None):
        if messages:
            raise UnavailableError("the disk is full")
        await super().accept(*messages, cursor=cursor)


async def test_what_could_not_be_stored_is_not_confirmed(autojump_clock):
    fake = FakeTelegram()
    fake.say("hello")
    error, _ = await ends(fake, Broken())
    assert isinstance(error, UnavailableError)
    assert fake.confirmed == 0
    async with running(channel_of(fake)) as link:
        assert await texts(link, 1) == ["hello"]


async def test_reading_goes_on_where_it_was(autojump_clock):
    fake = FakeTelegram()
    first = fake.say("before")
    fake.say("after")
    async with running(channel_of(fake), MemoryLink(str(first["update_id"] + 1))) as link:
        assert await texts(link, 1) == ["after"]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "9" * 40, "1.5", "null"])
def test_a_cursor_that_is_none_begins_at_what_waits(cursor):
    assert read_offset(cursor) is None


async def test_numbers_that_begin_anew_are_followed(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake)) as link:
        fake.say("one")
        await texts(link, 1)
        # What Telegram may do after a week of silence.
        fake.last_update = 5
        fake.say("two")
        assert await texts(link, 2) == ["one", "two"]
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert link.cursor == "7"
        assert fake.updates == []


async def test_an_idle_poll_is_a_sign_of_life_every_twenty_seconds(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake)) as link:
        beats = link.beats
        await trio.sleep(205)
        assert link.beats - beats == 10
        assert fake.polls == 1


async def test_a_poll_that_is_swallowed_is_noticed_within_thirty_seconds(autojump_clock):
    fake = FakeTelegram()
    link = MemoryLink()
    fake.fail("getUpdates", "refuse", code=429, parameters={"retry_after": 1})
    fake.fail("getUpdates", "stall")
    error, seconds = await ends(fake, link)
    assert isinstance(error, StalledError)
    assert seconds <= 30


async def test_an_account_is_not_connected_before_a_poll_has_worked(autojump_clock):
    fake, link = FakeTelegram(), MemoryLink()
    conflict = "Conflict: terminated by other getUpdates request"
    fake.fail("getUpdates", "refuse", code=409, description=conflict)
    error, _ = await ends(fake, link)
    assert isinstance(error, LostError)
    assert "another program" in error.message
    assert link.identities == []


async def test_of_two_gateways_with_one_token_one_is_told(autojump_clock):
    fake, told = FakeTelegram(), []

    async def first():
        told.append(await ends(fake))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(5)
        async with running(channel_of(fake)):
            await trio.sleep(1)
    ((error, _),) = told
    assert "another program" in error.message


async def test_a_webhook_that_is_set_is_removed_without_losing_anything(autojump_clock):
    fake = FakeTelegram()
    fake.webhook = {"url": "https://old.example"}
    fake.say("kept")
    async with running(channel_of(fake)) as link:
        assert await texts(link, 1) == ["kept"]
    assert fake.webhook == {}


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("getMe", {"kind": "refuse", "code": 401, "description": "Unauthorized"}),
        ("getMe", {"kind": "refuse", "code": 404, "description": "Not Found"}),
        ("getUpdates", {"kind": "refuse", "code": 401, "description": "Unauthorized"}),
    ],
)
async def test_a_token_that_is_not_known_is_not_tried_again(autojump_clock, method, fault):
    fake = FakeTelegram()
    fake.fail(method, **fault)
    error, _ = await ends(fake)
    assert isinstance(error, RefusedForGoodError)
    assert "@BotFather" in error.message


@pytest.mark.parametrize("method", ["getMe", "getUpdates"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse", "code": 500, "description": "Internal Server Error"},
        {"kind": "refuse", "code": 400, "description": "Bad Request: odd"},
        {"kind": "refuse", "code": 403, "description": "Forbidden"},
        {"kind": "refuse", "code": 429, "parameters": {"retry_after": 300}},
        {"kind": "html"},
        {"kind": "html", "code": 200},
        {"kind": "html", "code": 404},
        {"kind": "unknown"},
        {"kind": "stall"},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('code', '')}",
)
async def test_what_may_pass_is_left_to_another_attempt(autojump_clock, method, fault):
    fake = FakeTelegram()
    fake.fail(method, **fault)
    error, seconds = await ends(fake)
    assert isinstance(error, LostError)
    assert seconds <= 30


async def test_a_poll_waits_as_long_as_it_is_told(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake)) as link:
        fake.fail("getUpdates", "refuse", code=429, parameters={"retry_after": 9})
        fake.say("first")
        await texts(link, 1)
        calls, before = len(fake.calls), trio.current_time()
        fake.say("second")
        assert await texts(link, 2) == ["first", "second"]
        assert trio.current_time() - before == pytest.approx(9, abs=0.1)
        assert len(fake.calls) - calls <= 3


POISON = [
    {},
    {"message": None},
    {"message": 5},
    {"message": []},
    {"message": {"text": "no chat"}},
    {"message": {"message_id": "1", "chat": {"id": 1, "type": "private"}, "from": ANN}},
    {"message": {"message_id": 1, "chat": [], "from": ANN, "text": "x"}},
    {"message": {"message_id": 1, "chat": {"id": 1, "type": "channel"}, "from": ANN, "text": "x"}},
    {"message": {"message_id": 1, "chat": {"id": 1, "type": "private"}, "from": BOT, "text": "x"}},
    {"message": {"message_id": 1, "chat": {"id": 1, "type": "private"}, "text": "x"}},
    {"message": {"message_id": 1, "chat": {"id": 1, "type": "private"}, "from": ANN, "photo": [1]}},
    {"message": {"message_id": 1, "chat": {"id": 1, "type": "private"}, "from": ANN, "text": {}}},
    {"edited_message": {"message_id": 1}},
    {"poll": {"id": "1"}},
]


async def test_updates_that_are_none_of_ours_are_passed_over_and_confirmed(autojump_clock):
    fake = FakeTelegram()
    for update in POISON:
        fake.push(update)
    fake.say("after all that")
    async with running(channel_of(fake)) as link:
        assert await texts(link, 1) == ["after all that"]
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert fake.updates == []


# -- webhook ------------------------------------------------------------------------------

ADDRESS, SECRET = "https://home.example/hooks/telegram/main", "s3cret_token-1"


def posting(**more):
    from gateway.config.setting import Secret

    return {"webhook": ADDRESS, "webhook_secret": Secret(SECRET)} | more


def post(update, secret=SECRET):
    from json import dumps

    headers = {"x-telegram-bot-api-secret-token": secret} if secret is not None else {}
    return HookRequest("POST", headers=headers, body=dumps(update).encode())


async def test_a_webhook_is_answered_when_its_message_is_stored(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake, **posting())) as link:
        assert fake.webhook["url"] == ADDRESS
        assert fake.webhook["secret_token"] == SECRET
        answer = await link.hooks.find("test")(post(fake.say("hello")))
        assert answer.status == 200
        assert [each.text for each in link.accepted] == ["hello"]
    assert "getUpdates" not in fake.calls
    assert fake.webhook


async def test_a_post_that_could_not_be_stored_comes_again(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake, **posting()), Broken()) as link:
        with pytest.raises(UnavailableError):
            await link.hooks.find("test")(post(fake.say("hello")))


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", f"{SECRET},{SECRET}", "é"])
async def test_a_post_without_the_secret_is_refused(autojump_clock, secret):
    fake = FakeTelegram()
    async with running(channel_of(fake, **posting())) as link:
        with pytest.raises(UnverifiedError):
            await link.hooks.find("test")(post(fake.say("hello"), secret))
        assert link.accepted == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b'"x"', b'{"message":7}'])
async def test_a_post_that_says_nothing_does_not_come_again(autojump_clock, body):
    fake = FakeTelegram()
    async with running(channel_of(fake, **posting())) as link:
        request = HookRequest(
            "POST", headers={"x-telegram-bot-api-secret-token": SECRET}, body=body
        )
        assert (await link.hooks.find("test")(request)).status == 200
        assert link.accepted == []


async def test_a_webhook_is_alive_because_telegram_says_so(autojump_clock):
    fake = FakeTelegram()
    async with running(channel_of(fake, **posting())) as link:
        beats = link.beats
        await trio.sleep(205)
        assert link.beats - beats == 10


async def test_a_webhook_that_somebody_has_changed_is_set_again(autojump_clock):
    fake = FakeTelegram()

    async def change():
        await trio.sleep(100)
        fake.webhook = {"url": "https://other.example"}

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        error, _ = await ends(fake, **posting())
    assert isinstance(error, LostError)
    assert "changed the webhook" in error.message


@pytest.mark.parametrize(
    "more",
    [posting(webhook_secret=None), posting(webhook="http://home.example/hooks/telegram/main")],
    ids=["no secret", "no https"],
)
async def test_a_webhook_that_cannot_work_says_what_to_do(autojump_clock, more):
    error, _ = await ends(FakeTelegram(), **more)
    assert isinstance(error, RefusedForGoodError)
    assert "webhook" in error.message


async def test_a_group_that_moves_is_known_by_its_new_id(autojump_clock):
    from telegram_stage import outbound

    from gateway.channels.base import Place

    fake = FakeTelegram()
    fake.join(-5, "group")
    fake.join(-1005)
    channel = channel_of(fake)
    async with running(channel) as link:
        fake.say(None, chat=-5, migrate_to_chat_id=-1005)
        fake.moved[-5] = -1005
        await next_news(link)
        await channel.send(outbound("here", Place("-5")))
    assert fake.calls.count("sendMessage") == 1
    assert fake.done("sendMessage")[0]["chat_id"] == -1005
