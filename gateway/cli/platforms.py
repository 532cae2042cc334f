"""What a channel can be told on the command line: whatever its settings class declares.

Nothing here knows a platform by name: a new class in `gateway.config.channels` is a new
command with its options, its help and its completion.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_origin

import attrs

from gateway.cli.errors import UsageError, did_you_mean
from gateway.cli.screen import clean
from gateway.cli.values import nested, read_value
from gateway.config.channels import Account, Channels
from gateway.config.setting import Secret
from gateway.config.tree import entry, leaves

PLATFORMS: Final[Mapping[str, type]] = {
    field.name: entry(field.type) for field in attrs.fields(Channels)
}
"""The class of an account's settings, by the name of its platform."""

REFERENCES: Final[Mapping[str, str]] = {
    "env": "The same, from this environment variable of the gateway.",
    "file": "The same, from this file.",
}
"""How a secret can be referred to, with what help says; `--KEY-env` and `--KEY-file`."""


@attrs.frozen
class Option:
    """A setting that has an option of its own: ``--key``."""

    key: str
    doc: str
    required: bool
    secret: bool
    type: Any
    field: "attrs.Attribute[Any]"

    @property
    def many(self) -> bool:
        """Whether there may be several values."""
        return get_origin(self.type) is tuple

    @property
    def typed_as(self) -> Any:
        """What the command line takes: words to choose from, a switch, or any text."""
        chosen = get_origin(self.type) is Literal or self.type in (bool, tuple[str, ...])
        return self.type if chosen else str

    @property
    def flag(self) -> str:
        """How it is typed."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it is, with its default if that says something."""
        default = self.field.default
        told = isinstance(default, str | int | float) and default != ""
        return self.doc + (f" Default: {str(default).lower()}." if told else "")


def options(platform: str) -> list[Option]:
    """Return the options of a platform in the order of their declaration, needed ones first.

    What stands in tables of its own (``groups``) has none; it is given as ``KEY=VALUE``.
    """
    found = [
        Option(
            key=leaf.pattern[0],
            doc=leaf.field.metadata["doc"],
            required=leaf.field.default is attrs.NOTHING,
            secret=leaf.type is Secret,
            type=leaf.type,
            field=leaf.field,
        )
        for leaf in leaves(PLATFORMS[platform])
        if len(leaf.pattern) == 1
    ]
    return sorted(found, key=lambda option: (not option.required, _is_shared(option)))


def split_id(channel: str) -> tuple[str, str]:
    """Return platform and name of an id like ``telegram:main``; raises `UsageError`."""
    platform, colon, name = channel.partition(":")
    if platform not in PLATFORMS:
        known = ", ".join(PLATFORMS)
        raise UsageError(
            f"there is no platform {clean(platform)!r}.{did_you_mean(platform, list(PLATFORMS))}"
            f" There are: {known}."
        )
    if not colon or not name:
        raise UsageError(f"say which account: {platform}:NAME, like {platform}:main.")
    return platform, name


def read_options(platform: str, name: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys and values of the options that were *given*.  Raises `UsageError`."""
    for option in options(platform):
        ways = [option.key, *(f"{option.key}_{kind}" for kind in REFERENCES if option.secret)]
        chosen = [way for way in ways if given.get(way) is not None]
        if len(chosen) > 1:
            flags = " and ".join(f"--{way.replace('_', '-')}" for way in chosen)
            raise UsageError(f"{flags} say the same thing: give one of them.")
        for way in chosen:
            yield option.key, _value((platform, name), option, way, given[way])


def read_pairs(platform: str, name: str, pairs: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield keys, dots and all, and values of what was given as ``KEY=VALUE``."""
    for each in pairs:
        key, equals, value = each.partition("=")
        if not equals or not key:
            # Not repeated: it may be a token whose option was forgotten.
            raise UsageError("settings are given as KEY=VALUE, or with their option.")
        yield key, _meant(platform, name, key, value)


def as_tables(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return *pairs* as the file would have them; raises `UsageError` for one given twice."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        _merge(made, nested(tuple(key.split(".")), value), key)
    return made


def missing(platform: str, settings: Mapping[str, Any]) -> list[Option]:
    """Return what a platform needs and *settings* lack."""
    return [each for each in options(platform) if each.required and each.key not in settings]


def _value(account: tuple[str, str], option: Option, way: str, given: Any) -> Any:
    kind = way.removeprefix(option.key).removeprefix("_")
    if kind == "file":
        # The file of the gateway is elsewhere: a relative path would be another one there.
        return {kind: str(Path(given).expanduser().absolute())}
    if kind:
        return {kind: given}
    if isinstance(given, bool):
        return given
    return list(given) if option.many else _meant(*account, option.key, given)


def _meant(platform: str, name: str, key: str, given: str) -> Any:
    path = ("channels", platform, name, *key.split("."))
    value = read_value(path, given)
    known = next((each for each in options(platform) if each.key == key), None)
    if known is not None and known.many and not isinstance(value, list):
        return [given]
    return value


def _merge(into: dict[str, Any], tables: Mapping[str, Any], key: str) -> None:
    for name, value in tables.items():
        if name not in into:
            into[name] = value
        elif isinstance(value, Mapping) and isinstance(into[name], dict):
            _merge(into[name], value, key)
        else:
            raise UsageError(f"{clean(key)} is given twice.")


def _is_shared(option: Option) -> bool:
    """Whether every platform has it: what is special about one is what people look for."""
    return option.key in attrs.fields_dict(Account)
