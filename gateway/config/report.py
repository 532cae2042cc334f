"""Issues for people and for programs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from gateway.config.issues import Issue

_RESET: Final = "\x1b[0m"
_STYLES: Final = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "place": "\x1b[34m"}


def render(issues: Sequence[Issue], *, colour: bool = False) -> str:
    """Return *issues* for people, each with its line and a caret; empty without any."""
    if not issues:
        return ""
    blocks = ["\n".join(_block(issue, colour=colour)) for issue in issues]
    return "\n\n".join([*blocks, _summary(issues)]) + "\n"


def as_json(issues: Iterable[Issue]) -> list[dict[str, Any]]:
    """Return *issues* as objects for programs; *line* and *column* may be null."""
    return [
        {
            "severity": each.severity,
            "file": each.source,
            "line": each.line,
            "column": each.column,
            "key": each.key,
            "message": each.message,
            "hint": each.hint,
        }
        for each in issues
    ]


def _block(issue: Issue, *, colour: bool) -> Iterator[str]:
    said = f"{issue.key}: {issue.message}" if issue.path else issue.message
    yield f"{_styled(issue.severity, issue.severity, colour=colour)}: {_printable(said)}"
    place = ":".join(str(each) for each in (issue.source, issue.line, issue.column) if each)
    margin = " " * len(str(issue.line or ""))
    if place:
        yield _styled("place", f"{margin}--> {_printable(place)}", colour=colour)
    if issue.excerpt is not None:
        caret = "^" * issue.excerpt.width
        bar = _styled("place", "|", colour=colour)
        yield f"{_styled('place', str(issue.line), colour=colour)} {bar} {issue.excerpt.text}"
        pointer = _styled(issue.severity, caret, colour=colour)
        yield f"{margin} {bar} {' ' * (issue.excerpt.column - 1)}{pointer}"
    if issue.hint:
        yield f"{margin} = {_printable(issue.hint)}"


def _summary(issues: Sequence[Issue]) -> str:
    counts = {"error": 0, "warning": 0}
    for each in issues:
        counts[each.severity] += 1
    parts = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
    return ", ".join(parts)


def _styled(style: str, text: str, *, colour: bool) -> str:
    return f"{_STYLES[style]}{text}{_RESET}" if colour else text


def _printable(text: str) -> str:
    """Return *text* with escapes in the place of what a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
