"""A definition in plain words, for people: when its moments are."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from .cron import compile_cron
from .dst import zone
from .duration import format_duration
from .errors import ScheduleError
from .fields import compile_fields
from .instants import from_us
from .model import ZONED_KINDS, Definition, Kind, Overlap, Terms
from .pattern import Pattern
from .pattern_words import WEEKDAYS, listed, pattern_in_words, weekday_names

_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second", "ms": "millisecond"}
_PART = re.compile(r"([0-9.]+)(ms|[dhms])")
_ONE = re.compile(r"every 1 ([a-z]+)$")
_SHORT = {day[:3].lower(): number for number, day in enumerate(WEEKDAYS)}
_LISTED = 6
"""So many excluded dates are listed one by one."""


def in_words(definition: Definition) -> str:
    """When a timer of this definition is due: "at 09:30 on weekdays, Europe/Berlin".

    Complete: what is not said is not so. Times of cron are readings of the zone's clock, UTC if
    no zone is named. Works for a zone that this machine does not know.
    """
    terms = definition.terms
    parts = [_selector(definition)]
    if definition.kind in ZONED_KINDS and terms.timezone != "UTC":
        parts.append(terms.timezone)
        if terms.dst == "skip" and pattern_of(definition).is_fixed:
            parts.append("left out where a change of the clocks skips its time")
    parts += _limits(terms, is_zoned=definition.kind in ZONED_KINDS)
    if terms.jitter_us:
        parts.append(f"delayed by up to {length(terms.jitter_us)}")
    return ", ".join(parts)


def length(us: int) -> str:
    """A duration: "1 hour 30 minutes", "1.5 seconds"."""
    parts = _PART.findall(format_duration(us))
    return " ".join(f"{count} {_UNITS[unit]}{'' if count == '1' else 's'}" for count, unit in parts)


def pattern_of(definition: Definition) -> Pattern:
    """What the expression of a CRON or FIELDS definition compiles to."""
    text = str(definition.value)
    return compile_cron(text) if definition.kind is Kind.CRON else compile_fields(text)


def _selector(definition: Definition) -> str:
    match definition.kind:
        case Kind.CRON | Kind.FIELDS:
            return pattern_in_words(pattern_of(definition))
        case Kind.CADENCE:
            return _cadence(str(definition.value))
        case Kind.EVERY:
            every = _ONE.sub(r"every \1", f"every {length(int(definition.value))}")
            is_delay = definition.terms.overlap is Overlap.DELAY
            return f"{every}, counted from the end of each run" if is_delay else every
        case Kind.AFTER:
            return f"once, {length(int(definition.value))} after it was first scheduled"
        case Kind.AT:
            return f"once at {_instant(int(definition.value), definition.terms.timezone)}"


def _cadence(text: str) -> str:
    """Of unit and slot, as `cadence_text` makes them."""
    unit, *where, clock = text.split()
    match unit:
        case "minute":
            return f"every minute at {clock} s"
        case "hour":
            return f"hourly at {clock}"
        case "day":
            return f"daily at {clock} UTC"
        case "week":
            return f"weekly on {WEEKDAYS[_SHORT[where[0]]]} at {clock} UTC"
        case _:
            return f"monthly on day {where[0]} at {clock} UTC"


def _limits(terms: Terms, *, is_zoned: bool) -> list[str]:
    parts = []
    if terms.exclude:
        where = "" if is_zoned or terms.timezone == "UTC" else f" ({terms.timezone})"
        parts.append(f"except {_excluded(terms.exclude)}{where}")
    if terms.not_before_us is not None:
        parts.append(f"not before {_instant(terms.not_before_us, terms.timezone)}")
    if terms.not_after_us is not None:
        parts.append(f"not after {_instant(terms.not_after_us, terms.timezone)}")
    return parts


def _excluded(items: tuple[str, ...]) -> str:
    """Weekdays, then dates: "Saturdays and Sundays and 2026-12-24 to 2027-01-01"."""
    weekdays = [_SHORT[item] for item in items if item in _SHORT]
    dates = [item.replace("..", " to ") for item in items if item not in _SHORT]
    parts = [weekday_names(weekdays)] if weekdays else []
    if len(dates) > _LISTED:
        parts.append(f"{len(dates)} dates or ranges of dates")
    elif dates:
        parts.append(listed(dates))
    return " and ".join(parts)


def _instant(us: int, timezone: str) -> str:
    """`2027-01-01 09:00+01:00`, in the zone, or in UTC if the machine does not know it."""
    at = from_us(us, _zone(timezone))
    text = at.isoformat(" ", "auto" if at.second or at.microsecond else "minutes")
    return text.removesuffix("+00:00") + " UTC" if timezone == "UTC" else text


def _zone(name: str) -> ZoneInfo:
    try:
        return zone(name)
    except ScheduleError:
        return zone("UTC")
