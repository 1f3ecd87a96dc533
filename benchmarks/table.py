"""The report as two Markdown tables for the README: what Kron costs, and its peers beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NONE = "n/a"

Figures = dict[str, Any]
Row = tuple[str, str]


def as_markdown(report: Figures) -> str:
    """Only rows that were measured."""
    about = report["machine"]
    title = f"`make bench`, {about['cores']} cores, CPython {about['python']}"
    lines: list[str] = []
    rows = [row for row in kron_rows(report["kron"]) if any(map(str.isdigit, row[1]))]
    if rows:
        lines += [f"| {title} | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]
    lines += [f"\n{name}: {why}" for name, why in failures(report["kron"])]
    if report["peers"]:
        lines += ["", *peer_lines(report)]
    if about["file_system"] == "tmpfs":
        lines.append(f"\n{about['folder']} is a tmpfs: none of this is durable. Set TMPDIR.")
    return "\n".join(lines)


def number(value: Any, unit: str = "") -> str:
    """Three digits of it, in groups of three."""
    if value is None:
        return NONE
    if value and abs(value) < 1000:
        return f"{float(f'{value:.3g}'):g}{unit}"
    return f"{round(float(f'{value:.3g}')):,}{unit}"


def pick(figures: Figures, *path: str) -> Any:
    """What is at the end of a path; None if it was not measured."""
    for part in path:
        figures = figures.get(part) or {}
    return figures if figures != {} else None


def several(figures: Figures, name: str, *keys: str) -> str:
    """Some figures of a measurement, beside each other."""
    values = [pick(figures, name, key) for key in keys]
    return NONE if set(values) == {None} else " / ".join(map(number, values))


def kron_rows(kron: Figures) -> Iterator[Row]:
    """The first table: label and figure."""
    ways = ("one", "concurrent", "bulk")
    rates = [number(pick(kron, f"registrations-{way}", "per_s")) for way in ways]
    yield (
        "durable registrations, one by one / 100 at a time / in bulk before the start",
        " / ".join(rates) + " a second",
    )
    bare = number(pick(kron, "registrations-one", "bare_sync_per_s"))
    yield "... the bare append + fdatasync beside it", f"{bare} a second"
    for timers in (5_000, 100_000):
        yield from burst_rows(kron, timers)
    for rate in (200, 1_000, 10_000):
        name = f"lateness-{rate}"
        late = several(kron, name, "p50_ms", "p99_ms")
        bare = several(kron, name, "bare_sync_p50_ms", "bare_sync_p99_ms")
        yield (
            f"begun after their moment, {rate:,} a second, p50 / p99 (bare fdatasync beside it)",
            f"{late} ms ({bare} ms)",
        )
    yield from scale_rows(kron)
    listed = number(pick(kron, "listing-10000", "list_s"))
    stall = number(pick(kron, "listing-10000", "stall_ms"))
    yield "list of 10,000 timers; the loop stands still for", f"{listed} s; {stall} ms"
    pages = [f"listing-100000-{filters}" for filters in ("metadata", "state", "match")]
    work = " / ".join(number(pick(kron, page, "work_ms")) for page in pages)
    stall = " / ".join(number(pick(kron, page, "stall_ms")) for page in pages)
    yield (
        "the first 100 of 100,000 timers by metadata / state / name; the loop stands still for",
        f"{work} ms; {stall} ms",
    )
    start_up = pick(kron, "start-up") or {}
    yield "`import kron`, over a bare interpreter", number(start_up.get("import_kron_ms"), " ms")
    launch = number(start_up.get("launch_to_durable_ms"), " ms")
    yield "a program up to its first durable timer, over a bare interpreter", launch
    yield from cron_rows(pick(kron, "cron-next") or {})


def cron_rows(cron: Figures) -> Iterator[Row]:
    """The next moments of cron expressions, beside those who compute them too."""
    others = ("croniter", "cronsim", "apscheduler")
    names = " / ".join(("Kron", "croniter", "cronsim", "APScheduler"))
    rates = [number(cron.get(key)) for key in ("next_per_s", *(f"{n}_next_per_s" for n in others))]
    yield f"next moments of ten cron expressions, {names}", f"{' / '.join(rates)} a second"
    times = " / ".join(number(cron.get(f"times_{name}")) for name in others)
    yield "... Kron in multiples of croniter / cronsim / APScheduler", times
    worst = [number(cron.get(key)) for key in ("worst_compile_ms", "worst_first_next_ms")]
    yield "... the slowest text to compile / to find a first moment for", f"{' / '.join(worst)} ms"


def burst_rows(kron: Figures, timers: int) -> Iterator[Row]:
    """No-ops due at once."""
    kinds = ("async", "sync", "suspends")
    for key, per in (("runs_per_s", "second"), ("runs_per_cpu_s", "CPU second")):
        rates = [number(pick(kron, f"burst-{kind}-{timers}", key)) for kind in kinds]
        label = "async / sync / async that sleeps 1 ms"
        if key == "runs_per_s":
            label = f"no-op runs, all durable, {timers:,} different timers due at once, {label}"
        else:
            label = "... per CPU second"
        yield label, f"{' / '.join(rates)} a {per}"


def scale_rows(kron: Figures) -> Iterator[Row]:
    """What many timers cost that have nothing to do."""
    for timers in (100_000, 1_000_000):
        scale = pick(kron, f"scale-{timers}") or {}
        idle = number(pick(scale, "fill", "idle_percent"), " %")
        yield f"CPU of an idle program with {timers:,} timers", f"{idle} of a core"
        memory = [number(pick(scale, s, "rss_bytes_per_timer")) for s in ("fill", "open")]
        yield (
            f"memory per timer, {timers:,} timers, registered / found on disk",
            f"{' / '.join(memory)} bytes",
        )
    for timers in (10_000, 100_000, 1_000_000):
        scale = pick(kron, f"scale-{timers}") or {}
        for stage, label in (("open", ""), ("open_compacted", ", log compacted before")):
            seconds = number(pick(scale, stage, "start_s"), " s")
            yield f"`start()` on {timers:,} timers{label}", seconds
    again = pick(kron, "scale-100000", "open_registered_again") or {}
    both = [number(again.get(key)) for key in ("register_s", "start_s")]
    yield "100,000 timers registered again, then `start()`", f"{' + '.join(both)} s"
    one = {n: pick(kron, f"scale-{n}", "fill", "update_p50_ms") for n in (1_000, 1_000_000)}
    many = {n: pick(kron, f"scale-{n}", "fill", "update_of_many_us") for n in (1_000, 1_000_000)}
    yield "a changed interval, among 1,000 / 1,000,000 timers", ratio(one, "ms")
    yield "... many at once, each", ratio(many, "µs")


def ratio(values: dict[int, Any], unit: str) -> str:
    """Two figures and how they relate."""
    few, many = values.values()
    times = number(many / few) if few and many else NONE
    return f"{number(few)} / {number(many)} {unit} (x {times})"


def failures(where: Figures) -> Iterator[Row]:
    """What did not work, wherever it stands."""
    for name, figures in where.items():
        if isinstance(figures, dict):
            for key in ("error", "skipped", "counted_instead"):
                if key in figures:
                    yield name, f"{key}: {figures[key]}"
            yield from ((f"{name}, {inner}", why) for inner, why in failures(figures))


def peer_lines(report: Figures) -> list[str]:
    """The second table: a row for each peer, and below it what is absent or failed."""
    kron = report["kron"]
    rows = {"Kron, async": kron_as_peer(kron, "async"), "Kron, sync": kron_as_peer(kron, "sync")}
    rows |= {name: peer for name, peer in report["peers"].items() if "absent" not in peer}
    lines = [
        "| | registered one by one, a second | no-op runs due at once, a second |"
        " per CPU second | lateness at 200 a second, p50 / p99, ms | bytes per timer |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in rows.items():
        runs = number(pick(each, "runs", "runs_per_s"))
        timers = pick(each, "runs", "timers")
        cells = [
            number(pick(each, "registrations", "per_s")),
            f"{runs} (of {timers:,})" if timers else NONE,
            number(pick(each, "runs", "runs_per_cpu_s")),
            several(each, "lateness", "p50_ms", "p99_ms"),
            number(pick(each, "memory", "rss_bytes_per_timer")),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, peer in report["peers"].items():
        absent = f"absent, {peer['absent']}" if "absent" in peer else ""
        lines.append(f"\n{name}: {absent or peer['what']}")
        lines += [f"\n{name}, {what}: {why}" for what, why in failures(peer)]
    return lines


def kron_as_peer(kron: Figures, kind: str) -> Figures:
    """Our own figures, under the names of the peers'."""
    return {
        "registrations": pick(kron, "registrations-one"),
        "runs": pick(kron, f"burst-{kind}-5000"),
        "lateness": pick(kron, "lateness-200") if kind == "async" else None,
        "memory": pick(kron, "scale-100000", "fill"),
    }
