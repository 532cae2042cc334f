"""How many tokens a text has, about.  Pure.

Every model counts in its own way, and the ways that are known weigh megabytes; so this is
an estimate by kinds of characters, which errs towards too many.  Against the encodings of
GPT-4 and GPT-4o it has at least nine tenths of the true number for prose in ten languages,
code, JSON, hexadecimal, base64 and emoji, and at least four fifths for characters so rare
that no model knows them; it may have twice as many, and for Thai or Hindi five times.  What
providers report corrects that: see `Gauge`.
"""

import re
from collections.abc import Mapping
from typing import Final

import attrs

DENSE: Final = re.compile(rb"(?<![!-~])[!-~]{25,}")
"""A word that is none: base64, hexadecimal, a long URL, JSON without spaces."""

DENSE_BYTES: Final = 1.25
"""Bytes per token of that; hexadecimal has 1.2, the least of all."""

_KINDS: Final[tuple[tuple[bytes, float], ...]] = (
    (bytes(range(ord("a"), ord("z") + 1)), 1 / 3.3),
    (bytes(range(ord("A"), ord("Z") + 1)), 1 / 2.4),
    (b"0123456789", 1 / 2),
    (b" ", 1 / 8),  # most are part of the word behind them
    (bytes(range(0x20)), 1),
    (b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\x7f", 1),
    # First bytes of characters of 2, 3 and 4 bytes; those that follow count nothing.
    (bytes(range(0xC0, 0xE0)), 1),
    (bytes(range(0xE0, 0xF0)), 2),
    (bytes(range(0xF0, 0x100)), 3),
)
"""Tokens per byte of each kind."""

LEAST: Final = 0.4
"""Where corrections end: the estimate for Chinese, on a model that was made for it."""

MOST: Final = 4.0
"""The same upwards: a model that takes unknown characters byte by byte."""

FADE: Final = 0.25
"""Share of a smaller correction that is believed at once; a larger one is believed whole."""


def estimate(text: str) -> float:
    """Return about how many tokens *text* has; a megabyte takes some 50 ms."""
    content = text.encode("utf-8", "surrogatepass")
    rest = DENSE.sub(b"", content)
    tokens = (len(content) - len(rest)) / DENSE_BYTES
    for kind, weight in _KINDS:
        left = rest.translate(None, kind)
        tokens += (len(rest) - len(left)) * weight
        rest = left
    return tokens


def reported(usage: Mapping[str, object] | None) -> tuple[int, int]:
    """Return how many tokens went in and came out, zero for what was not reported.

    *usage* is what a provider counted: in our words, OpenAI's or Anthropic's, which does
    not count what it has cached among its ``input_tokens``.
    """
    said = {} if usage is None else usage
    inward = _first(said, "inputTokens", "prompt_tokens") or (
        _first(said, "input_tokens")
        + _first(said, "cache_creation_input_tokens")
        + _first(said, "cache_read_input_tokens")
    )
    return inward, _first(said, "outputTokens", "completion_tokens", "output_tokens")


def _first(usage: Mapping[str, object], *names: str) -> int:
    found = (usage.get(name) for name in names)
    # A provider may say anything; a bool is an int to Python.
    return next((each for each in found if type(each) is int and 0 < each < 2**53), 0)


@attrs.define(eq=False)
class Gauge:
    """Corrects estimates by what was reported; *factor* is tokens per estimated token."""

    factor: float = attrs.field(default=1.0, init=False)

    def learn(self, estimated: float, counted: int) -> None:
        """Take into account that *estimated* tokens were *counted*, if they were at all."""
        if counted <= 0 or estimated <= 0:
            return
        ratio = min(MOST, max(LEAST, counted / estimated))
        faded = self.factor + (ratio - self.factor) * FADE
        self.factor = max(ratio, faded)
