"""Each byte of a log and of a snapshot is cut away, flipped, zeroed, deleted, doubled: a reader
is refused by name, or gets an exact prefix of the records (P2, P3); never other content."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

import pytest

from kron.core.codec import decode
from kron.core.commands import FinishRun, Outcome
from kron.core.errors import ForeignLog, LogCorrupt, LogTooNew
from kron.storage.disk import OS_DISK, Disk
from kron.storage.file import FileLog
from kron.storage.log import Record
from kron.storage.reader import LogReader
from kron.storage.scan import Scan
from kron.testing.player import Player
from tests.faults.memory_disk import MemoryDisk
from tests.faults.workload import CAN_ROTATE, LOG, PLACE, parts, read_all

SIZE_BYTES = 10_000
NAMED = (LogCorrupt, ForeignLog, LogTooNew)
REFUSALS = [error.__name__ for error in NAMED]
SAMPLE = 700
Change = Callable[[bytes, int], bytes]


def _flip(bit: int) -> Change:
    return lambda content, at: _put(content, at, content[at] ^ (1 << bit))


def _put(content: bytes, at: int, byte: int) -> bytes:
    return b"%b%c%b" % (content[:at], byte, content[at + 1 :])


CHANGES: dict[str, Change] = {
    "cut there": lambda content, at: content[:at],
    "zeroed": lambda content, at: _put(content, at, 0),
    "an end of line": lambda content, at: _put(content, at, 10),
    "zeros from there": lambda content, at: content[:at] + bytes(len(content) - at),
    "a page of zeros": lambda content, at: (
        content[:at] + bytes(len(content[at : at + 512])) + content[at + 512 :]
    ),
    "deleted": lambda content, at: content[:at] + content[at + 1 :],
    "doubled": lambda content, at: content[: at + 1] + content[at:],
    **{f"bit {bit}": _flip(bit) for bit in range(8)},
}


def events() -> list[bytes]:
    """What a scheduler writes in an hour or so: records as the engine makes them."""
    player, records, outcomes = Player(), 0, list(Outcome)
    player.start()
    player.turn(
        player.schedule("beat", every=30, overlap="skip", max_attempts=3, retry_delay=5),
        player.schedule("nightly", cron="30 2 * * *", timezone="Europe/Berlin"),
        player.schedule("böse ☃", after=90),
    )
    while sum(map(len, player.log)) < SIZE_BYTES - 800:
        player.advance(player.us + 31_000_000)
        player.turn()
        runs = list(player.machine.state.runs)
        how = outcomes[records % 2]
        player.turn(*(FinishRun(run, 1, how, 1000, "Oops") for run in runs))
        records += 1
    return player.log


@lru_cache(maxsize=1)
def written() -> tuple[bytes, list[Record]]:
    """The bytes of the file, and the records that are in it."""

    async def write() -> bytes:
        disk = MemoryDisk()
        log = FileLog(PLACE, disk=disk)
        await log.open()
        for index, payload in enumerate(events(), 1):
            decode(payload, index)
            await log.append(index, payload)
        await log.close()
        return disk.files()[LOG]

    return asyncio.run(write()), [Record(n, payload) for n, payload in enumerate(events(), 1)]


class OneFile(Disk):
    """Only what a scan needs: for a hundred thousand files."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self.content[offset : offset + size]


def scanned(content: bytes) -> list[Record]:
    """The records of a log file with this content; raises what the scan raises."""
    scan = Scan(OneFile(content), 0, LOG, len(content))
    scan.header()
    return list(scan.records())


def outcome(read: Callable[[], list[Record]], records: list[Record], why: object) -> str:
    """What became of it: the name of a refusal, "all", or "prefix". Anything else is a bug."""
    try:
        found = read()
    except NAMED as exc:
        assert LOG.rpartition("/")[2] in str(exc)
        return type(exc).__name__
    assert found == records[: len(found)], why
    return "all" if len(found) == len(records) else "prefix"


def ends_of(content: bytes) -> list[int]:
    """Behind which bytes a line ends: the header, then the records."""
    return [at + 1 for at, byte in enumerate(content) if byte == 10]


