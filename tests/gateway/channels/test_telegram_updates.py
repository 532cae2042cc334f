"""Updates are read for what they say, and nothing in them is believed to be there."""

import pytest
from fakes.telegram import ANN, BOT
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.channels.base import Place, Sender
from gateway.channels.telegram.updates import Me, full_id, moved, number_in, read_me, read_message

ME = Me(BOT["id"], BOT["username"])
HOME = {"id": 777, "type": "private"}
GROUP = {"id": -1001, "type": "supergroup", "title": "G"}


def read(text="hello", **more):
    message = {"message_id": 5, "date": 1_700_000_000, "chat": HOME, "from": ANN}
    return read_message({"update_id": 1, "message": message | {"text": text} | more}, ME)


def entity(kind, text, part, **more):
    """Return an entity; offsets are in UTF-16 units."""
    before = text[: text.index(part)]
    return {
        "type": kind,
        "offset": len(before.encode("utf-16-le")) // 2,
        "length": len(part.encode("utf-16-le")) // 2,
    } | more


def in_group(text, *entities, **more):
    return read(text, chat=GROUP, entities=list(entities), **more)


def test_a_direct_message_is_read_whole():
    message = read()
    assert message.id == "777:5"
    assert message.place == Place("777")
    assert message.sender == Sender("777", "Ann Lee")
    assert (message.text, message.at) == ("hello", 1_700_000_000)
    assert message.direct
    assert not message.mentioned


MENTIONS = [
    ("@butler_bot what time is it?", "what time is it?"),
    ("@Butler_Bot, what time is it?", "what time is it?"),
    ("what time is it @butler_bot", "what time is it"),
    ("\N{PILE OF POO}\N{PILE OF POO} @butler_bot", "\N{PILE OF POO}\N{PILE OF POO}"),
    ("ask @butler_bot for it", "ask @butler_bot for it"),
    ("@butler_bot", "@butler_bot"),
]


@pytest.mark.parametrize(("text", "stripped"), MENTIONS)
def test_a_mention_addresses_us_and_is_taken_away_where_it_only_does_that(text, stripped):
    name = next(each.strip(",") for each in text.split() if each.startswith("@"))
    message = in_group(text, entity("mention", text, name))
    assert message.mentioned
    assert message.text == stripped


def test_a_command_with_our_name_is_for_us():
    text = "/new@butler_bot please"
    message = in_group(text, entity("bot_command", text, "/new@butler_bot"))
    assert message.mentioned
    assert message.text == "/new please"


@pytest.mark.parametrize(
    ("kind", "text", "part"),
    [
        ("mention", "@butler_bot2 hi", "@butler_bot2"),
        ("bot_command", "/new@other_bot hi", "/new@other_bot"),
        ("bot_command", "/new hi", "/new"),
        ("bold", "@butler_bot hi", "@butler_bot"),
        ("text_mention", "Butler hi", "Butler"),
    ],
)
def test_what_is_for_others_does_not_address_us(kind, text, part):
    message = in_group(text, entity(kind, text, part))
    assert not message.mentioned
    assert message.text == text


def test_a_mention_without_a_name_is_known_by_the_id():
    text = "Butler hi"
    message = in_group(text, entity("text_mention", text, "Butler", user=BOT))
    assert message.mentioned
    assert message.text == "hi"


def test_a_reply_to_us_addresses_us():
    reply = {"message_id": 4, "from": BOT, "chat": GROUP}
    message = in_group("yes", reply_to_message=reply)
    assert message.mentioned
    assert message.reply_to == "-1001:4"
    assert not in_group("yes", reply_to_message=reply | {"from": ANN}).mentioned


def test_what_is_said_in_a_topic_is_no_reply_to_who_began_it():
    begun = {"message_id": 3, "from": BOT, "forum_topic_created": {"name": "T"}}
    topic = {"message_thread_id": 3, "is_topic_message": True}
    message = in_group("hi", reply_to_message=begun, **topic)
    assert message.place == Place("-1001", "3")
    assert not message.mentioned
    assert message.reply_to is None


def test_a_thread_of_replies_is_no_topic():
    assert in_group("hi", message_thread_id=3).place == Place("-1001")


