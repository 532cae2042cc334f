"""``gateway run``: the gateway itself.  Imports nothing that a running gateway has not."""

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

LogLevel = Literal["debug", "info", "warning", "error"]


def run(
    *,
    config: Annotated[Path | None, Parameter(help="Configuration file.")] = None,
    state: Annotated[Path | None, Parameter(help="Directory of what must survive.")] = None,
    port: Annotated[int | None, Parameter(help="TCP port.")] = None,
    bind: Annotated[
        str | None, Parameter(help="loopback, lan, tailnet, auto, or an address.")
    ] = None,
    log_level: Annotated[LogLevel | None, Parameter(help="Least important level kept.")] = None,
) -> int:
    """Run the gateway until it is asked to stop (Ctrl-C, SIGTERM).

    The first time it writes a configuration with a token.  What is given here wins over
    the configuration.  Exit codes: 0 stopped, 70 stuck, 75 restart wanted, 78
    configuration not valid.
    """
    from gateway.boot import Boot  # noqa: PLC0415 - the other commands do without the server
    from gateway.config.overrides import overrides  # noqa: PLC0415 - as above
    from gateway.config.paths import find  # noqa: PLC0415 - as above

    given = overrides(os.environ, port=port, bind=bind, log_level=log_level)
    return Boot(find(os.environ, config=config, state=state), given).run()
