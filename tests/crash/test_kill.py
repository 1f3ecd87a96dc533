"""kill -9, again and again, at moments that nobody chose; then the log against the outside record.

The kills are random, their seed is printed: KRON_TEST_SEED=... repeats the choices (not the race).
"""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from kron.core.codec import decode
from kron.core.ids import run_id_number
from kron.core.machine import Machine
from kron.core.model import Now
from kron.core.views import by_next_run, history, timer_status
from kron.runtime.recovery import fold
from kron.scheduler import Scheduler
from kron.storage.reader import LogReader
from tests.crash.outside import Outside
from tests.ledger import check, read_records

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")
KILLS = 25
KILLS_LONG = 250
EARLY = 0.32
"""This part hits the first 50 ms after `start` was called: opening, recovery, the first runs."""


class Story:
    """What many kills and one orderly end left behind."""

    def __init__(self, data_dir, record, kills):
        self.data_dir = data_dir
        self.kills = kills
        self.outside = Outside(record.read_text().splitlines())
        reader = LogReader(data_dir)
        self.records = list(reader)
        self.log_id = reader.log_id
        self.torn_bytes = reader.torn_bytes
        self.decoded = [(index, decode(payload, index)) for index, payload in self.records]
        self.events = [event for _, record in self.decoded for event in record.events]

    def of(self, *kinds):
        return [event for event in self.events if type(event).__name__ in kinds]


@pytest.fixture(scope="module", params=[KILLS, pytest.param(KILLS_LONG, marks=pytest.mark.long)])
def story(request, tmp_path_factory):
    seed = os.environ.get("KRON_TEST_SEED") or secrets.token_hex(4)
    print(f"KRON_TEST_SEED={seed}")
    choice = random.Random(seed)
    place = tmp_path_factory.mktemp("kill")
    data_dir, record = place / "kron", place / "record"
    early = round(request.param * EARLY)
    moments = [choice.uniform(0, 0.05) for _ in range(early)]
    moments += [choice.uniform(0, 0.8) for _ in range(request.param - early)]
    choice.shuffle(moments)
    kills = 0
    for number, moment_s in enumerate(moments):
        worker = start_worker(data_dir, record, f"{choice.randrange(1 << 30)}")
        assert worker.stdout.readline() == "starting\n", worker.communicate()[1]
        time.sleep(moment_s)
        worker.kill()
        _, errors = worker.communicate()
        assert worker.returncode == -signal.SIGKILL, f"start {number} was refused:\n{errors}"
        kills += 1
    worker = start_worker(data_dir, record, "0", "hold")
    output, errors = worker.communicate(timeout=100)
    assert worker.returncode == 0 and "done" in output, f"the last start:\n{errors}"
    return Story(data_dir, record, kills)


def start_worker(data_dir, record, *arguments):
    return subprocess.Popen(
        [sys.executable, WORKER, data_dir, record, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_no_start_is_refused_and_the_last_one_ends_in_order(story):
    assert story.kills in (KILLS, KILLS_LONG)
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
    records = read_records(story.data_dir / "kron.aof")
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


def test_the_log_folded_from_scratch_is_what_a_start_shows(story, tmp_path):
    fresh = Scheduler()
    fresh.start(copy_of(story, tmp_path))
    try:
        shown = {row["id"]: row for row in fresh.list()}
        rows = fresh.history(limit=100_000)
        machine = Machine()
        fold(machine, list(LogReader(tmp_path / "copy")))
    finally:
        fresh.shutdown()
    now = Now(machine.state.log_time_us, 0)
    folded = by_next_run(
        timer_status(
            machine.state, timer, now, story.log_id, is_live=True, fn_name=timer.definition.fn_name
        )
        for timer in machine.state.timers.values()
    )
    assert {row["id"]: row for row in folded} == shown
    assert history(machine.state, None, 100_000, story.log_id) == rows


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
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    (copy / "kron.aof").write_bytes((story.data_dir / "kron.aof").read_bytes())
    return copy
