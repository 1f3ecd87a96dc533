"""Durations: what people write ("1h30m", 90, a timedelta) to int microseconds, and back."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache

from .errors import ScheduleError

LONGEST_US = 36_525 * 86_400 * 1_000_000  # 100 years

_UNITS_US = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TEXT = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _UNITS_US))
_LONGEST_TEXT = 64
_REMEDY = 'Use "10s", "1h30m", "250ms", seconds as a number, or a timedelta.'


def parse_duration(
    value: str | int | float | timedelta, *, argument: str, allow_zero: bool = False
) -> int:
    """Return `value` in microseconds, rounded to the nearest one.

    A string is numbers with units, largest first, each unit at most once: "2d", "1h30m", "1.5s",
    "250ms" (units w d h m s ms). A number is seconds. Raises `ScheduleError`, naming `argument`,
    for anything negative, not finite, over 100 years, or 0 (unless `allow_zero`); `TypeError`
    for other types.
    """
    if type(value) is int and 0 < value <= LONGEST_US // 1_000_000:  # the usual number
        return value * 1_000_000
    if isinstance(value, bool):
        raise ScheduleError(f"{argument}={value!r} is not a duration. {_REMEDY}")
    if isinstance(value, str):
        found = _from_text(value)
        if found is None:
            text = value[:_LONGEST_TEXT]
            raise ScheduleError(f"{argument}={text!r} is not a duration. {_REMEDY}")
        exact = found
    elif isinstance(value, timedelta):
        exact = Fraction(value // timedelta(microseconds=1))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ScheduleError(f"{argument}={value!r} is not finite. {_REMEDY}")
    elif isinstance(value, (int, float)):
        exact = Fraction(value) * 1_000_000
    else:
        kind = type(value).__name__
        raise TypeError(f"{argument} must be a str, a number or a timedelta, not {kind}")
    return _bounded(exact, value, argument, allow_zero)


def format_duration(us: int) -> str:
    """Return the shortest spelling that `parse_duration` reads as `us`: "1h30m", "1.5s", "0s".

    Days are the largest unit. A negative `us` gets a leading "-".
    """
    if us < 0:
        return "-" + format_duration(-us)
    if 0 < us < _UNITS_US["s"]:
        return f"{_decimal(us, 3)}ms"
    text = ""
    for unit in ("d", "h", "m"):
        count, us = divmod(us, _UNITS_US[unit])
        text += f"{count}{unit}" if count else ""
    return text + f"{_decimal(us, 6)}s" if us or not text else text


@lru_cache(maxsize=1024)
def _from_text(text: str) -> Fraction | None:
    """Microseconds; None if the text is no duration."""
    match = _TEXT.fullmatch(text) if text and len(text) <= _LONGEST_TEXT else None
    if match is None:
        return None
    parts = zip(match.groups(), _UNITS_US.values(), strict=True)
    return sum((Fraction(number) * unit_us for number, unit_us in parts if number), Fraction(0))


def _bounded(exact: Fraction, value: object, argument: str, allow_zero: bool) -> int:
    if exact < 0:
        raise ScheduleError(f"{argument}={_shown(value)} is negative. {_REMEDY}")
    if exact > LONGEST_US:
        raise ScheduleError(f"{argument}={_shown(value)} is longer than 100 years. {_REMEDY}")
    us = round(exact)
    if us == 0 and not allow_zero:
        raise ScheduleError(f"{argument}={_shown(value)} must be longer than 0. {_REMEDY}")
    return us


def _shown(value: object) -> str:
    """`repr`, but an int of thousands of digits (which Python refuses to print) stays short."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"<an int of {value.bit_length()} bits>"
    return repr(value)


def _decimal(us: int, places: int) -> str:
    whole, part = divmod(us, 10**places)
    return f"{whole}.{part:0{places}}".rstrip("0").rstrip(".") if part else str(whole)
