"""What a change of the clocks does to a timer, told beside its moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from kron.core.dst import zone
from kron.core.dst_notes import changes, dst_notes
from kron.core.instants import to_us
from kron.core.moments import cron_moments

FIXED = [
    # cron, zone, around, note
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2027-03-28",
        "02:30 does not exist on 2027-03-28: runs at 03:00",
    ),
    (
        "30 2,3 * * *",
        "Europe/Berlin",
        "2027-03-28",
        "02:30 does not exist on 2027-03-28: runs at 03:00",
    ),
    (
        "0 2,3 * * *",
        "Europe/Berlin",
        "2027-03-28",
        "02:00 does not exist on 2027-03-28: one run, with that of 03:00",
    ),
    (
        "0-59 2 * * *",
        "America/New_York",
        "2027-03-14",
        "02:00 to 02:59 (60 times) do not exist on 2027-03-14: one run, at 03:00",
    ),
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-25",
        "02:30 happens twice on 2026-10-25: runs the first time",
    ),
    (
        "0,30 2 * * *",
        "Europe/Berlin",
        "2026-10-25",
        "02:00 and 02:30 happen twice on 2026-10-25: run the first time",
    ),
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-04",
        "02:15 does not exist on 2026-10-04: runs at 02:30",
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2027-04-04",
        "01:45 happens twice on 2027-04-04: runs the first time",
    ),
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-30",
        "12:00 does not exist on 2011-12-30: runs at 00:00 on 2011-12-31",
    ),
    (
        "30 1,2 * * *",
        "Antarctica/Troll",
        "2026-03-29",
        "01:30 and 02:30 do not exist on 2026-03-29: one run, at 03:00",
    ),
    (
        "30 2 * * *",
        "Africa/Casablanca",
        "2026-02-15",
        "02:30 happens twice on 2026-02-15: runs the first time",
    ),
    (
        "30 2 * * *",
        "Africa/Casablanca",
        "2026-03-22",
        "02:30 does not exist on 2026-03-22: runs at 03:00",
    ),
    (
        "0 0 * * *",
        "America/Havana",
        "2026-03-08",
        "00:00 does not exist on 2026-03-08: runs at 01:00",
    ),
    (
        "30 0 * * *",
        "America/Havana",
        "2026-11-01",
        "00:30 happens twice on 2026-11-01: runs the first time",
    ),
    (
        "10 0 * * *",
        "Africa/Monrovia",
        "1972-01-07",
        "00:10 does not exist on 1972-01-07: runs at 00:44:30",
    ),
    # a fold over midnight: from 00:01 back to 23:01
    (
        "30 23 * * *",
        "America/St_Johns",
        "2006-10-28",
        "23:30 happens twice on 2006-10-28: runs the first time",
    ),
    (
        "0 0 * * *",
        "America/St_Johns",
        "2006-10-29",
        "00:00 happens twice on 2006-10-29: runs the first time",
    ),
    (
        "0,30 0,23 * * *",
        "America/St_Johns",
        "2006-10-29",
        "23:30 on 2006-10-28 and 00:00 on 2006-10-29 happen twice: run the first time",
    ),
    (
        "0-59 0,23 * * *",
        "America/St_Johns",
        "2006-10-29",
        "23:01 on 2006-10-28 to 00:00 on 2006-10-29 (60 times) happen twice: run the first time",
    ),
]
WILDCARD = [
    ("Europe/Berlin", "2027-03-28", "the hour from 02:00 on 2027-03-28 is skipped"),
    ("Europe/Berlin", "2026-10-25", "the hour from 02:00 on 2026-10-25 happens twice"),
    ("Antarctica/Troll", "2026-03-29", "the 2 hours from 01:00 on 2026-03-29 are skipped"),
    ("Australia/Lord_Howe", "2027-04-04", "the 30 minutes from 01:30 on 2027-04-04 happen twice"),
    ("Pacific/Apia", "2011-12-30", "the 24 hours from 00:00 on 2011-12-30 are skipped"),
]


def window(day: str) -> tuple[int, int]:
    noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    return to_us(noon - timedelta(days=2)), to_us(noon + timedelta(days=2))


def texts(cron: str, tz: str, day: str, dst: Literal["once", "skip"] = "once") -> list[str]:
    return [note.text for note in dst_notes(cron_moments(cron, tz, dst), *window(day), 10)]


@pytest.mark.parametrize(("cron", "tz", "day", "text"), FIXED, ids=[row[3] for row in FIXED])
def test_a_fixed_timer(cron: str, tz: str, day: str, text: str) -> None:
    assert texts(cron, tz, day) == [text]
    if "not exist" in text:
        assert texts(cron, tz, day, "skip") == [f"{text.rsplit(': ', 1)[0]}: left out"]


@pytest.mark.parametrize(("tz", "day", "text"), WILDCARD, ids=[row[2] for row in WILDCARD])
def test_a_wildcard_timer_follows_real_time(tz: str, day: str, text: str) -> None:
    assert texts("*/10 * * * *", tz, day) == [f"{text}: the timer follows real time"]


def test_a_change_that_touches_no_reading_is_not_told() -> None:
    for tz, day, _ in WILDCARD:
        assert texts("0 6 1-29 * *", tz, day) == []  # on the 30th Apia has no 06:00
    assert texts("*/10 9-17 * * *", "Europe/Berlin", "2027-03-28") == []
    assert texts("30 2 * * *", "UTC", "2027-03-28") == []


@pytest.mark.parametrize(
    ("tz", "day"),
    [
        *[("Europe/Berlin", "2027-03-28"), ("Europe/Berlin", "2026-10-25")],
        *[("Australia/Lord_Howe", "2026-10-04"), ("Australia/Lord_Howe", "2027-04-04")],
        *[("Antarctica/Troll", "2026-03-29"), ("Antarctica/Troll", "2026-10-25")],
        *[("America/Havana", "2026-11-01"), ("Pacific/Apia", "2011-12-30")],
        *[("Africa/Casablanca", "2026-02-15"), ("America/Santiago", "2026-09-06")],
    ],
    ids=str,
)
def test_notes_beside_moments_are_what_the_clock_shows(tz: str, day: str) -> None:
    """By zoneinfo alone: a reading that comes twice has another fold; a gap ends where the reading
    one second before is further away than a second."""
    first, last = window(day)
    moments = cron_moments("*/10 * * * *", tz)
    notes = dst_notes(moments, first, last, 10)
    beside = set()
    at_us = moments.next_after(first)
    while at_us is not None and at_us <= last:
        at = datetime.fromtimestamp(at_us // 1_000_000, zone(tz))
        is_twice = at.utcoffset() != at.replace(fold=1 - at.fold).utcoffset()
        words = [note.of_moment(at_us) for note in notes if note.of_moment(at_us)]
        expected = [["first of two", "second of two"][at.fold]] if is_twice else []
        assert words == expected, at
        beside |= set(words)
        at_us = moments.next_after(at_us)
    assert len(notes) == 1
    assert len(beside) == (0 if notes[0].change.is_gap else 2)


def test_what_stands_beside_the_moment_after_a_gap() -> None:
    for cron, words in [
        ("30 2 * * *", "instead of 02:30"),
        ("0 2,3 * * *", "also for 02:00"),
        ("0,30 2 * * *", "for 2 times"),
        ("0,30 2,3 * * *", "also for 2 times"),
    ]:
        moments = cron_moments(cron, "Europe/Berlin")
        (note,) = dst_notes(moments, *window("2027-03-28"), 10)
        at_us = to_us(datetime(2027, 3, 28, 1, tzinfo=UTC))
        assert note.of_moment(at_us) == words
        assert moments.last_until(at_us) == at_us
        assert note.of_moment(at_us + 1) == note.of_moment(at_us - 1) == ""


def test_years_without_a_reading_near_a_change_are_passed_over() -> None:
    leap = cron_moments("0 12 29 2 *", "Europe/Berlin")
    assert dst_notes(leap, 0, to_us(datetime(9000, 1, 1, tzinfo=UTC)), 10) == []
    yearly = cron_moments("30 2 25-31 3 SUN", "Europe/Berlin")
    assert len(dst_notes(yearly, 0, to_us(datetime(2200, 1, 1, tzinfo=UTC)), 10)) == 10


def test_the_changes_of_a_zone() -> None:
    second = 1_767_225_600  # 2026-01-01
    found = list(changes(zone("Europe/Berlin"), second, second + 365 * 86_400))
    assert [(change.is_gap, change.length) for change in found] == [(True, 3600), (False, 3600)]
    assert list(changes(zone("UTC"), 0, second)) == []
    assert len(list(changes(zone("Africa/Casablanca"), second, second + 365 * 86_400))) == 2
