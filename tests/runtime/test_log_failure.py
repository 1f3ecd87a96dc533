"""A log that fails stops everything at once, visibly, and the scheduler can be started again."""

import asyncio
import errno
import threading

import pytest

import kron
from kron.scheduler import Scheduler
from kron.storage.disk import Disk
from kron.storage.file import FileLog


class FailingDisk(Disk):
    """Fails the named call with ENOSPC from the moment it is told to."""

    def __init__(self, call):
        self.call = call
        self.is_failing = False

    def _fail(self, call):
        if self.is_failing and call == self.call:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, fd, content):
        self._fail("write")
        return super().write(fd, content)

    def fdatasync(self, fd):
        self._fail("fdatasync")
        super().fdatasync(fd)


@pytest.fixture(params=["write", "fdatasync"])
def failing(request, tmp_path):
    disk = FailingDisk(request.param)
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    scheduler.disk, scheduler.data_dir = disk, tmp_path / ".kron"
    yield scheduler
    scheduler.shutdown(0.1)


def test_a_failed_append_is_not_acknowledged_and_stays_visible(failing):
    failing.schedule("kept", print, every="1h")
    failing.start(failing.data_dir)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped, match="No space left") as failure:
        failing.schedule("lost", print, every="1h")
    assert isinstance(failure.value.__cause__, kron.LogFailed)
    for call in (failing.list, lambda: failing.status("kept"), lambda: failing.trigger("kept")):
        with pytest.raises(kron.KronStopped, match="No space left"):
            call()
    with pytest.raises(kron.KronStopped):
        failing.wait()


def test_a_run_whose_start_could_not_be_written_is_not_begun(failing):
    ran = []
    failing.schedule("beat", lambda: ran.append(1), every="1h")
    failing.start(failing.data_dir)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped):
        failing.trigger("beat")
    assert ran == []


def test_it_starts_again_when_the_disk_is_well(failing):
    failing.schedule("kept", print, every="1h")
    failing.start(failing.data_dir)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped):
        failing.pause("kept")
    failing.disk.is_failing = False
    failing.start(failing.data_dir)
    # What was not acknowledged may be there (written, not synced) or not, but never half.
    state = failing.status("kept")["state"]
    assert state in ("scheduled", "paused")
    assert failing.pause("kept") is (state == "scheduled")


def test_shutdown_after_a_failure_reports_it(failing):
    failing.start(failing.data_dir)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped):
        failing.schedule("lost", print, every="1h")
    report = failing.shutdown()
    assert report["stopped"] and "No space left" in report["error"]
    assert failing.shutdown()["error"] is None


async def test_it_fails_alike_on_the_callers_loop(failing):
    await failing.astart(failing.data_dir)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped, match="No space left"):
        await failing.aschedule("lost", print, every="1h")
    with pytest.raises(kron.KronStopped):
        await failing.alist()
    assert "No space left" in (await failing.ashutdown())["error"]


def test_a_sync_that_fails_while_nobody_waits_stops_the_scheduler(tmp_path):
    disk = FailingDisk("fdatasync")
    scheduler = Scheduler(open_log=lambda d, f, i: FileLog(d, fsync=f, interval_s=i, disk=disk))
    scheduler.start(tmp_path / ".kron", fsync="interval", fsync_interval="20ms")
    host = scheduler._control.host
    disk.is_failing = True
    scheduler.schedule("maybe", print, every="1h")
    host.over.result(10)
    with pytest.raises(kron.KronStopped, match="No space left"):
        scheduler.list()


def test_callbacks_in_flight_end_undisturbed(failing):
    began, release, ended = threading.Event(), threading.Event(), threading.Event()

    async def slow():
        began.set()
        await asyncio.to_thread(release.wait, 10)
        ended.set()

    failing.schedule("slow", slow, after=0)
    failing.start(failing.data_dir)
    assert began.wait(10)
    failing.disk.is_failing = True
    with pytest.raises(kron.KronStopped):
        failing.trigger("slow")
    release.set()
    assert ended.wait(10)
