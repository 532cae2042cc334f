"""What comes from outside fits its type exactly, or everything that is wrong is said."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.convert import WIRE, Form, InvalidError, camel, param
from gateway.protocol.strict import make_converter

PLAIN = Form(str, make_converter(str))


@attrs.frozen
class Inner:
    some_name: str
    how_many: int = 0


@attrs.frozen
class Outer:
    the_inner: Inner
    mode: Literal["fast", "slow"] = "slow"
    items: tuple[Inner, ...] = ()
    table: Mapping[str, float] = attrs.Factory(dict)
    anything: Any = None
    either: int | str | None = None
    flag: bool = False


def issues(value, wanted=Outer, form=WIRE):
    with pytest.raises(InvalidError) as caught:
        form.structure(value, wanted)
    return [(each.path, each.message) for each in caught.value.issues]


@pytest.mark.parametrize(
    ("python", "wire"), [("run_id", "runId"), ("list_", "list"), ("a", "a"), ("a_b_c", "aBC")]
)
def test_wire_names_are_camel_case(python, wire):
    assert camel(python) == wire


def test_a_good_value_becomes_objects_and_back():
    value = {
        "theInner": {"someName": "x", "howMany": 2},
        "mode": "fast",
        "items": [{"someName": "y", "howMany": 0}],
        "table": {"a_b": 1.5},
        "anything": {"not_touched": [1]},
        "either": "s",
        "flag": True,
    }
    outer = WIRE.structure(value, Outer)
    assert outer.the_inner == Inner("x", 2)
    assert outer.items == (Inner("y"),)
    assert outer.table == {"a_b": 1.5}
    back = WIRE.unstructure(outer)
    assert {**back, "items": list(back["items"])} == value


def test_configuration_keeps_the_names_of_python():
    assert PLAIN.structure({"some_name": "x"}, Inner) == Inner("x")


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"theInner": {"someName": 5}}, "theInner.someName", "must be a string"),
        ({"theInner": {"someName": "x", "howMany": "5"}}, "theInner.howMany", "must be an integer"),
        (
            {"theInner": {"someName": "x", "howMany": True}},
            "theInner.howMany",
            "must be an integer",
        ),
        ({"theInner": {"someName": "x", "howMany": 5.0}}, "theInner.howMany", "must be an integer"),
        ({"theInner": {}}, "theInner.someName", "is missing"),
        ({"theInner": 5}, "theInner", "must be an object"),
        ({"mode": "fsat"}, "mode", "must be one of fast, slow; did you mean 'fast'?"),
        ({"mode": ["fast"]}, "mode", "must be one of fast, slow"),
        ({"items": {}}, "items", "must be a list"),
        ({"items": [{"someName": "x"}, 5]}, "items[1]", "must be an object"),
        ({"table": {"x": "y"}}, "table.x", "must be a number"),
        ({"table": []}, "table", "must be an object"),
        ({"flag": 1}, "flag", "must be true or false"),
        ({"either": []}, "either", "must be a string"),
        ({"theInnre": 1}, "theInnre", "unknown key; did you mean 'theInner'?"),
    ],
)
def test_nothing_is_converted_silently(change, path, message):
    good = {"theInner": {"someName": "x"}}
    assert issues(good | change) == [(path, message)]


def test_all_issues_come_at_once():
    found = issues({"theInner": {"someName": 1, "zzz": 2}, "mode": 3, "items": [4, 5]})
    assert {path for path, _ in found} == {
        "theInner.someName",
        "theInner.zzz",
        "mode",
        "items[0]",
        "items[1]",
    }


def test_numbers_of_toml_that_json_does_not_have_are_refused():
    for number in (float("inf"), float("nan")):
        assert issues({"table": {"x": number}, "the_inner": {"some_name": ""}}, form=PLAIN) == [
            ("table.x", "must be a finite number")
        ]


def test_a_hostile_value_gives_a_bounded_number_of_issues():
    assert len(issues({str(number): 0 for number in range(50_000)})) == 100
    assert len(issues({"theInner": {"someName": ""}, "items": [0] * 9_999})) == 100


def test_more_items_than_can_be_checked_in_time_are_refused():
    found = issues({"theInner": {"someName": ""}, "items": [{}] * 10_001})
    assert found == [("items", "must not have more than 10000 items")]


def test_a_long_key_is_not_repeated_in_full():
    ((path, _),) = issues({"theInner": {"someName": ""}, "k" * 10_000: 1})
    assert len(path) < 200


def test_deep_nesting_where_a_word_is_expected_is_no_bug():
    deep = []
    for _ in range(900):
        deep = [deep]
    assert issues({"theInner": {"someName": ""}, "mode": deep}) == [
        ("mode", "must be one of fast, slow")
    ]


def test_params_carry_their_documentation():
    @attrs.frozen
    class Documented:
        count: int = param("How many.", 3, unit="things")

    assert attrs.fields(Documented).count.metadata == {"doc": "How many.", "unit": "things"}
    assert Documented().count == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
NEARLY = st.fixed_dictionaries(
    {"theInner": JSON | st.fixed_dictionaries({"someName": JSON}, optional={"howMany": JSON})},
    optional={"mode": JSON, "items": JSON, "table": JSON, "either": JSON, "flag": JSON},
)


@given(JSON | NEARLY)
def test_any_json_value_is_structured_or_refused_with_issues(value):
    try:
        outcome = WIRE.structure(value, Outer)
    except InvalidError as error:
        outcome = error.issues
    assert outcome
