"""The configuration file of a gateway: reading, trying out, replacing, noticing."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from gateway.config.load import Loaded, load, read
from gateway.config.overrides import Override
from gateway.config.secrets import References
from gateway.config.tree import secrets
from gateway.logs import redactor
from gateway.storage.files import PRIVATE_FILE, atomic_write


@attrs.frozen(eq=False)
class ConfigFile:
    """The file at *path*, seen with the environment and flags of this process.

    All methods block for as long as the disk does.
    """

    path: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    overrides: Sequence[Override] = attrs.field(default=(), repr=False)

    def read(self) -> Loaded:
        """Return what the file says; never raises."""
        return read(self.path, environ=self.environ, overrides=self.overrides)

    def check(self, text: str) -> Loaded:
        """Return what the file would say with *text*; never raises."""
        references = References(self.environ, self.path.parent)
        loaded = load(text, str(self.path), references=references, overrides=self.overrides)
        if loaded.config is not None:
            # It may be run on without having been read from the file.
            redactor.add(each.value for each in secrets(loaded.config))
        return loaded

    def write(self, text: str) -> None:
        """Replace the text in one step; raises `OSError`, and then it is the old one.

        The mode is kept, and a symbolic link stays one: what it leads to is replaced.
        """
        target = Path(os.path.realpath(self.path))
        try:
            mode = stat.S_IMODE(target.stat().st_mode)
        except FileNotFoundError:
            mode = PRIVATE_FILE
        atomic_write(target, text.encode(), mode)

    def signature(self) -> object:
        """Return something that changes whenever the text may have changed."""
        try:
            found = self.path.stat()
        except OSError as error:
            return error.errno
        # The last one too: whoever copies with the old times cannot turn that one back.
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def exists(self) -> bool:
        """Return whether there is such a file at all, also if it cannot be read."""
        return os.path.lexists(self.path)
