"""The log in memory behaves like the one in a file."""

from __future__ import annotations

import pytest

from kron.core.errors import Conflict, LogFailed, LogTruncated, StorageError
from kron.storage.log import Log, Record, SnapshotFile
from kron.storage.memory import MemoryLog


async def test_a_log_in_memory_can_be_reopened() -> None:
    first = MemoryLog()
    log: Log = first
    assert await log.open() is None and log.tip == 0
    await log.append(1, b"[1]")
    await log.append(2, b"[2]")
    for index in (0, 2, 4):
        with pytest.raises(Conflict):
            await log.append(index, b"[]")
    with pytest.raises(ValueError):
        await log.append(3, b"three")
    await log.close()
    await log.close()
    for call in (log.append(3, b"[3]"), log.read(0, 1), log.open()):
        with pytest.raises(StorageError):
            await call
    again = MemoryLog(first.records, log_id=first.log_id)
    await again.open()
    assert again.log_id == log.log_id and again.tip == 2
    assert await again.read(0, 9) == [Record(1, b"[1]"), Record(2, b"[2]")]
    assert await again.read(1, 1) == [Record(2, b"[2]")] and await again.read(2, 1) == []
    again.abandon()
    with pytest.raises(LogFailed):
        await again.append(3, b"[3]")


async def test_a_log_in_memory_is_kept_short_like_a_file() -> None:
    log = MemoryLog()
    await log.open()
    assert await log.rotate() == 0 and log.snapshots() == []
    for tip in (1, 2, 3):
        await log.append(tip, b"[%d]" % tip)
        assert log.size_bytes == 3
        assert await log.rotate() == await log.rotate() == tip and log.size_bytes == 0
        assert await log.trim(0, 0.0) == (["kron.aof.1"] if tip == 3 else [])
        sink = await log.begin_snapshot(tip)
        await sink.put(b'{"n":%d}' % tip)
        assert await sink.commit() == SnapshotFile(tip, 7)
        for call in (sink.put(b"[]"), sink.commit()):
            with pytest.raises(StorageError):
                await call
    assert log.snapshots() == [SnapshotFile(3, 7), SnapshotFile(2, 7)]
    assert list(log.read_snapshot(2)) == [b'{"n":2}']
    with pytest.raises(StorageError):
        log.read_snapshot(1)
    assert await log.trim(1000, 1000.0) == []
    assert await log.trim(1000, -1.0) == ["kron.aof.2"]
    assert (log.base, log.tip) == (2, 3) and await log.read(2, 9) == [Record(3, b"[3]")]
    with pytest.raises(LogTruncated):
        await log.read(1, 9)
    for index in (2, 4):
        with pytest.raises(ValueError):
            await log.begin_snapshot(index)
    await log.close()
    for call in (log.rotate(), log.begin_snapshot(3), log.trim(0, 0.0)):
        with pytest.raises(LogFailed):
            await call
    again = MemoryLog(log.records, log_id=log.log_id, kept=log.kept)
    await again.open()
    assert (again.base, again.tip) == (2, 3) and again.snapshots() == log.snapshots()
    first = await again.begin_snapshot(3)
    second = await again.begin_snapshot(3)
    with pytest.raises(StorageError):
        await first.commit()
    await second.discard()
    with pytest.raises(StorageError):
        await second.put(b"[]")
    assert again.snapshots() == log.snapshots()
