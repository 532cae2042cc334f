"""Markdown becomes codes of IRC, and never longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.inline import LONGEST
from gateway.channels.irc.markup import render


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** and __bold__", "\x02bold\x02 and \x02bold\x02"),
        ("*it* and _it_", "\x1dit\x1d and \x1dit\x1d"),
        ("***both***", "***both***"),
        ("**a *b* c**", "\x02a \x1db\x1d c\x02"),
        ("~~gone~~", "\x1egone\x1e"),
        ("# Title #", "\x02Title\x02"),
        ("# C#", "\x02C#\x02"),
        ("# ##", "# ##"),
        ("## A **b** c", "\x02A b c\x02"),
        ("`**code**` and ``a`b``", "`**code**` and ``a`b``"),
        ("[text](https://x.test/a_b_c)", "text (https://x.test/a_b_c)"),
        ("[https://x.test](https://x.test)", "https://x.test"),
        ("![](https://x.test/i.png)", "https://x.test/i.png"),
        ('[t](<https://x.test> "title")', "t (https://x.test)"),
        ("<https://x.test>", "https://x.test"),
        (r"\*not\*", "*not*"),
        ("snake_case_name and __init__", "snake_case_name and \x02init\x02"),
        ("2 * 3 * 4 and a ** b", "2 * 3 * 4 and a ** b"),
        ("- item", "- item"),
        ("> quoted", "> quoted"),
        ("    x = **kwargs", "    x = **kwargs"),
        ("", ""),
    ],
)
def test_markdown_is_shown_as_irc_can(markdown, shown):
    assert render(markdown) == shown


@given(st.text() | st.text("*_`~[]()<>!\\# ab\"'"))
def test_no_text_fails_or_grows(text):
    shown = render(text)
    assert len(shown.encode("utf-8", "replace")) <= len(text.encode("utf-8", "replace"))


@pytest.mark.parametrize("mark", ["*", "**a", "_a ", "[", "`", "<a:", "~~a", "[a](", "\\"])
def test_marks_without_end_take_no_time_to_speak_of(mark):
    render(mark * (LONGEST // len(mark)))
    assert render(mark * LONGEST + "a") == mark * LONGEST + "a"
