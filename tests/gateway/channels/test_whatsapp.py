"""WhatsApp: what Meta posts is proven, stored and taken once; what is sent means what it says."""

from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
import trio
from fakes.whatsapp import (
    ANN,
    ANN_USER,
    APP_SECRET,
    NUMBER,
    OTHER_NUMBER,
    TOKEN,
    VERIFY_TOKEN,
    FakeWhatsApp,
    GraphError,
    as_meta_writes,
    message,
    post,
    signature,
    status,
)
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.channels.base import (
    Attachment,
    LostError,
    Media,
    Outbound,
    Place,
    RefusedForGoodError,
    Sender,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.memory import MemoryLink
from gateway.channels.whatsapp import make
from gateway.channels.whatsapp.channel import formatted, kind_of
from gateway.channels.whatsapp.markup import to_whatsapp
from gateway.channels.whatsapp.webhooks import failures, read_messages, values
from gateway.config.channels import WhatsApp
from gateway.config.setting import Secret
from gateway.errors import GatewayError, UnavailableError
from gateway.web.client import load_httpx
from gateway.web.hooks import HookRequest, UnverifiedError

load_httpx()
HOME = Place(ANN)


def channel_of(fake, **more):
    channel = make(
        WhatsApp(
            **{
                "phone_number_id": NUMBER,
                "token": Secret(TOKEN),
                "app_secret": Secret(APP_SECRET),
                "verify_token": Secret(VERIFY_TOKEN),
                "api": fake.url,
            }
            | more
        )
    )
    channel.transport = httpx.ASGITransport(fake)
    return channel


@asynccontextmanager
async def running(channel, link=None):
    link = link or MemoryLink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run, link)
        while not link.identities:
            link.news = trio.Event()
            await link.news.wait()
        yield link
        nursery.cancel_scope.cancel()


async def ends(fake, **more):
    with pytest.RaisesGroup(Exception, flatten_subgroups=True, allow_unwrapped=True) as caught:
        with trio.fail_after(1000):
            await channel_of(fake, **more).run(MemoryLink())
    return caught.value


async def deliver(link, content, signed=None):
    """Have Meta post; *signed* replaces the signature."""
    body = content if isinstance(content, bytes) else as_meta_writes(content)
    headers = {"x-hub-signature-256": signature(body) if signed is None else signed}
    return await link.hooks.find("test")(HookRequest("POST", headers=headers, body=body))


# -- who posts ----------------------------------------------------------------------------


def asking(**more):
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": VERIFY_TOKEN,
        "hub.challenge": "1158201444",
    } | more
    return HookRequest("GET", query={name: value for name, value in query.items() if value})


async def test_the_address_is_proven_to_meta(autojump_clock):
    async with running(channel_of(FakeWhatsApp())) as link:
        answer = await link.hooks.find("test")(asking())
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert answer.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    "more",
    [
        {"hub.verify_token": "wrong"},
        {"hub.verify_token": None},
        {"hub.verify_token": "é"},
        {"hub.mode": "unsubscribe"},
        {"hub.mode": None},
        {"hub.challenge": None},
        {"hub.challenge": "<script>"},
        {"hub.challenge": "1" * 300},
    ],
    ids=str,
)
async def test_nobody_else_learns_that_it_is_our_address(autojump_clock, more):
    async with running(channel_of(FakeWhatsApp())) as link:
        with pytest.raises(UnverifiedError):
            await link.hooks.find("test")(asking(**more))


BODY = as_meta_writes(post(message()))


@pytest.mark.parametrize(
    "signed",
    [
        "",
        "sha256=",
        signature(BODY).removeprefix("sha256="),
        signature(BODY).upper(),
        signature(BODY, "another secret"),
        signature(BODY + b" "),
        f"{signature(BODY)},{signature(BODY)}",
        signature(BODY)[:-1],
        "sha1=" + signature(BODY)[7:47],
        "sha256=é",
    ],
)
async def test_a_post_that_is_not_signed_by_meta_is_refused(autojump_clock, signed):
    async with running(channel_of(FakeWhatsApp())) as link:
        with pytest.raises(UnverifiedError):
            await deliver(link, BODY, signed)
        assert link.accepted == []


