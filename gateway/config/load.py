"""From a TOML text to a `Config`, or to everything that is wrong with it.

`load` is pure but for the references that the text makes.  `read` looks at a file.
A start, a reload, ``gateway check`` and ``config.check`` all pass through `load`, so
they cannot disagree.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from gateway.config.checks import check
from gateway.config.excerpt import excerpt
from gateway.config.files import read_bounded
from gateway.config.issues import Issue
from gateway.config.locate import Outline
from gateway.config.model import Config
from gateway.config.overrides import Override, apply_overrides
from gateway.config.secrets import References, resolve
from gateway.config.structure import structure
from gateway.config.text import MOST_BYTES, START, RejectedError, decoded, parse, placed_at
from gateway.config.tree import secrets
from gateway.logs import redactor

MOST_ISSUES: Final = 100
"""Most issues reported; whoever has more begins with these."""


@attrs.frozen
class Loaded:
    """What a text says: a *config*, unless one of *issues* is an error.

    *hash* is the SHA-256 of the text in hex: the ``baseHash`` of edits.
    """

    source: str
    hash: str
    config: Config | None
    issues: tuple[Issue, ...] = ()
    text: str = attrs.field(default="", repr=False)
    """It may hold secrets."""

    @property
    def errors(self) -> tuple[Issue, ...]:
        """The issues because of which there is no config."""
        return tuple(issue for issue in self.issues if issue.severity == "error")

    @property
    def valid(self) -> bool:
        """Whether a gateway would start on it."""
        return self.config is not None


def load(
    text: str,
    source: str = "",
    *,
    references: References | None = None,
    overrides: Sequence[Override] = (),
) -> Loaded:
    """Return what *text* says; never raises, whatever is in it.

    *source* names the text in issues.  Without *references* none is followed, and a
    secret that is referred to has no value: enough to check, not to start.
    """
    config = None
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    try:
        places, document = parse(text)
    except RejectedError as error:
        issues = [error.issue]
    else:
        config, found = _understand(document, references, overrides)
        issues = [_placed(each, places, overrides) for each in found]
    config, ordered = _verdict(config, issues)
    lines = text.split("\n")
    shown = tuple(_shown(each, source, lines) for each in ordered)
    return Loaded(source, digest, config, shown, text)


def read(
    path: FilePath, *, environ: Mapping[str, str], overrides: Sequence[Override] = ()
) -> Loaded:
    """Return what the file at *path* says; never raises, also if there is none.

    Blocks for the time it takes to read the file and those that it refers to.
    """
    source = str(path)
    try:
        found = read_bounded(path, MOST_BYTES)
        text = decoded(found.content)
    except ValueError as error:
        issue = error.issue if isinstance(error, RejectedError) else Issue(str(error))
        return Loaded(source, "", None, (attrs.evolve(issue, source=source),))
    references = References(environ, path.parent)
    loaded = load(text, source, references=references, overrides=overrides)
    if loaded.config is None:
        return loaded
    # Here, where they enter the process, so that nobody can forget it.
    redactor.add(each.value for each in secrets(loaded.config))
    if found.exposed and any(each.kind == "value" for each in secrets(loaded.config)):
        loaded = attrs.evolve(loaded, issues=(*loaded.issues, _exposed(source)))
    return loaded


def _understand(
    raw: dict[str, Any], references: References | None, overrides: Sequence[Override]
) -> tuple[Config | None, list[Issue]]:
    document, issues = resolve(apply_overrides(raw, overrides), references)
    config, faults = structure(document)
    issues += faults
    if config is not None:
        issues += check(config, document)
    return config, issues


def _placed(issue: Issue, places: Outline, overrides: Sequence[Override]) -> Issue:
    for override in overrides:
        if override.path == issue.path[: len(override.path)]:
            return attrs.evolve(issue, source=override.origin)
    # What is missing from the top of the file is missing from its first line.
    return placed_at(issue, places.nearest(issue.path) or START)


def _shown(issue: Issue, source: str, lines: Sequence[str]) -> Issue:
    """Return *issue* with its source, and with what may be shown of its line."""
    if issue.line is None or issue.column is None:
        return issue
    shown = excerpt(lines[issue.line - 1], issue.column, issue.width, issue.path)
    return attrs.evolve(issue, source=source, excerpt=shown)


def _verdict(
    config: Config | None, issues: Sequence[Issue]
) -> tuple[Config | None, Sequence[Issue]]:
    """Return a config only when nothing is wrong, and issues in the order of the file."""
    ordered = sorted(issues, key=lambda each: (each.line or 0, each.column or 0, each.key))
    errors = [each for each in ordered if each.severity == "error"]
    if len(errors) > MOST_ISSUES:
        more = Issue("there are more errors than these")
        return None, (*errors[:MOST_ISSUES], placed_at(more, START))
    return None if errors else config, ordered


def _exposed(source: str) -> Issue:
    return Issue(
        "holds secrets and can be read or changed by other users",
        hint=f"chmod 600 {source}",
        severity="warning",
        source=source,
    )
