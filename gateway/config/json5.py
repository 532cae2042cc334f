"""Reading JSON5 with bounds, and errors that say where."""

import re
from typing import Any, Final

import pyjson5

from gateway.config.issues import Issue
from gateway.config.locate import DEPTH
from gateway.config.text import MOST_BYTES
from gateway.errors import GatewayError

_NEAR: Final = re.compile(r"(.*) near (\d+)(.*)", re.DOTALL)


class Json5Error(GatewayError):
    """The text is no JSON5; *issue* says why and roughly where."""

    def __init__(self, issue: Issue) -> None:
        super().__init__("invalid-params", str(issue))
        self.issue = issue


def parse(text: str) -> Any:
    """Return what *text* says; of a key that is there twice, the last.

    Raises `Json5Error`, also for what is larger than a configuration or nested deeper.
    """
    if len(text) > MOST_BYTES:
        raise Json5Error(Issue(f"is larger than {MOST_BYTES} bytes"))
    try:
        return pyjson5.decode(text, maxdepth=DEPTH)
    except pyjson5.Json5DecoderException as error:
        raise Json5Error(_issue(text, str(error.args[0]))) from None


def _issue(text: str, said: str) -> Issue:
    # pyjson5 says b'object' where it means object.
    said = re.sub(r"b'(\w[\w ]*)'", r"\1", said)
    found = _NEAR.fullmatch(said)
    if found is None:
        return Issue(f"not valid JSON5: {said}")
    at = min(int(found[2]), len(text))
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    message = f"not valid JSON5: {found[1]}{found[3]}".removesuffix(" starting")
    return Issue(message, line=line, column=column)
