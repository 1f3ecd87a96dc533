"""kill -9 while commands run, timers are paused or a backfill goes on; then the next start."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

import kron
from kron.runtime.groups import is_alive
from kron.scheduler import Scheduler
from tests.waiting import eventually
from tests.witness import LONG_S, Witness, judged, rows, until_idle

ROOT = Path(__file__).parents[2]
LIVES = 7
PROGRAM = """
import json, sys
import kron
from tests.witness import Witness
from pathlib import Path

place = Path(sys.argv[1])
witness = Witness(place)
{body}
kron.start(place / "kron")
{after}
print("up", flush=True)
kron.wait()
"""


class Life:
    """A program with a scheduler, which is up; to be killed."""

    def __init__(self, place: Path, body: str, after: str = "") -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(body=body, after=after), str(place)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def until_up(self) -> None:
        """Until it has started, and said so."""
        assert self.program.stdout.readline() == "up\n"

    def kill(self) -> None:
        """kill -9, and until it is gone."""
        self.program.kill()
        self.program.communicate()
        assert self.program.returncode == -signal.SIGKILL


@pytest.fixture
def witness(tmp_path):
    witness = Witness(tmp_path)
    yield witness
    witness.open()
    for line in witness.began():  # should a test have failed half-way
        if line.pid != os.getpid() and is_alive(line.pid):
            os.killpg(line.pid, signal.SIGKILL)


@pytest.fixture
def live(tmp_path):
    """Begin a life; none outlives the test."""
    lives = []

    def begin(body, after=""):
        lives.append(Life(tmp_path, body, after))
        lives[-1].until_up()
        return lives[-1]

    yield begin
    for each in lives:
        each.program.kill()
        each.program.wait()


@pytest.fixture
def scheduler(tmp_path):
    """The next life, in this process; not started."""
    scheduler = Scheduler()
    yield scheduler
    scheduler.shutdown(1)


# -- commands ------------------------------------------------------------------------------------

DEAF = "trap '' TERM; (trap '' TERM; while :; do sleep 0.02; done) & {wait}"


@pytest.mark.parametrize("kind", ["command", "process", "deaf"])
def test_what_a_killed_scheduler_left_is_over_before_it_runs_again(
    live, scheduler, witness, tmp_path, kind
):
    def target(of):
        if kind != "deaf":
            return of.waiting(kind)
        return of.command(DEAF.format(wait=f"until test -e {of.gate}; do sleep 0.02; done")), {}

    fn, options = target(witness)
    if kind == "process":
        body = "fn, options = witness.waiting('process')"
    else:
        body = f"fn, options = kron.command({fn.spec.shell!r}, shell=True), {{}}"
    life = live(
        f"{body}\nkron.schedule('t', fn, every='1h', retry_delay=0, **options)",
        "kron.trigger('t')",
    )
    first = witness.until_began("t")
    life.kill()
    assert is_alive(first.pid), "else this test says nothing"
    scheduler.schedule("t", fn, every="1h", retry_delay=0, **options)
    scheduler.start(tmp_path / "kron")
    second = witness.until_began("t", 2)
    assert not is_alive(first.pid)
    assert (second.run_id, second.attempt) == (first.run_id, 2)
    witness.open()
    until_idle(scheduler)
    assert rows(scheduler, "t") == [("FAILED", "crashed", 1), ("OK", None, 2)]
    assert [line.word for line in witness.lines()] == ["begin", "begin", "end"]
    assert list((tmp_path / "kron" / "output").glob("*.pid")) == []
    scheduler.shutdown(1)
    assert judged(tmp_path / "kron") == []


def test_kills_at_any_moment_never_let_two_of_a_command_run(live, scheduler, tmp_path):
    """Also while one is being started, or has just ended."""
    seed = os.environ.get("KRON_TEST_SEED") or str(time.time_ns())
    print(f"KRON_TEST_SEED={seed}")
    choice, names = random.Random(seed), ("a", "b", "c")
    for name in names:
        (tmp_path / name).mkdir()
    witnesses = {name: Witness(tmp_path / name) for name in names}
    schedule = (
        "for name in 'abc':\n"
        "    command = Witness(place / name).command('sleep 0.04 & wait')\n"
        "    kron.schedule(name, command, every='30ms', retry_delay=0, max_attempts=100)\n"
    )
    for _ in range(LIVES):
        life = live(schedule)
        time.sleep(choice.uniform(0, 0.25))
        life.kill()
    for name in names:
        command = witnesses[name].command("sleep 0.04 & wait")
        scheduler.schedule(name, command, every="30ms", retry_delay=0, max_attempts=100)
    scheduler.start(tmp_path / "kron")
    before = {name: len(witnesses[name].lines("end")) for name in names}
    for name in names:
        eventually(lambda n=name: len(witnesses[n].lines("end")) >= before[n] + 2, LONG_S)
    scheduler.pause()
    until_idle(scheduler)
    scheduler.shutdown(1)
    for name in names:
        assert witnesses[name].lines("together") == []
        attempts = [(line.run_id, line.attempt) for line in witnesses[name].began()]
        assert len(attempts) == len(set(attempts)) >= 3
        assert not any(is_alive(line.pid) for line in witnesses[name].began())
    crashed = [
        event
        for event in events(tmp_path / "kron")
        if event[0] == "RUN_FAILED" and "crashed" in event
    ]
    assert crashed, "no run was under way at any of the kills"
    assert list((tmp_path / "kron" / "output").glob("*.pid")) == []
    assert judged(tmp_path / "kron") == []


def events(place):
    """The events of the log, `[tag, field, ...]`."""
    lines = (place / "kron.aof").read_text().splitlines()[1:]
    return [event for line in lines for event in json.loads(line.split(" ", 2)[2])[1:]]


HOLDER = """
import fcntl, os, sys, time
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, b"%d\\n" % os.getpid())
if os.fork() == 0:  # as the child of Popen between fork and exec
    time.sleep(float(sys.argv[2]))
    os._exit(0)
