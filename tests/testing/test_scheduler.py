"""The scheduler of the test kit: from synchronous code, on an event loop, and a program's own."""

import asyncio
import threading
from datetime import timedelta

import pytest

import kron
import kron.testing as kt
from kron.scheduler import default


def test_synchronous_code_moves_the_clock():
    ran = []
    with kt.VirtualScheduler() as scheduler:

        @scheduler.schedule("beat", every="1h", overlap="skip")
        def beat(context):
            ran.append(context["scheduled_at"])

        scheduler.advance("3h")
        assert len(ran) == 3 and ran[0] == "2027-01-01T01:00:00+00:00"
        scheduler.advance(timedelta(minutes=30))
        scheduler.advance_to("2027-01-01T04:00:00Z")
        assert len(ran) == 4
        assert scheduler.run_until(lambda: len(ran) == 6)
        scheduler.clock.suspend("8h")
        scheduler.settle()
        assert len(ran) == 7
    with pytest.raises(kron.NotStarted):
        scheduler.history()


def test_async_callbacks_of_synchronous_code():
    ended = []
    with kt.VirtualScheduler() as scheduler:

        async def callback():
            await asyncio.sleep(0)
            await scheduler.clock.sleep("10m")
            ended.append(scheduler.clock.datetime.minute)

        scheduler.schedule("a", callback, after="1m")
        scheduler.advance("10m")
        assert ended == []
        scheduler.advance("1m")
        assert ended == [11]


def test_downtime_in_synchronous_code():
    scheduler = kt.VirtualScheduler(kt.VirtualClock("2027-03-01"))
    scheduler.schedule("hourly", lambda: None, cron="0 * * * *")
    with scheduler:
        scheduler.advance("150m")
    scheduler.advance("4h")
    with scheduler:
        scheduler.settle()
        kt.assert_missed(scheduler, "hourly", reason="down", count=3)
        kt.assert_ran(scheduler, "hourly", at="2027-03-01T06:00:00Z")


def test_everything_asleep_is_said_to_synchronous_code_too():
    with kt.VirtualScheduler() as scheduler, pytest.raises(kt.NothingToDo, match="no timers"):
        scheduler.run_until(lambda: False)


def test_a_thread_of_the_test_sleeps_on_the_clock():
    clock, woken = kt.VirtualClock(), []

    def sleeps():
        clock.sleep_sync("1h")
        woken.append(clock.time())

    thread = threading.Thread(target=sleeps)
    thread.start()
    with kt.VirtualScheduler(clock) as scheduler:
        # Nobody can know when the thread will have fallen asleep: time passes until it has woken.
        scheduler.schedule("tick", lambda: None, every="1m")
        scheduler.run_until(lambda: woken, within="3650d")
    thread.join()


def test_with_autojump_synchronous_code_just_sleeps():
    clock, ran = kt.VirtualClock(autojump=True), []
    with kt.VirtualScheduler(clock) as scheduler:
        scheduler.schedule("beat", lambda: ran.append(1), every="1h", overlap="skip")
        clock.sleep_sync("3h")
    assert len(ran) == 3


def test_a_blocked_loop_is_said():
    clock, gate = kt.VirtualClock(patience=0.5), threading.Event()

    async def blocks():
        gate.wait()

    with kt.VirtualScheduler(clock) as scheduler:
        scheduler.schedule("blocks", blocks, after="1m")
        with pytest.raises(kt.StillRunning, match="blocks: attempt 1"):
            scheduler.advance("1h")
        gate.set()


def test_a_callback_in_a_thread_cannot_advance_the_clock_it_is_on():
    with kt.VirtualScheduler() as scheduler:
        scheduler.schedule("greedy", lambda: scheduler.advance("1h"), after="1m", max_attempts=1)
        scheduler.advance("2m")
        assert "would wait for that callback" in scheduler.history("greedy")[0]["error"]


async def test_the_async_forms():
    ran = []
    async with kt.VirtualScheduler() as scheduler:
        await scheduler.aschedule("beat", lambda: ran.append(1), every="1h", overlap="skip")
        await scheduler.aadvance("1h")
        await scheduler.aadvance_to("2027-01-01T02:00:00Z")
        await scheduler.arun_until(lambda: len(ran) == 3)
        await scheduler.arun_until(scheduler.clock.sleep("1h"))
        await scheduler.asettle()
    assert len(ran) == 4


def test_a_program_of_its_own_is_put_on_the_clock():
    ran = []
    kron.schedule("program", lambda: ran.append(1), every="1h", overlap="skip")
    clock = kt.VirtualClock()
    try:
        with kt.on_clock(clock) as scheduler:
            assert scheduler is default
            kron.start("nowhere")
            clock.drive(clock.advance("2h"))
            kt.assert_ran(scheduler, "program", times=2)
            with pytest.raises(RuntimeError, match="before start"), kt.on_clock(clock):
                pass
        assert len(ran) == 2
        assert kron.status("program")["next_run_at"] is None, "not started: it waits"
    finally:
        kron.remove("program")


async def test_a_program_on_a_loop_is_put_on_the_clock():
    scheduler, clock, ran = kron.Scheduler(), kt.VirtualClock(), []
    scheduler.schedule("program", lambda: ran.append(1), every="1h", overlap="skip")
    with kt.on_clock(clock, scheduler):
        await scheduler.astart()
        await clock.advance("2h")
        await scheduler.ashutdown()
    assert len(ran) == 2


def test_the_names_of_the_kit_are_loaded_when_they_are_used():
    assert set(kt.__all__) <= set(dir(kt))
    assert all(getattr(kt, name).__doc__ for name in kt.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = kt.no_such_name
