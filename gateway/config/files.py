"""Reading a file that anybody may have prepared: bounded, and never waiting."""

import os
import stat
from pathlib import Path

import attrs


@attrs.frozen
class Content:
    """What a file holds; *exposed* if others than its owner can read or change it."""

    content: bytes
    exposed: bool


def read_bounded(path: Path, most: int) -> Content:
    """Return what is in the regular file *path*; blocks for as long as reading takes.

    Raises `ValueError` that says why not; *most* is in bytes.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError("cannot be read: its name is not valid") from None
    try:
        return _read(number, most)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(number)


def _read(number: int, most: int) -> Content:
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}")
    with open(number, "rb", closefd=False) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"is larger than {most} bytes")
    return Content(content, exposed=bool(mode & (stat.S_IRWXG | stat.S_IRWXO)))
