"""Keyword cron: the public `Cron`, its one text, and what that compiles to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .cron import (
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    Field,
    Refused,
    check_text,
    month_days_of,
    shown,
    weekdays_of,
)
from .errors import CronError
from .pattern import EVERY_YEAR, Days, Pattern, times_of_day

_DEFAULTS = {
    **{"year": "*", "month": "1", "day": "1", "week": "*", "day_of_week": "*"},
    **{"hour": "0", "minute": "0", "second": "0"},
}
_DATES = ("year", "month", "day", "week", "day_of_week")
_ISO_WEEKDAYS = {"MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6, "SUN": 7}
_MOST_SHOWN = 10**9
_INT = re.compile(r"[0-9]+")
_LEADING_ZEROS = re.compile(r"\b0+(?=[0-9])")

_YEAR = Field("year", 1970, 9999, 9999)
_DAY = Field("day", 1, 31, 31)
_WEEK = Field("week", 1, 53, 53)
_DAY_OF_WEEK = Field("day_of_week", 1, 7, 7, _ISO_WEEKDAYS, wraps=True, needs_names=True)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Cron:
    """Due moments by named fields: `schedule("x", fn, cron=Cron(day_of_week="mon", hour=9))`.

    **Every given field has to match**: `Cron(day=13, day_of_week="fri")` is Friday the 13th (the
    text `0 0 13 * FRI` is each 13th and each Friday). Of the fields that are left out, those finer
    than the finest given one are at their least (month and day 1; hour, minute and second 0), the
    coarser ones are `*`; week and day_of_week are `*` either way. These are the semantics of
    APScheduler's CronTrigger.

    A value is an int or a text of `*`, `a`, `a-b`, each with `/n`, in a comma list. year is
    1970-9999 and week an ISO week. Months have names too, weekdays have nothing else: "fri-mon",
    "fri#2" (the second Friday), "friL" (the last); the week begins on Monday ("*/2" is Monday,
    Wednesday, Friday, Sunday). day knows "last", and "L-2", "LW", "15W" as in cron text.

    Equal by value; `text` is a canonical form, and `from_text` its inverse. Raises `CronError`,
    naming field, value and range, for fields that cannot be used or never meet; `TypeError` for
    a value of another type.
    """

    year: int | str | None = None
    month: int | str | None = None
    day: int | str | None = None
    week: int | str | None = None
    day_of_week: int | str | None = None
    hour: int | str | None = None
    minute: int | str | None = None
    second: int | str | None = None

    def __post_init__(self) -> None:
        for name in _DEFAULTS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _normal(name, value))
        try:
            _compile(self)
        except Refused as exc:
            raise CronError(f"{shown(repr(self))}: {exc}.") from None

    @property
    def text(self) -> str:
        """The given fields, from year to second: `day_of_week=mon hour=9`."""
        return " ".join(f"{name}={value}" for name, value in self._given().items())

    @classmethod
    def from_text(cls, text: str) -> Cron:
        """The inverse of `text`. Raises `CronError` if there are no such fields."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, not {type(text).__name__}")
        given: dict[str, str] = {}
        try:
            check_text(text)
            for part in text.split():
                name, equals, value = part.partition("=")
                if not equals or name not in _DEFAULTS:
                    raise Refused(f'"{part}" is no field; use {"=, ".join(_DEFAULTS)}=')
                if name in given:
                    raise Refused(f"{name} is given twice")
                given[name] = value
        except Refused as exc:
            raise CronError(f'"{shown(text)}": {exc}.') from None
        return cls(**given)

    def __repr__(self) -> str:
        given = self._given().items()
        parts = (
            f"{name}={value if _INT.fullmatch(value) else repr(value)}" for name, value in given
        )
        return f"Cron({', '.join(parts)})"

    def _given(self) -> dict[str, str]:
        values = ((name, getattr(self, name)) for name in _DEFAULTS)
        return {name: value for name, value in values if value is not None}


@lru_cache(maxsize=4096)
def compile_fields(text: str) -> Pattern:
    """Return the compiled form of a `Cron.text` (cached). Raises as `Cron.from_text` does."""
    return _compile(Cron.from_text(text))


def _normal(name: str, value: object) -> str:
    """Lower case, no blanks around items, no leading zeros; an int as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{name} must be an int or a str, not {type(value).__name__}")
    if isinstance(value, int):  # thousands of digits are no text
        return str(min(max(int(value), -_MOST_SHOWN), _MOST_SHOWN))
    items = str.__str__(value).lower().split(",")
    return _LEADING_ZEROS.sub("", ",".join(item.strip() for item in items))


@lru_cache(maxsize=4096)
def _compile(cron: Cron) -> Pattern:
    text = cron.text
    check_text(text)
    field = _filled(cron._given())
    hour, minute, second = clock = field["hour"], field["minute"], field["second"]
    times = times_of_day(HOUR.mask(hour), MINUTE.mask(minute), SECOND.mask(second))
    days = Days(
        MONTH.mask(field["month"]),
        month_days_of(_DAY, ",".join("L" if i == "LAST" else i for i in field["day"].split(","))),
        weekdays_of(_DAY_OF_WEEK, field["day_of_week"]),
        weeks=_WEEK.mask(field["week"]),
    )
    is_fixed = not any(each.startswith("*") for each in clock)
    pattern = Pattern(text, is_fixed, times, days, _years(field["year"]))
    if not pattern.is_possible:
        dates = [f"{name} {field[name].lower()}" for name in _DATES if field[name] != "*"]
        raise Refused(f"never fires: no date has {' and '.join(dates)}")
    return pattern


def _filled(given: dict[str, str]) -> dict[str, str]:
    """All fields, in upper case as `Field` reads them."""
    if not given:
        raise Refused(f"give at least one of {', '.join(_DEFAULTS)}")
    names = list(_DEFAULTS)
    finest = max(map(names.index, given))
    left_out = {name: "*" if at < finest else _DEFAULTS[name] for at, name in enumerate(names)}
    return {name: text.upper() for name, text in (left_out | given).items()}


def _years(text: str) -> bytes:
    if text == "*":
        return EVERY_YEAR
    years = bytearray(len(EVERY_YEAR))
    for each in _YEAR.values(text):
        years[each.start : each.stop : each.step] = b"\1" * len(each)
    return bytes(years)
