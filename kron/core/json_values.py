"""JSON values as people pass them: copied, so that they stay what they were, and checked."""

from __future__ import annotations

import math
from typing import Any

from .errors import brief

DEPTH = 64


def json_copy(value: Any, path: str, depth: int = 0) -> Any:
    """A deep copy made of JSON values only; TypeError names the path of what is none."""
    if depth > DEPTH:
        raise TypeError(f"{path} is nested deeper than {DEPTH}.")
    match value:
        case None | bool():
            return value
        case str():
            return json_text(value, path)
        case int():
            if not -(1 << 63) <= value < 1 << 64:
                raise TypeError(f"{path} = {brief(value)} does not fit in 64 bits.")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise TypeError(f"{path} = {brief(value)} is no JSON number.")
            return float(value)
        case list() | tuple():
            return [json_copy(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        case dict():
            return {
                _json_key(key, path): json_copy(item, f"{path}[{key!r}]", depth + 1)
                for key, item in value.items()
            }
    raise TypeError(
        f"{path} is a {type(value).__name__}, which is no JSON value; bind live objects with"
        " functools.partial."
    )


def copied(value: Any) -> Any:
    """A deep copy of what is known to be JSON."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def _json_key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path} has the key {key!r}; JSON keys are strings.")
    return json_text(key, path)


def json_text(value: str, path: str) -> str:
    """A text that UTF-8 can say; TypeError names the path of one that it cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise TypeError(f"{path} holds half a surrogate pair, which is no text.") from exc
    return str.__str__(value)  # the text itself, also of a (str, Enum)
