"""Files that came with messages or are to be sent: on the disk under ids of ours, bounded.

A file is written and synced first, then recorded: one without a record is an orphan, which
`MediaFiles.clean` removes.  Nothing from outside is ever part of a path, and no symbolic
link is followed.  Source: S36 to S40.
"""

import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final, TypeVar

import attrs
import structlog
import trio

from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.storage.files import confined, create_confined, make_confined, read_confined
from gateway.storage.store import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

ID: Final = re.compile(r"media-[0-9a-f]{24}")
"""96 bits: whoever knows an id was told it."""

BLOCK: Final = 4096
"""What even the smallest file takes on a disk; counted so, the quota bounds files as well."""

AT_ONCE: Final = 4
"""Threads that write and read at the same time; a disk gains nothing by more."""

NAME: Final = 100
"""Longest name, in characters: what people see of it."""

MIME: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}")

unix_time: Final = time.time
"""Files are kept across restarts, which only the wall clock outlives."""


@attrs.frozen
class Quota:
    """How much is kept: *size* in bytes of all files, *age* in seconds of each."""

    size: int = 2_000_000_000
    age: float = 30 * 24 * 60 * 60.0


@attrs.frozen
class File:
    """A stored file.  *name* and *mime* are what somebody has said of it.

    *account* is the channel that it came from, empty if a client has put it there.
    """

    id: str
    name: str
    mime: str
    size: int
    created: float
    account: str = ""


