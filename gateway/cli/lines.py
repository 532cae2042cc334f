"""What somebody types, or a pipe has: line by line, without blocking the event loop."""

import contextlib
import os
import sys
import termios
from collections.abc import Iterator
from typing import Final, Protocol

import attrs
import outcome
import trio

PROMPT: Final = "you> "

CHUNK: Final = 64 * 1024
"""Bytes read from a pipe at once."""


class Lines(Protocol):
    """Where questions come from; *typed* is whether a person sits there."""

    typed: bool

    async def read(self) -> str | None:
        """Return the next line without its end, or `None` if there are no more.

        Cancelled, nothing is lost: the next call returns that line.
        """
        ...

    def hint(self) -> bool:
        """Say how to leave after Ctrl-C; return whether it did: if not, just leave."""
        ...


@attrs.define(eq=False)
class _Question:
    """A line that somebody is typing."""

    typed: trio.Event = attrs.field(factory=trio.Event, init=False)
    line: outcome.Outcome[str | None] | None = attrs.field(default=None, init=False)

    def take(self, line: outcome.Outcome[str | None]) -> None:
        self.line = line
        self.typed.set()


@attrs.define(eq=False)
class _Typed:
    typed: bool = attrs.field(default=True, init=False)
    _hinted: bool = attrs.field(default=False, init=False)
    _question: _Question | None = attrs.field(default=None, init=False)

    async def read(self) -> str | None:
        self._hinted = False
        if self._question is None:
            self._question = _Question()
            _ask_soon(self._question)
        elif not self._question.typed.is_set():
            # What was printed since then has scrolled it away.
            print(PROMPT, end="", flush=True)
        question = self._question
        # Cancelled, the prompt stays: whoever reads next gets what is typed at it.
        await question.typed.wait()
        assert question.line is not None
        self._question = None
        return question.line.unwrap()

    def hint(self) -> bool:
        if self._hinted:
            print(file=sys.stderr)
            return False
        self._hinted = True
        print("\nCtrl-D leaves, and so does another Ctrl-C.", file=sys.stderr)
        return True


@attrs.define(eq=False)
class _Piped:
    typed: bool = attrs.field(default=False, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)
    _ended: bool = attrs.field(default=False, init=False)

    async def read(self) -> str | None:
        while b"\n" not in self._rest and not self._ended:
            # Not sys.stdin: a thread left behind in its buffer would abort the exit.
            piece = await trio.to_thread.run_sync(os.read, 0, CHUNK, abandon_on_cancel=True)
            self._rest += piece
            self._ended = not piece
        line, _, self._rest = self._rest.partition(b"\n")
        if self._ended and not line and not self._rest:
            return None
        return line.decode(errors="replace")

    def hint(self) -> bool:
        return False


@contextlib.contextmanager
def make_lines() -> Iterator[Lines]:
    """Return what stdin is; the terminal is afterwards as it was before."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield _Piped()
        return
    before = termios.tcgetattr(0)
    try:
        yield _Typed()
    finally:
        # A thread may be left waiting for a line, with the terminal as it needs it.
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _ask_soon(question: _Question) -> None:
    """Have *question* asked in a thread that nobody waits for at the end."""
    token = trio.lowlevel.current_trio_token()

    def deliver(line: outcome.Outcome[str | None]) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # nobody wants to know any more
            token.run_sync_soon(question.take, line)

    trio.lowlevel.start_thread_soon(_ask, deliver)


def _ask() -> str | None:
    import readline  # noqa: F401, PLC0415 - gives input() editing and history

    try:
        return input(PROMPT)
    except EOFError:
        print()
        return None
