"""Rows of history out of the files: exactly once, in order, and few records are read for them."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kron.storage.history
import kron.storage.indexer
import kron.storage.row_index
from kron.core import events as ev
from kron.core.codec import encode
from kron.core.errors import LogCorrupt, LogFailed, StorageError
from kron.core.events import POSITIONS
from kron.core.rows import Row
from kron.storage.backwards import Lines
from kron.storage.disk import OS_DISK, Disk
from kron.storage.file import FileLog
from kron.storage.lines import Header, encode_header, encode_record, seed_of
from kron.storage.log import Log
from kron.storage.markers import Marker, encode_marker
from kron.storage.memory import MemoryLog
from kron.storage.reader import LogReader
from kron.storage.row_index import index_name

LOG_ID = "0123456789abcdef" * 2
ALL = 1 << 62

Ids = list[tuple[int, str]]


def ok(timer: str, run: int = 1) -> ev.RunSucceeded:
    return ev.RunSucceeded(timer, run, 1, 1_000_000 + run, 1_000_000, 1_000_000, 7)


def due(timer: str) -> ev.RunDue:
    return ev.RunDue(timer, 1_000_000, 1_000_000, None)


def write_segment(data_dir: Path, base: int, records: list[bytes], *, is_active: bool) -> None:
    data_dir.mkdir(mode=0o700, exist_ok=True)
    last = base + len(records)
    path = data_dir / ("kron.aof" if is_active else f"kron.aof.{last}")
    seed = seed_of(LOG_ID)
    lines = [encode_record(seed, i, payload) for i, payload in enumerate(records, base + 1)]
    path.write_bytes(encode_header(Header(LOG_ID, base)) + b"".join(lines))
    path.chmod(0o600)


def write_log(data_dir: Path, segments: list[list[list[ev.Event]]]) -> Ids:
    """Each segment a list of records, each a list of events; returns the rows, oldest first."""
    base, ids = 0, []
    for number, records in enumerate(segments, 1):
        payloads = [encode(events, 1) for events in records]
        write_segment(data_dir, base, payloads, is_active=number == len(segments))
        for index, events in enumerate(records, base + 1):
            placed = enumerate(events, index * POSITIONS)
            ids += [(id_, e.timer) for id_, e in placed if isinstance(e, ev.RunSucceeded)]
        base += len(records)
    return ids


def mixed(segments: int = 4, records: int = 40) -> list[list[list[ev.Event]]]:
    """Records with no, one and several rows of few and of many timers."""
    made = []
    for s in range(segments):
        each: list[list[ev.Event]] = []
        for r in range(records):
            n = s * records + r
            each.append([due(f"t{n % 3}"), ok(f"t{n % 3}", n)] if n % 4 else [due("rare")])
            if n % 10 == 0:
                each.append([ok("t0"), ok(f"one-{n}"), ok("t0"), ok("rare")])
        made.append(each)
    return made


def ids_of(rows: list[Row]) -> Ids:
    return [(row.id, row.timer) for row in rows]


def wanted_of(ids: Ids, before: int, timer: str | None, limit: int) -> Ids:
    return [e for e in reversed(ids) if e[0] < before and timer in (None, e[1])][:limit]


def check(log: Log | LogReader, ids: Ids) -> None:
    places = {
        0,
        1,
        ALL,
        *(id_ + step for id_, _ in ids[:: max(1, len(ids) // 10)] for step in (0, 1)),
    }
    for timer in (None, "t0", "t1", "rare", ids[len(ids) // 2][1], "nobody", "", "~"):
        for before in places:
            for limit in (1, 3, 10_000):
                got = ids_of(log.rows_before(before, timer, limit))
                assert got == wanted_of(ids, before, timer, limit)


class Counted:
    """How many records were decoded for a question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        plain = kron.storage.history.decode

        def decode(payload: bytes, index: int):
            self.count += 1
            return plain(payload, index)

        monkeypatch.setattr(kron.storage.history, "decode", decode)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kron.storage.indexer, "PAUSE_S", 0.0)


async def opened(data_dir: Path, disk: Disk = OS_DISK) -> FileLog:
    log = FileLog(data_dir, disk=disk)
    await log.open()
    return log


