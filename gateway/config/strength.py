"""How hard a credential is to guess, estimated from above.  Pure."""

import math
import string
from itertools import pairwise
from typing import Final

NEEDED: Final = 128
"""Bits a credential needs where strangers can try it.  Source: requirement, ruling R2."""

_ALPHABETS: Final = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.ascii_lowercase,
    string.ascii_lowercase + " -",
    string.ascii_uppercase,
    string.digits + string.ascii_lowercase,
    string.digits + string.ascii_uppercase,
    string.ascii_letters,
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "-_+/=",
    string.ascii_letters + string.digits + string.punctuation + " ",
)

_REST: Final = 128
"""Size assumed of the alphabet behind characters that are in none of the above."""


def bits(value: str) -> float:
    """Return how many bits *value* has if it was drawn at random, at most.

    Repetition and runs like ``abcd`` or ``1234`` do not count.  A phrase out of a
    dictionary looks stronger than it is; there is no telling.
    """
    letters = set(value)
    size = next((len(each) for each in _ALPHABETS if letters <= set(each)), _REST)
    return _length(value) * math.log2(size)


def _length(value: str) -> int:
    """Return the length without what repeats or can be predicted."""
    if not value:
        return 0
    # The smallest period; `+ 1` because every text is found at its own start.
    period = (value + value).find(value, 1)
    # Random text of these lengths has many different characters.
    length = min(len(value), period, 6 * len(set(value)))
    steps = sum(abs(ord(a) - ord(b)) <= 1 for a, b in pairwise(value))
    return length // 4 if steps > len(value) * 3 / 4 else length
