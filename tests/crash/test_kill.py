"""kill -9, again and again, at moments that nobody chose; then the log against the outside record.

The worker compacts without rest, so the kills hit every stage of that too: the change-over to a new
file, the parts of a snapshot, its names, old files that are let go.

The kills are random, their seed is printed: KRON_TEST_SEED=... repeats the choices (not the race).
"""

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Timer as Alarm

import pytest

from kron.core.codec import decode
from kron.core.cut import restore
from kron.core.errors import LogTruncated
from kron.core.events import POSITIONS
from kron.core.ids import run_id_number
from kron.core.machine import Machine
from kron.core.model import Now
from kron.core.row_query import read_row_query
from kron.core.views import timer_status
from kron.runtime.history import past
from kron.runtime.recovery import begin, fold
from kron.scheduler import Scheduler
from kron.storage.datadir import DataDir
from kron.storage.reader import LogReader
from kron.storage.segments import sealed_lasts
from kron.storage.snapshot import SNAPSHOT_NAMES, kept_snapshots, read_parts
from kron.testing.player import fold_image
from tests.crash.outside import Outside
from tests.ledger import check, read_log

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
KILLS = 100
CHAINS = 2
"""They are lived side by side, on directories of their own."""
LONG_ROUNDS = 10
KILLS_OF_TRIMMED = 24
EARLY = 0.32
"""This part hits the first 50 ms after `start` was called: opening, recovery, the first runs."""
COMPACTING = 0.3
"""This part hits the first 12 ms after a compaction began."""
LIFE_SECONDS = 0.8
PATIENCE_SECONDS = 100


