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
