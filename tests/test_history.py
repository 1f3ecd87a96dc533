"""`history()` and `kron job history` after compactions, restarts and trims: each row once."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kron.cli.main import app
from kron.core import cut
from kron.core.errors import UnknownTimer
from kron.scheduler import Scheduler
from kron.server.verify import verify
from kron.storage.history import Search
from kron.storage.memory import MemoryLog
from tests.waiting import eventually


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / ".kron"


@pytest.fixture
def live(place):
    made = []

    def start(**options) -> Scheduler:
        scheduler = Scheduler()
        for name in ("a", "b", "seldom"):
            scheduler.schedule(name, lambda: None, every="1h", overlap="allow")
        scheduler.start(place, fsync="never", **options)
        made.append(scheduler)
        return scheduler

    yield start
    for scheduler in made:
        scheduler.shutdown(1.0)


def run(scheduler: Scheduler, name: str, times: int) -> None:
    """Trigger the timer, and wait until it has run."""
    done = scheduler.status(name)["succeeded"]
    for _ in range(times):
        scheduler.trigger(name)
    eventually(lambda: scheduler.status(name)["succeeded"] == done + times)


def compact(scheduler: Scheduler) -> list[str]:
    """What the door's route does."""
    host = scheduler._control.host
    report = asyncio.run_coroutine_threadsafe(host.compaction.compact(), host.loop).result(10)
    host.log._parts.indexer.wait()
    return report["removed"]