Origin = tuple[int, int]
"""A message in the inbox, and the place of an attachment in it."""

Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs something that blocks, and returns what it returns."""


def in_threads() -> Blocking:
    """Return what runs things in `AT_ONCE` threads."""
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def run(work: Callable[[], Any]) -> Any:
        return await trio.to_thread.run_sync(work, limiter=limiter)

    return run


def tidy_name(name: str) -> str:
    """Return a name that is one line and no path, of at most `NAME` characters; maybe empty.

    Without what cannot be seen: direction marks make ``exe.txt`` of ``txt.exe``.
    """
    last = re.split(r"[/\\]", name[-10 * NAME :])[-1]
    shown = "".join(c if c.isprintable() else " " for c in last)
    return " ".join(shown.split())[:NAME].strip(" .")


def tidy_mime(mime: str) -> str:
    """Return the media type in *mime*, that of any bytes if it is none."""
    said = mime[:200].partition(";")[0].strip().lower()
    return said if MIME.fullmatch(said) else "application/octet-stream"


@attrs.define(eq=False)
class MediaFiles:
    """Files in *directory*.  *quota* returns what holds now; *now* Unix time.

    All methods raise `UnavailableError` if the database or the disk refuses.
    """

    directory: Path
    database: Store
    quota: Callable[[], Quota] = Quota
    now: Callable[[], float] = unix_time
    blocking: Blocking = attrs.field(factory=in_threads)
    _adding: set[str] = attrs.field(factory=set, init=False)
    """Ids whose file may be there and whose record is not."""

    async def add(
        self,
        content: bytes,
        name: str,
        mime: str,
        *,
        account: str = "",
        origin: Origin | None = None,
    ) -> File:
        """Store a file and return it; the oldest go if there are too many bytes then.

        Of one *origin* there is one file: the first that was recorded is returned.
        Cancelled, it is stored or not.  Raises ``too-large`` for more than may be kept.
        """
        if (size := len(content)) > self.quota().size:
            raise GatewayError("too-large", f"{size} bytes, at most {self.quota().size}")
        made = f"media-{secrets.token_hex(12)}"
        file = File(made, tidy_name(name), tidy_mime(mime), size, self.now(), account)
        self._adding.add(made)
        try:
            await self._disk(partial(self._create, made, content))
            kept, doomed = await self.database.write(
                lambda sql: _record(sql, file, origin, self.quota())
            )
        finally:
            self._adding.discard(made)
        await self._remove(doomed if kept.id == made else [made])
        return kept

    async def find(self, media_id: str) -> File:
        """Return a file by its id; raises `NotFoundError`, also for whatever is no id."""
        found = None
        if ID.fullmatch(media_id):
            found = await self.database.read(lambda sql: _find(sql, "id = ?", media_id))
        if found is None:
            raise NotFoundError(f"no stored file {media_id[:100]!r}; it may have been too old")
        return found

    async def of(self, origin: Origin) -> File | None:
        """Return the file that an attachment was stored as, if it was."""
        where = "inbox_id = ? AND place = ?"
        return await self.database.read(lambda sql: _find(sql, where, *origin))

    async def read(self, file: File) -> bytes:
        """Return what is in a file; raises `NotFoundError` if somebody has removed it."""
        work = partial(read_confined, self.path(file), file.size)
        try:
            content: bytes = await self.blocking(work)
        except OSError as error:
            raise NotFoundError(f"{file.id} cannot be read: {_reason(error)}") from error
        return content

    def path(self, file: File) -> Path:
        """Return where a file is: made of its id alone, which is ours."""
        return self.directory / file.id

    async def clean(self) -> None:
        """Remove what is too old or too much, and files without a record."""
        doomed = await self.database.write(lambda sql: _too_much(sql, self.quota(), self.now()))
        await self._remove(doomed)
        names = await self._disk(self._names)
        # In this order: what is no longer being added was recorded before it is looked up.
        adding = set(self._adding)
        known = await self.database.read(_ids)
        orphans = [name for name in names if name not in known and name not in adding]
        if orphans:
            log.info("files that nobody knows are removed", files=len(orphans))
        await self._remove(orphans)

    # -- on the disk ------------------------------------------------------------------

    async def _disk(self, work: Callable[[], T]) -> T:
        try:
            result: T = await self.blocking(work)
        except OSError as error:
            raise UnavailableError(f"a file could not be stored: {_reason(error)}") from error
        return result

    def _create(self, name: str, content: bytes) -> None:
        make_confined(self.directory)
        create_confined(self.directory / name, content)

    def _names(self) -> list[str]:
        """Return the files that have names of ours; others are not our business."""
        make_confined(self.directory)
        with confined(self.directory) as directory:
            return [name for name in os.listdir(directory) if ID.fullmatch(name)]  # noqa: PTH208  there is only a descriptor

    async def _remove(self, names: Sequence[str]) -> None:
        if names:
            await self._disk(partial(self._unlink, names))

    def _unlink(self, names: Iterable[str]) -> None:
        with confined(self.directory) as directory:
            for name in names:
                # Of a link, the link itself.
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# -- what is recorded -------------------------------------------------------------------


def _find(sql: Connection, where: str, *values: object) -> File | None:
    query = f"SELECT id, name, mime, size, created, account FROM media WHERE {where}"  # noqa: S608  only constants
    row = sql.execute(query, values).fetchone()
    return File(*row) if row else None


def _ids(sql: Connection) -> set[str]:
    return {row[0] for row in sql.execute("SELECT id FROM media")}


def _record(
    sql: Connection, file: File, origin: Origin | None, quota: Quota
) -> tuple[File, list[str]]:
    """Record a file; return it, or that of its origin, and the ids of files to remove."""
    sql.execute(
        "INSERT OR IGNORE INTO media (id, name, mime, size, created, account, inbox_id, place)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*attrs.astuple(file), *(origin or (None, None))),
    )
    if found := _find(sql, "id = ?", file.id):
        return found, _too_much(sql, quota, file.created)
    assert origin is not None
    found = _find(sql, "inbox_id = ? AND place = ?", *origin)
    assert found is not None
    return found, []


def _too_much(sql: Connection, quota: Quota, now: float) -> list[str]:
    """Forget the oldest files until the others keep to *quota*; return their ids."""
    old = sql.execute("DELETE FROM media WHERE created < ? RETURNING id", (now - quota.age,))
    aged = [row[0] for row in old]
    size = f"((size + {BLOCK - 1}) / {BLOCK} * {BLOCK})"
    (total,) = sql.execute(f"SELECT total({size}) FROM media").fetchone()  # noqa: S608  only constants
    doomed: list[str] = []
    if total > quota.size:
        rows = sql.execute(f"SELECT id, {size} FROM media ORDER BY number")  # noqa: S608  only constants
        for media_id, room in rows:
            if total <= quota.size:
                break
            doomed.append(media_id)
            total -= room
    sql.executemany("DELETE FROM media WHERE id = ?", [(each,) for each in doomed])
    return aged + doomed
