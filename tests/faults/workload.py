"""A life of a log, step by step, and what must be true of what it leaves on a disk."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable
from contextlib import suppress
from random import Random

from kron.core.errors import LogFailed, StorageError
from kron.storage.file import FileLog
from kron.storage.log import Record
from kron.storage.writer import Fsync
from tests.faults.memory_disk import MemoryDisk

PLACE = "/srv/kron"
LOG = PLACE + "/kron.aof"
CAN_ROTATE = hasattr(FileLog, "rotate") and hasattr(FileLog, "begin_snapshot")
SIZES = (40, 700, 90, 60, 5200, 30, 1500, 200)  # less and more than a sector, more than a page
PARTS = 3

SCRIPT = """
append append append append append read
rotate append snapshot append append
read rotate snapshot trim append append append
rotate rotate append snapshot trim append read
""".split()


def payload(index: int) -> bytes:
    """Record `index` of every log here: its content follows from its index."""
    filler = Random(index).randbytes(SIZES[index % len(SIZES)] // 2).hex()
    return b'[{"v":1},["E",%d,"%s"]]' % (index, filler.encode())


def parts(index: int) -> list[bytes]:
    """The snapshot of the state after record `index`."""
    return [
        b'{"of":%d,"part":%d,"x":"%s"}' % (index, n, b"y" * (900 * n * (1 + index % 3)))
        for n in range(PARTS)
    ]


class Life:
    """One process with one log. What it was promised, in numbers that only grow:

    `acked` records (with `interval`: and synced), the newest committed snapshot; `marks` says at
    which boundary of the history each came true, and what had been submitted by then.
    """

    def __init__(self, disk: MemoryDisk, *, fsync: Fsync = "always") -> None:
        self.disk = disk
        self.fsync = fsync
        self.log = FileLog(PLACE, disk=disk, fsync=fsync, interval_s=1000.0)
        self.acked = self.submitted = 0
        self.snapshot = 0
        self.refused: list[str] = []
        self.errors: list[StorageError] = []
        self.marks: list[tuple[int, int, int, int]] = []

    def mark(self) -> None:
        """What is true now was true after the last call already."""
        number = len(self.disk.history or ())
        self.marks.append((number, self.submitted, self.acked, self.snapshot))

    def at(self, number: int) -> tuple[int, int, int]:
        """(submitted, acked, newest snapshot) when boundary `number` was the last one."""
        known = [mark[1:] for mark in self.marks if mark[0] <= number + 1]
        return known[-1] if known else (0, 0, 0)

    async def open(self) -> bool:
        """Whether it could be opened; nothing is left open if not."""
        try:
            await self.log.open()
        except StorageError as exc:
            self.errors.append(exc)
            assert self.log.tip == 0
            return False
        self.acked = self.submitted = self.log.tip  # what it shows has to stay
        if CAN_ROTATE:
            self.snapshot = max((each.index for each in self.log.snapshots()), default=0)
        self.mark()
        return True

    async def play(self, script: Iterable[str] = SCRIPT) -> None:
        """Take the steps; those that fail are noted, with what must be true of a failure."""
        for step in script:
            if not CAN_ROTATE and step in ("rotate", "snapshot", "trim"):
                continue
            before = (self.hits(), self.log.failure)
            try:
                await STEPS[step](self)
            except StorageError as exc:
                self.refused.append(step)
                self.errors.append(exc)
                assert self.hits() > before[0] or before[1] is not None, (step, exc)
                self._check_failure(step, exc, before[1])
            else:
                assert step != "append" or before[1] is None, "acknowledged after a failure (P7)"
            self.mark()

    def hits(self) -> int:
        return sum(fault.hits for fault in self.disk.faults)

    def _check_failure(self, step: str, exc: StorageError, known: LogFailed | None) -> None:
        """An append that fails is the end of the log. What only keeps it short is not."""
        if step == "append":
            assert isinstance(exc, LogFailed) and self.log.failure is not None
            assert str(exc) == str(self.log.failure)
        elif step == "rotate":
            assert isinstance(exc, LogFailed) == (self.log.failure is not None), repr(exc)
        else:
            assert self.log.failure is known, f"{step} stopped the log: {exc}"

    async def append(self) -> None:
        index = self.log.tip + 1
        self.submitted = max(self.submitted, index)
        self.mark()
        syncs = self.disk.calls["fdatasync"]
        await self.log.append(index, payload(index))
        if self.fsync == "always" or self.disk.calls["fdatasync"] > syncs:
            self.acked = index

    async def read(self) -> None:
        base = base_of(self.log)
        assert await read_all(self.log) == expected(base, self.log.tip)

    async def rotate(self) -> None:
        assert await self.log.rotate() == self.log.tip

    async def take_snapshot(self) -> None:
        index, known = self.log.tip, self.log.snapshots()
        sink = await self.log.begin_snapshot(index)
        try:
            for part in parts(index):
                await sink.put(part)
            kept = await sink.commit()
        except StorageError:
            await sink.discard()
            assert {*known[:1]} <= {*self.log.snapshots()}, "the newest one is gone"
            raise
        assert kept.index == index and self.log.snapshots()[0] == kept
        self.snapshot = index

    async def trim(self) -> None:
        await self.log.trim(0, 0.0)
        parts = self.log._parts
        if parts is not None:  # the indexes are made in a thread: its calls are counted here
            await to_thread(parts.indexer.wait)

    async def close(self) -> None:
        known = self.log.failure
        try:
            await self.log.close()
        except LogFailed as exc:
            assert known is None and self.log.failure is exc
        self.mark()

    def kill(self) -> None:
        """kill -9: nothing more reaches the disk (the thread is only told to end)."""
        self.disk.kill()
        with suppress(OSError):
            self.log.abandon()


def base_of(log: FileLog) -> int:
    return log.base if CAN_ROTATE else 0


async def read_all(log: FileLog) -> list[Record]:
    """Everything `read` gives; it may stop early, but must come to the tip."""
    found: list[Record] = []
    while (after := base_of(log) + len(found)) < log.tip:
        some = await log.read(after, 1000)
        assert some, f"nothing behind {after}, the tip is {log.tip}"
        found += some
    return found


def expected(base: int, tip: int) -> list[Record]:
    return [Record(index, payload(index)) for index in range(base + 1, tip + 1)]


async def check(disk: MemoryDisk, submitted: int, acked: int, snapshot: int = 0) -> int:
    """The log opens with every acknowledged record and a prefix of what was submitted; the newest
    snapshot is whole; what is missing in front is covered by a snapshot; and it goes on: an
    append, a rotation and a snapshot work, and are there after another start. Returns the tip."""
    log = FileLog(PLACE, disk=disk)
    await log.open()
    try:
        tip = await _check_opened(log, submitted, acked, snapshot)
        await log.append(tip + 1, payload(tip + 1))
        if CAN_ROTATE:
            assert await log.rotate() == tip + 1
    finally:
        await log.close()
    log = FileLog(PLACE, disk=disk)
    assert await log.open() is None
    try:
        assert await _check_opened(log, tip + 1, tip + 1, snapshot) == tip + 1
    finally:
        await log.close()
    assert disk.descriptors == 0
    return tip


async def _check_opened(log: FileLog, submitted: int, acked: int, snapshot: int) -> int:
    assert acked <= log.tip <= submitted, f"{acked} acknowledged, {log.tip} found"
    base = base_of(log)
    assert await read_all(log) == expected(base, log.tip)
    if CAN_ROTATE:
        kept = [each.index for each in log.snapshots()]
        assert kept == sorted(kept, reverse=True) and len(kept) <= 2
        assert not snapshot or kept[0] >= snapshot, f"snapshot {snapshot} is gone: {kept}"
        for index in kept:
            assert list(log.read_snapshot(index)) == parts(index)
        assert base <= min(kept, default=0)
    return log.tip


STEPS = {
    "append": Life.append,
    "read": Life.read,
    "rotate": Life.rotate,
    "snapshot": Life.take_snapshot,
    "trim": Life.trim,
}
