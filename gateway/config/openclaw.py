"""Writing our configuration from one of OpenClaw's.  Pure.

Every part of their file is in some row, so that nothing is passed over in silence, and
what is taken is checked as a start would check it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from gateway.config import json5
from gateway.config.edit import patch
from gateway.config.issues import Issue
from gateway.config.json5 import Json5Error
from gateway.config.load import load
from gateway.config.model import VERSION
from gateway.config.openclaw_rules import RULES, Import, Row

__all__ = ["Imported", "Json5Error", "Row", "import_openclaw"]

_HEAD: Final = f"""\
# Configuration of the gateway, made from one of OpenClaw's.

version = {VERSION}
"""


@attrs.frozen
class Imported:
    """*config_text* is ours; it loads, or *rows* say what has to be done first."""

    config_text: str
    rows: tuple[Row, ...]


def import_openclaw(text: str) -> Imported:
    """Return our configuration made from *text*, and what became of each part of it.

    References like ``${NAME}`` stay references; no row has a value in it.  Raises
    `Json5Error` if *text* is no JSON5 object.
    """
    source = json5.parse(text)
    if not isinstance(source, dict):
        raise Json5Error(Issue("must be an object", line=1, column=1))
    work = Import(source)
    RULES(work, (), source)
    config_text = patch(_HEAD, work.document, references=True)
    rows = [*work.rows, *_echoing(work)]
    for issue in load(config_text).issues:
        rows = list(_with_issue(rows, issue))
    return Imported(config_text, tuple(rows))


def _echoing(work: Import) -> Iterator[Row]:
    """Yield a row for each agent that only repeats what it is told."""
    agents = work.document.get("agents", {"main": {}})
    for name, agent in agents.items():
        if "provider" not in agent:
            note = "repeats what it is told until it has a provider and a model"
            yield Row((), ("agents", name), "needs attention", note)


def _with_issue(rows: Iterable[Row], issue: Issue) -> Iterator[Row]:
    """Yield *rows* with *issue* at those whose settings it is about, else as another row."""
    note = f"{issue.message}; {issue.hint}" if issue.hint else issue.message
    target = tuple(map(str, issue.path))
    found = False
    for row in rows:
        if row.target is not None and row.target == target[: len(row.target)]:
            found = True
            yield attrs.evolve(row, status="needs attention", note=note)
        else:
            yield row
    if not found:
        yield Row((), target, "needs attention", note)
