"""Sealed files form a chain; it is read whole, or refused with file and byte, and never skipped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from kron.core.errors import LogCorrupt, LogTooNew, LogTruncated, StorageError
from kron.storage.file import FileLog
from kron.storage.lines import Header, encode_header, encode_record, seed_of
from kron.storage.log import Record
from kron.storage.reader import LogReader


def records(first: int, last: int) -> list[Record]:
    return [Record(index, b"[%d]" % index) for index in range(first, last + 1)]


async def fill(log: FileLog, count: int) -> None:
    for _ in range(count):
        await log.append(log.tip + 1, b"[%d]" % (log.tip + 1))


async def sealed(data_dir: Path, *, each: int = 2, files: int = 3) -> str:
    """A log of `files` sealed files with `each` records, and as many in the one that grows."""
    log = FileLog(data_dir)
    await log.open()
    for _ in range(files):
        await fill(log, each)
        await log.rotate()
    await fill(log, each)
    await log.close()
    return log.log_id


async def read_all(data_dir: Path, after: int | None = None) -> list[Record]:
    log = FileLog(data_dir)
    await log.open()
    try:
        found: list[Record] = []
        start = log.base if after is None else after
        while some := await log.read(start + len(found), 1000):
            found += some
        return found
    finally:
        await log.close()


async def refused(data_dir: Path, words: str, *, at_open: bool) -> None:
    log = FileLog(data_dir)
    if at_open:
        with pytest.raises(LogCorrupt, match=words):
            await log.open()
    else:
        await log.open()
        with pytest.raises(LogCorrupt, match=words):
            await log.read(0, 1000)
        await log.close()
    with pytest.raises(LogCorrupt, match=words):
        list(LogReader(data_dir))


async def test_a_sequential_read_opens_no_file_twice_and_reads_no_byte_twice(
    data_dir, disk
) -> None:
    await sealed(data_dir, each=30)
    log = FileLog(data_dir, disk=disk)
    await log.open()
    seen: list[tuple[str, int]] = []
    pread = disk.pread

    def noted(fd: int, size: int, offset: int) -> bytes:
        seen.append((os.readlink(f"/proc/self/fd/{fd}"), offset))
        return pread(fd, size, offset)

    disk.pread = noted
    found: list[Record] = []
    while some := await log.read(len(found), 10):
        found += some
    assert found == records(1, 120)
    starts = [place for place in seen if place[1] == 0]
    assert len(starts) == len(set(starts)) == 4  # the header of each file, once
    assert len(seen) == len(set(seen)) <= 12 + 4 + 4
    await log.close()


async def test_a_damaged_sealed_file_is_refused_when_it_is_read(data_dir) -> None:
    await sealed(data_dir)
    path = data_dir / "kron.aof.4"
    content = path.read_bytes()
    log_id = FileLog(data_dir)
    await log_id.open()
    more = encode_record(seed_of(log_id.log_id), 5, b"[5]")
    await log_id.close()
    last = content.splitlines(keepends=True)[-1]
    cases = {
        r"kron\.aof\.4: damaged at byte \d+: .*was sealed": [
            content[: -len(last)],
            content[:-1],
            content[: -len(last)] + b"garbage\n",
            content + b"x",
            content + b"\n",
            content + more,
            content + b"\0" * 100,
        ],
        r"kron\.aof\.4: damaged at byte \d+": [
            content.replace(b" 3 [3]", b" 3 [9]"),
            content + last,
        ],
    }
    for words, damaged in cases.items():
        for each in damaged:
            path.write_bytes(each)
            await refused(data_dir, words, at_open=False)
            log = FileLog(data_dir)
            await log.open()
            assert await log.read(0, 2) == records(1, 2)
            assert await log.read(4, 2) == records(5, 6)
            await log.close()
    path.write_bytes(content)
    assert await read_all(data_dir) == records(1, 8)


async def test_every_flipped_bit_of_a_sealed_file_is_refused(data_dir) -> None:
    await sealed(data_dir, files=2)
    path = data_dir / "kron.aof.4"
    content = path.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        with pytest.raises(LogCorrupt, match=r"kron\.aof\.4"):
            list(LogReader(data_dir))


async def test_a_sealed_header_is_checked_at_open(data_dir, tmp_path) -> None:
    log_id = await sealed(data_dir)
    await sealed(tmp_path / "other")
    path = data_dir / "kron.aof.4"
    header, *rest = path.read_bytes().splitlines(keepends=True)
    for first, words in (
        ((tmp_path / "other" / "kron.aof.4").read_bytes(), r"aof\.4: the header at byte 0 is of"),
        (encode_header(Header(log_id, 4)), r"aof\.4: the header at byte 0 contradicts its name"),
        (header.replace(b"base", b"BASE"), r"aof\.4: the header at byte 0 is damaged"),
        (b"hello\n", r"aof\.4 is not a Kron log.* see: kron doctor"),
        (b"", r"aof\.4: the header at byte 0 is missing"),
    ):
        path.write_bytes(first + b"".join(rest) if first else b"")
        await refused(data_dir, words, at_open=True)
    fields = b'{"magic":"kron-log","format":9,"log_id":"%b","base":2}' % log_id.encode()
    path.write_bytes(encode_record(seed_of("kron-log"), 2, fields))
    with pytest.raises(LogTooNew, match=r"kron\.aof\.4 is in log format 9"):
        await FileLog(data_dir).open()


async def test_what_lies_below_a_gap_is_left_alone(data_dir) -> None:
    await sealed(data_dir)
    os.unlink(data_dir / "kron.aof.4")
    before = (data_dir / "kron.aof.2").read_bytes()
    log = FileLog(data_dir)
    await log.open()
    assert (log.base, log.tip) == (4, 8)
    assert await log.read(4, 9) == records(5, 8)
    for after in range(4):
        with pytest.raises(LogTruncated, match="the records up to 4 were let go"):
            await log.read(after, 1)
    await log.close()
    assert (data_dir / "kron.aof.2").read_bytes() == before
    reader = LogReader(data_dir)
    assert reader.base == 4 and list(reader) == records(5, 8)
    assert [file.name for file in reader.files] == ["kron.aof.6", "kron.aof"]
    with pytest.raises(LogTruncated):
        list(reader.records_after(3))


async def test_an_older_file_put_in_place_of_the_newest_is_refused(data_dir) -> None:
    await sealed(data_dir, files=1)
    older = (data_dir / "kron.aof").read_bytes()
    log = FileLog(data_dir)
    await log.open()
    await log.rotate()
    await log.close()
    (data_dir / "kron.aof").write_bytes(older)
    words = r"kron\.aof begins after record 2, but .*kron\.aof\.4 was sealed later"
    await refused(data_dir, words, at_open=True)


async def test_a_torn_tail_is_cut_in_the_newest_file_only(data_dir) -> None:
    await sealed(data_dir, files=2)
    with open(data_dir / "kron.aof", "ab") as file:
        file.write(b"torn")
    log = FileLog(data_dir)
    torn = await log.open()
    assert torn is not None and torn.size_bytes == 4 and torn.kept_as
    await fill(log, 1)
    await log.close()
    assert await read_all(data_dir) == records(1, 7)


async def test_names_that_only_look_like_sealed_files_are_left_alone(data_dir) -> None:
    await sealed(data_dir, files=1)
    for name in ("kron.aof.0", "kron.aof.07", "kron.aof.9x", "kron.aof.2.index", "kron.aof.-1"):
        (data_dir / name).write_bytes(b"something")
    assert await read_all(data_dir) == records(1, 4)
    assert (data_dir / "kron.aof.0").read_bytes() == b"something"


# -- beside a writer ------------------------------------------------------------------------------


async def test_a_reader_goes_on_while_the_writer_rotates(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    await fill(log, 2)
    await log.rotate()
    await fill(log, 2)
    reader = LogReader(data_dir)
    assert [file[:3] for file in reader.files] == [("kron.aof.2", 0, 2), ("kron.aof", 2, None)]
    assert [file.is_sealed for file in reader.files] == [True, False]
    assert all(file.size_bytes > 0 for file in reader.files)
    found = reader.records_after(0)
    assert next(found) == records(1, 1)[0]
    await log.rotate()
    await fill(log, 2)
    assert list(found) == records(2, 6)
    assert list(reader) == records(1, 6) == list(LogReader(data_dir))
    for after in range(7):
        assert list(reader.records_after(after)) == records(after + 1, 6)
    assert reader.torn_bytes == 0 and reader.problem is None
    await log.close()


async def test_a_reader_in_the_file_that_is_sealed_reads_what_was_there(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    await fill(log, 3)
    found = iter(LogReader(data_dir))
    assert next(found) == records(1, 1)[0]
    await log.rotate()
    await fill(log, 1)
    assert list(found) == records(2, 3)
    await log.close()


async def test_a_reader_says_so_when_records_are_let_go_under_it(data_dir) -> None:
    await sealed(data_dir)
    reader = LogReader(data_dir)
    os.unlink(data_dir / "kron.aof.2")
    assert list(reader) == records(3, 8)
    found = iter(reader)
    assert [next(found), next(found)] == records(3, 4)
    os.unlink(data_dir / "kron.aof.6")
    os.unlink(data_dir / "kron.aof.4")
    with pytest.raises(LogTruncated, match="record 5 is not here"):
        list(found)
    assert reader.problem is not None and "let go" in reader.problem


async def test_a_reader_refuses_a_directory_whose_log_was_replaced(data_dir, tmp_path) -> None:
    await sealed(data_dir, files=1)
    await sealed(tmp_path / "other", files=1)
    reader = LogReader(data_dir)
    for name in ("kron.aof", "kron.aof.2"):
        (data_dir / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(LogCorrupt, match="was replaced while it was read"):
        list(reader)


async def test_a_reader_reads_while_a_writer_rotates_all_the_time(data_dir) -> None:
    log = FileLog(data_dir, fsync="never")
    await log.open()
    await fill(log, 1)
    reader = LogReader(data_dir)
    done = asyncio.Event()

    async def rotate() -> None:
        for _ in range(60):
            await fill(log, 3)
            await log.rotate()
        done.set()

    async def read() -> None:
        while not done.is_set():
            found = await asyncio.to_thread(list, reader)
            assert found == records(1, len(found)) and found
            own = await log.read(0, 1000)
            assert own == records(1, len(own)) and own

    await asyncio.gather(rotate(), read())
    assert list(reader) == records(1, 181)
    await log.close()


async def test_there_is_no_log_to_read(data_dir) -> None:
    with pytest.raises(StorageError, match="no Kron data"):
        LogReader(data_dir)
    data_dir.mkdir(mode=0o700)
    with pytest.raises(StorageError, match="no Kron data"):
        LogReader(data_dir)
    assert list(data_dir.iterdir()) == []
