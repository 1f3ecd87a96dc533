"""How many registrations are acknowledged as durable in a second.

`one` calls `schedule()` after `start()`, in a plain thread; `concurrent` awaits 100 `aschedule`
at a time on the scheduler's own loop; `bulk` registers before `start()` and ends when it returns.
Afterwards a second process counts TIMER_CREATED in the log.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from typing import NamedTuple

import uvloop
from counter import count_now
from probe import BareSync, report

from kron import Scheduler

SECONDS = 2.0
AT_A_TIME = 100
BULK = 20_000


class Done(NamedTuple):
    """What was registered, in which time; `in_log` is what another process found."""

    timers: int
    took_s: float
    in_log: int


def noop() -> None:
    """Nothing."""


def one(folder: str) -> Done:
    """One after the other."""
    scheduler = Scheduler()
    scheduler.start(folder)
    scheduler.schedule("warm", noop, every="30d")
    timers, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        scheduler.schedule(f"timer-{timers}", noop, every="30d")
        timers += 1
    took_s = time.perf_counter() - began
    in_log = count_now(folder, '"TIMER_CREATED"') - 1
    scheduler.shutdown()
    return Done(timers, took_s, in_log)


def concurrent(folder: str) -> Done:
    """A hundred at a time."""

    async def register() -> Done:
        scheduler = Scheduler()
        await scheduler.astart(folder)
        await scheduler.aschedule("warm", noop, every="30d")
        timers, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            names = [f"timer-{number}" for number in range(timers, timers + AT_A_TIME)]
            calls = [scheduler.aschedule(name, noop, every="30d") for name in names]
            await asyncio.gather(*calls)
            timers += AT_A_TIME
        took_s = time.perf_counter() - began
        in_log = await asyncio.to_thread(count_now, folder, '"TIMER_CREATED"') - 1
        await scheduler.ashutdown()
        return Done(timers, took_s, in_log)

    return uvloop.run(register())


def bulk(folder: str) -> Done:
    """All of them before the start."""
    with tempfile.TemporaryDirectory() as elsewhere:  # loads the modules
        warm = Scheduler()
        warm.start(f"{elsewhere}/.kron")
        warm.shutdown()
    scheduler = Scheduler()
    began = time.perf_counter()
    for number in range(BULK):
        scheduler.schedule(f"timer-{number}", noop, every="30d")
    scheduler.start(folder)
    took_s = time.perf_counter() - began
    in_log = count_now(folder, '"TIMER_CREATED"')
    scheduler.shutdown()
    return Done(BULK, took_s, in_log)


def main(how: str) -> None:
    """Measure one way, between two samples of the bare fdatasync."""
    with tempfile.TemporaryDirectory() as folder:
        bare = BareSync(folder)
        bare.sample()
        done = {"one": one, "concurrent": concurrent, "bulk": bulk}[how](f"{folder}/.kron")
        bare.sample()
    report(
        timers=done.timers,
        in_log=done.in_log,
        per_s=round(done.timers / done.took_s),
        **bare.figures(),
        **({} if done.in_log == done.timers else {"counted_instead": done.in_log}),
    )


if __name__ == "__main__":
    main(sys.argv[1])
