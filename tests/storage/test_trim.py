"""Sealed files go when they are too much or too old, and never one that a snapshot needs."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from kron.core.errors import LogFailed, LogTruncated, StorageError
from kron.storage.file import FileLog
from kron.storage.log import Record
from kron.storage.reader import LogReader

HOUR_S = 3600.0
LOTS = 1 << 40


async def opened(data_dir: Path, **options: object) -> FileLog:
    log = FileLog(data_dir, **options)  # type: ignore[arg-type]
    await log.open()
    return log


async def fill(log: FileLog, count: int = 2) -> None:
    for _ in range(count):
        await log.append(log.tip + 1, b"[%d]" % (log.tip + 1))


async def snapshot(log: FileLog) -> None:
    sink = await log.begin_snapshot(log.tip)
    await sink.commit()


async def sealed(data_dir: Path, **options: object) -> FileLog:
    """Files that end with 2, 4, 6, 8; snapshots of 4 and 6; an empty one that grows."""
    log = await opened(data_dir, **options)
    for tip in (2, 4, 6, 8):
        await fill(log)
        await log.rotate()
        if tip in (4, 6):
            await snapshot(log)
    return log


def names(data_dir: Path) -> set[str]:
    """Without the indexes, which a thread makes in its own time."""
    return {path.name for path in data_dir.glob("kron.aof*") if "index" not in path.name}


def path_of(data_dir: Path, *lasts: int) -> list[str]:
    return [str(data_dir / f"kron.aof.{last}") for last in lasts]


async def check_whole(log: FileLog, data_dir: Path, base: int) -> None:
    expected = [Record(index, b"[%d]" % index) for index in range(base + 1, log.tip + 1)]
    assert log.base == base and await log.read(base, 1000) == expected
    reader = LogReader(data_dir)
    assert reader.base == base and list(reader) == expected
    if base:
        with pytest.raises(LogTruncated):
            await log.read(base - 1, 1)


async def test_what_the_older_snapshot_holds_goes_when_it_is_too_much(data_dir) -> None:
    log = await sealed(data_dir)
    sizes = {last: (data_dir / f"kron.aof.{last}").stat().st_size for last in (2, 4, 6, 8)}
    assert await log.trim(LOTS, HOUR_S) == []
    assert await log.trim(sum(sizes.values()), HOUR_S) == []
    assert await log.trim(sum(sizes.values()) - 1, HOUR_S) == path_of(data_dir, 2)
    await check_whole(log, data_dir, 2)
    assert await log.trim(0, HOUR_S) == path_of(data_dir, 4)
    assert await log.trim(0, 0.0) == []
    await check_whole(log, data_dir, 4)
    await fill(log)
    await snapshot(log)
    await log.close()
    log = await opened(data_dir)
    assert await log.trim(0, HOUR_S) == path_of(data_dir, 6)
    await check_whole(log, data_dir, 6)
    assert names(data_dir) == {"kron.aof", "kron.aof.8"}
    await log.close()


async def test_what_has_not_changed_for_long_goes(data_dir) -> None:
    log = await sealed(data_dir)
    old = time.time() - 2 * HOUR_S
    os.utime(data_dir / "kron.aof.4", (old, old))
    assert await log.trim(LOTS, HOUR_S) == []  # the one before it is young: never a gap
    os.utime(data_dir / "kron.aof.2", (old, old))
    os.utime(data_dir / "kron.aof.6", (old, old))
    assert await log.trim(LOTS, 3 * HOUR_S) == []
    assert await log.trim(LOTS, HOUR_S) == path_of(data_dir, 2, 4)
    await check_whole(log, data_dir, 4)
    await log.close()


async def test_nothing_goes_without_two_snapshots(data_dir) -> None:
    log = await opened(data_dir)
    for _ in range(3):
        await fill(log)
        await log.rotate()
        assert await log.trim(0, 0.0) == []
    await snapshot(log)
    assert await log.trim(0, 0.0) == [] and log.base == 0
    await fill(log)
    await snapshot(log)
    assert await log.trim(0, 0.0) == path_of(data_dir, 2, 4, 6)
    await check_whole(log, data_dir, 6)
    await log.close()


async def test_the_index_of_a_file_goes_with_it(data_dir) -> None:
    log = await sealed(data_dir)
    for name in ("kron.aof.2.index", "kron.aof.4.index", "kron.aof.6.index", "kron.aof.9.index"):
        (data_dir / name).write_bytes(b"an index")
    assert await log.trim(0, 0.0) == path_of(data_dir, 2, 4)
    assert names(data_dir) == {"kron.aof", "kron.aof.6", "kron.aof.8"}
    assert not (data_dir / "kron.aof.2.index").exists()
    assert not (data_dir / "kron.aof.4.index").exists()
    await log.close()


@pytest.mark.parametrize("for_ever", [False, True])
async def test_every_call_of_a_trim_can_fail(tmp_path, dying, for_ever) -> None:
    for nth in range(1, 30):
        data_dir = tmp_path / str(nth)
        log = await sealed(data_dir, disk=dying)
        for last in (2, 4):
            (data_dir / f"kron.aof.{last}.index").write_bytes(b"an index")
        dying.arm(nth, for_ever=for_ever)
        was_done = False
        try:
            await log.trim(0, 0.0)
            was_done = True
        except StorageError as exc:
            assert not isinstance(exc, LogFailed)
        hits = dying.hits
        dying.heal()
        assert was_done == (not hits) and log.failure is None
        await check_whole(log, data_dir, log.base)
        await fill(log)
        await log.trim(0, 0.0)
        await check_whole(log, data_dir, 4)
        await log.close()
        log = await opened(data_dir)
        await check_whole(log, data_dir, 4)
        await log.close()
        if not hits:
            break
    assert nth == 6  # two files with an index each, and the directory


async def test_a_snapshot_whose_names_are_not_synced_lets_nothing_go(data_dir, disk) -> None:
    """A power cut could bring back the one that it has pushed out, which needs its records."""
    log = await sealed(data_dir, disk=disk)
    disk.fail = {"fsync_dir": errno.EIO}
    with pytest.raises(StorageError):
        await snapshot(log)
    disk.fail = {}
    assert [each.index for each in log.snapshots()] == [8, 6]
    assert await log.trim(0, 0.0) == path_of(data_dir, 2, 4)
    await fill(log)
    await snapshot(log)
    assert await log.trim(0, 0.0) == path_of(data_dir, 6, 8)
    await check_whole(log, data_dir, 8)
    await log.close()


async def test_a_closed_log_lets_nothing_go(data_dir) -> None:
    log = await sealed(data_dir)
    await log.close()
    with pytest.raises(LogFailed, match="not open"):
        await log.trim(0, 0.0)
    assert "kron.aof.2" in names(data_dir)
