"""The door's routes for pausing, backfilling and reading output."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

import kron

from .conftest import until


async def quick() -> None:
    pass


@pytest.fixture
async def scheduler(tmp_path: Path) -> AsyncIterator[kron.Scheduler]:
    scheduler = kron.Scheduler()
    scheduler.schedule("report", quick, cron="0 0 * * *")
    scheduler.schedule("backup", quick, every="1h")
    scheduler.schedule("once", quick, after="1h")
    scheduler.schedule("hello", kron.command(["echo", "grüß dich"]), every="1h")
    await scheduler.astart(tmp_path / "d")
    yield scheduler
    await scheduler.ashutdown(0)


def paused(scheduler: kron.Scheduler) -> set[str]:
    return {timer["id"] for timer in scheduler.list() if timer["state"] == "paused"}


async def test_a_pause_takes_its_end_and_the_words_with_it(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    body = {"for": "2h", "reason": "deploy", "who": "ada"}
    answer = await door.post("/v1/timers/report/pause", json=body)
    assert answer.json() == {"changed": True}
    pause = scheduler.status("report")["paused"]
    lasts = datetime.fromisoformat(pause["until"]) - datetime.fromisoformat(pause["since"])
    assert (lasts, pause["reason"], pause["who"]) == (timedelta(hours=2), "deploy", "ada")
    assert (await door.post("/v1/timers/report/pause")).json() == {"changed": False}
    answer = await door.post("/v1/timers/report/resume", json={"who": "ada"})
    assert answer.json() == {"changed": True}


async def test_some_or_all_are_paused_and_resumed(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    at = "2999-01-01T00:00:00+00:00"
    names = ["report", "backup", "not there"]
    answer = await door.post("/v1/pause", json={"names": names, "until": at})
    assert answer.json() == {"changed": 2}
    assert paused(scheduler) == {"report", "backup"}
    assert scheduler.status("backup")["paused"]["until"] == at
    assert (await door.post("/v1/resume", json={"names": ["backup"]})).json() == {"changed": 1}
    assert (await door.post("/v1/pause", json={"all": True})).json() == {"changed": 3}
    assert (await door.post("/v1/resume", json={"all": True})).json() == {"changed": 4}
    assert paused(scheduler) == set()


async def test_a_backfill_begins_once_however_often_it_is_sent(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    path = "/v1/timers/report/backfill"
    preview = (await door.post(path, json={"since": "3d", "dry_run": True})).json()
    assert (preview["moments"], len(preview["scheduled_at"])) == (3, 3)
    headers = {"idempotency-key": "one"}
    first = (await door.post(path, json={"since": "3d"}, headers=headers)).json()
    assert (first["moments"], first["done"], first["dry_run"]) == (3, 0, False)
    await until(lambda: scheduler.status("report")["succeeded"] == 3)
    again = (await door.post(path, json={"since": "3d"}, headers=headers)).json()
    assert again["moments"] == 3
    assert scheduler.status("report")["backfill"] is None
    assert (await door.post(path, json={"since": "3d"})).json()["done"] == 3
    assert scheduler.status("report")["succeeded"] == 3


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("timers/report/pause", {"for": "x"}, "not a duration"),
        ("timers/report/pause", {"for": ["1h"]}, "must be a str"),
        ("timers/report/pause", {"for": "1h", "until": "2999-01-01T00:00Z"}, "not both"),
        ("timers/report/pause", {"until": "2001-01-01T00:00Z"}, "in the past"),
        ("timers/report/pause", {"until": 5}, "aware datetime"),
        ("timers/report/pause", {"reason": None}, "reason must be a string"),
        ("timers/report/pause", {"match": "r"}, "unknown field 'match'"),
        ("timers/report/resume", {"who": 7}, "who must be a string"),
        ("timers/report/resume", {"for": "1h"}, "unknown field 'for'"),
        ("pause", {}, "say whom"),
        ("pause", {"all": False}, "say whom"),
        ("pause", {"all": True, "names": ["report"]}, "say whom"),
        ("pause", {"names": "report"}, "say whom"),
        ("pause", {"names": [7]}, "say whom"),
        ("pause", {"match": "(a+)+$"}, "unknown field 'match'"),
        ("resume", {"all": 1}, "say whom"),
        ("timers/report/backfill", {}, "needs the keyword since="),
        ("timers/report/backfill", {"since": 5.5, "until": []}, "until must be"),
        ("timers/report/backfill", {"since": "2999-01-01T00:00Z"}, "lies in the future"),
        ("timers/report/backfill", {"since": "1d", "concurrency": "2"}, "must be an int"),
        ("timers/report/backfill", {"since": "1d", "concurrency": 2}, "overlap='allow'"),
        ("timers/report/backfill", {"since": "1d", "force": "yes"}, "True or False"),
        ("timers/once/backfill", {"since": "1d"}, "one moment"),
        ("timers/once/backfill", {"since": "1d", "dry_run": True}, "one moment"),
    ],
)
async def test_a_mistake_is_a_400_that_changes_nothing(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, path: str, body: Any, text: str
) -> None:
    answer = await door.post(f"/v1/{path}", json=body)
    assert answer.status_code == 400, answer.text
    assert text in answer.json()["error"]
    assert paused(scheduler) == set()
    assert all(timer["backfill"] is None for timer in scheduler.list())


async def test_an_unknown_timer_is_a_404(door: httpx2.AsyncClient) -> None:
    answer = await door.post("/v1/timers/nope/backfill", json={"since": "1d"})
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "there is no timer named 'nope'."},
    )


async def test_what_a_run_printed_is_read_on_from_an_offset(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    run_id = await scheduler.atrigger("hello")
    await until(lambda: scheduler.status("hello")["succeeded"] == 1)
    path = f"/v1/runs/{run_id}/output"
    whole = (await door.get(path)).json()
    assert whole == {"text": "grüß dich\n", "offset": 12, "is_open": False}
    assert (await door.get(path + "?offset=8")).json()["text"] == "ich\n"
    rest = (await door.get(path + f"?offset={whole['offset']}")).json()
    assert rest == {"text": "", "offset": 12, "is_open": False}


@pytest.mark.parametrize("offset", ["-1", "x", "", "1" * 16, "²"])
async def test_an_offset_is_a_number(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, offset: str
) -> None:
    run_id = await scheduler.atrigger("backup")
    answer = await door.get(f"/v1/runs/{run_id}/output", params={"offset": offset})
    assert answer.status_code == 400
    assert (await door.get("/v1/runs/run_x/output")).status_code == 404


async def test_an_open_run_is_said_to_be_open(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    await scheduler.aschedule("slow", kron.command("echo begun; sleep 60", shell=True), every="1h")
    run_id = await scheduler.atrigger("slow")
    path = f"/v1/runs/{run_id}/output"
    async with asyncio.timeout(10):
        while (answer := (await door.get(path)).json())["text"] == "":
            await asyncio.sleep(0.01)
    assert answer == {"text": "begun\n", "offset": 6, "is_open": True}
    await scheduler.acancel(run_id)
    await until(lambda: scheduler.status("slow")["open_runs"] == [])
    assert (await door.get(path)).json()["is_open"] is False
