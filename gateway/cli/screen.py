"""How things look: colours and tables on a terminal, plain text otherwise, or JSON."""

import re
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text

PIPE_WIDTH: Final = 10_000
"""Columns where there is no terminal: lines are for grep, so nothing is folded."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

COLOURS: Final = {
    "ok": "green",
    "running": "green",
    "connected": "green",
    "connecting": "yellow",
    "retrying": "bold red",
    "deaf": "bold red",
    "failed": "bold red",
    "degraded": "bold red",
    "backing-off": "bold red",
    "waiting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "unknown": "yellow",
    "stopped": "dim",
    "finished": "dim",
    "debug": "dim",
    "info": "blue",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
}
"""Colours of the words for states and levels."""


def make_console() -> Console:
    """Return a console for stdout that obeys NO_COLOR and never guesses at markup."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_pairs(pairs: Iterable[tuple[str, Text | str]], *, style: str) -> None:
    """Print two columns, the first in *style* and as wide as its longest text."""
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    console = make_console()
    for name, value in rows:
        console.print(Text().append(name.ljust(width), style=style).append("  ").append(value))


def clean(text: object) -> str:
    """Return *text* without what a terminal would obey: others may have written it."""
    return _CONTROL.sub("�", str(text))


def coloured(word: object) -> Text:
    """Return a state or level in its colour."""
    return Text(clean(word), style=COLOURS.get(str(word), ""))


def emit_json(value: object, *, line: bool = False) -> None:
    """Print *value* as JSON: indented, or on one *line* for streams; flushed at once."""
    option = orjson.OPT_APPEND_NEWLINE | (0 if line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(value, option=option).decode())
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``2 h 5 min``."""
    whole = max(0, round(seconds))
    sizes = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in sizes:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def since(stamp: float) -> str:
    """Return how long ago the Unix time *stamp* was."""
    return duration(time.time() - stamp)


def until(stamp: float) -> str:
    """Return how long it is to the Unix time *stamp*."""
    return duration(stamp - time.time())


def clock(stamp: object) -> str:
    """Return a stamp, Unix or ISO 8601, as local time for people."""
    try:
        if isinstance(stamp, int | float):
            moment = datetime.fromtimestamp(stamp).astimezone()
        else:
            moment = datetime.fromisoformat(str(stamp)).astimezone()
    except (ValueError, OverflowError, OSError):
        return clean(stamp)
    return moment.strftime("%H:%M:%S")


def plural(count: int, one: str) -> str:
    """Return *count* with its noun: ``1 agent``, ``2 agents``."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def reasons(health: Mapping[str, Any]) -> list[str]:
    """Return why a health snapshot is not ok, one line each."""
    return [clean(f"{each['path']}: {each['message']}") for each in health.get("reasons", ())]
