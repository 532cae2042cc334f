"""A command in a terminal of its own, and somebody who types."""

import os
import pty
import select
import signal
import sys
import time
from contextlib import contextmanager

import attrs


@attrs.define
class Terminal:
    """A screen and a keyboard."""

    process: int
    number: int
    screen: str = ""
    code: int | None = None
    gateway: object = None

    def type(self, text):
        os.write(self.number, text.encode())

    def wait(self, text, timeout=20):
        """Return when *text* has appeared; what was before is forgotten."""
        until = time.monotonic() + timeout
        while text not in self.screen:
            left = until - time.monotonic()
            assert left > 0, f"no {text!r} in {self.screen!r}"
            if select.select([self.number], [], [], left)[0]:
                self.screen += os.read(self.number, 65536).decode(errors="replace")
        self.screen = self.screen.partition(text)[2]

    def wait_exit(self, timeout=20):
        """Return the exit code."""
        until = time.monotonic() + timeout
        while True:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
                return self.code
            assert time.monotonic() < until, "still running"
            # What nobody reads would keep the process from writing its last words.
            if select.select([self.number], [], [], 0.05)[0]:
                try:
                    self.screen += os.read(self.number, 65536).decode(errors="replace")
                except OSError:  # Linux says so when the last writer has gone
                    time.sleep(0.05)


@contextmanager
def terminal(environment, *arguments):
    """Run a command of the gateway in a terminal while the body does."""
    process, number = pty.fork()
    if process == 0:
        command = [sys.executable, "-m", "gateway", *arguments]
        os.execve(sys.executable, command, environment | {"TERM": "xterm"})
    made = Terminal(process, number)
    try:
        yield made
    finally:
        if made.code is None:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(number)
