"""``gateway hooks``: which there are, and how a sender would prove itself."""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.errors import CommandError, did_you_mean
from gateway.cli.screen import clean, print_pairs
from gateway.cli.where import local_config
from gateway.config.hooks import Hook
from gateway.conversation.signatures import sign

Config = Annotated[Path | None, Parameter(help="Configuration file.")]


def show(*, config: Config = None) -> None:
    """List the hooks of the configuration: the path, how a sender is known, what comes of it."""
    hooks = local_config(config).hooks
    if not hooks:
        print("There is no hook: add a table [hooks.NAME] to the configuration.")
    rows = ((f"/hooks/{name}", clean(_summary(each))) for name, each in hooks.items())
    print_pairs(rows, style="bold")


def _summary(hook: Hook) -> str:
    return f"{hook.scheme}, {_purpose(hook)}"


def _purpose(hook: Hook) -> str:
    if hook.channel is not None:
        return f"to {hook.to} on {hook.channel}"
    session = f", in session {hook.session}" if hook.session else ""
    return f"asks {hook.agent or 'the default agent'}{session}"


def sign_body(name: str, *, config: Config = None) -> None:
    """Print the headers with which a sender would post standard input to the hook NAME.

    For a try: `curl --data-binary @body -H "$(gateway hooks sign NAME < body)" URL`, with one
    header; with several, write them to a file and use `-H @file`.
    """
    hooks = local_config(config).hooks
    if name not in hooks:
        raise CommandError(f"there is no hook {name!r}.{did_you_mean(name, list(hooks))}")
    headers = sign(hooks[name], sys.stdin.buffer.read(), time.time())
    sys.stdout.writelines(f"{header}: {value}\n" for header, value in headers.items())
