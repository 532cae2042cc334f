"""What edits mean, on documents as `tomllib` reads them.  Pure: nothing is changed in place."""

import math
from collections.abc import Mapping
from typing import Any

from gateway.config.issues import Path


def find(document: Mapping[str, Any], path: Path) -> Any:
    """Return what *document* has at *path*; raises `KeyError` if there is nothing."""
    found: Any = document
    for part in path:
        if not isinstance(found, dict):
            raise KeyError(part)
        found = found[part]
    return found


def has(document: Mapping[str, Any], path: Path) -> bool:
    """Return whether *document* has anything at *path*."""
    try:
        find(document, path)
    except KeyError:
        return False
    return True


def assigned(table: Any, path: Path, value: Any) -> Any:
    """Return *table* with *value* at *path*; what is no table on the way becomes one."""
    if not path:
        return value
    inner = table if isinstance(table, dict) else {}
    return inner | {path[0]: assigned(inner.get(path[0]), path[1:], value)}


def removed(table: Any, path: Path) -> Any:
    """Return *table* without what is at *path*."""
    if not isinstance(table, dict) or path[0] not in table:
        return table
    if len(path) > 1:
        return table | {path[0]: removed(table[path[0]], path[1:])}
    return {name: each for name, each in table.items() if name != path[0]}


def trimmed(table: Any, path: Path) -> Any:
    """Return *table* without the tables on *path* that are empty.

    Whether one stays when the last thing in it is cut out depends on how it is
    written: one with a header does, one only implied by a dotted key does not.
    """
    if not isinstance(table, dict) or not path or path[0] not in table:
        return table
    inner = trimmed(table[path[0]], path[1:])
    return table | {path[0]: inner} if inner != {} else removed(table, path[:1])


def same(left: Any, right: Any) -> bool:
    """Return whether two values are written alike: 1, 1.0 and true are not."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and bool(left == right)
