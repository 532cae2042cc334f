"""Rules for cattrs under which nothing is converted silently.

``"5"`` is no number, ``true`` no integer, an unknown key an error, and everything that is
wrong is reported, not the first thing only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, IterableValidationError
from cattrs.errors import IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from gateway.protocol.issues import Rename, did_you_mean

Structure = Callable[[Any, Any], Any]

COMPLAINTS: Final = (BaseValidationError, TypeError, ValueError)
"""What a converter raises for a value that does not fit."""

MOST_ITEMS: Final = 10_000
"""Most items of a list or keys of an object with typed values: structuring them is the
slowest thing a megabyte of JSON can ask for, and these take about 10 ms."""

MOST_COMPLAINTS: Final = 100
"""Complaints after which a list or an object is given up: nobody reads more."""

_SCALARS: Final[Mapping[type, tuple[tuple[type, ...], str]]] = {
    str: ((str,), "must be a string"),
    int: ((int,), "must be an integer"),
    float: ((float, int), "must be a number"),
    bool: ((bool,), "must be true or false"),
}


def make_converter(rename: Rename) -> Converter:
    """Return a strict converter whose keys are *rename* of the attribute names."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for wanted, (accepted, complaint) in _SCALARS.items():
        converter.register_structure_hook(wanted, _scalar(accepted, complaint))
    for applies, hook in (
        (_is(Literal), _structure_literal),
        (_is(Union, UnionType), _union(converter)),
        (_is(dict, Mapping), _mapping(converter)),
        (_is(list, tuple, Sequence), _sequence(converter)),
    ):
        converter.register_structure_hook_func(applies, hook)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _class(converter, cls, rename))
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, converter, **_names(cls, rename))
    )
    return converter


def _is(*origins: Any) -> Callable[[Any], bool]:
    return lambda wanted: any((get_origin(wanted) or wanted) is each for each in origins)


def _scalar(accepted: tuple[type, ...], complaint: str) -> Structure:
    def structure(value: Any, _: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(complaint)
        if type(value) is float and not isfinite(value):
            # TOML has them; no setting or parameter means anything by them.
            raise ValueError("must be a finite number")
        return value

    return structure


def _structure_literal(value: Any, wanted: Any) -> Any:
    allowed = get_args(wanted)
    if not any(type(value) is type(each) and value == each for each in allowed):
        names = ", ".join(map(str, allowed))
        raise ValueError(f"must be one of {names}{did_you_mean(value, allowed)}")
    return value


def _union(converter: Converter) -> Structure:
    def structure(value: Any, wanted: Any) -> Any:
        members = get_args(wanted)
        if value is None and NoneType in members:
            return None
        members = tuple(each for each in members if each is not NoneType)
        # An exact type wins; else the first that accepts it, and the last one's complaint.
        if type(value) in members and type(value) is not float:
            return value
        for member in members[:-1]:
            try:
                return converter.structure(value, member)
            except COMPLAINTS:
                continue
        return converter.structure(value, members[-1])

    return structure


def _names(cls: Any, rename: Rename) -> dict[str, Any]:
    return {field.name: override(rename=rename(field.name)) for field in attrs.fields(cls)}


def _class(converter: Converter, cls: Any, rename: Rename) -> Structure:
    names = _names(cls, rename)
    known = frozenset(rename(name) for name in names)
    inner: Structure = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, **names
    )

    def structure(value: Any, wanted: Any) -> Any:
        return inner(_without_most_unknown(_object(value), known), wanted)

    return structure


def _without_most_unknown(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return *value* with fewer keys that nobody knows, lest complaining takes seconds."""
    if len(value) <= len(known) + MOST_COMPLAINTS:
        return value
    unknown = islice((key for key in value if key not in known), MOST_COMPLAINTS)
    return {key: value[key] for key in (*(known & value.keys()), *unknown)}


def _mapping(converter: Converter) -> Structure:
    def structure(value: Any, wanted: Any) -> Any:
        inner = (get_args(wanted) or (str, Any))[1]
        return dict(_each(_few(_object(value)).items(), inner, converter))

    return structure


def _sequence(converter: Converter) -> Structure:
    def structure(value: Any, wanted: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError("must be a list")
        inner = (get_args(wanted) or (Any,))[0]
        items = [item for _, item in _each(enumerate(_few(value)), inner, converter)]
        return items if (get_origin(wanted) or wanted) is list else tuple(items)

    return structure


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError("must be an object")
    return value


def _few(value: Any) -> Any:
    if len(value) > MOST_ITEMS:
        raise ValueError(f"must not have more than {MOST_ITEMS} items")
    return value


def _each(items: Iterable[tuple[Any, Any]], wanted: Any, converter: Converter) -> Iterator[Any]:
    """Structure the values of *items*; raise all complaints together, each with its key."""
    if wanted is Any:
        yield from items
        return
    structure, complaints = converter.get_structure_hook(wanted), list[Exception]()
    for key, value in items:
        try:
            yield key, structure(value, wanted)
        except COMPLAINTS as error:
            error.add_note(IterableValidationNote("", key, wanted))
            complaints.append(error)
            if len(complaints) == MOST_COMPLAINTS:
                break
    if complaints:
        raise IterableValidationError("", complaints, wanted)
