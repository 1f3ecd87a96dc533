"""The log in memory behaves like the one in a file."""

from __future__ import annotations

import pytest

from kron.core.errors import Conflict, LogFailed, StorageError
from kron.storage.log import Log, Record
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