async def indexed(log: FileLog) -> None:
    """Have the missing indexes made, and wait until they are."""
    assert log._parts is not None
    log._parts.indexer.begin(anew=True)
    await asyncio.to_thread(log._parts.indexer.wait)


def indexes(data_dir: Path) -> list[str]:
    return sorted(path.name for path in data_dir.glob("*.index*"))


# -- the answer ---------------------------------------------------------------------------------


async def test_every_row_comes_once_and_in_order_with_indexes_and_without(data_dir: Path) -> None:
    ids = write_log(data_dir, mixed())
    check(LogReader(data_dir), ids)
    log = await opened(data_dir)
    check(log, ids)
    await indexed(log)
    assert len(indexes(data_dir)) == 3
    check(log, ids)
    check(LogReader(data_dir), ids)
    await log.close()
    with pytest.raises(LogFailed, match="not open"):
        log.rows_before(ALL, None, 1)


async def test_the_log_in_memory_gives_the_same(data_dir: Path) -> None:
    ids = write_log(data_dir, mixed())
    log = MemoryLog(list(LogReader(data_dir)))
    await log.open()
    check(log, ids)


def test_lines_are_read_backwards_across_blocks(data_dir, monkeypatch) -> None:
    monkeypatch.setattr("kron.storage.backwards.BLOCK_BYTES", 100)
    monkeypatch.setattr("kron.storage.backwards.FRONT_BYTES", 50)
    ids = write_log(data_dir, mixed(segments=2))
    check(LogReader(data_dir), ids)


def test_a_line_longer_than_any_record_is_read_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("kron.storage.backwards.MAX_RECORD_BYTES", 1000)
    (tmp_path / "f").write_bytes(b"one\n" + b"x" * 3_000_000 + b"\ntwo\n")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    lines = Lines(OS_DISK, fd, 0, 3_000_009)
    (first, long) = list(lines.back(lines.end))
    assert first == (3_000_005, b"two") and len(long[1]) < 1_000_000
    os.close(fd)


async def test_a_torn_tail_and_markers_have_no_rows(data_dir: Path) -> None:
    ids = write_log(data_dir, mixed(segments=2))
    seed, tip = seed_of(LOG_ID), ids[-1][0] // POSITIONS
    reader = LogReader(data_dir)
    tip = list(reader)[-1].index
    with (data_dir / "kron.aof").open("ab") as file:
        file.write(encode_marker(seed, Marker(tip, is_strict=False)))
        file.write(encode_record(seed, tip + 1, encode([ok("t0")], 1)))
        file.write(encode_record(seed, tip + 2, encode([ok("t0")], 1))[:-5])
    check(LogReader(data_dir), [*ids, ((tip + 1) * POSITIONS, "t0")])


async def test_a_row_on_its_way_is_not_given(data_dir: Path, disk) -> None:
    log = await opened(data_dir, disk)
    await log.append(1, encode([ok("t0")], 1))
    disk.hold = threading.Event()
    disk.writing.clear()
    appending = asyncio.ensure_future(log.append(2, encode([ok("t0")], 1)))
    await asyncio.to_thread(disk.writing.wait)
    assert ids_of(log.rows_before(ALL, "t0", 9)) == [(POSITIONS, "t0")]
    disk.hold.set()
    await appending
    assert len(log.rows_before(ALL, "t0", 9)) == 2
    await log.close()


# -- how much is read ---------------------------------------------------------------------------


async def test_few_records_are_read_after_200_000_runs_of_others(
    data_dir: Path, counted: Counted
) -> None:
    filler = [encode([ok(f"busy-{n % 7}", n)], 1) for n in range(50_000)]
    mine = encode([ok("mine")], 1)
    for part in range(5):  # rows of mine in the first, the third and the one that grows
        records = [*filler[: 50_000 if part < 4 else 10_000]]
        if part in (0, 2, 4):
            records[777] = records[888] = mine
        write_segment(data_dir, sum([50_000] * part), records, is_active=part == 4)
    log = await opened(data_dir)
    for limit, most in ((2, 2), (6, 6), (100, 6)):
        counted.count = 0
        assert len(log.rows_before(ALL, "mine", limit)) == min(limit, 6)
        assert counted.count <= most
    await indexed(log)
    assert len(indexes(data_dir)) == 4
    for limit in (2, 5, 6, 100):
        counted.count = 0
        rows = log.rows_before(ALL, "mine", limit)
        assert len(rows) == min(limit, 6) and counted.count <= len(rows)
    counted.count = 0
    assert [row.id // POSITIONS for row in log.rows_before(100_779 * POSITIONS, "mine", 2)] == [
        100_778, 889
    ]  # fmt: skip
    assert counted.count == 2
    counted.count = 0
    assert log.rows_before(ALL, "nobody", 100) == [] and counted.count == 0
    assert len(log.rows_before(ALL, None, 50)) == 50 and counted.count == 50
    counted.count = 0
    assert len(log.rows_before(30_000 * POSITIONS, "busy-3", 20)) == 20 and counted.count == 20
    await log.close()


