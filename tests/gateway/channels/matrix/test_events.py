"""What a homeserver sends is read, and nothing that it sends is a surprise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix_double import ANN, ME, event

from gateway.channels.base import Attachment
from gateway.channels.matrix.events import read_events, read_message, read_news
from gateway.channels.matrix.names import is_named, names_of, without_address


def said(**content):
    (found,) = read_events([event(1, content={"msgtype": "m.text", "body": "hi"} | content)])
    return read_message(found)


def test_a_text_is_what_was_said_without_what_it_answers():
    quoted = "> <@bot:here> earlier\n> and more\n\nthe answer"
    related = {"m.in_reply_to": {"event_id": "$0"}}
    found = said(body=quoted, **{"m.relates_to": related})
    assert (found.text, found.reply_to) == ("the answer", "$0")


def test_a_quotation_that_somebody_wrote_himself_stays():
    related = {"m.in_reply_to": {"event_id": "$0"}}
    assert said(body="> as they say\n\nyes", **{"m.relates_to": related}).text.startswith("> as")
    assert said(body="> <@bot:here> earlier\n\nyes").text.startswith("> <@bot")


def test_a_thread_is_no_reply_unless_somebody_replies_in_it():
    related = {"rel_type": "m.thread", "event_id": "$root", "m.in_reply_to": {"event_id": "$0"}}
    found = said(**{"m.relates_to": related | {"is_falling_back": True}})
    assert (found.thread, found.reply_to) == ("$root", None)
    found = said(**{"m.relates_to": related | {"is_falling_back": False}})
    assert (found.thread, found.reply_to) == ("$root", "$0")


@pytest.mark.parametrize(
    "content",
    [
        {"msgtype": "m.notice"},
        {"msgtype": "m.location"},
        {"msgtype": ["m.text"]},
        {"m.relates_to": {"rel_type": "m.replace", "event_id": "$0"}},
        {"msgtype": "m.image", "url": "https://here/not/a/homeserver.png"},
        {"msgtype": "m.image", "url": "mxc://here/../../secret"},
        {"msgtype": "m.image", "file": {"url": "mxc://here/encrypted"}},
    ],
)
def test_what_is_not_for_us_to_answer_is_no_message(content):
    assert said(**content) is None


@pytest.mark.parametrize(
    ("content", "text", "name"),
    [
        ({"body": "cat.png"}, "", "cat.png"),
        ({"body": "cat.png", "filename": "cat.png"}, "", "cat.png"),
        ({"body": "my cat", "filename": "cat.png"}, "my cat", "cat.png"),
    ],
)
def test_the_name_of_a_file_is_no_caption(content, text, name):
    info = {"mimetype": "image/png", "size": 5}
    found = said(msgtype="m.image", url="mxc://here/abc", info=info, **content)
    assert found.text == text
    assert found.attachments == (Attachment("image", "mxc://here/abc", name, "image/png", 5),)


def test_an_invitation_says_who_wants_us():
    member = {"type": "m.room.member", "state_key": ME, "sender": ANN, "content": {}}
    other = member | {"state_key": ANN, "sender": ME}
    invites = {"!a:here": {"invite_state": {"events": [other, member]}}, "junk": {}}
    found = read_news({"next_batch": "s", "rooms": {"invite": invites}}, ME)
    assert found.invites == {"!a:here": ANN}


def test_one_malformed_event_does_not_hide_the_others():
    junk = [{}, {"event_id": 1}, event("x" * 300), event(2, sender="nobody")]
    timeline = {"timeline": {"events": [*junk, None, [], event(3)]}}
    found = read_news({"next_batch": "s", "rooms": {"join": {"!a:here": timeline}}}, ME)
    assert [each.id for each in found.rooms[0].timeline] == ["$3"]


@pytest.mark.parametrize("at", [10**400, -1, True, "now", None, 1.5, {}])
def test_a_time_that_is_none_is_long_ago(at):
    (found,) = read_events([event(1, origin_server_ts=at)])
    assert found.at in (0.0, 0.001)


KEYS = st.sampled_from(
    [
        *("next_batch", "rooms", "join", "invite", "leave", "timeline", "state", "events"),
        *("event_id", "sender", "type", "content", "state_key", "unsigned", "prev_content"),
        *("msgtype", "body", "url", "info", "size", "m.relates_to", "rel_type", "m.mentions"),
        *("user_ids", "!a:here", "membership", "origin_server_ts", "m.in_reply_to", "summary"),
    ]
)
WORDS = st.sampled_from(["m.room.message", "m.room.member", "m.text", "m.image", "$1", ANN, ME])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=40
)


@given(JSON, JSON, JSON)
def test_nothing_that_a_homeserver_sends_is_a_surprise(whole, timeline, content):
    read_news(whole, ME)
    room = {"timeline": {"events": [event(1, content=content), timeline]}, "state": timeline}
    rooms = {"join": {"!a:here": room}, "invite": {"!b:here": timeline}}
    found = read_news({"next_batch": "s", "rooms": rooms}, ME)
    for each in found.rooms[0].timeline:
        read_message(each)


NAMES = names_of("@bot:here", "Mr. Bot", "")


@pytest.mark.parametrize(
    ("text", "named", "rest"),
    [
        ("bot: hello", True, "hello"),
        ("Mr. Bot hello", True, "hello"),
        ("@bot:here, /new", True, "/new"),
        ("@bot hello", True, "hello"),
        ("hello BOT!", True, "hello BOT!"),
        ("robots and botany", False, "robots and botany"),
        ("bot", True, "bot"),
        ("bot:", True, "bot:"),
        ("both of you", False, "both of you"),
    ],
)
def test_a_name_is_heard_as_a_word_of_its_own(text, named, rest):
    assert (is_named(text, NAMES), without_address(text, NAMES)) == (named, rest)
