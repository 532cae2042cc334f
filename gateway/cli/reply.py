"""One reply of an agent, printed while it comes."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from gateway.cli.screen import clean
from gateway.client import Event

_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"
_ERASE: Final = "\r\x1b[2K"


@attrs.define(eq=False)
class Reply:
    """The reply to *text*, in *session* if there is one yet.

    *run* becomes known with the first event of the run that the question began.
    """

    text: str
    session: str | None
    visible: bool
    run: str | None = attrs.field(default=None, init=False)
    recognised: trio.Event = attrs.field(factory=trio.Event, init=False)
    _shown: str = attrs.field(default="", init=False)
    _thinking: bool = attrs.field(default=False, init=False)

    def recognise(self, news: Mapping[str, Any]) -> None:
        """Take the run that *news* are about for the one of this question."""
        self.session, self.run = news["sessionId"], news["runId"]
        self.recognised.set()

    def take(self, event: Event) -> None:
        """Print what *event* adds, if it is about this reply."""
        if self.run is None or event.data.get("runId") != self.run:
            return
        if event.name == "agent.thinking":
            self._think(event.data.get("text", ""))
        elif event.name == "agent.delta":
            self._say(event.data.get("text", ""))
        elif event.name == "agent.tool":
            self._use(event.data)

    def finish(self, whole: str) -> None:
        """Print what of the *whole* reply has not been, and end the line."""
        if whole.startswith(self._shown):
            self._say(whole[len(self._shown) :])
        elif whole:
            # Events are missing in the middle: better twice than with a hole.
            self._say("\n" + whole)
        self._stop_thinking()
        if self._shown:
            self._write("\n")

    def _think(self, text: str) -> None:
        if not self._shown and sys.stdout.isatty():
            line = " ".join(clean(text).split())[:70]
            self._write(f"{_ERASE}{_DIM}{line}{_PLAIN}")
            self._thinking = True

    def _use(self, news: Mapping[str, Any]) -> None:
        """End what was said before a tool: the reply is what comes after the last one."""
        if self._shown:
            self._write("\n")
            self._shown = ""
        if news.get("state") == "waiting":
            # What it waits for is asked in its place, and must not be written over.
            self._stop_thinking()
            return
        self._think(f"{news.get('tool')}: {news.get('state')}")

    def _stop_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            self._write(_ERASE)

    def _say(self, text: str) -> None:
        if text:
            self._stop_thinking()
            self._shown += text
            self._write(clean(text))

    def _write(self, text: str) -> None:
        if self.visible:
            sys.stdout.write(text)
            sys.stdout.flush()
