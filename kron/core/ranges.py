"""Which moments have had a run, as few numbers: closed ranges, flat and ascending.

`(first, last, first, last, ...)`. A range says: every moment from the first to the last of it has
had a run. Nothing here knows what the moments are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TypeAlias

Ranges: TypeAlias = tuple[int, ...]

RANGES = 1_000
"""So many are kept; then the two oldest become one, with the gap between them: rather no run than
a second one."""


def united(ranges: Ranges, first: int, last: int) -> Ranges:
    """With all from `first` to `last`, which may touch any of them; what adjoins becomes one."""
    if last < first:
        return ranges
    low, high = bisect_left(ranges, first - 1), bisect_right(ranges, last + 1)
    if low % 2:  # it begins within a range, or right behind one
        low, first = low - 1, ranges[low - 1]
    elif low < len(ranges) and ranges[low] < first:
        first = ranges[low]
    if high % 2:  # it ends within one, or right before
        high, last = high + 1, ranges[high]
    elif high and ranges[high - 1] > last:
        last = ranges[high - 1]
    ranges = (*ranges[:low], first, last, *ranges[high:])
    return ranges if len(ranges) <= 2 * RANGES else (ranges[0], *ranges[3:])


def without(ranges: Ranges, one: int) -> Ranges:
    """Without that one instant."""
    end = end_of(ranges, one)
    if end is None:
        return ranges
    at = bisect_left(ranges, end) // 2 * 2
    first = ranges[at]
    parts = (*((first, one - 1) if first < one else ()), *((one + 1, end) if one < end else ()))
    return (*ranges[:at], *parts, *ranges[at + 2 :])


def end_of(ranges: Ranges, one: int) -> int | None:
    """The end of the range that an instant is in; None: in none."""
    at = bisect_left(ranges, one)
    if at % 2:
        return ranges[at]
    return ranges[at + 1] if at < len(ranges) and ranges[at] == one else None
