"""`make bench`: what Kron costs, and its peers beside it. JSON on stdout, a table on stderr.

Every measurement is a program of its own, and figures are medians of its rounds. A round goes
through all of them, ours and the peers', so that a slow minute of the machine is everybody's.
What is durable stands beside a bare append + fdatasync of the same seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import environments
from plan import KRON, PEER_KEYS, PEERS, ROUNDS, Contender
from table import as_markdown

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 600

Figures = dict[str, Any]


class Job(NamedTuple):
    """A measurement that will be made: where its figures go, and how to get them."""

    place: tuple[str, ...]
    argv: tuple[str, ...]
    key: str
    rounds: int
    is_peer: bool

    @property
    def name(self) -> str:
        """As the progress shows it."""
        return " / ".join(self.place[1:])


def main() -> None:
    """Measure what was asked for, and print."""
    options = parse_options()
    if options.list:
        print(*(each.name for each in KRON), *map(short, PEERS), sep="\n")
        return
    report: Figures = {"machine": machine(), "kron": {}, "peers": {}}
    jobs = [*kron_jobs(options, report), *peer_jobs(options, report)]
    if not jobs and not report["peers"]:
        sys.exit(f"there is no measurement {options.only!r}; --list names them")
    began = time.monotonic()
    for job, rounds in measure(jobs, 1 if options.quick else ROUNDS).items():
        target = report
        for part in job.place:
            target = target.setdefault(part, {})
        target.update(summary(rounds, job.key))
    report["machine"]["load_average_after"] = os.getloadavg()[0]
    report["machine"]["measured_for_s"] = round(time.monotonic() - began)
    if not options.table:
        print(json.dumps(report, indent=2))
    print(as_markdown(report), file=sys.stdout if options.table else sys.stderr)


def parse_options() -> argparse.Namespace:
    """What stands in ARGS."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, nothing that takes long")
    parser.add_argument(
        "--only", metavar="NAME", default="", help="what has or begins with this name"
    )
    parser.add_argument("--list", action="store_true", help="the names, and measure nothing")
    parser.add_argument("--table", action="store_true", help="the Markdown table instead of JSON")
    parser.add_argument("--no-peers", action="store_true", help="Kron alone")
    return parser.parse_args()


def short(peer: Contender) -> str:
    """The name of a peer for --only."""
    name = Path(peer.script).stem.replace("_", "-")
    return "-".join([name, *peer.argv])


def is_asked_for(name: str, only: str) -> bool:
    """All without --only; what has exactly that name, else what begins with it."""
    names = {*(each.name for each in KRON), *map(short, PEERS)}
    return name == only if only in names else name.startswith(only)


def kron_jobs(options: argparse.Namespace, report: Figures) -> list[Job]:
    """The measurements of Kron that were asked for."""
    jobs = []
    for each in KRON:
        is_left_out = options.quick and each.is_long and each.name != options.only
        if is_asked_for(each.name, options.only) and not is_left_out:
            report["kron"][each.name] = {"what": each.what}
            argv = (sys.executable, str(HERE / each.argv[0]), *each.argv[1:])
            jobs.append(Job(("kron", each.name), argv, each.key, each.rounds, False))
    return jobs


def peer_jobs(options: argparse.Namespace, report: Figures) -> list[Job]:
    """The measurements of the peers that can be had; the report says why one cannot."""
    jobs = []
    for peer in PEERS:
        if options.no_peers or not is_asked_for(short(peer), options.only):
            continue
        about = report["peers"][peer.name] = {"what": peer.what}
        try:
            python = environments.ready(peer.environment)
            about["versions"] = environments.versions(python, peer.packages)
        except environments.Absent as reason:
            about["absent"] = str(reason)
            continue
        for what, (key, rounds) in PEER_KEYS.items():
            argv = (str(python), str(HERE / peer.script), what, *peer.argv)
            jobs.append(Job(("peers", peer.name, what), argv, key, rounds, True))
    return jobs


def measure(jobs: list[Job], most_rounds: int) -> dict[Job, list[Figures]]:
    """All rounds of all jobs, round by round."""
    done: dict[Job, list[Figures]] = {job: [] for job in jobs}
    for number in range(most_rounds):
        for job in jobs:
            if number < job.rounds:
                print(f"round {number + 1} of {most_rounds}: {job.name}", file=sys.stderr)
                done[job].append(one_round(job))
    return done


def one_round(job: Job) -> Figures:
    """What the program reported, or {"error": ...}."""
    env = environments.clean_environ() if job.is_peer else None
    try:
        done = subprocess.run(
            job.argv, capture_output=True, text=True, timeout=TIMEOUT_S, env=env, cwd=HERE
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {TIMEOUT_S} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    figures: Figures = json.loads(lines[-1])
    return figures


def summary(rounds: list[Figures], key: str) -> Figures:
    """The median of each figure, and `key` of every round; an error if there is nothing else."""
    good = [each for each in rounds if "error" not in each]
    errors = [each["error"] for each in rounds if "error" in each]
    figures = {name: middle([each.get(name) for each in good]) for name in (good or [{}])[0]}
    if len(good) > 1:
        figures["rounds"] = {key: sorted(each[key] for each in good)}
    return figures | ({"error": errors[0], "failed_rounds": len(errors)} if errors else {})


def middle(values: list[Any]) -> Any:
    """The median of numbers; of anything else the first."""
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    median = statistics.median(values)
    return round(median) if all(isinstance(value, int) for value in values) else round(median, 4)


def machine() -> Figures:
    """Where all of this was measured."""
    folder = tempfile.gettempdir()
    git = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True)
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "commit": git.stdout.decode().strip() or None,
        "load_average_before": os.getloadavg()[0],
        "folder": folder,
        "file_system": file_system(folder),
    }


def file_system(folder: str) -> str | None:
    """Its type, as far as this system tells; on a tmpfs nothing is durable (set TMPDIR)."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return None
    inside = [(len(at), kind) for at, kind in mounts if Path(folder).is_relative_to(at)]
    return max(inside)[1]


if __name__ == "__main__":
    main()
