"""Markdown as Slack writes it, and back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.channels.slack.events import Me, read_event
from gateway.channels.slack.markup import LENGTH, escape, to_mrkdwn, to_text, unescape

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SYNTAX = st.text(st.sampled_from("ab *_~`[]()<>&|!@#\n-:/"), max_size=60)


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("**bold** and *slanted* and ~~gone~~", "*bold* and _slanted_ and ~gone~"),
        ("# Heading **x**", "*Heading x*"),
        ("- one\n  * two", "\N{BULLET} one\n  \N{BULLET} two"),
        ("[label](https://a.example/?x=1&y=2)", "<https://a.example/?x=1&amp;y=2|label>"),
        ("![alt](https://a.example/b.png)", "<https://a.example/b.png|alt>"),
        ("`**code**` <b>", "`**code**` &lt;b&gt;"),
        ("```python\na < **b**\n```", "```\na &lt; **b**\n```"),
        ("> quoted", "> quoted"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("<!channel> <@U1> <b|c>", "&lt;!channel&gt; &lt;@U1&gt; &lt;b|c&gt;"),
        ("<https://a.example/b>", "<https://a.example/b>"),
        ("[a\nb](https://a.example/>|<!c>)", "<https://a.example/%3E%7C%3C!c%3E|a b>"),
        ("**so *nested* it is**", "*so _nested_ it is*"),
        ("|a|b|\n|-|-|\n|1|<2|", "```\na | b\n-----\n1 | &lt;2\n```"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
    ],
)
def test_markdown_becomes_mrkdwn(markdown, mrkdwn):
    assert to_mrkdwn(markdown) == mrkdwn


@patient
@given(SYNTAX | st.text(max_size=200))
def test_no_text_becomes_a_command_or_grows_beyond_bounds(text):
    written = to_mrkdwn(text)
    assert len(written) <= max(LENGTH, 5 * len(text))
    for command in ("<!", "<@", "<#"):
        assert command not in written


def test_a_table_that_would_become_too_long_stays_as_it_is():
    table = "|" + "a very long name of a column|" * 40 + "\n" + "|-" * 40 + "|\n" + "|x|\n" * 50
    assert to_mrkdwn(table) == escape(table)


@patient
@given(SYNTAX | st.text(max_size=200))
def test_what_is_escaped_comes_back_as_it_was(text):
    assert unescape(escape(text)) == text
    assert isinstance(to_text(text, "UBOT"), str)


def test_names_and_links_are_read_in_words():
    text = "<@UBOT> see <https://a.example|here>, <#C1|home>, <!here>, <@U5>, <https://b.example>"
    assert to_text(text, "UBOT") == (
        "see here (https://a.example), #home, @here, @U5, https://b.example"
    )


@patient
@given(
    st.dictionaries(
        st.sampled_from(["type", "channel", "ts", "user", "text", "files", "thread_ts", "subtype"]),
        st.none() | st.integers() | SYNTAX | st.lists(st.integers()) | st.just("message"),
    )
)
def test_any_event_is_a_message_or_none(event):
    read_event({"event": event}, Me("UBOT", "B", "us"))
    read_event(event, Me("UBOT", "B", "us"))
