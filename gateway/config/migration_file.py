"""Migrating the configuration file: a backup first, then the new text in one step.

Whenever the process dies, the file is the old one or the new one, and there is a backup
before there is a new one.  Doing it again finishes what was begun.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from gateway.config.files import read_bounded
from gateway.config.issues import Issue
from gateway.config.migrate import Migrated, MigrationError, migrate
from gateway.config.text import MOST_BYTES
from gateway.storage.files import atomic_write, create_whole

MOST_BACKUPS: Final = 100
"""Different backups of one version; whoever has more restores the same file in a loop."""


@attrs.frozen
class Rewritten:
    """What was done: the new text is in the file, the old one in *backup*."""

    migrated: Migrated
    backup: Path


def migrate_file(path: Path) -> Rewritten | None:
    """Migrate the file at *path*; `None` if it has today's layout already.

    The backup (``gateway.toml.v1.bak``, 0600) is beside the file; one with other
    content is kept, and the next gets a number.  The file keeps its mode and owner; a
    symbolic link stays one.  Blocks for as long as the disk does.

    Raises `MigrationError` if the text cannot be read or migrated, and `OSError` if it
    cannot be written; then the file is unchanged.
    """
    # What a link leads to: replacing the link would leave the real file as it was.
    target = Path(os.path.realpath(path))
    content = _read(target)
    try:
        migrated = migrate(content.decode())
    except UnicodeDecodeError:
        raise _refused(target, "is not valid UTF-8; save it as UTF-8") from None
    except MigrationError as error:
        raise MigrationError(attrs.evolve(error.issue, source=str(target))) from None
    if not migrated.old:
        return None
    backup = _back_up(target, content, migrated.version)
    _replace(target, content, migrated.text.encode())
    return Rewritten(migrated, backup)


def _read(target: Path) -> bytes:
    try:
        return read_bounded(target, MOST_BYTES).content
    except ValueError as error:
        raise _refused(target, str(error)) from None


def _refused(target: Path, message: str) -> MigrationError:
    return MigrationError(Issue(message, source=str(target)))


def _back_up(target: Path, content: bytes, version: int) -> Path:
    """Return a file beside *target* that has *content*, made if there is none."""
    for number in range(1, MOST_BACKUPS + 1):
        end = f".{number}" if number > 1 else ""
        backup = target.with_name(f"{target.name}.v{version}.bak{end}")
        if create_whole(backup, content) or _holds(backup, content):
            return backup
    raise FileExistsError(f"there are {MOST_BACKUPS} different backups of {target} already")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return not path.is_symlink() and read_bounded(path, MOST_BYTES).content == content
    except ValueError:
        return False


def _replace(target: Path, old: bytes, new: bytes) -> None:
    """Put *new* in the place of *old*, unless somebody has saved the file meanwhile."""
    before = target.stat()
    if _read(target) != old:
        raise _refused(target, "was changed while it was being migrated; try again")
    atomic_write(target, new, stat.S_IMODE(before.st_mode))
    if before.st_uid != os.geteuid():
        # Root migrated a user's file: without this, the user could not read it any more.
        with suppress(PermissionError):
            os.chown(target, before.st_uid, before.st_gid)
