"""From a command line to a running gateway, and from its end to an exit code."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import attrs
import structlog

from gateway import logs
from gateway.app import App
from gateway.config import first, load
from gateway.config.model import Config
from gateway.config.overrides import Override
from gateway.config.paths import Paths
from gateway.config.report import render
from gateway.config.tree import secrets
from gateway.errors import GatewayError
from gateway.process import Exit
from gateway.storage.files import state_lock

log = structlog.get_logger(__name__)


@attrs.frozen
class Boot:
    """Everything a start needs to know from outside."""

    paths: Paths
    overrides: Sequence[Override] = ()
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    stderr: TextIO = attrs.field(factory=lambda: sys.stderr)

    def run(self) -> Exit:
        """Load the configuration, run the gateway until it stops, return the exit code."""
        try:
            made = first.write(self.paths.config)
        except OSError as error:
            return self._say(Exit.CONFIG, f"cannot write {self.paths.config}: {error.strerror}")
        if made:
            self._welcome()
        loaded = load.read(self.paths.config, environ=self.environ, overrides=self.overrides)
        if loaded.issues:
            self.stderr.write(render(loaded.issues, colour=self.stderr.isatty()))
        if loaded.config is None:
            return self._say(Exit.CONFIG, f"not started: {self.paths.config} is not valid")
        return self._run(loaded, loaded.config)

    def _run(self, loaded: load.Loaded, config: Config) -> Exit:
        logs.redactor.add(secret.value for secret in secrets(config))
        try:
            with state_lock(self.paths.state):
                return self._supervise(loaded, config)
        except GatewayError as error:
            return self._say(Exit.FAILED, error.message)
        except OSError as error:
            return self._say(Exit.FAILED, f"{error.strerror}: {error.filename}")

    def _supervise(self, loaded: load.Loaded, config: Config) -> Exit:
        file = log_file(self.paths.state) if config.logging.file else None
        logging = logs.configure(config.logging, file=file)
        try:
            return App(loaded, self.paths, self.environ, self.overrides).process.run()
        except ExceptionGroup as group:
            return self._fail(group)
        finally:
            logging.close()

    def _fail(self, group: ExceptionGroup[Exception]) -> Exit:
        """Say why the tree has ended; a traceback only for what nobody expected."""
        errors = leaves(group)
        if not all(isinstance(error, GatewayError) for error in errors):
            log.critical("the gateway has failed", exc_info=group)
        return self._say(Exit.FAILED, "; ".join(map(str, errors)))

    def _welcome(self) -> None:
        self.stderr.write(
            f"gateway: wrote a first configuration to {self.paths.config}\n"
            "gateway: talk to it from another terminal: python -m gateway chat\n"
            "gateway: its token, for other clients: python -m gateway token\n"
        )

    def _say(self, code: Exit, message: str) -> Exit:
        self.stderr.write(f"gateway: {message}\n")
        return code


def leaves(error: BaseException) -> Sequence[BaseException]:
    """Return the errors inside *error*, however deep its groups are nested."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]


def log_file(state: Path) -> Path:
    """Return where the log of a state directory is."""
    return state / "logs" / "gateway.log"
