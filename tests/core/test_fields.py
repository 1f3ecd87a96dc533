"""Keyword cron: what `Cron` means, against a search over dates, and what it refuses."""

from __future__ import annotations

import copy
import pickle
import random
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Any

import pytest

from kron.core.cron import compile_cron
from kron.core.errors import CronError
from kron.core.fields import Cron, compile_fields
from kron.core.moments import cron_moments, field_moments
from kron.core.pattern import EVERY_YEAR, Pattern

SECOND = 1_000_000
EPOCH = date(1970, 1, 1)


def long(value: object) -> object:
    return pytest.param(value, marks=pytest.mark.long)


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def after(now: str, count: int, /, **fields: Any) -> list[str]:
    """The next moments in UTC."""
    moments, cursor, found = field_moments(Cron(**fields).text), us(now), []
    for _ in range(count):
        moment = moments.next_after(cursor)
        if moment is None:
            break
        found.append(f"{datetime.fromtimestamp(moment // SECOND, UTC):%Y-%m-%dT%H:%M:%S}")
        cursor = moment
    return found


def dates(pattern: Pattern, year: int) -> list[date]:
    january, mask = pattern.year(year)
    return [EPOCH + timedelta(january + n) for n in range(mask.bit_length()) if mask >> n & 1]


# -- what it means --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hour": 9, "day_of_week": "mon"}, ["2026-11-23T09:00:00", "2026-11-30T09:00:00"]),
        ({"hour": "9"}, ["2026-11-22T09:00:00", "2026-11-23T09:00:00"]),
        ({"minute": 30}, ["2026-11-21T12:30:00", "2026-11-21T13:30:00"]),
        ({"second": "*/20"}, ["2026-11-21T12:00:20", "2026-11-21T12:00:40"]),
        ({"minute": "*/20", "hour": "*"}, ["2026-11-21T12:20:00", "2026-11-21T12:40:00"]),
        ({"month": 3}, ["2027-03-01T00:00:00", "2028-03-01T00:00:00"]),
        ({"month": "jan", "hour": 6}, ["2027-01-01T06:00:00", "2027-01-02T06:00:00"]),
        ({"year": 2030}, ["2030-01-01T00:00:00"]),
        ({"year": "2029-2040/10"}, ["2029-01-01T00:00:00", "2039-01-01T00:00:00"]),
        ({"year": "*/2", "month": 6}, ["2028-06-01T00:00:00", "2030-06-01T00:00:00"]),
        ({"year": 2020}, []),
        ({"week": 53}, ["2026-12-28T00:00:00", "2026-12-29T00:00:00"]),
        ({"week": 53, "year": 2027}, ["2027-01-01T00:00:00", "2027-01-02T00:00:00"]),
        ({"day": "last"}, ["2026-11-30T00:00:00", "2026-12-31T00:00:00"]),
        ({"day": "L-1"}, ["2026-11-29T00:00:00", "2026-12-30T00:00:00"]),
        ({"day": "lw"}, ["2026-11-30T00:00:00", "2026-12-31T00:00:00"]),
        ({"day": "1W"}, ["2026-12-01T00:00:00", "2027-01-01T00:00:00"]),
        ({"day_of_week": "fri#2"}, ["2026-12-11T00:00:00", "2027-01-08T00:00:00"]),
        ({"day_of_week": "friL"}, ["2026-11-27T00:00:00", "2026-12-25T00:00:00"]),
        ({"day_of_week": "sun-mon"}, ["2026-11-22T00:00:00", "2026-11-23T00:00:00"]),
        ({"day_of_week": "*/3"}, ["2026-11-22T00:00:00", "2026-11-23T00:00:00"]),
        ({"day": 13, "day_of_week": "fri"}, ["2027-08-13T00:00:00", "2028-10-13T00:00:00"]),
    ],
    ids=str,
)
def test_fields_mean(fields: dict[str, Any], expected: list[str]) -> None:
    assert after("2026-11-21T12:00:00", 2, **fields) == expected


def test_text_takes_either_day_field_and_keywords_both() -> None:
    both, either = Cron(day=13, day_of_week="fri"), "0 0 13 * FRI"
    assert field_moments(both.text).count(us("2026-01-01"), us("2026-12-31")) == 3
    assert cron_moments(either).count(us("2026-01-01"), us("2026-12-31")) == 52 + 12 - 3


