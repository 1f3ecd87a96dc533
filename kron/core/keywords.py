"""The keywords of a verb that takes them as a TypedDict: none but those, and all that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any


def check_keywords(verb: str, options: Mapping[str, object], shape: Any) -> None:
    """TypeError for a keyword that `shape` does not have, with the one that was meant, and for one
    that is missing."""
    for name in options.keys() - shape.__annotations__.keys():
        near = get_close_matches(name, shape.__annotations__, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise TypeError(f"{verb}() has no keyword {name!r}.{hint}")
    for name in shape.__required_keys__ - options.keys():
        raise TypeError(f"{verb}() needs the keyword {name}=.")