os._exit(0)  # killed
"""


def test_a_start_waits_for_the_command_that_a_killed_one_was_about_to_start(scheduler, tmp_path):
    """It has the lock of the directory for that moment, though nobody carries the schedule out."""
    place = tmp_path / "kron"
    place.mkdir(mode=0o700)
    subprocess.run([sys.executable, "-c", HOLDER, place / "kron.lock", "0.4"], check=True)
    scheduler.start(place)
    assert scheduler.list() == []
    with pytest.raises(kron.DataDirLocked, match=f"process {os.getpid()}"):
        Scheduler().start(place)


# -- pauses --------------------------------------------------------------------------------------


PAUSED = ("for", "until", "on")


def test_a_pause_survives_a_kill(live, scheduler, tmp_path):
    names = (*PAUSED, "free")
    options = {"every": "400ms", "overlap": "skip"}
    life = live(
        f"for name in {names}:\n    kron.schedule(name, kron.command(['true', name]), **{options})",
        "kron.pause('for', for_='1h', reason='deploy', who='ada')\n"
        "kron.pause('until', until='2999-01-01T00:00Z')\n"
        "kron.pause('on')\n"
        f"told = [kron.status(name)['paused'] for name in {names}]\n"
        "(place / 'told').write_text(json.dumps(told))",
    )
    life.kill()
    told = json.loads((tmp_path / "told").read_text())
    for name in names:
        scheduler.schedule(name, kron.command(["true", name]), **options)
    scheduler.start(tmp_path / "kron")
    shown = [scheduler.status(name)["paused"] for name in names]
    assert shown == told
    assert (shown[0]["reason"], shown[0]["who"], shown[3]) == ("deploy", "ada", None)
    eventually(lambda: not any(scheduler.status(name)["open_runs"] for name in PAUSED), LONG_S)
    before = [scheduler.status(name)["succeeded"] for name in PAUSED]
    missed = scheduler.status("free")["succeeded"] + 2
    eventually(lambda: scheduler.status("free")["succeeded"] >= missed, LONG_S)
    assert [scheduler.status(name)["succeeded"] for name in PAUSED] == before
    assert scheduler.resume(match="for|until|on") == 3
    for name, count in zip(PAUSED, before, strict=True):
        eventually(lambda n=name, c=count: scheduler.status(n)["succeeded"] > c, LONG_S)
        missed = [row for row in scheduler.history(name) if row["status"] == "MISSED"]
        assert {row["reason"] for row in missed} == {"paused"}
    scheduler.shutdown(1)
    assert judged(tmp_path / "kron") == []


# -- backfills -----------------------------------------------------------------------------------


def test_a_backfill_survives_kills_and_runs_each_slot_once(live, scheduler, witness, tmp_path):
    """Once and no more, but for a slot that was under way at a kill: that is its next attempt."""
    slots = 18
    body = (
        "command = witness.command('sleep 0.02; echo $KRON_RUN_ID $KRON_SCHEDULED_AT"
        " >>' + str(place / 'slots'))\n"
        "kron.schedule('t', command, cron='0 * * * *', overlap='skip', retry_delay=0,"
        " max_attempts=50)"
    )
    asked = "kron.backfill('t', since='2024-03-01T00:00Z', until='2024-03-01T18:00Z')"
    for number in range(3):
        life = live(body, asked if number == 0 else "")
        began = 4 * (number + 1)
        eventually(lambda n=began: len({line.run_id for line in witness.began()}) >= n, LONG_S)
        life.kill()
    slots_file = tmp_path / "slots"
    command = witness.command(f"sleep 0.02; echo $KRON_RUN_ID $KRON_SCHEDULED_AT >>{slots_file}")
    terms = {"overlap": "skip", "retry_delay": 0, "max_attempts": 50}
    scheduler.schedule("t", command, cron="0 * * * *", **terms)
    scheduler.start(tmp_path / "kron")
    eventually(lambda: scheduler.status("t")["backfill"] is None, LONG_S)
    until_idle(scheduler)
    ended = [row for row in scheduler.history("t") if row["cause"] == "backfill"]
    ok = [row for row in ended if row["status"] == "OK"]
    labels = [row["scheduled_at"] for row in reversed(ok)]
    assert labels == [f"2024-03-01T{hour:02}:00:00+00:00" for hour in range(slots)]
    crashed = {row["run_id"] for row in ended if row["reason"] == "crashed"}
    attempts = defaultdict(list)
    for line in witness.began():
        attempts[line.run_id].append(line.attempt)
    runs = {row["run_id"] for row in ok}
    assert len(runs) == slots
    assert {run for run in runs if attempts[run] != [1]} <= crashed
    assert all(attempts[run] == sorted(set(attempts[run])) for run in runs)
    assert 1 <= len(crashed) <= 3, "one was under way at a kill, at most"
    assert witness.lines("together") == []
    begun = scheduler.backfill("t", since="2024-03-01T00:00Z", until="2024-03-01T18:00Z")
    assert (begun["moments"], begun["done"]) == (0, slots)
    scheduler.shutdown(1)
    assert judged(tmp_path / "kron") == []


def test_a_command_waits_for_a_program_that_registers_it(live, scheduler, tmp_path):
    """It stands in the log whole; who does not schedule it any more does not want it to run."""
    live("kron.schedule('t', kron.command(['true']), every='1h')", "kron.trigger('t')").kill()
    scheduler.start(tmp_path / "kron")
    status = scheduler.status("t")
    assert (status["state"], status["command"]) == ("orphaned", "true")
    before = status["succeeded"]
    scheduler.trigger("t")
    assert scheduler.status("t")["runs"][-1]["waiting_for"].startswith("callable: ")
    scheduler.schedule("t", kron.command(["true"]), every="1h")
    until_idle(scheduler)
    assert scheduler.status("t")["succeeded"] > before
