"""Markdown becomes text with styles, whose ranges are inside it and where they belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.signal.styles import render, units


def shown(markdown):
    styled = render(markdown)
    text = styled.text.encode("utf-16-le", "surrogatepass")
    ranges = []
    for each in styled.styles:
        start, length, style = each.split(":")
        piece = text[2 * int(start) : 2 * (int(start) + int(length))]
        ranges.append((piece.decode("utf-16-le"), style))
    return styled.text, ranges


@pytest.mark.parametrize(
    ("markdown", "text", "ranges"),
    [
        ("🎉 **b** _i_", "🎉 b i", [("b", "BOLD"), ("i", "ITALIC")]),
        ("~~s~~", "s", [("s", "STRIKETHROUGH")]),
        ("**a *b* c**", "a b c", [("b", "ITALIC"), ("a b c", "BOLD")]),
        ("`x *y*`", "x *y*", [("x *y*", "MONOSPACE")]),
        ("# T\n\ntext", "T\n\ntext", [("T", "BOLD")]),
        ("a\n```py\nx\n\ny\n```\nb", "a\nx\n\ny\nb", [("x", "MONOSPACE"), ("y", "MONOSPACE")]),
        ("[t](https://x.test)", "t (https://x.test)", []),
        ("<https://x.test>", "https://x.test", []),
        ("snake_case * 2", "snake_case * 2", []),
        ("```\nopen", "open", [("open", "MONOSPACE")]),
    ],
)
def test_markdown_is_shown_as_signal_can(markdown, text, ranges):
    assert shown(markdown) == (text, ranges)


@given(st.text(st.characters(codec="utf-8")) | st.text("*_`~[]()<>!\\# ab\n🎉"))
def test_no_text_fails_or_grows_and_every_range_is_inside(text):
    styled = render(text)
    assert len(styled.text.encode()) <= len(text.encode())
    for each in styled.styles:
        start, length, _ = each.split(":")
        assert int(length) > 0
        assert int(start) + int(length) <= units(styled.text)
