"""What providers have done since the start, for metrics."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import attrs

Outcome = Literal["answered", "failed", "rejected", "abandoned"]
"""``rejected``: the request was at fault.  ``abandoned``: by the run, which was cancelled, out
of time or too long; the provider may have been well or not."""


@attrs.frozen(eq=False)
class Tally:
    """Counts by provider, as metrics are labelled."""

    requests: Counter[tuple[str, ...]] = attrs.field(factory=Counter, init=False)
    """By provider and outcome; attempts that are repeated count as one."""
    tokens: Counter[tuple[str, ...]] = attrs.field(factory=Counter, init=False)
    """By provider and direction, ``input`` or ``output``; summaries are not in it."""

    def count(self, provider: str, outcome: Outcome) -> None:
        """Note how a request has ended."""
        self.requests[provider, outcome] += 1

    def add(self, provider: str, usage: Mapping[str, object] | None) -> None:
        """Note what an answer took, as far as *usage* says it in our words."""
        for direction in ("input", "output"):
            tokens = (usage or {}).get(f"{direction}Tokens")
            if isinstance(tokens, int):
                self.tokens[provider, direction] += tokens
