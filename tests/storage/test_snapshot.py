"""A snapshot is there whole or not at all; two are kept, whatever breaks while one is written."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest

from kron.core.errors import LogCorrupt, LogFailed, LogTooNew, StorageError
from kron.storage.file import FileLog
from kron.storage.lines import MAX_PAYLOAD_BYTES, encode_record, seed_of
from kron.storage.log import SnapshotFile
from kron.storage.reader import LogReader

PARTS = [b'{"timers":[1,2]}', b"[]", '["ü"]'.encode(), b'{"parts":3}']


async def opened(data_dir: Path, **options: object) -> FileLog:
    log = FileLog(data_dir, **options)  # type: ignore[arg-type]
    await log.open()
    return log


def parts_of(index: int) -> list[bytes]:
    return [b'{"index":%d}' % index, *PARTS]


async def take(log: FileLog, index: int | None = None) -> SnapshotFile:
    """Append a record, and keep the state after it."""
    await log.append(log.tip + 1, b"[1]")
    sink = await log.begin_snapshot(log.tip if index is None else index)
    for part in parts_of(log.tip if index is None else index):
        await sink.put(part)
    return await sink.commit()


def indices(log: FileLog | LogReader) -> list[int]:
    return [snapshot.index for snapshot in log.snapshots()]


def check_readable(log: FileLog | LogReader) -> None:
    for index in indices(log):
        assert list(log.read_snapshot(index)) == parts_of(index)


async def test_the_two_newest_are_kept(data_dir) -> None:
    log = await opened(data_dir)
    assert log.snapshots() == []
    for tip in range(1, 5):
        kept = await take(log)
        assert kept.index == tip and log.snapshots()[0] == kept
        assert indices(log) == [tip, tip - 1][: min(tip, 2)]
        check_readable(log)
    assert kept.size_bytes == (data_dir / "kron.snapshot").stat().st_size
    names = {path.name: path.stat().st_mode & 0o777 for path in data_dir.glob("kron.snapshot*")}
    assert names == {"kron.snapshot": 0o600, "kron.snapshot.old": 0o600}
    with pytest.raises(StorageError, match="keeps no snapshot of record 2"):
        list(log.read_snapshot(2))
    await log.close()
    log = await opened(data_dir)
    reader = LogReader(data_dir)
    assert reader.snapshots() == log.snapshots() and indices(log) == [4, 3]
    check_readable(log)
    check_readable(reader)
    await log.close()


async def test_one_that_is_not_committed_never_was(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    sink = await log.begin_snapshot(1)
    await sink.put(b"[1]")
    assert indices(log) == [1] and (data_dir / "kron.snapshot.tmp").exists()
    await sink.discard()
    await sink.discard()
    assert not (data_dir / "kron.snapshot.tmp").exists()
    for call in (sink.put(b"[]"), sink.commit()):
        with pytest.raises(StorageError, match="was discarded"):
            await call
    first = await log.begin_snapshot(1)
    second = await log.begin_snapshot(1)
    with pytest.raises(StorageError, match="was replaced"):
        await first.put(b"[]")
    await first.discard()
    await second.put(b"[2]")
    await log.close()
    with pytest.raises(StorageError):
        await second.commit()
    log = await opened(data_dir)
    assert indices(log) == [1]
    check_readable(log)
    assert await take(log) and indices(log) == [2, 1]
    await log.close()


async def test_one_of_the_same_record_takes_the_place_of_the_newest(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    await take(log)
    for _ in range(2):
        sink = await log.begin_snapshot(2)
        for part in parts_of(2):
            await sink.put(part)
        await sink.commit()
        assert indices(log) == [2, 1]
        check_readable(log)
    await log.close()


async def test_what_is_no_part_and_what_is_no_index_are_programming_errors(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    await take(log)
    for index in (-1, 1, 3):
        with pytest.raises(ValueError):
            await log.begin_snapshot(index)
    sink = await log.begin_snapshot(2)
    for part in (b"", b"7", b"[\n]", b"[" + b" " * MAX_PAYLOAD_BYTES + b"]"):
        with pytest.raises(ValueError):
            await sink.put(part)
    largest = b"[" + b" " * (MAX_PAYLOAD_BYTES - 2) + b"]"
    for _ in range(3):
        await sink.put(largest)
    await sink.commit()
    assert list(log.read_snapshot(2)) == [largest] * 3
    await log.close()


async def test_a_snapshot_without_parts_is_one(data_dir) -> None:
    log = await opened(data_dir)
    sink = await log.begin_snapshot(0)
    await sink.commit()
    assert list(log.read_snapshot(0)) == []
    await log.close()


async def test_the_records_it_stands_for_are_on_the_medium_first(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="never", disk=disk)
    await log.append(1, b"[1]")
    assert disk.calls["fdatasync"] == 0
    sink = await log.begin_snapshot(1)
    assert disk.calls["fdatasync"] == 1
    await sink.discard()
    await log.close()


# -- what breaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("for_ever", [False, True])
async def test_every_call_of_a_snapshot_can_fail(tmp_path, dying, for_ever) -> None:
    for nth in range(1, 100):
        data_dir = tmp_path / str(nth)
        log = await opened(data_dir, disk=dying)
        await take(log)
        await take(log)
        await log.append(3, b"[3]")
        dying.arm(nth, for_ever=for_ever)
        was_committed = False
        try:
            sink = await log.begin_snapshot(3)
            for part in parts_of(3):
                await sink.put(part)
            await sink.commit()
            was_committed = True
        except StorageError as exc:
            assert "kron.snapshot.tmp" in str(exc) and not isinstance(exc, LogFailed)
        hits = dying.hits
        dying.heal()
        assert was_committed == (not hits) and log.failure is None
        assert indices(log)[0] in (2, 3)
        check_readable(log)
        again = await opened_copy(data_dir)
        assert indices(again) == indices(log)
        check_readable(again)
        await take(log)
        assert len(indices(log)) == 2 and indices(log)[0] == 4
        check_readable(log)
        await log.close()
        log = await opened(data_dir)
        assert log.tip == 4 and len(indices(log)) == 2
        check_readable(log)
        await log.close()
        if not hits:
            break
    assert nth > 10


async def opened_copy(data_dir: Path) -> LogReader:
    return await asyncio.to_thread(LogReader, data_dir)


@pytest.mark.parametrize("call", ["begin", "put", "commit"])
async def test_a_full_disk_stops_a_snapshot_and_not_the_log(data_dir, disk, call) -> None:
    log = await opened(data_dir, disk=disk)
    await take(log)
    await log.append(2, b"[2]")
    sink = await log.begin_snapshot(2) if call != "begin" else None
    failing = {
        "begin": lambda: log.begin_snapshot(2),
        "put": lambda: sink and sink.put(b"[]"),
        "commit": lambda: sink and sink.commit(),
    }
    disk.fail = {"write": errno.ENOSPC}
    with pytest.raises(StorageError, match=r"\.tmp could not be written \(\d+ bytes.*: No space"):
        await failing[call]()
    disk.fail = {}
    assert not (data_dir / "kron.snapshot.tmp").exists()
    if sink is not None:
        with pytest.raises(StorageError, match="could not be written"):
            await sink.commit()
        await sink.discard()
    assert indices(log) == [1]
    await take(log)
    assert indices(log) == [3, 1]
    check_readable(log)
    await log.close()


async def test_no_other_content_than_was_written_is_ever_accepted(data_dir) -> None:
    """Every byte flipped, left out and doubled, and the file cut at every byte."""
    log = await opened(data_dir)
    await take(log)
    await log.close()
    path = data_dir / "kron.snapshot"
    content = path.read_bytes()
    reader = LogReader(data_dir)
    check_readable(reader)
    damaged = [content[:end] for end in range(len(content))]
    for position in range(len(content)):
        front, byte, back = content[:position], content[position : position + 1], content[position:]
        damaged += [front + bytes([byte[0] ^ (1 << bit)]) + back[1:] for bit in range(8)]
        damaged += [front + back[1:], front + byte + back]
    lines = content.splitlines(keepends=True)
    for place in range(len(lines)):
        damaged.append(b"".join(lines[:place] + lines[place + 1 :]))
        damaged.append(b"".join([*lines[:place], lines[place], *lines[place:]]))
    damaged += [content + b"\n", content + content, content + b"\0", b"", b"\0" * len(content)]
    for each in damaged:
        if each == content:  # two equal bytes: one of them left out and doubled
            continue
        path.write_bytes(each)
        with pytest.raises(LogCorrupt, match=r"kron\.snapshot: .*byte \d+"):
            list(reader.read_snapshot(1))


async def test_a_line_of_another_snapshot_is_not_accepted(data_dir, tmp_path) -> None:
    log = await opened(data_dir)
    await take(log)
    await take(log)
    await log.close()
    old = (data_dir / "kron.snapshot.old").read_bytes().splitlines(keepends=True)
    new = (data_dir / "kron.snapshot").read_bytes().splitlines(keepends=True)
    for place in range(len(old)):
        mixed = [*new[:place], old[place], *new[place + 1 :]]
        (data_dir / "kron.snapshot").write_bytes(b"".join(mixed))
        os.unlink(data_dir / "kron.snapshot.old") if place == 0 else None
        with pytest.raises((LogCorrupt, StorageError)):
            list(LogReader(data_dir).read_snapshot(2))


async def test_a_part_that_looks_like_the_end_is_not_the_end(data_dir) -> None:
    log = await opened(data_dir)
    sink = await log.begin_snapshot(0)
    await sink.put(b"[1]")
    await sink.put(b'{"parts":1}')
    await sink.commit()
    assert list(log.read_snapshot(0)) == [b"[1]", b'{"parts":1}']
    path = data_dir / "kron.snapshot"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(LogCorrupt, match="it has no end"):
        list(log.read_snapshot(0))
    await log.close()


def header_with(log_id: str, **changes: object) -> bytes:
    fields = {"magic": "kron-snapshot", "format": 1, "log_id": log_id, "index": 1, **changes}
    return encode_record(seed_of("kron-snapshot"), 0, json.dumps(fields).encode())


async def test_a_newer_format_is_listed_and_refused_when_it_is_read(data_dir) -> None:
    log = await opened(data_dir)
    await log.append(1, b"[1]")
    await log.close()
    (data_dir / "kron.snapshot").write_bytes(header_with(log.log_id, format=2) + b"whatever")
    log = await opened(data_dir)
    assert indices(log) == [1]
    with pytest.raises(LogTooNew, match=r"snapshot format 2.* up to 1.* nothing was changed"):
        list(log.read_snapshot(1))
    await log.close()


@pytest.mark.parametrize("name", ["kron.snapshot", "kron.snapshot.old"])
async def test_a_snapshot_that_cannot_be_of_this_log_is_refused(data_dir, name) -> None:
    log = await opened(data_dir)
    await log.append(1, b"[1]")
    await log.close()
    for header, words in (
        (header_with("0" * 32), "is a snapshot of another log"),
        (header_with(log.log_id, index=2), "was made after record 2, but the log ends at record 1"),
    ):
        (data_dir / name).write_bytes(header)
        before = (data_dir / "kron.aof").read_bytes()
        (data_dir / "kron.aof").write_bytes(before + b"torn")
        with pytest.raises(LogCorrupt, match=f"{name} .*{words}"):
            await FileLog(data_dir).open()
        assert (data_dir / "kron.aof").read_bytes() == before + b"torn"
        (data_dir / "kron.aof").write_bytes(before)


async def test_what_is_no_snapshot_is_not_listed_and_makes_room(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    await log.close()
    os.rename(data_dir / "kron.snapshot", data_dir / "kron.snapshot.old")
    (data_dir / "kron.snapshot").write_bytes(b"ours")
    log = await opened(data_dir)
    assert indices(log) == [1]
    await take(log)
    assert indices(log) == [2, 1]
    check_readable(log)
    await log.close()


async def test_a_log_that_is_missing_beside_its_snapshot_is_named(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    await log.close()
    os.unlink(data_dir / "kron.aof")
    with pytest.raises(LogCorrupt, match=r"kron\.aof is missing, but .*kron\.snapshot is there"):
        await FileLog(data_dir).open()
    with pytest.raises(LogCorrupt, match=r"kron\.aof is missing"):
        LogReader(data_dir)


async def test_reading_goes_on_while_another_is_committed(data_dir) -> None:
    log = await opened(data_dir)
    await take(log)
    found = log.read_snapshot(1)
    first = next(found)
    await take(log)
    await take(log)
    assert [first, *found] == parts_of(1)
    await log.close()


async def test_an_abandoned_log_changes_no_snapshot(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    await take(log)
    await log.append(2, b"[2]")
    sink = await log.begin_snapshot(2)
    disk.writing.clear()
    disk.hold = threading.Event()
    task = asyncio.create_task(sink.commit())
    assert await asyncio.to_thread(disk.writing.wait, 5)
    threading.Timer(0.01, disk.hold.set).start()
    await asyncio.to_thread(log.abandon)
    before = (data_dir / "kron.snapshot").read_bytes()
    with pytest.raises(StorageError, match="given up"):
        await task
    assert (data_dir / "kron.snapshot").read_bytes() == before
    log = await opened(data_dir)
    assert indices(log) == [1]
    await log.close()


async def test_a_forked_child_has_no_part_in_a_snapshot(data_dir) -> None:
    log = await opened(data_dir)
    await log.append(1, b"[1]")
    sink = await log.begin_snapshot(1)
    child = os.fork()
    if child == 0:
        links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        held = [os.readlink(link) for link in links if os.path.islink(link)]
        os._exit(any("kron." in name for name in held))
    assert os.waitpid(child, 0)[1] == 0
    await sink.put(b"[1]")
    await sink.commit()
    assert list(log.read_snapshot(1)) == [b"[1]"]
    await log.close()
