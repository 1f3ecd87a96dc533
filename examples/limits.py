"""Limits: a heavy job among a stream of light ones, with room for a weight of four.

You see who runs at each moment and what that weighs. The heavy job waits until there is room for
all of it, the light ones behind it wait too, and so it is not starved. `report` has the key of
`backup`: it waits for its end, holds nobody up, and goes first then, by its priority.

    python examples/limits.py [DATA_DIR]
"""

import asyncio
import sys
import tempfile
import time
from datetime import datetime

import kron

ROOM = 4
WEIGHTS = {"light": 1, "heavy": 3, "backup": 1, "report": 1}
began_s = time.monotonic()
running = []
heavy_is_done = asyncio.Event()


async def work():
    name = kron.current_run()["timer_id"]
    running.append(name)
    show(f"{name} begins")
    await asyncio.sleep(0.5)
    running.remove(name)
    if name == "heavy":
        heavy_is_done.set()


def show(text):
    used = sum(WEIGHTS[name] for name in running)
    passed_s = time.monotonic() - began_s
    print(f"{passed_s:4.1f} s  {text:13}  {used} of {ROOM}: {' '.join(sorted(running))}")


def late_s(row):
    began, due = map(datetime.fromisoformat, (row["started_at"], row["scheduled_at"]))
    return (began - due).total_seconds()


async def main(data_dir):
    scheduler = kron.Scheduler(max_concurrency=ROOM)
    await scheduler.astart(data_dir)
    await scheduler.aschedule("light", work, every="150ms", overlap="allow")
    await scheduler.aschedule("heavy", work, after="700ms", weight=WEIGHTS["heavy"])
    await scheduler.aschedule("backup", work, after="0s", key="database")
    await scheduler.aschedule("report", work, after="100ms", key="database", priority=10)

    await asyncio.sleep(0.9)
    for timer in await scheduler.alist():
        for run in timer["runs"]:
            if run["waiting_for"]:
                print(f"        {timer['id']} waits for {run['waiting_for']}")
    await heavy_is_done.wait()
    await asyncio.sleep(0.5)
    for row in await scheduler.ahistory():
        if row["timer"] != "light":
            print(f"{row['timer']} began {late_s(row):.1f} s after its moment")
    await scheduler.ashutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else scratch))
