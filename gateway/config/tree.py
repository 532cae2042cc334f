"""Walking the model: its settings, and the values of a configuration.  Pure."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs

from gateway.config.issues import Path
from gateway.config.model import Config
from gateway.config.setting import Secret

ANY: Final = "*"
"""Stands in a pattern for a name that the operator chooses."""


@attrs.frozen
class Leaf:
    """A setting: *pattern* is its path, with `ANY` for chosen names."""

    pattern: tuple[str, ...]
    field: "attrs.Attribute[Any]"
    type: Any

    @property
    def name(self) -> str:
        """The path as one reads it: ``auth.tokens.*.token``."""
        return ".".join(self.pattern)


def leaves(model: type = Config, at: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Yield every setting of *model*, in the order in which they are declared."""
    for field in attrs.fields(model):
        path = (*at, field.name)
        kind = without_none(field.type)
        if is_table(kind):
            yield from leaves(kind, path)
        elif (named := entry(kind)) is not None:
            yield from leaves(named, (*path, ANY))
        else:
            yield Leaf(path, field, kind)


def find(path: Path) -> Leaf | None:
    """Return the setting at *path*, or that in whose list it is; `None` if there is none."""
    names = [each for each in path if isinstance(each, str)]
    for leaf in leaves():
        if len(leaf.pattern) == len(names) and all(
            part in (name, ANY) for part, name in zip(leaf.pattern, names, strict=True)
        ):
            return leaf
    return None


def settings(value: Any, at: Path = ()) -> Iterator[tuple[Path, "attrs.Attribute[Any]", Any]]:
    """Yield path, setting and value of every leaf of a configuration."""
    for field in attrs.fields(type(value)):
        path, inner = (*at, field.name), getattr(value, field.name)
        if is_table(field.type):
            yield from settings(inner, path)
        elif entry(field.type) is not None:
            for name, each in inner.items():
                yield from settings(each, (*path, name))
        else:
            yield path, field, inner


def tables(
    value: Any, at: Path = ()
) -> Iterator[tuple[Path, "attrs.Attribute[Any]", Mapping[str, Any]]]:
    """Yield path, setting and entries of every table whose names the operator chooses."""
    for field in attrs.fields(type(value)):
        path, inner = (*at, field.name), getattr(value, field.name)
        if is_table(field.type):
            yield from tables(inner, path)
        elif entry(field.type) is not None:
            yield path, field, inner
            for name, each in inner.items():
                yield from tables(each, (*path, name))


def secrets(config: Config) -> Iterator[Secret]:
    """Yield every secret of *config*."""
    return (value for _, _, value in settings(config) if isinstance(value, Secret))


def without_none(kind: Any) -> Any:
    """Return ``X`` for ``X | None``, and anything else unchanged."""
    if get_origin(kind) in (Union, UnionType):
        members = [each for each in get_args(kind) if each is not NoneType]
        return members[0] if len(members) == 1 else kind
    return kind


def entry(kind: Any) -> Any:
    """Return the class behind a table of named entries, `None` for anything else."""
    return get_args(kind)[1] if get_origin(kind) is Mapping else None


def is_table(kind: Any) -> bool:
    """Whether values of *kind* are tables with keys of ours; a secret is one value."""
    return attrs.has(kind) and kind is not Secret
