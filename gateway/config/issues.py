"""What can be wrong with a configuration, and where."""

import re
from typing import Final, Literal

import attrs

from gateway.protocol.issues import shorten

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file to a value."""

BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A key that needs no quotes.  Source: TOML 1.0, \"Keys\"."""


@attrs.frozen
class Excerpt:
    """A line to show, with *width* characters from *column* (from 1) on to point at."""

    text: str
    column: int
    width: int = 1


@attrs.frozen
class Issue:
    """One thing wrong: what was expected (*message*), where, and what was meant (*hint*).

    *source* is the file, or the flag or environment variable that set the value.
    *line* and *column* count from 1; both are `None` outside of files.  *width* is how
    many characters the place covers, *excerpt* the line as it may be shown.  No field
    ever contains a secret.
    """

    message: str
    path: Path = ()
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    source: str = ""
    line: int | None = None
    column: int | None = None
    width: int = 1
    excerpt: Excerpt | None = None

    @property
    def key(self) -> str:
        """The path as one would write it in TOML: ``agents."a b".model``."""
        return render_path(self.path)

    def __str__(self) -> str:
        place = ":".join(str(each) for each in (self.source, self.line, self.column) if each)
        said = f"{self.key}: {self.message}" if self.path else self.message
        return (f"{place}: " if place else "") + said + (f"; {self.hint}" if self.hint else "")


def render_path(path: Path) -> str:
    """Return *path* as one would write it in TOML, shortened if it is absurdly long."""
    rendered = ""
    for part in path:
        if isinstance(part, int):
            rendered += f"[{part}]"
        else:
            rendered += ("." if rendered else "") + render_key(part)
    return rendered


def render_key(key: str) -> str:
    """Return *key* bare where TOML allows it, else quoted with escapes."""
    shown = shorten(key)
    if BARE_KEY.fullmatch(shown):
        return shown
    # ascii() escapes what a terminal would interpret; its quotes become TOML's.
    return '"' + ascii(shown)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
