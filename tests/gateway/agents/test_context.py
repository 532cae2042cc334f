"""What of a conversation a model is shown."""

import itertools

import attrs
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.context import RESULT, cost, fit, size
from gateway.agents.providers import Said, ToolCall, Turn

words = st.text(st.sampled_from("ab c网😀\n"), max_size=60)


@st.composite
def turns(draw, *, answered=True):
    """Return a question with its answer, perhaps after some tools were used."""
    said = [Said("user", draw(words))]
    for number in range(draw(st.integers(0, 2))):
        calls = tuple(
            ToolCall(f"{number}-{each}", "look", draw(words))
            for each in range(draw(st.integers(1, 2)))
        )
        said.append(Said("assistant", "", calls))
        said += [Said("tool", draw(words), call_id=call.id) for call in calls]
    return said + ([Said("assistant", draw(words))] if answered else [])


@st.composite
def conversations(draw):
    summary = draw(st.lists(st.builds(Said, st.just("system"), words), max_size=1))
    before = draw(st.lists(turns(), max_size=6))
    last = draw(turns(answered=False))
    return Turn("m", draw(words), (*summary, *itertools.chain(*before), *last))


def last_turn(turn):
    start = max(n for n, said in enumerate(turn.messages) if said.role == "user")
    return turn.messages[start:]


@given(conversations(), st.floats(0, 500))
def test_it_fits_or_only_what_must_stay_is_left(turn, room):
    fitted = fit(turn, room)
    summary = [said for said in turn.messages if said.role == "system"]
    if size(fitted) > room:
        assert len(fitted.messages) == len(summary) + len(last_turn(turn))
        assert all(
            len(said.content) <= len(RESULT) for said in fitted.messages if said.role == "tool"
        )


@given(conversations(), st.floats(0, 500))
def test_what_is_left_is_the_end_in_order_with_the_summary_in_front(turn, room):
    summary = tuple(said for said in turn.messages if said.role == "system")
    rest = turn.messages[len(summary) :]
    fitted = fit(turn, room).messages
    for said, whole in zip(fitted, summary, strict=False):
        assert whole.content.startswith(said.content.removesuffix("…"))
    kept = fitted[len(summary) :]
    same = [attrs.evolve(said, content="") for said in kept]
    assert same == [attrs.evolve(said, content="") for said in rest[len(rest) - len(kept) :]]
    assert kept[0].role == "user"


@given(conversations(), st.floats(0, 500))
def test_calls_and_their_results_stay_together(turn, room):
    fitted = fit(turn, room).messages
    calls = [call.id for said in fitted for call in said.calls]
    results = [said.call_id for said in fitted if said.role == "tool"]
    assert calls == results


@given(conversations(), st.floats(0, 500))
def test_the_question_is_never_touched(turn, room):
    [question] = [said for said in last_turn(turn) if said.role == "user"]
    assert [said for said in last_turn(fit(turn, room)) if said.role == "user"] == [question]


@given(conversations(), st.floats(0, 500), st.floats(0, 500))
def test_more_room_never_shows_less(turn, room, more):
    assert len(fit(turn, room + more).messages) >= len(fit(turn, room).messages)


@given(conversations())
def test_what_fits_is_not_touched(turn):
    assert fit(turn, size(turn) + 0.001) == turn
    assert fit(turn, float("inf")) is turn


def test_of_a_turn_that_is_too_long_the_oldest_results_are_left_out():
    calls = tuple(ToolCall(str(n), "look", "{}") for n in range(2))
    results = [Said("tool", "word " * 200, call_id=call.id) for call in calls]
    turn = Turn("m", "", (Said("user", "?"), Said("assistant", "", calls), *results))
    fitted = fit(turn, size(turn) - cost(results[0]) / 2)
    assert [said.content for said in fitted.messages[2:]] == [RESULT, results[1].content]


def test_a_summary_that_is_none_is_cut():
    turn = Turn("m", "", (Said("system", "word " * 500), Said("user", "new")))
    fitted = fit(turn, 100)
    assert fitted.messages[0].content.startswith("word word")
    assert 40 < size(fitted) <= 100


def test_a_message_whose_question_is_gone_goes_with_the_first():
    turn = Turn("m", "", (Said("assistant", "old " * 50), Said("user", "new")))
    assert fit(turn, 30).messages == (Said("user", "new"),)
