"""From a TOML text to a `Config`, or to everything that is wrong with it.

`load` is pure but for the references that the text makes.  `read` looks at a file.
A start, a reload, ``gateway check`` and ``config.check`` all pass through `load`, so
they cannot disagree.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Final

import attrs

from gateway.config.checks import check
from gateway.config.excerpt import excerpt
from gateway.config.files import read_bounded
from gateway.config.includes import Inclusion, patterns
from gateway.config.issues import Issue
from gateway.config.model import Config
from gateway.config.overrides import Override, apply_overrides
from gateway.config.secrets import References, resolve
from gateway.config.setting import Secret
from gateway.config.sources import Source, Sources, gather
from gateway.config.structure import structure
from gateway.config.text import MOST_BYTES, RejectedError, decoded
from gateway.config.tree import secrets, settings
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
    """That of the main file only, like *hash*: what is edited, and kept as a revision.

    Going back to a revision takes included files as they are by then.  It may hold secrets.
    """
    fingerprint: str = attrs.field(default=attrs.Factory(lambda self: self.hash, takes_self=True))
    """SHA-256 in hex of the text and of the names and texts of all that it includes.

    It is *hash* if nothing is included.
    """
    files: tuple[FilePath, ...] = ()
    """The included files that were read; empty if none was to be, or if none was followed."""
    include: tuple[str, ...] = ()
    """The patterns in the text by which files are included, also if it is not valid."""

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

    *source* names the text in issues; it is the path if there is a file.  Without
    *references* nothing is followed: a secret that is referred to has no value, a file
    that is included is not read, and what could be in it is not missed.  That is enough
    to check, not to start.
    """
    return _load(Source(source, text), references, overrides)


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
    loaded = _load(Source(source, text, found.exposed), references, overrides)
    if loaded.config is not None:
        # Here, where they enter the process, so that nobody can forget it.
        redactor.add(each.value for each in secrets(loaded.config))
    return loaded


def _load(main: Source, references: References | None, overrides: Sequence[Override]) -> Loaded:
    digest = _digest(main.text.encode(errors="surrogatepass"))
    try:
        sources = gather(main, references.base if references else None)
    except RejectedError as error:
        issue = _shown(attrs.evolve(error.issue, source=main.name), _lines(main))
        return Loaded(main.name, digest, None, (issue,), main.text)
    config, issues = _understand(sources, references, overrides)
    lines = _lines(*sources.texts)
    return Loaded(
        source=main.name,
        hash=digest,
        config=config,
        issues=tuple(_shown(each, lines) for each in issues),
        text=main.text,
        fingerprint=_fingerprint(digest, sources.inclusion),
        files=tuple(each.path for each in sources.inclusion.files),
        include=patterns(sources.texts[0].document),
    )


def _understand(
    sources: Sources, references: References | None, overrides: Sequence[Override]
) -> tuple[Config | None, list[Issue]]:
    """Return a config only if nothing is wrong, and all issues in order, with places."""
    document, found = resolve(apply_overrides(sources.document, overrides), references)
    config, faults = structure(document, whole=sources.whole)
    found += faults
    if config is not None:
        found += check(config, document, whole=sources.whole)
    placed = [_placed(each, sources, overrides) for each in found]
    issues = _ordered([*sources.issues, *placed], sources)
    if any(each.severity == "error" for each in issues):
        return None, issues
    return config, [*issues, *_exposures(config, sources)]


def _placed(issue: Issue, sources: Sources, overrides: Sequence[Override]) -> Issue:
    for override in overrides:
        if override.path == issue.path[: len(override.path)]:
            return attrs.evolve(issue, source=override.origin)
    return sources.around(issue.path).placed(issue)


def _ordered(issues: Sequence[Issue], sources: Sources) -> list[Issue]:
    """Return *issues* in the order of the texts, cut if there are too many errors."""
    order = {each.name: index for index, each in enumerate(sources.texts)}
    ordered = sorted(
        issues,
        key=lambda each: (order.get(each.source, -1), each.line or 0, each.column or 0, each.key),
    )
    errors = [each for each in ordered if each.severity == "error"]
    if len(errors) <= MOST_ISSUES:
        return ordered
    more = Issue("there are more errors than these")
    return [*errors[:MOST_ISSUES], sources.texts[0].placed(more)]


def _exposures(config: Config | None, sources: Sources) -> Iterator[Issue]:
    """Yield a warning for each text with a secret in it that others can read."""
    held = settings(config) if config is not None else ()
    secret = [path for path, _, each in held if isinstance(each, Secret) and each.kind == "value"]
    for name in dict.fromkeys(each.name for each in map(sources.around, secret) if each.exposed):
        yield Issue(
            "holds secrets and can be read or changed by other users",
            hint=f"chmod 600 {name}",
            severity="warning",
            source=name,
        )


def _lines(*texts: Source) -> dict[str, list[str]]:
    return {each.name: each.text.split("\n") for each in texts}


def _shown(issue: Issue, lines: Mapping[str, Sequence[str]]) -> Issue:
    """Return *issue* with what may be shown of its line; *lines* has those of each text."""
    if issue.line is None or issue.column is None:
        return issue
    line = lines[issue.source][issue.line - 1]
    return attrs.evolve(issue, excerpt=excerpt(line, issue.column, issue.width, issue.path))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fingerprint(digest: str, inclusion: Inclusion) -> str:
    """Return *digest* if nothing is included, else one of everything."""
    if inclusion == Inclusion():
        return digest
    parts = [digest]
    for each in inclusion.files:
        parts += [each.name, _digest(each.content)]
    # A file that could not be read counts too: it may have been mended since.
    parts += map(str, inclusion.issues)
    return _digest("\0".join(parts).encode())
