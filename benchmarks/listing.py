"""A list of many timers: how long it takes, and how long the loop stands still meanwhile."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time

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


async def main(timers: int) -> None:
    """`alist()` on the scheduler's own loop: the median call, and its longest gap in the ticks."""
    scheduler = Scheduler()
    for number in range(timers):
        scheduler.schedule(f"timer-{number}", noop, every="30d")
    took: list[float] = []
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
            began = time.perf_counter()
            rows = await scheduler.alist()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)  # the tick that was held up comes in here
            stalls.append(ticker.longest_s)
            assert len(rows) == timers, len(rows)
        ticking.cancel()
        await scheduler.ashutdown()
    report(
        timers=timers,
        list_s=round(statistics.median(took), 4),
        stall_ms=round(statistics.median(stalls) * 1000, 2),
        stall_max_ms=round(max(stalls) * 1000, 2),
        quiet_ms=round(quiet_s * 1000, 2),
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
