"""A session goes on, whatever a crash or a cut has left of its tool calls."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.providers import Said, ToolCall
from gateway.agents.providers.history import paired


def calling(*ids, text=""):
    return Said("assistant", text, tuple(ToolCall(each, "look", "{}") for each in ids))


def result(call_id):
    return Said("tool", "a cat", call_id=call_id)


ASKED = Said("user", "what is it?")


def test_what_is_whole_stays_as_it_is():
    whole = (ASKED, calling("a", "b"), result("a"), result("b"), Said("assistant", "A cat."))
    assert tuple(paired(whole)) == whole


def test_results_are_told_in_the_order_of_the_calls():
    told = paired((ASKED, calling("a", "b"), result("b"), result("a")))
    assert tuple(told) == (ASKED, calling("a", "b"), result("a"), result("b"))


def test_a_call_without_a_result_is_left_out():
    told = paired((ASKED, calling("a", "b", text="Hm."), result("b"), calling("c"), ASKED))
    assert tuple(told) == (ASKED, calling("b", text="Hm."), result("b"), ASKED)


def test_a_result_without_a_call_is_left_out():
    told = paired((result("a"), ASKED, result("b"), calling("c"), result("d"), result("c")))
    assert tuple(told) == (ASKED, calling("c"), result("c"))


def test_a_result_that_comes_twice_is_told_once():
    told = paired((calling("a"), result("a"), result("a"), calling("a"), result("a")))
    assert tuple(told) == (calling("a"), result("a")) * 2


IDS = st.sampled_from("abc")
MESSAGES = st.lists(
    st.one_of(
        IDS.map(result),
        st.lists(IDS, unique=True).map(lambda ids: calling(*ids)),
        st.sampled_from([ASKED, Said("assistant", "Yes.")]),
    )
)


@given(MESSAGES)
def test_after_any_history_each_call_is_followed_by_its_result_and_nothing_else(messages):
    told = list(paired(messages))
    while told:
        said = told.pop(0)
        assert said.role != "tool"
        for call in said.calls:
            assert told.pop(0).call_id == call.id
    assert [s for s in paired(messages) if s == ASKED] == [s for s in messages if s == ASKED]
