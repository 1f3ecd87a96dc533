"""Compaction: seal the log, write a snapshot of the state beside it, let old records go.

Sealing and the beginning of the snapshot happen between two steps; the rest goes on beside the
engine, one slice at a time, while the state moves on (see `kron.core.cut`). Until the snapshot is
durable nothing has changed but the names of files: a failure loses nothing, and is shown.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import Future
from contextlib import closing
from typing import NamedTuple, TypedDict

from kron.core.cut import Cut
from kron.core.errors import KronStopped, StorageError
from kron.core.instants import text
from kron.core.machine import Machine
from kron.storage.log import Log, SnapshotFile

from .engine import Engine

logger = logging.getLogger("kron.log")

GROWN_BYTES = 16 << 20
SNAPSHOTS = 4
"""The log is compacted when it is over GROWN_BYTES and over this many times the last snapshot."""


class Retention(NamedTuple):
    """How much history is kept in sealed records: at most so many bytes, for so long."""

    keep_bytes: int = 1 << 30
    keep_s: float = 90 * 86_400.0


class CompactReport(TypedDict):
    """What a compaction did. `record` is the last one the snapshot stands for; `removed` names
    the files that went."""

    record: int
    snapshot_bytes: int
    removed: list[str]


class Compaction:
    """Compacts the log of a running engine, when it has grown or when it is asked to.

    `problem` says why the last one failed, None if it did not; `last_at` when the last one that
    did not was done (RFC 3339).
    """

    def __init__(self, engine: Engine, retention: Retention) -> None:
        self.problem: str | None = None
        self.last_at: str | None = None
        self._engine = engine
        self._retention = retention
        self._has_grown = asyncio.Event()
        self._one = asyncio.Lock()
        engine.on_grown = self._has_grown.set
        self._expect()

    async def run(self) -> None:
        """Compact whenever the log has grown, until cancelled."""
        while True:
            await self._has_grown.wait()
            try:
                await self.compact()
            except KronStopped:
                return
            except Exception as exc:  # it is not vital; it is shown, and tried again later
                is_known = isinstance(exc, StorageError)
                logger.error("the log could not be compacted: %s", exc, exc_info=not is_known)
            self._expect()

    async def compact(self) -> CompactReport:
        """Do it now. Raises StorageError if it failed; the log then goes on as it was, or the
        engine has stopped (LogFailed)."""
        async with self._one:
            try:
                log, cut = self._engine.log, await self._cut()
                report = await write_and_trim(log, cut, self._retention)
            except Exception as exc:
                self.problem = str(exc) or repr(exc)
                raise
        self.problem, self.last_at = None, text(self._engine.clock.now().wall_us)
        return report

    async def _cut(self) -> Cut:
        beginning = self._engine.between_steps(self._begin)
        try:
            return await asyncio.wrap_future(beginning)
        except asyncio.CancelledError:  # nobody wants it any more
            beginning.add_done_callback(_close)
            raise

    async def _begin(self) -> Cut:
        await self._engine.log.rotate()
        return Cut(self._engine.machine.state)

    def _expect(self) -> None:
        """When to look again: after a failure not before the log has grown once more."""
        log = self._engine.log
        newest = log.snapshots()[:1]
        enough = max([GROWN_BYTES, *(SNAPSHOTS * file.size_bytes for file in newest)])
        self._engine.grown_bytes = enough if self.problem is None else log.size_bytes + enough
        self._has_grown.clear()


async def write_and_trim(log: Log, cut: Cut, retention: Retention) -> CompactReport:
    """What follows the sealing, with an engine or without. Raises StorageError."""
    file = await write_snapshot(log, cut)
    removed = [os.path.basename(name) for name in await log.trim(*retention)]
    return CompactReport(record=file.index, snapshot_bytes=file.size_bytes, removed=removed)


async def write_snapshot(log: Log, cut: Cut) -> SnapshotFile:
    """Bring a cut to the medium, slice by slice. Raises StorageError; then there is no trace of it
    but a temporary file."""
    with closing(cut):
        sink = await log.begin_snapshot(cut.index)
        try:
            for part in cut.parts():
                await asyncio.sleep(0)  # here a shutdown gets through; a write is waited for
                await sink.put(part)
            await asyncio.sleep(0)
            return await sink.commit()
        finally:
            await sink.discard()


def _close(beginning: Future[Cut]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().close()


async def compact_idle(log: Log, machine: Machine, retention: Retention) -> CompactReport:
    """The same for a log that no engine carries out. Raises StorageError."""
    await log.rotate()
    return await write_and_trim(log, Cut(machine.state), retention)
