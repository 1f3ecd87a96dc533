"""GET /metrics, read back as Prometheus reads it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

import kron
from kron.core.histogram import Histogram
from kron.runtime import reading
from kron.runtime.census import Counts
from kron.runtime.meter import Meter
from kron.scheduler import Scheduler
from kron.server.figures import Figures
from kron.server.metrics import render
from kron.storage.disk import Disk
from kron.storage.file import FileLog

from .conftest import door_of, until

Samples = dict[tuple[str, str], float]


def samples_of(text: str) -> Samples:
    """The values by name and label; the last label only, which tells them apart."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(door: httpx2.AsyncClient) -> Samples:
    answer = await door.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples_of(answer.text)


class SlowDisk(Disk):
    """Its syncs wait for `goes_on`."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()

    def fdatasync(self, fd: int) -> None:
        assert self.goes_on.wait(20)
        super().fdatasync(fd)


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[tuple[kron.Scheduler, SlowDisk]]:
    disk = SlowDisk()
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    scheduler._has_door = True  # which a log of one's own has not
    yield scheduler, disk
    disk.goes_on.set()
    await scheduler.ashutdown(0)


async def test_runs_are_counted_by_outcome_with_lateness_and_duration(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    async def nap() -> None:
        await asyncio.sleep(0.002)

    async def fail() -> None:
        raise ValueError("no")

    await scheduler.aschedule("good", nap, every="1h")
    await scheduler.aschedule("bad", fail, every="1h", max_attempts=2, retry_delay=0.001)
    for name in ("good", "bad", "backup", "backup"):
        await scheduler.atrigger(name)
    await until(lambda: (scheduler.status("bad")["last_status"] or "").startswith("DEAD"))
    await until(lambda: scheduler.status("good")["last_status"] == "OK")
    await scheduler.acancel("backup")
    await until(lambda: not scheduler.status("backup")["open_runs"])
    found = await scrape(door)
    outcomes = {word: found["kron_runs_total", word] for word in ("succeeded", "dead", "cancelled")}
    assert outcomes == {"succeeded": 1, "dead": 1, "cancelled": 1}
    assert found["kron_failed_attempts_total", "error"] == 2
    assert found["kron_skipped_moments_total", ""] == 1
    assert found["kron_missed_moments_total", "down"] == 0
    assert found["kron_run_lateness_seconds_count", ""] == 3
    assert found["kron_attempt_duration_seconds_count", ""] == 3
    assert found["kron_attempt_duration_seconds_sum", ""] >= 0.002


async def test_gauges_show_timers_runs_and_the_log(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler
) -> None:
    await scheduler.aschedule("still", print, every="1h")
    await scheduler.apause("still")
    await scheduler.atrigger("backup")
    found = await scrape(door)
    facts = (await door.get("/v1/runtime")).json()
    assert (found["kron_timers", "running"], found["kron_timers", "paused"]) == (1, 1)
    assert (found["kron_timers", "scheduled"], found["kron_runs_running", ""]) == (0, 1)
    assert found["kron_log_records", ""] == facts["records"]
    assert found["kron_log_size_bytes", ""] == facts["log_bytes"] > 0
    assert found["kron_log_fsync_seconds_count", ""] >= facts["records"]
    assert found["kron_log_fsync_seconds_sum", ""] > 0
    assert 0 <= time.time() - found["kron_start_time_seconds", ""] < 60
    assert found["kron_timers_overdue", ""] == 0


async def test_the_text_is_well_formed(door: httpx2.AsyncClient) -> None:
    text = (await door.get("/metrics")).text
    families = list(text_string_to_metric_families(text))
    assert len(families) == len({family.name for family in families}) > 10
    for family in families:
        assert family.name.startswith("kron_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
    build = next(family for family in families if family.name == "kron_build_info")
    assert build.samples[0].labels["version"] == kron.__version__


async def test_the_buckets_of_a_histogram_add_up(door: httpx2.AsyncClient) -> None:
    text = (await door.get("/metrics")).text
    histograms = [f for f in text_string_to_metric_families(text) if f.type == "histogram"]
    assert len(histograms) == 3
    for family in histograms:
        buckets = [s for s in family.samples if s.name.endswith("_bucket")]
        bounds = [float(bucket.labels["le"]) for bucket in buckets]
        counts = [bucket.value for bucket in buckets]
        count = next(s.value for s in family.samples if s.name.endswith("_count"))
        assert (bounds, counts) == (sorted(bounds), sorted(counts))
        assert (bounds[-1], counts[-1]) == (float("inf"), count)


async def test_without_the_token_there_are_no_figures(door: httpx2.AsyncClient) -> None:
    del door.headers["authorization"]
    assert (await door.get("/metrics")).status_code == 401


async def test_counters_begin_anew_with_a_start(
    door: httpx2.AsyncClient, scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    await scheduler.atrigger("backup")
    await scheduler.acancel("backup")
    await until(lambda: not scheduler.status("backup")["open_runs"])
    assert (await scrape(door))["kron_runs_total", "cancelled"] == 1
    await scheduler.ashutdown()
    await scheduler.astart(tmp_path / "d")
    async with await door_of(tmp_path / "d") as door:
        assert (await scrape(door))["kron_runs_total", "cancelled"] == 0


async def test_a_timer_that_a_stalled_disk_holds_up_is_overdue(
    slow: tuple[kron.Scheduler, SlowDisk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the log's own word of it; only such a timer has a figure of its own."""
    monkeypatch.setattr(reading, "OVERDUE_US", 1_000)
    scheduler, disk = slow
    await scheduler.aschedule("beat", print, every="50ms", overlap="skip", missed="skip")
    await scheduler.aschedule("hourly", print, every="1h")
    await scheduler.astart(tmp_path / "d")
    async with await door_of(tmp_path / "d") as door:
        disk.goes_on.clear()
        stuck = asyncio.ensure_future(scheduler.atrigger("hourly"))
        found: Samples = {}
        async with asyncio.timeout(10):
            while not found.get(("kron_timers_overdue", "")):
                found = await scrape(door)
        assert found["kron_timer_overdue_seconds", "beat"] > 0
        assert found["kron_log_pending_seconds", ""] > 0
        assert ("kron_timer_overdue_seconds", "hourly") not in found
        disk.goes_on.set()
        await stuck


def test_a_log_without_a_disk_has_no_syncs() -> None:
    assert "fsync" not in render(figures(syncs=None)).decode()
    assert "fsync" in render(figures(syncs=Histogram((50,)))).decode()


def test_a_name_is_escaped() -> None:
    late = reading.Overdue('a"b\\c', 0, 7_000_000, True)
    found = samples_of(render(figures(overdue=[late])).decode())
    assert found["kron_timer_overdue_seconds", 'a"b\\c'] == 7


def test_the_library_is_not_loaded_before_somebody_asks() -> None:
    """It costs a start fifty milliseconds and some memory that few need."""
    program = "import sys, kron.server.door; print('prometheus_client' in sys.modules)"
    assert os.popen(f'{sys.executable} -c "{program}"').read() == "False\n"


def figures(**given: Any) -> Figures:
    counts = Counts({"scheduled": 1}, 0, {"retry": 0})
    values = {"overdue": [], "syncs": None} | given
    overdue = values["overdue"]
    sizes = (len(overdue), overdue, 1, 1, 0.0, 4, 3)
    return Figures("1", 0, Meter(), counts, *sizes, values["syncs"])
