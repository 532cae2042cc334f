"""Whatever others post, a template makes bounded text of it and does nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.templates import TEXT_BYTES, VALUE_CHARS, check_template, fill, needs_json

DOCUMENT = {
    "repository": {"name": "gateway", "stars": 3, "private": False, "owner": None},
    "commits": [{"message": "one"}, {"message": "žluť 🐈"}],
    "__class__": "mine",
    "{nested}": "{repository.name}",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("nothing", "nothing"),
        ("{repository.name}!", "gateway!"),
        ("{commits.1.message}{commits.0.message}", "žluť 🐈one"),
        ("{repository.stars} {repository.private}", "3 false"),
        ("{repository}", '{"name": "gateway", "stars": 3, "private": false, "owner": null}'),
        ("<{repository.owner}{missing}{missing.too}{commits.7.message}{commits.message}>", "<>"),
        ("{repository.name.upper}{commits.-1}{commits.99999999999999999999}", ""),
        ("{__class__} {__class__.__mro__}", "mine "),
        ("{{repository.name}} {{}}", "{repository.name} {}"),
        ("{}", "WHOLE {x}"),
    ],
)
def test_a_template_is_filled_from_the_document(template, text):
    check_template(template)
    assert fill(template, DOCUMENT, "WHOLE {x}") == text


def test_what_is_put_in_is_not_looked_at_again():
    assert fill("{a}", {"a": "{b}", "b": "secret"}, "") == "{b}"


@pytest.mark.parametrize(
    "template",
    ["{", "}", "{a", "a}", "{a..b}", "{.a}", "{a\n}", "{{a}", "{a.{b}}", "{" + "a." * 17 + "a}"],
)
def test_a_template_with_a_mistake_is_refused(template):
    with pytest.raises(ValueError, match=r"brace|places"):
        check_template(template)


def test_values_and_texts_are_bounded():
    long = fill("{a}", {"a": "x" * 1_000_000}, "")
    assert (len(long), long[-1]) == (VALUE_CHARS, "…")
    whole = fill("{}", None, "ž" * 1_000_000)
    assert len(whole.encode()) <= TEXT_BYTES + 3
    assert whole[-1] == "…"


def test_only_values_need_json():
    assert [needs_json(each) for each in ("x {}", "{{a}}", "{a}")] == [False, False, True]


@settings(deadline=None)
@given(st.text(), json_values)
def test_any_template_is_refused_or_filled(template, document):
    try:
        check_template(template)
    except ValueError:
        return
    assert isinstance(fill(template, document, ""), str)