async def test_the_signature_is_of_the_bytes_and_not_of_what_they_mean(autojump_clock):
    said = "h\u00e9llo \N{PILE OF POO} </a>"
    content = post(message(text={"body": said}))
    escaped, raw = as_meta_writes(content), httpx.Request("POST", "http://x", json=content).read()
    assert escaped != raw
    async with running(channel_of(FakeWhatsApp())) as link:
        await deliver(link, escaped)
        with pytest.raises(UnverifiedError):
            await deliver(link, raw, signature(escaped))
    assert [each.text for each in link.accepted] == [said]


# -- what is posted -----------------------------------------------------------------------


async def test_a_message_is_answered_when_it_is_stored(autojump_clock):
    async with running(channel_of(FakeWhatsApp())) as link:
        assert (await deliver(link, BODY)).status == 200
    (found,) = link.accepted
    assert found.id == "wamid.1"
    assert found.place == HOME
    assert found.sender == Sender(ANN, "Ann")
    assert (found.text, found.at, found.direct) == ("hello", 1_700_000_000, True)


class Broken(MemoryLink):
    """Cannot store."""

    async def accept(self, *messages, cursor=None):
        raise UnavailableError("the disk is full")


async def test_what_could_not_be_stored_is_posted_again(autojump_clock):
    async with running(channel_of(FakeWhatsApp()), Broken()) as link:
        with pytest.raises(UnavailableError):
            await deliver(link, BODY)


async def test_what_is_posted_again_and_out_of_order_is_taken_once(autojump_clock):
    one, two = post(message(number="wamid.1")), post(message(number="wamid.2"))
    read = post(statuses=[status("wamid.out-1", "read")])
    delivered = post(statuses=[status("wamid.out-1", "delivered")])
    async with running(channel_of(FakeWhatsApp())) as link:
        for each in (two, read, one, delivered, two, one, read):
            assert (await deliver(link, each)).status == 200
    assert [each.id for each in link.accepted] == ["wamid.2", "wamid.1"]


async def test_messages_for_another_number_are_not_ours(autojump_clock):
    async with running(channel_of(FakeWhatsApp())) as link:
        assert (await deliver(link, post(message(), number=OTHER_NUMBER))).status == 200
        assert link.accepted == []


async def test_a_message_that_failed_later_is_in_the_log(autojump_clock):
    failed = status("wamid.out-1", "failed", errors=[{"code": 131047, "title": "Re-engagement"}])
    with structlog.testing.capture_logs() as logs:
        async with running(channel_of(FakeWhatsApp())) as link:
            await deliver(link, post(statuses=[failed]))
    assert any("templates" in each.get("why", "") for each in logs)


KINDS = [
    (message(context={"from": "15550783881", "id": "wamid.0"}), "hello", None),
    (message("image", image={"id": "7", "mime_type": "image/png", "caption": "see"}),
     "see", ("image", "7", "image.jpg", "image/png")),
    (message("audio", audio={"id": "7", "mime_type": "audio/ogg; codecs=opus", "voice": True}),
     "", ("audio", "7", "audio.ogg", "audio/ogg; codecs=opus")),
    (message("video", video={"id": "7", "mime_type": "video/mp4"}),
     "", ("video", "7", "video.mp4", "video/mp4")),
    (message("document", document={"id": "7", "filename": "a.pdf", "mime_type": "application/pdf"}),
     "", ("file", "7", "a.pdf", "application/pdf")),
    (message("sticker", sticker={"id": "7", "mime_type": "image/webp"}),
     "", ("image", "7", "sticker.webp", "image/webp")),
    (message("button", button={"text": "Yes", "payload": "yes"}), "Yes", None),
    (message("interactive", interactive={"type": "button_reply",
                                         "button_reply": {"id": "1", "title": "No"}}), "No", None),
    (message("interactive", interactive={"type": "list_reply",
                                         "list_reply": {"id": "1", "title": "Two"}}), "Two", None),
    (message("location", location={"latitude": 1, "longitude": 2}), "[location]", None),
    (message("unsupported", errors=[{"code": 131051}]), "[unsupported]", None),
    (message("contacts", contacts=[]), "[contacts]", None),
]  # fmt: skip


