"""Whether a text addresses us, and what it says without that.  Pure."""

import re
from collections.abc import Iterable


def names_of(user: str, *displayed: str) -> tuple[str, ...]:
    """Return what people call *user*: his id, its first part, and names that are shown."""
    local = user[1:].partition(":")[0]
    return tuple(dict.fromkeys(each for each in (user, local, *displayed) if each.strip(" @:,")))


def is_named(text: str, names: Iterable[str]) -> bool:
    """Whether one of *names* is in *text* as a word of its own."""
    return any(_word(name).search(text) for name in names)


def without_address(text: str, names: Iterable[str]) -> str:
    """Return *text* without a name of ours at its beginning, unless nothing else is there."""
    for name in sorted(names, key=len, reverse=True):
        found = re.match(rf"\s*@?{re.escape(name)}(?:\s*[:,]\s*|\s+)", text, re.IGNORECASE)
        if found and text[found.end() :].strip():
            return text[found.end() :]
    return text


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
