"""A hole that a power cut leaves among unsynced records is a torn tail; any other is damage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kron.core.errors import LogCorrupt
from kron.storage.file import FileLog
from kron.storage.lines import encode_record, seed_of
from kron.storage.log import Record
from kron.storage.markers import Marker, marker_of
from kron.storage.reader import LogReader
from kron.storage.writer import Fsync


def records(last: int) -> list[Record]:
    return [Record(index, b"[%d]" % index) for index in range(1, last + 1)]


async def write(data_dir: Path, count: int, fsync: Fsync, **options: object) -> str:
    """One life: `count` appends under this policy."""
    log = FileLog(data_dir, fsync=fsync, **options)  # type: ignore[arg-type]
    await log.open()
    for _ in range(count):
        await log.append(log.tip + 1, b"[%d]" % (log.tip + 1))
    await log.close()
    return log.log_id


def lines_of(data_dir: Path) -> list[bytes]:
    return (data_dir / "kron.aof").read_bytes().splitlines(keepends=True)


def payloads(data_dir: Path) -> list[str]:
    return [line[9:-1].decode() for line in lines_of(data_dir)[1:]]


def with_hole(lines: list[bytes], place: int) -> bytes:
    """The line is zeros: its page never reached the medium."""
    return b"".join([*lines[:place], bytes(len(lines[place])), *lines[place + 1 :]])


async def check_each_hole(data_dir: Path, cut: set[int]) -> None:
    """A hole in place of each line: in these it costs what follows, in all others the start."""
    lines = lines_of(data_dir)
    path = data_dir / "kron.aof"
    for place in range(1, len(lines)):
        path.write_bytes(with_hole(lines, place))
        if place not in cut:
            with pytest.raises(LogCorrupt, match=r"kron\.aof: damaged at byte \d+"):
                await FileLog(data_dir).open()
            with pytest.raises(LogCorrupt):
                list(LogReader(data_dir))
            continue
        tail = b"".join([bytes(len(lines[place])), *lines[place + 1 :]])
        last = sum(b"[" in line for line in lines[1:place])
        assert list(LogReader(data_dir)) == records(last)
        log = FileLog(data_dir)
        torn = await log.open()
        assert torn is not None and Path(torn.kept_as).read_bytes() == tail
        assert log.tip == last and await log.read(0, 99) == records(last)
        await log.append(last + 1, b"[%d]" % (last + 1))
        await log.close()
        assert list(LogReader(data_dir)) == records(last + 1)
    path.write_bytes(b"".join(lines))


async def test_always_writes_no_marker(data_dir) -> None:
    await write(data_dir, 2, "always")
    await write(data_dir, 2, "always")
    assert payloads(data_dir) == ["1 [1]", "2 [2]", "3 [3]", "4 [4]"]
    await check_each_hole(data_dir, cut={4})


async def test_never_writes_a_marker_at_the_beginning_of_each_life(data_dir) -> None:
    await write(data_dir, 2, "never")
    await write(data_dir, 0, "never")
    await write(data_dir, 2, "never")
    assert payloads(data_dir) == [
        '0 {"synced":0}', "1 [1]", "2 [2]", '2 {"synced":2}', "3 [3]", "4 [4]",
    ]  # fmt: skip
    await check_each_hole(data_dir, cut={4, 5, 6})


async def test_interval_writes_a_marker_behind_each_sync(data_dir, disk) -> None:
    log = FileLog(data_dir, fsync="interval", interval_s=0.01, disk=disk)
    await log.open()
    for index in (1, 2):
        disk.synced.clear()
        await log.append(index, b"[%d]" % index)
        assert await asyncio.to_thread(disk.synced.wait, 5)
    await log.append(3, b"[3]")
    await log.close()
    assert payloads(data_dir) == [
        '0 {"synced":0}', "1 [1]", '1 {"synced":1}', "2 [2]", '2 {"synced":2}', "3 [3]",
    ]  # fmt: skip
    await check_each_hole(data_dir, cut={5, 6})


async def test_the_first_marker_is_synced_before_a_record_follows(data_dir, disk) -> None:
    """A lost first marker would make the hole look like damage to a strict file."""
    await write(data_dir, 2, "always")
    before = disk.calls["fdatasync"]
    await write(data_dir, 2, "never", disk=disk)
    assert disk.calls["fdatasync"] == before + 2  # at open, and behind the marker
    assert payloads(data_dir)[2:] == ['2 {"synced":2}', "3 [3]", "4 [4]"]
    await check_each_hole(data_dir, cut={4, 5})


async def test_always_over_a_lazy_file_marks_each_record_as_strict(data_dir) -> None:
    await write(data_dir, 2, "never")
    await write(data_dir, 2, "always")
    strict = '{{"synced":{},"strict":true}}'.format
    assert payloads(data_dir)[1:] == [
        "1 [1]", "2 [2]", f"2 {strict(2)}", "3 [3]", f"3 {strict(3)}", "4 [4]",
    ]  # fmt: skip
    await check_each_hole(data_dir, cut={7})
    log = FileLog(data_dir)
    await log.open()
    await log.rotate()
    await log.append(5, b"[5]")
    await log.close()
    assert payloads(data_dir) == ["5 [5]"]
    assert list(LogReader(data_dir)) == records(5)


async def test_a_rotation_keeps_the_stretch_lazy(data_dir) -> None:
    log = FileLog(data_dir, fsync="never")
    await log.open()
    await log.append(1, b"[1]")
    await log.rotate()
    await log.append(2, b"[2]")
    await log.append(3, b"[3]")
    await log.close()
    assert payloads(data_dir) == ['1 {"synced":1}', "2 [2]", "3 [3]"]


async def test_two_damaged_places_in_a_strict_stretch_are_not_cut(data_dir) -> None:
    await write(data_dir, 2, "never")
    await write(data_dir, 3, "always")
    lines = lines_of(data_dir)
    for first in range(3, len(lines) - 3):
        content = with_hole(lines, first)
        content = content.replace(lines[first + 1], bytes(len(lines[first + 1])))
        (data_dir / "kron.aof").write_bytes(content)
        with pytest.raises(LogCorrupt):
            await FileLog(data_dir).open()


async def test_only_a_line_with_the_last_index_is_a_marker(data_dir) -> None:
    log_id = await write(data_dir, 2, "never")
    seed, content = seed_of(log_id), (data_dir / "kron.aof").read_bytes()
    for index, payload in ((1, b'{"synced":1}'), (2, b'{"synced":1}'), (2, b'{"synced": 2}')):
        (data_dir / "kron.aof").write_bytes(content + encode_record(seed, index, payload))
        with pytest.raises(LogCorrupt, match=f"record {index} follows record 2"):
            await FileLog(data_dir).open()
    (data_dir / "kron.aof").write_bytes(content + encode_record(seed, 3, b'{"synced":3}'))
    assert list(LogReader(data_dir))[-1] == Record(3, b'{"synced":3}')
    assert marker_of(Record(7, b'{"synced":7}')) == Marker(7, is_strict=False)
    assert marker_of(Record(7, b'{"synced":07}')) is None
