"""Any text becomes messages that the platform takes, and nothing of it is lost."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.channels.base import Abilities
from gateway.channels.formatting import FENCE, MOST_PARTS, clean, marked, size_of, split


def exact(**abilities):
    """Return the abilities of a platform that needs no room for marks."""
    return Abilities(idempotent=True, **abilities)


UNITS = ("utf-16", "bytes", "characters")
WORDS = ["word", " ", "\n", "\n\n", ". ", "`", "\t", "ö", "😀", "👨\u200d👩\u200d👧", "e\u0301"]
FENCES = ["```\n", "```python\n", "~~~~\n", "\n```\n", "\n~~~~\n"]
PIECES = st.sampled_from([*WORDS, *FENCES, "```", "x" * 150])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


@settings(deadline=None, max_examples=400)
@given(TEXTS, st.sampled_from(UNITS), st.integers(60, 400), st.booleans())
def test_every_part_fits_and_shows_something(text, unit, length, lines):
    abilities = exact(length=length, unit=unit, lines=lines)
    parts = split(text, abilities)
    assert all(size_of(abilities)(part) <= length for part in parts)
    assert all(part.strip() for part in parts)
    assert not lines or not any("\n" in part for part in parts)
    assert len(parts) <= MOST_PARTS


@settings(deadline=None, max_examples=400)
@given(TEXTS, st.sampled_from(UNITS), st.integers(60, 400))
def test_nothing_that_can_be_seen_is_lost(text, unit, length):
    parts = split(text, exact(length=length, unit=unit))
    if len(parts) < MOST_PARTS:
        # Fences are added where a block goes on in the next message.
        def seen(value):
            return re.sub(r"[\s`~]", "", value)

        rest = seen("".join(parts))
        for character in seen(clean(text)):
            place = rest.find(character)
            assert place >= 0
            rest = rest[place + 1 :]


def open_at_end(text):
    """Return whether a block of code is not closed in *text*."""
    opened = ""
    for line in text.split("\n"):
        if found := FENCE.match(line):
            if not opened:
                opened = found[1]
            elif found[1].startswith(opened) and not found[2].strip():
                opened = ""
    return bool(opened)


LINES = st.lists(
    st.sampled_from(["word word", "", "```", "```python", "~~~~", "  x = 1", "a" * 70])
)


@settings(deadline=None, max_examples=400)
@given(LINES.map("\n".join), st.integers(60, 400))
def test_a_block_of_code_is_whole_in_each_part(text, length):
    *parts, last = split(text, exact(length=length)) or [""]
    assert not any(map(open_at_end, parts))
    assert open_at_end(last) <= open_at_end(text)


def test_a_block_of_code_that_is_divided_is_opened_again():
    code = "\n".join(f"line {number}" for number in range(20))
    parts = split(f"Look:\n```python\n{code}\n```\nDone.", exact(length=100))
    assert len(parts) > 1
    assert parts[0].startswith("Look:\n```python\nline 0")
    assert parts[0].endswith("\n```")
    assert all(part.startswith("```python\n") for part in parts[1:])
    assert parts[-1].endswith("```\nDone.")


def test_a_text_is_divided_at_a_paragraph_then_a_line_then_a_space():
    abilities = exact(length=60)
    assert split("a" * 40 + "\n\n" + "b" * 40, abilities) == ["a" * 40, "b" * 40]
    assert split("a" * 40 + "\n" + "b" * 40, abilities) == ["a" * 40, "b" * 40]
    assert split("a" * 40 + " " + "b" * 40, abilities) == ["a" * 40, "b" * 40]


def test_characters_that_belong_together_stay_together():
    family = "👨‍👩‍👧"
    for part in split(family * 40, exact(length=60)):
        assert part.replace(family, "") == ""


@pytest.mark.parametrize("text", ["", " \n ", "\0\x07", "\u200b" * 0])
def test_what_shows_nothing_gives_no_message(text):
    assert split(text, exact(length=100)) == []


def test_a_flood_is_cut_and_says_so():
    parts = split("x" * 100_000, exact(length=100))
    assert len(parts) == MOST_PARTS
    assert parts[-1] == "[...]"


def test_lines_are_messages_where_a_message_is_a_line():
    abilities = exact(length=60, unit="bytes", lines=True)
    assert split("one\n\ntwo\n```\ncode\n```", abilities) == ["one", "two", "    code"]


@settings(deadline=None)
@given(TEXTS, st.sampled_from(UNITS), st.integers(90, 400), st.booleans())
def test_a_part_that_has_to_be_marked_fits_as_well(text, unit, length, lines):
    abilities = Abilities(length=length, unit=unit, lines=lines)
    for part in split(text, abilities):
        assert size_of(abilities)(marked(part, abilities)) <= length
        assert not lines or "\n" not in marked(part, abilities)
