"""The virtual clock: what it shows, how it moves, and what it refuses."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from kron import InsideEventLoop, ScheduleError, Scheduler
from kron.testing import (
    NothingToDo,
    NotInTime,
    StillRunning,
    VirtualClock,
    VirtualScheduler,
    assert_missed,
    assert_not_ran,
    assert_ran,
)

START = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock():
    return VirtualClock(START)


@pytest.fixture
async def scheduler(clock):
    async with VirtualScheduler(clock) as scheduler:
        yield scheduler


def noting(clock, began):
    """An async callback that notes when it began, in seconds since START."""

    async def callback():
        began.append(since(clock))

    return callback


def since(clock):
    return (clock.datetime - START).total_seconds()


# -- one clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [START, "2027-01-01T00:00:00Z", "2027-01-01", "2027-01-01T01:00:00+01:00", START.isoformat()],
)
def test_it_starts_when_it_is_told(start):
    clock = VirtualClock(start)
    assert clock.datetime == START and clock.datetime.tzinfo is UTC
    assert clock.time() == START.timestamp()
    assert clock.now().wall_us == int(START.timestamp()) * 1_000_000


@pytest.mark.parametrize("start", ["yesterday", "2027-13-01"])
def test_a_start_that_is_no_moment_is_refused(start):
    with pytest.raises(ScheduleError, match="start="):
        VirtualClock(start)


async def test_wall_and_elapsed_time_go_together(clock):
    monotonic = clock.monotonic()
    await clock.advance("1h30m")
    assert clock.monotonic() - monotonic == 5400
    assert clock.datetime - START == timedelta(hours=1, minutes=30)
    await clock.advance_to("2027-01-02T00:00:00Z")
    assert clock.monotonic() - monotonic == 86_400


async def test_no_time_may_pass(clock, scheduler):
    began = []
    await scheduler.aschedule("once", noting(clock, began), at=START)
    await clock.advance(0)
    assert began == [0]


# -- callbacks of every kind ---------------------------------------------------------------------


async def test_an_async_callback_that_yields_often_is_over_before_time_goes_on(clock, scheduler):
    ended = []

    async def hesitant():
        for _ in range(500):
            await asyncio.sleep(0)
        ended.append(since(clock))

    await scheduler.aschedule("hesitant", hesitant, every="1m", overlap="skip")
    await clock.advance("3m")
    assert ended == [60, 120, 180]


async def test_a_callback_that_waits_for_the_real_world_is_waited_for(clock, scheduler):
    ended = []

    async def real():
        await asyncio.sleep(0.02)
        await asyncio.to_thread(lambda: None)
        ended.append(since(clock))

    await scheduler.aschedule("real", real, every="1m", overlap="skip")
    await clock.advance("3m")
    assert ended == [60, 120, 180]


async def test_callbacks_in_threads_are_over_before_time_goes_on(clock, scheduler):
    ended = []

    def slow():
        threading.Event().wait(0.01)
        ended.append(since(clock))

    for name in "abc":
        await scheduler.aschedule(name, slow, every="1m", overlap="skip")
    await clock.advance("3m")
    assert ended == [60] * 3 + [120] * 3 + [180] * 3


async def test_callbacks_sleep_on_the_clock(clock, scheduler):
    ended = []

    async def on_the_loop():
        await clock.sleep("90s")
        ended.append(("loop", since(clock)))

    def in_a_thread():
        clock.sleep_sync("90s")
        clock.sleep_sync("30s")
        ended.append(("thread", since(clock)))

    await scheduler.aschedule("loop", on_the_loop, after="1m")
    await scheduler.aschedule("thread", in_a_thread, after="1m")
    await clock.advance("2m")
    assert ended == []
    await clock.advance("1m")
    assert ended == [("loop", 150), ("thread", 180)]


async def test_a_callback_of_several_tasks_sleeps_in_one_of_them(clock, scheduler):
    ended = []

    async def several():
        await asyncio.gather(clock.sleep("1m"), clock.sleep("2m"))
        ended.append(since(clock))

    await scheduler.aschedule("several", several, after="1m")
    await clock.advance("1h")
    assert ended == [180]


async def test_a_sleep_that_is_cancelled_wakes_nobody(clock, scheduler):
    ended = []

    async def impatient():
        sleeper = asyncio.ensure_future(clock.sleep("1h"))
        await clock.sleep("1m")
        sleeper.cancel()
        ended.append(since(clock))

    await scheduler.aschedule("impatient", impatient, after="1m")
    await clock.advance("2h")
    assert ended == [120]
    assert_ran(scheduler, "impatient", times=1)


async def test_a_run_is_cancelled_in_its_sleep(clock, scheduler):
    async def long():
        await clock.sleep("8h")

    await scheduler.aschedule("long", long, after="1m")
    await clock.advance("1h")
    assert await scheduler.acancel("long") == 1
    await clock.settle()
    assert (await scheduler.ahistory("long"))[0]["status"] == "CANCELLED"


async def test_the_tests_own_tasks_get_their_turn(clock, scheduler):
    ran, opened = [], asyncio.Event()

    async def opens():
        opened.set()

    async def follows():
        await opened.wait()
        await scheduler.aschedule("next", noting(clock, ran), after="1s")
        await clock.sleep("10m")
        ran.append(since(clock))

    await scheduler.aschedule("opens", opens, after="1m")
    await scheduler.aschedule("late", noting(clock, ran), after="2m")
    task = asyncio.create_task(follows())
    await clock.advance("1h")
    await task
    assert ran == [61, 120, 660]


async def test_two_tasks_may_advance_it_at_once(clock, scheduler):
    began = []
    await scheduler.aschedule("beat", noting(clock, began), every="1m", overlap="skip")
    await asyncio.gather(clock.advance("3m"), clock.advance("5m"))
    assert began == [60, 120, 180, 240, 300]
    assert since(clock) == 300


# -- waiting for something -----------------------------------------------------------------------


async def test_run_until_a_predicate_jumps_no_further(clock, scheduler):
    began = []
    await scheduler.aschedule("beat", noting(clock, began), every="10m", overlap="skip")
    assert await clock.run_until(lambda: len(began) == 3 and "yes") == "yes"
    assert since(clock) == 1800


async def test_run_until_an_awaitable_is_done_returns_what_it_did(clock, scheduler):
    done = asyncio.Event()

    async def callback():
        await clock.sleep("1h")
        done.set()

    async def fails():
        await clock.sleep("5m")
        raise LookupError("no")

    await scheduler.aschedule("once", callback, after="1h")
    with pytest.raises(LookupError):
        await clock.run_until(fails())
    assert since(clock) == 300
    assert await clock.run_until(done.wait()) is True
    assert since(clock) == 7200


async def test_everything_asleep_for_ever_is_said_with_what_each_waits_for(clock, scheduler):
    began = []
    await scheduler.aschedule("once", noting(clock, began), after="1h")
    await scheduler.aschedule("paused", noting(clock, began), every="1h")
    await scheduler.apause("paused")
    with pytest.raises(NothingToDo) as caught:
        await clock.run_until(lambda: len(began) == 2, within="100d")
    assert began == [3600] and since(clock) == 3600
    assert "once: after 1h, finished, next run never" in str(caught.value)
    assert "paused: every 1h, paused, next run never" in str(caught.value)
    assert "2027-01-01T01:00:00+00:00" in str(caught.value)


async def test_waiting_on_a_clock_that_nobody_goes_by_is_said(clock):
    with pytest.raises(NothingToDo, match="no scheduler goes by this clock"):
        await clock.run_until(asyncio.Event().wait())


async def test_what_does_not_come_about_in_time_is_said(clock, scheduler):
    await scheduler.aschedule("beat", noting(clock, []), every="1h")
    with pytest.raises(NotInTime, match="2027-01-01T05:30"):
        await clock.run_until(lambda: False, within="5h30m")
    assert since(clock) == 5.5 * 3600


@pytest.mark.parametrize("kind", ["task", "thread"])
async def test_a_callback_that_never_ends_is_named(kind):
    clock = VirtualClock(patience=0.5)
    gate, barrier = asyncio.Event(), threading.Event()
    callback = gate.wait if kind == "task" else barrier.wait
    async with VirtualScheduler(clock) as scheduler:
        await scheduler.aschedule("stuck", callback, after="1m")
        with pytest.raises(StillRunning, match=rf"stuck: attempt 1 goes on, in a {kind}"):
            await clock.advance("1h")
        assert clock.datetime - START == timedelta(minutes=1)
        gate.set()
        barrier.set()


async def test_with_autojump_who_sleeps_moves_the_clock():
    clock = VirtualClock(START, autojump=True)
    began, woken = [], []

    async def sleeps(duration):
        await clock.sleep(duration)
        woken.append((duration, since(clock)))

    async with VirtualScheduler(clock) as scheduler:
        await scheduler.aschedule("beat", noting(clock, began), every="1h", overlap="skip")
        await asyncio.gather(sleeps("2h"), sleeps("30m"), sleeps("3h"))
        await asyncio.to_thread(clock.sleep_sync, "1h")
    assert began == [3600, 7200, 10_800, 14_400]
    assert woken == [("30m", 1800), ("2h", 7200), ("3h", 10_800)]


# -- what befalls a machine ----------------------------------------------------------------------


async def test_a_daily_timer_keeps_its_local_time_when_the_clocks_change():
    clock = VirtualClock("2027-03-27T00:00:00+01:00")
    began = []

    async def note():
        began.append(clock.datetime.isoformat())

    async with VirtualScheduler(clock) as scheduler:
        for name, cron in (("morning", "0 9 * * *"), ("night", "30 2 * * *")):
            await scheduler.aschedule(name, note, cron=cron, timezone="Europe/Berlin")
        await clock.advance_to("2027-03-29T00:00:00+02:00")
    assert began == [
        "2027-03-27T01:30:00+00:00",
        "2027-03-27T08:00:00+00:00",
        "2027-03-28T01:00:00+00:00",  # there is no 02:30 on that day
        "2027-03-28T07:00:00+00:00",
    ]


async def test_a_suspension_after_a_quiet_day_is_told_from_a_blocked_loop(clock, scheduler):
    began = []
    await scheduler.aschedule("ten", noting(clock, began), cron="0 10 * * *")
    await scheduler.aschedule("hourly", noting(clock, []), cron="0 12-23 * * *")
    await clock.advance("9h")
    clock.suspend("8h")
    assert began == [], "nothing runs while the machine sleeps"
    await clock.settle()
    assert began == [17 * 3600]
    assert_missed(scheduler, "hourly", reason="suspended", count=5)
    clock.block("2h")
    await clock.settle()
    assert_missed(scheduler, "hourly", reason="blocked", count=1)


async def test_a_callback_may_block_the_loop(clock, scheduler):
    began = []

    async def computes():
        clock.block("10m")

    await scheduler.aschedule("computes", computes, after="90s")
    await scheduler.aschedule("beat", noting(clock, began), cron="* * * * *")
    await clock.advance("12m")
    assert began == [60, 690, 720]
    assert_missed(scheduler, "beat", reason="blocked", count=9)


@pytest.mark.parametrize("back", ["-2h", -7200, timedelta(hours=-2)])
async def test_a_step_of_the_wall_clock_is_seen_at_once(clock, scheduler, back):
    began, every = [], []
    await scheduler.aschedule("cron", noting(clock, began), cron="0 * * * *")
    await scheduler.aschedule("every", lambda: every.append(1), every="30m", overlap="skip")
    monotonic = clock.monotonic()
    clock.step("5h30m")
    await clock.settle()
    assert began == [5.5 * 3600] and clock.monotonic() == monotonic
    assert_missed(scheduler, "cron", reason="clock_step", count=4)
    clock.step(back)
    assert since(clock) == 3.5 * 3600
    await clock.advance("30m")
    assert len(every) == 1, "elapsed time knows nothing of it"


async def test_a_frozen_wall_clock_stands_while_time_elapses(clock, scheduler):
    every = []
    await scheduler.aschedule("every", lambda: every.append(1), every="10m", overlap="skip")
    clock.freeze()
    await clock.advance("1h")
    assert len(every) == 6 and clock.datetime == START
    with pytest.raises(ScheduleError, match="frozen"):
        await clock.advance_to("2028-01-01")
    clock.thaw()
    await clock.advance("1h")
    assert since(clock) == 3600


# -- several schedulers, several lives -----------------------------------------------------------


async def test_two_schedulers_go_by_one_clock(clock):
    order = []

    async def first():
        order.append(("first", since(clock)))
        await other.aschedule("chained", second, after="10s")

    async def second():
        order.append(("second", since(clock)))

    async with VirtualScheduler(clock) as one, VirtualScheduler(clock) as other:
        await one.aschedule("first", first, every="1m", overlap="skip")
        await clock.advance("90s")
    assert order == [("first", 60), ("second", 70)]


async def test_a_scheduler_on_another_loop_is_waited_for_too(clock):
    ended = []

    async def here():
        ended.append(("here", since(clock)))

    async def there():
        await asyncio.sleep(0.005)
        await clock.sleep("1m")
        ended.append(("there", since(clock)))
        await one.atrigger("here")

    def thread():
        clock.sleep_sync("1m")
        ended.append(("thread", since(clock)))

    other = VirtualScheduler(clock)
    async with VirtualScheduler(clock) as one:
        await one.aschedule("here", here, after="90m")
        await asyncio.to_thread(other.start)
        await other.aschedule("there", there, after="1h")
        await other.aschedule("thread", thread, after="1h1m")
        await clock.advance("61m")
        assert ended == [("there", 3660), ("here", 3660)]
        await clock.advance("1h")
        assert ended[2:] == [("thread", 3720), ("here", 5400)]
        await other.ashutdown(0)


async def test_downtime_is_time_without_a_scheduler(clock, tmp_path):
    began = []
    for data_dir in (None, tmp_path / "kron"):
        began.clear()
        scheduler = VirtualScheduler(VirtualClock(START), data_dir=data_dir)
        clock = scheduler.clock
        scheduler.schedule("hourly", noting(clock, began), cron="0 * * * *")
        async with scheduler:
            await clock.advance("90m")
        await clock.advance("5h")
        async with scheduler:
            await clock.settle()
            assert_missed(scheduler, "hourly", reason="down", count=4)
            await clock.advance("1h")
        assert began == [3600, 6.5 * 3600, 7 * 3600]


async def test_another_process_takes_the_log_over(clock, tmp_path):
    """Plain schedulers: nothing but the clock is virtual."""
    began = []
    for _ in range(2):
        scheduler = Scheduler(clock=clock)
        scheduler.schedule("beat", noting(clock, began), every="1h", overlap="skip")
        await scheduler.astart(tmp_path / "kron")
        await clock.advance("90m")
        await scheduler.ashutdown()
    assert began == [3600, 7200, 10_800]


async def test_a_thread_that_sleeps_is_let_go_when_its_scheduler_is_over(clock, caplog):
    ended = []

    def long():
        try:
            clock.sleep_sync("8h")
        finally:
            ended.append(threading.current_thread())

    async with VirtualScheduler(clock) as scheduler:
        await scheduler.aschedule("long", long, after="1m")
        await clock.advance("1h")
    for _ in range(1000):
        if ended:
            break
        await asyncio.sleep(0.01)
    assert len(ended) == 1


# -- wrong uses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", ["-1h", -1, timedelta(seconds=-1), "soon", float("nan")])
async def test_time_goes_one_way(clock, duration):
    with pytest.raises(ScheduleError, match="duration="):
        await clock.advance(duration)
    assert since(clock) == 0


async def test_a_moment_that_has_passed_is_refused_with_the_remedy(clock):
    with pytest.raises(ScheduleError, match=r"that has passed; .* step\(\)"):
        await clock.advance_to("2026-12-31T23:59:59Z")


@pytest.mark.parametrize("duration", ["", "--1h", "0s", 0, True])
def test_a_step_of_nothing_is_refused(clock, duration):
    with pytest.raises(ScheduleError):
        clock.step(duration)


async def test_a_callback_cannot_advance_the_clock_it_is_on(clock, scheduler):
    async def greedy():
        await clock.advance("1h")

    await scheduler.aschedule("greedy", greedy, after="1m", max_attempts=1)
    await clock.advance("2m")
    assert "would wait for that callback" in (await scheduler.ahistory("greedy"))[0]["error"]


async def test_an_async_predicate_is_refused(clock):
    async def ready():
        return True

    with pytest.raises(TypeError, match="plain predicate"):
        await clock.run_until(ready)


async def test_sync_forms_are_refused_inside_the_loop(clock, scheduler):
    with pytest.raises(InsideEventLoop, match=r"await clock.sleep"):
        clock.sleep_sync("1h")
    with pytest.raises(InsideEventLoop, match="aadvance"):
        scheduler.advance("1h")


async def test_what_has_not_run_has_not_run(clock, scheduler):
    await scheduler.aschedule("later", noting(clock, []), after="1d")
    await clock.advance("1h")
    assert_not_ran(scheduler, "later")
