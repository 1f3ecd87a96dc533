"""The routes of the door, against a real scheduler."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx2
import pytest

import kron
from kron.server.app import Guard

from .conftest import until


async def test_the_timers_are_the_dicts_of_the_python_surface(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    answer = await door.get("/v1/timers")
    assert answer.json() == scheduler.list()
    assert (await door.get("/v1/timers/backup")).json() == scheduler.status("backup")


async def test_a_triggered_run_is_seen_cancelled_and_kept_in_history(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    run_id = (await door.post("/v1/timers/backup/trigger")).json()["run_id"]
    assert (await door.get("/v1/timers/backup")).json()["open_runs"] == [run_id]
    assert (await door.post("/v1/timers/backup/trigger")).json() == {"run_id": None}
    assert (await door.post(f"/v1/runs/{run_id}/cancel")).json() == {"cancelled": 1}
    await until(lambda: not scheduler.status("backup")["open_runs"])
    assert (await door.post(f"/v1/runs/{run_id}/cancel")).json() == {"cancelled": 0}
    rows = (await door.get("/v1/timers/backup/history")).json()
    assert rows == scheduler.history("backup")
    assert [row["status"] for row in rows] == ["CANCELLED", "SKIPPED_OVERLAP"]
    assert (await door.get("/v1/history?limit=1")).json() == rows[:1]


async def test_cancel_by_name_stops_every_open_run(door: httpx2.AsyncClient) -> None:
    assert (await door.post("/v1/timers/backup/cancel")).json() == {"cancelled": 0}
    await door.post("/v1/timers/backup/trigger")
    assert (await door.post("/v1/timers/backup/cancel")).json() == {"cancelled": 1}


async def test_pause_and_resume_say_whether_they_changed_anything(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    answers = [
        (await door.post(f"/v1/timers/backup/{verb}")).json()["changed"]
        for verb in ("pause", "pause", "resume", "resume")
    ]
    assert answers == [True, False, True, False]
    assert scheduler.status("backup")["state"] == "scheduled"


async def test_a_removed_timer_is_gone_also_for_the_next_start(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    assert (await door.delete("/v1/timers/backup")).json() == {"removed": True}
    assert (await door.get("/v1/timers")).json() == []
    await scheduler.ashutdown()
    await scheduler.astart(tmp_path / "d")
    assert scheduler.list() == []


@pytest.mark.parametrize("way", ["header", "body"])
async def test_a_call_repeated_with_its_cmd_id_has_one_effect(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, way: str
) -> None:
    options = (
        {"headers": {"Idempotency-Key": "k1"}} if way == "header" else {"json": {"cmd_id": "k1"}}
    )
    first, again = [(await door.post("/v1/timers/backup/trigger", **options)) for _ in range(2)]
    assert first.json()["run_id"] is not None
    assert again.json() == first.json()
    assert len(scheduler.status("backup")["open_runs"]) == 1
    assert scheduler.status("backup")["skipped"] == 0


async def test_the_runtime_describes_itself(door: httpx2.AsyncClient, tmp_path: Path) -> None:
    facts = (await door.get("/v1/runtime")).json()
    assert facts["pid"] == os.getpid()
    assert facts["data_dir"] == str(tmp_path / "d")
    assert (facts["version"], facts["timers"], facts["open_runs"]) == (kron.__version__, 1, 0)
    assert facts["records"] >= 1
    assert facts["failure"] is None
    assert facts["thread"] == "MainThread"


async def test_the_doctor_finds_nothing_wrong(door: httpx2.AsyncClient) -> None:
    report = (await door.get("/v1/doctor")).json()
    assert report["ok"], report["checks"]
    assert report["holder_pid"] == os.getpid()
    assert report["runtime"]["pid"] == os.getpid()
    assert report["log"]["timers"] == 1


async def test_shutdown_answers_at_once_and_the_scheduler_stops(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    over = asyncio.wrap_future(scheduler._control.running("test").over)
    answer = await door.post("/v1/runtime/shutdown", json={"timeout": 0.5})
    assert (answer.status_code, answer.json()) == (202, {"shutdown": "requested"})
    async with asyncio.timeout(5):
        await over
    assert not (tmp_path / "d" / "kron.sock").exists()


@pytest.mark.parametrize("verb", ["trigger", "pause", "resume", "cancel"])
async def test_a_verb_on_an_unknown_timer_is_a_404(door: httpx2.AsyncClient, verb: str) -> None:
    answer = await door.post(f"/v1/timers/nope/{verb}")
    assert answer.status_code == 404
    assert answer.json() == {"error": "there is no timer named 'nope'."}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/timers/nope", 404),
        ("GET", "/v1/timers/nope/history", 404),
        ("DELETE", "/v1/timers/nope", 404),
        ("POST", "/v1/runs/run_x/cancel", 404),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/timers", 405),
        ("GET", "/v1/history?limit=-1", 400),
        ("GET", "/v1/history?tenant=acme", 400),
        ("GET", "/v1/timers?metadata.tenant_id=acme", 400),
        ("GET", "/v1/timers?metadata=[1]", 400),
        ("GET", "/v1/timers?state=asleep", 400),
        ("GET", "/v1/history?limit=x", 400),
        ("GET", "/v1/history?limit=99999999999", 400),
    ],
)
async def test_errors_are_json_with_a_status(
    door: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await door.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"what": 1}', 400),
        (b'{"cmd_id": 7}', 400),
        (b'{"cmd_id": "\\n"}', 400),
        (b'{"cmd_id": "%s"}' % (b"x" * 129), 400),
        (b" " * (64 * 1024 + 1), 413),
    ],
)
async def test_a_bad_body_changes_nothing(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, body: bytes, status: int
) -> None:
    answer = await door.post("/v1/timers/backup/pause", content=body)
    assert answer.status_code == status
    assert "error" in answer.json()
    assert scheduler.status("backup")["state"] == "scheduled"


@pytest.mark.parametrize("timeout", [b"-1", b'"x"', b"true", b"null", b"1e999"])
async def test_a_shutdown_with_a_bad_timeout_is_refused(
    door: httpx2.AsyncClient, timeout: bytes
) -> None:
    answer = await door.post("/v1/runtime/shutdown", content=b'{"timeout": %s}' % timeout)
    assert answer.status_code == 400


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer nope", "Basic eDp5", "\xff"])
async def test_without_the_token_nothing_is_answered(
    door: httpx2.AsyncClient, given: str | None
) -> None:
    del door.headers["authorization"]
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    for path in ("/v1/timers", "/v1/nothing"):
        answer = await door.get(path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


async def test_another_user_is_refused_even_with_the_token() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    guard = Guard(None, "t")  # type: ignore[arg-type]  # it must not be reached
    headers = [(b"authorization", b"Bearer t")]
    scope = {"type": "http", "headers": headers, "state": {"peer_uid": os.geteuid() + 1}}
    await guard(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 403
