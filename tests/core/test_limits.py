"""What is left out: every form and every refusal of `exclude=`, and days as long as they are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kron.core.errors import ScheduleError
from kron.core.limits import Limits, limits_of, parse_exclude
from kron.core.model import Reason, Terms

SECOND = 1_000_000
HOUR = 3600 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(
        microseconds=1
    )


# -- what people write --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (None, ()),
        ([], ()),
        ("sat", ("sat",)),
        ("Saturday", ("sat",)),
        (" SUN ", ("sun",)),
        ("sat-sun", ("sat", "sun")),
        ("monday-wed", ("mon", "tue", "wed")),
        ("fri-mon", ("mon", "fri", "sat", "sun")),
        ("2026-12-25", ("2026-12-25",)),
        (date(2026, 12, 25), ("2026-12-25",)),
        ("2026-12-24..2027-01-01", ("2026-12-24..2027-01-01",)),
        ("2026-12-24/2027-01-01", ("2026-12-24..2027-01-01",)),
        ("2026-12-25..2026-12-25", ("2026-12-25",)),
        ([("2026-12-24", "2027-01-01")], ("2026-12-24..2027-01-01",)),
        ([(date(2026, 12, 24), "2027-01-01")], ("2026-12-24..2027-01-01",)),
        ([["2026-12-24", date(2026, 12, 25)]], ("2026-12-24..2026-12-25",)),
        (["sun", "2026-12-25", "sat"], ("2026-12-25", "sat", "sun")),
        (["2026-12-26", "2026-12-25"], ("2026-12-25..2026-12-26",)),
        (["2026-12-25", "2026-12-25"], ("2026-12-25",)),
        (["2026-12-27", "2026-12-25"], ("2026-12-25", "2026-12-27")),
        (["2026-12-01..2026-12-10", "2026-12-03..2026-12-20"], ("2026-12-01..2026-12-20",)),
        (["2026-12-01..2026-12-20", "2026-12-03"], ("2026-12-01..2026-12-20",)),
        (("sat", "sat-sun"), ("sat", "sun")),
        ({"sun"}, ("sun",)),
        ((each for each in ("sat",)), ("sat",)),
        ("2024-02-29", ("2024-02-29",)),
    ],
    ids=str,
)
def test_days_have_a_normal_form(value: Any, normal: tuple[str, ...]) -> None:
    assert parse_exclude(value) == normal
    assert parse_exclude(normal) == normal


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("someday", ScheduleError, "has the item 'someday'; use a date"),
        ("", ScheduleError, "has the item ''"),
        ("6", ScheduleError, "has the item '6'.*numbers mean different days"),
        ("sat-someday", ScheduleError, "has the item 'sat-someday'"),
        ("sat-sun-mon", ScheduleError, "has the item 'sat-sun-mon'"),
        ("sat-", ScheduleError, "has the item 'sat-'"),
        ("2026-13-01", ScheduleError, "has the item '2026-13-01'"),
        ("2026-02-29", ScheduleError, "has the item '2026-02-29'"),
        ("2026-12-24..", ScheduleError, "has the item '2026-12-24..'"),
        ("2026-12-24..sat", ScheduleError, "has the item '2026-12-24..sat'"),
        ("2026-12-24T00:00", ScheduleError, "has the item"),
        ("2027-01-01..2026-12-24", ScheduleError, "ends before it begins"),
        ([("2027-01-01", "2026-12-24")], ScheduleError, "ends before it begins"),
        (["sat", "x" * 100], ScheduleError, r"x\.\.\..*use a date"),
        ("mon-sun", ScheduleError, "every day of the week"),
        (list(WEEKDAYS), ScheduleError, "every day of the week"),
        (["2026-01-01"] * 1001, ScheduleError, "1001 items; at most 1000"),
        (5, TypeError, "must be dates and weekdays, not int"),
        (b"sat", TypeError, "must be dates and weekdays, not bytes"),
        ([5], TypeError, "has the item 5; use a date"),
        ([("2026-12-24",)], TypeError, "has the item"),
        ([None], TypeError, "has the item None"),
        (datetime(2026, 12, 25, tzinfo=UTC), TypeError, r"use \.date\(\)"),
        ([datetime(2026, 12, 25, tzinfo=UTC)], TypeError, r"use \.date\(\)"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_day_is_refused(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        parse_exclude(value)
    with pytest.raises(error, match="holidays"):
        parse_exclude(value, argument="holidays")


# -- what it means ------------------------------------------------------------------------------


def days_of(exclude: list[str], zone: str) -> Limits:
    return Limits(None, None, parse_exclude(exclude), zone)


def test_without_a_rule_there_are_no_limits() -> None:
    assert limits_of(Terms()) is None
    assert limits_of(Terms(timezone="Europe/Berlin")) is None
    assert limits_of(Terms(exclude=("sat",))) == Limits(None, None, ("sat",), "UTC")


def test_bounds_belong_to_what_runs() -> None:
    limits = Limits(100, 200, (), "UTC")
    assert limits.stretch(99) == (Reason.BOUNDS, None, 100)
    assert limits.stretch(100) == (None, 100, 201)
    assert limits.stretch(200) == (None, 100, 201)
    assert limits.stretch(201) == (Reason.BOUNDS, 201, None)


def test_bounds_go_before_days() -> None:
    first, last = us("2026-01-01T06:00"), us("2026-01-02T18:00")
    limits = Limits(first, last, ("2026-01-02",), "UTC")
    assert limits.stretch(first) == (None, first, us("2026-01-02"))
    assert limits.stretch(us("2026-01-02")) == (Reason.EXCLUDED, us("2026-01-02"), last + 1)
    assert limits.stretch(first - 1).reason is Reason.BOUNDS
    assert limits.stretch(last + 1).reason is Reason.BOUNDS


def test_an_unknown_zone_matters_only_for_days() -> None:
    assert Limits(1, 2, (), "Mars/Base").stretch(1).reason is None
    with pytest.raises(ScheduleError, match="not a known time zone"):
        Limits(None, None, ("sat",), "Mars/Base")


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-12-25", "2026-12-25T00:00", 24),
        ("Asia/Tokyo", "2026-12-25", "2026-12-24T15:00", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", 25),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00", 23),  # begins at 01:00
        ("America/Santiago", "2026-04-04", "2026-04-04T03:00", 25),  # 23:00 comes twice
        ("America/Havana", "2026-03-08", "2026-03-08T05:00", 23),  # begins at 01:00
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", 25),  # 00:00 comes twice
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", 24),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24),
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, day: str, start: str, hours: int) -> None:
    limits, begin, end = days_of([day], zone), us(start), us(start) + hours * HOUR
    for instant in (begin, begin + 1, end - SECOND, end - 1):
        assert limits.stretch(instant) == (Reason.EXCLUDED, begin, end)
    before, after = limits.stretch(begin - 1), limits.stretch(end)
    assert before.reason is after.reason is None
    assert (before.end_us, after.start_us) == (begin, end)


def test_a_day_that_a_zone_leaves_out_is_no_stretch() -> None:
    limits, change = days_of(["2011-12-30"], "Pacific/Apia"), us("2011-12-30T10:00")
    for instant in (change - 1, change):
        assert limits.stretch(instant).reason is None
    whole = days_of(["2011-12-29..2011-12-31"], "Pacific/Apia").stretch(change)
    assert whole == (Reason.EXCLUDED, us("2011-12-29T10:00"), us("2011-12-31T10:00"))


def test_weekends_and_dates_that_touch_are_one_stretch() -> None:
    limits = days_of(["sat-sun", "2026-01-05..2026-01-06", "2026-01-02"], "UTC")
    stretch = limits.stretch(us("2026-01-03T12:00"))
    assert stretch == (Reason.EXCLUDED, us("2026-01-02"), us("2026-01-07"))
    assert limits.stretch(us("2026-01-08")) == (None, us("2026-01-07"), us("2026-01-10"))


def test_a_stretch_of_decades_comes_in_pieces_that_agree() -> None:
    limits = days_of(["2000-01-01..2040-12-31"], "Europe/Berlin")
    instant, pieces = us("2000-01-01T00:00+01:00"), 0
    while (stretch := limits.stretch(instant)).reason is Reason.EXCLUDED:
        assert stretch.end_us is not None and stretch.end_us > instant
        instant, pieces = stretch.end_us, pieces + 1
    assert instant == us("2041-01-01T00:00+01:00")
    assert pieces < 50


ZONES = ("UTC", "Europe/Berlin", "America/Santiago", "America/Havana", "Asia/Beirut")
"""In Santiago, Havana and Beirut the clock is set at midnight."""


@pytest.mark.parametrize("seed", range(30))
def test_stretches_agree_with_the_calendar(seed: int) -> None:
    """Every instant of some weeks is judged by its local date, and lies in its own stretch."""
    random = Random(seed)
    zone = random.choice(ZONES)
    first = date(2026, random.randint(1, 12), 1)
    dates = [first + timedelta(days=random.randrange(40)) for _ in range(4)]
    names = random.sample(WEEKDAYS, random.randrange(3))
    items = [*(str(day) for day in dates[:2]), f"{min(dates[2:])}..{max(dates[2:])}", *names]
    limits = days_of(items, zone)
    start = us(f"{first}T00:00")
    instants = range(start, start + 40 * 24 * HOUR, 30 * 60 * SECOND)
    for instant in instants:
        shown = (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).date()
        is_out = shown in dates[:2] or min(dates[2:]) <= shown <= max(dates[2:])
        is_out = is_out or WEEKDAYS[shown.weekday()] in names
        stretch = limits.stretch(instant)
        assert stretch.reason == (Reason.EXCLUDED if is_out else None), (zone, shown)
        assert stretch.start_us is not None and stretch.end_us is not None
        assert stretch.start_us <= instant < stretch.end_us
        for end in (stretch.start_us, stretch.end_us - 1):
            assert limits.stretch(end).reason == stretch.reason