def test_one_day_of_a_finite_year_has_an_end_on_both_sides() -> None:
    moments = field_moments("year=2030 hour=12")
    assert moments.count(0, us("9999-12-31")) == 365
    assert moments.next_after(us("2030-12-31T12:00:00")) is None
    assert moments.last_until(us("2030-01-01T11:59:59")) is None
    assert moments.last_until(us("2099-01-01")) == us("2030-12-31T12:00:00")


@pytest.mark.parametrize(
    ("fields", "fixed"),
    [
        ({"hour": 2, "minute": 30}, True),
        ({"day": "*"}, True),
        ({"hour": "0-23", "minute": "0/5"}, True),
        ({"minute": 30}, False),
        ({"hour": "*/2"}, False),
        ({"hour": 2, "minute": "*"}, False),
    ],
)
def test_fixed_means_no_star_in_the_time_fields(fields: dict[str, Any], fixed: bool) -> None:
    assert compile_fields(Cron(**fields).text).is_fixed is fixed


def test_a_change_of_the_clocks_is_that_of_the_text() -> None:
    texts = [("hour=2 minute=30", "30 2 * * *"), ("minute=*/30", "*/30 * * * *")]
    for fields, text in texts:
        for dst in ("once", "skip"):
            one = field_moments(fields, "Europe/Berlin", dst)  # type: ignore[arg-type]
            two = cron_moments(text, "Europe/Berlin", dst)  # type: ignore[arg-type]
            cursor = us("2026-03-20")
            for _ in range(800):
                moment = one.next_after(cursor)
                assert moment == two.next_after(cursor)
                assert moment is not None
                cursor = moment


# -- a search over dates --------------------------------------------------------------------------

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "mon tue wed thu fri sat sun".split()
RANGES = {
    **{"year": (1970, 9999), "month": (1, 12), "day": (1, 31), "week": (1, 53)},
    **{"day_of_week": (0, 6), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)},
}
LEAST = {"year": "*", "month": "1", "day": "1", "week": "*", "day_of_week": "*"}


def matches(name: str, text: str, value: int, day: date) -> bool:
    return any(item_matches(name, item, value, day) for item in text.split(","))


def item_matches(name: str, item: str, value: int, day: date) -> bool:
    is_in_last_week = (day + timedelta(7)).month != day.month
    if item in ("last", "l"):
        return (day + timedelta(1)).day == 1
    if "#" in item:
        return WEEKDAYS[value] == item[:3] and (day.day + 6) // 7 == int(item[4:])
    if name == "day_of_week" and item[3:] == "l":
        return WEEKDAYS[value] == item[:3] and is_in_last_week
    body, _, step = item.partition("/")
    first, _, last = body.partition("-")
    low, high = RANGES[name]
    start = low if first == "*" else number(first)
    end = number(last) if last else high if first == "*" or step else start
    if end < start:
        start, value = start - 7, value if value <= end else value - 7
    return start <= value <= end and (value - start) % int(step or 1) == 0


def number(text: str) -> int:
    if text in MONTHS:
        return MONTHS.index(text) + 1
    return WEEKDAYS.index(text) if text in WEEKDAYS else int(text)


def brute_force(fields: dict[str, str], year: int) -> list[date]:
    """Without the years before 1970 and without times of day."""
    names = [*LEAST]
    finest = max(map(names.index, fields))
    full = {name: "*" if at < finest else LEAST[name] for at, name in enumerate(names)} | fields
    found, day = [], date(year, 1, 1)
    while day.year == year:
        values = {"year": year, "month": day.month, "day": day.day, "week": day.isocalendar().week}
        values["day_of_week"] = day.weekday()
        if all(matches(name, full[name], value, day) for name, value in values.items()):
            found.append(day)
        day += timedelta(1)
    return found


def draw_fields(draw: random.Random) -> dict[str, str]:
    names = draw.sample([*LEAST], draw.randint(1, 3))
    return {
        name: ",".join(draw_item(draw, name) for _ in range(draw.choice([1, 1, 2])))
        for name in names
    }


