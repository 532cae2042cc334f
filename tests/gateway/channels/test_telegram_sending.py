"""What a bot says arrives as it is meant, or fails with what it means."""

import httpx
import pytest
import trio
from fakes.telegram import ANN, FakeTelegram
from telegram_stage import GROUP, HOME, channel_of, outbound, running

from gateway.channels.base import (
    Attachment,
    ChannelError,
    LostError,
    MarkupError,
    Media,
    Place,
    RefusedForGoodError,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.telegram.sending import way
from gateway.errors import GatewayError


@pytest.fixture
def fake():
    fake = FakeTelegram()
    fake.join(GROUP)
    return fake


@pytest.fixture
async def channel(autojump_clock, fake, nursery):
    channel = channel_of(fake)
    async with running(channel):
        yield channel


async def test_a_text_is_formatted_and_its_id_is_unique_in_the_account(
    autojump_clock, channel, fake
):
    one = await channel.send(outbound("**bold** & `code`"))
    two = await channel.send(outbound("other", Place(str(GROUP))))
    assert one.startswith(f"{ANN['id']}:")
    assert two.startswith(f"{GROUP}:")
    (first, _) = fake.done("sendMessage")
    assert first["text"] == "<b>bold</b> &amp; <code>code</code>"
    assert first["parse_mode"] == "HTML"
    assert first["link_preview_options"] == {"is_disabled": True}


async def test_without_markup_a_text_is_sent_as_it_is(autojump_clock, channel, fake):
    await channel.send(outbound("**bold** <b>", markup=False))
    (sent,) = fake.done("sendMessage")
    assert sent["text"] == "**bold** <b>"
    assert "parse_mode" not in sent


async def test_a_text_that_formatting_would_make_too_long_goes_without(
    autojump_clock, channel, fake
):
    text = "|aaaaaaaaaaaaaaaaaaaaaaaa|b|\n|-|-|\n" + "|x|y|\n" * 600
    await channel.send(outbound(text))
    assert fake.texts == [text]


async def test_a_reply_and_a_topic_are_kept(autojump_clock, channel, fake):
    update = fake.say("hello", chat=GROUP)
    reply_to = f"{GROUP}:{update['message']['message_id']}"
    await channel.send(outbound("yes", Place(str(GROUP), "7"), reply_to=reply_to))
    (sent,) = fake.done("sendMessage")
    assert sent["message_thread_id"] == 7
    assert sent["reply_parameters"]["message_id"] == update["message"]["message_id"]


@pytest.mark.parametrize("reply_to", [f"{ANN['id']}:999999", "nonsense", "", "a:b"])
async def test_a_reply_to_what_is_gone_is_sent_nevertheless(
    autojump_clock, channel, fake, reply_to
):
    await channel.send(outbound("yes", reply_to=reply_to))
    assert fake.texts == ["yes"]


FAILURES = [
    ({"code": 400, "description": "Bad Request: can't parse entities: odd"}, MarkupError),
    ({"code": 400, "description": "Bad Request: message is too long"}, UndeliverableError),
    ({"code": 400, "description": "Bad Request: chat not found"}, UndeliverableError),
    ({"code": 403, "description": "Forbidden: bot was blocked by the user"}, UndeliverableError),
    ({"code": 404, "description": "Not Found"}, UndeliverableError),
    ({"code": 413, "description": "Request Entity Too Large"}, UndeliverableError),
    ({"code": 401, "description": "Unauthorized"}, RefusedForGoodError),
    ({"code": 429, "parameters": {"retry_after": 12}}, SlowDownError),
    ({"code": 500, "description": "Internal Server Error"}, LostError),
    ({"code": 409, "description": "Conflict"}, LostError),
]


@pytest.mark.parametrize(("fault", "kind"), FAILURES, ids=lambda each: str(each)[:60])
async def test_a_refusal_is_the_error_that_it_is(autojump_clock, channel, fake, fault, kind):
    fake.fail("sendMessage", "refuse", **fault)
    with pytest.raises(ChannelError) as caught:
        await channel.send(outbound("hello"))
    assert type(caught.value) is kind or isinstance(caught.value, kind)
    assert isinstance(caught.value, MarkupError) == (kind is MarkupError)


async def test_the_time_to_wait_is_told(autojump_clock, channel, fake):
    for seconds, told in ((12, 12), (1e9, 3600), ("soon", 1), (-5, 0), (None, 1)):
        fake.fail("sendMessage", "refuse", code=429, parameters={"retry_after": seconds})
        with pytest.raises(SlowDownError) as caught:
            await channel.send(outbound("hello"))
        assert caught.value.after == told


@pytest.mark.parametrize(("kind", "error"), [("html", LostError), ("stall", StalledError)])
async def test_nobody_knows_whether_what_got_no_answer_has_arrived(
    autojump_clock, channel, fake, kind, error
):
    fake.fail("sendMessage", kind)
    with pytest.raises(error) as caught:
        await channel.send(outbound("hello"))
    assert caught.value.maybe_done


async def test_a_send_that_could_not_connect_has_not_arrived(autojump_clock, channel, fake):
    async def gone(_):
        raise httpx.ConnectError("no route to host")

    channel.outlet.api.api.client._transport = httpx.MockTransport(gone)
    with pytest.raises(LostError) as caught:
        await channel.send(outbound("hello"))
    assert not caught.value.maybe_done


async def test_a_group_that_has_moved_gets_its_messages_at_once(autojump_clock, channel, fake):
    fake.join(-5, "group")
    fake.join(-1005)
    fake.moved[-5] = -1005
    first = await channel.send(outbound("one", Place("-5")))
    await channel.send(outbound("two", Place("-5")))
    assert first.startswith("-1005:")
    assert [each["chat_id"] for each in fake.done("sendMessage")] == [-1005, -1005]
    assert fake.calls.count("sendMessage") == 3


async def test_an_edit_replaces_and_one_without_a_change_is_fine(autojump_clock, channel, fake):
    sent = await channel.send(outbound("one"))
    await channel.edit(HOME, sent, outbound("**two**"))
    await channel.edit(HOME, sent, outbound("**two**"))
    (message,) = [each for each in fake.messages.values() if each["from"] == fake.bot]
    assert message["text"] == "two"


@pytest.mark.parametrize("message_id", ["777:999999", "nonsense", ""])
async def test_what_cannot_be_edited_says_so(autojump_clock, channel, message_id):
    with pytest.raises(UndeliverableError):
        await channel.edit(HOME, message_id, outbound("two"))


async def test_edits_in_a_group_are_paced_before_telegram_does_it(autojump_clock, channel, fake):
    place = Place(str(GROUP))
    sent = await channel.send(outbound("one", place))
    await channel.edit(place, sent, outbound("two", place))
    await trio.sleep(1)
    with pytest.raises(SlowDownError) as caught:
        await channel.edit(place, sent, outbound("three", place))
    assert caught.value.after == pytest.approx(2, abs=0.1)
    await trio.sleep(caught.value.after)
    await channel.edit(place, sent, outbound("three", place))
    assert fake.calls.count("editMessageText") == 2


async def test_a_draft_grows_under_one_number(autojump_clock, channel, fake):
    await channel.draft(HOME, "in-1", "thin")
    await channel.draft(HOME, "in-1", "thinking **ab")
    await channel.draft(HOME, "in-2", "other")
    one, two, three = fake.done("sendMessageDraft")
    assert one["draft_id"] == two["draft_id"] != three["draft_id"]
    assert 0 < one["draft_id"] < 2**31
    assert two["text"] == "thinking **ab"


async def test_typing_and_reactions_are_shown(autojump_clock, channel, fake):
    update = fake.say("hello")
    message_id = f"{ANN['id']}:{update['message']['message_id']}"
    await channel.typing(HOME, on=True)
    await channel.typing(HOME, on=False)
    await channel.react(HOME, message_id, "👀")
    await channel.react(HOME, message_id, "")
    assert [each["action"] for each in fake.done("sendChatAction")] == ["typing"]
    assert [each["reaction"] for each in fake.done("setMessageReaction")] == [
        [{"type": "emoji", "emoji": "👀"}],
        [],
    ]
    with pytest.raises(UndeliverableError):
        await channel.react(HOME, message_id, "🦥")


async def test_what_is_not_connected_cannot_send(fake):
    with pytest.raises(LostError) as caught:
        await channel_of(fake).send(outbound("hello"))
    assert not caught.value.maybe_done


async def test_a_probe_says_who_we_are(autojump_clock, channel):
    assert (await channel.probe()).identity == "@butler_bot"


# -- files --------------------------------------------------------------------------------


@pytest.fixture
def media(tmp_path):
    def make(name, mime, content=b"content"):
        path = tmp_path / "stored"
        path.write_bytes(content)
        return Media(path, name, mime)

    return make


PNG = b"\x89PNG and so on"


@pytest.mark.parametrize(
    "case",
    [
        ("image/png", PNG, "sendPhoto"),
        ("image/png", b"not a picture", "sendDocument"),
        ("image/svg+xml", b"<svg/>", "sendDocument"),
        ("audio/mpeg", b"mp3", "sendAudio"),
        ("audio/ogg; codecs=opus", b"ogg", "sendVoice"),
        ("video/mp4", b"mp4", "sendVideo"),
        ("text/plain", b"text", "sendDocument"),
        ("", b"", "sendDocument"),
    ],
)
async def test_a_file_is_sent_as_what_it_is(autojump_clock, channel, fake, media, case):
    mime, content, method = case
    file = media("näme.bin", mime, content)
    sent = await channel.send(outbound("**see**", media=file))
    assert [each["method"] for each in fake.sent] == [method]
    assert fake.sent[0]["parameters"]["caption"] == "<b>see</b>"
    ((name, stored, _),) = fake.files.values()
    assert (name, stored) == ("näme.bin", content)
    assert sent.startswith(f"{ANN['id']}:")


def test_a_picture_that_is_too_large_for_one_is_a_document():
    assert way("image/jpeg", 10_000_000) == ("sendPhoto", "photo")
    assert way("image/jpeg", 10_000_001) == ("sendDocument", "document")


async def test_a_long_text_follows_its_file(autojump_clock, channel, fake, media):
    text = "x" * 1025
    await channel.send(outbound(text, media=media("a.txt", "text/plain")))
    assert [each["method"] for each in fake.sent] == ["sendDocument", "sendMessage"]
    assert fake.texts == [text]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse", "code": 429, "parameters": {"retry_after": 1}},
        {"kind": "refuse", "code": 502},
    ],
)
async def test_a_file_whose_text_failed_may_have_arrived(
    autojump_clock, channel, fake, media, fault
):
    fake.fail("sendMessage", **fault)
    with pytest.raises(LostError) as caught:
        await channel.send(outbound("x" * 1025, media=media("a.txt", "text/plain")))
    assert caught.value.maybe_done


