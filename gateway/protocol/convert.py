"""Between JSON or TOML and attrs classes: strict, and with all issues at once.

Strict means that nothing is converted silently: ``"5"`` is no number, ``true`` no
integer, an unknown key an error.  Python names are snake_case, wire names camelCase;
this is the one place that knows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter, IterableValidationError
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

T = TypeVar("T")
Rename = Callable[[str], str]


@attrs.frozen
class Issue:
    """One thing wrong with a value: where (``a.b[0]``, empty for the whole) and what."""

    path: str
    message: str


class InvalidError(ValueError):
    """A value does not fit its type; *issues* has everything that is wrong with it."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__(
            "; ".join(f"{i.path}: {i.message}" if i.path else i.message for i in issues)
        )
        self.issues = issues


def camel(name: str) -> str:
    """Return the wire's name of a Python name: ``run_id`` is ``runId``."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)


_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def _strict(wanted: type, accepted: tuple[type, ...]) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"must be {_NAMES[wanted]}")
        return value

    return structure


def _structure_literal(value: Any, wanted: Any) -> Any:
    allowed = get_args(wanted)
    if value not in allowed or type(value) not in {type(each) for each in allowed}:
        raise ValueError(
            "must be one of " + ", ".join(map(str, allowed)) + _did_you_mean(value, allowed)
        )
    return value


def _did_you_mean(word: object, known: Any) -> str:
    close = get_close_matches(str(word), [str(each) for each in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, UnionType)


def _is(*origins: type) -> Callable[[Any], bool]:
    return lambda wanted: any((get_origin(wanted) or wanted) is each for each in origins)


def _each(items: Iterable[tuple[Any, Any]], wanted: Any, converter: Converter) -> Iterator[Any]:
    """Structure the values of *items*; raise all complaints together, each with its key."""
    complaints: list[Exception] = []
    for key, value in items:
        try:
            yield key, value if wanted is Any else converter.structure(value, wanted)
        except (BaseValidationError, TypeError, ValueError) as error:
            error.add_note(IterableValidationNote("", key, wanted))
            complaints.append(error)
    if complaints:
        raise IterableValidationError("", complaints, wanted)


def make_converter(rename: Rename) -> Converter:
    """Return a strict converter whose keys are *rename* of the attribute names."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for wanted, accepted in ((str, (str,)), (int, (int,)), (float, (float, int)), (bool, (bool,))):
        converter.register_structure_hook(wanted, _strict(wanted, accepted))
    converter.register_structure_hook_func(lambda t: get_origin(t) is Literal, _structure_literal)

    def structure_union(value: Any, wanted: Any) -> Any:
        members = get_args(wanted)
        if value is None and NoneType in members:
            return None
        members = tuple(each for each in members if each is not NoneType)
        # An exact type wins; else the first that accepts it, and the last one's complaint.
        if type(value) in members:
            return value
        for member in members[:-1]:
            try:
                return converter.structure(value, member)
            except (BaseValidationError, TypeError, ValueError):
                continue
        return converter.structure(value, members[-1])

    converter.register_structure_hook_func(_is_union, structure_union)

    def names(cls: type) -> dict[str, Any]:
        return {field.name: override(rename=rename(field.name)) for field in attrs.fields(cls)}

    def structure_factory(cls: type) -> Callable[[Any, Any], Any]:
        inner: Callable[[Any, Any], Any] = make_dict_structure_fn(
            cls, converter, _cattrs_forbid_extra_keys=True, **names(cls)
        )

        def structure(value: Any, wanted: Any) -> Any:
            if not isinstance(value, dict):
                raise TypeError("must be an object")
            return inner(value, wanted)

        return structure

    def structure_mapping(value: Any, wanted: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError("must be an object")
        inner = (get_args(wanted) or (str, Any))[1]
        return dict(_each(value.items(), inner, converter))

    def structure_sequence(value: Any, wanted: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError("must be a list")
        inner = (get_args(wanted) or (Any,))[0]
        items = [item for _, item in _each(enumerate(value), inner, converter)]
        return items if (get_origin(wanted) or wanted) is list else tuple(items)

    converter.register_structure_hook_func(_is(dict, Mapping), structure_mapping)
    converter.register_structure_hook_func(_is(list, tuple, Sequence), structure_sequence)
    converter.register_structure_hook_factory(attrs.has, structure_factory)
    converter.register_unstructure_hook_factory(
        attrs.has,
        lambda cls: make_dict_unstructure_fn(cls, converter, **names(cls)),
    )
    return converter


@attrs.frozen
class Form:
    """A way to write values down: which names keys have, and the converter for it."""

    rename: Rename
    converter: Converter

    def structure(self, value: object, wanted: type[T]) -> T:
        """Return *value* as *wanted*; raises `InvalidError` with all issues."""
        try:
            return self.converter.structure(value, wanted)
        except (BaseValidationError, TypeError, ValueError) as error:
            raise InvalidError(tuple(_issues(error, "", self.rename))) from None

    def unstructure(self, value: object) -> Any:
        """Return *value* as JSON-ready dicts and lists."""
        return self.converter.unstructure(value)


WIRE: Final = Form(camel, make_converter(camel))
"""For params, results and events."""

PLAIN: Final = Form(str, make_converter(str))
"""For configuration: names as they are in Python."""


def _issues(error: BaseException, path: str, rename: Rename) -> Iterator[Issue]:
    if isinstance(error, ForbiddenExtraKeysError):
        for extra in sorted(error.extra_fields):
            yield Issue(
                _join(path, extra), "unknown key" + _did_you_mean(extra, _keys(error.cl, rename))
            )
    elif isinstance(error, ClassValidationError):
        notes, rest = error.group_exceptions()
        for inner, note in notes:
            yield from _issues(inner, _join(path, rename(note.name)), rename)
        for inner in rest:
            yield from _issues(inner, path, rename)
    elif isinstance(error, IterableValidationError):
        for inner, note in error.group_exceptions()[0]:
            at = f"{path}[{note.index}]" if isinstance(note.index, int) else _join(path, note.index)
            yield from _issues(inner, at, rename)
    elif isinstance(error, KeyError):
        # cattrs' generated code looks a required key up before anything else.
        yield Issue(path, "is missing")
    else:
        yield Issue(path, str(error))


def _keys(cls: Any, rename: Rename) -> list[str]:
    return [rename(field.name) for field in attrs.fields(cls)]


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
