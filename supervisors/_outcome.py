"""Exceptions: which ones a supervisor may deal with, and how they read in one line.  Pure."""

from collections.abc import Iterator

import trio

LONGEST_SUMMARY = 200
"""Characters; a summary has to fit a line of a log and a cell of a table."""

GROUP_SHOWN = 3
"""Members of a group that its summary names; the rest is in the log."""


def split(raised: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Separate what may be dealt with from what must pass through.

    `Cancelled`, `KeyboardInterrupt` and the like must pass, but only they: the ordinary
    part of a mixed group would escape past the cancel scope and end the siblings.
    """
    if isinstance(raised, Exception):
        return unwrap(raised), None
    if isinstance(raised, BaseExceptionGroup):
        ordinary, rest = raised.split(Exception)
        return (None if ordinary is None else unwrap(ordinary)), rest
    return None, raised


def unwrap(error: Exception) -> Exception:
    """Return the only error in a group that a nursery made around it; real groups stay whole."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def is_cancellation(raised: BaseException) -> bool:
    """Tell whether *raised* is `trio.Cancelled` and nothing else, in a group or not.

    A nursery whose tasks were only cancelled raises a group of `Cancelled`.
    """
    if isinstance(raised, BaseExceptionGroup):
        return raised.split(trio.Cancelled)[1] is None
    return isinstance(raised, trio.Cancelled)


def hidden(raised: BaseException) -> Iterator[Exception]:
    """Yield the errors that a cancellation has covered.  Source: trio #455.

    They are no proof of a failure: `trio.Lock.acquire` leaves a `WouldBlock` there.
    """
    if isinstance(raised, BaseExceptionGroup):
        for member in raised.exceptions:
            yield from hidden(member)
    elif isinstance(raised, trio.Cancelled) and isinstance(raised.__context__, Exception):
        yield raised.__context__


def note_once(error: BaseException, note: str) -> None:
    """Add *note* unless it is there: some libraries raise the same object again and again."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def summary(error: BaseException) -> str:
    """Return *error* as one printable line of at most 200 characters."""
    line = _line(error)
    if isinstance(error, BaseExceptionGroup):
        shown = "; ".join(_line(member) for member in error.exceptions[:GROUP_SHOWN])
        line = f"{line}: {shown}"
    return line if len(line) <= LONGEST_SUMMARY else line[: LONGEST_SUMMARY - 3] + "..."


def _line(error: BaseException) -> str:
    try:
        message = str(error)[: 2 * LONGEST_SUMMARY]
    except Exception as broken:  # noqa: BLE001  (a broken __str__ must not hide the error's type)
        message = f"<{type(broken).__name__} in __str__>"
    words = " ".join(message.split())
    printable = "".join(char if char.isprintable() else "?" for char in words)
    name = type(error).__qualname__
    return f"{name}: {printable}" if printable else name
