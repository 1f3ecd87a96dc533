"""`kron.why` and `kron.awhy` on running schedulers; what they tell is tests/core/test_why.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

import kron
from kron.core.errors import NotStarted, ScheduleError, UnknownTimer
from kron.testing import VirtualScheduler
from tests.server.conftest import door, scheduler
from tests.waiting import eventually

__all__ = ["door", "scheduler"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[kron.Scheduler]:
    subject = kron.Scheduler()
    let_go = threading.Event()
    subject.schedule("wait", let_go.wait, after=0, overlap="skip")
    subject.schedule("later", print, every="1h")
    subject.start(tmp_path / "d")
    yield subject
    let_go.set()
    subject.shutdown()


def test_a_running_scheduler_tells_what_it_does(running: kron.Scheduler) -> None:
    eventually(lambda: running.status("wait")["state"] == "running")
    why = running.why("wait")
    assert (why["timer"], why["outcome"], why["attempts"]) == ("wait", "running", 1)
    assert why["run_id"] == running.status("wait")["open_runs"][0]
    assert why["text"][1:] == ["It is still running.", "Next: nothing; it fires once."]


def test_a_thread_that_nothing_can_stop_is_told_of(tmp_path: Path) -> None:
    subject, let_go = kron.Scheduler(max_concurrency=1), threading.Event()
    subject.schedule("hang", let_go.wait, after=0, timeout="50ms", max_attempts=1, priority=9)
    subject.schedule("next", print, after=0)
    subject.start(tmp_path / "d")
    try:
        eventually(lambda: subject.why("hang")["outcome"] == "failed")
        told = subject.why("hang")["text"]
        assert "timed out after 50ms at" in told[1]
        assert told[2] == "Its thread goes on: later runs wait."
        assert subject.why("next")["outcome"] == "waiting"
        let_go.set()
        eventually(lambda: subject.why("next")["outcome"] == "ran")
        assert "Its thread goes on: later runs wait." not in subject.why("hang")["text"]
    finally:
        let_go.set()
        subject.shutdown()


def test_a_moment_to_come_may_be_a_datetime_or_text(running: kron.Scheduler) -> None:
    at = datetime.now(UTC) + timedelta(days=3)
    assert running.why("later", at)["text"] == running.why("later", at.isoformat())["text"]
    assert running.why("wait", at)["outcome"] == "none"


def test_wrong_questions_are_refused(running: kron.Scheduler) -> None:
    with pytest.raises(UnknownTimer, match="no timer named 'nix'"):
        running.why("nix")
    with pytest.raises(ScheduleError, match="has no time zone"):
        running.why("later", "2026-01-01T09:00:00")
    wrong: Any = 5
    with pytest.raises(TypeError, match="must be an aware datetime"):
        running.why("later", wrong)
    with pytest.raises(TypeError, match="name must be a string"):
        running.why(wrong)
    with pytest.raises(NotStarted):
        kron.Scheduler().why("later")


async def test_inside_the_loop_both_forms_answer(scheduler: kron.Scheduler) -> None:
    plain, awaited = scheduler.why("backup"), await scheduler.awhy("backup")
    plain["asked_at"] = awaited["asked_at"]
    assert plain["outcome"] == awaited["outcome"] == "none"
    assert plain["next_run_at"] == awaited["next_run_at"]


async def test_the_route_answers_with_the_same(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answer = await door.get("/v1/timers/backup/why", params={"at": at})
    assert answer.json() == scheduler.why("backup", at)
    assert (await door.get("/v1/timers/backup/why")).json()["outcome"] == "none"
    assert (await door.get("/v1/timers/nix/why")).status_code == 404
    wrong = await door.get("/v1/timers/backup/why?at=2026-01-01T09:00")
    assert (wrong.status_code, "has no time zone" in wrong.json()["error"]) == (400, True)


# -- stories of a virtual time ---------------------------------------------------------------------


def test_what_comes_next_of_a_fixed_delay_is_what_the_status_says() -> None:
    with VirtualScheduler() as subject:
        subject.schedule("slow", lambda: subject.clock.sleep("3s"), every="10s")
        subject.advance("1m")
        assert subject.why("slow")["next_run_at"] == subject.status("slow")["next_run_at"]


def test_an_excluded_moment_is_left_out_also_before_its_jitter_is_over() -> None:
    with VirtualScheduler() as subject:
        subject.schedule("x", lambda: None, cron="0 * * * *", exclude="sat", jitter="5m")
        subject.advance_to("2027-01-02T12:00:00Z")
        (why, *_) = subject.why("x")["text"]
        assert (
            why == "x did not run at 2027-01-02 12:00:00Z: left out by exclude=." or "does" in why
        )
        assert "jitter" not in why


def test_the_attempts_before_the_one_that_went_well_are_told_of() -> None:
    outcomes = iter([ValueError("no network"), None])

    def flaky() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    with VirtualScheduler() as subject:
        subject.schedule("fetch", flaky, after="1h", retry_delay="10s")
        subject.advance("2h")
        told = " ".join(subject.why("fetch")["text"])
    assert "Attempt 1 failed at" in told
    assert "It said: ValueError: no network" in told
    assert "Attempt 2, begun at" in told


def test_a_sentence_behind_another_day_says_its_day() -> None:
    with VirtualScheduler() as subject:
        subject.schedule("x", lambda: None, cron="0 0 * * *", not_before="2030-01-01T00:00Z")
        subject.advance("3d")
        told = subject.why("x")["text"]
    assert told[-1].startswith("Next: 2030-01-01 00:00:00Z")


def test_who_paused_a_timer_and_until_when() -> None:
    with VirtualScheduler() as subject:
        subject.schedule("x", lambda: None, cron="0 * * * *")
        subject.pause("x", for_="90m", reason="deploy", who="ann")
        before = subject.why("x")
        subject.advance("91m")
        after = subject.why("x")
    assert before["text"][1:] == [
        "Nothing runs until 01:30:00Z: x has been paused since 00:00:00Z.",
        "It was paused by ann: deploy.",
        "Next: 02:00:00Z, by cron 0 * * * *.",
    ]
    assert before["next_run_at"] == "2027-01-01T02:00:00+00:00"
    assert after["text"][0].endswith(
        "the timer was paused until 01:30:00Z, when that ended by itself."
    )


def test_a_moment_of_a_pause_that_was_backfilled() -> None:
    with VirtualScheduler() as subject:
        subject.schedule("x", lambda: None, cron="0 * * * *", missed="skip")
        subject.pause("x", for_="90m")
        subject.advance("100m")
        subject.backfill("x", since="2h")
        subject.advance("1s")
        why = subject.why("x", "2027-01-01T01:00:00Z")
    assert (why["outcome"], why["because"]) == ("ran", "paused")
    assert why["text"][0].startswith("x did not run at 2027-01-01 01:00:00Z: the timer was paused")
    assert why["text"][1].startswith("A backfill ran x at 01:40:00Z for 01:00:00Z")
