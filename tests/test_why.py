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
