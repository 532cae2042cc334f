"""A text in the operator's own editor."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gateway.cli.errors import CommandError

MOST_BYTES = 16 * 1024 * 1024
"""What is read of what an editor has left: far more than any configuration."""


def edit_text(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return what the operator makes of *text*; raises `CommandError` if they give up.

    While the editor runs, the text is in a directory that nobody else can look into.
    """
    command = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        draft = Path(folder) / "gateway.toml"
        draft.write_text(text, newline="")
        _run(command, draft)
        return _read(draft)


def ask(question: str) -> bool:
    """Return whether the person at the terminal says yes; no if nobody sits there."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:
        print()
        return False


def _run(command: str, draft: Path) -> None:
    try:
        done = subprocess.run([*shlex.split(command), str(draft)], check=False)  # noqa: S603  it is the operator's
    except (OSError, ValueError) as error:
        raise CommandError(
            f"the editor {command!r} cannot be started: {error}. Set EDITOR to one that can."
        ) from error
    if done.returncode:
        raise CommandError("the editor has failed; nothing has changed.")


def _read(draft: Path) -> str:
    try:
        with draft.open(encoding="utf-8", newline="") as file:
            return file.read(MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"what the editor has left cannot be read: {error}") from error
