"""N different timers due at one instant: how fast all of them are durably done."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from kron import Scheduler

COUNT = """
import sys, time
path, wanted = sys.argv[1], int(sys.argv[2])
while True:
    with open(path, "rb") as log:
        if log.read().count(b'"RUN_SUCCEEDED"') == wanted:
            break
    time.sleep(0.005)
print(time.time())
"""


async def async_noop() -> None:
    """Nothing."""


def sync_noop() -> None:
    """Nothing."""


def main(kind: str, timers: int) -> None:
    """Print the figures of one round as JSON; a second process counts RUN_SUCCEEDED in the log."""
    scheduler = Scheduler()
    fn = async_noop if kind == "async" else sync_noop
    due = datetime.now(UTC) + timedelta(seconds=2 + timers / 8_000)
    for number in range(timers):
        scheduler.schedule(f"timer-{number}", fn, at=due)
    with tempfile.TemporaryDirectory() as folder:
        scheduler.start(f"{folder}/.kron")
        assert datetime.now(UTC) < due, "registering took too long"
        log = f"{folder}/.kron/kron.aof"
        while time.time() < due.timestamp() - 0.2:
            time.sleep(0.01)
        argv = [sys.executable, "-c", COUNT, log, str(timers)]
        counter = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        cpu_before = time.process_time()
        done = float(counter.communicate(timeout=120)[0])
        cpu = time.process_time() - cpu_before
        scheduler.shutdown()
    took = done - due.timestamp()
    print(
        json.dumps(
            {
                "timers": timers,
                "wall_s": round(took, 4),
                "runs_per_s": round(timers / took),
                "runs_per_cpu_s": round(timers / cpu),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
