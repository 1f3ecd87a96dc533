"""Backfilling: the moments of the past that had no run, each once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

import kron
from kron.core.errors import ScheduleError, UnknownTimer
from kron.testing import VirtualScheduler

NOON = "2027-01-01T12:00:00+00:00"


class Log:
    """A callback that notes its moments, and those of backfills."""

    def __init__(self):
        self.hours = []
        self.is_backfill = []

    def __call__(self, context):
        self.hours.append(datetime.fromisoformat(context["scheduled_at"]).hour)
        self.is_backfill.append(context["backfill"])


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def scheduler(log):
    """It is noon, and the hourly timer has just been scheduled."""
    scheduler = VirtualScheduler()
    scheduler.advance_to(NOON)
    with scheduler:
        scheduler.schedule("hourly", log, cron="0 * * * *")
        yield scheduler


def test_the_moments_run_oldest_first_from_since_up_to_but_without_until(scheduler, log):
    begun = scheduler.backfill("hourly", since="2027-01-01T06:00Z", until="2027-01-01T10:00Z")
    assert begun == {
        "timer": "hourly",
        "since": "2027-01-01T06:00:00+00:00",
        "until": "2027-01-01T10:00:00+00:00",
        "moments": 4,
        "done": 0,
        "dry_run": False,
        "scheduled_at": [],
    }
    scheduler.settle()
    assert log.hours == [6, 7, 8, 9]
    assert log.is_backfill == [True] * 4
    assert scheduler.status("hourly")["backfill"] is None


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("3h", 3),
        (timedelta(hours=2), 2),
        (3600, 1),
        (datetime(2027, 1, 1, 11, 30, tzinfo=UTC), 0),
        ("2027-01-01", 12),
        ("2027-01-01T10:00", 2),
        ("2027-01-01T12:00:00+02:00", 2),
    ],
)
def test_since_is_an_instant_or_how_long_ago(scheduler, log, since, count):
    assert scheduler.backfill("hourly", since=since)["moments"] == count
    scheduler.settle()
    assert len(log.hours) == count


def test_an_instant_without_a_zone_is_in_the_timers(scheduler, log):
    scheduler.schedule("berlin", log, cron="0 9 * * *", timezone="Europe/Berlin")
    preview = scheduler.backfill("berlin", since="2026-12-30", until="2026-12-31", dry_run=True)
    assert preview["since"] == "2026-12-29T23:00:00+00:00"
    assert preview["scheduled_at"] == ["2026-12-30T08:00:00+00:00"]


def test_what_had_a_run_is_left_out_unless_it_is_forced(scheduler, log):
    scheduler.advance("2h30m")  # 13:00 and 14:00 run by the schedule
    scheduler.backfill("hourly", since="2027-01-01T10:00Z", until="2027-01-01T12:00Z")
    scheduler.settle()
    assert log.hours == [13, 14, 10, 11]
    again = scheduler.backfill("hourly", since="2027-01-01T09:00Z")
    assert (again["moments"], again["done"]) == (2, 4)
    scheduler.settle()
    assert log.hours[4:] == [9, 12]
    forced = scheduler.backfill("hourly", since="2027-01-01T13:00Z", force=True)
    assert (forced["moments"], forced["done"]) == (2, 0)
    scheduler.settle()
    assert log.hours[6:] == [13, 14]


def test_what_was_missed_is_run(log):
    scheduler = VirtualScheduler()
    scheduler.schedule("hourly", log, cron="0 * * * *", missed="skip")
    with scheduler:
        scheduler.settle()
    scheduler.advance("5h30m")
    with scheduler:
        scheduler.settle()
        assert log.hours == []
        assert scheduler.backfill("hourly", since="1d")["moments"] == 24
        scheduler.settle()
        assert log.hours[-5:] == [1, 2, 3, 4, 5]


def test_a_dry_run_lists_moments_and_changes_nothing(scheduler, log):
    before = scheduler.status("hourly"), scheduler.history("hourly")
    preview = scheduler.backfill("hourly", since="60d", dry_run=True)
    assert (preview["moments"], preview["done"], preview["dry_run"]) == (1440, 0, True)
    assert len(preview["scheduled_at"]) == 1000
    assert preview["scheduled_at"][:2] == ["2026-11-02T12:00:00+00:00", "2026-11-02T13:00:00+00:00"]
    scheduler.settle()
    assert (scheduler.status("hourly"), scheduler.history("hourly")) == before
    assert log.hours == []


def test_the_schedule_goes_on_while_a_backfill_runs(scheduler):
    ended = []

    async def slow(context):
        await scheduler.clock.sleep("25m")
        ended.append((context["scheduled_at"][11:13], context["backfill"]))

    scheduler.schedule("slow", slow, cron="0 * * * *")
    scheduler.backfill("slow", since="4h")
    scheduler.advance("70m")
    assert scheduler.status("slow")["backfill"]["started"] in (2, 3)
    scheduler.advance("2h")
    backfilled = [hour for hour, is_backfill in ended if is_backfill]
    assert backfilled == ["08", "09", "10", "11"]
    assert ("13", False) in ended


def test_as_many_run_at_once_as_was_asked_for(scheduler):
    running, most = set(), 0

    async def slow(context):
        nonlocal most
        running.add(context["run_id"])
        most = max(most, len(running))
        await scheduler.clock.sleep("1m")
        running.discard(context["run_id"])

    scheduler.schedule("slow", slow, cron="0 * * * *", overlap="allow")
    scheduler.backfill("slow", since="10h", concurrency=3)
    scheduler.advance("30m")
    assert most == 3
    assert scheduler.status("slow")["succeeded"] == 10


def test_a_cancel_ends_it(scheduler):
    async def slow(context):
        await scheduler.clock.sleep("10m")

    scheduler.schedule("slow", slow, cron="0 * * * *", max_attempts=1)
    scheduler.backfill("slow", since="6h")
    scheduler.advance("15m")
    scheduler.cancel("slow")
    scheduler.settle()
    assert scheduler.status("slow")["backfill"] is None
    assert scheduler.status("slow")["succeeded"] == 1


def test_it_goes_on_after_a_restart():
    ran = []

    async def slow(context):
        await scheduler.clock.sleep("10m")
        ran.append(context["scheduled_at"][11:13])

    scheduler = VirtualScheduler()
    scheduler.advance_to(NOON)
    scheduler.schedule("slow", slow, cron="0 * * * *", overlap="skip")
    with scheduler:
        scheduler.backfill("slow", since="4h")
        scheduler.advance("15m")
    with scheduler:
        scheduler.advance("40m")
    assert ran == ["08", "09", "10", "11"]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"since": "2027-01-01T13:00Z"}, ScheduleError, "since=.* lies in the future"),
        ({"since": "1h", "until": "2027-01-01T13:00Z"}, ScheduleError, "until=.* in the future"),
        ({"since": "1h", "until": "2h"}, ScheduleError, "until='2h' lies before since='1h'"),
        ({"since": "1h", "concurrency": 2}, ScheduleError, "needs overlap='allow'"),
        ({"since": "1h", "concurrency": 0}, ScheduleError, "from 1 on"),
        ({"since": "1h", "concurrency": True}, TypeError, "must be an int"),
        ({"since": "1h", "force": 1}, TypeError, "force must be True or False"),
        ({"since": "yesterday"}, ScheduleError, "since='yesterday'"),
        ({"since": None}, TypeError, "since must be"),
        ({"since": "-1h"}, ScheduleError, "since='-1h' is not a duration"),
        ({"since": True}, ScheduleError, "since=True is not a duration"),
        ({}, TypeError, r"needs the keyword since="),
        ({"since": "1h", "untill": "1h"}, TypeError, "Did you mean until"),
    ],
)
@pytest.mark.parametrize("is_dry", [False, True])
def test_what_cannot_be_meant_is_refused(scheduler, log, options, error, text, is_dry):
    with pytest.raises(error, match=text):
        scheduler.backfill("hourly", **options, dry_run=is_dry)
    scheduler.settle()
    assert log.hours == []


@pytest.mark.parametrize("is_dry", [False, True])
def test_there_must_be_such_a_timer_with_more_than_one_moment(scheduler, log, is_dry):
    scheduler.schedule("once", log, after="1h")
    with pytest.raises(ScheduleError, match=r"one moment.*trigger"):
        scheduler.backfill("once", since="1h", dry_run=is_dry)
    with pytest.raises(UnknownTimer, match="nope"):
        scheduler.backfill("nope", since="1h", dry_run=is_dry)


def test_the_async_form_does_the_same(log):
    async def program():
        scheduler = VirtualScheduler()
        await scheduler.aadvance_to(NOON)
        async with scheduler:
            await scheduler.aschedule("hourly", log, cron="0 * * * *")
            with pytest.raises(kron.InsideEventLoop):
                scheduler.backfill("hourly", since="1h")
            dry = await scheduler.abackfill("hourly", since="3h", dry_run=True)
            assert len(dry["scheduled_at"]) == 3
            assert (await scheduler.abackfill("hourly", since="3h"))["moments"] == 3
            await scheduler.asettle()
            assert log.hours == [9, 10, 11]

    asyncio.run(program())


# -- at the start ------------------------------------------------------------------------------


def test_a_start_backfills_what_this_process_has_registered(log):
    scheduler = VirtualScheduler()
    scheduler.advance_to(NOON)
    scheduler.schedule("once", log, after="1h")
    scheduler.schedule("hourly", log, cron="0 * * * *")
    other = Log()
    scheduler.schedule("other", other, cron="30 * * * *")
    scheduler.start(since="2027-01-01T10:00Z")
    try:
        scheduler.settle()
        assert (log.hours, other.hours) == ([10, 11], [10, 11])
    finally:
        scheduler.shutdown(0)


def test_a_start_on_the_callers_loop_backfills_too(log):
    async def program():
        scheduler = VirtualScheduler()
        await scheduler.aadvance_to(NOON)
        scheduler.schedule("hourly", log, cron="0 * * * *")
        await scheduler.astart(since="2h")
        await scheduler.asettle()
        assert log.hours == [10, 11]
        await scheduler.ashutdown(0)

    asyncio.run(program())


def test_a_start_leaves_out_what_had_a_run(log):
    scheduler = VirtualScheduler()
    scheduler.schedule("hourly", log, cron="0 * * * *", missed="skip")
    with scheduler:
        scheduler.advance("2h30m")
    scheduler.advance("3h")
    scheduler.start(since="2027-01-01T00:30Z")
    try:
        scheduler.settle()
        assert log.hours == [1, 2, 3, 4, 5]
    finally:
        scheduler.shutdown(0)


def test_a_start_from_the_future_is_refused_before_anything_is_opened(tmp_path):
    scheduler = kron.Scheduler()
    with pytest.raises(ScheduleError, match=r"since=.* lies in the future"):
        scheduler.start(tmp_path / "d", since=datetime.now(UTC) + timedelta(hours=1))
    assert not (tmp_path / "d").exists()
    with pytest.raises(kron.NotStarted):
        scheduler.history()
