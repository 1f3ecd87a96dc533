"""What every measurement needs to look at its own process and at the disk; imports no Kron.

Each measurement is a program that prints one JSON object. Times are in seconds, or in the unit
that the name says.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

RECORD_BYTES = 300


def report(**figures: object) -> None:
    """Print the figures of one round: the last line of a measurement's stdout."""
    print(json.dumps(figures))


def instant(seconds: float) -> datetime:
    """A `time.time()` as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def rss_bytes() -> int:
    """The resident memory of this process now (its peak where there is no /proc)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def quantiles_ms(seconds: Iterable[float], prefix: str = "") -> dict[str, float]:
    """p50, p99 and the largest of some durations, in milliseconds."""
    ordered = sorted(seconds)
    picked = {"p50": len(ordered) // 2, "p99": int(len(ordered) * 0.99), "max": len(ordered) - 1}
    return {f"{prefix}{key}_ms": round(ordered[at] * 1000, 3) for key, at in picked.items()}


class BareSync:
    """The limit: append `RECORD_BYTES` and fdatasync, before and after what is measured.

    Both halves are in the file system and the seconds of the measurement, but never beside it.
    """

    def __init__(self, folder: str, count: int = 500) -> None:
        self.times: list[float] = []
        self._path = os.path.join(folder, "bare")
        self._count = count

    def sample(self) -> None:
        """One half."""
        sync = getattr(os, "fdatasync", os.fsync)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for _ in range(self._count):
            began = time.perf_counter()
            os.write(fd, b"x" * RECORD_BYTES)
            sync(fd)
            self.times.append(time.perf_counter() - began)
        os.close(fd)

    def figures(self) -> dict[str, float]:
        """What the samples so far say."""
        rate = {"bare_sync_per_s": round(1 / statistics.fmean(self.times))}
        return {**rate, **quantiles_ms(self.times, "bare_sync_")}


def lateness(late: Sequence[float], span_s: float) -> dict[str, float]:
    """How late `late` says that callbacks began, and at what rate they did over `span_s`."""
    figures = quantiles_ms(late)
    earliest = round(min(late) * 1000, 3)
    begun = round(len(late) / span_s)
    return {"runs": len(late), "begun_per_s": begun, "earliest_ms": earliest, **figures}
