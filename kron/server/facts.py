"""What a living scheduler says about itself."""

from __future__ import annotations

import os
import threading
from typing import TypedDict

from kron.core.instants import text
from kron.runtime.host import Host

NAMED = 20
"""So many overdue timers are named."""


class Overdue(TypedDict):
    """A timer that should have run by now, and does not."""

    timer: str
    since: str | None


class RuntimeFacts(TypedDict):
    """The process that carries a data directory's schedule out.

    `records` is the index of the last durable record, `failure` why the scheduler takes nothing
    more (a failed write or fsync, for instance), `thread` the one its event loop runs on.
    `log_bytes` were appended since the log was last sealed; `snapshot_record` is the record that
    the newest snapshot stands for; `compaction_problem` says why the last compaction failed.
    `overdue` has timers that nothing keeps from running, and that have not: there should be none.
    """

    pid: int
    boot: str
    version: str
    data_dir: str
    log_id: str
    started_at: str | None
    timers: int
    open_runs: int
    records: int
    failure: str | None
    log_bytes: int
    snapshot_record: int | None
    compacted_at: str | None
    compaction_problem: str | None
    overdue: list[Overdue]
    loop: str
    thread: str


def runtime_facts(host: Host, directory: str) -> RuntimeFacts:
    """Read on the host's own loop."""
    engine = host.engine
    compaction = host.compaction
    assert engine is not None and compaction is not None
    snapshots = engine.log.snapshots()
    state, loop = engine.machine.state, type(engine.loop)
    return {
        "pid": os.getpid(),
        "boot": host.boot,
        "version": host.version,
        "data_dir": directory,
        "log_id": engine.log.log_id,
        "started_at": text(state.started_us),
        "timers": len(state.timers),
        "open_runs": len(state.runs),
        "records": engine.log.tip,
        "failure": None if engine.failure is None else str(engine.failure),
        "log_bytes": engine.log.size_bytes,
        "snapshot_record": snapshots[0].index if snapshots else None,
        "compacted_at": compaction.last_at,
        "compaction_problem": compaction.problem,
        "overdue": [
            {"timer": name, "since": text(us)} for name, us in engine.reading.overdue()[:NAMED]
        ],
        "loop": f"{loop.__module__.split('.')[0]}.{loop.__name__}",
        "thread": threading.current_thread().name,
    }