async def test_an_index_is_not_read_whole(data_dir: Path, disk) -> None:
    records = [[ok(f"timer-{n}") for n in range(p, p + 1000)] for p in range(0, 60_000, 1000)]
    write_log(data_dir, [records, [[due("x")]]])
    log = await opened(data_dir)
    await indexed(log)
    size = (data_dir / indexes(data_dir)[0]).stat().st_size
    reader, read = LogReader(data_dir, disk=disk), []
    pread = disk.pread

    def noted(fd: int, wanted: int, offset: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".index"):
            read.append(wanted)
        return pread(fd, wanted, offset)

    disk.pread = noted
    assert len(reader.rows_before(ALL, "timer-31234", 5)) == 1
    assert size > 1_500_000 and 0 < len(read) < 60 and sum(read) < size / 2
    await log.close()


# -- indexes that are of no use ------------------------------------------------------------------


@pytest.fixture
async def whole(data_dir: Path) -> tuple[Path, Ids]:
    """A directory with one sealed file, and its index."""
    ids = write_log(data_dir, mixed(segments=2, records=30))
    log = await opened(data_dir)
    await indexed(log)
    await log.close()
    return data_dir / indexes(data_dir)[0], ids


def spoilt(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), 7):
        for flip in (1, 0x2A):  # 0x2a makes "\n" a space, and a space a newline
            yield content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
        yield content[:at]
    yield content + b"\n"
    yield content + content
    yield b"\0" * len(content)


async def test_a_damaged_index_changes_no_answer(data_dir: Path, whole) -> None:
    index, ids = whole
    content = index.read_bytes()
    reader = LogReader(data_dir)
    for damaged in spoilt(content):
        index.write_bytes(damaged)
        for timer in ("t0", "rare", "one-20", "nobody"):
            assert ids_of(reader.rows_before(ALL, timer, 99)) == wanted_of(ids, ALL, timer, 99)


@pytest.mark.parametrize("at", [0, 5, 60, 160, 300, -1, -20])
async def test_a_damaged_index_that_a_question_meets_is_made_anew(data_dir, whole, at) -> None:
    index, ids = whole
    content = bytearray(index.read_bytes())
    plain = bytes(content)
    content[at] ^= 1
    index.write_bytes(content)
    log = await opened(data_dir)
    for timer in sorted({timer for _, timer in ids}):
        assert ids_of(log.rows_before(ALL, timer, 99)) == wanted_of(ids, ALL, timer, 99)
    assert log._parts is not None
    await asyncio.to_thread(log._parts.indexer.wait)
    assert index.read_bytes() == plain
    await log.close()


async def test_a_missing_index_is_made_when_a_question_meets_its_file(data_dir, whole) -> None:
    index, ids = whole
    plain = index.read_bytes()
    index.unlink()
    log = await opened(data_dir)
    log.rows_before(ALL, None, 99)
    assert not index.exists()
    log.rows_before(ALL, "t0", 99)
    assert log._parts is not None
    await asyncio.to_thread(log._parts.indexer.wait)
    assert index.read_bytes() == plain and index.stat().st_mode & 0o777 == 0o600
    check(log, ids)
    await log.close()


async def test_the_index_of_another_file_is_not_believed(data_dir: Path) -> None:
    ids = write_log(data_dir, mixed())
    log = await opened(data_dir)
    await indexed(log)
    first, second, third = (data_dir / name for name in indexes(data_dir))
    plain = second.read_bytes()
    shutil.copy(first, second)
    third.unlink()
    third.symlink_to(first)
    check(log, ids)
    await indexed(log)
    assert second.read_bytes() == plain
    check(log, ids)
    await log.close()


