"""Whether a provider refuses a question because it is too long for the model.  Pure."""

import re
from typing import Final

_SAID: Final = re.compile(
    r"context[ _-]?(length|window|size|limit)"  # OpenAI, vLLM, OpenRouter, llama.cpp, Anthropic
    r"|prompt is too long"  # Anthropic
    r"|token count.{0,40}exceeds"  # Gemini
    r"|too many (input )?tokens",
    re.IGNORECASE,
)


def is_overflow(said: str) -> bool:
    """Return whether what a provider *said* when it rejected a request means that.

    Not for those that it wants to have later: they speak of tokens too, in a minute.
    """
    return _SAID.search(said) is not None
