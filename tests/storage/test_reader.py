"""A log can be read beside its writer, without a trace."""

from __future__ import annotations

import pytest

from kron.core.errors import LogCorrupt
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
