"""Cadences: the slot of a name by the published rule, in words and as a cron expression."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from kron.core.cadence import (
    UNITS,
    cadence_cron,
    cadence_text,
    slot_of,
    window_end_us,
    window_us,
)
from kron.core.definition import define
from kron.core.errors import ScheduleError
from kron.core.model import Kind
from kron.core.moments import cron_moments

SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

CLEAN_FILES = {
    "minute": ("minute :12", "12 * * * * *"),
    "hour": ("hour :12", "12 * * * *"),
    "day": ("day 15:12", "12 15 * * *"),
    "week": ("week sun 15:12", "12 15 * * sun"),
    "month": ("month 21 15:12", "12 15 21 * *"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_clean_files_has_the_slots_of_the_specification(unit: str) -> None:
    text, cron = CLEAN_FILES[unit]
    assert cadence_text(unit, "clean-files") == text
    assert cadence_cron(text) == cron


def by_hand(unit: str, name: str) -> str:
    """The rule, in long division."""
    number = 0
    for byte in hashlib.sha256(name.encode()).digest()[:8]:
        number = number * 256 + byte
    minute_of = {"day": number % 1440, "week": number % 10_080, "month": number % 40_320}
    if unit in ("minute", "hour"):
        return f"{unit} :{number % 60:02d}"
    day, rest = minute_of[unit] // 1440, minute_of[unit] % 1440
    where = {"day": "", "week": f"{DAYS[day % 7]} ", "month": f"{day + 1} "}[unit]
    return f"{unit} {where}{rest // 60:02d}:{rest % 60:02d}"


def test_a_thousand_names_follow_the_rule() -> None:
    random = Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789_.:@-"
    for _ in range(1000):
        name = "".join(random.choices(letters, k=random.randint(1, 40)))
        for unit in UNITS:
            assert cadence_text(unit, name) == by_hand(unit, name), name


@pytest.mark.parametrize("unit", UNITS)
def test_one_moment_in_each_window_where_its_text_says(unit: str) -> None:
    """Week 1 begins on a Monday; a month's slots are its first 28 days."""
    windows = {"minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
    for name in ("a", "backup", "clean-files", "x" * 128):
        moments = cron_moments(cadence_cron(cadence_text(unit, name)))
        us = (datetime(2026, 1, 5, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
        slot_us = slot_of(unit, name) * (1 if unit == "minute" else 60) * SECOND
        if unit == "month":
            us = (datetime(2026, 2, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
            assert moments.next_after(us - 1) == us + slot_us
            assert moments.count(us, us + 28 * 86_400 * SECOND - 1) == 1
            continue
        for _ in range(3):
            assert moments.next_after(us - 1) == us + slot_us
            assert moments.count(us, us + windows[unit] * SECOND - 1) == 1
            us += windows[unit] * SECOND


def test_names_spread_over_the_window() -> None:
    slots = {slot_of("day", f"job-{number}") for number in range(1000)}
    assert len(slots) > 650  # 1440 slots: 721 are expected


@pytest.mark.parametrize("text", ["year 15:12", "day mon 15:12", "week 15:12", "month :12"])
def test_what_is_no_cadence_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a cadence|invalid literal"):
        cadence_cron(text)


def test_a_definition_keeps_unit_and_slot() -> None:
    definition, _ = define(every="day", name="clean-files")
    assert (definition.kind, definition.value) == (Kind.CADENCE, "day 15:12")
    assert definition.to_json() == {"cadence": "day 15:12"}
    assert not definition.is_elapsed and not definition.needs_zone
    with pytest.raises(ScheduleError, match="follows from the timer's name"):
        define(every="day")


def us(text: str) -> int:
    return (datetime.fromisoformat(f"{text}+00:00") - EPOCH) // timedelta(microseconds=1)


WINDOW_ENDS = [
    ("minute", "2026-01-01T00:00:12", "2026-01-01T00:01:00"),
    ("minute", "2026-12-31T23:59:59.999999", "2027-01-01T00:00:00"),
    ("minute", "2026-01-01T00:01:00", "2026-01-01T00:02:00"),
    ("hour", "2026-01-01T07:12:00", "2026-01-01T08:00:00"),
    ("hour", "2026-02-28T23:59:59", "2026-03-01T00:00:00"),
    ("day", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
    ("day", "2024-02-28T15:12:00", "2024-02-29T00:00:00"),
    ("day", "2026-03-29T01:30:00", "2026-03-30T00:00:00"),  # UTC knows no summer time
    ("week", "2026-01-05T00:00:00", "2026-01-12T00:00:00"),  # a Monday
    ("week", "2026-01-04T23:59:59.999999", "2026-01-05T00:00:00"),  # the Sunday before
    ("week", "2025-12-31T15:12:00", "2026-01-05T00:00:00"),
    ("month", "2026-01-01T00:00:00", "2026-02-01T00:00:00"),
    ("month", "2026-01-31T23:59:59", "2026-02-01T00:00:00"),
    ("month", "2026-02-28T23:59:59", "2026-03-01T00:00:00"),
    ("month", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
    ("month", "2024-02-29T12:00:00", "2024-03-01T00:00:00"),
    ("month", "2026-04-30T15:12:00", "2026-05-01T00:00:00"),
    ("month", "2026-12-28T15:12:00", "2027-01-01T00:00:00"),
]


@pytest.mark.parametrize(("unit", "at", "end"), WINDOW_ENDS)
def test_a_window_ends_where_the_next_one_begins(unit: str, at: str, end: str) -> None:
    assert window_end_us(CLEAN_FILES[unit][0], us(at)) == us(end)


@pytest.mark.parametrize("unit", UNITS)
def test_each_moment_of_years_has_its_own_window(unit: str) -> None:
    """Windows follow one another, and in each there is the one moment of it."""
    text = cadence_text(unit, "clean-files")
    moments, end = cron_moments(cadence_cron(text)), us("2024-01-01T00:00:00")
    for _ in range(800):
        moment = moments.next_after(end - 1)
        assert moment is not None
        assert window_end_us(text, end) == window_end_us(text, moment)
        assert end <= moment < window_end_us(text, moment) <= end + window_us(text)
        end = window_end_us(text, moment)
    assert window_end_us(text, end) > end == window_end_us(text, end - 1)
