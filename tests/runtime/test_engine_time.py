"""The engine under a virtual clock: periods, lateness, retries, without waiting for any of it."""

from datetime import UTC, datetime

import pytest

from kron.scheduler import Scheduler
from kron.storage.memory import MemoryLog
from kron.testing import VirtualClock

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


class World:
    """A scheduler in memory, its clock, and when its callbacks began (seconds since START)."""

    def __init__(self, records=(), clock=None):
        self.clock = clock or VirtualClock(START)
        self.log = MemoryLog(records)
        self.scheduler = Scheduler(clock=self.clock, open_log=lambda *_: self.log)
        self.began = []

    def second(self):
        return (self.clock.datetime - START).total_seconds()

    def callback(self, takes=None):
        async def callback():
            self.began.append(self.second())
            if takes:
                await self.clock.sleep(takes)

        return callback

    async def advance(self, duration):
        await self.clock.advance(duration)


@pytest.fixture
async def world():
    world = World()
    await world.scheduler.astart()
    yield world
    await world.scheduler.ashutdown(0)


@pytest.mark.parametrize("overlap", ["skip", "allow"])
async def test_a_fixed_rate_keeps_its_period(world, overlap):
    await world.scheduler.aschedule("beat", world.callback(0.4), every="1s", overlap=overlap)
    await world.advance("5.5s")
    assert world.began == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_delay_counts_from_the_finish(world):
    await world.scheduler.aschedule("beat", world.callback(0.4), every="1s")
    await world.advance("6s")
    assert world.began == [1.0, 2.4, 3.8, 5.2]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("delay", [10.0, 45.0, 80.0]), ("allow", [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0])],
)
async def test_overlap_of_long_runs(world, overlap, expected):
    await world.scheduler.aschedule("beat", world.callback(25), every="10s", overlap=overlap)
    await world.advance("85s")
    assert world.began == expected


async def test_skip_drops_what_overlaps_and_does_not_drift(world):
    await world.scheduler.aschedule("beat", world.callback(25), every="10s", overlap="skip")
    await world.advance("85s")
    assert world.began == [10.0, 40.0, 70.0]
    rows = await world.scheduler.ahistory("beat")
    assert [row["status"] for row in rows].count("SKIPPED_OVERLAP") == 5


async def test_cron_fires_on_the_minute_of_its_zone(world):
    await world.scheduler.aschedule(
        "standup", world.callback(), cron="30 11 * * *", timezone="Europe/Berlin"
    )
    await world.advance("1d")
    assert world.began == [1800.0]


async def test_retries_wait_and_double(world):
    async def bad():
        world.began.append(world.second())
        raise ValueError("no")

    await world.scheduler.aschedule("bad", bad, after="1s", max_attempts=4, retry_delay="10s")
    await world.advance("10m")
    first, second, third, fourth = world.began
    assert first == 1.0
    assert 9 <= second - first <= 11
    assert 18 <= third - second <= 22
    assert 36 <= fourth - third <= 44
    status = await world.scheduler.astatus("bad")
    assert (status["state"], status["last_status"]) == ("dead", "DEAD: ValueError: no")


async def test_a_dead_recurring_timer_runs_again_at_its_next_moment(world):
    calls = []

    async def fails_first():
        calls.append(world.second())
        if len(calls) == 1:
            raise ValueError("no")

    await world.scheduler.aschedule(
        "flaky", fails_first, every="1m", max_attempts=1, overlap="skip"
    )
    await world.advance("70s")
    assert (await world.scheduler.astatus("flaky"))["state"] == "dead"
    await world.advance("60s")
    assert calls == [60.0, 120.0]
    assert (await world.scheduler.astatus("flaky"))["state"] == "scheduled"


async def test_a_year_of_an_hourly_timer_runs_every_hour(world):
    await world.scheduler.aschedule("hourly", world.callback(), cron="0 * * * *")
    await world.advance("365d")
    assert len(world.began) == 365 * 24


async def test_a_wall_clock_step_does_not_move_elapsed_timers(world):
    await world.scheduler.aschedule("beat", world.callback(), every="10m", overlap="skip")
    await world.advance("5m")
    world.clock.step("-30m")
    await world.advance("5m")
    assert len(world.began) == 1
    world.clock.step("2h")
    await world.advance("9m")
    assert len(world.began) == 1
    await world.advance("1m")
    assert len(world.began) == 2


async def test_a_wall_clock_step_over_cron_moments_runs_the_latest_once(world):
    await world.scheduler.aschedule("five", world.callback(), cron="*/5 * * * *")
    await world.advance("2m")
    world.clock.step("1h")
    await world.advance("31s")
    rows = await world.scheduler.ahistory("five")
    assert [(row["status"], row["count"], row["reason"]) for row in rows] == [
        ("OK", 1, None),
        ("MISSED", 11, "clock_step"),
    ]
    assert rows[0]["scheduled_at"] == "2026-11-21T11:00:00+00:00"


async def test_a_restart_runs_what_fell_due_meanwhile_once(world):
    await world.scheduler.aschedule("five", world.callback(), cron="*/5 * * * *")
    await world.scheduler.aschedule("once", world.callback(), after="30m")
    await world.scheduler.ashutdown()
    await world.advance("1h")
    again = World(world.log.records, world.clock)
    again.scheduler.schedule("five", again.callback(), cron="*/5 * * * *")
    again.scheduler.schedule("once", again.callback(), after="30m")
    await again.scheduler.astart()
    await again.advance("1s")
    assert again.began == [3600.0, 3600.0]
    row = next(row for row in await again.scheduler.ahistory("five") if row["status"] == "MISSED")
    assert (row["count"], row["reason"]) == (11, "down")
    await again.scheduler.ashutdown()
