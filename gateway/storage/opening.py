"""From a path to a connection that can be trusted: modes, damage, migrations."""

import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import structlog

from gateway.errors import UnavailableError
from gateway.storage.files import make_private_directory, sync_directory, touch_private

log = structlog.get_logger(__name__)

BUSY: Final = 5.0
"""Seconds to wait for a lock of another process, such as a backup that is being made."""

CHECK: Final = 5.0
"""Seconds that looking for damage may take at start.  It reads some 500 MB a second, so
that only very large files are checked in part."""

PROGRESS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock: a few per millisecond."""

WAL_BYTES: Final = 16 * 1024 * 1024
"""What is kept of the write-ahead log's file after a burst; the disk space is reused."""

DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
    }
)
"""What is up to the disk, its permissions or another program, and no bug of ours."""


_UNOPENED: Final = (
    "{path} cannot be opened: {reason}; see to the disk and to whose file it is, "
    "or choose another --state"
)


class NewerError(UnavailableError):
    """The file was written by a later version of the gateway."""


@attrs.frozen
class Opened:
    """A connection, and where the file went that was found damaged instead of it."""

    connection: sqlite3.Connection
    set_aside: Path | None


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 for errors of the Python module itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def open_writer(path: Path, steps: Sequence[str]) -> Opened:
    """Return the connection that writes, with all *steps* taken.

    A damaged file is renamed, never overwritten, and a new one made.  Raises `NewerError`,
    `OSError`, or `sqlite3.Error` for what is not damage: no space, no permission, or the
    format of a later SQLite, which a damaged header may look like.  The file is left alone.
    """
    make_private_directory(path.parent)
    try:
        return Opened(_open_checked(path, steps), None)
    except sqlite3.DatabaseError as error:
        if code_of(error) not in DAMAGED:
            raise
        aside = set_aside(path)
        log.error("the database is damaged and was set aside", file=str(aside), why=str(error))  # noqa: TRY400  the reason is in the line, and no bug of ours
    return Opened(_open_checked(path, steps), aside)


def open_or_explain(path: Path, steps: Sequence[str]) -> Opened:
    """Do as `open_writer`; what the operator has to see to is an `UnavailableError`."""
    try:
        return open_writer(path, steps)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(
            _UNOPENED.format(path=error.filename or path, reason=reason)
        ) from error
    except sqlite3.Error as error:
        if code_of(error) not in REFUSED:
            raise
        raise UnavailableError(_UNOPENED.format(path=path, reason=error)) from error


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write; for any thread, one at a time."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def set_aside(path: Path) -> Path:
    """Rename a database with its log; return its new name, which SQLite can open as well."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = _free_name(path.with_name(f"{path.name}.damaged-{stamp}"))
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    sync_directory(path.parent)
    return aside


def _free_name(path: Path) -> Path:
    """Return *path*, or the first of its numbered variants that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _open_checked(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    # SQLite gives -wal and -shm the mode of the main file, so it must exist before.
    touch_private(path)
    connection = _connect(path)
    try:
        check(connection)
        # Not before the check: it writes.
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    # SQLite has no checksums: a damaged text must not hide all rows that are read with it.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    return connection


def check(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` if the file is damaged, as far as `CHECK` lets us see."""
    until = time.monotonic() + CHECK
    connection.set_progress_handler(lambda: time.monotonic() > until, PROGRESS)
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        log.warning("the database was not checked to its end", seconds=CHECK)
        return
    finally:
        connection.set_progress_handler(None, 0)
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict.replace("\n", " "))
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def migrate(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Take the steps that are still to be taken; each is done whole or not at all.

    Raises `NewerError` if there are more behind the file than *steps*.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise NewerError(
            f"the database has version {version}, this gateway knows versions up to {len(steps)}: "
            "start the newer gateway, or use another --state"
        )
    for number, step in enumerate(steps[version:], version + 1):
        # The version in the same transaction: a crash in between repeats nothing.
        script = f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise
