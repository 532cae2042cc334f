"""Which agent a message is for."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.bindings import Binding
from gateway.conversation.routing import Place, route

HERE = Place("telegram", "default", "chat-1", "ann")
WORDS = ("channel", "account", "chat", "sender")

ids = st.sampled_from(["a", "b", "A", "ab"])
places = st.builds(Place, ids, ids, ids, ids | st.just(""))
shapes = st.tuples(*[st.none() | ids] * 4)


@st.composite
def tables(draw):
    """Return bindings that a configuration may have: each for another place."""
    named = draw(st.lists(shapes, unique=True, max_size=12))
    return [Binding(f"agent-{number}", *shape) for number, shape in enumerate(named)]


def matching(bindings, place):
    """Return the bindings of which every word fits, the plain way."""
    return [
        each
        for each in bindings
        if all(getattr(each, word) in (None, getattr(place, word)) for word in WORDS)
    ]


def test_without_bindings_it_is_nobody_in_particular():
    assert route([], HERE) is None


@pytest.mark.parametrize(
    "more",
    [
        {"sender": "ann"},
        {"chat": "chat-1", "account": "default"},
        {"account": "default"},
        {},
    ],
)
def test_the_order_is_sender_chat_account_channel(more):
    """Each row loses against all above and wins against all below."""
    rows = [
        {"sender": "ann"},
        {"chat": "chat-1", "account": "default"},
        {"chat": "chat-1"},
        {"account": "default"},
        {},
    ]
    below = rows[rows.index(more) :]
    bindings = [Binding(str(row), channel="telegram", **row) for row in below]
    assert route(reversed(bindings), HERE) == str(more)


@pytest.mark.parametrize("sender", ["", "Ann", "ANN", "an", "annn", "xann", "\u0430nn", "ann "])
def test_an_id_is_compared_exactly(sender):
    bindings = [Binding("private", channel="telegram", sender="ann")]
    assert route(bindings, HERE) == "private"
    assert route(bindings, attrs.evolve(HERE, sender=sender)) is None


def test_the_same_id_on_another_platform_is_somebody_else():
    bindings = [Binding("private", channel="telegram", sender="ann")]
    assert route(bindings, attrs.evolve(HERE, channel="irc")) is None


@given(st.data(), tables(), places)
def test_the_order_of_the_bindings_does_not_matter(data, bindings, place):
    shuffled = data.draw(st.permutations(bindings))
    assert route(shuffled, place) == route(bindings, place)


@given(tables(), places)
def test_the_most_specific_that_matches_wins(bindings, place):
    found = matching(bindings, place)
    won = route(bindings, place)
    if not found:
        assert won is None
        return
    [winner] = [each for each in found if each.agent == won]
    for other in found:
        # Decided by the first word, from the sender on, that only one of them has.
        differing = [
            word
            for word in reversed(WORDS)
            if (getattr(winner, word) is None) != (getattr(other, word) is None)
        ]
        assert other is winner or getattr(winner, differing[0]) is not None


@given(tables(), places)
def test_what_does_not_match_changes_nothing(bindings, place):
    assert route(matching(bindings, place), place) == route(bindings, place)
