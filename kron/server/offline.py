"""A log that no engine carries out: taken under the lock, changed, and let go again."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from kron.core.codec import encode
from kron.core.decide_clock import see_zones
from kron.core.events import Event, TailCut
from kron.core.machine import Machine
from kron.core.model import Now
from kron.runtime.compaction import CompactReport, Retention, compact_idle
from kron.runtime.recovery import begin, fold, recover
from kron.storage.file import FileLog
from kron.storage.log import Torn
from kron.storage.reader import LogReader

KEEP_ALL = Retention(sys.maxsize, float("inf"))
"""What history may go only the program says, in `start()`."""


class Idle(NamedTuple):
    """An open log, and the state that it describes."""

    log: FileLog
    machine: Machine

    async def append(self, index: int, events: list[Event]) -> None:
        """Make a record durable. Raises as `Log.append` does."""
        state = self.machine.state
        log_time_us = max(state.log_time_us, wall_now().wall_us)
        await self.log.append(index, encode(events, log_time_us))
        state.log_time_us = log_time_us


class Folded(NamedTuple):
    """A log as it is on disk, and the state that it describes."""

    reader: LogReader
    machine: Machine


def folded(data_dir: str) -> Folded:
    """Read the log without its lock; nothing is created or changed, and a runtime may go on.

    Raises StorageError if there is no log here, or it cannot be used.
    """
    reader = LogReader(data_dir)
    machine = begin(reader).machine
    fold(machine, reader.records_after(machine.state.index))
    see_zones(machine.state)
    return Folded(reader, machine)


@asynccontextmanager
async def opened(data_dir: str) -> AsyncIterator[Idle]:
    """Take the lock, fold the log, and leave when done; a torn tail is cut and noted as at a start.

    Raises DataDirLocked if a runtime has come meanwhile, StorageError for a log that cannot be
    used. Makes a directory that is not there: look first.
    """
    log = FileLog(data_dir)
    torn = await log.open()
    try:
        idle = Idle(log, await recover(log))
        if torn is not None:
            await _note_cut(idle, torn)
        yield idle
    finally:
        await log.close()


async def compact(data_dir: str) -> CompactReport:
    """Compact a log that is there and that nobody uses; all history stays. Raises as `opened`."""
    LogReader(data_dir)
    async with opened(data_dir) as idle:
        return await compact_idle(idle.log, idle.machine, KEEP_ALL)


def wall_now() -> Now:
    """The wall clock; no elapsed time passes for a machine that nobody carries out."""
    return Now(time.time_ns() // 1000, 0)


async def _note_cut(idle: Idle, torn: Torn) -> None:
    cut: list[Event] = [TailCut(wall_now().wall_us, *torn)]
    index = idle.machine.state.index + 1
    await idle.append(index, cut)
    idle.machine.replay(index, cut)
