"""Edits of a configuration's text that leave every other line as it is.  Pure.

What an edit means is worked out on the document; the text is changed place by place;
then the new text is read, and must say exactly what was meant, else nothing is done.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.config.documents import assigned, find, has, removed, same, trimmed
from gateway.config.guard import GuardError, guarded, is_setting
from gateway.config.issues import Issue, Path
from gateway.config.layout import Layout, lay_out
from gateway.config.locate import DEPTH
from gateway.config.render import render
from gateway.config.splice import Names, Raw, SpliceError, cut, put, replace
from gateway.config.text import RejectedError, parse
from gateway.errors import GatewayError

DELETE: Final = {"$delete": True}
"""In a patch: remove what is there.  TOML has no null, and so neither have we."""

MOST_CHANGES: Final = 100
"""Settings changed by one edit; the text is read anew for each."""

MOST_READ: Final = 16 * 1024 * 1024
"""Characters read for one edit: 16 changes of the largest file, in about 20 seconds."""

_Change = tuple[Names, Any]


class EditError(GatewayError):
    """The edit cannot be made; *issue* says why and where, without any value."""

    def __init__(self, issue: Issue) -> None:
        issues = [{"path": issue.key, "message": issue.message}]
        super().__init__("invalid-params", str(issue), issues=issues)
        self.issue = issue


def set_value(text: str, path: Sequence[str], value: Any, *, references: bool = False) -> str:
    """Return *text* with *value* at *path*.

    *value* is made of text, numbers, booleans, lists and mappings.  A table that is
    there becomes equal to the mapping; what is equal already is not touched.

    With *references*, which only the operator at the machine may ask for, ``${NAME}``
    and ``{env = ...}`` refer to variables in secrets; else ``${`` is escaped.
    Raises `EditError`.
    """
    names, layout = tuple(path), _laid_out(text)
    if value == DELETE:
        raise _error(layout, names, "a delete mark belongs into a patch; unset it instead")
    allowed = _guarded(layout, names, value, references=references)
    return _apply(layout, _differences(layout.document, names, allowed))


def unset(text: str, path: Sequence[str]) -> str:
    """Return *text* without what is at *path*.  Raises `EditError`, also if nothing is."""
    names, layout = tuple(path), _laid_out(text)
    _guarded(layout, names, "", references=True)
    if not has(layout.document, names):
        raise _error(layout, names, "is not set in the file")
    return _apply(layout, [(names, DELETE)])


def patch(text: str, changes: Mapping[str, Any], *, references: bool = False) -> str:
    """Return *text* with the nested *changes* merged into it.

    Mappings merge, anything else replaces what is there, and ``{"$delete": true}``
    removes it.  *references* is that of `set_value`.  Raises `EditError`.
    Source: RFC 7396, but for null.
    """
    layout = _laid_out(text)
    allowed = _guarded(layout, (), changes, references=references)
    return _apply(layout, _merges(layout.document, (), allowed))


def path_of(key: str) -> Names:
    """Return the path that *key*, written as in TOML (``agents."a b".model``), names.

    Raises `EditError`.
    """
    layout = _laid_out(f"{key} = 0")
    pairs = list(layout.pairs())
    if len(pairs) != 1 or pairs[0].table or pairs[0].start != len(key) + 3:
        raise EditError(Issue('must be a key like gateway.port or agents."a b".model'))
    return tuple(map(str, pairs[0].path))


def _laid_out(text: str) -> Layout:
    try:
        return lay_out(text)
    except RejectedError as error:
        raise EditError(error.issue) from None


def _error(layout: Layout, path: Path, message: str, hint: str = "") -> EditError:
    return EditError(layout.issue(path, message, hint))


def _guarded(layout: Layout, path: Names, value: Any, *, references: bool) -> Any:
    _check(layout, path, value)
    try:
        return guarded(path, value, references=references)
    except GuardError as error:
        raise _error(layout, error.path, str(error)) from None


def _check(layout: Layout, path: Names, value: Any) -> None:
    """Raise `EditError` unless *path* and *value* can be written down."""
    if not path and not isinstance(value, Mapping):
        raise _error(layout, (), "needs the path of a setting")
    try:
        render(list(path))
        render(value, DEPTH - len(path))
    except ValueError as error:
        raise _error(layout, path, str(error)) from None


def _differences(document: Mapping[str, Any], path: Names, value: Any) -> Iterator[_Change]:
    """Yield what makes *document* have exactly *value* at *path*."""
    there = has(document, path)
    current = find(document, path) if there else None
    if not (_is_table(path, value) and isinstance(current, dict) and value):
        if not (there and same(current, value)):
            yield path, value
        return
    for name, each in value.items():
        yield from _differences(document, (*path, name), each)
    # Last, so that the table is never empty: it could be gone then.
    for name in current.keys() - value.keys():
        yield (*path, name), DELETE


def _merges(
    document: Mapping[str, Any], path: Names, changes: Mapping[str, Any]
) -> Iterator[_Change]:
    """Yield what merges *changes* into *document* at *path*."""
    for name, each in changes.items():
        inner = (*path, name)
        there = has(document, inner)
        if each == DELETE:
            yield from [(inner, DELETE)] if there else []
        elif _is_table(inner, each) and there and isinstance(find(document, inner), dict):
            yield from _merges(document, inner, each)
        else:
            yield from _differences(document, inner, _undeleted(each))


def _is_table(path: Names, value: Any) -> bool:
    # A reference is a mapping too, but one value.
    return isinstance(value, Mapping) and not is_setting(path)


def _undeleted(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _undeleted(each) for name, each in value.items() if each != DELETE}


def _apply(layout: Layout, changes: Iterable[_Change]) -> str:
    """Return the text with *changes* made, after having read it again."""
    listed = list(changes)
    most = min(MOST_CHANGES, MOST_READ // max(1, len(layout.text)))
    if len(listed) > most:
        raise _error(layout, (), f"changes more than {most} settings at once")
    text = layout.text
    try:
        for path, value in listed:
            current = layout if text == layout.text else lay_out(text, layout.newline)
            text = _changed(current, path, value)
        result = parse(text)[1]
    except SpliceError as error:
        raise _error(layout, error.path, str(error)) from None
    except RejectedError as error:
        raise _refused(layout, listed) if error.issue.line else EditError(error.issue) from None
    expected = layout.document
    for path, value in listed:
        gone = value == DELETE
        expected = removed(expected, path) if gone else assigned(expected, path, value)
    for path, value in listed:
        if value == DELETE:
            result, expected = trimmed(result, path), trimmed(expected, path)
    if not same(result, expected):
        raise _refused(layout, listed)
    return text


def _refused(layout: Layout, changes: list[_Change]) -> EditError:
    message = "cannot be changed without touching other lines; edit the file by hand"
    return _error(layout, changes[0][0], message)


def _changed(layout: Layout, path: Names, value: Any) -> str:
    if value == DELETE:
        return cut(layout, path)
    if not has(layout.document, path):
        return put(layout, path, _written(path, value))
    if layout.pair(path):
        return replace(layout, path, value)
    # A table or an array of tables, which becomes something else altogether.
    return put(lay_out(cut(layout, path), layout.newline), path, _written(path, value))


def _written(path: Names, value: Any) -> Any:
    """Return *value* with all references in it on one line."""
    if not isinstance(value, Mapping):
        return value
    if is_setting(path):
        return Raw(render(value))
    return {name: _written((*path, name), each) for name, each in value.items()}
