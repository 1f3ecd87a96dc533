"""A rotation seals what is there; whatever breaks in it, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kron.core.errors import DataDirLocked, LogCorrupt, LogFailed, StorageError
from kron.storage.disk import Disk
from kron.storage.file import FileLog
from kron.storage.log import Record
from kron.storage.reader import LogReader


class DiskWithCopies(Disk):
    """Calls `copy` before and after each call that changes the directory, once armed."""

    is_armed = False

    def copy(self) -> None:
        raise NotImplementedError


def _copied(name: str) -> Callable[..., object]:
    def call(self: DiskWithCopies, *arguments: object) -> object:
        if self.is_armed:
            self.copy()
        result = getattr(Disk, name)(self, *arguments)
        if self.is_armed:
            self.copy()
        return result

    return call


for _name in ("write", "fdatasync", "fsync", "fsync_dir", "rename", "unlink"):
    setattr(DiskWithCopies, _name, _copied(_name))


async def opened(data_dir: Path, **options: object) -> FileLog:
    log = FileLog(data_dir, **options)  # type: ignore[arg-type]
    await log.open()
    return log


async def fill(log: FileLog, count: int) -> None:
    for _ in range(count):
        await log.append(log.tip + 1, b"[%d]" % (log.tip + 1))


def records(first: int, last: int) -> list[Record]:
    return [Record(index, b"[%d]" % index) for index in range(first, last + 1)]


async def read_all(log: FileLog, after: int = 0) -> list[Record]:
    found: list[Record] = []
    while some := await log.read(after + len(found), 1000):
        found += some
    return found


async def check_goes_on(data_dir: Path, tip: int) -> None:
    """What was acknowledged is there; an append, a rotation, another append work, and stay."""
    log = await opened(data_dir)
    assert log.tip == tip and await read_all(log) == records(1, tip)
    await fill(log, 1)
    assert await log.rotate() == tip + 1
    await fill(log, 1)
    await log.close()
    assert not (data_dir / "kron.aof.tmp").exists()
    log = await opened(data_dir)
    assert await read_all(log) == records(1, tip + 2) == list(LogReader(data_dir))
    await log.close()


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
async def test_records_are_read_across_sealed_files(data_dir, fsync) -> None:
    log = await opened(data_dir, fsync=fsync)
    assert await log.rotate() == 0 and log.size_bytes == 0
    for _ in range(3):
        await fill(log, 3)
        assert log.size_bytes > 0
        assert await log.rotate() == await log.rotate() == log.tip
        assert log.size_bytes == 0
    await fill(log, 2)
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.glob("kron.aof*")}
    assert names == dict.fromkeys(["kron.aof", "kron.aof.3", "kron.aof.6", "kron.aof.9"], 0o600)
    for _ in range(2):
        assert (log.base, log.tip) == (0, 11)
        assert await read_all(log) == records(1, 11) == list(LogReader(data_dir))
        for after in range(12):
            for limit in range(1, 12):
                expected = records(after + 1, min(11, after + limit))
                assert await log.read(after, limit) == expected
        await log.close()
        log = await opened(data_dir, fsync=fsync)
    await log.close()


async def test_a_rotation_syncs_what_was_not(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="never", disk=disk)
    await fill(log, 1)
    assert disk.calls["fdatasync"] == 0
    await log.rotate()
    assert disk.calls["fdatasync"] == 1
    await log.close()


async def test_a_cancelled_rotation_is_carried_out(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    await fill(log, 1)
    disk.writing.clear()
    disk.hold = threading.Event()
    task = asyncio.create_task(log.rotate())
    assert await asyncio.to_thread(disk.writing.wait, 5)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    disk.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fill(log, 1)
    assert await read_all(log) == records(1, 2) and (data_dir / "kron.aof.1").exists()
    await log.close()


async def test_an_abandoned_rotation_stops_between_two_calls(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    await fill(log, 2)
    disk.writing.clear()
    disk.hold = threading.Event()
    task = asyncio.create_task(log.rotate())
    assert await asyncio.to_thread(disk.writing.wait, 5)
    threading.Timer(0.01, disk.hold.set).start()
    await asyncio.to_thread(log.abandon)
    with pytest.raises(LogFailed, match="abandoned"):
        await task
    assert not (data_dir / "kron.aof.2").exists()
    await check_goes_on(data_dir, 2)


async def test_the_new_file_is_locked_and_the_sealed_one_is_not_held(data_dir) -> None:
    log = await opened(data_dir)
    await fill(log, 1)
    await log.rotate()
    os.unlink(data_dir / "kron.lock")
    with pytest.raises(DataDirLocked):
        await FileLog(data_dir).open()
    held = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{fd}")}  # fmt: skip
    assert str(data_dir / "kron.aof") in held and str(data_dir / "kron.aof.1") not in held
    await log.close()


@pytest.mark.parametrize("for_ever", [False, True])
async def test_every_call_of_a_rotation_can_fail(tmp_path, dying, for_ever) -> None:
    """Up to the first rename the log goes on; behind it, it has failed and the next start mends."""
    outcomes = []
    for nth in range(1, 100):
        data_dir = tmp_path / str(nth)
        log = await opened(data_dir, disk=dying)
        await fill(log, 2)
        dying.arm(nth, for_ever=for_ever)
        try:
            await log.rotate()
        except LogFailed:
            outcomes.append("failed")
            assert log.failure is not None and "kron.aof" in str(log.failure)
        except StorageError as exc:
            outcomes.append("goes on")
            assert "goes on as it was" in str(exc) and log.failure is None
        hits = dying.hits
        dying.heal()
        assert await log.read(0, 9) == records(1, 2)
        if log.failure is None:
            await fill(log, 1)
            assert await log.rotate() == 3
        else:
            with pytest.raises(LogFailed):
                await log.append(3, b"[]")
            with pytest.raises(LogFailed):
                await log.rotate()
        await log.close()
        await check_goes_on(data_dir, 3 if log.failure is None else 2)
        if not hits:
            break
    soft = outcomes.index("failed", 1)
    assert outcomes[0] == "failed"  # the sync of what is sealed
    assert outcomes[1:] == ["goes on"] * (soft - 1) + ["failed"] * (len(outcomes) - soft)
    assert len(outcomes) - soft == 3 and soft >= 5


async def test_a_directory_as_it_was_between_two_steps_opens(data_dir) -> None:
    """A copy of the directory after each call that changes it: as after kill -9."""
    copies: list[Path] = []

    class Copying(DiskWithCopies):
        def copy(self) -> None:
            copies.append(data_dir.parent / f"copy{len(copies)}")
            shutil.copytree(data_dir, copies[-1])

    disk = Copying()
    log = await opened(data_dir, disk=disk)
    await fill(log, 2)
    disk.is_armed = True
    await log.rotate()
    disk.is_armed = False
    await log.close()
    names = {tuple(sorted(path.name for path in copy.glob("kron.aof*"))) for copy in copies}
    assert ("kron.aof.2", "kron.aof.tmp") in names and ("kron.aof", "kron.aof.tmp") in names
    for copy in copies:
        copy.chmod(0o700)
        assert list(LogReader(copy)) == records(1, 2)
        await check_goes_on(copy, 2)


async def test_a_full_disk_does_not_stop_the_log(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    await fill(log, 1)
    disk.fail = {"fsync": errno.ENOSPC}
    for _ in range(3):
        with pytest.raises(StorageError, match="No space left on device"):
            await log.rotate()
        assert not (data_dir / "kron.aof.tmp").exists() and log.failure is None
        await fill(log, 1)
    disk.fail = {}
    assert await log.rotate() == 4
    await log.close()


async def test_the_second_rename_is_made_at_the_next_start(data_dir) -> None:
    log = await opened(data_dir)
    await fill(log, 3)
    await log.rotate()
    log_id = log.log_id
    await log.close()
    os.rename(data_dir / "kron.aof", data_dir / "kron.aof.tmp")
    reader = LogReader(data_dir)
    assert (reader.log_id, list(reader)) == (log_id, records(1, 3))
    assert [file.name for file in reader.files] == ["kron.aof.3"]
    assert (data_dir / "kron.aof.tmp").exists()
    await check_goes_on(data_dir, 3)


async def test_a_missing_file_is_named_and_no_fresh_log_is_made(data_dir, tmp_path) -> None:
    log = await opened(data_dir)
    await fill(log, 3)
    await log.rotate()
    await fill(log, 1)
    await log.close()
    os.unlink(data_dir / "kron.aof")
    other = await opened(tmp_path / "other")
    await other.close()
    for content in (None, b"", b"garbage", (tmp_path / "other" / "kron.aof").read_bytes()):
        if content is not None:
            (data_dir / "kron.aof.tmp").write_bytes(content)
        before = {path: path.read_bytes() for path in data_dir.glob("kron.aof*")}
        with pytest.raises(LogCorrupt, match=r"kron\.aof is missing, but .*kron\.aof\.3 is there"):
            await FileLog(data_dir).open()
        with pytest.raises(LogCorrupt, match=r"kron\.aof is missing"):
            LogReader(data_dir)
        assert {path: path.read_bytes() for path in data_dir.glob("kron.aof*")} == before


async def test_a_leftover_of_a_rotation_is_removed(data_dir) -> None:
    log = await opened(data_dir)
    await fill(log, 2)
    await log.close()
    (data_dir / "kron.aof.tmp").write_bytes(b"half a hea")
    assert list(LogReader(data_dir)) == records(1, 2)
    await check_goes_on(data_dir, 2)


async def test_a_closed_log_does_not_rotate(data_dir) -> None:
    log = await opened(data_dir)
    await fill(log, 1)
    await log.close()
    with pytest.raises(LogFailed, match="not open"):
        await log.rotate()


async def test_a_child_forked_behind_a_rotation_holds_nothing(data_dir) -> None:
    log = await opened(data_dir)
    await fill(log, 1)
    await log.rotate()
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    await log.close()
    second = await opened(data_dir)
    await second.close()
    os.write(done[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for fd in (*ready, *done):
        os.close(fd)
