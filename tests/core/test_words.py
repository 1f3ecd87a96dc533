"""What is said of a schedule in plain words; the expectations are written by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.cron import compile_cron
from kron.core.definition import define
from kron.core.errors import CronError
from kron.core.fields import Cron
from kron.core.model import Definition, Terms
from kron.core.pattern_words import pattern_in_words
from kron.core.words import in_words, length

CRON = [
    # -- the beat
    ("* * * * *", "every minute"),
    ("*/1 * * * *", "every minute"),
    ("* * * * * *", "every second"),
    ("*/10 * * * * *", "every 10 seconds"),
    ("*/7 * * * * *", "every 7 seconds from second 0 to 56 of every minute"),
    ("30 * * * * *", "every minute at second 30"),
    ("5,35 * * * * *", "at seconds 5 and 35 of every minute"),
    ("*/15 * * * *", "every 15 minutes"),
    ("0,15,30,45 * * * *", "every 15 minutes"),
    ("*/30 * * * *", "every 30 minutes"),
    ("7-59/15 * * * *", "every 15 minutes from :07 to :52 of every hour"),
    ("*/7 * * * *", "every 7 minutes from :00 to :56 of every hour"),
    ("0,5,10 * * * *", "at :00, :05 and :10 of every hour"),
    ("15,45 * * * *", "at :15 and :45 of every hour"),
    ("1-10,30 * * * *", "at minutes 1-10 and 30 of every hour"),
    ("0 * * * *", "every hour"),
    ("@hourly", "every hour"),
    ("15 * * * *", "every hour at :15"),
    ("30 15 * * * *", "every hour at :15:30"),
    ("0 */2 * * *", "every 2 hours from 00:00 to 22:00"),
    ("0 */8 * * *", "at 00:00, 08:00 and 16:00 every day"),
    ("0 */7 * * *", "at 00:00, 07:00, 14:00 and 21:00 every day"),
    # -- not over midnight, for these hours do not follow real time
    ("0 0-23 * * *", "every hour from 00:00 to 23:00"),
    ("0-59/15 0-23 * * *", "every 15 minutes from 00:00 to 23:45"),
    # -- times of day
    ("30 9 * * *", "at 09:30 every day"),
    ("15 30 9 * * *", "at 09:30:15 every day"),
    ("0 8,17 * * *", "at 08:00 and 17:00 every day"),
    ("0,30 8,17 * * *", "at 08:00, 08:30, 17:00 and 17:30 every day"),
    ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
    ("30 9-17 * * *", "every hour from 09:30 to 17:30"),
    ("0 9-11 * * *", "at 09:00, 10:00 and 11:00 every day"),
    ("*/15 9 * * *", "every 15 minutes from 09:00 to 09:45"),
    ("*/15 9-17 * * *", "every 15 minutes from 09:00 to 17:45"),
    ("*/15 8-10,17 * * *", "every 15 minutes in the hours 8-10 and 17"),
    ("* 9-17 * * *", "every minute from 09:00 to 17:59"),
    ("* 9,11 * * *", "every minute in the hours 9 and 11"),
    ("30 1,2,3,5,8,13,21 * * *", "at :30 in the hours 1-3, 5, 8, 13 and 21 every day"),
    ("*/10 * 2 * * *", "every 10 seconds from 02:00:00 to 02:59:50"),
    ("*/7 5 * * * *", "every 7 seconds from second 0 to 56 of minute 5 of every hour"),
    ("0 1,2,3,5,8,13,21 9 * * *", "at minutes 1-3, 5, 8, 13 and 21 in the hour 9 every day"),
    # -- days of the week
    ("30 9 * * 1-5", "at 09:30 on weekdays"),
    ("30 9 * * 1,2,3,4,FRI", "at 09:30 on weekdays"),
    ("0 0 * * SAT,SUN", "at 00:00 on Saturdays and Sundays"),
    ("@weekly", "at 00:00 on Sundays"),
    ("0 9 * * 7", "at 09:00 on Sundays"),
    ("0 9 * * 1,3,5", "at 09:00 on Mondays, Wednesdays and Fridays"),
    ("0 9 * * 1-6", "at 09:00 on Mondays to Saturdays"),
    ("0 9 * * FRI-MON", "at 09:00 on Fridays to Mondays"),
    ("0 0 * * */2", "at 00:00 on Tuesdays, Thursdays, Saturdays and Sundays"),
    ("0 9 * * FRI#5", "at 09:00 on the 5th Friday of the month"),
    ("0 9 * * 5L", "at 09:00 on the last Friday of the month"),
    ("0 9 * * 0#2,3#4", "at 09:00 on the 2nd Sunday and the 4th Wednesday of the month"),
    ("0 9 * * MON,5L", "at 09:00 on Mondays and on the last Friday of the month"),
    # -- days of the month
    ("0 0 1 * *", "at 00:00 on day 1 of the month"),
    ("@monthly", "at 00:00 on day 1 of the month"),
    ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
    ("0 0 1-7,20 * *", "at 00:00 on days 1-7 and 20 of the month"),
    ("0 0 */2 * *", "at 00:00 on every 2nd day from day 1 to day 31 of the month"),
    ("0 12 L * *", "at 12:00 on the last day of the month"),
    ("0 12 L-1 * *", "at 12:00 on the day before the last day of the month"),
    ("0 12 L-3 * *", "at 12:00 on the 3rd day before the last day of the month"),
    ("0 12 L-11 * *", "at 12:00 on the 11th day before the last day of the month"),
    ("0 12 LW * *", "at 12:00 on the last weekday of the month"),
    ("0 12 15W * *", "at 12:00 on the weekday nearest day 15 of the month"),
    ("0 12 1,L * *", "at 12:00 on day 1 and the last day of the month"),
    # -- both: either, or with a star both
    ("0 0 13 * 5", "at 00:00 on day 13 of the month or on Fridays"),
    ("0 0 29 2 MON", "at 00:00 on day 29 of February or on Mondays in February"),
    ("0 0 1-7 * */7", "at 00:00 on days 1-7 of the month, but only on Sundays"),
    (
        "0 0 */2 * MON",
        "at 00:00 on every 2nd day from day 1 to day 31 of the month, but only on Mondays",
    ),
    ("0 0 1-31 * MON", "at 00:00 every day"),
    ("0 0 5 * 0-6", "at 00:00 every day"),
    ("0 0 ? * MON", "at 00:00 on Mondays"),
    # -- months
    ("@yearly", "at 00:00 on day 1 of January"),
    ("0 0 1 jan,JUL *", "at 00:00 on day 1 of January and July"),
    ("0 0 * 7 *", "at 00:00 every day in July"),
    ("0 9 * 3-10 1", "at 09:00 on Mondays from March to October"),
    ("0 9 L 3-10 *", "at 09:00 on the last day of each month from March to October"),
    ("0 9 1 */3 *", "at 09:00 on day 1 of January, April, July and October"),
    ("*/15 * * 7,8 *", "every 15 minutes in July and August"),
    ("15,45 * * 7 *", "at :15 and :45 of every hour in July"),
]


@pytest.mark.parametrize(("text", "words"), CRON, ids=[text for text, _ in CRON])
def test_a_cron_expression(text: str, words: str) -> None:
    assert in_words(made(cron=text)) == words


FIELDS = [
    (Cron(hour=9), "at 09:00 every day"),
    (Cron(minute="*/15"), "every 15 minutes"),
    (Cron(day_of_week="mon-fri", hour=9, minute=30), "at 09:30 on weekdays"),
    (Cron(day=13, day_of_week="fri"), "at 00:00 on day 13 of the month, but only on Fridays"),
    (Cron(day="last", hour=12), "at 12:00 on the last day of the month"),
    (
        Cron(week="1-10/3", day_of_week="mon"),
        "at 00:00 on Mondays, in ISO weeks 1, 4, 7 and 10",
    ),
    (Cron(year=2027), "at 00:00 on day 1 of January, in 2027"),
    (
        Cron(year="2027-2030", month=3, day=1),
        "at 00:00 on day 1 of March, in 2027-2030",
    ),
]


@pytest.mark.parametrize(("cron", "words"), FIELDS, ids=[cron.text for cron, _ in FIELDS])
def test_fields(cron: Cron, words: str) -> None:
    assert in_words(made(cron=cron)) == words


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"every": "15m"}, "every 15 minutes, counted from the end of each run"),
    ({"every": "15m", "overlap": "skip"}, "every 15 minutes"),
    ({"every": "1h", "overlap": "allow"}, "every hour"),
    ({"every": 90, "overlap": "skip"}, "every 1 minute 30 seconds"),
    ({"every": "1d", "overlap": "skip"}, "every day"),
    ({"every": "1.5s", "overlap": "skip"}, "every 1.5 seconds"),
    ({"every": "250ms", "overlap": "skip"}, "every 250 milliseconds"),
    ({"every": "1.5h", "overlap": "skip"}, "every 1 hour 30 minutes"),
    ({"every": "minute", "name": "clean-files"}, "every minute at :12 s"),
    ({"every": "hour", "name": "clean-files"}, "hourly at :12"),
    ({"every": "day", "name": "clean-files"}, "daily at 15:12 UTC"),
    ({"every": "week", "name": "clean-files"}, "weekly on Sunday at 15:12 UTC"),
    ({"every": "month", "name": "clean-files"}, "monthly on day 21 at 15:12 UTC"),
    ({"after": "1h30m"}, "once, 1 hour 30 minutes after it was first scheduled"),
    ({"after": 0}, "once, 0 seconds after it was first scheduled"),
    ({"at": "2027-01-01T09:00:00+01:00"}, "once at 2027-01-01 08:00 UTC"),
    (
        {"at": "2026-10-25T02:30:00+01:00", "timezone": "Europe/Berlin"},
        "once at 2026-10-25 02:30+01:00",
    ),
    ({"at": "2027-01-01T09:00:01.5+00:00"}, "once at 2027-01-01 09:00:01.500000 UTC"),
    (
        {"cron": "30 9 * * 1-5", "timezone": "Europe/Berlin"},
        "at 09:30 on weekdays, Europe/Berlin",
    ),
    (
        {"cron": "30 9 * * *", "timezone": "Europe/Berlin", "dst": "skip"},
        "at 09:30 every day, Europe/Berlin, left out where a change of the clocks skips its time",
    ),
    ({"cron": "30 9 * * *", "dst": "skip"}, "at 09:30 every day"),
    (
        {"cron": "30 * * * *", "timezone": "Europe/Berlin", "dst": "skip"},
        "every hour at :30, Europe/Berlin",
    ),
    (
        {"cron": "0 9 * * *", "exclude": ["sun", "sat"]},
        "at 09:00 every day, except Saturdays and Sundays",
    ),
    (
        {"cron": "0 9 * * *", "exclude": ["sun", "2026-12-24..2027-01-01", date(2026, 10, 3)]},
        "at 09:00 every day, except Sundays and 2026-10-03 and 2026-12-24 to 2027-01-01",
    ),
    (
        {"cron": "0 9 * * *", "exclude": [date(2026, 12, day) for day in range(1, 20, 2)]},
        "at 09:00 every day, except 10 dates or ranges of dates",
    ),
    (
        {"every": "1h", "overlap": "skip", "exclude": "mon-fri", "timezone": "Asia/Tokyo"},
        "every hour, except weekdays (Asia/Tokyo)",
    ),
    (
        {
            "cron": "0 9 * * *",
            "not_before": "2027-01-01T00:00:00+00:00",
            "not_after": "2027-12-31T23:59:59+00:00",
            "jitter": "30s",
        },
        "at 09:00 every day, not before 2027-01-01 00:00 UTC, not after 2027-12-31 23:59:59 UTC,"
        " delayed by up to 30 seconds",
    ),
]


@pytest.mark.parametrize(("options", "words"), OTHERS, ids=[words for _, words in OTHERS])
def test_a_definition(options: dict[str, Any], words: str) -> None:
    assert in_words(made(**options)) == words


def made(**options: Any) -> Definition:
    return define(**options)[0]


def test_a_zone_that_this_machine_does_not_know_has_words_too() -> None:
    terms = Terms(timezone="Mars/Olympus", not_before_us=0)
    expected = "at 09:00 every day, Mars/Olympus, not before 1970-01-01 00:00+00:00"
    daily = made(cron="0 9 * * *")
    assert in_words(Definition(daily.kind, daily.value, terms)) == expected


def test_lengths() -> None:
    assert length(1) == "0.001 milliseconds"
    assert length(90_061_000_000) == "1 day 1 hour 1 minute 1 second"


# -- words never lie: expressions of the same words select the same readings ---------------------


def field(low: int, high: int, *more: str) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    item = st.one_of(
        value.map(str),
        st.tuples(value, value).map(lambda ends: f"{min(ends)}-{max(ends)}"),
        st.integers(1, high - low + 1).map(lambda step: f"*/{step}"),
        st.tuples(value, st.integers(1, 9)).map(lambda parts: f"{parts[0]}/{parts[1]}"),
        *([st.sampled_from(more)] if more else []),
    )
    lists = st.lists(item, min_size=1, max_size=4).map(",".join)
    return st.one_of(st.just("*"), lists)


EXPRESSIONS = st.tuples(
    st.sampled_from(["0", "0", "30", "*", "*/20", "1-50", "5,10"]),
    field(0, 59),
    field(0, 23),
    field(1, 31, "L", "LW", "L-2", "15W", "1W"),
    field(1, 12),
    field(0, 6, "5L", "MON#1", "FRI#5", "FRI-MON"),
).map(" ".join)


@settings(max_examples=20, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=40, max_size=40))
def test_words_say_all_there_is(texts: list[str]) -> None:
    known: dict[str, Any] = {}
    for text in texts:
        try:
            pattern = compile_cron(text)
        except CronError:
            continue
        words = pattern_in_words(pattern)
        days = [pattern.days.mask(kind) for kind in range(0, 28, 2)]  # 14 kinds of year
        selected = (tuple(pattern.times), days)
        assert known.setdefault(words, selected) == selected, (words, text)
