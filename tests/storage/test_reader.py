"""A log can be read beside its writer, without a trace."""

from __future__ import annotations

import pytest

from kron.core.errors import LogCorrupt
from kron.storage.disk import Disk
from kron.storage.file import FileLog
from kron.storage.log import Record
from kron.storage.reader import LogReader


async def test_a_log_is_read_while_it_grows(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    reader = LogReader(data_dir)
    assert reader.log_id == log.log_id and list(reader) == []
    await log.append(1, b"[1]")
    records = iter(reader)
    assert next(records) == Record(1, b"[1]")
    await log.append(2, b"[2]")
    assert list(records) == [] and reader.problem is None
    assert [record.index for record in reader] == [1, 2]
    with open(data_dir / "kron.aof", "ab") as file:
        file.write(b"12345678 3 [")
    assert [record.index for record in reader] == [1, 2]
    assert (reader.torn_bytes, reader.problem) == (12, "it has no end")
    await log.close()


async def test_reading_changes_nothing(data_dir, written) -> None:
    await written()
    (data_dir / "kron.lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in (data_dir, *data_dir.iterdir())}
    assert len(list(LogReader(data_dir))) == 3
    assert {path: path.stat().st_mtime_ns for path in (data_dir, *data_dir.iterdir())} == before


async def test_damage_is_told_in_problem_too(data_dir, written) -> None:
    content = await written()
    (data_dir / "kron.aof").write_bytes(content.replace(b"two", b"TWO"))
    reader = LogReader(data_dir)
    with pytest.raises(LogCorrupt):
        list(reader)
    assert reader.problem is not None and "checksum does not match" in reader.problem


class Counting(Disk):
    """Counts the bytes that were read."""

    read_bytes = 0

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        found = super().pread(fd, size, offset)
        self.read_bytes += len(found)
        return found


def after(reader: LogReader, index: int) -> list[int]:
    return [record.index for record in reader.records_after(index)]


@pytest.mark.parametrize("fsync", ["always", "never"])
async def test_who_follows_a_log_does_not_read_it_again(data_dir, fsync) -> None:
    log, disk = FileLog(data_dir, fsync=fsync), Counting()
    await log.open()
    part = b'["' + b"x" * 500_000 + b'"]'
    for index in range(1, 11):
        await log.append(index, part)
    reader = LogReader(data_dir, disk=disk)
    assert after(reader, 0) == [*range(1, 11)]
    disk.read_bytes = 0
    await log.append(11, b"[]")
    assert after(reader, 10) == [11] and after(reader, 11) == []
    assert disk.read_bytes < 5_000_000  # the headers, and what is new
    with open(data_dir / "kron.aof", "ab") as file:
        file.write(b"12345678 12 [")
    assert after(reader, 11) == [] and reader.torn_bytes == 13
    assert after(reader, 3) == [*range(4, 12)]  # what it has passed over is still there
    await log.close()


async def test_who_follows_a_log_goes_on_behind_a_rotation(data_dir) -> None:
    log = FileLog(data_dir, fsync="never")
    await log.open()
    reader, seen = LogReader(data_dir), 0
    for index in range(1, 31):
        await log.append(index, b"[]")
        if index % 4 == 0:
            await log.rotate()
        if index % 3 == 0:
            assert after(reader, seen) == [*range(seen + 1, index + 1)]
            seen = index
    await log.close()


async def test_a_log_that_was_put_in_its_place_is_not_read_from_the_middle(
    data_dir, written
) -> None:
    content = await written()
    reader = LogReader(data_dir)
    assert after(reader, 0) == [1, 2, 3]
    (data_dir / "kron.aof").write_bytes(content[: content.index(b"\n") + 1])
    assert after(reader, 3) == []
    (data_dir / "kron.aof").write_bytes(content)
    assert after(reader, 2) == [3]