class Mother:
    """The process whose children are the lives."""

    def __init__(self, data_dir, record, *arguments):
        self._errors = open(f"{record}.errors", "a+")  # noqa: SIM115  # it ends with the mother
        self._program = subprocess.Popen(
            [sys.executable, WORKER, data_dir, record, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def bear(self, *words):
        """A child that is about to call `start`; its process id."""
        self._tell(*words)
        return self.hear("starting")

    def hear(self, what):
        """Wait until the child says so."""
        said, pid = self._line().split()
        assert said == what, self.errors()
        return int(pid)

    def reap(self):
        """The exit code of the child, when it has ended."""
        self._tell("reap")
        return int(self._line())

    def errors(self):
        """What the children complained about."""
        self._errors.seek(0)
        return self._errors.read()

    def end(self):
        self._program.stdin.close()
        assert self._program.wait(30) == 0
        self._errors.close()

    def _tell(self, *words):
        print(*words, file=self._program.stdin, flush=True)

    def _line(self):
        alarm = Alarm(PATIENCE_SECONDS, self._program.kill)
        alarm.start()
        try:
            return self._program.stdout.readline() or pytest.fail(self.errors())
        finally:
            alarm.cancel()


class Story:
    """What many kills and one orderly end left behind.

    `snapshots` are the directories with a copy of the newest snapshot after each kill; `files`
    is what a start found, life by life.
    """

    def __init__(self, place, kills):
        self.data_dir = place / "kron"
        self.kills = kills
        self.outside = Outside((place / "record").read_text().splitlines())
        self.files = [line["names"] for line in self.outside.of("found")]
        self.snapshots = sorted((place / "snapshots").iterdir())
        reader = LogReader(self.data_dir)
        self.base = reader.base
        self.records = list(reader)
        self.log_id = reader.log_id
        self.torn_bytes = reader.torn_bytes
        self.decoded = [(index, decode(payload, index)) for index, payload in self.records]
        self.events = [event for _, record in self.decoded for event in record.events]

    def of(self, *kinds):
        return [event for event in self.events if type(event).__name__ in kinds]


def live_and_die(place, kills, choice, *arguments):
    """A chain of lives on one directory; the last one ends in order, in a program of its own."""
    data_dir, record = place / "kron", place / "record"
    (place / "snapshots").mkdir(parents=True)
    early, compacting = round(kills * EARLY), round(kills * COMPACTING)
    moments = [("starting", choice.uniform(0, 0.05)) for _ in range(early)]
    moments += [("compacting", choice.uniform(0, 0.012)) for _ in range(compacting)]
    rest = kills - early - compacting
    moments += [("starting", choice.uniform(0, LIFE_SECONDS)) for _ in range(rest)]
    choice.shuffle(moments)
    mother = Mother(data_dir, record, *arguments)
    for number, (what, moment_s) in enumerate(moments):
        pid = mother.bear("life", number, choice.randrange(1 << 30), what)
        if what != "starting":
            mother.hear(what)
        time.sleep(moment_s)
        os.kill(pid, signal.SIGKILL)
        assert mother.reap() == -signal.SIGKILL, f"start {number} was refused:\n{mother.errors()}"
        forget_torn_line(record)
        keep_snapshot(data_dir, place / "snapshots" / f"{number:04}")
    mother.end()
    mother = Mother(data_dir, record, *arguments)
    mother.bear("hold", kills)
    assert mother.reap() == 0, f"the last start:\n{mother.errors()}"
    assert mother.errors() == ""
    mother.end()
    return Story(place, kills)


def forget_torn_line(record):
    """A kill may cut a line of the record where a page ends; then it was never written."""
    content = record.read_bytes()
    os.truncate(record, content.rfind(b"\n") + 1)


def keep_snapshot(data_dir, place):
    if (data_dir / "kron.snapshot").exists():
        place.mkdir(mode=0o700)
        shutil.copy(data_dir / "kron.snapshot", place)


def chosen():
    seed = os.environ.get("KRON_TEST_SEED") or secrets.token_hex(4)
    print(f"KRON_TEST_SEED={seed}")
    return random.Random(seed)


LONG = [pytest.param(number, marks=pytest.mark.long) for number in range(1, LONG_ROUNDS + 1)]


@pytest.fixture(scope="module", params=[0, *LONG])
def stories(tmp_path_factory):
    """Long is ten times as many: in rounds, for a life grows with the ones before it."""
    choice, place = chosen(), tmp_path_factory.mktemp("kill")
    chains = [(place / f"{n}", KILLS // CHAINS, random.Random(choice.random())) for n in range(2)]
    with ThreadPoolExecutor(CHAINS) as pool:
        return list(pool.map(lambda chain: live_and_die(*chain), chains))


@pytest.fixture(params=range(CHAINS))
def story(request, stories):
    return stories[request.param]


@pytest.fixture(scope="module", params=[KILLS_OF_TRIMMED])
def trimmed(request, tmp_path_factory):
    """A story that keeps no history: records go as soon as no snapshot needs them."""
    return live_and_die(tmp_path_factory.mktemp("trimmed"), request.param, chosen(), "0s")


def test_no_start_is_refused_and_the_last_one_ends_in_order(story):
    assert story.kills * CHAINS == KILLS
    started, stopped = story.of("SchedulerStarted"), story.of("SchedulerStopped")
    assert len(stopped) == 1 and story.events[-1] == stopped[0]
    # A kill may have come before the record of the start was written.
    starts = [line for line in story.outside.lines if line["what"] == "list"]
    assert len(starts) <= len(started) <= story.kills + 1
    assert story.torn_bytes == 0


def test_what_was_acknowledged_is_there_after_every_kill(story):
    assert story.outside.problems == []
    assert story.outside.settled > 50, "too little happened for the test to mean something"


def test_records_follow_one_another_without_a_gap_and_log_time_never_goes_back(story):
    assert [index for index, _ in story.records] == [*range(1, len(story.records) + 1)]
    times = [record.header["t"] for _, record in story.decoded]
    assert times == sorted(times)


def test_the_ledger_is_whole(story):
    """Every due moment ran, or is recorded with the reason why not, by an independent judge."""
    records = read_log(story.data_dir)
    assert len(records) == len(story.records)
    (stopped,) = story.of("SchedulerStopped")
    registered = {line["timer_id"] for line in story.outside.ran}
    orphans = {name for name in registered if name.startswith("churn")}
    assert check(records, end_us=stopped.since_us, orphans=orphans) == []


def test_no_callback_ran_before_its_start_was_durable(story):
    started = {(event.run, event.attempt) for event in story.of("RunStarted")}
    ran = [
        (run_id_number(line["run_id"], story.log_id), line["attempt"]) for line in story.outside.ran
    ]
    assert len(ran) > 100
    assert [each for each in ran if each not in started] == []


def test_no_attempt_is_carried_out_twice(story):
    attempts = Counter((line["run_id"], line["attempt"]) for line in story.outside.ran)
    assert {each: n for each, n in attempts.items() if n > 1} == {}


def test_no_moment_is_due_twice(story):
    life, due = {}, Counter()
    for number, event in enumerate(story.events):
        kind = type(event).__name__
        if kind == "TimerCreated":
            life[event.timer] = number
        elif kind in ("RunDue", "RunSkippedOverlap") and event.cause == "schedule":
            due[event.timer, life[event.timer], event.scheduled_us] += 1
    assert {each: n for each, n in due.items() if n > 1} == {}


def test_a_moment_either_ran_or_was_missed_not_both(story):
    ran, missed = defaultdict(set), defaultdict(list)
    for event in story.of("RunDue"):
        if event.cause == "schedule":
            ran[event.timer].add(event.scheduled_us)
    for event in story.of("RunMissed"):
        missed[event.timer].append((event.first_us, event.last_us))
    twice = [
        (timer, moment)
        for timer, ranges in missed.items()
        for first, last in ranges
        for moment in ran[timer]
        if first <= moment <= last and not timer.startswith("churn")
    ]
    assert twice == []


def test_attempts_count_up_to_max_attempts(story):
    attempts = defaultdict(list)
    for event in story.of("RunStarted"):
        attempts[event.run].append(event.attempt)
    assert all(each == [*range(1, len(each) + 1)] for each in attempts.values())
    most = {line["run_id"]: line["max_attempts"] for line in story.outside.ran}
    for line in story.outside.ran:
        assert line["attempt"] <= most[line["run_id"]]


def test_an_interrupted_run_is_run_again_or_is_out_of_attempts(story):
    """The record that says so is written by the start after the kill."""
    interrupted = 0
    for _, record in story.decoded:
        for event, following in pairwise([*record.events, None]):
            if type(event).__name__ == "RunFailed" and event.reason == "crashed":
                interrupted += 1
                told = (type(following).__name__, following.run, following.attempt)
                again = ("RunRetrying", event.run, event.attempt + 1)
                assert told in (again, ("RunDead", event.run, event.attempt)), (event, following)
    assert interrupted > 0


def test_when_all_is_over_no_run_of_a_living_process_is_open_for_ever(story):
    """Every start was followed by an end: its own, or the word of a later process."""
    open_attempts = set()
    for event in story.events:
        kind = type(event).__name__
        if kind == "RunStarted":
            open_attempts.add((event.run, event.attempt))
        elif kind in ("RunSucceeded", "RunFailed", "RunCancelled"):
            open_attempts.discard((event.run, event.attempt))
    assert open_attempts == set()


def test_a_one_shot_fires_once_whatever_happens(story):
    """Also one that fell due while nothing ran. More attempts are the crashes' and its own."""
    shots = story.outside.shots
    assert len(shots) > 20
    due = Counter(event.timer for event in story.of("RunDue") if event.cause == "schedule")
    assert {name: due[name] for name in shots if due[name] != 1} == {}
    ended = Counter(event.timer for event in story.of("RunSucceeded"))
    assert {name: ended[name] for name in shots if ended[name] != 1} == {}
    failed = Counter(event.timer for event in story.of("RunFailed"))
    for name, ran in Counter(line["timer_id"] for line in story.outside.ran).items():
        if name in shots:
            # What began ended well, or failed; what failed may have been killed before it began.
            assert 1 <= ran <= failed[name] + 1


@pytest.mark.parametrize("is_from_snapshot", [True, False])
def test_the_log_folded_from_scratch_is_what_a_start_shows(story, tmp_path, is_from_snapshot):
    copy = copy_of(story, tmp_path)
    if not is_from_snapshot:
        for name in SNAPSHOT_NAMES:
            (copy / name).unlink()
    fresh = Scheduler()
    fresh.start(copy)
    try:
        shown = {row["id"]: row for row in fresh.list()}
        rows = fresh.history(limit=100_000)
        machine = Machine()
        fold(machine, list(LogReader(copy)))
    finally:
        fresh.shutdown()
    now = Now(machine.state.log_time_us, 0)
    folded = {
        name: timer_status(
            machine.state, timer, now, story.log_id, capacity=machine.capacity,
            fn_name=timer.definition.terms.fn_name,
        )
        for name, timer in machine.state.timers.items()
    }  # fmt: skip
    assert folded == shown
    if not is_from_snapshot:  # which has no history
        query = read_row_query(None, {"limit": 100_000}, now.wall_us)
        assert past(machine.state, LogReader(copy), query).rows() == rows


def test_the_counters_are_what_the_lines_of_the_log_add_up_to(story, tmp_path):
    """Counted from the bare JSON, without Kron's events and state."""
    counted = {}
    for _, payload in story.records:
        for tag, timer, *rest in json.loads(payload)[1:]:
            if tag == "TIMER_CREATED":
                counted[timer] = Counter()
            elif tag in ("RUN_SUCCEEDED", "RUN_FAILED", "RUN_SKIPPED_OVERLAP"):
                # A removed timer's last runs may end after it, or after its successor's birth.
                counted.setdefault(timer, Counter())[tag] += 1
            elif tag == "RUN_MISSED":
                counted[timer][tag] += rest[2]
    fresh = Scheduler()
    fresh.start(copy_of(story, tmp_path))
    rows = fresh.list()
    fresh.shutdown()
    for row in rows:
        if not row["id"].startswith("churn"):
            lines = counted[row["id"]]
            shown = (row["succeeded"], row["failed"], row["skipped"], row["missed"])
            tags = ("RUN_SUCCEEDED", "RUN_FAILED", "RUN_SKIPPED_OVERLAP", "RUN_MISSED")
            assert shown == tuple(lines[tag] for tag in tags), row["id"]


def copy_of(story, tmp_path):
    shutil.copytree(story.data_dir, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))
    return tmp_path / "copy"


# -- compactions ----------------------------------------------------------------------------------


def is_sealed(name):
    return name.startswith("kron.aof.") and name[9:].isdigit()


def test_the_kills_hit_every_stage_of_a_compaction(stories):
    """Else the other tests say less than they seem to."""
    sealed = sum(map(is_sealed, (name for story in stories for name in story.files[-1])))
    hit = sum(story.outside.interrupted_compactions for story in stories)
    began = sum(story.outside.began_from_snapshots for story in stories)
    found = Counter(name for story in stories for names in story.files for name in names)
    print(f"{sealed} sealed, {hit} compactions were hit, {began} starts began from a snapshot")
    print(f"left over: {found['kron.snapshot.tmp']} snapshots, {found['kron.aof.tmp']} files")
    assert sealed > 50 and hit > 25 and began > 40
    assert found["kron.snapshot.tmp"] + found["kron.aof.tmp"] > 10


def test_every_snapshot_is_the_state_that_the_records_up_to_it_give(story):
    """As it was when its process was killed; and the two that are kept in the end."""
    wanted = defaultdict(list)
    for place in [*story.snapshots, story.data_dir]:
        files = DataDir(place, read_only=True)
        for file in kept_snapshots(files, story.log_id).values():
            wanted[file.index].append(restore(read_parts(files, story.log_id, file.index)))
    assert len(wanted) > 5  # how many depends on how fast the machine is
    machine = Machine()
    for index, payload in story.records:
        fold(machine, [(index, payload)])
        for state in wanted.pop(index, ()):
            assert without_ring(state) == without_ring(machine.state)
            assert state.ring_floor == (index + 1) * POSITIONS - 1
    assert not wanted


def without_ring(state):
    return {**fold_image(state), "ring": [], "log_time_us": state.log_time_us}


def test_the_last_snapshot_and_what_follows_it_is_the_whole_log(story):
    reader = LogReader(story.data_dir)
    whole = Machine()
    fold(whole, story.records)
    machine, problems = begin(reader)
    assert problems == [] and machine.state.index > 0
    fold(machine, reader.records_after(machine.state.index))
    assert without_ring(machine.state) == without_ring(whole.state)
    floor = machine.state.ring_floor
    assert machine.state.ring == [row for row in whole.state.ring if row[0] > floor]


def test_a_log_that_was_cut_short_loses_nothing_either(trimmed):
    """What was acknowledged is there after every kill, though only snapshots remember it."""
    outside = trimmed.outside
    assert outside.problems == [] and outside.settled > 30
    removed = [name for line in outside.of("compacted") for name in line["removed"]]
    assert len(removed) > 8 and trimmed.base > 0
    assert outside.began_from_snapshots > KILLS_OF_TRIMMED // 4
    assert trimmed.events[-1] == trimmed.of("SchedulerStopped")[-1]
    assert [index for index, _ in trimmed.records] == [
        *range(trimmed.base + 1, trimmed.records[-1].index + 1)
    ]
    with pytest.raises(LogTruncated):
        list(LogReader(trimmed.data_dir).records_after(0))
    # What the last compaction that came to its end had to let go is gone: the files that the
    # snapshot before its own does not need. What interrupted ones sealed since may be there.
    *_, before, _ = (line["record"] for line in outside.of("compacted"))
    assert all(last > before for last in sealed_lasts(DataDir(trimmed.data_dir, read_only=True)))


def test_one_shots_of_a_log_that_was_cut_short_fire_once(trimmed):
    machine, problems = begin(reader := LogReader(trimmed.data_dir))
    assert problems == []
    fold(machine, reader.records_after(machine.state.index))
    shots = trimmed.outside.shots
    assert len(shots) > 10
    for name in shots:
        timer = machine.state.timers[name]
        assert (timer.is_finished, timer.tally.succeeded, timer.tally.outcomes) == (True, 1, "s")
    ran = Counter((line["run_id"], line["attempt"]) for line in trimmed.outside.ran)
    assert {each: n for each, n in ran.items() if n > 1} == {}
