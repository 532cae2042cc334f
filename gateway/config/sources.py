"""The texts of a configuration as one document, and where in them each key stands.

Tables are merged, whoever has a part of them; a setting may stand in one place only.
"""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from gateway.config.guard import is_setting
from gateway.config.includes import Included, Inclusion, include
from gateway.config.issues import Issue, Path
from gateway.config.locate import KEYS, Outline
from gateway.config.text import START, RejectedError, decoded, parse, placed_at

MAIN_ONLY: Final = ("include", "version")
"""Settings of the main file: files do not nest, and one text is migrated."""


_TOO_MANY: Final = Issue(f"leads to more than {KEYS} keys and list items", ("include",))
_NOT_FOLLOWED: Final = Issue(
    "is not followed here, so what those files say is not known", ("include",), severity="warning"
)


@attrs.frozen
class Source:
    """A text and what it says; *name* is that of issues.

    *exposed* if others than the owner of its file can read or change it.
    """

    name: str
    text: str = attrs.field(repr=False)
    exposed: bool = False
    outline: Outline = attrs.field(factory=Outline, repr=False)
    document: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def parsed(self) -> "Source":
        """Return it with what its text says; raises `RejectedError`."""
        outline, document = parse(self.text)
        return attrs.evolve(self, outline=outline, document=document)

    def placed(self, issue: Issue) -> Issue:
        """Return *issue* with the place of its path, or of what it is missing from."""
        # What is missing from the top of the file is missing from its first line.
        position = self.outline.nearest(issue.path) or START
        return placed_at(attrs.evolve(issue, source=self.name), position)


@attrs.frozen
class Sources:
    """The texts, the main one first, and the *document* that they are together.

    *issues* have their places.  *whole* is false if a part of the document is not known:
    then nobody is to blame for what is missing from it.
    """

    texts: tuple[Source, ...]
    document: dict[str, Any] = attrs.field(repr=False)
    issues: tuple[Issue, ...] = ()
    whole: bool = True
    inclusion: Inclusion = Inclusion()

    def around(self, path: Path) -> Source:
        """Return the text that has *path*, or else most of it."""
        for length in range(len(path), 0, -1):
            for source in self.texts:
                if path[:length] in source.outline.keys:
                    return source
        return self.texts[0]


def gather(main: Source, base: FilePath | None) -> Sources:
    """Return *main* with all that it includes; raises `RejectedError` if it is no TOML.

    Files are included from below the directory *base*, which takes as long as the disk
    does.  Without it none is, and there is a warning if one should have been.
    """
    main = main.parsed()
    if base is None:
        issues = [main.placed(_NOT_FOLLOWED)] if main.document.get("include") else []
        return Sources((main,), main.document, tuple(issues), whole=not issues)
    inclusion = include(main.document, FilePath(main.name), base)
    texts, issues = _read(main, inclusion)
    document, faults = _merged(texts)
    whole = not issues
    return Sources(tuple(texts), document, (*issues, *faults), whole, inclusion)


def _read(main: Source, inclusion: Inclusion) -> tuple[list[Source], list[Issue]]:
    """Return all texts, and everything because of which one is not what it should be."""
    texts, issues = [main], [main.placed(each) for each in inclusion.issues]
    keys = len(main.outline.keys)
    for file in inclusion.files:
        source, rejected = _source(file)
        texts.append(source)
        issues += rejected
        keys += len(source.outline.keys)
        if keys > KEYS:
            # Not read on: each file may have as many as one alone may have.
            issues.append(main.placed(_TOO_MANY))
            break
    return texts, issues


def _source(file: Included) -> tuple[Source, list[Issue]]:
    """Return a file, with an empty document if it is no TOML, and then why not."""
    source = Source(str(file.path), file.content.decode(errors="replace"), file.exposed)
    try:
        decoded(file.content)
        return source.parsed(), []
    except RejectedError as error:
        return source, [attrs.evolve(error.issue, source=source.name)]


def _merged(texts: list[Source]) -> tuple[dict[str, Any], list[Issue]]:
    """Return the document of *texts*, and what may not be in them."""
    main, *others = texts
    document = main.document
    issues: list[Issue] = []
    for index, source in enumerate(others, 1):
        own = {key: value for key, value in source.document.items() if key not in MAIN_ONLY}
        message = f"belongs into {main.name} only"
        issues += (
            source.placed(Issue(message, (key,))) for key in source.document.keys() - own.keys()
        )
        twice: list[Path] = []
        document = _merge(document, own, (), twice)
        issues += (_repeated(path, source, texts[:index]) for path in twice)
    return document, issues


def _merge(first: Any, second: Mapping[str, Any], at: Path, twice: list[Path]) -> dict[str, Any]:
    """Return two tables merged; what both set goes to *twice*, and stays that of *first*."""
    result = dict(first)
    for key, value in second.items():
        path = (*at, key)
        if key not in result:
            result[key] = value
        elif _is_table(path, value) and _is_table(path, result[key]):
            result[key] = _merge(result[key], value, path, twice)
        else:
            twice.append(path)
    return result


def _is_table(path: Path, value: Any) -> bool:
    # A reference to a secret is a table too, but one value.
    return isinstance(value, dict) and not is_setting(tuple(map(str, path)))


def _repeated(path: Path, source: Source, before: list[Source]) -> Issue:
    first = next((each for each in before if path in each.outline.keys), before[0])
    line = first.placed(Issue("", path)).line
    return source.placed(Issue(f"is there twice, first in {first.name}:{line}", path))
