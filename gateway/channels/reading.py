"""Reading JSON that nobody vouches for: what is not as expected is simply not there.  Pure."""

from typing import Any


def object_at(found: Any, *path: str) -> dict[str, Any]:
    """Return the object at *path*; empty if there is none."""
    value = _at(found, path)
    return value if isinstance(value, dict) else {}


def objects_at(found: Any, *path: str) -> list[dict[str, Any]]:
    """Return the objects in the list at *path*, without what else is in it."""
    value = _at(found, path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_at(found: Any, *path: str) -> str:
    """Return the string at *path*; empty if there is none."""
    value = _at(found, path)
    return value if isinstance(value, str) else ""


def integer_at(found: Any, *path: str) -> int | None:
    """Return the integer at *path*; `None` if there is none."""
    value = _at(found, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
