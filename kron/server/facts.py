"""What a living scheduler says about itself."""

from __future__ import annotations

import os
import threading
from typing import TypedDict

from kron.core.instants import text
from kron.runtime.host import Host
from kron.runtime.reading import Overdue

NAMED = 20
"""So many overdue timers are named."""
STALLED_SECONDS = 10.0
"""A disk that has been at one write or sync for so long has stalled."""


class OverdueFacts(TypedDict):
    """A timer that should have run by now, and does not. Beyond its grace (its own, or a minute)
    that is a fault; before, the loop may have been blocked for a while."""

    timer: str
    since: str | None
    seconds: float
    beyond_grace: bool


class RuntimeFacts(TypedDict):
    """The process that carries a data directory's schedule out.

    `records` is the index of the last durable record, `failure` why the scheduler takes nothing
    more (a failed write or fsync, for instance), `thread` the one its event loop runs on.
    `log_bytes` were appended since the log was last sealed, `log_pending_s` is how long the write
    or sync that is under way has lasted (0.0 without one); `snapshot_record` is the record that
    the newest snapshot stands for; `compaction_problem` says why the last compaction failed.
    Of `max_concurrency` (None: no limit) `used_weight` is in use by the `running` runs; `waiting`
    are those that would run if there were room, by what they wait for: capacity, key, threads.
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
    max_concurrency: int | None
    used_weight: int
    running: int
    waiting: dict[str, int]
    records: int
    failure: str | None
    log_bytes: int
    log_pending_s: float
    snapshot_record: int | None
    compacted_at: str | None
    compaction_problem: str | None
    overdue: list[OverdueFacts]
    loop: str
    thread: str


def runtime_facts(host: Host, directory: str) -> RuntimeFacts:
    """Read on the host's own loop."""
    engine = host.engine
    compaction = host.compaction
    assert engine is not None and compaction is not None
    snapshots = engine.log.snapshots()
    state, capacity, loop = engine.machine.state, engine.machine.capacity, type(engine.loop)
    return {
        "pid": os.getpid(),
        "boot": host.boot,
        "version": host.version,
        "data_dir": directory,
        "log_id": engine.log.log_id,
        "started_at": text(state.started_us),
        "timers": len(state.timers),
        "open_runs": len(state.runs),
        "max_concurrency": capacity.max_concurrency,
        "used_weight": capacity.used,
        "running": len(engine.running()),
        "waiting": capacity.waiting(),
        "records": engine.log.tip,
        "failure": None if engine.failure is None else str(engine.failure),
        "log_bytes": engine.log.size_bytes,
        "log_pending_s": round(engine.log.pending_s, 3),
        "snapshot_record": snapshots[0].index if snapshots else None,
        "compacted_at": compaction.last_at,
        "compaction_problem": compaction.problem,
        "overdue": [_overdue(each) for each in engine.reading.overdue()[:NAMED]],
        "loop": f"{loop.__module__.split('.')[0]}.{loop.__name__}",
        "thread": threading.current_thread().name,
    }


def problems_of(facts: RuntimeFacts) -> list[str]:
    """What makes a living scheduler unhealthy, a clause each: it does not do what it is there for.
    [] if it is well."""
    found = []
    if facts["failure"]:
        found.append(f"process {facts['pid']} takes nothing more: {facts['failure']}")
    elif facts["log_pending_s"] > STALLED_SECONDS:
        found.append(f"the disk has not answered for {facts['log_pending_s']:.0f} s")
    late = [each for each in facts["overdue"] if each["beyond_grace"]]
    if late:
        worst = f"{late[0]['timer']} by {late[0]['seconds']:.0f} s"
        more = f", and {len(late) - 1} more" if len(late) > 1 else ""
        found.append(f"overdue beyond its grace: {worst}{more}")
    return found


def _overdue(each: Overdue) -> OverdueFacts:
    return {
        "timer": each.timer,
        "since": text(each.since_us),
        "seconds": each.late_us / 1_000_000,
        "beyond_grace": each.is_beyond_grace,
    }
