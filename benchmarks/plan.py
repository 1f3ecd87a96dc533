"""What is measured: every measurement of Kron, and every peer."""

from __future__ import annotations

from typing import NamedTuple

from environments import PYTHON_PEERS, RUST_KRON, Environment

ROUNDS = 3
ONCE = 1

DURABLE = "acknowledged when on disk (fdatasync); TIMER_CREATED counted in the log afterwards"
COUNTED = "no-ops due at one instant; RUN_SUCCEEDED counted in the log by a second process"
LATE = "one-shots spread evenly over 3 s; from the moment to the begin of the callback"
SCALE = "every='30d'; see scale.py: one directory through several programs"


class Measurement(NamedTuple):
    """One program; `key` is its most important figure, of which every round is told."""

    name: str
    argv: tuple[str, ...]
    key: str
    what: str
    rounds: int = ROUNDS
    is_long: bool = False
    """Left out by --quick."""


def _burst(kind: str, timers: int) -> Measurement:
    name, argv = f"burst-{kind}-{timers}", ("burst.py", kind, str(timers))
    is_long = timers > 5_000
    rounds = (ONCE if kind == "suspends" else 2) if is_long else ROUNDS
    return Measurement(name, argv, "runs_per_s", COUNTED, rounds, is_long)


def _scale(timers: int) -> Measurement:
    argv = ("scale.py", str(timers))
    name, is_long = f"scale-{timers}", timers > 100_000
    return Measurement(name, argv, "timers", SCALE, ONCE, is_long)


KRON = [
    Measurement(
        "registrations-one",
        ("registrations.py", "one"),
        "per_s",
        f"schedule() after start(), one thread, one by one; {DURABLE}",
    ),
    Measurement(
        "registrations-concurrent",
        ("registrations.py", "concurrent"),
        "per_s",
        f"100 aschedule() at a time on the scheduler's own loop; {DURABLE}",
    ),
    Measurement(
        "registrations-bulk",
        ("registrations.py", "bulk"),
        "per_s",
        f"20,000 before start(), until start() returns; {DURABLE}",
    ),
    *(_burst(kind, 5_000) for kind in ("async", "sync", "suspends")),
    *(_burst(kind, 100_000) for kind in ("async", "sync", "suspends")),
    *(
        Measurement(f"lateness-{rate}", ("lateness.py", str(rate)), "p99_ms", LATE)
        for rate in (200, 1_000, 10_000)
    ),
    Measurement(
        "listing-10000",
        ("listing.py", "10000"),
        "list_s",
        "await alist() on the scheduler's own loop; the stall is the longest gap between ticks"
        " of a coroutine that sleeps 1 ms, quiet_ms that of a second without a call",
    ),
    *(
        Measurement(
            f"listing-100000-{filters}",
            ("listing.py", "100000", filters),
            "work_ms",
            "the same of 100,000 timers with filters and limit=100; work_ms is CPU time",
        )
        for filters in ("metadata", "dotted", "state", "match")
    ),
    Measurement(
        "start-up", ("start_up.py",), "launch_to_durable_ms", "whole processes, less a bare one"
    ),
    Measurement(
        "cron-next",
        ("cron_next.py",),
        "next_per_s",
        "walks over ten expressions in UTC and Europe/Berlin, all precompiled; Kron's moments are"
        " ints (datetime_per_s: aware datetimes, as the others' are); `differ` lists where a walk"
        " of the others finds something else; the worst: with empty caches",
        ONCE,
    ),
    *(_scale(timers) for timers in (1_000, 10_000, 100_000, 1_000_000)),
]


class Contender(NamedTuple):
    """A peer: its program, which takes what to measure and `argv`, and its packages."""

    name: str
    script: str
    argv: tuple[str, ...]
    environment: Environment
    packages: tuple[str, ...]
    what: str


APSCHEDULER = "BackgroundScheduler, ThreadPoolExecutor(10), misfire_grace_time=None; "
BY_CALLBACK = "a run leaves no record of its end, so runs are counted by the callback"

PEERS = [
    Contender(
        "APScheduler, memory",
        "peer_apscheduler.py",
        ("memory",),
        PYTHON_PEERS,
        ("APScheduler",),
        f"{APSCHEDULER}MemoryJobStore: NOT durable, nothing is on disk; {BY_CALLBACK}",
    ),
    Contender(
        "APScheduler, SQLite",
        "peer_apscheduler.py",
        ("sqlite",),
        PYTHON_PEERS,
        ("APScheduler", "SQLAlchemy"),
        f"{APSCHEDULER}SQLAlchemyJobStore on a SQLite file with its defaults: a job is durable;"
        f" it is taken out (one commit) after it was handed to a thread; {BY_CALLBACK}",
    ),
    Contender(
        "huey, SQLite",
        "peer_huey.py",
        (),
        PYTHON_PEERS,
        ("huey",),
        "SqliteHuey(fsync=True), one consumer of 4 threads in the same process, workers look every"
        " 10 ms, its scheduler once a second (its shortest); a task is durable; it is taken"
        f" out (one commit) before it runs, and a crash then loses it; {BY_CALLBACK}",
    ),
    Contender(
        "kron-scheduler 0.1.1 (Rust)",
        "peer_rust_kron.py",
        (),
        RUST_KRON,
        ("kron-scheduler",),
        "the Rust program's Python binding (CPython 3.12), sync callbacks; three fdatasyncs a run;"
        " RUN_SUCCEEDED counted in its log by a second process",
    ),
]

PEER_KEYS = {
    "registrations": ("per_s", ROUNDS),
    "runs": ("runs_per_s", ROUNDS),
    "lateness": ("p99_ms", ROUNDS),
    "memory": ("rss_bytes_per_timer", ONCE),
}
"""What is measured of each peer: the most important figure, and the rounds."""
