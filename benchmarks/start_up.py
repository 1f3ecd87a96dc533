"""`import kron`, and a whole program up to its first durable timer, over a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from probe import report

RUNS = 9
LAUNCH = (
    "import kron, os, sys;"
    "kron.schedule('a', print, every='1h'); kron.start(sys.argv[1] + '/.kron');"
    "os._exit(0)"
)
PROGRAMS = {"bare": "pass", "import": "import kron", "launch": LAUNCH}


def wall(program: str) -> float:
    """The wall time of a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, folder], check=True)
        return time.perf_counter() - began


def main() -> None:
    """The medians of some turns, in each of which every program has one."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    wall(LAUNCH)  # bytecode is cached from here on
    for _ in range(RUNS):
        for name, program in PROGRAMS.items():
            times[name].append(wall(program))
    ms = {name: statistics.median(each) * 1000 for name, each in times.items()}
    report(
        bare_interpreter_ms=round(ms["bare"], 1),
        import_kron_ms=round(ms["import"] - ms["bare"], 1),
        launch_to_durable_ms=round(ms["launch"] - ms["bare"], 1),
    )


if __name__ == "__main__":
    main()
