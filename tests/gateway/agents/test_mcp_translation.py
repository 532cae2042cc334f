"""What servers say of themselves becomes names that providers take, and text that fits."""

import re
from types import SimpleNamespace as Made

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.tools.servers.translation import TOOLS, full_name, offered, result_text
from gateway.errors import GatewayError


def listed(name, description="Does it.", schema=None, title=None):
    schema = {"type": "object"} if schema is None else schema
    return Made(name=name, description=description, title=title, input_schema=schema)


def result(*content, structured=None, is_error=False):
    return Made(content=content, structured_content=structured, is_error=is_error)


def text(words):
    return Made(type="text", text=words)


def test_a_name_begins_with_that_of_its_server():
    assert full_name("github", "create_issue") == "github__create_issue"


@given(st.text(max_size=200))
def test_every_name_is_one_that_providers_take(tool):
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", full_name("s" * 32, tool))


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_tools_stay_two(one, other):
    assert (full_name("s", one) == full_name("s", other)) == (one == other)


def test_tools_that_cannot_be_offered_are_left_out_by_name():
    found, refused = offered(
        "s",
        [
            listed("good", None, title="A title"),
            listed("good"),
            listed("list", schema={"type": "array"}),
            listed("huge", schema={"type": "object", "x": "y" * 100_000}),
            listed("bare", "x" * 10_000, schema={}),
        ],
    )
    assert [(each.name, len(each.description)) for each in found] == [
        ("s__good", 7), ("s__bare", 4000),
    ]  # fmt: skip
    assert refused == ["good", "list", "huge"]
    assert found[1].schema == {"type": "object"}


def test_more_tools_than_a_model_can_survey_are_left_out():
    found, refused = offered("s", [listed(f"t{number}") for number in range(TOOLS + 5)])
    assert (len(found), len(refused)) == (TOOLS, 5)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (result(text("a"), text("b")), "a\nb"),
        (result(), ""),
        (result(structured={"a": 1}), '{"a":1}'),
        (result(text("a"), structured={"a": 1}), "a"),
        (result(Made(type="image", data="...", mime_type="image/png")), "[image]"),
        (result(Made(type="resource_link", uri="file:///x")), "[resource_link file:///x]"),
        (result(Made(type="resource", resource=Made(text="in", uri="x:y"))), "in"),
        (result(Made(type="resource", resource=Made(uri="x:y"))), "[resource x:y]"),
    ],
)
def test_a_result_becomes_text(answer, words):
    assert result_text(answer) == words


@pytest.mark.parametrize(("said", "told"), [("no!", "no!"), ("", "the tool failed")])
def test_an_error_is_an_error_with_what_it_says(said, told):
    with pytest.raises(GatewayError) as caught:
        result_text(result(text(said), is_error=True))
    assert caught.value.message == told
    with pytest.raises(GatewayError) as caught:
        result_text(result(text("x" * 10_000), is_error=True))
    assert len(caught.value.message) == 500
