"""Whatever is asked is either understood as OpenAI means it, or refused by the name of a param."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.agents.providers import Said
from gateway.serving.openai_api.answers import usage_of
from gateway.serving.openai_api.asked import HARMLESS, IGNORED, USED, Asked, RefusedParamError

USER = {"role": "user", "content": "hi"}
NAMES = sorted(USED | IGNORED | HARMLESS.keys())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
parts = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": json_values})
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "tool"]) | json_values,
            "content": st.text() | json_values | st.lists(parts),
            "tool_calls": json_values,
        },
    )
    | json_values,
    max_size=4,
)


def read(*said, **more):
    return Asked.of({"model": "m", "messages": list(said)} | more)


@settings(deadline=None)
@given(json_values | st.dictionaries(st.sampled_from(NAMES), json_values | messages))
def test_any_json_is_read_or_refused(body):
    with suppress(RefusedParamError):
        assert isinstance(Asked.of(body).question, str)


@settings(deadline=None)
@given(messages)
def test_any_messages_are_read_or_refused(said):
    with suppress(RefusedParamError):
        asked = Asked.of({"model": "m", "messages": said})
        assert all(each.content and each.role != "tool" for each in asked.earlier)


def test_the_last_message_of_the_user_is_the_question():
    system = {"role": "system", "content": "Be kind."}
    asked = read(USER, {"role": "assistant", "content": "ho"}, {**USER, "content": "so?"}, system)
    said = (Said("user", "hi"), Said("assistant", "ho"), Said("system", "Be kind."))
    assert (asked.question, asked.earlier) == ("so?", said)


def test_an_answer_is_not_continued():
    with pytest.raises(RefusedParamError, match="cannot be continued") as caught:
        read(USER, {"role": "assistant", "content": "once upon"})
    assert caught.value.data["param"] == "messages[1]"


def test_messages_that_say_nothing_are_left_out():
    asked = read({"role": "system", "content": ""}, {"role": "assistant", "content": None}, USER)
    assert asked.earlier == ()


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_null_is_the_default_of_every_param(name):
    assert read(USER, **{name: None}).question == "hi"
    for value in HARMLESS[name]:
        assert read(USER, **{name: value}).question == "hi"
    with pytest.raises(RefusedParamError):
        read(USER, **{name: {"other": 1}})


def test_true_is_not_one():
    with pytest.raises(RefusedParamError):
        read(USER, n=True)


def test_usage_is_wanted_for_streams_only():
    options = {"include_usage": True}
    assert read(USER, stream=True, stream_options=options).usage
    assert not read(USER, stream_options=options).usage


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        (None, None),
        ({"words": 2}, None),
        ({"prompt_tokens": 3, "completion_tokens": 4, "x": {}}, (3, 4, 7)),
        ({"inputTokens": 5, "prompt_tokens": 3}, (5, 0, 5)),
        ({"inputTokens": "5", "outputTokens": True}, None),
    ],
)
def test_usage_is_in_the_words_of_openai(counted, usage):
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert usage_of(counted) == (usage and dict(zip(names, usage, strict=True)))


def test_the_documentation_lists_what_is_ignored_and_what_is_refused():
    page = (Path(__file__).parents[4] / "docs" / "openai-api.md").read_text()
    _, _, rest = page.partition("## What is not supported")
    refused, ignored = rest.partition("## Failures")[0].split("Ignored are")
    assert set(re.findall(r"`([a-z_]+)`", refused)) == HARMLESS.keys()
    assert set(re.findall(r"`([a-z_]+)`", ignored)) == IGNORED
