"""What is said of every setting, where it is declared.  Pure."""

import re
from collections.abc import Callable
from typing import Any, Final

import attrs

from gateway.config.values import NAME

HOT: Final = "hot"
"""Reload class: takes effect while running."""

RESTART: Final = "restart"
"""Reload class: read once, at start.  Source: requirement 2.5."""


@attrs.frozen(repr=False)
class Secret:
    """A value that must never be shown; compares by value, prints as ``***``.

    *reference* is how the file names it (``env:NAME`` also for ``${NAME}``,
    ``file:PATH``), or `None` if the file holds the value itself.
    """

    value: str
    reference: str | None = attrs.field(default=None, eq=False)

    @property
    def kind(self) -> str:
        """Where the value comes from: ``value`` (the file itself), ``env`` or ``file``."""
        return "value" if self.reference is None else self.reference.partition(":")[0]

    @property
    def resolved(self) -> bool:
        """False for a reference that nobody followed: there is no value to look at."""
        return bool(self.value) or self.reference is None

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


def setting(
    default: Any = attrs.NOTHING,
    doc: str = "",
    *,
    unit: str = "",
    reload: str = HOT,
    secret: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    check: Callable[[str], None] | None = None,
    keys: re.Pattern[str] = NAME,
) -> Any:
    """Return an attrs field that knows everything about a setting.

    *default* may be a value or an `attrs.Factory`; without one the setting is required.
    *minimum* and *maximum* are inclusive bounds of a number.  *check* looks at a
    string, or at each of several, and raises `ValueError` with what is wrong with it.
    *keys* is what the names of a table of entries have to match.
    """
    metadata = {
        "doc": doc,
        "unit": unit,
        "reload": reload,
        "secret": secret,
        "minimum": minimum,
        "maximum": maximum,
        "check": check,
        "keys": keys,
    }
    return attrs.field(default=default, metadata=metadata)