def draw_item(draw: random.Random, name: str) -> str:
    low, high = (2020, 2032) if name == "year" else RANGES[name]
    first, last = sorted((draw.randint(low, high), draw.randint(low, high)))
    if name == "day_of_week":
        one, two = draw.choice(WEEKDAYS), draw.choice(WEEKDAYS)
        rules = [
            one,
            one,
            f"{one}-{two}",
            f"{one}-{two}/2",
            f"{one}#{draw.randint(1, 5)}",
            f"{one}l",
        ]
        return draw.choice([*rules, f"*/{draw.randint(1, 7)}", f"{one}/2", "*"])
    if name == "month" and draw.random() < 0.3:
        return f"{MONTHS[first - 1]}-{MONTHS[last - 1]}"
    if name == "day" and draw.random() < 0.2:
        return draw.choice(["last", "l"])
    items = [f"{first}", f"{first}-{last}", f"{first}-{last}/{draw.randint(1, 5)}"]
    return draw.choice([*items, f"{first}/{draw.randint(1, 4)}", f"*/{draw.randint(1, 5)}", "*"])


@pytest.mark.parametrize("seed", [*range(4), *(long(number) for number in range(4, 120))])
def test_random_fields_select_the_dates_of_a_search(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        fields = draw_fields(draw)
        years = {draw.randint(2019, 2033), draw.randint(1970, 9998)}
        expected = {year: brute_force(fields, year) for year in years}
        try:
            pattern = compile_fields(Cron(**fields).text)
        except CronError as exc:
            assert "never fires" in str(exc), fields
            assert not any(expected.values()), fields
            continue
        for year in years:
            assert dates(pattern, year) == expected[year], (fields, year)


@pytest.mark.parametrize(
    "cycle", [range(1970, 2040), long(range(1, 1970)), long(range(2040, 9999))]
)
def test_weeks_are_those_of_iso_8601(cycle: range) -> None:
    patterns = {week: compile_fields(f"week={week}") for week in (1, 2, 26, 52, 53)}
    for year in cycle:
        days = [date(year, 1, 1) + timedelta(n) for n in range(365)]
        days += [date(year, 12, 31)] if days[-1].day == 30 else []
        weeks = [day.isocalendar().week for day in days]
        for week, pattern in patterns.items():
            expected = [day for day, its in zip(days, weeks, strict=True) if its == week]
            assert dates(pattern, year) == expected, (year, week)


# -- a value --------------------------------------------------------------------------------------


def test_the_text_is_canonical_and_has_an_inverse() -> None:
    cron = Cron(hour=9, day_of_week=" MON , friL", month="Jan")
    assert cron.text == "month=jan day_of_week=mon,fril hour=9"
    assert repr(cron) == "Cron(month='jan', day_of_week='mon,fril', hour=9)"
    assert Cron.from_text(cron.text) == cron
    assert Cron.from_text("  hour=9 day_of_week=MON,friL  month=Jan ") == cron
    assert eval(repr(cron), {"Cron": Cron}) == cron  # noqa: S307


def test_crons_are_values() -> None:
    class Hour(IntEnum):
        NINE = 9

    cron = Cron(hour=9)
    copied = pickle.loads(pickle.dumps(cron))  # noqa: S301
    same = [Cron(hour="9"), Cron(hour=" 09"), Cron(hour=Hour.NINE), copy.copy(cron), copied]
    assert {cron, *same} == {cron}
    assert Cron(hour=9) != Cron(hour=10)
    assert Cron(hour=9) != Cron(hour=9, minute=0)
    assert Cron(hour=9) != "hour=9"
    assert cron.hour == "9"
    assert Cron(day="l-02,015w,*/007").text == "day=l-2,15w,*/7"
    with pytest.raises(AttributeError):
        cron.hour = 10  # type: ignore[misc]
    assert compile_fields("hour=9") is compile_fields("hour=9")
    assert compile_fields("hour=9").years is EVERY_YEAR
    assert compile_fields("hour=9") != compile_cron("0 9 * * *")


# -- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "give at least one of year, month, day, week, day_of_week, hour, minute, second"),
        ({"hour": None}, "give at least one"),
        ({"hour": 24}, "Cron(hour=24): hour 24 is outside 0-23."),
        ({"hour": -1}, 'hour "-1" is not a value, range or step; the range is 0-23'),
        ({"hour": 10**5000}, "hour 1000000000 is outside 0-23"),
        ({"minute": "*/0"}, "minute step 0 is outside 1-60"),
        ({"minute": "*/61"}, "minute step 61 is outside 1-60"),
        ({"minute": "/5"}, 'minute "/5" is not a value'),
        ({"minute": "R"}, 'minute "R" is not known; the range is 0-59'),
        ({"second": "5,"}, 'second "" is not a value'),
        ({"second": "9-3"}, "second range 9-3 is reversed; the range is 0-59"),
        ({"hour": ""}, 'hour "" is not a value'),
        ({"hour": "1 2"}, 'hour "1 2" is not a value'),
        ({"hour": "9 minute=3"}, 'hour "9 MINUTE=3" is not a value'),
        ({"hour": "\u0663"}, "only ASCII"),
        ({"hour": "9" * 400}, "405 characters; the limit is 256"),
        ({"hour": "L"}, 'hour "L" is not known'),
        ({"day": "a-"}, 'day "A-" is not a value'),
        ({"day": 32}, "day 32 is outside 1-31"),
        ({"day": "2nd fri"}, 'day "2ND FRI"'),
        ({"day": "last-2"}, 'day "LAST" is not known'),
        ({"day": "?"}, 'day "?"'),
        ({"month": 13}, "month 13 is outside 1-12"),
        ({"month": "dec-jan"}, "month range DEC-JAN is reversed"),
        ({"week": 0}, "week 0 is outside 1-53"),
        ({"week": 54}, "week 54 is outside 1-53"),
        ({"year": 1969}, "year 1969 is outside 1970-9999"),
        ({"year": 10_000}, "year 10000 is outside 1970-9999"),
        ({"year": "*/9000"}, "year step 9000 is outside 1-8030"),
        ({"day_of_week": 0}, "day_of_week 0 is ambiguous (0 is Monday in some schedulers"),
        ({"day_of_week": "1-5"}, "the names are mon to sun"),
        ({"day_of_week": "mon-5"}, "day_of_week 5 is ambiguous"),
        ({"day_of_week": "5L"}, "day_of_week 5 is ambiguous"),
        ({"day_of_week": "L"}, "use friL (last Friday) or sat"),
        ({"day_of_week": "fri#6"}, "day_of_week # 6 is outside 1-5"),
        ({"day_of_week": "monday"}, 'day_of_week "MONDAY" is not known'),
        ({"month": 2, "day": 30}, "never fires: no date has month 2 and day 30"),
        ({"month": 6, "week": 53}, "never fires: no date has month 6 and week 53"),
        ({"year": 2027, "month": 2, "day": 29}, "never fires"),
        ({"year": "2100,2200,2300", "month": 2, "day": 29}, "never fires"),
        ({"day_of_week": "mon#1", "day": "8-31"}, "never fires"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_refusal_says_where_and_why(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(CronError) as caught:
        Cron(**fields)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("Cron(") and len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [True, 9.0, b"9", [9], (9,), {9}, object()], ids=repr)
def test_other_types_are_type_errors(value: Any) -> None:
    with pytest.raises(TypeError, match="hour must be an int or a str"):
        Cron(hour=value)


def test_unknown_keywords_are_type_errors() -> None:
    with pytest.raises(TypeError, match="hours"):
        Cron(hours=9)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Cron(2026)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="text must be a str"):
        Cron.from_text(9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "give at least one"),
        ("hour=9 hour=8", "hour is given twice"),
        ("hours=9", '"hours=9" is no field'),
        ("hour", '"hour" is no field'),
        ("hour=", 'hour "" is not a value'),
        ("0 9 * * *", '"0" is no field'),
        ("hour=9 minute=61", "Cron(hour=9, minute=61): minute 61 is outside 0-59."),
        ("hour=" + "9" * 300, "305 characters"),
        ("hour=\u0663", "only ASCII"),
    ],
    ids=lambda value: value[:30],
)
def test_a_text_is_refused_as_well(text: str, problem: str) -> None:
    for way in (Cron.from_text, compile_fields):
        with pytest.raises(CronError) as caught:
            way(text)
        assert problem in str(caught.value)