@pytest.mark.parametrize(("content", "text", "file"), KINDS, ids=lambda each: str(each)[-40:])
def test_a_message_of_any_kind_is_read(content, text, file):
    (value,) = values(post(content), NUMBER)
    (found,) = read_messages(value)
    assert found.text == text
    if file:
        (attachment,) = found.attachments
        assert (attachment.kind, attachment.ref, attachment.name, attachment.mime) == file
    assert found.reply_to == content.get("context", {}).get("id")


@pytest.mark.parametrize(
    "content",
    [
        message("reaction", reaction={"message_id": "wamid.0", "emoji": "x"}),
        message("system", system={"body": "changed"}),
        message(group_id="g-1"),
        message(number=""),
        {},
        {"from": ANN, "id": 5, "type": "text"},
        {"from": [], "id": "x", "type": "text"},
    ],
    ids=str,
)
def test_what_nobody_has_to_answer_is_passed_over(content):
    (value,) = values(post(content), NUMBER)
    assert list(read_messages(value)) == []


async def test_somebody_who_hides_the_number_is_answered_by_id(autojump_clock):
    fake = FakeWhatsApp()
    hidden = message()
    del hidden["from"]
    channel = channel_of(fake)
    async with running(channel) as link:
        await deliver(link, post(hidden))
        await channel.send(Outbound(link.accepted[0].place, "yes", "k"))
    assert fake.sent[0]["to"] == ANN_USER


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(
    ["id", "from", "type", "text", "body", "image", "context", "value", "field"]
)
JUNK = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(NAMES, LEAF, max_size=3)


@given(st.dictionaries(NAMES, JUNK, max_size=4), JUNK)
@examples(max_examples=100, deadline=None)
def test_nothing_that_is_posted_is_a_crash(junk, more):
    for content in (junk, more, [more], {"entry": more}, {"entry": [junk]}):
        list(values(content, NUMBER))
    for value in (junk, {"messages": [junk, more]}, {"messages": more}, {"statuses": [junk, more]}):
        list(read_messages(value))
        list(failures(value))
    list(read_messages({"messages": [message() | junk], "contacts": [junk, more]}))


# -- sending ------------------------------------------------------------------------------


async def test_a_text_is_formatted_and_answers_what_it_answers(autojump_clock):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel):
        sent = await channel.send(Outbound(HOME, "**hi** <b>", "k", reply_to="wamid.1"))
        await channel.send(Outbound(HOME, "**hi**", "k", markup=False))
    assert sent == "wamid.out-1"
    first, second = fake.sent
    assert first["text"] == {"body": "*hi* <b>", "preview_url": False}
    assert first["context"] == {"message_id": "wamid.1"}
    assert second["text"]["body"] == "**hi**"


FAILURES = [
    (GraphError(401, 190, "Access token has expired"), RefusedForGoodError, "token"),
    (GraphError(400, 190, "Access token has expired"), RefusedForGoodError, "token"),
    (GraphError(403, 10, "Permission denied"), RefusedForGoodError, "token"),
    (GraphError(403, 131031, "Account locked"), RefusedForGoodError, "locked"),
    (GraphError(400, 131047, "Re-engagement message"), UndeliverableError, "templates"),
    (GraphError(400, 131026, "Message undeliverable"), UndeliverableError, "undeliverable"),
    (GraphError(400, 100, "Invalid parameter"), UndeliverableError, "Invalid"),
    (GraphError(500, 131000, "Something went wrong"), LostError, "went wrong"),
    (GraphError(400, 131016, "Service unavailable"), LostError, "unavailable"),
    (GraphError(503, 2, "Service temporarily unavailable"), LostError, "unavailable"),
    ("html", LostError, "502"),
    ("stall", StalledError, "no answer"),
]


@pytest.mark.parametrize(
    ("fault", "kind", "words"), FAILURES, ids=lambda each: str(getattr(each, "body", each))[:50]
)
async def test_a_refusal_of_meta_is_the_error_that_it_is(autojump_clock, fault, kind, words):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel):
        fake.faults.append(("/messages", fault))
        with pytest.raises(kind, match=words) as caught:
            await channel.send(Outbound(HOME, "hi", "k"))
    assert TOKEN not in str(caught.value)
    if isinstance(caught.value, LostError):
        assert caught.value.maybe_done


