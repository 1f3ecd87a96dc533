"""The next moment of a cron expression: how many a second, beside other libraries.

Each expression is walked from moment to moment from a fixed instant, in two zones; all walk the
same, one after the other in each round, and the best round of each walk counts. Everybody has
compiled the expression before. Where what they find differs is told, too. Kron's moments are ints,
as the core needs them (`datetime_per_s`: made into aware datetimes, as the others' are).

Then the opposite: the texts that take longest to compile, or to find a first moment for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import environments
from probe import report

from kron.core import cron, dst, fields, moments, pattern
from kron.core.errors import CronError

MIX = [
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "15,45 9-17 * * MON-FRI",
    "30 2 * * *",
    "0 9 * * 1-5",
    "0 0 1 * *",
    "0 0 1 1 *",
    "0 12 29 2 *",
    "7-59/13 8-10 * 1,7 *",
]
ZONES = ["UTC", "Europe/Berlin"]
STEPS = 400
ROUNDS = 5
BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
PEERS = ["croniter", "cronsim", "apscheduler"]

HARD = [
    "0 0 29 2 1#5",
    "0 0 30 2 *",
    "0 0 31 2,4,6,9,11 *",
    "0 0 30W 2 *",
    f"0 0 {','.join(f'{day}W' for day in range(1, 32))} * *",
    f"0 0 {','.join(f'L-{back}' for back in range(1, 31))} 2 *",
    f"0 0 * * {','.join(f'{day}#{nth}' for day in range(7) for nth in range(1, 6))}",
    f"{','.join(['*/7'] * 50)} 1-58 1-22 * * *",
    f"{','.join(['*'] * 120)} * * * *",
    f"{'9' * 240} * * * *",
    "0-" * 128,
]
HARD_FIELDS = [
    "month=2 day=30",
    "month=6 week=53",
    "month=12 day=28 week=1",
    "year=2001-9999/4 month=2 day=29",
    "year=1970-2003,2001-9999/4,9996 month=2 day=29 day_of_week=thu",
    f"year={','.join(f'*/{step}' for step in range(2, 45))} month=2 day=29 day_of_week=mon",
    f"day={','.join(f'{day}w' for day in range(1, 32))}",
    "month=1 day=1 week=53 day_of_week=sat",
]
HARD_INSTANTS = [0, BEGIN, 200_000_000_000]

Walk = Callable[[str, str], tuple[float, list[int]]]
"""Expression and zone to the seconds it took, and the moments in seconds."""


def by_kron(text: str, zone: str) -> tuple[float, list[int]]:
    """Ints from beginning to end."""
    next_after = moments.cron_moments(text, zone).next_after
    moment: int | None = BEGIN * 1_000_000
    found = []
    began = time.perf_counter()
    for _ in range(STEPS):
        assert moment is not None
        moment = next_after(moment)
        found.append(moment)
    took = time.perf_counter() - began
    return took, [us // 1_000_000 for us in found if us is not None]


def by_kron_as_datetimes(text: str, zone: str) -> tuple[float, list[int]]:
    """Each moment as the zone's aware datetime."""
    next_after, tz = moments.cron_moments(text, zone).next_after, ZoneInfo(zone)
    moment: int | None = BEGIN * 1_000_000
    found = []
    began = time.perf_counter()
    for _ in range(STEPS):
        assert moment is not None
        moment = next_after(moment)
        assert moment is not None
        found.append(datetime.fromtimestamp(moment // 1_000_000, tz))
    took = time.perf_counter() - began
    return took, [int(each.timestamp()) for each in found]


@contextmanager
def by_peer(name: str) -> Iterator[Walk]:
    """A program of its own: croniter is one of Kron's dependencies, the others are not."""
    is_ours = name == "croniter"
    python = sys.executable if is_ours else environments.ready(environments.PYTHON_PEERS)
    command = [str(python), str(Path(__file__).with_name("peer_cron.py")), name]
    env = environments.clean_environ()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        questions, answers = program.stdin, program.stdout

        def walk(text: str, zone: str) -> tuple[float, list[int]]:
            print(json.dumps([text, zone, BEGIN, STEPS]), file=questions, flush=True)
            took, found = json.loads(answers.readline())
            return took, found

        yield walk
        questions.close()


def best_of(walks: dict[str, Walk]) -> dict[str, dict[str, float]]:
    """Of each contender and each walk the least time, round by round and side by side."""
    best: dict[str, dict[str, float]] = {name: {} for name in walks}
    for _ in range(ROUNDS):
        for zone in ZONES:
            for text in MIX:
                for name, walk in walks.items():
                    took, _ = walk(text, zone)
                    key = f"{zone} {text}"
                    best[name][key] = min(best[name].get(key, took), took)
    return best


def differences(walks: dict[str, Walk]) -> dict[str, list[str]]:
    """Which walks of the others find something else than Kron."""
    each = [(text, zone) for zone in ZONES for text in MIX]
    ours = {walk: by_kron(*walk)[1] for walk in each}
    return {
        name: [f"{zone} {text}" for text, zone in each if walk(text, zone)[1] != ours[text, zone]]
        for name, walk in walks.items()
    }


def forget() -> None:
    """Empty every cache of the calculation."""
    for module in (cron, dst, fields, moments, pattern):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def hardest() -> dict[str, object]:
    """The longest compilation, answered or refused, and the longest first `next_after`."""
    compiled: list[tuple[float, str]] = []
    first: list[tuple[float, str]] = []
    ways = [(text, cron.compile_cron, moments.cron_moments) for text in HARD]
    ways += [(text, fields.compile_fields, moments.field_moments) for text in HARD_FIELDS]
    for text, compile_text, moments_of in ways:
        compiled.append((min(time_to_compile(compile_text, text) for _ in range(ROUNDS)), text))
        for instant in HARD_INSTANTS:
            for zone in ZONES:
                times = [time_to_first(moments_of, text, zone, instant) for _ in range(ROUNDS)]
                first.append((min(times), f"{text} from {instant} in {zone}"))
    return {
        "worst_compile_ms": round(max(compiled)[0] * 1000, 3),
        "worst_compile": max(compiled)[1],
        "worst_first_next_ms": round(max(first)[0] * 1000, 3),
        "worst_first_next": max(first)[1],
    }


def time_to_compile(compile_text: Callable[[str], object], text: str) -> float:
    """In seconds, with empty caches."""
    forget()
    began = time.perf_counter()
    with suppress(CronError):
        compile_text(text)
    return time.perf_counter() - began


def time_to_first(
    moments_of: Callable[[str, str], moments.CronMoments], text: str, zone: str, instant: int
) -> float:
    """In seconds, with empty caches but for the text itself; 0 if it is refused."""
    forget()
    try:
        next_after = moments_of(text, zone).next_after
    except CronError:
        return 0.0
    began = time.perf_counter()
    next_after(instant * 1_000_000)
    return time.perf_counter() - began


def main() -> None:
    """What they find, how fast, and the worst."""
    figures: dict[str, object] = {}
    absent: list[str] = []
    with ExitStack() as stack:
        walks: dict[str, Walk] = {}
        for name in PEERS:
            try:
                walks[name] = stack.enter_context(by_peer(name))
            except environments.Absent as reason:
                absent.append(f"{name}: {reason}")
        figures["differ"] = differences(walks)
        best = best_of({"kron": by_kron, "datetime": by_kron_as_datetimes} | walks)
    if absent:
        figures["skipped"] = "; ".join(absent)
    steps = len(MIX) * len(ZONES) * STEPS
    rates = {name: round(steps / sum(times.values())) for name, times in best.items()}
    ours = rates.pop("kron")
    report(
        next_per_s=ours,
        datetime_per_s=rates.pop("datetime"),
        **{f"{name}_next_per_s": rate for name, rate in rates.items()},
        **{f"times_{name}": round(ours / rate, 1) for name, rate in rates.items()},
        **hardest(),
        **figures,
        each={
            key: {name: round(STEPS / times[key]) for name, times in best.items()}
            for key in best["kron"]
        },
    )


if __name__ == "__main__":
    main()
