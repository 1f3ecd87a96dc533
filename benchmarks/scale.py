"""What N timers cost that have nothing to do: to register, keep, update, and find again.

One data directory goes through several programs: `fill` registers, idles and updates; `open`
starts on what it left, with nothing registered; `compact` is the command line's; `again` starts
with all of it registered again. Memory is RSS, over that of the same program after it had started
and stopped an empty scheduler: modules and their threads are not counted, the timers are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time

import uvloop
from counter import count_now
from probe import report, rss_bytes

from kron import Scheduler

IDLE_S = 10.0
IDLE_FROM = 100_000
"""Fewer timers are not worth the seconds of an idle measurement, ..."""
AGAIN_UP_TO = 100_000
"""... and more not those of a second registration."""
UPDATES = 300
UPDATES_AT_ONCE = 2_000


def noop() -> None:
    """Nothing."""


async def settled_rss() -> int:
    """The memory after what comes behind a start (the control socket) and after the garbage."""
    await asyncio.sleep(1.0)
    gc.collect()
    return rss_bytes()


async def empty_rss() -> int:
    """That of a program whose scheduler has no timers."""
    scheduler = Scheduler()
    with tempfile.TemporaryDirectory() as folder:
        await scheduler.astart(f"{folder}/.kron")
        rss = await settled_rss()
        await scheduler.ashutdown()
    return rss


def register(scheduler: Scheduler, timers: int) -> None:
    """Before the start: in memory."""
    for number in range(timers):
        scheduler.schedule(f"timer-{number}", noop, every=2_592_000 + number % 1_000)


async def quiet() -> None:
    """Until what follows a start of so many timers is done: their snapshot, and its index."""
    for _ in range(180):
        cpu_before = time.process_time()
        await asyncio.sleep(1.0)
        if time.process_time() - cpu_before < 0.005:
            return


async def idle_percent() -> float:
    """How much of a core this program uses while nothing is due, all threads."""
    await quiet()
    cpu_before, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    used = time.process_time() - cpu_before
    return round(100 * used / (time.perf_counter() - began), 4)


async def updates(scheduler: Scheduler, timers: int) -> dict[str, float]:
    """A changed interval, each awaited, and many at once (which share their fdatasyncs)."""
    step = max(1, timers // UPDATES)
    one: list[float] = []
    for number in range(0, min(timers, UPDATES * step), step):
        began = time.perf_counter()
        await scheduler.aschedule(f"timer-{number}", noop, every="40d")
        one.append(time.perf_counter() - began)
    many = min(timers, UPDATES_AT_ONCE)
    names = [f"timer-{number * (timers // many)}" for number in range(many)]
    began = time.perf_counter()
    await asyncio.gather(*(scheduler.aschedule(name, noop, every="50d") for name in names))
    many_s = time.perf_counter() - began
    return {
        "update_p50_ms": round(statistics.median(one) * 1000, 3),
        "update_of_many_us": round(many_s / many * 1_000_000, 1),
    }


async def fill(data_dir: str, timers: int) -> None:
    """Register, start, idle, update."""
    before = await empty_rss()
    scheduler = Scheduler()
    began = time.perf_counter()
    register(scheduler, timers)
    registered = time.perf_counter()
    await scheduler.astart(data_dir)
    started = time.perf_counter()
    figures = {
        "register_s": round(registered - began, 3),
        "first_start_s": round(started - registered, 3),
        "rss_bytes_per_timer": round((await settled_rss() - before) / timers),
    }
    in_log = await asyncio.to_thread(count_now, data_dir, '"TIMER_CREATED"')
    if timers >= IDLE_FROM:
        figures["idle_percent"] = await idle_percent()
    figures |= await updates(scheduler, timers)
    began = time.perf_counter()
    await scheduler.ashutdown()
    figures["shutdown_s"] = round(time.perf_counter() - began, 3)
    report(**figures, in_log=in_log)


async def open_again(data_dir: str, timers: int, is_registered: bool) -> None:
    """Start on what is there; says how many timers were found."""
    before = await empty_rss()
    scheduler = Scheduler()
    began = time.perf_counter()
    register(scheduler, timers if is_registered else 0)
    registered = time.perf_counter()
    await scheduler.astart(data_dir)
    start_s = time.perf_counter() - registered
    rss = round((await settled_rss() - before) / timers)
    found = len(await scheduler.alist())
    await scheduler.ashutdown()
    report(
        start_s=round(start_s, 3),
        register_s=round(registered - began, 3),
        rss_bytes_per_timer=rss,
        found=found,
    )


def stage(name: str, data_dir: str, timers: int) -> dict[str, object]:
    """One of the programs, as a process; what it reported, or why it could not."""
    argv = [sys.executable, __file__, str(timers), name, data_dir]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compact(data_dir: str) -> dict[str, object]:
    """`kron log compact`, if this Kron has it."""
    argv = [sys.executable, "-m", "kron", "--data-dir", data_dir, "log", "compact"]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        return {"skipped": f"`kron log compact` exited with {done.returncode}"}
    return {"compact_s": round(time.perf_counter() - began, 3)}


def main(timers: int) -> None:
    """All of it, on a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = f"{folder}/.kron"
        figures: dict[str, object] = {"timers": timers, "fill": stage("fill", data_dir, timers)}
        figures["open"] = stage("open", data_dir, timers)
        compacted = compact(data_dir)
        if "skipped" not in compacted:
            compacted |= stage("open", data_dir, timers)
        figures["open_compacted"] = compacted
        if timers <= AGAIN_UP_TO:
            figures["open_registered_again"] = stage("again", data_dir, timers)
    report(**figures)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(int(sys.argv[1]))
    elif sys.argv[2] == "fill":
        uvloop.run(fill(sys.argv[3], int(sys.argv[1])))
    else:
        uvloop.run(open_again(sys.argv[3], int(sys.argv[1]), sys.argv[2] == "again"))
