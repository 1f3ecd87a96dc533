"""The figures of a living scheduler, read on its loop as copies, which any thread may render."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

from kron.core.histogram import Histogram
from kron.runtime.census import Census, Counts
from kron.runtime.host import Host
from kron.runtime.meter import Meter
from kron.runtime.reading import Overdue

LABELLED = 100
"""So many overdue timers have a figure of their own."""


class Figures(NamedTuple):
    """`overdue` are the worst of the `overdue_timers`; `syncs` is None for a log without a disk."""

    version: str
    started_us: int
    meter: Meter
    counts: Counts
    overdue_timers: int
    overdue: list[Overdue]
    records: int
    log_bytes: int
    log_pending_s: float
    max_concurrency: int | None
    used_weight: int
    syncs: Histogram | None


async def read_figures(host: Host, census: Census) -> Figures:
    """What has happened and how things are. It holds the loop up for no more than a millisecond."""
    counts = await census.take()
    engine = host.engine
    assert engine is not None
    overdue = engine.reading.overdue()
    return Figures(
        version=host.version,
        started_us=engine.machine.state.started_us,
        meter=deepcopy(engine.meter),
        counts=counts,
        overdue_timers=len(overdue),
        overdue=overdue[:LABELLED],
        records=engine.log.tip,
        log_bytes=engine.log.size_bytes,
        log_pending_s=engine.log.pending_s,
        max_concurrency=engine.machine.capacity.max_concurrency,
        used_weight=engine.machine.capacity.used,
        syncs=deepcopy(engine.log.syncs),
    )
