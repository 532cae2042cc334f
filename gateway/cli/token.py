"""``gateway token``: the credential for other clients."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.errors import CommandError
from gateway.cli.where import best_token, local_config


def token(*, config: Annotated[Path | None, Parameter(help="Configuration file.")] = None) -> None:
    """Print the token of the gateway on this machine, and nothing else.

    Whoever has it can do everything that it allows.
    """
    found = best_token(local_config(config))
    if found is None:
        raise CommandError("the configuration has no token for people; add one to [auth.tokens].")
    sys.stdout.write(found.token.value + "\n")
