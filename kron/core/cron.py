"""The cron dialect: text to a `Pattern`, and the items its fields are written in.

`fields.py` writes its fields in the same items: values, ranges, steps and day rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from .errors import CronError
from .pattern import Days, MonthDays, Pattern, Weekdays, times_of_day

_LONGEST = 256

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def compile_cron(text: str) -> Pattern:
    """Return the compiled form of a cron expression (cached).

    The dialect is Vixie's (crontab(5), with its rule for two restricted day fields) and the
    day-field additions of Quartz (`L`, `W`, `#`): 5 fields, or 6 with seconds first, or an alias.
    Blanks and the case of names do not matter. Raises `CronError`, naming field, value and range,
    if `text` is not in the dialect or fires on no date; `TypeError` if it is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"cron must be a str, not {type(text).__name__}")
    try:
        check_text(text)
        normal = " ".join(text.split())
        return _compile(normal if normal.startswith("@") else normal.upper())
    except Refused as exc:
        raise CronError(f'"{shown(text)}": {exc}.') from None


class Refused(Exception):
    """What is wrong with a text; whoever compiles it adds which text."""


def check_text(text: str) -> None:
    """Raises `Refused` if a text is too long or not ASCII."""
    if len(text) > _LONGEST:
        raise Refused(f"{len(text)} characters; the limit is {_LONGEST}")
    if not text.isascii():
        raise Refused("only ASCII characters are allowed")


