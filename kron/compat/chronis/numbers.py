"""Numbers among the keywords of Chronis, each with its bounds."""

from __future__ import annotations

import math

from kron.core.errors import ScheduleError, brief


def read_number(value: object, argument: str, least: float = 0, most: float = math.inf) -> float:
    """A finite number. TypeError for what is none, ScheduleError if it is out of bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be a number, not {type(value).__name__}.")
    if not least <= value <= most or value == math.inf:
        raise ScheduleError(f"{argument}={brief(value)} must be {_range(least, most)}.")
    return value


def read_count(value: object, argument: str, least: int = 0) -> int:
    """A whole number. TypeError for what is none, ScheduleError if it is too small."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an int, not {type(value).__name__}.")
    if value < least:
        raise ScheduleError(f"{argument}={brief(value)} must be {least} or more.")
    return int(value)


def _range(least: float, most: float) -> str:
    return f"{least:g} or more, and finite" if most == math.inf else f"{least:g} to {most:g}"
