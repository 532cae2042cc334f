"""The configuration as it may be shown: with ``***`` for secrets.  Pure."""

from typing import Any

from gateway.config.issues import render_path
from gateway.config.model import Config
from gateway.config.structure import FORM
from gateway.errors import NotFoundError
from gateway.protocol.issues import did_you_mean


def show(config: Config, path: tuple[str, ...] = ()) -> Any:
    """Return what *config* has at *path* as JSON; raises `NotFoundError`."""
    shown = FORM.unstructure(config)
    for depth, name in enumerate(path):
        if not isinstance(shown, dict) or name not in shown:
            guess = did_you_mean(name, shown) if isinstance(shown, dict) else ""
            raise NotFoundError(f"there is no {render_path(path[: depth + 1])}{guess}")
        shown = shown[name]
    return shown
