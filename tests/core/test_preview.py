"""The next moments of what was not scheduled: those that a timer would have."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import kron
from kron.core.definition import define
from kron.core.errors import KronError, ScheduleError
from kron.core.fields import Cron
from kron.core.instants import to_us
from kron.core.preview import preview
from kron.core.timing import definition_moments

VECTORS = json.loads(Path(__file__).with_name("time_vectors.json").read_text())
NOW = to_us(datetime(2026, 11, 21, 12, 30, tzinfo=UTC))
BERLIN = ZoneInfo("Europe/Berlin")


def shown(**asked: Any) -> list[str]:
    return [at.isoformat() for at in preview(NOW, **asked)]


@pytest.mark.parametrize("vector", VECTORS["cron"], ids=lambda vector: vector["id"])
def test_the_vectors(vector: dict[str, Any]) -> None:
    found = preview(
        0, cron=vector["expr"], timezone=vector["tz"], after=vector["now"], n=len(vector["expect"])
    )
    expected = [datetime.fromisoformat(text) for text in vector["expect"]]
    assert [at.astimezone(UTC) for at in found] == expected  # PEP 495: else never equal in a fold
    assert {at.tzinfo for at in found} == {ZoneInfo(vector["tz"])}


@pytest.mark.parametrize("vector", VECTORS["interval"], ids=lambda vector: vector["id"])
def test_an_interval_counts_from_the_moment_asked_about(vector: dict[str, Any]) -> None:
    anchor, every = vector["anchor"], vector["every_seconds"]
    found = preview(0, every=every, after=anchor, n=3)
    step = timedelta(seconds=every)
    first = datetime.fromisoformat(anchor)
    assert found == [first + step, first + 2 * step, first + 3 * step]


def test_without_after_now_counts() -> None:
    assert shown(cron="30 * * * *", n=2) == [
        "2026-11-21T13:30:00+00:00",  # strictly after 12:30
        "2026-11-21T14:30:00+00:00",
    ]
    assert shown(every="1h30m", n=1) == ["2026-11-21T14:00:00+00:00"]
    assert len(shown(cron="* * * * *")) == 5


def test_the_face_reads_the_clock_and_needs_no_scheduler() -> None:
    before = datetime.now(UTC)
    found = kron.preview(every="1h", n=2)
    assert before + timedelta(hours=1) <= found[0] <= datetime.now(UTC) + timedelta(hours=1)
    assert found[1] - found[0] == timedelta(hours=1)
    assert kron.preview(cron="0 9 * * *", timezone="Europe/Berlin")[0].tzinfo is BERLIN


def test_both_hours_of_a_fold_are_told_apart() -> None:
    asked = {"cron": "*/30 * * * *", "timezone": "Europe/Berlin", "after": "2026-10-24T23:59:00Z"}
    found = preview(NOW, **asked, n=5)
    assert [(f"{at:%H:%M}", at.fold) for at in found] == [
        *[("02:00", 0), ("02:30", 0), ("02:00", 1), ("02:30", 1), ("03:00", 0)]
    ]
    instants = [at.astimezone(UTC) for at in found]
    assert {b - a for a, b in pairwise(instants)} == {timedelta(minutes=30)}
    fixed = preview(
        NOW, cron="30 2 * * *", timezone="Europe/Berlin", after="2026-10-24T12:00Z", n=2
    )
    assert [at.isoformat() for at in fixed] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


GAPS = [
    ("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00", "2027-03-28T03:00:00+02:00"),
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-04T02:30:00+11:00"),
    ("0 12 * * *", "Pacific/Apia", "2011-12-29T13:00", "2011-12-31T00:00:00+14:00"),
    ("30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00", "2026-03-29T03:00:00+02:00"),
    ("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00", "2026-03-22T03:00:00+01:00"),
    ("0 0 * * *", "America/Havana", "2026-03-07T12:00", "2026-03-08T01:00:00-04:00"),
]


@pytest.mark.parametrize(("cron", "timezone", "after", "expected"), GAPS, ids=str)
def test_a_gap(cron: str, timezone: str, after: str, expected: str) -> None:
    asked = {"cron": cron, "timezone": timezone, "after": after}
    assert preview(NOW, **asked, n=1)[0].isoformat() == expected
    assert preview(NOW, **asked, n=1, dst="skip")[0].isoformat() > expected


def test_every_kind_of_cron_and_every() -> None:
    assert shown(cron=Cron(day=13, day_of_week="fri"), n=1) == ["2027-08-13T00:00:00+00:00"]
    assert shown(every="day", name="clean-files", n=1) == ["2026-11-21T15:12:00+00:00"]
    assert shown(every=timedelta(minutes=1), n=1) == ["2026-11-21T12:31:00+00:00"]


def test_limits_leave_moments_out() -> None:
    weekend = ["sat", "sun", date(2026, 11, 24)]
    assert shown(cron="0 9 * * *", exclude=weekend, n=3) == [
        "2026-11-23T09:00:00+00:00",
        "2026-11-25T09:00:00+00:00",
        "2026-11-26T09:00:00+00:00",
    ]
    bounds = {"not_before": "2027-01-01T00:00:00Z", "not_after": "2027-01-02T09:00:00Z"}
    assert shown(cron="0 9 * * *", **bounds) == [
        "2027-01-01T09:00:00+00:00",
        "2027-01-02T09:00:00+00:00",
    ]
    assert shown(cron="0 9 * * *", not_after="2020-01-01T00:00:00Z") == []


def test_the_moments_are_those_of_a_timer() -> None:
    definition, _ = define(cron="*/7 3-5 L * *", timezone="America/New_York")
    cursor: int | None = NOW
    for at in preview(NOW, cron="*/7 3-5 L * *", timezone="America/New_York", n=1000):
        assert cursor is not None
        cursor = definition_moments(definition, NOW).next_after(cursor)
        assert to_us(at) == cursor


def test_at_the_end_of_time_there_are_fewer() -> None:
    for timezone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
        asked = {"timezone": timezone, "after": "9999-12-27T00:00:00Z"}
        assert 2 <= len(preview(NOW, cron="0 12 * * *", **asked, n=1000)) <= 4
        assert len(preview(NOW, every="100d", **asked)) == 0


# -- wrong input ---------------------------------------------------------------------------------

SAME = [
    {"cron": "61 * * * *"},
    {"cron": 5},
    {"cron": "0 9 * * *", "timezone": "Europe/Berlim"},
    {"cron": "0 9 * * *", "timezone": 5},
    {"cron": "0 9 * * *", "dst": "twice"},
    {"cron": "0 9 * * *", "exclude": "someday"},
    {"cron": "0 9 * * *", "exclude": 5},
    {"cron": "0 9 * * *", "not_before": "tomorrow"},
    {"cron": "0 9 * * *", "not_after": 5},
    {"every": 0},
    {"every": "soon"},
    {"every": []},
]


@pytest.mark.parametrize("options", SAME, ids=str)
def test_bad_input_is_refused_in_the_words_of_schedule(options: dict[str, Any]) -> None:
    errors = []
    scheduler = kron.Scheduler()
    for call in (
        lambda: kron.preview(**options),
        lambda: scheduler.schedule("x", print, **options),
    ):
        with pytest.raises((ScheduleError, TypeError)) as caught:
            call()
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("options", [{}, {"cron": "0 9 * * *", "every": 1}], ids=str)
def test_exactly_one_selector(options: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError, match="requires exactly one of cron, every"):
        kron.preview(**options)


@pytest.mark.parametrize(
    "n", [0, -1, 1001, 1 << 70, 10**5000], ids=["0", "-1", "1001", "2^70", "huge"]
)
def test_how_many_is_bounded(n: int) -> None:
    with pytest.raises(ScheduleError, match=r"outside 1-1000"):
        kron.preview(every=1, n=n)


@pytest.mark.parametrize("n", ["5", 5.0, True, None], ids=str)
def test_how_many_is_an_int(n: Any) -> None:
    with pytest.raises(TypeError, match="n must be an int"):
        kron.preview(every=1, n=n)


def test_the_moment_asked_about_has_a_zone() -> None:
    with pytest.raises(ScheduleError, match="after='2026-11-21' has no time zone"):
        kron.preview(every=1, after="2026-11-21")
    with pytest.raises(ScheduleError, match="after='soon' is not an ISO 8601"):
        kron.preview(every=1, after="soon")
    with pytest.raises(TypeError, match="after must be an aware datetime"):
        kron.preview(every=1, after=5)  # type: ignore[arg-type]
    aware = kron.preview(cron="0 9 * * *", after="2026-11-21", timezone="Europe/Berlin", n=1)
    assert aware[0].isoformat() == "2026-11-21T09:00:00+01:00"


def test_a_cadence_needs_a_name_that_a_timer_can_have() -> None:
    with pytest.raises(ScheduleError, match="slot that follows from the timer's name"):
        kron.preview(every="day")
    with pytest.raises(KronError, match="cannot be used"):
        kron.preview(every="day", name="not a name")
    with pytest.raises(TypeError):
        kron.preview(every="day", name=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="jitter"):
        kron.preview(every="day", name="x", jitter="1s")  # type: ignore[call-arg]
