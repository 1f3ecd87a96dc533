"""The keywords of a verb that takes them as a TypedDict: none but those, and all that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_LIKENESS = 0.7


def check_keywords(verb: str, options: Mapping[str, object], shape: Any) -> None:
    """TypeError for a keyword that `shape` does not have, with the one that was meant, and for one
    that is missing."""
    for name in options.keys() - shape.__annotations__.keys():
        raise TypeError(f"{verb}() has no keyword {name!r}.{meant(name, shape.__annotations__)}")
    for name in shape.__required_keys__ - options.keys():
        raise TypeError(f"{verb}() needs the keyword {name}=.")


def meant(word: str, known: Iterable[str]) -> str:
    """A question to follow an error about a word, if it is much like a known one; else ""."""
    near = get_close_matches(word, list(known), 1, _LIKENESS)
    return f" Did you mean {near[0]}?" if near else ""
