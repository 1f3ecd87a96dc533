"""From a log to a Machine: the newest whole snapshot, then every record above it, in order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from kron.core.codec import decode
from kron.core.cut import restore
from kron.core.errors import LogCorrupt
from kron.core.machine import Machine
from kron.storage.blocking import in_thread
from kron.storage.log import Log, Record, SnapshotFile

from .collector import paused

logger = logging.getLogger("kron.log")

RECORDS_AT_ONCE = 1_000


class Snapshots(Protocol):
    """Where a state can begin: a Log, or a LogReader."""

    @property
    def base(self) -> int:
        """The index before the oldest record that is kept."""

    def snapshots(self) -> list[SnapshotFile]:
        """Those that are kept, newest first."""

    def read_snapshot(self, index: int) -> Iterator[bytes]:
        """The parts of one."""


class Beginning(NamedTuple):
    """A machine to fold records into, and what is wrong with newer snapshots than the one used."""

    machine: Machine
    problems: list[str]


def begin(kept: Snapshots) -> Beginning:
    """The machine of the newest whole snapshot; a new one if there is none and the records go back
    to the first. Blocks.

    Raises LogCorrupt if records between the beginning and the oldest one kept are missing,
    LogTooNew for a snapshot of a newer format: nothing older is used in its place.
    """
    problems = []
    for file in kept.snapshots():
        try:
            with paused():
                state = restore(kept.read_snapshot(file.index))
            if state.index != file.index:
                raise LogCorrupt(f"the snapshot of record {file.index} says {state.index}.")
        except LogCorrupt as exc:
            problems.append(str(exc))
            continue
        if file.index < kept.base:
            break
        return Beginning(Machine(state), problems)
    if kept.base:
        why = " ".join(problems) or "There is no snapshot after which records are complete."
        raise LogCorrupt(
            f"the records up to {kept.base} are not here, and no whole snapshot stands for them."
            f" {why} Restore the directory from a copy; nothing was changed."
        )
    return Beginning(Machine(), problems)


async def recover(log: Log) -> Machine:
    """The state that the log describes, folded in a thread so that the loop goes on.

    Raises LogCorrupt for a record that cannot follow the ones before it, LogTooNew for one of a
    newer format; both name the record. A snapshot that is not whole is passed over with a warning.
    """
    machine, problems = await in_thread(partial(begin, log))
    for problem in problems:
        logger.warning("a snapshot is passed over: %s", problem)
    while machine.state.index < log.tip:
        records = await log.read(machine.state.index, RECORDS_AT_ONCE)
        await in_thread(partial(fold, machine, records))
    return machine


def fold(machine: Machine, records: Iterable[Record]) -> None:
    """Fold records into the machine; raises as `recover` does."""
    for index, payload in records:
        decoded = decode(payload, index)
        try:
            machine.replay(index, decoded.events)
        except (KeyError, ValueError, TypeError, AttributeError) as exc:
            raise LogCorrupt(
                f"record {index} cannot follow the records before it"
                f" ({type(exc).__name__}: {exc}); nothing was changed."
            ) from exc
        machine.state.log_time_us = max(machine.state.log_time_us, int(decoded.header.get("t", 0)))
