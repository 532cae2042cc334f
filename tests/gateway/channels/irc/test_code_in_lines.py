"""Where a message is a line, code is still code."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.base import Abilities
from gateway.channels.formatting import split
from gateway.channels.irc.markup import render

ABILITIES = Abilities(length=40, unit="bytes", lines=True)


def test_lines_of_code_are_shown_as_they_are():
    text = "Use **this**:\n```python\nf(**k)\n```\nand *that*"
    assert [render(each) for each in split(text, ABILITIES)] == [
        "Use \x02this\x02:",
        "    f(**k)",
        "and \x1dthat\x1d",
    ]


@given(st.text("a *`~\n\tü🎉"))
def test_no_line_is_too_long_or_has_two_lines_in_it(text):
    for line in split(text, ABILITIES):
        assert len(line.encode()) <= 40
        assert "\n" not in line
