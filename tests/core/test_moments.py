"""Due moments: the vectors, the agreement of the three questions, and two foreign oracles."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kron.core.cron import compile_cron
from kron.core.errors import CronError, ScheduleError
from kron.core.moments import (
    CronMoments,
    IntervalMoments,
    Moments,
    OneMoment,
    cron_moments,
    field_moments,
)

VECTORS = json.loads(Path(__file__).with_name("time_vectors.json").read_text())
SECOND = 1_000_000
DAY = 86_400 * SECOND
Dst = Literal["once", "skip"]


def us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def listed(moments: Moments, first_us: int, last_us: int) -> list[int]:
    found, cursor = [], first_us - 1
    while (moment := moments.next_after(cursor)) is not None and moment <= last_us:
        assert moment > cursor
        found.append(moment)
        cursor = moment
    return found


def assert_agree(moments: Moments, first_us: int, last_us: int) -> list[int]:
    """next_after, last_until and count see the same set between two instants."""
    found = listed(moments, first_us, last_us)
    assert moments.count(first_us, last_us) == len(found)
    for index, moment in enumerate(found):
        assert moments.last_until(moment) == moment
        if index:
            assert moments.last_until(moment - 1) == found[index - 1]
    return found


@pytest.mark.parametrize("vector", VECTORS["cron"], ids=lambda v: v["id"])
def test_cron_vectors(vector: dict[str, Any]) -> None:
    moments = cron_moments(vector["expr"], vector["tz"])
    expected = [us(text) for text in vector["expect"]]
    now = us(vector["now"])
    assert listed(moments, now + 1, expected[-1]) == expected
    assert moments.count(now + 1, expected[-1]) == 3
    assert [moments.last_until(moment) for moment in expected] == expected
    assert moments.last_until(expected[2] - 1) == expected[1]


@pytest.mark.parametrize("vector", VECTORS["interval"], ids=lambda v: v["id"])
def test_interval_vectors(vector: dict[str, Any]) -> None:
    interval_us = round(vector["every_seconds"] * SECOND)
    moments = IntervalMoments(us(vector["anchor"]), interval_us)
    expected = [us(text) for text in vector["expect"]]
    assert assert_agree(moments, us(vector["now"]) + 1, expected[-1]) == expected


# -- an oracle: every minute, by datetime and zoneinfo, no code of Kron's ----------------------


def oracle_field(text: str, low: int, high: int) -> set[int]:
    if text.startswith("*/"):
        return set(range(low, high + 1, int(text[2:])))
    if text == "*":
        return set(range(low, high + 1))
    chosen: set[int] = set()
    for item in text.split(","):
        first, _, last = item.partition("-")
        chosen |= set(range(int(first), int(last or first) + 1))
    return chosen


class Oracle:
    """Minutes, hours and days of month only: the local clock is what is on trial here."""

    def __init__(self, text: str, tz: str) -> None:
        minute, hour, day, month, _ = text.split()
        self.is_fixed = minute[0] != "*" and hour[0] != "*"
        self.minutes, self.hours = oracle_field(minute, 0, 59), oracle_field(hour, 0, 23)
        self.days, self.months = oracle_field(day, 1, 31), oracle_field(month, 1, 12)
        self.tz = ZoneInfo(tz)

    def selects(self, local: datetime) -> bool:
        return (
            local.second == 0
            and local.minute in self.minutes
            and local.hour in self.hours
            and local.day in self.days
            and local.month in self.months
        )

    def between(self, first: datetime, last: datetime, dst: Dst) -> list[int]:
        """Instants in [first, last], both on whole minutes."""
        found = self._fixed(first, last, dst) if self.is_fixed else self._wildcard(first, last)
        return sorted(us(moment.isoformat()) for moment in found)

    def _wildcard(self, first: datetime, last: datetime) -> set[datetime]:
        minutes = int((last - first) / timedelta(minutes=1))
        instants = (first + timedelta(minutes=n) for n in range(minutes + 1))
        return {moment for moment in instants if self.selects(moment.astimezone(self.tz))}

    def _fixed(self, first: datetime, last: datetime, dst: Dst) -> set[datetime]:
        naive = (first - timedelta(days=2)).replace(tzinfo=None)
        end = (last + timedelta(days=2)).replace(tzinfo=None)
        found = set()
        while naive <= end:
            if self.selects(naive):
                found.add(self._instant(naive, dst))
            naive += timedelta(minutes=1)
        return {moment for moment in found if moment and first <= moment <= last}

    def _instant(self, naive: datetime, dst: Dst) -> datetime | None:
        first_time = naive.replace(tzinfo=self.tz, fold=0).astimezone(UTC)
        if first_time.astimezone(self.tz).replace(tzinfo=None) == naive:
            return first_time
        if dst == "skip":
            return None
        moment = first_time - timedelta(days=2)  # in a gap: walk to the first later reading
        while moment.astimezone(self.tz).replace(tzinfo=None) < naive:
            moment += timedelta(minutes=1)
        return moment


EXPRESSIONS = [
    "*/7 * * * *",
    "*/30 0-3 * * *",
    "0 */2 * * *",
    "0,15,45 0-3,23 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "5,59 23,0,12 * * *",
    "0 12 30 12 *",
]
CHANGES = [
    ("Australia/Lord_Howe", "2026-10-03"), ("Australia/Lord_Howe", "2026-04-04"),
    ("Asia/Kathmandu", "1985-12-31"), ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"), ("Pacific/Apia", "2011-12-30"),
    ("Africa/Casablanca", "2026-02-15"), ("Africa/Casablanca", "2026-03-22"),
    ("Antarctica/Troll", "2026-03-29"), ("Antarctica/Troll", "2026-10-25"),
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"),
    ("Europe/Dublin", "2026-10-25"), ("America/Santiago", "2026-09-06"),
    ("America/Santiago", "2026-04-05"), ("America/St_Johns", "2006-10-29"),
    ("America/St_Johns", "2006-04-02"), ("Antarctica/Vostok", "1994-02-01"),
    ("Pacific/Kwajalein", "1993-08-21"), ("Antarctica/Casey", "2022-03-12"),
]  # fmt: skip


@pytest.mark.parametrize(("tz", "day"), CHANGES, ids=str)
def test_a_minute_by_minute_oracle_agrees(tz: str, day: str) -> None:
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC)
    first, last = middle - timedelta(days=3), middle + timedelta(days=3)
    for text in EXPRESSIONS:
        dst: Dst
        for dst in ("once", "skip"):
            moments = cron_moments(text, tz, dst)
            found = assert_agree(moments, us(first.isoformat()), us(last.isoformat()))
            assert found == Oracle(text, tz).between(first, last, dst), (text, dst)


# -- the rule, case by case --------------------------------------------------------------------


def moments_on(text: str, tz: str, first: str, last: str, dst: Dst = "once") -> list[str]:
    found = assert_agree(cron_moments(text, tz, dst), us(first), us(last))
    return [f"{datetime.fromtimestamp(t // SECOND, UTC):%dT%H:%M:%S}" for t in found]


def test_a_skipped_day_is_due_at_its_end_and_once() -> None:
    noon, midnight, apia = "0 12 * * *", "0 0 * * *", "Pacific/Apia"
    window = ("2011-12-29T12:00", "2011-12-31T09:00")
    assert moments_on(noon, apia, *window) == ["29T22:00:00", "30T10:00:00", "30T22:00:00"]
    assert moments_on(noon, apia, *window, "skip") == ["29T22:00:00", "30T22:00:00"]
    assert moments_on(midnight, apia, *window) == ["30T10:00:00"]


def test_many_moments_of_one_gap_are_one() -> None:
    window = ("2026-03-29T00:00", "2026-03-29T01:59")
    assert moments_on("0-59 2 * * *", "Europe/Berlin", *window) == ["29T01:00:00"]
    assert moments_on("0 1-3 * * *", "Europe/Berlin", *window) == ["29T00:00:00", "29T01:00:00"]
    assert moments_on("30 2 * * *", "Europe/Berlin", *window, "skip") == []
    assert moments_on("0 2,3 * * *", "Europe/Berlin", *window, "skip") == ["29T01:00:00"]


def test_a_gap_ends_at_an_instant_with_seconds() -> None:
    window = ("1972-01-06T12:00", "1972-01-07T12:00")
    assert moments_on("10 0 * * *", "Africa/Monrovia", *window) == ["07T00:44:30"]


def test_seconds_follow_real_time_through_a_fold() -> None:
    window = ("2026-10-25T00:00", "2026-10-25T01:59:59")
    assert len(moments_on("*/10 * 2 * * *", "Europe/Berlin", *window)) == 720
    assert len(moments_on("0-50 59 2 * * *", "Europe/Berlin", *window)) == 51


ZONES = st.sampled_from(sorted({tz for tz, _ in CHANGES} | {"UTC", "Etc/GMT-14"}))
TEXTS = st.sampled_from(
    [*EXPRESSIONS, "0 0 29 2 *", "0 9 * * FRI#2", "30 1 L * *", "0 12 15W * *", "@weekly",
     "*/20 59 23 * * *", "0 0 1 1 *", "15 2 8 3 *", "*/30 1 1-7 11 SUN", "30 2 29 2 MON#5"]
)  # fmt: skip
INSTANTS = st.integers(0, us("2200-01-01"))


@settings(max_examples=200, deadline=None)
@given(TEXTS, ZONES, st.sampled_from(["once", "skip"]), INSTANTS)
def test_next_last_and_count_agree_anywhere(text: str, tz: str, dst: Dst, after: int) -> None:
    moments = cron_moments(text, tz, dst)
    cursor = after
    for _ in range(5):
        moment = moments.next_after(cursor)
        assert moment is not None and moment > cursor and moment % SECOND == 0
        assert moments.count(cursor + 1, moment) == 1
        assert moments.count(cursor + 1, moment - 1) == 0
        assert moments.last_until(moment) == moment
        before = moments.last_until(moment - 1)
        assert before is None or before <= cursor
        assert before is None or moments.next_after(before) == moment
        cursor = moment


@settings(max_examples=60, deadline=None)
@given(ZONES, INSTANTS, st.integers(0, 400), st.sampled_from(["0 3 * * *", "*/90 * * * *"]))
def test_counts_add_up(tz: str, first: int, days: int, text: str) -> None:
    moments = cron_moments(text.replace("*/90", "*/45"), tz)
    middle, last = first + days * DAY // 3, first + days * DAY
    whole = moments.count(first, last)
    assert whole == moments.count(first, middle) + moments.count(middle + 1, last)


def test_a_year_of_minutes_is_counted_exactly() -> None:
    first, last = us("2026-01-01"), us("2027-01-01") - 1
    for tz in ("UTC", "Europe/Berlin", "Australia/Lord_Howe"):
        assert cron_moments("* * * * *", tz).count(first, last) == 525_600


@pytest.mark.parametrize("tz", ["UTC", "Pacific/Kiritimati", "America/New_York"])
def test_time_ends_with_the_year_9999(tz: str) -> None:
    for text in ("* * * * *", "0 0 1 1 *", "30 2 * * *"):
        moments = cron_moments(text, tz)
        end = us("9999-12-31T23:59:59")
        assert moments.next_after(end) is None
        assert moments.next_after(10**30) is None
        last = moments.last_until(10**30)
        assert last is not None and last == moments.last_until(end)
        assert moments.next_after(last) is None
        assert moments.next_after(last - 1) == last
        assert moments.count(last, 10**30) == 1


def test_time_begins_before_1970() -> None:
    moments = cron_moments("0 0 1 1 *", "America/New_York")
    assert moments.last_until(0) == us("1969-01-01T05:00")
    assert moments.next_after(-(10**30)) is not None
    assert moments.last_until(-(10**30)) is None
    assert moments.count(5, 4) == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("61 * * * *", "UTC"), CronError),
        (("* * * * *", "Europe/Berlim"), ScheduleError),
        (("* * * * *", "UTC", "twice"), ScheduleError),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        cron_moments(*arguments)


def test_moments_are_cached_and_equal_by_value() -> None:
    assert cron_moments("0 3 * * *", "UTC") is cron_moments("0 3 * * *", "UTC")
    pattern = compile_cron("0 3 * * *")
    assert cron_moments("0 3 * * *") == CronMoments(pattern, "UTC", "once")
    assert field_moments("hour=3", "UTC") is field_moments("hour=3", "UTC")
    assert field_moments("hour=3") != cron_moments("0 3 * * *")


def test_an_interval_begins_one_interval_after_its_anchor() -> None:
    moments = IntervalMoments(1_000, 10)
    assert moments.next_after(0) == 1_010
    assert moments.next_after(1_010) == 1_020
    assert moments.last_until(1_009) is None
    assert moments.count(0, 1_030) == 3
    assert moments.next_after(us("9999-12-31T23:59:59.999999")) is None
    with pytest.raises(ScheduleError):
        IntervalMoments(0, 0)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 50), st.integers(0, 800), st.integers(0, 800))
def test_interval_questions_agree(anchor: int, interval: int, first: int, last: int) -> None:
    moments = IntervalMoments(anchor, interval)
    expected = [anchor + k * interval for k in range(1, 900)]
    assert assert_agree(moments, first, last) == [t for t in expected if first <= t <= last]


def test_one_moment_is_itself() -> None:
    moment = OneMoment(100)
    assert (moment.next_after(99), moment.next_after(100)) == (100, None)
    assert (moment.last_until(99), moment.last_until(100)) == (None, 100)
    assert (moment.count(0, 99), moment.count(100, 100)) == (0, 1)
