"""Connects structlog, stdlib logging, warnings and uncaught exceptions to the sinks."""

import atexit
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TextIO

import attrs
import orjson
import structlog

from gateway.errors import GatewayError
from gateway.logs.clean import clean
from gateway.logs.drain import Drain
from gateway.logs.files import RotatingFile
from gateway.logs.redaction import Redactor
from gateway.logs.redaction import redactor as process_redactor
from gateway.logs.tail import LEVELS, Tail
from gateway.logs.tail import tail as process_tail

CLOSING: Final = 2.0
"""Seconds that the end of the process waits for the last lines."""

_QUIET: Final = ("httpcore", "httpx", "hypercorn", "asyncio", "markdown_it")
"""Libraries that tell at ``info`` what we tell ourselves: heard from ``warning`` on."""


class Settings(Protocol):
    """What `configure` needs to know; ``[logging]`` of the configuration has it."""

    @property
    def level(self) -> str:
        """Least important level kept."""

    @property
    def format(self) -> str:
        """``console``, ``json``, or ``auto``: console on a terminal, else JSON."""

    @property
    def file_bytes(self) -> int:
        """Size at which the file is rotated."""

    @property
    def files(self) -> int:
        """How many rotated files are kept."""

    @property
    def entry_bytes(self) -> int:
        """Longest entry, as JSON."""


@attrs.frozen
class Sink:
    """Where entries end: cleaned once, then to the ring, the file and the console."""

    most: int
    redactor: Redactor
    tail: Tail
    render: Callable[[Mapping[str, Any]], bytes] | None
    console: Drain | None
    file: Drain | None

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write *entry*; never waits and never fails."""
        cleaned, line = clean(entry, self.redactor, self.most)
        self.tail.add(str(cleaned.get("level")), line)
        if self.file is not None:
            self.file.put(line + b"\n")
        if self.console is not None:
            self.console.put(self.render(cleaned) if self.render else line + b"\n")


@attrs.define(eq=False)
class Logs:
    """Logging as configured; `close` puts everything back as it was."""

    sink: Sink
    _undo: ExitStack = attrs.field(factory=ExitStack, init=False)

    def flush(self, timeout: float = CLOSING) -> None:
        """Wait until what was logged is written, at most *timeout* seconds per sink."""
        for drain in (self.sink.file, self.sink.console):
            if drain is not None:
                drain.flush(timeout)

    def close(self) -> None:
        """Write what is waiting, and stop.  Can be called again."""
        self._undo.close()


def configure(
    settings: Settings,
    *,
    file: Path | None = None,
    stream: TextIO | None = None,
    redactor: Redactor = process_redactor,
    tail: Tail = process_tail,
) -> Logs:
    """Send everything that is logged from now on to *stream* (stderr), *file* and *tail*.

    The file is made if it is not there; it and its directory are the owner's only.
    """
    stream = stream or sys.stderr  # None as well in a process that was started without
    on_terminal = stream is not None and stream.isatty()
    console = None if stream is None else Drain(_writer(stream), _plain_notice)
    render = None
    if settings.format == "console" or (settings.format == "auto" and on_terminal):
        render = _renderer(colour=on_terminal and not os.environ.get("NO_COLOR"))
    kept = None
    if file is not None:
        kept = Drain(RotatingFile(file, settings.file_bytes, settings.files).write, _json_notice)
    logs = Logs(Sink(settings.entry_bytes, redactor, tail, render, console, kept))
    for drain in filter(None, (console, kept)):
        logs._undo.callback(drain.close, CLOSING)  # noqa: SLF001 - made here, in one piece
    _connect(logs, LEVELS[settings.level])
    return logs


def _connect(logs: Logs, level: int) -> None:
    undo = logs._undo  # noqa: SLF001 - the second half of the construction
    _connect_structlog(logs.sink, level, undo)
    _connect_stdlib(logs.sink, level, undo)
    _connect_hooks(undo)
    atexit.register(logs.close)
    undo.callback(atexit.unregister, logs.close)


# --- structlog --------------------------------------------------------------------------


class _Logger:
    """The end of structlog's chain: one name, one sink."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self._sink = sink

    def msg(self, entry: Mapping[str, Any]) -> None:
        self._sink.write(entry)

    debug = info = warning = error = critical = msg


def _order(logger: Any, _: str, entry: MutableMapping[str, Any]) -> Any:
    first = {key: entry.pop(key, None) for key in ("time", "level")}
    ordered = {**first, "logger": logger.name, "event": entry.pop("event", ""), **entry}
    return (ordered,), {}


def _connect_structlog(sink: Sink, level: int, undo: ExitStack) -> None:
    undo.callback(structlog.configure, **structlog.get_config())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _order,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="", *_: _Logger(str(name), sink),
        # Loggers live in modules: a cached one would keep the level of the first start.
        cache_logger_on_first_use=False,
    )


# --- stdlib -----------------------------------------------------------------------------


class _Bridge(logging.Handler):
    """Takes what libraries log."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        entry = {
            "time": stamp,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        error = record.exc_info[1] if record.exc_info else None
        # An expected failure says all in its message: where it was raised helps nobody.
        if record.exc_info and error is not None and not isinstance(error, GatewayError):
            entry["exception"] = logging.Formatter().formatException(record.exc_info)
        self._sink.write(entry)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the message
        return str(record.msg)


def _connect_stdlib(sink: Sink, level: int, undo: ExitStack) -> None:
    root = logging.getLogger()
    before, root.handlers = root.handlers, [_Bridge(sink)]
    undo.callback(setattr, root, "handlers", before)
    undo.callback(root.setLevel, root.level)
    root.setLevel(level)
    for name in _QUIET:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.DEBUG if level <= logging.DEBUG else logging.WARNING)


# --- what nobody caught -----------------------------------------------------------------


def _connect_hooks(undo: ExitStack) -> None:
    for module, name, hook in (
        (sys, "excepthook", _uncaught),
        (threading, "excepthook", _uncaught_in_thread),
        (sys, "unraisablehook", _unraisable),
        (warnings, "showwarning", _warning),
    ):
        undo.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, hook)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("uncaught").critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    structlog.get_logger("uncaught").critical(
        "uncaught exception in a thread",
        thread=args.thread.name if args.thread else None,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger("uncaught").error(
        args.err_msg or "exception ignored",
        where=repr(args.object),
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
) -> None:
    structlog.get_logger("warnings").warning(
        str(message), category=category.__name__, where=f"{filename}:{lineno}"
    )


# --- the console ------------------------------------------------------------------------


def _renderer(*, colour: bool) -> Callable[[Mapping[str, Any]], bytes]:
    console = structlog.dev.ConsoleRenderer(
        colors=colour, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )

    def render(entry: Mapping[str, Any]) -> bytes:
        shown = dict(entry)
        if "exception" in shown:
            # Indented, so that no line of a message can pass for an entry.
            shown["exception"] = "    " + str(shown["exception"]).replace("\n", "\n    ")
        return f"{console(None, '', shown)}\n".encode()

    return render


def _writer(stream: TextIO) -> Callable[[bytes], None]:
    def write(lines: bytes) -> None:
        stream.write(lines.decode())
        stream.flush()

    return write


def _plain_notice(lost: int) -> bytes:
    return f"({lost} log entries could not be written here)\n".encode()


def _json_notice(lost: int) -> bytes:
    event = "log entries could not be written here"
    return (
        orjson.dumps({"level": "error", "logger": __name__, "event": event, "lost": lost}) + b"\n"
    )
