"""What somebody means by a value on the command line.  Pure."""

import tomllib
from datetime import date, datetime, time
from typing import Any

from gateway.config.guard import GuardError, guarded
from gateway.config.setting import Secret
from gateway.config.tree import find


def read_value(path: tuple[str, ...], given: str) -> Any:
    """Return *given* as TOML if it is that and may be meant so at *path*, else as text.

    Where a text belongs, ``4.1`` is one too: the name of a model.
    """
    meant, leaf = _read_toml(given), find(path)
    if isinstance(meant, date | datetime | time):
        return given  # no setting is a date
    if leaf is not None and leaf.type is str and not isinstance(meant, str):
        return given
    if leaf is not None and leaf.type is Secret and not isinstance(meant, str | dict):
        return given
    return meant


def refers(path: tuple[str, ...], value: Any) -> bool:
    """Return whether *value* at *path* refers to variables or files."""
    try:
        meant = guarded(path, value, references=True)
    except GuardError:
        return False  # it cannot be written at all, which the edit says
    try:
        return bool(guarded(path, value, references=False) != meant)
    except GuardError:
        return True


def nested(path: tuple[str, ...], value: Any) -> Any:
    """Return tables in tables down to *path*, with *value* there."""
    for name in reversed(path):
        value = {name: value}
    return value


def _read_toml(given: str) -> Any:
    try:
        document = tomllib.loads(f"value = {given}")
    except (ValueError, RecursionError):
        return given
    # With a line break in it, it could be more than a value.
    return document["value"] if len(document) == 1 else given
