"""Files that are whole or not there, and the lock that keeps a second gateway away.

Everything here blocks for as long as the disk does: call it before Trio runs, or in a
thread.
"""

import errno
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.errors import ConflictError, UnavailableError

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
"""Conversations and credentials: for the owner only.  Source: design, "State"."""

LOCK_NAME: Final = "gateway.lock"

NO_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems say that have no hard links.  Source: link(2); EACCES is Android's."""


def make_private_directory(path: Path) -> None:
    """Make *path* with its parents, for the owner only whatever the umask says.

    One that is there already is narrowed; parents are left as they are.
    """
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    path.chmod(PRIVATE_DIRECTORY)


def touch_private(path: Path) -> None:
    """Make *path* an empty file if there is none; either way for the owner only."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def leave_note(path: Path, title: str, lines: Sequence[str]) -> None:
    """Have *title* and *lines* in *path*, for the owner only; without lines there is no file.

    For what the next start says anew: it does not wait for the disk, so it may be gone
    after a power failure.
    """
    if not lines:
        path.unlink(missing_ok=True)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with open(descriptor, "w") as file:  # noqa: PTH123  there is only a descriptor
        os.fchmod(descriptor, PRIVATE_FILE)
        file.writelines(f"{line}\n" for line in (title, *lines))
    draft.replace(path)


def sync_directory(path: Path) -> None:
    """Return when the names in the directory *path* are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace *path* by *content*; at any moment it is the old or the new, never a part.

    On the disk when this returns.  An `OSError` leaves the old one and no litter.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  there is only a descriptor
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


def create_whole(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> bool:
    """Make *path* with *content*, unless there is something by that name; return if so.

    It appears whole or not at all, and of two at once only one makes it.  On the disk when
    this returns.  Raises `OSError`.
    """
    # Written under another name: whoever comes second must not read half a file.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_through(draft, content, mode)
        _publish(draft, path, content, mode)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)
    return True


def _publish(draft: Path, path: Path, content: bytes, mode: int) -> None:
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Then whole or half is up to luck.
        _write_through(path, content, mode)


def _write_through(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123  there is only a descriptor
        # The umask may have taken bits away.
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def confined(path: Path) -> Iterator[int]:
    """Have the directory *path* open: what is done with the descriptor happens there.

    Whatever is put in its place meanwhile.  A symbolic link is none: raises `OSError`.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_confined(path: Path) -> None:
    """Make the directory *path* for the owner only; raises `OSError` for a symbolic link."""
    with suppress(FileExistsError):
        path.mkdir(mode=PRIVATE_DIRECTORY)
    with confined(path) as directory:
        os.fchmod(directory, PRIVATE_DIRECTORY)


def read_confined(path: Path, limit: int) -> bytes:
    """Return what is in the file *path*, up to *limit* bytes.

    Neither it nor its directory may be a symbolic link.  Raises `OSError`, also for what is
    no file or is longer.
    """
    with confined(path.parent) as directory:
        # Not blocking: opening a pipe would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=directory)
    with open(descriptor, "rb") as file:  # noqa: PTH123  there is only a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path.name)
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", path.name)
    return content


def create_confined(path: Path, content: bytes) -> None:
    """Make the file *path*, for the owner only; it is on the disk when this returns.

    Its directory may be no symbolic link, and nothing may be there by its name.  After an
    `OSError` there is nothing.
    """
    with confined(path.parent) as directory:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, PRIVATE_FILE, dir_fd=directory)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  there is only a descriptor
                os.fchmod(descriptor, PRIVATE_FILE)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            os.unlink(path.name, dir_fd=directory)
            raise
        os.fsync(directory)


@contextmanager
def state_lock(state: Path) -> Iterator[None]:
    """Hold the directory *state* while the body runs; makes it if need be.

    Raises `ConflictError` that names the process that holds it, and `UnavailableError` for
    a directory that will not do.  The kernel lets go when
    the holder dies, however it dies, so there are no stale locks.
    """
    _prepare(state)
    # Opened for append: the holder's pid must survive until this one has the lock.
    with (state / LOCK_NAME).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(_occupied(state, file.fileno())) from None
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        # Unlocked by closing.  The file stays: removing it would let two hold "the" lock.
        yield


def _prepare(state: Path) -> None:
    """Make the directory with a file to lock; raises `UnavailableError` with what to do."""
    if state.is_dir() and state.stat().st_mode & stat.S_ISVTX:
        # Narrowed to its owner, nobody else on this machine would have a /tmp any more.
        raise UnavailableError(
            f"{state} is for all users: give the gateway one of its own, --state"
        )
    try:
        make_private_directory(state)
        touch_private(state / LOCK_NAME)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(
            f"{error.filename or state} cannot be used for the state: {reason}; "
            "choose another directory with --state"
        ) from error


def _occupied(state: Path, descriptor: int) -> str:
    pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    holder = f"pid {pid}" if pid.isdigit() else "a process that is just starting"
    return f"another gateway ({holder}) uses {state}: stop it, or give this one another --state"
