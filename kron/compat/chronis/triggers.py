"""The three triggers of Chronis as Kron's keywords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from kron.core.dst import zone
from kron.core.errors import ScheduleError, brief
from kron.core.fields import Cron
from kron.core.instants import from_us, parse_instant
from kron.core.terms import ScheduleOptions

from .numbers import read_number

UNITS = ("seconds", "minutes", "hours", "days", "weeks")
_MOST_S = 36_525 * 86_400
"""Kron's 100 years; and more of any unit is more than that."""
FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NTH = {"1st": "#1", "2nd": "#2", "3rd": "#3", "4th": "#4", "5th": "#5", "last": "L"}
_NTH_WEEKDAY = re.compile(rf"({'|'.join(_NTH)})\s+(\S+)")


def interval(given: Mapping[str, Any]) -> ScheduleOptions:
    """A beat that does not drift: the sum of the units, counted from the creation."""
    sizes = {unit: given[unit] for unit in UNITS if given.get(unit) is not None}
    if not sizes:
        raise ScheduleError(f"give at least one of {', '.join(UNITS)}.")
    for unit, size in sizes.items():
        read_number(size, unit)
    if max(sizes.values()) > _MOST_S or (every_s := _sum_s(sizes)) > _MOST_S:
        said = ", ".join(f"{unit}={brief(size)}" for unit, size in sizes.items())
        raise ScheduleError(f"{said}: an interval must be at most 100 years.")
    if not every_s:
        raise ScheduleError(f"{', '.join(sizes)} are 0 together; an interval must be longer.")
    return {"every": every_s, "overlap": "skip", "missed": "once"}


def cron(given: Mapping[str, Any]) -> ScheduleOptions:
    """Fields that all have to match. A number for a weekday counts from Monday = 0.

    Raises CronError (a ValueError) at once for fields that never fire.
    """
    fields = {name: given[name] for name in FIELDS if given.get(name) is not None}
    if "day_of_week" in fields:
        fields["day_of_week"] = _by_name(fields["day_of_week"])
    if isinstance(fields.get("day"), str) and (weekdays := _nth_weekdays(fields["day"])):
        if "day_of_week" in fields:
            raise ScheduleError(f"day={fields['day']!r} names weekdays: leave day_of_week out.")
        del fields["day"]
        fields["day_of_week"] = weekdays
    return {"cron": Cron(**fields), "overlap": "skip", "missed": "skip"}


def date(run_date: datetime | str, timezone: str | None) -> ScheduleOptions:
    """Once at an instant, in the past too: Kron records that one as missed."""
    return {"at": read_moment(run_date, timezone, "run_date"), "missed": "once"}


def read_moment(moment: Any, timezone: str | None, argument: str) -> datetime:
    """An instant, in UTC. What names no zone is read in `timezone`. Without that a text is in UTC,
    and a datetime in the zone of this machine, where `datetime.now()` made it."""
    tz = zone(read_timezone(timezone))
    if isinstance(moment, datetime) and moment.tzinfo is None and timezone is None:
        with suppress(OverflowError, ValueError):  # out of bounds in UTC too, which is told below
            moment = moment.astimezone(UTC)
    return from_us(parse_instant(moment, tz, argument=argument))


def read_timezone(timezone: object) -> str:
    """The name of a zone; UTC if nobody gave one."""
    if timezone is None:
        return "UTC"
    if not isinstance(timezone, str):
        raise TypeError(f"timezone must be a string, not {type(timezone).__name__}.")
    return timezone


def _sum_s(sizes: Mapping[str, float]) -> float:
    return sum(timedelta(**{unit: 1}).total_seconds() * size for unit, size in sizes.items())


def _by_name(day_of_week: Any) -> Any:
    """0 to 6 as mon to sun, also within a text such as "0-4/2,6"."""
    if isinstance(day_of_week, int) and not isinstance(day_of_week, bool):
        return _weekday(str(day_of_week))
    if not isinstance(day_of_week, str):
        return day_of_week
    items = [item.strip().partition("/") for item in day_of_week.split(",")]
    return ",".join("-".join(map(_weekday, days.split("-"))) + sep + n for days, sep, n in items)


def _weekday(text: str) -> str:
    number = text.strip()
    if not re.fullmatch(r"-?[0-9]+", number):
        return text
    if number.lstrip("0") not in ("", *"123456"):
        raise ScheduleError(f"day_of_week {number[:20]} is outside 0-6 (Monday to Sunday).")
    return _WEEKDAYS[int(number)]


def _nth_weekdays(day: str) -> str | None:
    """ "1st mon,last fri" as a weekday field; None for days by number."""
    items = [item.strip() for item in day.lower().split(",")]
    found = [_NTH_WEEKDAY.fullmatch(item) for item in items]
    if not any(found):
        return None
    if not all(found):
        raise ScheduleError(f"day={day!r} mixes weekdays and days by number; make two jobs of it.")
    return ",".join(f"{match[2]}{_NTH[match[1]]}" for match in found if match)
