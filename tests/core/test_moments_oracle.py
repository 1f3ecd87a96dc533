"""Due moments against judges that share no code with Kron: every minute, and every date.

The expressions are drawn by seeded random; `make test` looks at a few, `make test-long` at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from ledger import CronDays, cron_days

from kron.core.errors import CronError
from kron.core.moments import CronMoments, cron_moments

SECOND = 1_000_000
MINUTE = 60
NO_ZONES = {"localtime", "Factory", "posixrules"}
YEARS = 2
ZONES = {
    "Africa/Cairo": 2023,
    "Africa/Casablanca": 2025,
    "America/Havana": 2026,
    "America/New_York": 2026,
    "America/Santiago": 2022,
    "Antarctica/Troll": 2026,
    "Asia/Beirut": 2023,
    "Asia/Kathmandu": 1985,
    "Australia/Lord_Howe": 2026,
    "Europe/Berlin": 2026,
    "Europe/Dublin": 2026,
    "Pacific/Apia": 2010,
}
"""And the first of two years in which the zone did what it is known for."""


def long(value: object) -> object:
    return pytest.param(value, marks=pytest.mark.long)


# -- every minute of two years --------------------------------------------------------------------

TEXTS = [
    *("30 2 * * *", "0 0 * * *", "15,45 0-3,23 * * *", "0-59 1,2 * * SUN", "5 3 L * *"),
    *("0 12 15W * *", "*/20 * * * *", "7 */2 * * *", "* 0-3 * * *", "*/30 2 * 3,10 *"),
    *("10 * 1-7 * SUN", "59 23 * * *", "0 1,2,3 * 3,4,9-11 *"),
]
FEW = {"Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia"}


class Minutes(CronDays):
    """A zone's clock read minute by minute, and kept as the greatest reading so far."""

    def readings(self, first: date, days: int) -> set[int]:
        """All that are selected, in seconds since 1970-01-01 00:00 of the clock."""
        dates = (first + timedelta(n) for n in range(days))
        midnights = [
            (day - date(1970, 1, 1)) // timedelta(seconds=1) for day in dates if self._is_day(day)
        ]
        return {each + time // timedelta(seconds=1) for each in midnights for time in self.times}


@cache
def clock(zone: str) -> list[tuple[int, int]]:
    """Each minute of the zone's two years: the instant, and what the clock shows."""
    tz, begin = ZoneInfo(zone), datetime(ZONES[zone], 1, 1, tzinfo=UTC)
    first = int(begin.timestamp())
    last = int(begin.replace(year=begin.year + YEARS).timestamp())
    shown = []
    for hour in range(first, last, 3600):
        offset = offset_at(tz, hour)
        is_quiet = offset == offset_at(tz, hour + 3600)  # else every minute has its own
        for instant in range(hour, hour + 3600, MINUTE):
            shown.append((instant, instant + (offset if is_quiet else offset_at(tz, instant))))
    return shown


def offset_at(tz: ZoneInfo, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, tz).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


def due(text: str, zone: str, *, skips: bool) -> Iterator[int]:
    """The instants of the two years, as the rule says it: wildcard by what the clock shows, fixed
    when the clock first reaches a reading, also in one leap."""
    judge = Minutes(text, zone)
    selected = judge.readings(date(ZONES[zone] - 1, 12, 30), 366 * YEARS + 5)
    mark = clock(zone)[0][1] - MINUTE
    for instant, shown in clock(zone):
        if not judge.is_fixed or shown == mark + MINUTE or (skips and shown > mark):
            is_due = shown in selected
        else:
            is_due = any(each in selected for each in range(mark + MINUTE, shown + 1, MINUTE))
        if shown > mark:
            mark = shown
        if is_due:
            yield instant


@pytest.mark.parametrize("zone", [zone if zone in FEW else long(zone) for zone in ZONES])
@pytest.mark.parametrize("texts", [TEXTS[:2], long(TEXTS[2:])], ids=["few", "many"])
def test_no_minute_of_two_years_is_left_out_or_invented(zone: str, texts: list[str]) -> None:
    (first, _), (last, _) = clock(zone)[0], clock(zone)[-1]
    for text in texts:
        for skips in (False, True):
            moments = cron_moments(text, zone, "skip" if skips else "once")
            expected = list(due(text, zone, skips=skips))
            assert walked(moments, first, last) == expected, (text, skips)
            assert walked_back(moments, first, last) == expected, (text, skips)
            assert moments.count(first * SECOND, last * SECOND) == len(expected)


def walked(moments: CronMoments, first: int, last: int) -> list[int]:
    """By next_after, in seconds."""
    found, cursor = [], first * SECOND - 1
    while (moment := moments.next_after(cursor)) is not None and moment <= last * SECOND:
        assert moment > cursor
        found.append(moment // SECOND)
        cursor = moment
    return found


def walked_back(moments: CronMoments, first: int, last: int) -> list[int]:
    """By last_until."""
    found, cursor = [], last * SECOND
    while (moment := moments.last_until(cursor)) is not None and moment >= first * SECOND:
        assert moment <= cursor
        found.append(moment // SECOND)
        cursor = moment - 1
    return found[::-1]


# -- anything, anywhere, at any time --------------------------------------------------------------

RANGES = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}
DAY_RULES = ["L", "LW", "L-2", "1W", "15W", "31W", "L,15", "15W,16", "1-7", "29,30,31", "?", "*"]
WEEKDAY_RULES = ["5L", "MON#2", "FRI#5", "1,3L", "FRI-MON", "7", "SUN", "1-5", "*/2", "?", "*", "*"]


def draw_text(draw: random.Random) -> str:
    fields = [draw_field(draw, name) for name in RANGES]
    if draw.random() < 0.3:
        fields[3] = draw.choice(DAY_RULES)
    text = " ".join([*fields, draw.choice(WEEKDAY_RULES)])
    return text if draw.random() < 0.2 else text.split(" ", 1)[1]


def draw_field(draw: random.Random, name: str) -> str:
    low, high = RANGES[name]
    first, last = sorted((draw.randint(low, high), draw.randint(low, high)))
    kinds = [
        "*",
        f"{first}",
        f"{first}-{last}",
        f"{first},{last}",
        f"*/{draw.randint(1, high - low)}",
    ]
    kinds += [f"{first}/{draw.randint(1, high - low)}", f"{first}-{last}/2"]
    weights = [6 if name in ("day", "month") else 2, 3, 1, 1, 2, 1, 1]
    return draw.choices(kinds, weights)[0]


BATCHES = [*range(6), *(long(number) for number in range(6, 130))]
A_BATCH = 100


@pytest.mark.parametrize("seed", BATCHES)
def test_random_moments_are_those_of_a_search_over_dates(seed: int) -> None:
    draw = random.Random(seed)
    zones = sorted(ZONES) if seed < 3 else sorted(available_timezones() - NO_ZONES)
    compared = 0
    while compared < A_BATCH:
        text, zone = draw_text(draw), draw.choice(zones)
        now = draw.randint(0, 4_000_000_000 * SECOND)
        expected = searched(text, zone, now)
        if expected is not None:
            moments, where = cron_moments(text, zone), f"{text!r} in {zone} after {now}"
            assert moments.next_after(now) == expected, where
            assert moments.last_until(expected) == expected, where
            assert moments.count(now + 1, expected) == 1, where
            compared += 1


def searched(text: str, zone: str, now: int) -> int | None:
    """The next moment by a search over dates; None if that search does not reach so far."""
    try:
        return cron_days(text, zone).next_after(now)
    except AssertionError as exc:
        assert "within 12 years" in str(exc)
        return None


@pytest.mark.parametrize("seed", [*range(10), *(long(number) for number in range(10, 300))])
def test_what_was_asked_before_changes_no_answer(seed: int) -> None:
    """Moments keep the window of the latest answer; fresh ones have none."""
    draw = random.Random(seed)
    zone = draw.choice(sorted(ZONES))
    asked = possible(draw, zone)
    now = draw.randint(0, 4_000_000_000)
    for _ in range(150):
        following = CronMoments(asked.pattern, zone).next_after(now * SECOND)
        latest = CronMoments(asked.pattern, zone).last_until(now * SECOND)
        assert asked.next_after(now * SECOND) == following
        assert asked.last_until(now * SECOND) == latest
        near = (draw.choice([following, latest]) or 0) // SECOND
        leap = draw.choice([-40, -3, 1, 30, 300]) * 86_400
        now = draw.choice([near - 1, near, near + 1, now + leap, draw.randint(0, 4_000_000_000)])


def test_threads_share_moments() -> None:
    asked = cron_moments("*/7 1-5 * * *", "Europe/Berlin")
    begin = 1_774_000_000 * SECOND
    instants = [begin + n * 7_777_777 * SECOND for n in range(40)]
    expected = [CronMoments(asked.pattern, "Europe/Berlin").next_after(us) for us in instants]

    def ask(seed: int) -> list[int | None]:
        order = random.Random(seed).sample(range(40), 40) * 20
        found = {n: asked.next_after(instants[n]) for n in order}
        return [found[n] for n in range(40)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(8))) == [expected] * 8


def possible(draw: random.Random, zone: str) -> CronMoments:
    while True:
        with suppress(CronError):
            return cron_moments(draw_text(draw), zone)
