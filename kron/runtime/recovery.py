"""From a log to a Machine: fold every record, in order."""

from __future__ import annotations

from functools import partial

from kron.core.codec import decode
from kron.core.errors import LogCorrupt
from kron.core.machine import Machine
from kron.storage.blocking import in_thread
from kron.storage.log import Log, Record

RECORDS_AT_ONCE = 1_000


async def recover(log: Log) -> Machine:
    """The state that the log describes, folded in a thread so that the loop goes on.

    Raises LogCorrupt for a record that cannot follow the ones before it, LogTooNew for one of a
    newer format; both name the record.
    """
    machine = Machine()
    while machine.state.index < log.tip:
        records = await log.read(machine.state.index, RECORDS_AT_ONCE)
        await in_thread(partial(fold, machine, records))
    return machine


def fold(machine: Machine, records: list[Record]) -> None:
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
