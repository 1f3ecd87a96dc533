"""What is measured of every peer, in the interpreter and with the packages of that peer."""

from __future__ import annotations

import gc
import threading
import time
from datetime import datetime
from typing import ClassVar, Protocol

from counter import Counted, Counter
from probe import BareSync, instant, lateness, report, rss_bytes

SECONDS = 2.0
PER_SECOND = 200
GIVE_UP_S = 40.0


class Calls:
    """What the peers call; it keeps how late each noted call began, and counts the calls."""

    late: ClassVar[list[float]] = []
    lock = threading.Lock()

    @staticmethod
    def noop() -> None:
        """Nothing."""

    @staticmethod
    def note(due: float) -> None:
        """Nearly nothing."""
        late = time.time() - due
        with Calls.lock:
            Calls.late.append(late)

    @staticmethod
    def wait_for(wanted: int, until: float) -> Counted:
        """Block until there were so many, or until that `time.time()`."""
        while len(Calls.late) < wanted and time.time() < until:
            time.sleep(0.002)
        return Counted(len(Calls.late), time.time())


class Peer(Protocol):
    """A scheduler to be compared with."""

    runs_at_once: int
    """As many as it finishes in some seconds, and no more than we run."""
    memory_jobs: int
    counts: str = ""
    """What it writes into `kron.aof` at the end of a run; else its callbacks are counted."""

    def start(self) -> None: ...
    def register(self, number: int) -> None: ...
    def register_once(self, number: int, due: datetime) -> None: ...
    def stop(self) -> None: ...


def registrations(peer: Peer, folder: str) -> dict[str, object]:
    """One by one, for two seconds, beside the bare fdatasync."""
    bare = BareSync(folder)
    bare.sample()
    peer.start()
    timers, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        peer.register(timers)
        timers += 1
    took_s = time.perf_counter() - began
    bare.sample()
    return {"timers": timers, "per_s": round(timers / took_s), **bare.figures()}


def register_all(peer: Peer, dues: list[float], lead_s: float) -> float:
    """Register a one-shot for each of `dues`, which count from what is returned.

    That is so far away that all are registered by then: what it takes is tried out first.
    """
    peer.start()
    began = time.perf_counter()
    for number in range(100):
        peer.register(number)
    each_s = (time.perf_counter() - began) / 100
    begin = time.time() + lead_s + each_s * len(dues) * 2.5
    for number, due in enumerate(dues):
        peer.register_once(number, instant(begin + due))
    if time.time() > begin:
        raise SystemExit("registering took longer than tried out")
    return begin


def runs(peer: Peer, folder: str) -> dict[str, object]:
    """All due at one instant: the wall time until the last is done."""
    wanted = peer.runs_at_once
    due = register_all(peer, [0.0] * wanted, 1.0)
    time.sleep(max(0.0, due - 0.7 - time.time()))
    counter = Counter(folder, peer.counts, wanted, GIVE_UP_S) if peer.counts else None
    time.sleep(max(0.0, due - 0.05 - time.time()))
    cpu_before = time.process_time()
    done = counter.wait() if counter else Calls.wait_for(wanted, due + GIVE_UP_S)
    cpu = time.process_time() - cpu_before
    took = done.at - due
    return {
        "timers": wanted,
        "wall_s": round(took, 4),
        "runs_per_s": round(done.counted / took),
        "runs_per_cpu_s": round(done.counted / cpu),
        **done.so_far(wanted),
    }


def late(peer: Peer, folder: str) -> dict[str, object]:
    """At 200 a second for three seconds, or how far it falls behind."""
    total = PER_SECOND * 3
    begin = register_all(peer, [number / PER_SECOND for number in range(total)], 1.0)
    done = Calls.wait_for(total, begin + GIVE_UP_S)
    span_s = max(done.at - begin, 3.0)
    return {"per_second": PER_SECOND, **lateness(Calls.late, span_s)}


def memory(peer: Peer, folder: str) -> dict[str, object]:
    """RSS over that of the started program without jobs."""
    peer.start()
    for number in range(100):
        peer.register(number)
    gc.collect()
    before = rss_bytes()
    for number in range(100, 100 + peer.memory_jobs):
        peer.register(number)
    gc.collect()
    used = rss_bytes() - before
    return {"timers": peer.memory_jobs, "rss_bytes_per_timer": round(used / peer.memory_jobs)}


WHAT = {"registrations": registrations, "runs": runs, "lateness": late, "memory": memory}


def main(peer: Peer, what: str, folder: str) -> None:
    """Measure one thing and report it."""
    figures = WHAT[what](peer, folder)
    peer.stop()
    report(**figures)
