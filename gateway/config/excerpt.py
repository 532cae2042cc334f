"""The line that an issue points to, as it may be shown: without anything secret.  Pure.

A mistake is often next to a secret, or in its name, so nothing is taken for harmless
because of what it looks like.  Shown as they stand are only headers, the value of a
setting that is not secret, the key that the issue is about, and names of settings.
"""

import re
from typing import Final

from gateway.config.issues import Excerpt, Path
from gateway.config.tree import ANY, Leaf, find, leaves
from gateway.config.values import check_url

LONG: Final = 160
"""Characters of a line that is shown whole; it fits on a wide screen."""

WIDTH: Final = 100
"""Characters shown of a longer one, around the place."""

_NAMES: Final = "|".join(sorted({part for leaf in leaves() for part in leaf.pattern} - {ANY}))
_NUMBERS: Final = "|".join(
    sorted({leaf.pattern[-1] for leaf in leaves() if leaf.type in (int, float, bool)})
)

_HEADER: Final = re.compile(r"(\s*\[{1,2}[\w.\- \t]*\]{0,2}\s*)(?:#.*)?")
_NUMBER_LINE: Final = re.compile(rf"(\s*(?:{_NUMBERS})\s*=[^=#]*)(?:#.*)?")
_SETTING_NAME: Final = re.compile(rf"\b(?:{_NAMES})(?=\s*=(?!=))")
_HIDDEN: Final = re.compile(r"[^\s=\[\]{},\"']")


def excerpt(line: str, column: int, width: int, path: Path) -> Excerpt:
    """Return what may be shown of *line* for an issue at *path*.

    Without a path, nobody knows what the line is about.
    """
    offset = max(0, column - 1 - WIDTH // 2) if len(line) > LONG else 0
    start = column - 1 - offset
    if len(line) > LONG:
        # Its beginning, which says what it is about, may be a megabyte away.
        line, harmless = line[offset : offset + WIDTH], ""
    else:
        harmless = _harmless(line, path)
    end = min(len(line), start + width)
    is_key = bool(path) and isinstance(path[-1], str)
    shown = harmless or _masked(line, (start, end) if is_key else (0, 0))
    # Tabs would move the caret, other controls the terminal.
    shown = "".join(each if each.isprintable() else " " for each in shown)
    return Excerpt(shown, start + 1, max(1, min(end, len(shown)) - start))


def _harmless(line: str, path: Path) -> str:
    """Return *line* without its comment if there can be no secret in it, else nothing."""
    found = _HEADER.fullmatch(line)
    if not path:
        found = found or _NUMBER_LINE.fullmatch(line)
    elif (leaf := find(path)) is not None and _is_public(leaf):
        # Only this setting: a line may have others, and the issue be that this is missing.
        name = re.escape(leaf.pattern[-1])
        found = found or re.fullmatch(rf"((?:[^=#]*\.)?\s*{name}\s*=[^=#]*)(?:#.*)?", line)
    return found[1] if found else ""


def _is_public(leaf: Leaf) -> bool:
    # A URL may have credentials in it, and is refused for that.
    return not leaf.field.metadata["secret"] and leaf.field.metadata["check"] is not check_url


def _masked(line: str, visible: tuple[int, int]) -> str:
    masked = _HIDDEN.sub("*", line)
    for start, end in (visible, *(found.span() for found in _SETTING_NAME.finditer(line))):
        masked = masked[:start] + line[start:end] + masked[end:]
    return masked
