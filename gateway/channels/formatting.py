"""Long answers in messages of a length that the platform takes.  Pure.

Nothing is lost and nothing fails: what cannot be divided at a paragraph is divided at a
line, a space, and in the end between any two characters that belong to no pair.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import attrs

from gateway.channels.base import Abilities

FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})([^`\n]*)$")
"""The line that opens or closes a block of code.  Source: CommonMark 4.5."""

INDENT: Final = "    "
"""Makes a line code.  Source: CommonMark 4.4."""

BREAKS: Final = ("\n\n", "\n", ". ", " ")
"""Where a text may be divided, the best first."""

LEAST: Final = 0.5
"""A break in the first half of a message is passed over for a worse one further back."""

MOST_PARTS: Final = 100
"""Messages of one answer; what comes behind is cut: beyond, a chat is flooded."""

CUT: Final = "[...]"
"""Stands for what was cut."""

NOTE: Final = 150
"""What a note in place of a file takes, in most cases; a name may be long."""

REPEAT: Final = "\N{ANTICLOCKWISE OPEN CIRCLE ARROW} (perhaps a repeat)"
"""Begins a message that may have arrived already."""

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")

Size = Callable[[str], int]


def size_of(abilities: Abilities) -> Size:
    """Return what measures a text as the platform does."""
    match abilities.unit:
        case "utf-16":
            return units
        case "bytes":
            return lambda text: len(text.encode("utf-8", "surrogatepass"))
        case "characters":
            return len


def units(text: str) -> int:
    """Return the length of *text* in UTF-16 units, surrogates that are alone included."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clean(text: str) -> str:
    """Return *text* without what no platform takes: NUL, lone surrogates, other controls."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text).encode("utf-8", "replace").decode("utf-8")


def marked(text: str, abilities: Abilities) -> str:
    """Return *text* with the mark that it may have arrived already."""
    return REPEAT + (" " if abilities.lines else "\n") + text


def split(text: str, abilities: Abilities) -> list[str]:
    """Return *text* as messages, none of them empty or longer than the platform takes.

    A block of code that is divided is closed and opened again.  A text in which nothing
    can be seen gives no message.
    """
    text = clean(text)
    if not abilities.idempotent:
        # Each may have to be sent again, with a mark on it.
        room = abilities.length - size_of(abilities)(marked("", abilities))
        abilities = attrs.evolve(abilities, length=room)
    parts = _lines(text, abilities) if abilities.lines else _fenced(text, abilities)
    # No more than are sent: a long text is not measured to its end while everybody waits.
    kept = list(islice((part for part in parts if part.strip()), MOST_PARTS + 1))
    if len(kept) > MOST_PARTS:
        kept = [*kept[: MOST_PARTS - 1], CUT]
    return kept


def caption_fits(text: str, abilities: Abilities) -> bool:
    """Whether *text* fits into one message also if the file is replaced by a note."""
    return size_of(abilities)(text) <= abilities.length - min(NOTE, abilities.length // 2)


def without_file(text: str, name: str, size: int | None, abilities: Abilities) -> str:
    """Return *text* with a note in place of a file that cannot be sent, as long as it may be.

    If *text* leaves no room for all of it, the note is cut.
    """
    measured, between = size_of(abilities), " " if abilities.lines else "\n"
    # In code, so that no name is taken for formatting.
    shown = " ".join(clean(name).replace("`", "'").split()) or "file"
    what = "" if size is None else f", {size} bytes"
    for length in (100, 40, 20, 10):
        note = f"[cannot be sent here: `{shown[:length]}`{what}]"
        whole = f"{text}{between}{note}" if text else note
        if measured(whole) <= abilities.length:
            return whole
    return text or whole[: abilities.length]


def _lines(text: str, abilities: Abilities) -> Iterator[str]:
    """Yield one message for each line; those of a block of code are indented instead of fenced.

    So each is still code to whoever renders it.
    """
    size, opened = size_of(abilities), ""
    for line in text.split("\n"):
        if FENCE.match(line):
            opened = _open_at_end(line, opened)
            continue
        margin = INDENT if opened else ""
        for piece in _pieces(line.replace("\t", INDENT), abilities.length - len(margin), size):
            yield margin + piece


def _fenced(text: str, abilities: Abilities) -> Iterator[str]:
    """Yield messages; each is whole in itself as to blocks of code."""
    size, opened = size_of(abilities), ""
    rest = text
    while rest:
        again = f"{opened}\n" if opened else ""
        # Room for opening it again, and for closing what may be open at the end.
        room = abilities.length - size(again) - size("\n````````")
        if room < abilities.length // 4:
            # A fence as long as a message is none that anybody meant.
            again, opened, room = "", "", abilities.length
        whole = _fits(again + rest, abilities.length, size)
        piece = rest if whole else _first(rest, room, size)
        rest = rest[len(piece) :]
        # The break itself; behind a line break, what follows is indentation.
        rest = rest[1:] if rest[:1] in ("\n", " ") else rest
        opened = _open_at_end(piece, opened)
        closing = f"\n{_marks(opened)}" if opened and rest else ""
        yield again + piece.strip("\n") + closing


def _open_at_end(text: str, opened: str) -> str:
    """Return the line of the fence that is open behind *text*, if *opened* was before."""
    for line in text.split("\n"):
        if not (found := FENCE.match(line)):
            continue
        marks, words = found.groups()
        if not opened:
            # Longer ones could not be opened again in every message.
            opened = line.strip() if len(line) < 40 and len(marks) <= 8 else ""
        elif marks.startswith(_marks(opened)) and not words.strip():
            opened = ""
    return opened


def _marks(fence: str) -> str:
    found = FENCE.match(fence)
    return found[1] if found else ""


def _pieces(text: str, length: int, size: Size) -> Iterator[str]:
    while text:
        piece = text if _fits(text, length, size) else _first(text, length, size)
        yield piece
        text = text[len(piece) :].lstrip(" ")


def _fits(text: str, length: int, size: Size) -> bool:
    # In no unit is a character less than one: most of what is too long need not be measured.
    return len(text) <= length and size(text) <= length


def _first(text: str, length: int, size: Size) -> str:
    """Return the beginning of *text* of at most *length*, divided at a good place."""
    longest = _fitting(text, length, size)
    for mark in BREAKS:
        found = longest.rfind(mark)
        if found >= len(longest) * LEAST:
            return longest[: found + len(mark.rstrip())] or longest
    return longest


def _fitting(text: str, length: int, size: Size) -> str:
    """Return the longest beginning of *text* that fits; at least one character."""
    low, high = 1, min(len(text), length)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[:middle]) <= length else (low, middle - 1)
    # What is put on or joined to the character before stays with it.
    end = low
    while end > 1 and end < len(text) and _joins(text[end - 1], text[end]):
        end -= 1
    return text[: end if end > 1 else low]


def _joins(left: str, right: str) -> bool:
    """Whether a cut between two characters would tear one that is seen apart."""
    return (
        left == "\u200d"
        or right == "\u200d"
        or "\ufe00" <= right <= "\ufe0f"
        or "\u0300" <= right <= "\u036f"
        or "\U0001f3fb" <= right <= "\U0001f3ff"
    )
