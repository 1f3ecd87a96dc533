"""One record by its index: wherever it lies, and whatever stands between the records."""

from __future__ import annotations

from pathlib import Path

import pytest

from kron.core.errors import LogCorrupt, LogTruncated
from kron.storage.file import FileLog
from kron.storage.memory import MemoryLog
from kron.storage.reader import LogReader


def payload(index: int) -> bytes:
    return b'[{"v":1,"t":%d},["X","%b"]]' % (index, b"x" * (index * 97 % 9000))


async def fill(log: FileLog | MemoryLog, first: int, last: int) -> None:
    for index in range(first, last + 1):
        await log.append(index, payload(index))


@pytest.mark.parametrize("fsync", ["always", "never"])
async def test_every_record_is_found_across_files(tmp_path: Path, fsync: str) -> None:
    """With markers in between, too (fsync="never"), and after another start."""
    for start in (1, 41):
        log = FileLog(tmp_path, fsync=fsync)  # type: ignore[arg-type]
        await log.open()
        await fill(log, start, start + 19)
        await log.rotate()
        await fill(log, start + 20, start + 39)
        reader = LogReader(tmp_path)
        for index in range(1, log.tip + 1):
            assert log.record_at(index) == reader.record_at(index) == (index, payload(index))
        await log.close()


async def test_a_record_that_was_let_go_is_said_to_be(tmp_path: Path) -> None:
    log = FileLog(tmp_path)
    await log.open()
    for last in (5, 6, 7):
        await fill(log, log.tip + 1, last)
        await log.rotate()
        sink = await log.begin_snapshot(last)
        await sink.put(b"{}")
        await sink.commit()
    await fill(log, 8, 9)
    await log.trim(0, 0)
    assert log.record_at(8) == (8, payload(8))
    with pytest.raises(LogTruncated, match="record 5 was let go"):
        log.record_at(5)
    await log.close()


async def test_damage_is_not_passed_over(tmp_path: Path) -> None:
    log = FileLog(tmp_path)
    await log.open()
    await fill(log, 1, 9)
    file = tmp_path / "kron.aof"
    file.write_bytes(file.read_bytes().replace(payload(5), payload(5).replace(b"X", b"Y")))
    with pytest.raises(LogCorrupt, match="damaged at byte"):
        log.record_at(5)
    assert log.record_at(2) == (2, payload(2))
    log.abandon()


async def test_the_log_in_memory_has_it_too() -> None:
    log = MemoryLog()
    await log.open()
    await fill(log, 1, 3)
    assert log.record_at(2) == (2, payload(2))
    for index in (0, 4):
        with pytest.raises(LogTruncated):
            log.record_at(index)