@pytest.mark.parametrize("kind", CHANGES)
def test_a_log_with_any_byte_changed_is_refused_or_a_prefix(kind: str) -> None:
    content, records = written()
    change, ends = CHANGES[kind], ends_of(content)
    reach = 512 if kind == "a page of zeros" else 1
    assert SIZE_BYTES - 1500 < len(content) < SIZE_BYTES + 2500 and len(ends) == len(records) + 1
    seen: Counter[str] = Counter()
    for at in range(len(content)):
        changed = change(content, at)
        result = outcome(lambda c=changed: scanned(c), records, (kind, at))  # type: ignore[misc]
        seen[result] += 1
        if changed == content:
            assert result == "all"
        elif at < ends[0]:
            assert result in REFUSALS, (kind, at, result)
        elif kind in ("cut there", "zeros from there"):
            assert scanned(changed) == records[: sum(end <= at for end in ends) - 1], at
        elif at + reach < ends[-2]:
            assert result in REFUSALS, (kind, at, result)
    assert seen.total() == len(content)
    assert seen["LogCorrupt"] > 50 and seen["prefix"] > 20 and seen["all"] < len(content) / 50


def test_a_line_that_is_gone_doubled_or_moved_is_refused() -> None:
    content, records = written()
    lines = content.splitlines(keepends=True)
    for n in range(1, len(lines)):
        gone = b"".join(lines[:n] + lines[n + 1 :])
        doubled = b"".join(lines[: n + 1] + lines[n:])
        moved = b"".join([*lines[: n - 1], lines[n], lines[n - 1], *lines[n + 1 :]])
        is_last = n == len(lines) - 1
        assert outcome(lambda c=gone: scanned(c), records, n) == (  # type: ignore[misc]
            "prefix" if is_last else "LogCorrupt"
        )
        for changed in (doubled, moved):
            assert outcome(lambda c=changed: scanned(c), records, n) in REFUSALS  # type: ignore[misc]


def test_damage_before_a_sync_of_an_interval_is_no_torn_tail() -> None:
    """What was on the medium before the last lines were written is proved to have been there."""

    async def write() -> bytes:
        disk = MemoryDisk()
        for life in range(3):
            log = FileLog(PLACE, disk=disk, fsync="interval", interval_s=1000.0)
            await log.open()
            for index in range(life * 3 + 1, life * 3 + 4):
                await log.append(index, b'["of",%d]' % index)
            await log.close()
        return disk.files()[LOG]

    content = asyncio.run(write())
    records = [Record(index, b'["of",%d]' % index) for index in range(1, 10)]
    assert scanned(content) == records
    proved = content.index(b'["of",6]') + len(b'["of",6]')
    for at in range(proved):
        for kind in ("bit 0", "bit 3", "zeroed", "deleted"):
            changed = CHANGES[kind](content, at)
            result = outcome(lambda c=changed: scanned(c), records, (kind, at))  # type: ignore[misc]
            assert result in REFUSALS, (kind, at)


def sample(count: int) -> Iterator[tuple[str, int, bytes]]:
    """(kind, byte, what is then in the file), the same ones in every run."""
    content, random = written()[0], Random(7)
    places = sorted({0, 9, 10, *range(len(content) - 5, len(content))})
    for _ in range(count):
        kind = random.choice(list(CHANGES))
        at = random.choice(places) if random.random() < 0.05 else random.randrange(len(content))
        yield kind, at, CHANGES[kind](content, at)


async def opened(place: str, disk: Disk) -> list[Record]:
    """What an opened log gives; it goes on, and what was appended is there afterwards."""
    log = FileLog(place, disk=disk, fsync="never")
    await log.open()
    try:
        found = await read_all(log)
        more = Record(log.tip + 1, b'["more"]')
        await log.append(*more)
    finally:
        await log.close()
    assert list(LogReader(place, disk=disk)) == [*found, more]
    return found


def both(place: str, disk: Disk, why: object) -> str:
    """The same through a reader without a lock, and then through a log that opens it."""
    records = written()[1]
    torn: list[int] = []

    def read() -> list[Record]:
        reader = LogReader(place, disk=disk)
        found = list(reader)
        torn.append(reader.torn_bytes)
        return found

    seen = outcome(read, records, why)
    assert outcome(lambda: asyncio.run(opened(place, disk)), records, why) == seen, why
    return seen


def test_readers_and_logs_agree_about_a_sample_of_them() -> None:
    seen: Counter[str] = Counter()
    for kind, at, changed in sample(SAMPLE):
        disk = MemoryDisk({LOG: changed})
        seen[both(PLACE, disk, (kind, at))] += 1
        assert disk.descriptors == 0
        if seen.keys() <= set(REFUSALS):
            assert disk.files()[LOG] == changed, "a refused file was changed"
    assert seen.total() == SAMPLE and seen["LogCorrupt"] > 50 and seen["prefix"] > 50


