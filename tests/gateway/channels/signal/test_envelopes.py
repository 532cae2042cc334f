"""Messages are understood whatever comes: nothing that Signal or a stranger sends breaks us."""

import pytest
from fakes.signal import ANN, GROUP, NUMBER, envelope
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.base import Attachment, Place, Sender
from gateway.channels.signal.envelopes import Reader, Reference, is_person

SELF = "99999999-9999-4999-8999-999999999999"


def read(event):
    return Reader(NUMBER).understand(event)


def test_a_direct_message_is_from_an_account_and_not_from_a_number():
    message = read(envelope("hi 🎉"))
    assert (message.text, message.at, message.direct) == ("hi 🎉", 1_700_000_000.0, True)
    assert message.sender == Sender(ANN, "Ann")
    assert message.place == Place(ANN)
    assert message.id == f"{ANN}/1700000000000"


def test_without_an_account_the_number_has_to_do():
    message = read(envelope(source=None))
    assert message.sender.id == "+491711111111"


def test_a_group_is_a_place_of_its_own():
    message = read(envelope(groupInfo={"groupId": GROUP, "type": "DELIVER"}))
    assert (message.place, message.direct, message.mentioned) == (Place(GROUP), False, False)
    assert not is_person(GROUP)
    assert is_person(ANN)
    assert is_person(NUMBER)


@pytest.mark.parametrize(
    ("text", "mentions", "shown", "named"),
    [
        ("\ufffc hello", [(0, 1, NUMBER)], "hello", True),
        ("🎉 \ufffc and \ufffc?", [(3, 1, "+1"), (9, 1, NUMBER)], "🎉 @+1 and ?", True),
        ("\ufffc", [(0, 1, "+1")], "@+1", False),
        ("a \ufffc b", [], "a  b", False),
        ("abc", [(50, 1, NUMBER), (-1, 1, "+1"), (0, 0, "+1"), (None, 1, "+1")], "abc", True),
        ("\ufffc\ufffc", [(0, 2, "+1"), (1, 1, "+2")], "@+1", False),
        ("🎉", [(1, 1, "+1")], "�@+1", False),
    ],
)
def test_who_is_named_is_shown_where_he_is_named(text, mentions, shown, named):
    listed = [
        {"start": start, "length": length, "number": number, "name": number, "uuid": None}
        for start, length, number in mentions
    ]
    message = read(envelope(text, mentions=listed, groupInfo={"groupId": GROUP}))
    assert (message.text, message.mentioned) == (shown, named)


def test_an_answer_to_us_addresses_us():
    quote = {"id": 5, "author": NUMBER, "authorNumber": NUMBER, "authorUuid": None, "text": "x"}
    message = read(envelope(quote=quote, groupInfo={"groupId": GROUP}))
    assert message.mentioned
    assert Reference.parse(message.reply_to) == Reference(NUMBER, 5)


def test_our_other_names_are_learned_from_our_own_messages():
    reader = Reader(NUMBER)
    assert reader.understand(envelope("mine", number=NUMBER, source=SELF)) is None
    quote = {"id": 5, "author": SELF, "authorUuid": SELF}
    assert reader.understand(envelope(quote=quote, groupInfo={"groupId": GROUP})).mentioned
    assert reader.understand(envelope("mine", number=None, source=SELF)) is None


def test_a_file_is_fetched_from_where_it_was_sent():
    files = [
        {"id": "abc.jpg", "contentType": "image/jpeg", "filename": "me.jpg", "size": 5},
        {"id": "x", "contentType": None, "filename": None, "size": -1},
        {"id": None},
        "wrong",
    ]
    message = read(envelope(None, attachments=files))
    assert message.attachments == (
        Attachment("image", f"{ANN} abc.jpg", "me.jpg", "image/jpeg", 5),
        Attachment("file", f"{ANN} x"),
    )


def sync():
    event = envelope(number=NUMBER, source=SELF)
    sent = event["envelope"].pop("dataMessage")
    event["envelope"]["syncMessage"] = {"sentMessage": sent}
    return event


@pytest.mark.parametrize(
    "event",
    [
        sync(),
        envelope(number=NUMBER),
        envelope(None),
        envelope(" \ufffc "),
        envelope("x", reaction={"emoji": "👍"}),
        envelope("x", remoteDelete={"timestamp": 1}),
        envelope(None, groupInfo={"groupId": GROUP, "type": "UPDATE"}),
        envelope(source="nobody", number="nobody"),
        envelope(timestamp=0) | {},
        {"envelope": {"source": "+1", "typingMessage": {"action": "STARTED"}}},
        {"envelope": {"source": "+1", "receiptMessage": {}}},
        {"envelope": {"source": "+1", "editMessage": {"dataMessage": {"message": "x"}}}},
        {"account": "+1"} | {"envelope": envelope()["envelope"]},
        {"exception": {"message": "failed"}},
        {},
        [],
        None,
        "text",
        5,
    ],
)
def test_what_is_no_message_for_us_is_left_out(event):
    assert read(event) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(NUMBER),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = ("message", "mentions", "quote", "attachments", "groupInfo", "timestamp", "reaction")


@given(st.dictionaries(st.sampled_from(KEYS), JUNK), st.lists(JUNK), st.text())
def test_no_event_breaks_the_reader(content, listed, text):
    read({"envelope": content})
    read(envelope() | {"envelope": {"source": "+1234", "timestamp": 1, "dataMessage": content}})
    places = [{"start": each, "length": each, "name": each} for each in listed]
    read(envelope(text, mentions=places))


@pytest.mark.parametrize("written", ["", "x", "/5", "a/", "a/b", "a/-1", "a/" + "9" * 30])
def test_what_is_no_reference_is_none(written):
    assert Reference.parse(written) is None
