"""What the questions for many things have in common: which words, and which part of the answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .errors import ScheduleError, brief
from .keywords import meant

MOST = 1 << 53
"""More than this is as good as all."""


def read_words(
    value: object, known: Mapping[str, str], argument: str, shown: Collection[str]
) -> frozenset[str] | None:
    """What a filter by words selects: one of them, or several; None for all. `known` has for each
    word, in small letters, what it stands for, and `shown` is what an error names.

    Raises TypeError for what is no text, ScheduleError for a word that is not known.
    """
    if value is None:
        return None
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, Iterable):
        raise TypeError(f"{argument} must be a string or several, not {type(value).__name__}.")
    return frozenset(_word(word, known, argument, shown) for word in words)


def _word(word: object, known: Mapping[str, str], argument: str, shown: Collection[str]) -> str:
    if not isinstance(word, str):
        raise TypeError(f"{argument} must be a string or several, not {type(word).__name__}.")
    if word.lower() not in known:
        raise ScheduleError(
            f"{argument}={brief(word)} must be one of: {', '.join(shown)}."
            f"{meant(word.lower(), known)}"
        )
    return known[word.lower()]


def read_limit(value: object) -> int:
    """How many there may be; 0 is none of them."""
    return _count(value, "limit")


def read_offset(value: object) -> int:
    """How many are passed over before the first."""
    return _count(value, "offset")


def _count(value: object, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be a whole number, not {brief(value)}.")
    if value < 0:
        raise ScheduleError(f"{argument}={brief(value)} must be a whole number from 0 on.")
    return min(int(value), MOST)
