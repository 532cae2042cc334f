"""Where the configuration and the state are."""

from collections.abc import Mapping
from pathlib import Path

import attrs
import platformdirs


@attrs.frozen
class Paths:
    """*config* is the file; *state* the directory of everything that must survive."""

    config: Path
    state: Path

    @property
    def database(self) -> Path:
        """The SQLite file with everything that was acknowledged."""
        return self.state / "gateway.db"

    @property
    def media(self) -> Path:
        """The directory of files that came with messages."""
        return self.state / "media"

    @property
    def listening(self) -> Path:
        """The file that says which configuration runs, and then its addresses, one a line."""
        return self.state / "listening"


def find(
    environ: Mapping[str, str], *, config: str | Path | None = None, state: str | Path | None = None
) -> Paths:
    """Return the paths: from the flags *config* and *state*, else *environ*, else the platform's.

    Nothing is created or looked at.  An empty variable counts as not set.
    """
    return Paths(
        _absolute(config or environ.get("GATEWAY_CONFIG"))
        or platformdirs.user_config_path("gateway", appauthor=False) / "gateway.toml",
        _absolute(state or environ.get("GATEWAY_STATE"))
        or platformdirs.user_state_path("gateway", appauthor=False),
    )


def _absolute(given: str | Path | None) -> Path | None:
    # Absolute, because a daemon may change its directory later.
    return Path(given).expanduser().absolute() if given else None