@pytest.mark.parametrize(
    ("status_code", "code", "scope"),
    [(400, 131056, "chat"), (429, 130429, "account"), (400, 80007, "account"), (429, 5, "account")],
)
async def test_a_limit_is_that_of_the_chat_or_of_all(autojump_clock, status_code, code, scope):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel):
        fake.faults.append(("/messages", GraphError(status_code, code, "limit")))
        with pytest.raises(SlowDownError) as caught:
            await channel.send(Outbound(HOME, "hi", "k"))
    assert caught.value.scope == scope
    assert caught.value.after >= 5


async def test_typing_is_shown_for_the_last_message_and_marks_it_as_read(autojump_clock):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel) as link:
        await channel.typing(HOME, on=True)
        assert fake.read == []
        await deliver(link, post(message(number="wamid.1"), message(number="wamid.2")))
        await channel.typing(HOME, on=True)
        await channel.typing(HOME, on=False)
        await channel.react(HOME, "wamid.2", "\N{EYES}")
    assert fake.read == [
        {"status": "read", "message_id": "wamid.2", "typing_indicator": {"type": "text"}}
    ]
    assert fake.sent[0]["reaction"] == {"message_id": "wamid.2", "emoji": "\N{EYES}"}


async def test_what_is_not_connected_cannot_send_on_whatsapp():
    with pytest.raises(LostError) as caught:
        await channel_of(FakeWhatsApp()).send(Outbound(HOME, "hi", "k"))
    assert not caught.value.maybe_done


# -- files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime", "size", "kind"),
    [
        ("image/jpeg", 5_000_000, "image"),
        ("image/jpeg", 5_000_001, "document"),
        ("image/webp", 1, "document"),
        ("audio/ogg; codecs=opus", 1, "audio"),
        ("video/mp4", 1, "video"),
        ("text/plain", 1, "document"),
        ("", 0, "document"),
    ],
)
def test_a_file_goes_as_what_whatsapp_can_show(mime, size, kind):
    assert kind_of(mime, size) == kind


@pytest.mark.parametrize(
    ("mime", "text", "kinds"),
    [
        ("image/png", "see", ["image"]),
        ("text/plain", "see", ["document"]),
        ("audio/ogg", "hear", ["audio", "text"]),
        ("image/png", "x" * 1025, ["image", "text"]),
        ("image/png", "", ["image"]),
    ],
)
async def test_a_file_is_sent_with_its_text(autojump_clock, tmp_path, mime, text, kinds):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    (tmp_path / "stored").write_bytes(b"content")
    file = Media(tmp_path / "stored", "name.bin", mime)
    async with running(channel):
        sent = await channel.send(Outbound(HOME, text, "k", media=file))
    assert sent == "wamid.out-1"
    assert [each["type"] for each in fake.sent] == kinds
    assert [*fake.media.values()] == [(mime, b"content")]


async def test_an_upload_that_failed_has_sent_nothing(autojump_clock, tmp_path):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    (tmp_path / "stored").write_bytes(b"content")
    file = Media(tmp_path / "stored", "name.bin", "image/png")
    async with running(channel):
        fake.faults.append(("/media", "html"))
        with pytest.raises(LostError) as caught:
            await channel.send(Outbound(HOME, "hi", "k", media=file))
        assert not caught.value.maybe_done
        fake.faults.append(("/messages", "html"))
        with pytest.raises(LostError) as caught:
            await channel.send(Outbound(HOME, "hi", "k", media=file))
        assert caught.value.maybe_done


async def test_a_file_from_whatsapp_is_fetched_within_its_limit(autojump_clock):
    fake = FakeWhatsApp()
    channel, media = channel_of(fake), fake.add_media(b"content")
    async with running(channel):
        assert await channel.fetch(Attachment("image", media), 7) == b"content"
        with pytest.raises(GatewayError) as caught:
            await channel.fetch(Attachment("image", media), 6)
        assert caught.value.kind == "too-large"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/x",
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://evilfbsbx.com/x",
        "https://lookaside.fbsbx.com:8443/x",
        "https://user@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com@evil.example/x",
        "http://graph.test:81/x",
        "https://[::1/x",
        "//evil.example/x",
        "x",
    ],
)
async def test_the_token_goes_to_meta_and_nowhere_else(autojump_clock, elsewhere):
    fake = FakeWhatsApp(elsewhere=elsewhere)
    channel, media = channel_of(fake), fake.add_media(b"content")
    async with running(channel):
        calls = len(fake.calls)
        with pytest.raises(UndeliverableError, match="none of Meta's"):
            await channel.fetch(Attachment("image", media), 100)
        assert len(fake.calls) == calls + 1


