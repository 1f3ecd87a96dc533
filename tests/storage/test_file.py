"""A file log keeps what it acknowledged, in order, and says so when it cannot."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
import threading
from pathlib import Path

import pytest

from kron.core.errors import Conflict, LogCorrupt, LogFailed, StorageError
from kron.storage import scan
from kron.storage.file import FileLog
from kron.storage.lines import MAX_PAYLOAD_BYTES
from kron.storage.log import Log, Record


async def opened(data_dir: Path, **options: object) -> FileLog:
    log = FileLog(data_dir, **options)  # type: ignore[arg-type]
    assert await log.open() is None
    return log


async def test_a_new_log_is_empty_private_and_ready(data_dir: Path) -> None:
    log: Log = FileLog(data_dir / "deep")
    assert await log.open() is None
    assert log.tip == 0 and len(log.log_id) == 32 and await log.read(0, 10) == []
    await log.close()
    for path in (data_dir, data_dir / "deep"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_dir / "deep").iterdir()}
    assert names == {"kron.aof": 0o600, "kron.lock": 0o600, ".gitignore": 0o600}
    assert (data_dir / "deep" / ".gitignore").read_text() == "*\n"


async def test_what_was_appended_is_read_after_reopening(data_dir, payloads) -> None:
    log = await opened(data_dir)
    for index, payload in enumerate(payloads, 1):
        await log.append(index, payload)
        assert log.tip == index
    log_id = log.log_id
    await log.close()
    log = await opened(data_dir)
    records = [Record(index, payload) for index, payload in enumerate(payloads, 1)]
    assert (log.log_id, log.tip) == (log_id, 3)
    assert await log.read(0, 10) == records
    assert await log.read(1, 1) == records[1:2]
    assert await log.read(2, 5) == records[2:]
    assert await log.read(3, 5) == await log.read(9, 5) == await log.read(0, 0) == []
    await log.append(4, b"[4]")
    assert await log.read(3, 5) == [Record(4, b"[4]")]
    await log.close()


async def test_sequential_reads_read_each_byte_once(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="never", disk=disk)
    for index in range(1, 301):
        await log.append(index, b"[%d]" % index)
    offsets = []
    pread = disk.pread
    disk.pread = lambda fd, size, offset: offsets.append(offset) or pread(fd, size, offset)
    found = []
    while batch := await log.read(len(found), 10):
        found += batch
    assert [record.index for record in found] == list(range(1, 301))
    assert len(offsets) == 30 and offsets == sorted(set(offsets))
    await log.close()


async def test_those_who_read_at_different_places_are_not_in_each_others_way(
    data_dir, disk, monkeypatch
) -> None:
    monkeypatch.setattr("kron.storage.chain.STRIDE", 20)
    log = await opened(data_dir, fsync="never", disk=disk)
    for index in range(1, 601):
        await log.append(index, b"[%d]" % index)
        if index == 300:
            await log.rotate()
    parse, parsed = scan.parse_record, []
    monkeypatch.setattr(scan, "parse_record", lambda *line: parsed.append(1) or parse(*line))
    chance, readers = random.Random(5), [[] for _ in range(7)]
    while any(len(found) < 600 for found in readers):
        found = chance.choice(readers)
        found += await log.read(len(found), chance.choice([1, 10, 30]))
    assert all([record.index for record in found] == [*range(1, 601)] for found in readers)
    assert len(parsed) < 7 * 600 * 3  # and not the hundredfold
    await log.close()


async def test_a_taken_or_a_later_index_is_a_conflict(data_dir) -> None:
    log = await opened(data_dir)
    await log.append(1, b"[1]")
    for index in (0, 1, 3):
        with pytest.raises(Conflict):
            await log.append(index, b"[]")
    await log.append(2, b"[2]")
    assert log.tip == 2
    await log.close()


async def test_the_index_of_an_append_in_flight_is_taken(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    disk.writing.clear()
    disk.hold = threading.Event()
    first = asyncio.create_task(log.append(1, b"[1]"))
    await asyncio.sleep(0)
    for index in (1, 2):
        with pytest.raises(Conflict):
            await log.append(index, b"[]")
    disk.hold.set()
    await first
    await log.append(2, b"[2]")
    await log.close()


@pytest.mark.parametrize("payload", [b"", b"7", b"[1,\n2]", b"[" + b" " * MAX_PAYLOAD_BYTES + b"]"])
async def test_a_payload_that_is_no_record_is_a_programming_error(data_dir, payload) -> None:
    log = await opened(data_dir)
    with pytest.raises(ValueError):
        await log.append(1, payload)
    await log.append(1, b"[" + b" " * (MAX_PAYLOAD_BYTES - 2) + b"]")
    await log.close()
    log = await opened(data_dir)
    assert log.tip == 1
    await log.close()


async def test_always_syncs_once_per_append(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    before = disk.calls.copy()
    for index in range(1, 51):
        await log.append(index, b"[]")
        assert disk.calls["fdatasync"] == disk.calls["write"] - before["write"] == index
    await log.close()
    assert disk.calls["fdatasync"] == 50


async def test_never_syncs_nothing_but_the_creation(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="never", disk=disk)
    assert disk.calls["fsync"] == 1 and disk.calls["fsync_dir"] >= 1
    await log.append(1, b"[]")
    await log.close()
    assert disk.calls["fsync"] == 1 and disk.calls["fdatasync"] == 0


async def test_interval_syncs_without_another_append(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="interval", interval_s=0.01, disk=disk)
    await log.append(1, b"[]")
    assert await asyncio.to_thread(disk.synced.wait, 5)
    assert log._parts is not None
    assert log._parts.writer._sync_in_s() is None  # sleeps without an end
    await log.close()
    assert disk.calls["fdatasync"] == 1


async def test_interval_syncs_under_load_too(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="interval", interval_s=0.005, disk=disk)
    index = 0
    while not disk.synced.is_set() and index < 100_000:
        index += 1
        await log.append(index, b"[]")
    assert disk.synced.is_set() and disk.calls["fdatasync"] < index
    await log.close()


async def test_interval_syncs_at_close(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="interval", interval_s=3600, disk=disk)
    await log.append(1, b"[]")
    assert disk.calls["fdatasync"] == 0
    await log.close()
    await log.close()
    assert disk.calls["fdatasync"] == 1


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ("write", errno.ENOSPC, "No space left on device"),
        ("fdatasync", errno.EIO, "Input/output error"),
        ("short", 0, r"short write \(\d+ of \d+ bytes\): the disk is full, or failing"),
    ],
)
async def test_a_failed_write_or_sync_fails_the_log_for_good(
    data_dir, disk, call, code, words
) -> None:
    log = await opened(data_dir, disk=disk)
    await log.append(1, b"[1]")
    disk.fail, disk.short = {call: code}, call == "short"
    with pytest.raises(LogFailed, match=words) as failed:
        await log.append(2, b"[2]")
    assert "kron.aof" in str(failed.value) and isinstance(failed.value.__cause__, OSError)
    disk.fail, disk.short = {}, 0
    calls = disk.calls.copy()
    for _ in range(3):
        with pytest.raises(LogFailed, match=words):
            await log.append(2, b"[2]")
    assert disk.calls == calls and log.tip == 1 and log.failure is not None
    assert await log.read(0, 9) == [Record(1, b"[1]")]
    await log.close()
    log = FileLog(data_dir)
    await log.open()
    assert (await log.read(0, 1)) == [Record(1, b"[1]")]
    await log.close()


async def test_a_failed_sync_that_nobody_awaits_is_heard(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="interval", interval_s=0.01, disk=disk)
    heard: list[LogFailed] = []
    told = threading.Event()
    log.on_failure = lambda failure: (heard.append(failure), told.set())  # type: ignore[assignment]
    disk.fail = {"fdatasync": errno.EIO}
    await log.append(1, b"[]")
    assert await asyncio.to_thread(told.wait, 5)
    assert heard == [log.failure]
    with pytest.raises(LogFailed):
        await log.append(2, b"[]")
    await log.close()


async def test_a_failed_sync_at_close_is_raised_once_and_releases_all(data_dir, disk) -> None:
    log = await opened(data_dir, fsync="interval", interval_s=3600, disk=disk)
    await log.append(1, b"[]")
    disk.fail = {"fdatasync": errno.EIO}
    with pytest.raises(LogFailed):
        await log.close()
    await log.close()
    await (await opened(data_dir)).close()


async def test_an_error_that_is_no_oserror_leaves_no_waiter_hanging(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    disk.short = "nonsense"
    with pytest.raises(LogFailed, match="TypeError"):
        await log.append(1, b"[]")
    await log.close()


async def test_a_cancelled_append_is_written_all_the_same(data_dir, disk) -> None:
    log = await opened(data_dir, disk=disk)
    disk.writing.clear()
    disk.hold = threading.Event()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    waiter = asyncio.create_task(log.append(1, b"[1]"))
    assert await asyncio.to_thread(disk.writing.wait, 5)
    waiter.cancel()
    await asyncio.sleep(0.01)
    assert not waiter.done()
    assert log.tip == 0
    disk.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert log.tip == 1
    await log.close()
    assert log.tip == 1 and complaints == []
    log = await opened(data_dir)
    assert await log.read(0, 9) == [Record(1, b"[1]")]
    await log.close()


async def test_a_closed_log_takes_and_gives_nothing(data_dir) -> None:
    log = FileLog(data_dir)
    await log.close()
    for _ in range(2):
        with pytest.raises(LogFailed, match="not open"):
            await log.append(1, b"[]")
        with pytest.raises(StorageError, match="not open"):
            await log.read(0, 1)
        log = await opened(data_dir)
        await log.close()
    with pytest.raises(StorageError, match="opened before"):
        await log.open()


def test_an_abandoned_log_is_free_at_once_though_its_loop_is_gone(data_dir, disk) -> None:
    log = FileLog(data_dir, disk=disk)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(log.open())
    disk.writing.clear()
    disk.hold = threading.Event()
    waiter = loop.create_task(log.append(1, b"[1]"))
    loop.run_until_complete(asyncio.to_thread(disk.writing.wait, 5))
    waiter.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    threading.Timer(0.01, disk.hold.set).start()
    log.abandon()  # waits for the write in flight: no byte lands after the lock is free
    log.abandon()

    async def reopen() -> int:
        second = await opened(data_dir)
        await second.close()
        return second.tip

    assert asyncio.run(reopen()) == 1


async def test_a_cancelled_open_leaves_nothing_locked(data_dir, disk) -> None:
    disk.hold = threading.Event()
    log = FileLog(data_dir, disk=disk)
    task = asyncio.create_task(log.open())
    assert await asyncio.to_thread(disk.writing.wait, 5)
    task.cancel()
    await asyncio.sleep(0.01)
    disk.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    second = await opened(data_dir)
    await second.append(1, b"[]")
    await second.close()


async def test_a_full_disk_at_creation_leaves_no_log(data_dir, disk) -> None:
    disk.fail = {"fsync": errno.ENOSPC}
    with pytest.raises(StorageError, match="No space left"):
        await FileLog(data_dir, disk=disk).open()
    assert not (data_dir / "kron.aof").exists()
    await (await opened(data_dir)).close()


async def test_damage_after_opening_is_not_read(data_dir, payloads, written) -> None:
    content = await written()
    log = await opened(data_dir)
    with open(data_dir / "kron.aof", "r+b") as file:
        file.seek(content.index(b"two"))
        file.write(b"TWO")
    with pytest.raises(LogCorrupt):
        await log.read(0, 9)
    await log.close()


async def test_a_later_change_of_directory_changes_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = await opened(Path("kron"))
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    await log.append(1, b"[]")
    assert await log.read(0, 1) == [Record(1, b"[]")]
    await log.close()


def test_bad_options_are_refused(data_dir) -> None:
    for options in ({"fsync": "sometimes"}, {"interval_s": 0}, {"interval_s": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(options))):
            FileLog(data_dir, **options)
