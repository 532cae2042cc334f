"""From a command line to a running gateway, and from its end to an exit code."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import attrs
import structlog

from gateway import logs
from gateway.app import App, Outer
from gateway.config import first
from gateway.config.file import ConfigFile
from gateway.config.issues import Issue
from gateway.config.load import Loaded
from gateway.config.migrate import MigrationError
from gateway.config.migration_file import migrate_file
from gateway.config.model import Logging
from gateway.config.overrides import Override
from gateway.config.paths import Paths
from gateway.config.reload import Rejection, describe
from gateway.config.report import render
from gateway.config.revisions import last_good
from gateway.errors import GatewayError, leaves
from gateway.process import Exit, raise_descriptor_limit
from gateway.storage.files import state_lock

log = structlog.get_logger(__name__)


@attrs.define
class Boot:
    """Everything a start needs to know from outside."""

    paths: Paths
    overrides: Sequence[Override] = ()
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    stderr: TextIO = attrs.field(factory=lambda: sys.stderr)
    _logs: logs.Logs | None = attrs.field(default=None, init=False)
    _logging: Logging | None = attrs.field(default=None, init=False)
    _unmigrated: tuple[Issue, ...] = attrs.field(default=(), init=False)

    def run(self) -> Exit:
        """Load the configuration, run the gateway until it stops, return the exit code."""
        raise_descriptor_limit()
        # Until Trio takes over, and between two lives: nothing runs that has to be stopped.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(Exit.STOPPED))
        # The file is read in a moment anyway.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            if first.write(self.paths.config):
                self._welcome()
            elif rewritten := migrate_file(self.paths.config):
                self._say(f"migrated {self.paths.config}; as it was: {rewritten.backup}")
        except MigrationError as error:
            self._unmigrated = (error.issue,)
        except OSError as error:
            return self._fail(Exit.CONFIG, _unwritable(self.paths.config, error))
        return self._run(Outer(self._file(), log=self._configure_logs))

    def _file(self) -> ConfigFile:
        return ConfigFile(self.paths.config, self.environ, self.overrides)

    def _run(self, outer: Outer) -> Exit:
        loaded = self._read(outer)
        if loaded.config is None:
            loaded = self._last_good(outer.file) or loaded
        if loaded.config is None:
            return self._fail(Exit.CONFIG, f"not started: {self.paths.config} is not valid")
        try:
            with state_lock(self.paths.state), closing(outer.sockets):
                outer.log(loaded.config.logging)
                return self._live(outer, loaded)
        except GatewayError as error:
            return self._fail(Exit.FAILED, error.message)
        except OSError as error:
            return self._fail(Exit.FAILED, f"{error.filename}: {error.strerror}")
        finally:
            if self._logs is not None:
                self._logs.close()

    def _read(self, outer: Outer) -> Loaded:
        """Return what the file says, and tell what is wrong with it."""
        loaded = outer.file.read()
        # What kept it from being migrated is mostly wrong with it for a reader as well.
        told = loaded.issues if loaded.errors else (*self._unmigrated, *loaded.issues)
        if told:
            self.stderr.write(render(told, colour=self.stderr.isatty()))
        issues = tuple(map(describe, loaded.errors))
        outer.rejected = Rejection(loaded.fingerprint, issues) if issues else None
        return loaded

    def _last_good(self, file: ConfigFile) -> Loaded | None:
        """Return the revision accepted last, if it is still valid."""
        revision = last_good(self.paths.database)
        loaded = file.check(revision.text) if revision else None
        if revision is None or loaded is None or loaded.config is None:
            return None
        self._say(f"running on revision {revision.number} until the file is mended")
        return loaded

    def _live(self, outer: Outer, loaded: Loaded) -> Exit:
        """Run one gateway after the other, until one stops for good."""
        before: Loaded | None = None
        while True:
            app = App(loaded, self.paths, self.environ, outer)
            try:
                code = app.process.run()
            except ExceptionGroup as group:
                if before is None or app.reloader.came_up:
                    return self._explain(group)
                log.exception("the new configuration did not come up; going back")
                outer.rejected = Rejection(loaded.fingerprint, tuple(map(_issue, leaves(group))))
                loaded, before = before, None
                continue
            if code is not Exit.RESTART or app.before is None:
                return code
            before = app.before
            loaded = self._next(app, outer) or before

    def _next(self, app: App, outer: Outer) -> Loaded | None:
        """Return what to start over with, `None` if the file is not valid."""
        if app.next is None:
            loaded = self._read(outer)
            return loaded if loaded.valid else None
        outer.rejected = None
        return app.next

    def _explain(self, group: ExceptionGroup[Exception]) -> Exit:
        """Say why the tree has ended; a traceback only for what nobody expected."""
        errors = leaves(group)
        if not all(isinstance(error, GatewayError) for error in errors):
            log.critical("the gateway has failed", exc_info=group)
        return self._fail(Exit.FAILED, "; ".join(map(str, errors)))

    def _configure_logs(self, settings: Logging) -> None:
        """Log as *settings* say from now on; blocks until the lines of before are written."""
        if settings == self._logging:
            return
        if self._logs is not None:
            self._logs.close()
        self._logging = settings
        file = log_file(self.paths.state) if settings.file else None
        self._logs = logs.configure(settings, file=file)

    def _welcome(self) -> None:
        self._say(f"wrote a first configuration to {self.paths.config}")
        self._say("talk to it from another terminal: python -m gateway chat")
        self._say("its token, for other clients: python -m gateway token")

    def _fail(self, code: Exit, message: str) -> Exit:
        self._say(message)
        return code

    def _say(self, message: str) -> None:
        self.stderr.write(f"gateway: {message}\n")


def _issue(error: BaseException) -> dict[str, Any]:
    return {"path": "", "message": f"it did not come up: {error}"}


def _unwritable(config: Path, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"{config} cannot be written: {reason}; choose another file with --config"


def log_file(state: Path) -> Path:
    """Return where the log of a state directory is."""
    return state / "logs" / "gateway.log"
