"""N different timers due at one instant: how fast all of them are durably done.

A second process counts RUN_SUCCEEDED in the log. The CPU seconds are those of the whole program
from just before the instant, all threads.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from counter import Counter
from probe import instant, report

from kron import Scheduler

COUNTER_S = 0.7
"""How long before the instant the counter starts, to have read the registrations by then."""


async def async_noop() -> None:
    """Nothing."""


async def async_suspends() -> None:
    """Gives the loop back for a millisecond."""
    await asyncio.sleep(0.001)


def sync_noop() -> None:
    """Nothing."""


KINDS: dict[str, Callable[[], Any]] = {
    "async": async_noop,
    "suspends": async_suspends,
    "sync": sync_noop,
}


def cost_of_a_registration() -> float:
    """Seconds per timer until `start` returns, to know how far away the instant has to be."""
    took = 0.0
    for timers in (1, 5_000):  # the first one loads the modules
        scheduler = Scheduler()
        began = time.perf_counter()
        for number in range(timers):
            scheduler.schedule(f"timer-{number}", sync_noop, every="30d")
        with tempfile.TemporaryDirectory() as folder:
            scheduler.start(f"{folder}/.kron")
            took = (time.perf_counter() - began) / timers
            scheduler.shutdown()
    return took


def one_round(kind: str, timers: int, lead_s: float) -> bool:
    """Report the figures; False if the instant came before all were registered."""
    due = time.time() + lead_s
    scheduler = Scheduler()
    for number in range(timers):
        scheduler.schedule(f"timer-{number}", KINDS[kind], at=instant(due))
    with tempfile.TemporaryDirectory() as folder:
        scheduler.start(f"{folder}/.kron")
        if time.time() > due - COUNTER_S:
            scheduler.shutdown()
            return False
        time.sleep(due - COUNTER_S - time.time())
        counter = Counter(f"{folder}/.kron", '"RUN_SUCCEEDED"', timers)
        time.sleep(due - 0.05 - time.time())
        cpu_before = time.process_time()
        done = counter.wait()
        cpu = time.process_time() - cpu_before
        scheduler.shutdown()
    took = done.at - due
    report(
        timers=timers,
        wall_s=round(took, 4),
        runs_per_s=round(done.counted / took),
        runs_per_cpu_s=round(done.counted / cpu),
        **done.so_far(timers),
    )
    return True


def main(kind: str, timers: int) -> None:
    """Measure; again with more time in front if this machine needs it."""
    lead_s = COUNTER_S + 0.5 + cost_of_a_registration() * timers * 1.5
    while not one_round(kind, timers, lead_s):
        lead_s *= 2


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
