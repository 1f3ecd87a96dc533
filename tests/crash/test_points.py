"""A process that kills itself at exact points of the disk's work, and what the next start finds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from kron.core.machine import Machine
from kron.runtime.recovery import begin, fold
from kron.scheduler import Scheduler
from kron.storage.reader import LogReader
from kron.testing.player import fold_image

ROOT = Path(__file__).parents[2]
SETTLED = [["start", ""], ["schedule", "kept"], ["schedule", "other"], ["pause", "other"]]
POINTS = {
    "before the write": ["write", 1, "before", None],
    "after no byte": ["write", 1, "after", 0.0],
    "in the middle of the write": ["write", 1, "after", 0.5],
    "before the newline": ["write", 1, "after", 0.999],
    "after the write": ["write", 1, "after", None],
    "before the sync": ["fdatasync", 1, "before", None],
    "after the sync": ["fdatasync", 1, "after", None],
}
IN_FLIGHT = ["schedule new", "change kept", "pause kept", "resume other", "remove kept"]
IN_FLIGHT += ["trigger kept"]


@pytest.fixture(scope="module")
def die():
    """Run a case in a child that is to die by its own hand; returns its exit code."""
    program = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("points.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    def run(place, point, do, keep_history="90d"):
        case = {"data_dir": f"{place}/kron", "record": f"{place}/record", "point": point, "do": do}
        case["keep_history"] = keep_history
        program.stdin.write(json.dumps(case) + "\n")
        program.stdin.flush()
        return int(program.stdout.readline())

    yield run
    program.stdin.close()
    assert program.wait(30) == 0


def found_by_a_start(place):
    """Every timer as (paused, description), from a start that must not be refused."""
    scheduler = Scheduler()
    scheduler.start(place / "kron")
    try:
        return {
            row["id"]: (row["state"] == "paused", row["description"]) for row in scheduler.list()
        }
    finally:
        scheduler.shutdown()


def events(place):
    return [event for _, record in LogReader(place / "kron") for event in json.loads(record)[1:]]


def lines(place):
    return (place / "record").read_text().splitlines()


BEFORE = {"kept": (False, ""), "other": (True, "")}
AFTER = {
    "schedule new": {**BEFORE, "new": (False, "")},
    "change kept": {**BEFORE, "kept": (False, "changed")},
    "pause kept": {**BEFORE, "kept": (True, "")},
    "resume other": {**BEFORE, "other": (False, "")},
    "remove kept": {"other": (True, "")},
    "trigger kept": BEFORE,
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("call", IN_FLIGHT)
def test_a_start_finds_what_was_acknowledged_or_the_call_in_flight_too(die, tmp_path, call, point):
    code = die(tmp_path, POINTS[point], [*SETTLED, ["armed", ""], call.split()])
    assert code == -signal.SIGKILL
    assert f"ask {call}" in lines(tmp_path) and f"ack {call}" not in lines(tmp_path)
    size_bytes = (tmp_path / "kron" / "kron.aof").stat().st_size
    torn = LogReader(tmp_path / "kron")
    whole = sum(1 for _ in torn)
    found = found_by_a_start(tmp_path)
    is_written = point in ("after the write", "before the sync", "after the sync")
    assert found == (AFTER[call] if is_written else BEFORE)
    cuts = [event for event in events(tmp_path) if event[0] == "TAIL_CUT"]
    if point in ("in the middle of the write", "before the newline"):
        (cut,) = cuts
        _, _, file, offset, cut_bytes, kept_as = cut
        assert torn.torn_bytes == cut_bytes > 0 and offset + cut_bytes == size_bytes
        assert (Path(kept_as)).stat().st_size == cut_bytes
        assert file == str(tmp_path / "kron" / "kron.aof")
    else:
        assert cuts == [] and torn.torn_bytes == 0
    assert sum(1 for _ in LogReader(tmp_path / "kron")) >= whole + 2


@pytest.mark.parametrize("point", POINTS)
def test_no_callback_runs_before_its_start_is_durable(die, tmp_path, point):
    call = ["trigger", "kept"]
    die(tmp_path, POINTS[point], [*SETTLED, ["armed", ""], call])
    assert "ran kept" not in lines(tmp_path)


@pytest.mark.parametrize("point", ["after the write", "after the sync"])
def test_a_run_whose_start_was_written_and_whose_process_died_is_run_again(die, tmp_path, point):
    die(tmp_path, POINTS[point], [*SETTLED, ["armed", ""], ["trigger", "kept"]])
    scheduler = Scheduler()
    ran = []
    scheduler.schedule("kept", lambda context: ran.append(context["attempt"]), every="1h")
    scheduler.start(tmp_path / "kron")
    wait_until(lambda: ran)
    scheduler.shutdown()
    # RUN_DUE and RUN_STARTED share a record, so the run that never began has used an attempt.
    started = [event[3] for event in events(tmp_path) if event[0] == "RUN_STARTED"]
    assert ran == started[-1:]
    assert started in ([1], [1, 2])


def test_the_registrations_of_a_start_are_there_together_or_not_at_all(die, tmp_path):
    """Fifty timers, one record: half of it is none of it."""
    names = [f"timer-{n}" for n in range(50)]
    do = [*(["schedule", name] for name in names), ["armed", ""], ["start", ""]]
    for point, expected in [("in the middle of the write", 0), ("after the write", 50)]:
        place = tmp_path / point.replace(" ", "-")
        place.mkdir()
        call, _, when, part = POINTS[point]
        # Writes: the lock's process id, the header, .gitignore, then the first record.
        assert die(place, [call, 4, when, part], do) == -signal.SIGKILL
        assert len(found_by_a_start(place)) == expected


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_anywhere_in_the_first_start_leaves_a_directory_that_starts(die, tmp_path, when):
    for nth in count(1):
        place = tmp_path / f"{nth}"
        place.mkdir()
        code = die(place, ["any", nth, when, None], [["schedule", "kept"], ["start", ""]])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        found = found_by_a_start(place)
        assert found in ({}, {"kept": (False, "")})
        if "ack start " in lines(place):
            assert found == {"kept": (False, "")}
        leftovers = {path.name for path in (place / "kron").iterdir()}
        assert leftovers <= {"kron.aof", "kron.lock", ".gitignore", "kron.token", "output"}
    assert nth > 8, "mkdir, lock, header, rename, the first record: where are they?"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_anywhere_in_a_recovery_leaves_everything_acknowledged(die, tmp_path, when):
    """The tail is copied aside, cut and synced: every step may be the last, and is done again."""
    tail = b'1234abcd 5 [{"v":1,"t":17'
    for nth in count(1):
        place = tmp_path / f"{nth}"
        place.mkdir()
        assert die(place, ["any", 1_000_000, when, None], SETTLED) == 0
        with open(place / "kron" / "kron.aof", "ab") as log:
            log.write(tail)
        code = die(place, ["any", nth, when, None], [["start", ""]])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert found_by_a_start(place) == BEFORE
        kept = [*(place / "kron").glob("kron.aof.torn-*")]
        assert tail in [path.read_bytes() for path in kept]
        assert LogReader(place / "kron").torn_bytes == 0
    assert nth > 8, "copy, sync, cut, sync, the first record: where are they?"


COMPACTED = [*SETTLED, ["compact", ""], ["change", "kept"], ["compact", ""], ["schedule", "third"]]
AT_LAST = {"kept": (False, "changed"), "other": (True, ""), "third": (False, "")}
EMPTY = {"output", "kron.lock", ".gitignore", "kron.token"}
MOMENTS = {"before": None, "after": None, "after no byte": 0.0, "after half of it": 0.5}


@pytest.mark.parametrize("keep_history", ["90d", "0s"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_anywhere_in_a_compaction_loses_nothing(die, tmp_path, moment, keep_history):
    """Before, in and after every call of the change-over, the snapshot and what lets files go."""
    part = MOMENTS[moment]
    call, when = "any" if part is None else "write", moment.split()[0]
    found_after, names = set(), set()
    for nth in count(1):
        place = tmp_path / f"{nth}"
        place.mkdir()
        do = [*COMPACTED, ["armed", ""], ["compact", ""], ["disarmed", ""]]
        code = die(place, [call, nth, when, part], do, keep_history)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        names |= {path.name for path in (place / "kron").iterdir()}
        found_after.add(check_what_is_left(place, keep_history))
    assert nth > (16 if part is None else 4), "files, header, renames, parts: where are they?"
    assert {"kron.aof.tmp", "kron.snapshot.tmp"} <= names
    assert found_after == {0, 1}  # the index is written when the snapshot has its name


def check_what_is_left(place, keep_history):
    """Everything acknowledged is there, now and after a start and one more compaction; returns
    the record that a start begins from."""
    ends = [int(line.split()[1]) for line in lines(place) if line.startswith("compacted ")]
    began = state_of(place)
    assert began in (ends[1], ends[1] + 1), "the last acknowledged snapshot, or the one after it"
    assert found_by_a_start(place) == AT_LAST
    scheduler = Scheduler()
    scheduler.start(place / "kron", keep_history=keep_history)
    host = scheduler._control.host
    asyncio.run_coroutine_threadsafe(host.compaction.compact(), host.loop).result()
    scheduler.shutdown()
    state_of(place)
    left = {path.name for path in (place / "kron").iterdir() if "index" not in path.name} - EMPTY
    sealed = {name for name in left if name.rpartition(".")[2].isdigit()}
    assert left - sealed == {"kron.aof", "kron.snapshot", "kron.snapshot.old"}
    if keep_history == "0s":
        assert len(sealed) <= 2
    else:
        assert LogReader(place / "kron").base == 0
    assert found_by_a_start(place) == AT_LAST
    return began - ends[1]


def state_of(place):
    """From which record a start would begin. While all records are there, folding them from the
    first one on gives the same state."""
    reader = LogReader(place / "kron")
    machine, problems = begin(reader)
    assert problems == []
    began = machine.state.index
    fold(machine, reader.records_after(began))
    if reader.base == 0:
        whole = Machine()
        fold(whole, reader)
        assert {**fold_image(machine.state), "ring": []} == {**fold_image(whole.state), "ring": []}
    return began


def wait_until(is_true, seconds=30):
    """Await a condition that another thread brings about."""
    import time

    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