@pytest.mark.parametrize(
    "more",
    [
        {"from": BOT},
        {"from": ANN | {"is_bot": True}},
        {"from": {"id": 1}},
        {"from": None},
        {"is_automatic_forward": True},
        {"chat": {"id": -1, "type": "channel"}},
        {"text": ""},
        {"text": None, "new_chat_members": [ANN]},
    ],
    ids=str,
)
def test_what_no_person_says_is_not_answered(more):
    assert read(**more) is None


FILES = [
    ({"photo": [{"file_id": "s", "width": 90}, {"file_id": "l", "width": 900, "file_size": 5},
                {"file_id": "m", "width": 300}]}, ("image", "l", "photo.jpg", "image/jpeg", 5)),
    ({"document": {"file_id": "d", "file_name": "a.pdf", "mime_type": "application/pdf"}},
     ("file", "d", "a.pdf", "application/pdf", None)),
    ({"document": {"file_id": "d", "mime_type": "image/png"}},
     ("image", "d", "document", "image/png", None)),
    ({"voice": {"file_id": "v", "mime_type": "audio/ogg", "file_size": 9}},
     ("audio", "v", "voice.ogg", "audio/ogg", 9)),
    ({"audio": {"file_id": "a", "file_name": "x.mp3"}},
     ("audio", "a", "x.mp3", "audio/mpeg", None)),
    ({"video": {"file_id": "v"}}, ("video", "v", "video.mp4", "video/mp4", None)),
    ({"animation": {"file_id": "g"}, "document": {"file_id": "g"}},
     ("video", "g", "animation.mp4", "video/mp4", None)),
    ({"sticker": {"file_id": "s"}}, ("image", "s", "sticker.webp", "image/webp", None)),
    ({"sticker": {"file_id": "s", "is_animated": True}},
     ("file", "s", "sticker.tgs", "application/x-tgsticker", None)),
    ({"sticker": {"file_id": "s", "is_video": True}},
     ("file", "s", "sticker.webm", "video/webm", None)),
]  # fmt: skip


@pytest.mark.parametrize(("more", "expected"), FILES)
def test_a_file_is_what_it_says(more, expected):
    message = read(text=None, caption="see", **more)
    (file,) = message.attachments
    assert (file.kind, file.ref, file.name, file.mime, file.size) == expected
    assert message.text == "see"


def test_a_caption_mentions_us_as_a_text_does():
    caption = "@butler_bot look"
    message = read(
        text=None,
        chat=GROUP,
        caption=caption,
        caption_entities=[entity("mention", caption, "@butler_bot")],
        photo=[{"file_id": "p", "width": 1}],
    )
    assert message.mentioned
    assert message.text == "look"


def test_what_is_neither_text_nor_file_is_noted():
    assert read(text=None, location={"latitude": 1, "longitude": 2}).text == "[location]"
    assert read(text=None, sticker={"emoji": "\N{EYES}", "file_id": "s"}).text == "\N{EYES}"


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
NAMES = st.sampled_from(["id", "type", "file_id", "is_bot", "user", "title", "width", "x"])
JUNK = LEAF | st.lists(LEAF, max_size=2) | st.dictionaries(NAMES, LEAF, max_size=3)
FIELDS = ("message_id", "date", "chat", "from", "text", "caption", "entities", "photo", "sticker",
          "document", "voice", "reply_to_message", "message_thread_id", "is_topic_message",
          "caption_entities", "migrate_to_chat_id", "location", "is_automatic_forward")  # fmt: skip
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["mention", "text_mention", "bot_command", 5, None])},
        optional={"offset": st.integers(-5, 2**40), "length": st.integers(-5, 2**40), "user": JUNK},
    ),
    max_size=4,
)


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4), ENTITIES, st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_nothing_that_comes_is_a_crash(junk, entities, text):
    message = {"message_id": 5, "chat": GROUP, "from": ANN, "text": text, "entities": entities}
    for found in (message | junk, message, junk):
        read_message({"message": found}, ME)
        moved({"message": found})
    read_message(junk, ME)
    read_me(junk)


@given(st.integers(-(2**52), 2**52), st.integers(0, 2**52))
def test_an_id_is_read_as_it_was_written(chat, number):
    assert number_in(full_id(str(chat), number)) == number


@pytest.mark.parametrize("odd", ["", "x", "1:", "1:x", "1:-1", "1:²", "1:" + "9" * 30])
def test_an_id_that_is_none_of_ours_is_no_number(odd):
    assert number_in(odd) is None
