"""The files that a configuration includes: which ones they are, and reading them.

Patterns are relative to the directory of the main file, and nothing outside of it is
read.  ``*``, ``?`` and ``[...]`` stand for parts of one name; names that begin with a dot
are hidden from them, as an editor's drafts are.  There is no ``**``, and everything is
bounded: a watcher asks again and again.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from gateway.config.files import read_bounded
from gateway.config.issues import Issue
from gateway.config.text import MOST_BYTES
from gateway.config.values import check_include

MOST_FILES: Final = 100
"""Most files included; one for each channel and agent of a big household are 50."""

MOST_TOGETHER: Final = MOST_BYTES
"""Most bytes of them all; so that a start costs at most twice that of one file."""

MOST_ENTRIES: Final = 10_000
"""Most names looked at; more take the watcher longer than 10 ms at each look."""

_WILD: Final = re.compile(r"[*?\[]")


@attrs.frozen
class Included:
    """A file that was read; *name* is relative.  *exposed* is that of `read_bounded`."""

    name: str
    path: FilePath
    content: bytes = attrs.field(repr=False)
    exposed: bool = False


@attrs.frozen
class Inclusion:
    """What the setting ``include`` led to: in its order, each pattern's files by name.

    *issues* are about the setting, and have its path.
    """

    files: tuple[Included, ...] = ()
    issues: tuple[Issue, ...] = ()


def patterns(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns in *document* that may be followed."""
    return tuple(pattern for _, pattern in _well_formed(document))


def include(document: Mapping[str, Any], main: FilePath, base: FilePath) -> Inclusion:
    """Return the files that *document* includes, in and below the directory *base*.

    *main* is its own file, which a pattern may match: it is not included in itself.
    What is not a pattern is passed over.  Blocks for as long as the disk does.
    """
    reader = _Reader(base, {os.path.realpath(main)})
    for index, pattern in _well_formed(document):
        try:
            reader.read(pattern, index)
        except _TooMuchError as error:
            reader.complain(str(error), index)
            break
    return Inclusion(tuple(reader.files), tuple(reader.issues))


def signature(base: FilePath, given: Iterable[str]) -> object:
    """Return something that changes when a file that matches changes, appears or goes.

    Blocks for as long as the disk does.
    """
    walk = _Walk()
    try:
        names = [name for pattern in given for name in walk.names(base, pattern)]
    except (OSError, _TooMuchError) as error:
        return str(error)
    return tuple((name, stamp(base / name)) for name in dict.fromkeys(names))


def stamp(path: FilePath) -> object:
    """Return something that changes whenever the content of *path* may have changed."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    # The last one too: whoever copies with the old times cannot turn that one back.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _TooMuchError(Exception):
    """A bound is passed; there is no point in going on."""


class _UnreadableError(Exception):
    """One file cannot be included; the others may."""


def _well_formed(document: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield what may be followed; about the rest, the checks of the setting complain."""
    given = document.get("include")
    for index, pattern in enumerate(given if isinstance(given, list) else ()):
        if isinstance(pattern, str) and _is_valid(pattern):
            yield index, pattern


def _is_valid(pattern: str) -> bool:
    try:
        check_include(pattern)
    except ValueError:
        return False
    return True


@attrs.define
class _Walk:
    """Looks through directories, at so many names in all."""

    left: int = MOST_ENTRIES

    def names(self, base: FilePath, pattern: str) -> list[str]:
        """Return what matches, relative and sorted; raises `OSError`, `_TooMuchError`."""
        parts = [part for part in pattern.split("/") if part != "."]
        return sorted(self._below(base, parts))

    def _below(self, directory: FilePath, parts: list[str], at: str = "") -> Iterator[str]:
        for name in self._matching(directory, parts[0]):
            if len(parts) == 1:
                yield at + name
            else:
                yield from self._below(directory / name, parts[1:], f"{at}{name}/")

    def _matching(self, directory: FilePath, part: str) -> list[str]:
        if not _WILD.search(part):
            self._look()
            return [part] if os.path.lexists(directory / part) else []
        try:
            with os.scandir(directory) as entries:
                return [each.name for each in entries if self._matches(each.name, part)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _matches(self, name: str, part: str) -> bool:
        self._look()
        hidden = name.startswith(".") and not part.startswith(".")
        return not hidden and fnmatchcase(name, part)

    def _look(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooMuchError(f"looks at more than {MOST_ENTRIES} names")


@attrs.define
class _Reader:
    """Reads files, each once; *seen* has the real paths of those that are known."""

    base: FilePath
    seen: set[str]
    files: list[Included] = attrs.field(factory=list, init=False)
    issues: list[Issue] = attrs.field(factory=list, init=False)
    _walk: _Walk = attrs.field(factory=_Walk, init=False)
    _bytes: int = attrs.field(default=0, init=False)

    def read(self, pattern: str, index: int) -> None:
        """Read what matches; raises `_TooMuchError`."""
        try:
            names = self._walk.names(self.base, pattern)
        except OSError as error:
            self.complain(f"cannot be followed: {error.strerror}", index)
            return
        if not names and not _WILD.search(pattern):
            self.complain("there is no such file", index)
        for name in names:
            try:
                self._read(name)
            except _UnreadableError as error:
                self.complain(str(error), index)

    def complain(self, message: str, index: int) -> None:
        """Note what is wrong with the pattern at *index*."""
        self.issues.append(Issue(message, ("include", index)))

    def _read(self, name: str) -> None:
        if not name.isprintable():
            shown = ascii(name)[1:-1]
            raise _UnreadableError(f"{shown} is no name that can be shown; rename it")
        real = os.path.realpath(self.base / name)
        if real in self.seen:
            return
        if not FilePath(real).is_relative_to(os.path.realpath(self.base)):
            raise _UnreadableError(f"{name} leads out of the directory of this file")
        self.seen.add(real)
        if len(self.seen) > MOST_FILES + 1:  # the main file is one of them
            raise _TooMuchError(f"leads to more than {MOST_FILES} files")
        self._take(name, FilePath(real))

    def _take(self, name: str, real: FilePath) -> None:
        try:
            # By its real name: a link that changes now is not followed.
            found = read_bounded(real, MOST_BYTES)
        except ValueError as error:
            raise _UnreadableError(f"{name} {error}") from None
        self._bytes += len(found.content)
        if self._bytes > MOST_TOGETHER:
            raise _TooMuchError(f"leads to files of more than {MOST_TOGETHER} bytes together")
        self.files.append(Included(name, self.base / name, found.content, found.exposed))
