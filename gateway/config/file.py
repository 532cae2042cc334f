"""The configuration file of a gateway: reading, trying out, replacing, noticing."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from gateway.config import includes
from gateway.config.load import Loaded, load, read
from gateway.config.overrides import Override
from gateway.config.secrets import References
from gateway.config.tree import secrets
from gateway.logs import redactor
from gateway.storage.files import PRIVATE_FILE, atomic_write


@attrs.define(eq=False)
class ConfigFile:
    """The file at *path*, seen with the environment and flags of this process.

    Files that it includes are read with it; only *path* itself is written.  All methods
    block for as long as the disk does.
    """

    path: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    overrides: Sequence[Override] = attrs.field(default=(), repr=False)
    _include: tuple[str, ...] = attrs.field(default=(), init=False)  # as read last

    def read(self) -> Loaded:
        """Return what the file says; never raises."""
        loaded = read(self.path, environ=self.environ, overrides=self.overrides)
        self._include = loaded.include
        return loaded

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
        """Return something that changes whenever what `read` returns may have changed.

        It looks at what the file included when it was read last: if it includes other
        files now, it has changed itself.
        """
        return includes.stamp(self.path), includes.signature(self.path.parent, self._include)

    def exists(self) -> bool:
        """Return whether there is such a file at all, also if it cannot be read."""
        return os.path.lexists(self.path)
