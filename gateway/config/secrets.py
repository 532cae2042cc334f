"""Secrets: how a file refers to them, and following the references.

Only the operator's own file may refer to the environment and to files.  In text that
comes from a client no reference is followed, else the answer would tell which variables
and files exist.  Source: CVE-2026-32625.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from gateway.config.files import read_bounded
from gateway.config.issues import Issue, Path
from gateway.config.setting import Secret
from gateway.config.tree import ANY, leaves

MOST_BYTES: Final = 64 * 1024
"""Largest secret file; a PEM chain has a few KiB."""

_REFERENCE: Final = re.compile(r"\$?\$\{([^}]*)\}?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FORMS: Final = 'must be a string, "${NAME}", { env = "NAME" } or { file = "path" }'
"""The ways to give a secret."""

_EXPOSED: Final = partial(
    Issue, "the file can be read by other users", hint="chmod 600 it", severity="warning"
)


@attrs.frozen
class References:
    """Where references lead: the process's environment, and files below *base*."""

    environ: Mapping[str, str]
    base: FilePath

    def variable(self, name: str) -> str:
        """Return a variable; raises `ValueError` that says what to do."""
        if not (value := self.environ.get(name, "")):
            state = "empty" if name in self.environ else "not set"
            raise ValueError(
                f"the environment variable {name} is {state}; "
                "set it for the gateway's process, or write the value here"
            )
        return value

    def file(self, name: str) -> tuple[str, bool]:
        """Return a file's text without its last newline, and whether others can read it.

        Raises `ValueError` that says what to do.
        """
        try:
            found = read_bounded(self.base / FilePath(name).expanduser(), MOST_BYTES)
        except (ValueError, RuntimeError) as error:  # RuntimeError: no such user after ~
            raise ValueError(
                f"the file {error}; create it with the secret in it, readable for the gateway"
            ) from None
        return _secret_text(found.content), found.exposed


def _secret_text(content: bytes) -> str:
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None
    if not text:
        raise ValueError("the file is empty; write the secret into it")
    return text


def resolve(
    raw: dict[str, Any], references: References | None
) -> tuple[dict[str, Any], list[Issue]]:
    """Return *raw* with `Secret` in the place of secrets, and what went wrong.

    Without *references* none is followed, and the secret has no value.  What is
    neither a string nor a reference is left for the converter to complain about.
    """
    resolver = _Resolver(references)
    for leaf in leaves():
        if leaf.field.metadata["secret"]:
            raw = resolver.replaced(raw, leaf.pattern)
    return raw, resolver.issues


@attrs.frozen
class _Resolver:
    references: References | None
    issues: list[Issue] = attrs.field(factory=list, init=False)

    def replaced(self, raw: Any, pattern: tuple[str, ...], at: Path = ()) -> Any:
        """Return a copy of *raw* with the secrets that *pattern* leads to replaced."""
        if not pattern:
            return self._secret(raw, at)
        if not isinstance(raw, dict):
            return raw
        first, *rest = pattern
        chosen = list(raw) if first == ANY else [first] if first in raw else []
        return raw | {key: self.replaced(raw[key], tuple(rest), (*at, key)) for key in chosen}

    def _secret(self, raw: Any, path: Path) -> Any:
        try:
            secret, exposed = _read(raw, self.references)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            self.issues.append(Issue(message, path, hint))
            # Unresolved, so that nothing further is said about it.
            return Secret("", reference="env:")
        if exposed:
            self.issues.append(_EXPOSED(path=path))
        return secret


def _read(raw: Any, references: References | None) -> tuple[Any, bool]:
    """Return the secret that *raw* is or refers to, and whether others can read it."""
    if isinstance(raw, str):
        return _expand(raw, references), False
    if not isinstance(raw, dict):
        return raw, False
    if len(raw) != 1 or not raw.keys() <= {"env", "file"}:
        raise ValueError(FORMS)
    ((kind, name),) = raw.items()
    if not isinstance(name, str) or not name:
        raise ValueError(f"{kind} must be a string that is not empty")
    if kind == "env":
        _check_name(name)
        return Secret(references.variable(name) if references else "", f"env:{name}"), False
    value, exposed = references.file(name) if references else ("", False)
    return Secret(value, f"file:{name}"), exposed


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a reference needs the name of an environment variable, like ${NAME}; "
            "write $${ where ${ is meant as it stands"
        )


def _expand(text: str, references: References | None) -> Secret:
    names: list[str] = []

    def replace(found: re.Match[str]) -> str:
        if found.group().startswith("$$"):
            return found.group()[1:]
        if not found.group().endswith("}"):
            raise ValueError("${ is not closed; write $${ where ${ is meant as it stands")
        _check_name(found[1])
        names.append(found[1])
        return references.variable(found[1]) if references else ""

    value = _REFERENCE.sub(replace, text)
    if not names:
        return Secret(value)
    return Secret(value if references else "", f"env:{','.join(names)}")
