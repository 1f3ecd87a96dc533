"""Numbers among the keywords of Chronis, each with its bounds."""

from __future__ import annotations

import math

from kron.core.errors import ScheduleError, brief


def read_number(value: object, argument: str, least: float = 0, most: float = math.inf) -> float:
    """A finite number. TypeError for what is none, ScheduleError if it is out of bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be a number, not {type(value).__name__}.")
    if not least <= value <= most or value == math.inf:
        is_open = most == math.inf
        bounds = f"a finite number, {least:g} or more" if is_open else f"{least:g} to {most:g}"
        raise ScheduleError(f"{argument}={brief(value)} must be {bounds}.")
    return value


def read_count(value: object, argument: str, least: int = 0) -> int:
    """A whole number. TypeError for what is none, ScheduleError if it is too small."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an int, not {type(value).__name__}.")
    if value < least:
        raise ScheduleError(f"{argument}={brief(value)} must be {least} or more.")
    return int(value)
