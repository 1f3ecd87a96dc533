"""`make bench`: what Kron costs, as one JSON document (times in seconds unless a name says else).

Every figure stands beside a limit measured in the same run, for the machine may be noisy: a bare
append + fdatasync loop for what is durable, a bare interpreter for start-up. What is counted as
done is counted in the log, by a process of its own.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
RUNS = 3


def python(*argv: str) -> str:
    """Run this interpreter on arguments; returns what it printed."""
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=True)
    return done.stdout


def wall(*argv: str, runs: int = 7) -> float:
    """The median wall time of a whole process."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        python(*argv)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def burst(kind: str, timers: int) -> dict[str, float]:
    """`timers` different timers due at one instant, each a no-op; the median of some rounds."""
    rounds = [json.loads(python(str(HERE / "burst.py"), kind, str(timers))) for _ in range(RUNS)]
    rounds.sort(key=lambda each: each["runs_per_s"])
    return rounds[len(rounds) // 2]


def bare_fdatasync(count: int = 2_000, size: int = 300) -> dict[str, float]:
    """The limit: append `size` bytes and fdatasync, in a loop."""
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(f"{folder}/bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sync = getattr(os, "fdatasync", os.fsync)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            os.write(fd, b"x" * size)
            sync(fd)
            times.append(time.perf_counter() - began)
        os.close(fd)
    times.sort()
    return {
        "per_s": round(count / sum(times)),
        "p50_ms": round(times[count // 2] * 1000, 3),
        "p99_ms": round(times[int(count * 0.99)] * 1000, 3),
    }


def start_up() -> dict[str, float]:
    """`import kron`, and a whole program up to its first durable timer, over a bare interpreter."""
    wall("-c", "import kron.scheduler", runs=1)  # bytecode is cached from here on
    bare = wall("-c", "pass")
    launch = (
        "import kron, os, tempfile;"
        "kron.schedule('a', print, every='1h'); kron.start(tempfile.mkdtemp() + '/.kron');"
        "os._exit(0)"
    )
    return {
        "bare_interpreter_ms": round(bare * 1000, 1),
        "import_kron_ms": round((wall("-c", "import kron") - bare) * 1000, 1),
        "launch_to_durable_ms": round((wall("-c", launch) - bare) * 1000, 1),
    }


def main() -> None:
    """Measure, and print."""
    limit = bare_fdatasync()
    report = {
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "system": platform.system(),
        },
        "limit_append_fdatasync": limit,
        "durable_noop_async": burst("async", 5_000),
        "durable_noop_sync": burst("sync", 5_000),
        "lateness_1000_per_s": json.loads(python(str(HERE / "lateness.py"), "1000")),
        "start_up": start_up(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
