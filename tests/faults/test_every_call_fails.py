"""Each system call of a log's life fails once, or from then on; what was acknowledged is kept.

Promises: P1 (acknowledged is kept), P2 (no start is refused afterwards, nothing is half there), P3
(nothing is skipped), P7 (after a failed write or sync nothing is acknowledged, and it is visible).
"""

from __future__ import annotations

import asyncio
import errno
import os
from random import Random

import pytest

from kron.storage.disk import Disk
from tests.faults.crash import image
from tests.faults.memory_disk import SHORT, MemoryDisk
from tests.faults.workload import CAN_ROTATE, SCRIPT, Life, check

KINDS = """
open close pread write fdatasync fsync fsync_dir truncate rename unlink mkdir names lstat fstat
is_writable try_lock unlock
""".split()
CODES = (errno.EIO, errno.ENOSPC, SHORT)
TAKES_ROOM = {"open", "fdatasync", "fsync", "fsync_dir", "rename", "mkdir"}
POWER_CUTS = 1


async def undisturbed() -> MemoryDisk:
    disk = MemoryDisk()
    life = Life(disk)
    assert await life.open()
    await life.play()
    await life.close()
    assert life.refused == [] and disk.descriptors == 0
    assert life.acked == SCRIPT.count("append")
    assert not CAN_ROTATE or life.snapshot
    return disk


def counted() -> dict[str, int]:
    return dict(asyncio.run(undisturbed()).calls)


async def case(call: str | None, nth: int, code: int, for_ever: bool) -> Life:
    """One life with one fault, its death, and what comes after: by kill, and by power cut."""
    disk = MemoryDisk()
    fault = disk.fail(call, nth, code, for_ever=for_ever)
    life = Life(disk)
    if await life.open():
        await life.play()
        await check_failed_log(life, code)
        await life.close()
    assert fault.hits, "the fault was not met"
    assert disk.descriptors == 0 or call in (None, "close", "unlock")
    disk.heal()
    death = disk.boundary()
    life.kill()
    disk.kill()
    for seed in range(POWER_CUTS):
        cut = image(death, Random(f"{call}{nth}{code}{for_ever}{seed}"))
        await check(cut, life.submitted, life.acked, life.snapshot)
    await check(disk, life.submitted, life.acked, life.snapshot)
    return life


async def check_failed_log(life: Life, code: int) -> None:
    """P7: a log that failed an append says why, for good. One that did not goes on: a later
    rotation and snapshot, which met no fault, were done."""
    failure = life.log.failure
    if failure is None:
        assert "append" not in life.refused
        return
    why = "short write" if code == SHORT else os.strerror(code)
    assert why in str(failure) and failure.__cause__ is not None
    acked = life.acked
    hits = life.hits()
    await life.play(["append"])
    assert life.refused[-1] == "append" and life.acked == acked == life.log.tip
    assert life.hits() == hits, "a log that has failed is not written to"


def lives(call: str | None, nths: range, codes: tuple[int, ...]) -> list[Life]:
    cases = [(call, n, code, ever) for n in nths for code in codes for ever in (False, True)]
    return [asyncio.run(case(*each)) for each in cases]


def test_the_memory_disk_stands_in_for_every_call_of_the_disk() -> None:
    calls = {name for name in vars(Disk) if not name.startswith("_")}
    assert calls == {*KINDS} <= {*vars(MemoryDisk)}
    assert {*KINDS} - {*counted()} <= ({"truncate"} if CAN_ROTATE else {"truncate", "unlink"})


@pytest.mark.parametrize("call", [kind for kind in KINDS if kind != "write"])
def test_a_call_fails(call: str) -> None:
    count = counted().get(call, 0)
    codes = CODES[: 2 if call in TAKES_ROOM else 1]
    found = lives(call, range(1, count + 1), codes)
    assert len(found) == 2 * len(codes) * count


def test_a_write_fails() -> None:
    count = counted()["write"]
    found = lives("write", range(1, count + 1), CODES)
    assert len(found) == 6 * count
    assert sum(life.log.failure is not None for life in found) >= 4 * SCRIPT.count("append")


def test_a_failed_sync_of_a_record_stops_the_log() -> None:
    count = counted()["fdatasync"]
    assert count >= SCRIPT.count("append")
    failed = lives("fdatasync", range(1, count + 1), CODES[:1])
    assert all(life.log.failure is not None for life in failed if "append" in life.refused)
    assert sum("append" in life.refused for life in failed) >= 2 * SCRIPT.count("append") - 2


@pytest.mark.parametrize("fourth", range(4))
def test_the_disk_dies_at_any_call_of_any_kind(fourth: int) -> None:
    count = sum(counted().values())
    nths = range(1 + fourth, count + 1, 4)
    found = lives(None, nths, (errno.EIO,))
    assert len(found) == 2 * len(nths) and len(nths) > 20


@pytest.mark.skipif(not CAN_ROTATE, reason="this log cannot rotate yet")
@pytest.mark.parametrize("step", ["rotate", "snapshot", "trim"])
def test_what_only_keeps_the_log_short_does_not_stop_it(step: str) -> None:
    """Each call of the first rotation, snapshot, trim fails; the same step then works."""
    before = SCRIPT[: SCRIPT.index(step)]
    after = [step, "append", "rotate", "snapshot", "append", "trim", "read"]

    async def one(nth: int) -> tuple[bool, bool]:
        """(whether the fault was met, whether the step was refused)"""
        disk = MemoryDisk()
        life = Life(disk)
        assert await life.open()
        await life.play(before)
        fault = disk.fail(None, nth)
        await life.play([step])
        disk.heal()
        refused, life.refused = life.refused, []
        is_dead = life.log.failure is not None
        assert not is_dead or step == "rotate"
        if not is_dead:
            await life.play(after)
            assert life.refused == []
        await life.close()
        await check(disk, life.submitted, life.acked, life.snapshot)
        return bool(fault.hits), bool(refused)

    found = []
    for nth in range(1, 200):
        found.append(asyncio.run(one(nth)))
        if not found[-1][0]:
            break
    met = [refused for was_met, refused in found if was_met]
    assert len(met) == len(found) - 1 and len(met) >= 2 and any(met)
