"""When a timer is due, in the words that every cron understands.

Kron reads more than cron does: seconds, `5/15`, weekdays that wrap, `?`, named fields. What has an
equal in cron is translated; the rest has a reason.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kron.core.cadence import cadence_cron, cadence_text
from kron.core.cron import HOUR, MINUTE, MONTH, compile_cron
from kron.core.duration import format_duration
from kron.core.errors import CronError, brief
from kron.core.fields import compile_fields
from kron.core.instants import from_us
from kron.core.model import Definition, Kind
from kron.core.pattern import EVERY_YEAR, Pattern

from .command import CannotSay

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_VALUE = "([0-9]+|[A-Z]{3})"
_PLAIN = re.compile(rf"\*(?:/[0-9]+)?|{_VALUE}|{_VALUE}-{_VALUE}(?:/[0-9]+)?")
_STEPPED = re.compile(rf"{_VALUE}/([0-9]+)")
_RANGE = re.compile(rf"{_VALUE}-{_VALUE}(?:/([0-9]+))?")
_TOPS = (MINUTE.top, HOUR.top, 31, MONTH.top, 6)
_NAMES = ("minute", "hour", "day of month", "month", "weekday")
_LEAST = {"month": "1", "day": "1", "day_of_week": "*", "hour": "0", "minute": "0", "second": "0"}
"""The fields of a `kron.Cron` that cron knows, and what they are if a coarser one is the finest."""
_MINUTE_US = 60_000_000
_HOUR_MINUTES, _DAY_MINUTES = 60, 1440


class When(NamedTuple):
    """The first words of a line, in the zone that CRON_TZ names. `selector` is the keyword of
    `schedule()` that they stand for, if it is not `cron` with these very words."""

    zone: str
    text: str
    selector: tuple[str, str] | None = None


def when_of(name: str, definition: Definition) -> When:
    """Cron's words for exactly these moments. Raises CannotSay."""
    kind, value, terms = definition.kind, definition.value, definition.terms
    match kind:
        case Kind.CRON:
            text = _plain(str(value), compile_cron(str(value)))
            given = None if text == value else ("cron", str(value))
            when = When(terms.timezone, text, given)
        case Kind.FIELDS:
            text = _plain(_of_fields(str(value)), compile_fields(str(value)))
            when = When(terms.timezone, text, ("cron", str(value)))
        case Kind.CADENCE:
            when = _cadence(name, str(value))
        case Kind.EVERY if definition.is_fixed_delay:
            every = format_duration(int(value))
            raise CannotSay(f"every={every} counts from the end of each run, and cron from nothing")
        case Kind.EVERY:
            every = format_duration(int(value))
            raise CannotSay(f"every={every} counts from when it was scheduled, and cron does not")
        case _:
            raise CannotSay(f"{kind}= is one moment, and a line of a crontab comes again and again")
    return when


def nearest(definition: Definition, anchor_us: int) -> When | None:
    """For `every="30m"`, counted from an instant: the minutes of the clock that come nearest."""
    if definition.kind is not Kind.EVERY:
        return None
    minutes, rest_us = divmod(int(definition.value), _MINUTE_US)
    if rest_us or not minutes or _DAY_MINUTES % minutes:
        return None
    at = from_us(anchor_us)
    if _HOUR_MINUTES % minutes == 0:
        return When("UTC", f"{_steps(at.minute % minutes, minutes, MINUTE.high)} * * * *")
    if minutes % _HOUR_MINUTES:
        return None
    hours = minutes // _HOUR_MINUTES
    return When("UTC", f"{at.minute} {_steps(at.hour % hours, hours, HOUR.high)} * * *")


def _steps(first: int, step: int, high: int) -> str:
    if step > high:
        return f"{first}"
    every = "*" if step == 1 else f"*/{step}"
    return every if first == 0 or step == 1 else f"{first}-{high}/{step}"


def _cadence(name: str, value: str) -> When:
    unit = value.split()[0]
    if cadence_text(unit, name) != value:  # the job of a pyproject.toml, whose id is another
        raise CannotSay(f'the slot "{value}" follows from another name than {name}')
    expr = cadence_cron(value).upper()
    return When("UTC", _plain(expr, compile_cron(expr)), ("every", unit))


# -- the dialect --------------------------------------------------------------------------------


def _plain(text: str, pattern: Pattern) -> str:
    """The same in the plain dialect; proved by what both compile to. Raises CannotSay."""
    if text.startswith("@"):
        return text
    fields = text.split()
    if len(fields) == 6:
        if any(second % 60 for second in pattern.times):
            raise CannotSay(f'"{text}" has seconds, and cron knows minutes')
        fields = fields[1:]
    plain = " ".join(map(_field, fields, _TOPS, _NAMES))
    try:
        is_same = _meaning(compile_cron(plain)) == _meaning(pattern)
    except CronError:
        is_same = False
    if not is_same:
        raise CannotSay(f'"{pattern.text}" is more than the five fields of cron can say')
    return plain


def _meaning(pattern: Pattern) -> tuple[object, ...]:
    return pattern.is_fixed, tuple(pattern.times), pattern.days, pattern.years == EVERY_YEAR


def _field(text: str, top: int, name: str) -> str:
    return ",".join(_item(item, top, name) for item in text.split(","))


def _item(item: str, top: int, name: str) -> str:
    if item == "?":
        return "*"
    if not _PLAIN.fullmatch(item) and not _STEPPED.fullmatch(item):
        raise CannotSay(f"cron does not know {brief(item)} as a {name}")
    if stepped := _STEPPED.fullmatch(item):
        return f"{stepped[1]}-{top}/{stepped[2]}"
    days = _RANGE.fullmatch(item) if name == "weekday" else None
    return _in_order(days) if days else item


def _in_order(days: re.Match[str]) -> str:
    """A range of weekdays; one by one, if it goes over the week's end."""
    low, high = (_DAYS.index(day) if day in _DAYS else int(day) for day in days.groups()[:2])
    if low <= high:
        return days[0]
    return ",".join(str(day % 7) for day in range(low, high + 8, int(days[3] or 1)))


def _of_fields(text: str) -> str:
    """The fields of a `kron.Cron` in cron's order; whether they mean the same there is seen
    later."""
    given = dict(part.split("=", 1) for part in text.split())
    if given.keys() & {"year", "week"}:
        raise CannotSay("cron knows neither years nor weeks of a year")
    names = [*_LEAST]
    finest = max(names.index(name) for name in given)
    left_out = {name: "*" if at < finest else _LEAST[name] for at, name in enumerate(names)}
    field = left_out | given
    words = (field[name] for name in ("second", "minute", "hour", "day", "month", "day_of_week"))
    return " ".join(words).upper()
