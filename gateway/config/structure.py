"""From a parsed document to a `Config`, keeping what is right where something is wrong."""

from collections.abc import Iterator
from typing import Any

from gateway.config.issues import Issue, Path
from gateway.config.model import Config
from gateway.config.secrets import FORMS
from gateway.config.setting import Secret
from gateway.protocol.convert import Form, InvalidError
from gateway.protocol.issues import shorten
from gateway.protocol.strict import make_converter

ROUNDS = 4
"""Most times that what is wrong is taken out; once does, unless a table needs its key."""


def _structure_secret(value: Any, _: Any) -> Secret:
    if not isinstance(value, Secret):
        raise TypeError(FORMS)
    return value


def _unstructure_secret(secret: Secret) -> dict[str, str]:
    # Not the reference itself: names of variables and paths are nobody's business.
    return {"secret": "***", "from": secret.kind}


def _form() -> Form:
    converter = make_converter(str)
    converter.register_structure_hook(Secret, _structure_secret)
    converter.register_unstructure_hook(Secret, _unstructure_secret)
    return Form(str, converter)


FORM = _form()
"""Names as they are in Python.

It reads secrets that are `Secret` already, and writes ``{"secret": "***", "from":
"value" | "env" | "file"}`` for them: what it writes may be shown.
"""


def structure(raw: dict[str, Any], *, whole: bool = True) -> tuple[Config | None, list[Issue]]:
    """Return a config and all complaints about types, keys and what is missing.

    With complaints, the config is what *raw* says without the parts complained about,
    so that everything else can be checked as well; `None` if nothing could be saved.
    Unless *raw* is *whole*, what is missing may be elsewhere, and is not complained about.
    """
    issues: list[Issue] = []
    taken: set[Path] = set()
    for _ in range(ROUNDS):
        try:
            return FORM.structure(raw, Config), issues
        except InvalidError as error:
            paths = dict(_paths(raw, ""))
            for each in error.issues:
                path, missing = _path(each.path, paths)
                # What is taken is missing because it was wrong.
                if path not in taken and (whole or not missing):
                    message, _, hint = each.message.partition("; ")
                    issues.append(Issue(message, path, hint))
                taken.add(path)
                raw = _without(raw, path[:-1] if missing else path)
    return None, issues


def _paths(value: Any, name: str, at: Path = ()) -> Iterator[tuple[str, Path]]:
    """Yield the converter's name of every part of *value*, and its path.

    Two parts may have the same name, as keys may contain dots: then a complaint about
    one is shown at the other.
    """
    inner: list[tuple[str, str | int, Any]] = []
    if isinstance(value, dict):
        inner = [(_join(name, key), key, each) for key, each in value.items()]
    elif isinstance(value, list):
        inner = [(f"{name}[{index}]", index, each) for index, each in enumerate(value)]
    for shown, key, each in inner:
        yield from _paths(each, shown, (*at, key))
        yield shown, (*at, key)


def _join(name: str, key: str) -> str:
    key = shorten(key)
    return f"{name}.{key}" if name else key


def _path(name: str, paths: dict[str, Path]) -> tuple[Path, bool]:
    """Return the path behind a converter's name, and whether there is nothing there."""
    if name in paths or not name:
        return paths.get(name, ()), False
    parent, _, key = name.rpartition(".")
    return (*paths.get(parent, ()), key), True


def _without(value: Any, path: Path) -> Any:
    """Return a copy of *value* without what is at *path*, or the list that it is in."""
    if not path or not isinstance(value, dict) or path[0] not in value:
        return value
    key, inner = path[0], value[path[0]]
    if len(path) > 1 and isinstance(inner, dict):
        return value | {key: _without(inner, path[1:])}
    return {each: kept for each, kept in value.items() if each != key}
