"""`kron runtime status --check` and `kron metrics`, as a Docker HEALTHCHECK and a scraper ask."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import kron
from kron.cli.source import is_door_open
from kron.runtime import reading
from kron.scheduler import Scheduler
from kron.server import facts
from kron.storage.datadir import DataDir
from kron.storage.disk import Disk
from kron.storage.file import FileLog

from .conftest import Kron, until

CHECK = ("runtime", "status", "--check")


class WeakDisk(Disk):
    """A disk whose syncs can be made to fail, or to hang."""

    def __init__(self) -> None:
        self.is_full = False
        self.goes_on = threading.Event()
        self.goes_on.set()

    def fdatasync(self, fd: int) -> None:
        assert self.goes_on.wait(20)
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().fdatasync(fd)


@pytest.fixture
def disk() -> WeakDisk:
    return WeakDisk()


@pytest.fixture
def weak(disk: WeakDisk, tmp_path: Path) -> Iterator[kron.Scheduler]:
    """A scheduler in this process, on a disk that can be made to fail."""
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    scheduler._has_door = True  # which a log of one's own has not
    scheduler.schedule("hourly", print, every="1h")
    scheduler.start(tmp_path / "d")
    until((tmp_path / "d" / "kron.sock").is_socket)
    yield scheduler
    disk.goes_on.set()
    scheduler.shutdown(0)


@pytest.fixture
def cli(tmp_path: Path) -> Kron:
    return Kron(tmp_path / "d")


@pytest.fixture
def stuck(weak: kron.Scheduler, disk: WeakDisk) -> Callable[..., None]:
    """Schedules a timer, and has the disk hang until its moment has passed."""

    def stick(**more: str) -> None:
        weak.schedule("beat", print, every="50ms", overlap="skip", **more)
        disk.goes_on.clear()
        threading.Thread(target=weak.trigger, args=["hourly"], daemon=True).start()
        engine = weak._control.engine("test")
        until(lambda: engine.reading.ask(lambda each: each.overdue()).result(5))

    return stick


def test_a_scheduler_that_is_well(weak: kron.Scheduler, cli: Kron) -> None:
    line = cli(*CHECK).stdout
    assert line.startswith(f"healthy: process {os.getpid()}, 1 timer, 0 open runs, answered in ")
    assert line.count("\n") == 1 and len(line) <= 80
    health = cli.json(*CHECK)
    assert (health["healthy"], health["problems"]) == (True, [])
    assert health["runtime"]["pid"] == os.getpid()


def test_no_runtime_is_unhealthy(cli: Kron) -> None:
    line = cli(*CHECK, code=1).stdout
    assert line == f"unhealthy: no runtime is alive in {cli.directory}\n"
    assert '"healthy": false' in cli(*CHECK, "--json", code=1).stdout
    assert not cli.directory.exists()


def test_a_loop_that_is_blocked_is_found_out_within_the_limit(
    weak: kron.Scheduler, cli: Kron
) -> None:
    began, let_go = threading.Event(), threading.Event()

    async def block() -> None:
        began.set()
        deadline = time.monotonic() + 10
        while not let_go.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)

    weak.schedule("block", block, after=0)
    assert began.wait(10)
    try:
        asked = time.monotonic()
        line = cli(*CHECK, "--timeout", "0.4", code=1).stdout
        took = time.monotonic() - asked
        who = f"process {os.getpid()}"
        assert line == f"unhealthy: the event loop of {who} does not answer within 0.4 s\n"
        assert 0.4 <= took < 5
    finally:
        let_go.set()
    assert cli(*CHECK).stdout.startswith("healthy: ")


def test_a_log_that_failed_is_unhealthy_and_says_why(
    weak: kron.Scheduler, disk: WeakDisk, cli: Kron
) -> None:
    host = weak._control.host
    disk.is_full = True
    with pytest.raises(kron.KronStopped):
        weak.trigger("hourly")
    host.over.result(10)
    line = cli(*CHECK, code=1).stdout
    assert line.startswith("unhealthy: no runtime is alive in ")
    assert "No space left on device" in line and line.count("\n") == 1


def test_a_timer_beyond_its_grace_is_unhealthy(
    stuck: Callable[..., None], cli: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OVERDUE_US", 1_000)
    monkeypatch.setattr(reading, "GRACE_US", 2_000)
    stuck()
    line = cli(*CHECK, code=1).stdout
    assert line == "unhealthy: overdue beyond its grace: beat by 0 s\n"
    assert cli.json("runtime", "status")["overdue"][0]["beyond_grace"] is True
    shown = cli("runtime", "status").stdout
    assert "beat  " in shown and all(len(each) <= 80 for each in shown.splitlines())


def test_a_timer_within_its_grace_is_shown_and_healthy(
    stuck: Callable[..., None], cli: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OVERDUE_US", 1_000)
    monkeypatch.setattr(reading, "GRACE_US", 2_000)
    stuck(grace="1h")
    assert cli(*CHECK).stdout.startswith("healthy: ")
    found = cli.json("runtime", "status")["overdue"]
    assert [(each["timer"], each["beyond_grace"]) for each in found] == [("beat", False)]
    assert 0 < found[0]["seconds"] < 60


def test_a_disk_that_has_stalled_is_unhealthy(
    stuck: Callable[..., None], cli: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if no timer is overdue: whatever fell due first is in the record on its way."""
    monkeypatch.setattr(facts, "STALLED_SECONDS", 0.01)
    monkeypatch.setattr(reading, "OVERDUE_US", 1_000)
    stuck(grace="1h")
    line = cli(*CHECK, code=1).stdout
    assert line.startswith("unhealthy: the disk has not answered for ")


def test_the_limit_is_a_number_of_seconds(cli: Kron) -> None:
    assert "--timeout" in cli(*CHECK, "--timeout", "0", code=2).stderr


def test_a_full_queue_of_callers_is_no_open_door(tmp_path: Path) -> None:
    """Each check of a blocked loop leaves a caller behind."""
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as first:
        door.bind(str(tmp_path / "kron.sock"))
        door.listen(0)
        first.connect(str(tmp_path / "kron.sock"))
        assert is_door_open(DataDir(tmp_path, read_only=True)) is False


def test_metrics_are_prometheus_text_and_json(weak: kron.Scheduler, cli: Kron) -> None:
    text = cli("metrics").stdout
    names = [family.name for family in text_string_to_metric_families(text)]
    assert {"kron_runs", "kron_timers", "kron_log_fsync_seconds"} <= set(names)
    document = cli.json("metrics")
    assert [family["name"] for family in document] == names
    timers = next(family for family in document if family["name"] == "kron_timers")
    assert timers["type"] == "gauge"
    assert {"name": "kron_timers", "labels": {"state": "scheduled"}, "value": 1.0} in timers[
        "samples"
    ]


def test_metrics_need_a_living_runtime(cli: Kron) -> None:
    result = cli("metrics", code=1)
    assert result.stderr == f"kron: no runtime is alive in {cli.directory}\n"
    assert result.stdout == ""