async def test_metas_own_addresses_are_trusted(autojump_clock):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel):
        for url in (
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1",
            "https://scontent.whatsapp.net/x",
            f"{fake.url}/files/1",
        ):
            assert channel.graph.is_trusted(url)


@pytest.mark.parametrize("ref", ["../other", "a/b", "", "x?y", "1" * 200])
async def test_an_id_of_a_file_is_no_path(autojump_clock, ref):
    fake = FakeWhatsApp()
    channel = channel_of(fake)
    async with running(channel):
        calls = len(fake.calls)
        with pytest.raises(UndeliverableError):
            await channel.fetch(Attachment("image", ref), 100)
        assert len(fake.calls) == calls


# -- being there --------------------------------------------------------------------------


async def test_it_is_alive_because_meta_answers(autojump_clock):
    fake = FakeWhatsApp()
    async with running(channel_of(fake)) as link:
        assert link.identities == ["+1 555-078-3881"]
        beats = link.beats
        await trio.sleep(205)
        assert link.beats - beats == 10


async def test_a_silent_meta_is_noticed_within_a_minute(autojump_clock):
    fake = FakeWhatsApp()
    before = trio.current_time()

    async def fall_silent():
        await trio.sleep(50)
        fake.faults.append((NUMBER, "stall"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fall_silent)
        error = await ends(fake)
    assert isinstance(error, StalledError)
    assert trio.current_time() - before <= 50 + 60


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (GraphError(401, 190, "Access token has expired"), RefusedForGoodError),
        (GraphError(400, 100, "Unsupported get request. Object does not exist"),
         RefusedForGoodError),
        (GraphError(500, 1, "An unknown error occurred"), LostError),
        (GraphError(429, 80007, "Rate limit"), LostError),
        ("html", LostError),
        ("stall", StalledError),
    ],
    ids=lambda each: str(getattr(each, "body", each))[:50],
)  # fmt: skip
async def test_a_start_that_fails_says_whether_to_try_again(autojump_clock, fault, kind):
    error = await ends(FakeWhatsApp(faults=[(NUMBER, fault)]))
    assert isinstance(error, kind)
    assert TOKEN not in str(error)


async def test_a_short_wait_is_obeyed_without_a_new_connection(autojump_clock):
    fake = FakeWhatsApp()
    async with running(channel_of(fake)) as link:
        fake.faults.append((NUMBER, GraphError(429, 130429, "limit")))
        beats = link.beats
        await trio.sleep(100)
        assert link.beats - beats >= 4


# -- formatting ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("**a** *b* ~~c~~ `d`", "*a* _b_ ~c~ `d`"),
        ("# Title\ntext", "*Title*\n\ntext"),
        ("[a](https://x.example)", "a (https://x.example)"),
        ("<https://x.example>", "https://x.example"),
        ("- a\n- b", "\N{BULLET} a\n\N{BULLET} b"),
        ("> a\n> b", "> a\n> b"),
        ("```python\nx < y\n```", "```\nx < y\n```"),
        ("|a|b|\n|-|-|\n|1|2|", "```\na | b\n-----\n1 | 2\n```"),
    ],
)
def test_markdown_becomes_what_whatsapp_shows(text, written):
    assert to_whatsapp(text) == written


@given(st.text(max_size=300))
@examples(max_examples=100, deadline=None)
def test_whatever_is_said_can_be_sent(text):
    written = to_whatsapp(text)
    assert written is None or written.strip()
    assert formatted(text, markup=False) == text


def test_a_text_that_formatting_would_make_too_long_stays_as_it_is():
    text = "|aaaaaaaaaaaaaaaaaaaaaaaa|b|\n|-|-|\n" + "|x|y|\n" * 600
    assert formatted(text, markup=True) == text
