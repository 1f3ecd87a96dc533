"""A list of many timers, whole or filtered: what it takes, and how long the loop stands still."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from typing import Any

import uvloop
from probe import report

from kron import Scheduler

CALLS = 7


def noop() -> None:
    """Nothing."""


class Ticker:
    """Sleeps a millisecond at a time, and keeps the longest time from one tick to the next."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest_s = max(self.longest_s, now - before)
            before = now


FILTERS: dict[str, dict[str, Any]] = {
    "": {},
    "metadata": {"metadata": {"tenant_id": "tenant-7"}, "limit": 100},
    "dotted": {"metadata": {"org.team": "team-3"}, "limit": 100},
    "state": {"state": "scheduled", "limit": 100},
    "match": {"match": "99$", "limit": 100},
}


async def main(timers: int, filters: str) -> None:
    """`alist()` on the scheduler's own loop: the median call, its CPU time, and its longest gap in
    the ticks."""
    scheduler = Scheduler()
    for number in range(timers):
        team = {"team": f"team-{number % 9}"}
        metadata = {"tenant_id": f"tenant-{number % 100}", "org": team} if filters else None
        every = 86_400 + 7 * number % 86_399
        scheduler.schedule(f"timer-{number}", noop, every=every, metadata=metadata)
    took: list[float] = []
    work: list[float] = []
    stalls: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        await scheduler.astart(f"{folder}/.kron")
        await asyncio.sleep(1.0)  # the control socket has been opened by then
        ticker = Ticker()
        ticking = asyncio.create_task(ticker.run())
        await asyncio.sleep(1.0)
        quiet_s = ticker.longest_s
        for _ in range(CALLS):
            await asyncio.sleep(0.02)
            ticker.longest_s = 0.0
            began, began_cpu = time.perf_counter(), time.process_time()
            rows = await scheduler.alist(**FILTERS[filters])
            took.append(time.perf_counter() - began)
            work.append(time.process_time() - began_cpu)
            await asyncio.sleep(0.01)  # the tick that was held up comes in here
            stalls.append(ticker.longest_s)
            assert len(rows) == (100 if filters else timers), len(rows)
        ticking.cancel()
        await scheduler.ashutdown()
    report(
        timers=timers,
        filters=filters,
        list_s=round(statistics.median(took), 4),
        work_ms=round(statistics.median(work) * 1000, 2),
        stall_ms=round(statistics.median(stalls) * 1000, 2),
        stall_max_ms=round(max(stalls) * 1000, 2),
        quiet_ms=round(quiet_s * 1000, 2),
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2] if sys.argv[2:] else ""))
