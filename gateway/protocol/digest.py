"""Ids and keys made of words: the same for the same words, and nobody's guess.  Pure."""

import hashlib


def digest(*words: str, length: int) -> str:
    """Return *length* hexadecimal digits that stand for *words*, which contain no NUL."""
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:length]