def shown(text: str) -> str:
    """A refused text as an error shows it: ASCII and short."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return short.encode("ascii", "backslashreplace").decode()


@lru_cache(maxsize=4096)
def _compile(text: str) -> Pattern:
    if text.startswith("@") and text not in _ALIASES:
        raise Refused(f"not an alias; use {', '.join(_ALIASES)} (lower case), or every=")
    fields = _ALIASES.get(text, text).split()
    if len(fields) not in (5, 6):
        raise Refused(f"{len(fields)} fields; cron has 5, or 6 with seconds first")
    second, minute, hour, month_day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
    seconds, minutes, hours = SECOND.mask(second), MINUTE.mask(minute), HOUR.mask(hour)
    days = Days(
        MONTH.mask(month),
        month_days_of(_MONTH_DAY, "*" if month_day == "?" else month_day),
        weekdays_of(_WEEKDAY, "*" if weekday == "?" else weekday),
        # https://man7.org/linux/man-pages/man5/crontab.5.html, NOTES
        is_either=not (month_day.startswith(("*", "?")) or weekday.startswith(("*", "?"))),
    )
    is_fixed = not any(time.startswith("*") for time in (second, minute, hour))
    pattern = Pattern(text, is_fixed, times_of_day(hours, minutes, seconds), days)
    if not pattern.is_possible:
        raise Refused(
            f"never fires: no date has day of month {month_day}, month {month} and weekday"
            f" {weekday}"
        )
    return pattern


# -- fields and their items -----------------------------------------------------------------

_ITEM = re.compile(r"(?:(\*)|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:/([0-9]+))?")
_MONTH_DAY_RULE = re.compile(r"(LW)|L(?:-([0-9]+))?|([0-9]+)W")
_WEEKDAY_RULE = re.compile(r"([0-9]+|[A-Z]{3})(?:(L)|#([0-9]+))")


class Field(NamedTuple):
    """A field's name in errors, its range, where `*` and `a/n` end, and the names of values."""

    name: str
    low: int
    high: int
    top: int
    names: dict[str, int] = {}  # noqa: RUF012  # nobody changes it
    wraps: bool = False
    """Weekdays: FRI-MON is no reversed range, and 7 is 0."""
    needs_names: bool = False

    def mask(self, text: str) -> int:
        """The values of a comma list of items as a mask. Raises `Refused`, as all of these do."""
        mask = 0
        for values in self.values(text):
            mask |= _mask_of(values)
        return (mask | mask >> 7 | mask >> 14) & 0b111_1111 if self.wraps else mask

    def values(self, text: str) -> Iterator[range]:
        """Each item of a comma list: `*`, `a`, `a-b`, with `/n`; weekdays that wrap go on."""
        for item in text.split(","):
            yield self._item(item)

    def value(self, text: str) -> int:
        """A number or a name."""
        if text.isdigit() and not self.needs_names:
            return inside(self.name, int(text), self.low, self.high)
        if text in self.names:
            return self.names[text]
        if text.isdigit():
            why = "0 is Monday in some schedulers and Sunday in cron"
            raise Refused(f"{self.name} {text} is ambiguous ({why}); {self._range}")
        if self.wraps and text == "L":
            use = "friL (last Friday) or sat" if self.needs_names else "5L (last Friday) or 6"
            raise Refused(f"{self.name} L does not say which weekday; use {use}")
        raise Refused(f'{self.name} "{text}" is not known; {self._range}')

    def _item(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise Refused(f'{self.name} "{item}" is not a value, range or step; {self._range}')
        star, first, last, step = match.groups()
        low = self.low if star else self.value(first)
        high = self.value(last) if last else self.top if star or step else low
        if high < low and self.wraps:
            high += 7
        if high < low:
            raise Refused(f"{self.name} range {item} is reversed; {self._range}")
        size = self.top - self.low + 1
        return range(low, high + 1, inside(f"{self.name} step", int(step or 1), 1, size))

    @property
    def _range(self) -> str:
        if self.needs_names:
            return "the names are mon to sun"
        return f"the range is {self.low}-{self.high}"


_MONTHS = {
    **{"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6},
    **{"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12},
}
_WEEKDAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}

SECOND = Field("second", 0, 59, 59)
MINUTE = Field("minute", 0, 59, 59)
HOUR = Field("hour", 0, 23, 23)
MONTH = Field("month", 1, 12, 12, _MONTHS)
_MONTH_DAY = Field("day of month", 1, 31, 31)
_WEEKDAY = Field("weekday", 0, 7, 6, _WEEKDAYS, wraps=True)


def inside(name: str, number: int, low: int, high: int) -> int:
    """The number, if it is in its range."""
    if not low <= number <= high:
        raise Refused(f"{name} {number} is outside {low}-{high}")
    return number


def month_days_of(field: Field, text: str) -> MonthDays:
    """The items of a day-of-month field; its rules are `L`, `L-n`, `LW` and `nW`."""
    plain, from_last, workdays = [], 0, 0
    for item in text.split(","):
        match = _MONTH_DAY_RULE.fullmatch(item)
        if match is None:
            plain.append(item)
            continue
        is_last_workday, back, near = match.groups()
        if is_last_workday:
            workdays |= 1
        elif near:
            workdays |= 1 << inside(field.name, int(near), 1, 31)
        else:
            from_last |= 1 << (inside(f"{field.name} L-", int(back), 1, 30) if back else 0)
    return MonthDays(field.mask(",".join(plain)) if plain else 0, from_last, workdays)


def weekdays_of(field: Field, text: str) -> Weekdays:
    """The items of a weekday field; its rules are `nL` (the last) and `n#k` (the k-th)."""
    plain, nth, lasts = [], [0] * 5, 0
    for item in text.split(","):
        match = _WEEKDAY_RULE.fullmatch(item)
        if match is None:
            plain.append(item)
            continue
        day, is_last, week = match.groups()
        mask = 1 << field.value(day) % 7
        if is_last:
            lasts |= mask
        else:
            nth[inside(f"{field.name} #", int(week), 1, 5) - 1] |= mask
    return Weekdays(field.mask(",".join(plain)) if plain else 0, tuple(nth), lasts)


def _mask_of(values: range) -> int:
    """Bit v for each value v: a geometric series."""
    return ((1 << values.step * len(values)) - 1) // ((1 << values.step) - 1) << values.start