async def test_a_file_without_text_has_no_caption(autojump_clock, channel, fake, media):
    await channel.send(outbound("", media=media("a.txt", "text/plain")))
    assert "caption" not in fake.sent[0]["parameters"]


async def test_a_file_comes_back_as_it_was(autojump_clock, channel, fake):
    content = bytes(range(256)) * 100
    known = fake.add_file(content)
    file = Attachment("file", known["file_id"], size=len(content))
    assert await channel.fetch(file, len(content)) == content


async def test_a_file_that_is_too_large_is_not_read(autojump_clock, channel, fake):
    known = fake.add_file(bytes(1001))
    for size in (1001, None):
        with pytest.raises(GatewayError) as caught:
            await channel.fetch(Attachment("file", known["file_id"], size=size), 1000)
        assert caught.value.kind == "too-large"
    fake.fail("getFile", "refuse", code=400, description="Bad Request: file is too big")
    with pytest.raises(GatewayError) as caught:
        await channel.fetch(Attachment("file", known["file_id"]), 10_000)
    assert caught.value.kind == "too-large"
    assert not any(call.startswith("file-") for call in fake.calls)


class Lying(FakeTelegram):
    """Says that each file is small."""

    def _getFile(self, parameters, files):  # noqa: N802  as the Bot API calls it
        return super()._getFile(parameters, files) | {"file_size": 10}


async def test_a_file_that_lies_about_its_size_is_cut_off(autojump_clock):
    fake = Lying()
    known, channel = fake.add_file(bytes(10_000)), channel_of(fake)
    async with running(channel):
        with pytest.raises(GatewayError) as caught:
            await channel.fetch(Attachment("file", known["file_id"], size=10), 1000)
    assert caught.value.kind == "too-large"


async def test_a_file_that_is_gone_says_so(autojump_clock, channel):
    with pytest.raises(ChannelError):
        await channel.fetch(Attachment("file", "unknown"), 1000)