async def test_an_index_that_points_elsewhere_is_not_believed(data_dir: Path, whole) -> None:
    """Whole in itself, but of what the file was before somebody put another one in its place."""
    _, ids = whole
    name = next(iter(data_dir.glob("kron.aof.[0-9]*[0-9]")))
    plain = name.read_bytes()
    swapped = plain.replace(b'"t0"', b'"T9"').replace(b'"t1"', b'"t0"').replace(b'"T9"', b'"t1"')
    header, *lines = swapped.splitlines(keepends=True)
    seed = seed_of(LOG_ID)
    framed = [
        encode_record(seed, i, line[9:-1].split(b" ", 1)[1]) for i, line in enumerate(lines, 1)
    ]
    name.write_bytes(header + b"".join(framed))
    last = len(lines)
    names = {"t0": "t1", "t1": "t0"}
    now = [(i, names.get(t, t) if i // POSITIONS <= last else t) for i, t in ids]
    reader = LogReader(data_dir)
    for timer in ("t0", "t1", "t2", "rare"):
        assert ids_of(reader.rows_before(ALL, timer, 999)) == wanted_of(now, ALL, timer, 999)


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
async def test_without_room_for_an_index_the_file_is_searched(data_dir, dying, call) -> None:
    ids = write_log(data_dir, mixed())
    log = await opened(data_dir, dying)
    plain = getattr(Disk, call)

    def fails(*arguments):
        if any(".index" in str(each) for each in arguments) or call in ("write", "fsync"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(dying, *arguments)

    setattr(dying, call, fails)
    await indexed(log)
    assert indexes(data_dir) == []
    check(log, ids)
    delattr(dying, call)
    await indexed(log)
    assert len(indexes(data_dir)) == 3
    check(log, ids)
    await log.close()


async def test_a_damaged_record_is_named_and_not_passed_over(data_dir: Path, whole) -> None:
    index, _ = whole
    name = next(iter(data_dir.glob("kron.aof.[0-9]*[0-9]")))
    content = bytearray(name.read_bytes())
    at = content.index(b'["RUN_SUCCEEDED","one-20"')
    content[at + 28] ^= 1
    name.write_bytes(content)
    for _ in range(2):
        reader = LogReader(data_dir)
        with pytest.raises(
            LogCorrupt, match=rf"{name.name}: damaged at byte \d+.*checksum.*kron doctor"
        ) as damage:
            reader.rows_before(ALL, "one-20", 9)
        assert damage.value.__context__ is None
        with pytest.raises(LogCorrupt, match="damaged at byte"):
            reader.rows_before(ALL, None, 99)
        assert reader.rows_before(ALL, "one-10", 9)
        index.unlink(missing_ok=True)
    log = await opened(data_dir)  # starts: sealed files are not read at once
    await indexed(log)
    assert indexes(data_dir) == []
    with pytest.raises(LogCorrupt, match="damaged at byte"):
        log.rows_before(ALL, "one-20", 9)
    assert log.rows_before(ALL, "one-10", 9)
    await log.close()


# -- while the files change ----------------------------------------------------------------------


async def grow(log: FileLog, count: int, ids: Ids) -> None:
    for _ in range(count):
        index = log.tip + 1
        timer = f"t{index % 3}"
        await log.append(index, encode([ok(timer)], 1))
        ids.append((index * POSITIONS, timer))


async def test_rotations_and_trims_meanwhile_lose_and_repeat_nothing(data_dir: Path) -> None:
    log = FileLog(data_dir, fsync="never")
    await log.open()
    ids: Ids = []
    is_over, may_lose = threading.Event(), threading.Event()
    failures: list[str] = []

    def ask(rows_before: Callable[..., list[Row]]) -> None:
        while not is_over.is_set():
            known = list(ids)
            before = known[-1][0] + 1 if known else 0
            for timer in (None, "t1"):
                got = ids_of(rows_before(before, timer, 10_000))
                wanted = wanted_of(known, before, timer, 10_000)
                missing = wanted[len(got) :]
                lost_to = missing[0][0] // POSITIONS if missing else 0
                is_whole_file = may_lose.is_set() and (timer or lost_to in ends)
                if got != wanted[: len(got)] or (missing and not is_whole_file):
                    failures.append(f"{timer}: {got[:3]}... of {len(wanted)}: {len(got)}")

    await grow(log, 1, ids)
    ends: set[int] = set()
    readers = [log.rows_before, LogReader(data_dir).rows_before]
    threads = [threading.Thread(target=ask, args=[each]) for each in readers]
    for thread in threads:
        thread.start()
    for turn in range(25):
        await grow(log, 10, ids)
        ends.add(await log.rotate())
        if turn % 3 == 2:
            sink = await log.begin_snapshot(log.tip)
            await sink.put(b"{}")
            await sink.commit()
            if turn >= 12:
                may_lose.set()  # before: a reader sees that a file is gone earlier than `log.base`
            await log.trim(1 << 30 if turn < 12 else 3_000, 1e9)
    is_over.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert failures == [] and log.base > 0
    await indexed(log)
    sealed = [path.name for path in data_dir.glob("kron.aof.*[0-9]")]
    assert indexes(data_dir) == sorted(f"{name}.index" for name in sealed)
    assert ids_of(log.rows_before(ALL, None, 9999)) == [
        each for each in reversed(ids) if each[0] // POSITIONS > log.base
    ]
    await log.close()


async def test_trim_has_indexes_made_and_takes_them_along(data_dir: Path) -> None:
    log = await opened(data_dir)
    ids: Ids = []
    for _ in range(3):
        await grow(log, 5, ids)
        await log.rotate()
        sink = await log.begin_snapshot(log.tip)
        await sink.put(b"{}")
        await sink.commit()
    await log.trim(1 << 30, 1e9)
    assert log._parts is not None
    await asyncio.to_thread(log._parts.indexer.wait)
    assert indexes(data_dir) == [f"kron.aof.{last}.index" for last in (10, 15, 5)]
    (data_dir / "kron.aof.3.index").touch()  # what was made while its file was let go
    assert [os.path.basename(name) for name in await log.trim(0, 1e9)] == [
        "kron.aof.5",
        "kron.aof.10",
    ]
    await asyncio.to_thread(log._parts.indexer.wait)
    assert indexes(data_dir) == ["kron.aof.15.index"]
    assert ids_of(log.rows_before(ALL, "t1", 9)) == wanted_of(ids[10:], ALL, "t1", 9)
    await log.close()


async def test_closing_ends_the_making_of_an_index(data_dir: Path, monkeypatch) -> None:
    write_log(data_dir, mixed())
    monkeypatch.setattr(kron.storage.indexer, "PAUSE_S", 100.0)
    for end in ("close", "abandon"):
        log = await opened(data_dir)
        assert log._parts is not None
        log._parts.indexer.begin()
        if end == "close":
            await log.close()
        else:
            log.abandon()
        await asyncio.to_thread(log._parts.indexer.wait)
        log._parts.indexer.begin()
        assert log._parts.indexer._thread is None and indexes(data_dir) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_died_does_not_keep_indexes_from_being_made(
    data_dir: Path, monkeypatch
) -> None:
    write_log(data_dir, mixed())
    log = await opened(data_dir)
    with monkeypatch.context() as patch:
        patch.setattr(kron.storage.indexer, "has_index", lambda *_: 1 / 0)
        await indexed(log)
    assert indexes(data_dir) == []
    await indexed(log)
    assert len(indexes(data_dir)) == 3
    await log.close()


async def test_a_file_that_somebody_took_away_is_named(data_dir: Path) -> None:
    write_log(data_dir, mixed())
    log = await opened(data_dir)
    name = next(iter(data_dir.glob("kron.aof.[0-9]*[0-9]")))
    name.unlink()
    with pytest.raises(StorageError, match=name.name):
        log.rows_before(ALL, None, 9999)
    await log.close()


def test_the_name_of_an_index_follows_its_file(data_dir: Path) -> None:
    write_log(data_dir, mixed(segments=2))
    segment = LogReader(data_dir).files[0]
    assert kron.storage.row_index.segment_name(index_name(segment)) == segment.name
    assert kron.storage.row_index.segment_name("kron.aof.index.tmp") is None