def cli(place: Path, name: str, limit: int = 9999):
    done = CliRunner().invoke(
        app, ["--data-dir", str(place), "--json", "job", "history", name, "-n", str(limit)]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_history_goes_on_in_the_files(live, place, small_ring) -> None:
    """Through compactions, a restart, the door, the CLI beside it and the CLI without it."""
    first = live()
    seen = []
    for turn in range(4):
        run(first, "a", 15)
        run(first, "b", 12)
        if turn % 2 == 0:
            run(first, "seldom", 1)
        rows = first.history(limit=1000)
        assert len(rows) == (turn + 1) * 27 + turn // 2 + 1
        assert rows[-len(seen) :] == seen or not seen
        seen = rows
        compact(first)
        assert first.history(limit=1000) == seen
    assert len({row["run_id"] for row in seen}) == len(seen)
    for name in ("a", "b", "seldom"):
        mine = [row for row in seen if row["timer"] == name]
        for limit in (1, 2, 19, 20, 21, 33, 1000):
            assert first.history(name, limit=limit) == mine[:limit]
        assert cli(place, name) == mine
        assert asyncio.run(first.ahistory(name, limit=1000)) == mine
    assert len(list(place.glob("kron.aof.*.index"))) == 4
    first.shutdown()
    assert [cli(place, name) for name in ("a", "seldom")] == [
        [row for row in seen if row["timer"] == name] for name in ("a", "seldom")
    ]
    second = live()
    assert second.history(limit=1000) == seen
    run(second, "seldom", 1)
    assert [row["run_id"] for row in second.history("seldom")][1:] == [
        row["run_id"] for row in seen if row["timer"] == "seldom"
    ]


def test_a_removed_timer_keeps_its_history(live, place) -> None:
    first = live()
    run(first, "seldom", 2)
    first.remove("seldom")
    rows = first.history("seldom")
    compact(first)
    first.shutdown()
    assert len(rows) == 2 and cli(place, "seldom") == rows
    second = Scheduler()
    second.start(place)
    try:
        assert second.status("seldom") is None and second.history("seldom") == rows
        for name in ("never", "", "seldo", "t", "ä", "\ud800", 5):
            with pytest.raises(UnknownTimer):
                second.history(name)
    finally:
        second.shutdown()


@pytest.mark.parametrize("options", [{"keep_history_bytes": 0}, {"keep_history": "0s"}])
def test_what_is_not_kept_is_not_there(live, place, options) -> None:
    first = live(**options)
    left = []
    for turn in range(4):
        run(first, "a", 3)
        if turn == 0:
            run(first, "seldom", 1)
        assert bool(compact(first)) == (turn > 0)
        left.append(len(list(place.glob("kron.aof.*[0-9]"))))
    assert left == [1, 1, 1, 1]
    assert len(list(place.glob("kron.aof.*.index"))) == 1
    assert len(first.history(limit=99)) == 13  # what memory has is shown
    first.shutdown()
    second = Scheduler()
    second.start(place, **options)
    assert [row["timer"] for row in second.history(limit=99)] == ["a"] * 3
    assert second.status("seldom")["succeeded"] == 1 and second.history("seldom") == []
    second.shutdown()
    assert len(cli(place, "a")) == 3 and cli(place, "seldom") == []


def test_what_is_kept_by_default_stays(live, place) -> None:
    first = live(keep_history="1d")
    old = None
    for _ in range(3):
        run(first, "a", 3)
        assert compact(first) == []
        old = old or next(place.glob("kron.aof.*[0-9]"))
    assert len(first.history("a")) == 9
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    run(first, "a", 1)
    assert compact(first) == [old.name] and not old.with_name(f"{old.name}.index").exists()
    first.shutdown()
    second = live(keep_history="1d")
    assert len(second.history("a")) == 7


def test_the_loop_goes_on_while_files_are_read(live, monkeypatch) -> None:
    first = live()
    run(first, "a", 2)
    compact(first)
    first.shutdown()
    reading, may_go_on = threading.Event(), threading.Event()
    through = Search.through

    def slow(self, segments):
        reading.set()
        assert may_go_on.wait(10)
        through(self, segments)

    monkeypatch.setattr(Search, "through", slow)
    second = live()

    async def ask() -> None:
        asked = asyncio.ensure_future(second.ahistory("a"))
        await asyncio.to_thread(reading.wait, 10)
        assert not asked.done()
        run_id = await second.atrigger("a")
        while (await second.astatus("a"))["succeeded"] < 3:
            await asyncio.sleep(0.005)
        may_go_on.set()
        rows = await asked
        assert len(rows) == 2 and run_id not in {row["run_id"] for row in rows}

    asyncio.run(ask())
    assert len(second.history("a")) == 3


def test_history_inside_the_loop_reads_the_files_itself(place, small_ring) -> None:
    async def main() -> None:
        scheduler = Scheduler()
        scheduler.schedule("a", lambda: None, every="1h", overlap="allow")
        await scheduler.astart(place, fsync="never")
        for _ in range(50):
            await scheduler.atrigger("a")
        while scheduler.status("a")["succeeded"] < 50:
            await asyncio.sleep(0.005)
        assert len(scheduler.history("a", limit=60)) == 50
        assert scheduler.history("a", limit=60) == await scheduler.ahistory("a", limit=60)
        await scheduler.ashutdown()

    asyncio.run(main())


def test_another_store_keeps_history_too(small_ring) -> None:
    log = MemoryLog()
    scheduler = Scheduler(open_log=lambda *_: log)
    scheduler.schedule("a", lambda: None, every="1h", overlap="allow")
    scheduler.start()
    try:
        for _ in range(50):
            scheduler.trigger("a")
        eventually(lambda: scheduler.status("a")["succeeded"] == 50)
        rows = scheduler.history("a", limit=60)
        assert len({row["run_id"] for row in rows}) == len(rows) == 50
    finally:
        scheduler.shutdown()


def test_the_files_are_changed_after_a_trim(live, place) -> None:
    """The CLI without a runtime begins with the snapshot."""
    first = live(keep_history_bytes=0)
    for _ in range(3):
        run(first, "a", 2)
        compact(first)
    run(first, "a", 1)
    first.shutdown()
    assert len(list(place.glob("kron.aof.*[0-9]"))) == 1
    runner = CliRunner()
    for args in (["job", "pause", "a"], ["job", "status", "a"], ["doctor"]):
        done = runner.invoke(app, ["--data-dir", str(place), *args])
        assert done.exit_code == 0, done.output
    second = live()
    assert second.status("a")["state"] == "paused" and second.status("a")["succeeded"] == 7


def test_a_directory_of_a_kron_that_counted_less_is_read_and_proved(
    place, live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshots say nothing of durations and streaks: those count from then on."""
    plain = cut._timer_row

    def former(timer, image):
        row = plain(timer, image)
        return row if len(row) == 8 else [*row[:17], *row[20:]]

    scheduler = live()
    with monkeypatch.context() as patch:
        patch.setattr(cut, "_timer_row", former)
        run(scheduler, "a", 5)
        scheduler.backfill("b", since="3h")
        eventually(lambda: scheduler.status("b")["succeeded"] == 3)
        compact(scheduler)
        scheduler.shutdown()
    assert verify(str(place))["ok"]
    again = live()
    assert (again.status("a")["succeeded"], again.status("a")["ok_streak"]) == (5, 0)
    assert again.status("a")["duration_p50_ms"] is None
    run(again, "a", 2)
    assert again.status("a")["ok_streak"] == again.status("a")["longest_ok_streak"] == 2
    assert len(again.history("b")) == 3
    assert again.backfill("b", since="3h", dry_run=True)["done"] == 3
    compact(again)
    again.shutdown()
    proof = verify(str(place))
    assert proof["ok"], proof
