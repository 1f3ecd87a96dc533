"""Every example, run as its users run it: what it printed, and what it left in the ledger.

They all run at once, each in a process and a data directory of its own.
"""

import importlib.util
import os
import re
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from kron.scheduler import Scheduler

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = {
    "quickstart": ["quickstart.py"],
    "decorator": ["decorator.py"],
    "retries": ["retries.py"],
    "overlap": ["overlap.py"],
    "commands": ["commands.py"],
    "limits": ["limits.py"],
    "backfill": ["backfill.py"],
    "payday": ["payday.py"],
    "crash_demo": ["crash_demo.py"],
    "fastapi_lifespan": ["fastapi_lifespan.py"],
    "aiohttp_app": ["aiohttp_app.py"],
    "multitenant": ["multitenant.py"],
    "hooks": ["hooks.py"],
    # The same application served twice by one process, as a test suite does it.
    "fastapi_twice": ["-c", "import fastapi_lifespan as e; e.main(); e.main()"],
}
WANTS = {
    "fastapi_lifespan": "fastapi",
    "fastapi_twice": "fastapi",
    "multitenant": "fastapi",
    "aiohttp_app": "aiohttp",
}


class Ended:
    """A program that has run: what it printed, and its data directory."""

    def __init__(self, process, data_dir):
        self.out, self.err = process.communicate(timeout=90)
        self.code = process.returncode
        self.data_dir = data_dir

    def ledger(self, name=None):
        """Its history, oldest first, and its timers: read by another scheduler afterwards."""
        scheduler = Scheduler()
        scheduler.start(self.data_dir)
        try:
            return scheduler.history(name)[::-1], {each["id"]: each for each in scheduler.list()}
        finally:
            scheduler.shutdown()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    running = {}
    for name, arguments in PROGRAMS.items():
        data_dir = tmp_path_factory.mktemp(name) / ".kron"
        if WANTS.get(name) and importlib.util.find_spec(WANTS[name]) is None:
            continue
        path = os.pathsep.join([str(ROOT), str(EXAMPLES)])
        running[name] = (
            subprocess.Popen(
                # -c has no argument for the data directory; those programs take KRON_HOME.
                [sys.executable, *arguments, str(data_dir)],
                cwd=EXAMPLES,
                env={**os.environ, "KRON_HOME": str(data_dir), "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ),
            data_dir,
        )
    yield running
    for process, _ in running.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def ended(processes):
    done = {}

    def ended(name):
        if name not in processes:
            pytest.skip(f"{WANTS[name]} is not installed")
        if name not in done:
            done[name] = Ended(*processes[name])
        return done[name]

    return ended


def test_every_example_is_run_here():
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert files == {arguments[0] for arguments in PROGRAMS.values() if arguments[0] != "-c"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_ends_well(ended, name):
    program = ended(name)
    assert program.code == 0, program.err
    if name not in ("retries", "commands", "hooks"):  # where failures are the point
        assert program.err == ""


def test_quickstart(ended):
    program = ended("quickstart")
    assert program.out.count("beat\n") >= 3
    assert "Hello, says letter (attempt 1)" in program.out
    assert re.search(r"report   is next due \d{4}-.*T0[67]:00:00\+00:00", program.out)
    rows, timers = program.ledger()
    assert [row["status"] for row in rows if row["timer"] == "letter"] == ["OK"]
    assert timers["letter"]["finished"]
    beats = [moment(row) for row in rows if row["timer"] == "beat"]
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(beats)} == {1.0}


def test_payday(ended):
    out = ended("payday").out
    paid = re.findall(r"paid for (\S+)", out)
    assert len(paid) == len(set(paid)) == 11
    assert paid[2] == "2027-03-31T16:00:00+00:00"
    assert "MISSED 2027-12-31T17:00:00+00:00 excluded" in out
    assert "1 d 20 h late: the process was down from 2027-03-30 12:00:00" in out


def test_decorator(ended):
    program = ended("decorator")
    assert program.out.count("fetch: fetched Oslo (team weather, run_01") >= 2
    assert program.out.count("tidy: tidied up (team storage, run_01") == 1
    assert "ordinary functions: fetch and tidy" in program.out
    _, timers = program.ledger()
    assert timers["tidy"]["description"] == "Once per install."
    assert timers["fetch"]["succeeded"] >= 2


def test_retries(ended):
    program = ended("retries")
    assert re.findall(r"flaky: attempt (\d) of 5", program.out) == ["1", "2", "3"]
    assert "flaky is scheduled" in program.out
    flaky, _ = program.ledger("flaky")
    assert [(row["attempt"], row["status"]) for row in flaky] == [
        (1, "FAILED"),
        (2, "FAILED"),
        (3, "OK"),
    ]
    assert len({row["run_id"] for row in flaky}) == 1
    assert flaky[0]["error"] == "ConnectionError: the other side is away"
    assert "ConnectionError: the other side is away" in program.err  # the logger named kron
    broken, _ = program.ledger("broken")
    one_run = [(1, "FAILED"), (2, "FAILED"), (2, "DEAD")]
    assert [(row["attempt"], row["status"]) for row in broken][:6] == one_run * 2


def test_overlap(ended):
    program = ended("overlap")
    rows, _ = program.ledger()
    due = {
        policy: [moment(row) for row in rows if row["timer"] == policy and row["run_id"]]
        for policy in ("delay", "skip", "allow")
    }
    gaps = {
        policy: [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
        for policy, moments in due.items()
    }
    assert all(gap >= 1.2 for gap in gaps["delay"])  # 0.7 s of work, then the interval
    assert gaps["delay"]
    assert all(gap % 0.5 == 0 and gap >= 1 for gap in gaps["skip"])
    assert gaps["skip"]
    assert min(gaps["allow"]) == 0.5
    assert any(row["status"] == "SKIPPED_OVERLAP" for row in rows)
    assert re.search(r"^skip +started at [\d. ]+ s\n +skipped at [\d. ]+ s$", program.out, re.M)


def test_commands(ended):
    program = ended("commands")
    rows, timers = program.ledger()
    ends = {name: [r["status"] for r in rows if r["timer"] == name] for name in timers}
    assert ends == {
        "flaky": ["FAILED", "OK"],
        "hanging": ["FAILED", "DEAD"],
        "sync": ["OK"],
        "sync-too": ["SKIPPED_OVERLAP"],
    }
    assert timers["sync"]["command_hash"] == timers["sync-too"]["command_hash"]
    assert "the file of hanging is there: False" in program.out
    assert "sync-too was skipped" in program.out
    flaky = next(row for row in rows if row["timer"] == "flaky")["scheduled_at"]
    assert program.out.partition("$ kron job logs flaky\n")[2].splitlines() == [
        f"attempt 1 for {flaky}",
        "[kron: attempt 2]",
        f"attempt 2 for {flaky}",
    ]


def test_limits(ended):
    program = ended("limits")
    used = [int(number) for number in re.findall(r" (\d+) of 4: ", program.out)]
    assert len(used) > 5
    assert max(used) <= 4
    assert "heavy begins" in program.out
    rows, _ = program.ledger()
    rows = {row["timer"]: row for row in rows if row["timer"] != "light"}
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(rows, "OK")
    assert sorted(rows) == ["backup", "heavy", "report"]
    backup_ended = datetime.fromisoformat(rows["backup"]["at"])
    assert datetime.fromisoformat(rows["report"]["started_at"]) >= backup_ended


def test_backfill(ended):
    out = ended("backfill").out
    assert "5 missed (down), 2027-03-01T22:00:00+00:00 to 2027-03-02T02:00:00+00:00" in out
    backfilled = re.findall(r"rolls up (\S+) \(backfill\)", out)
    assert backfilled == sorted(set(backfilled))
    assert len(backfilled) == 10
    assert backfilled[-5:] == [
        "2027-03-01T22:00:00+00:00",
        "2027-03-01T23:00:00+00:00",
        "2027-03-02T00:00:00+00:00",
        "2027-03-02T01:00:00+00:00",
        "2027-03-02T02:00:00+00:00",
    ]
    assert "once more: 0 to run, 12 had a run" in out


def test_fastapi_lists_and_triggers_timers(ended):
    program = ended("fastapi_lifespan")
    assert program.out.startswith("digest scheduled cron 0 8 * * * ")
    assert "digest: by hand\n" in program.out
    run_id = re.search(r"^triggered (run_\w{26})$", program.out, re.M)[1]
    assert f"history: OK {run_id}" in program.out
    assert "unknown: 404" in program.out
    rows, _ = program.ledger()
    assert [(row["run_id"], row["status"]) for row in rows] == [(run_id, "OK")]


def test_fastapi_may_be_started_again_in_one_process(ended):
    program = ended("fastapi_twice")
    assert program.out.count("history: OK run_") == 2
    rows, timers = program.ledger("digest")
    assert [row["status"] for row in rows] == ["OK", "OK"]
    assert list(timers) == ["digest"]


def test_aiohttp(ended):
    program = ended("aiohttp_app")
    runs = [int(count) for count in re.findall(r"'runs': (\d+)", program.out)]
    assert len(runs) == 2
    assert runs[0] <= runs[1]
    _, timers = program.ledger()
    assert timers["refresh"]["succeeded"] >= max(runs[1], 1)


def test_multitenant(ended):
    program = ended("multitenant")
    assert "refused: 422 " in program.out
    assert program.out.count("scheduled\n") == 3
    assert "report for acme: sales\nhistory of acme.daily: ['OK']" in program.out
    assert "that of bolt.daily: []" in program.out
    foreign = re.findall(r"^bolt deletes \w+: (.*)$", program.out, re.M)
    assert len(foreign) == 2
    assert len(set(foreign)) == 1
    assert foreign[0].startswith("404 ")
    rows, timers = program.ledger()
    assert [(row["timer"], row["status"]) for row in rows] == [("acme.daily", "OK")]
    assert sorted(timers) == ["acme.daily", "bolt.daily"]
    assert timers["bolt.daily"]["metadata"]["tenant_id"] == "bolt"


def test_hooks(ended):
    program = ended("hooks")
    told, _, followed = program.out.partition("\n\n")
    lines = told.splitlines()
    assert re.match(r"copy took \d+ ms$", next(line for line in lines if "copy" in line))
    assert "greeting did not run, reason: past" in lines
    own = lines.index("fetch had 2 attempts")
    assert own < lines.index("to web: fetch was given up: ConnectionError: the other side is away")
    events = followed.splitlines()
    assert (events[0], events[-1]) == ("SCHEDULER_STARTED", "SCHEDULER_STOPPED")
    assert events.count("TIMER_CREATED") == 3
    ends = [line for line in events if re.match(r"RUN_(SUCC|FAIL|DEAD|MISS)", line)]
    assert sorted(ends) == [
        "RUN_DEAD fetch",
        "RUN_FAILED fetch, attempt 1: ConnectionError: the other side is away",
        "RUN_FAILED fetch, attempt 2: ConnectionError: the other side is away",
        "RUN_MISSED greeting",
        "RUN_SUCCEEDED copy",
    ]


# -- the crash demo ------------------------------------------------------------------------------


def test_crash_demo_shows_that_nothing_is_lost(ended):
    program = ended("crash_demo")
    assert "Nothing was lost." in program.out
    assert max(map(len, program.out.splitlines())) <= 80
    assert (
        re.search(r"KILL -9 (\d+)", program.out)[1] == re.search(r"process (\d+)", program.out)[1]
    )
    rows, timers = program.ledger()
    report = [row for row in rows if row["timer"] == "report"]
    assert [(row["attempt"], row["status"], row["reason"]) for row in report] == [
        (1, "FAILED", "crashed"),
        (2, "OK", None),
    ]
    assert len({row["run_id"] for row in report}) == 1
    assert any(row["status"] == "MISSED" and row["reason"] == "down" for row in rows)
    assert [row["status"] for row in rows if row["timer"] == "reminder"] == ["OK"]
    assert timers["nightly"]["state"] == "paused"


def test_crash_demo_shows_kron_job_list(ended):
    table = ended("crash_demo").out.partition("$ kron job list")[2]
    for name in ("beat", "report", "reminder", "nightly"):
        assert name in table


def test_crash_demo_prints_what_the_readme_shows(ended):
    shown = re.search(
        r"<!-- demo -->\n```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S
    )[1]
    printed = {shape(line) for line in ended("crash_demo").out.splitlines()}
    lines = [line for line in shown.splitlines() if line != "..."]
    assert len(lines) > 5
    assert [line for line in lines if shape(line) not in printed] == []


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("crash_demo", EXAMPLES / "crash_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Life.origin_s = datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()
    return module


def beats(*spans):
    at = "2026-01-01T00:00:{:02d}+00:00".format
    return [
        {
            "scheduled_at": at(first),
            "last_scheduled_at": at(first + count - 1) if count > 1 else None,
            "count": count,
        }
        for first, count in spans
    ]


def test_crash_demo_accepts_moments_that_follow_one_another(demo):
    assert list(demo.lost_moments(beats((1, 1), (2, 1), (3, 3), (6, 1)))) == []


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([], id="none at all"),
        pytest.param([(2, 1), (3, 1)], id="the first is missing"),
        pytest.param([(1, 1), (3, 1)], id="one is missing"),
        pytest.param([(1, 1), (2, 1), (2, 1)], id="one is there twice"),
        pytest.param([(1, 2), (4, 1)], id="one is missing behind a range"),
    ],
)
def test_crash_demo_would_see_a_lost_moment(demo, spans):
    assert list(demo.lost_moments(beats(*spans)))


def test_crash_demo_would_see_a_lost_attempt(demo):
    run = {"timer_id": "beat", "run_id": "run_1", "attempt": 2}
    ledger = {"rows": [{"run_id": "run_1", "attempt": 1}], "timers": [{"open_runs": []}]}
    assert list(demo.lost_runs([run], ledger)) == ["attempt 2 of beat (run_1)"]
    ledger["timers"][0]["open_runs"].append("run_1")
    assert list(demo.lost_runs([run], ledger)) == []


def moment(row):
    return datetime.fromisoformat(row["scheduled_at"])


def shape(line):
    """The line without its numbers, how late it was (a slow start is), and the width of blanks."""
    line = re.sub(r", [\d.]+ s late$", "", line)
    return " ".join(re.sub(r"\d+", "N", line).split())