def test_a_real_directory_says_the_same(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for n, (kind, at, changed) in enumerate(sample(120)):
        place = tmp_path / str(n)
        place.mkdir(mode=0o700)
        (place / "kron.aof").write_bytes(changed)
        os.chmod(place / "kron.aof", 0o600)
        in_memory = both(PLACE, MemoryDisk({LOG: changed}), (kind, at))
        assert both(str(place), OS_DISK, (kind, at)) == in_memory
        seen[in_memory] += 1
    assert len(seen) >= 2 and seen["LogCorrupt"] > 10


def test_the_file_holds_what_a_scheduler_writes() -> None:
    content, records = written()
    names = {line[2:].split(b'"')[0] for _, p in records for line in p.split(b",[")[1:]}
    tags = {event[1:].split(b'"')[0] for _, p in records for event in p.split(b",[")[1:]}
    assert {b"TIMER_CREATED", b"RUN_DUE", b"RUN_STARTED", b"RUN_SUCCEEDED", b"RUN_RETRYING"} <= tags
    assert names and scanned(content) == records
    with pytest.raises(AssertionError):  # the judge itself: another content is no prefix
        outcome(lambda: records[:3] + records[4:], records, "skipped")


# -- snapshots -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def snapshot_life() -> tuple[str, dict[str, bytes], int]:
    """(the snapshot's path, every file, its index): a log with one snapshot and a record behind."""

    async def make() -> tuple[dict[str, bytes], int]:
        disk = MemoryDisk()
        log = FileLog(PLACE, disk=disk)
        await log.open()
        for index in range(1, 4):
            await log.append(index, b'["x"]')
        index = await log.rotate()
        sink = await log.begin_snapshot(index)
        for part in parts(index):
            await sink.put(part)
        await sink.commit()
        await log.append(4, b'["y"]')
        await log.close()
        return disk.files(), index

    files, index = asyncio.run(make())
    (path,) = [path for path in files if "snapshot" in path]
    return path, files, index


def snapshot_outcome(log: FileLog, index: int, why: object) -> str:
    """Whole, not listed, or refused; never another content."""
    if [each.index for each in log.snapshots()] != [index]:
        assert log.snapshots() == [] or index not in [each.index for each in log.snapshots()]
        return "not listed"
    try:
        found = list(log.read_snapshot(index))
    except LogCorrupt:
        return "refused"
    assert found == parts(index), why
    return "whole"


@pytest.mark.skipif(not CAN_ROTATE, reason="this log cannot rotate yet")
@pytest.mark.parametrize("kind", ["cut there", "zeroed", "deleted", "doubled", "bit 0", "bit 5"])
def test_a_snapshot_with_any_byte_changed_is_not_believed(kind: str) -> None:
    path, files, index = snapshot_life()
    content, change = files[path], CHANGES[kind]
    seen: Counter[str] = Counter()

    async def every() -> None:
        disk = MemoryDisk(files)
        log = FileLog(PLACE, disk=disk)
        await log.open()
        try:
            for at in range(len(content)):
                changed = change(content, at)
                disk.put(path, changed)
                result = snapshot_outcome(log, index, (kind, at))
                seen[result] += 1
                assert (result == "whole") == (changed == content), (kind, at)
        finally:
            await log.close()

    asyncio.run(every())
    assert seen.total() == len(content) > 1000 and seen["refused"] > len(content) / 2


@pytest.mark.skipif(not CAN_ROTATE, reason="this log cannot rotate yet")
def test_a_start_with_a_damaged_snapshot_keeps_its_records() -> None:
    """The records are all there: no snapshot, whatever is in its file, stops a start or skips."""
    path, files, index = snapshot_life()
    content, random = files[path], Random(11)
    seen: Counter[str] = Counter()

    async def one(changed: bytes, why: object) -> str:
        log = FileLog(PLACE, disk=MemoryDisk({**files, path: changed}))
        await log.open()
        try:
            assert log.tip == 4 and len(await read_all(log)) == 4
            return snapshot_outcome(log, index, why)
        finally:
            await log.close()

    for n in range(400):
        kind = random.choice(list(CHANGES))
        at = n if n < 150 else random.randrange(len(content))
        seen[asyncio.run(one(CHANGES[kind](content, at), (kind, at)))] += 1
    assert seen.total() == 400 and seen["refused"] > 100 and seen["whole"] < 40
