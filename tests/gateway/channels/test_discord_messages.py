"""What is made of Discord's messages, whatever is in them, and of ours."""

import pytest
from fakes.discord import ANN, CHANNEL, ME, message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.channels.base import Outbound, Place
from gateway.channels.discord.messages import (
    LENGTH,
    TEXT_LENGTH,
    Me,
    nonce,
    plain,
    read_me,
    read_message,
    read_threads,
    units,
    write_message,
)
from gateway.channels.discord.session import Session

US = Me(ME["id"], "assistant")
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@patient
@given(st.dictionaries(st.sampled_from([*message(1), "member", "referenced_message"]), JSON))
def test_any_json_is_a_message_or_none(content):
    for odd in (content, message(1) | content):
        found = read_message(odd, US)
        assert found is None or (found.id and found.sender.id != US.id)
    assert all(isinstance(channel, str) for channel, _ in read_threads(content))
    read_me(content)


@patient
@given(st.text() | st.none() | JSON.map(str))
def test_any_cursor_is_a_session_or_none(text):
    found = Session.parse(text)
    assert found is None or Session.parse(found.cursor) == found


@pytest.mark.parametrize(
    ("more", "mentioned"),
    [
        ({}, False),
        ({"mentions": [ME]}, True),
        ({"mentions": [ANN]}, False),
        ({"mention_roles": ["1000"]}, False),
        ({"mention_everyone": True}, False),
        ({"referenced_message": message(2, author=ME), "type": 19}, True),
        ({"referenced_message": message(2), "type": 19}, False),
        ({"referenced_message": None, "type": 19}, False),
    ],
)
def test_who_names_or_answers_us_means_us(more, mentioned):
    assert read_message(message(1, "hi", CHANNEL, **more), US).mentioned is mentioned


def test_our_name_is_not_in_the_text_and_others_are_in_words():
    content = message(1, "<@1000> ask <@!2001> and <@9>", CHANNEL, mentions=[ME, ANN])
    assert read_message(content, US).text == "ask @ann and <@9>"


def test_the_name_in_a_server_is_the_one_that_is_shown_there():
    content = message(1, "hi", CHANNEL, member={"nick": "Annie"})
    assert read_message(content, US).sender.name == "Annie"


def test_an_answer_says_what_it_answers():
    content = message(1, type=19, message_reference={"message_id": "77"})
    assert read_message(content, US).reply_to == "77"


def test_files_are_told_by_what_is_in_them_and_are_few():
    url = "https://cdn.discordapp.com/a"
    files = [
        {"url": url, "filename": "a.png", "content_type": "image/png", "size": 5},
        {"url": url, "filename": "b.ogg", "content_type": "audio/ogg; codecs=opus"},
        {"url": url, "size": -1},
        {"url": 5},
        None,
    ]
    found = read_message(message(1, "", attachments=files), US).attachments
    assert [(each.kind, each.mime, each.size) for each in found] == [
        ("image", "image/png", 5),
        ("audio", "audio/ogg", None),
        ("file", "application/octet-stream", None),
    ]
    many = read_message(message(1, "", attachments=files[:1] * 1000), US)
    assert len(many.attachments) == 10


def test_huge_texts_are_cut():
    assert len(read_message(message(1, "x" * 1_000_000), US).text) == TEXT_LENGTH


@patient
@given(st.text(max_size=3000))
def test_plain_text_is_never_longer_than_discord_takes(text):
    assert units(plain(text)) <= max(LENGTH, units(text))


@patient
@given(st.text(), st.text())
def test_a_nonce_is_short_and_stands_for_its_key(one, other):
    assert len(nonce(one)) <= 25
    assert (nonce(one) == nonce(other)) is (one == other)


def test_nobody_is_notified_whom_a_text_names():
    body = write_message(Outbound(Place("1"), "@everyone <@5> <@&6>", "k"))
    assert body["allowed_mentions"] == {"parse": [], "replied_user": True}
    assert body["content"] == "@everyone <@5> <@&6>"
