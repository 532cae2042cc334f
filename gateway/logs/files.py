"""A log file that only its owner can read, rotated by size."""

import os
from pathlib import Path

import attrs


@attrs.define
class RotatingFile:
    """Appends to *path*; beyond *most* bytes it becomes ``path.1``, and so on to *kept*.

    Opened again for each batch of lines: that costs microseconds, a file that was moved
    away or deleted comes back, and after a failure there is nothing to repair.
    """

    path: Path
    most: int
    kept: int

    def write(self, lines: bytes) -> None:
        """Append *lines*; raises `OSError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._open()
        try:
            if (size := os.fstat(file).st_size) and size + len(lines) > self.most:
                os.close(file)
                file = -1
                self._rotate()
                file = self._open()
            _write_all(file, lines)
        finally:
            if file >= 0:
                os.close(file)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        # Also for a file that was there already.
        os.fchmod(file, 0o600)
        return file

    def _rotate(self) -> None:
        for number in range(self.kept - 1, 0, -1):
            if (older := self._numbered(number)).exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _write_all(file: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(file, rest) :]
