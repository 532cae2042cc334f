"""What a change of the configuration costs: nothing, a few children, or a restart.  Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from gateway.config.issues import Path
from gateway.config.model import Config
from gateway.config.setting import RESTART, Secret
from gateway.config.tree import settings

_Setting = tuple["attrs.Attribute[Any]", Any]


@attrs.frozen
class Plan:
    """Which settings differ; only their paths, never a value.

    *hot* take effect while running; *restart* are read once, at start.  Both are in
    the order of the model and may be empty.
    """

    hot: tuple[Path, ...] = ()
    restart: tuple[Path, ...] = ()

    @property
    def changed(self) -> tuple[Path, ...]:
        """Every path that differs."""
        return self.hot + self.restart


def plan(old: Config, new: Config) -> Plan:
    """Return what it takes to get from *old* to *new*.

    A table that was added or removed whole is reported setting by setting.
    """
    before, after = _by_path(old), _by_path(new)
    hot: list[Path] = _reordered(before, after)
    restart: list[Path] = []
    for path, (field, value) in {**before, **after}.items():
        if not (path in before and path in after and _same(before[path][1], value)):
            (restart if field.metadata["reload"] == RESTART else hot).append(path)
    return Plan(tuple(hot), tuple(restart))


def keeping(new: Config, old: Config, paths: Iterable[Path]) -> Config:
    """Return *new* with the values of *old* at *paths*, which both have."""
    for path in paths:
        new = _with(new, path, _at(old, path))
    return new


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name] if isinstance(value, Mapping) else getattr(value, str(name))
    return value


def _with(value: Any, path: Path, inner: Any) -> Any:
    if not path:
        return inner
    name, rest = str(path[0]), path[1:]
    changed = _with(_at(value, path[:1]), rest, inner)
    return (
        {**value, name: changed}
        if isinstance(value, Mapping)
        else attrs.evolve(value, **{name: changed})
    )


def _by_path(config: Config) -> dict[Path, _Setting]:
    return {path: (field, value) for path, field, value in settings(config)}


def _same(old: Any, new: Any) -> bool:
    if not (isinstance(old, Secret) and isinstance(new, Secret)):
        return bool(old == new)
    if old.resolved and new.resolved:
        return old == new
    # A text that was only checked has no values behind its references.
    return old.reference == new.reference


def _reordered(before: dict[Path, _Setting], after: dict[Path, _Setting]) -> list[Path]:
    """Return the tables whose entries changed places: the first agent is the default."""
    old, new = _names(before), _names(after)
    both = [table for table in old if table in new]
    return [
        table
        for table in both
        if _shared(old[table], new[table]) != _shared(new[table], old[table])
    ]


def _names(flat: dict[Path, _Setting]) -> dict[Path, dict[str | int, None]]:
    """Return what each table holds, in its order."""
    tables: dict[Path, dict[str | int, None]] = {}
    for path in flat:
        for depth, name in enumerate(path):
            tables.setdefault(path[:depth], {})[name] = None
    return tables


def _shared(names: dict[str | int, None], others: dict[str | int, None]) -> list[str | int]:
    return [name for name in names if name in others]
