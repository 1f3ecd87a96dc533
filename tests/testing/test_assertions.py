"""The assertions: what they accept, and the story that they tell when they fail."""

import pytest

from kron import ScheduleError, Scheduler
from kron.testing import (
    VirtualScheduler,
    assert_missed,
    assert_not_ran,
    assert_ran,
    assert_scheduled,
)


@pytest.fixture
def scheduler():
    """Two hours in: `hourly` ran twice, `bad` failed, `later` and `long` have not ended."""
    with VirtualScheduler() as scheduler:
        scheduler.schedule("hourly", lambda: None, cron="0 * * * *")
        scheduler.schedule("bad", lambda: 1 / 0, at="2027-01-01T01:00:00Z", max_attempts=2)
        scheduler.schedule("later", lambda: None, after="1d")
        scheduler.schedule("long", lambda: scheduler.clock.sleep_sync("1d"), after="30m")
        scheduler.advance("2h")
        yield scheduler
        scheduler.cancel("long")
        scheduler.advance("1d")


def failure(assertion, *args, **kwargs):
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **kwargs)
    return str(caught.value).splitlines()


def test_what_ran_ran(scheduler):
    assert_ran(scheduler, "hourly")
    assert_ran(scheduler, "hourly", times=2)
    assert_ran(scheduler, "hourly", at="2027-01-01T02:00:00Z", times=1)
    assert_ran(scheduler, "hourly", at="2027-01-01T03:00:00+01:00")
    assert_ran(scheduler, "hourly", at="2027-01-01T02:30:00Z", times=0)
    assert_ran(scheduler, "bad", times=0)


def test_too_few_runs_are_told_with_the_history(scheduler):
    assert failure(assert_ran, scheduler, "hourly", times=3) == [
        "'hourly' ran twice, not 3 times.",
        "  now 2027-01-01T02:00:00+00:00",
        "  hourly: cron 0 * * * *, scheduled, next run 2027-01-01T03:00:00+00:00",
        "  history, newest first:",
        "    OK 2027-01-01T02:00:00+00:00",
        "    OK 2027-01-01T01:00:00+00:00",
    ]


def test_a_run_that_failed_is_told_with_its_error(scheduler):
    claim, _, timer, title, *rows = failure(assert_ran, scheduler, "bad")
    assert claim == "'bad' ran never."
    assert timer == "  bad: at 2027-01-01T01:00:00+00:00, finished, next run never"
    assert title == "  history, newest first:"
    assert rows[-1] == "    FAILED 2027-01-01T01:00:00+00:00: ZeroDivisionError: division by zero"
    assert any(row.startswith("    DEAD") and "attempt 2" in row for row in rows)


def test_a_moment_without_a_run_is_told(scheduler):
    claim = failure(assert_ran, scheduler, "hourly", at="2027-01-01T05:00:00Z")[0]
    assert claim == "'hourly' ran never for 2027-01-01T05:00:00+00:00."


def test_a_run_that_goes_on_has_begun_and_not_ended(scheduler):
    assert_ran(scheduler, "long", times=0)
    lines = failure(assert_not_ran, scheduler, "long")
    assert lines[0] == "'long' is running."
    assert any(line.startswith("  open runs: ") for line in lines)


def test_what_has_not_begun_did_not_run(scheduler):
    assert_not_ran(scheduler, "later")
    assert failure(assert_not_ran, scheduler, "bad")[0] == "'bad' has run."


def test_the_next_run(scheduler):
    assert_scheduled(scheduler, "hourly")
    assert_scheduled(scheduler, "hourly", at="2027-01-01T03:00:00Z")
    claim = failure(assert_scheduled, scheduler, "hourly", at="2027-01-01T04:00:00Z")[0]
    assert claim == (
        "'hourly' runs next at 2027-01-01T03:00:00+00:00, not at 2027-01-01T04:00:00+00:00."
    )
    assert failure(assert_scheduled, scheduler, "bad")[0] == "'bad' has no next run."
    scheduler.pause("hourly")
    assert failure(assert_scheduled, scheduler, "hourly")[0] == "'hourly' has no next run."


def test_moments_that_were_missed(scheduler):
    assert_missed(scheduler, "hourly", count=0)
    scheduler.clock.step("4h")
    scheduler.settle()
    assert_missed(scheduler, "hourly")
    assert_missed(scheduler, "hourly", reason="clock_step", count=3)
    assert_missed(scheduler, "hourly", reason="down", count=0)
    lines = failure(assert_missed, scheduler, "hourly", reason="down")
    assert lines[0] == "'hourly' missed no moment (down)."
    assert (
        "    MISSED (clock_step), 3: 2027-01-01T03:00:00+00:00 to 2027-01-01T05:00:00+00:00"
    ) in lines
    claim = failure(assert_missed, scheduler, "hourly", count=1)[0]
    assert claim == "'hourly' missed 3, not 1."


@pytest.mark.parametrize("check", [assert_ran, assert_not_ran, assert_scheduled, assert_missed])
def test_a_name_that_does_not_exist_is_no_success(scheduler, check):
    (line,) = failure(check, scheduler, "hurly")
    assert line.startswith("there is no timer 'hurly'; there are: ")
    assert "'hourly'" in line


def test_a_reason_that_does_not_exist_is_refused(scheduler):
    with pytest.raises(ScheduleError, match="there are: down, blocked"):
        assert_missed(scheduler, "hourly", reason="asleep")


@pytest.mark.parametrize("at", ["noon", 12])
def test_a_moment_that_is_none_is_refused(scheduler, at):
    with pytest.raises((ScheduleError, TypeError), match="at"):
        assert_ran(scheduler, "hourly", at=at)


async def test_a_plain_scheduler_is_asked_from_inside_its_loop(tmp_path):
    scheduler = Scheduler()
    await scheduler.astart(tmp_path)
    await scheduler.aschedule("later", print, after="1d")
    assert_not_ran(scheduler, "later")
    assert_scheduled(scheduler, "later")
    await scheduler.ashutdown()


def test_a_long_history_is_cut():
    with VirtualScheduler() as scheduler:
        scheduler.schedule("beat", lambda: None, every="1m", overlap="skip")
        scheduler.advance("1h")
        assert failure(assert_ran, scheduler, "beat", times=1)[-1] == "    ... and 48 more rows"
