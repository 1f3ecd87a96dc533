"""What may run at once: weights, priorities, keys and worker threads, with real runs."""

import asyncio
import threading
import time
from collections import Counter

import pytest
from typer.testing import CliRunner

import kron
from kron.cli.main import app
from kron.runtime.threads import MAX_THREADS
from kron.scheduler import Scheduler
from tests.ledger import read_log
from tests.waiting import eventually
from tests.witness import LONG_S, judged, rows, until_ended, until_idle

ENDS = ("RUN_SUCCEEDED", "RUN_FAILED", "RUN_CANCELLED")


@pytest.fixture
def start(place):
    """Start a scheduler with this `max_concurrency`; its log is judged in the end."""
    made = []

    def started(max_concurrency=None):
        made.append(Scheduler(max_concurrency=max_concurrency))
        made[0].start(place)
        return made[0]

    yield started
    made[0].shutdown(1)
    assert judged(place) == []


class Gates:
    """Callbacks that wait until they are let go, and note the order in which they began."""

    def __init__(self):
        self.order, self._open = [], {}

    async def __call__(self, context):
        self.order.append(context["timer_id"])
        while not self.gate(context["timer_id"]).is_set():
            await asyncio.sleep(0.005)

    def gate(self, name):
        return self._open.setdefault(name, threading.Event())

    def open(self, *names):
        for name in names:
            self.gate(name).set()


def under_way(place, weights=None):
    """After each event: the sum of the weights of the timers whose runs are under way. From the
    log, by its order; what nobody has a weight for weighs 1."""
    sums, running = [0], {}
    for record in read_log(place):
        for tag, *fields in record[1:]:
            if tag == "RUN_STARTED":
                running[fields[1]] = (weights or {}).get(fields[0], 1)
            elif tag in ENDS:
                running.pop(fields[1], None)
            sums.append(sum(running.values()))
    return sums


def waits_for(scheduler, name):
    """Why the oldest run of a timer does not run yet."""
    return scheduler.status(name)["runs"][0]["waiting_for"]


# -- weights -------------------------------------------------------------------------------------


def test_light_runs_do_not_starve_a_heavy_one(start, place):
    """Weights 3, 3, 1, 1 and room for 4, with a stream of light runs that never stops."""
    scheduler = start(max_concurrency=4)
    weights = {"heavy-1": 3, "heavy-2": 3, "light-1": 1, "light-2": 1}

    async def some_work():
        await asyncio.sleep(0.02)

    for name, weight in weights.items():
        heavy = {"every": "60ms", "overlap": "skip"}
        light = {"every": "15ms", "overlap": "allow"}
        scheduler.schedule(name, some_work, weight=weight, **(heavy if weight == 3 else light))
    for name in ("heavy-1", "heavy-2"):
        eventually(lambda name=name: scheduler.status(name)["succeeded"] >= 5, LONG_S)
    scheduler.pause()
    scheduler.cancel("light-1")
    scheduler.cancel("light-2")
    until_idle(scheduler)
    sums = under_way(place, weights)
    assert max(sums) == 4
    assert all(scheduler.status(name)["succeeded"] >= 5 for name in weights)


def test_nobody_overtakes_the_heavy_run_that_waits_for_room(start):
    scheduler, gates = start(max_concurrency=4), Gates()
    lights = [f"light-{number}" for number in range(12)]
    for name in lights:
        scheduler.schedule(name, gates, every="1h")
    scheduler.schedule("heavy", gates, every="1h", weight=3)
    for name in lights[:4]:
        scheduler.trigger(name)
    eventually(lambda: len(gates.order) == 4, LONG_S)
    scheduler.trigger("heavy")
    for name in lights[4:]:
        scheduler.trigger(name)
    for name in lights[:2]:
        gates.open(name)
        until_ended(scheduler, name)
    assert waits_for(scheduler, "heavy") == "capacity: 2 of 4 in use, it needs 3"
    assert waits_for(scheduler, "light-4").startswith("capacity: ")
    assert gates.order == lights[:4], "there is room for a light one, but it is not its turn"
    gates.open(lights[2])
    eventually(lambda: gates.order[4:] == ["heavy"], LONG_S)
    gates.open("heavy", *lights)
    until_idle(scheduler)
    assert gates.order[5:] == lights[4:]


def test_no_run_is_lost_when_there_is_no_room(start, place, witness):
    """Commands, threads, process functions and tasks share the room."""
    scheduler = start(max_concurrency=3)
    for kind in ("command", "thread", "process", "task"):
        for number in range(3):
            fn, options = witness.waiting(kind)
            # A command has its key by itself, its hash: here it is not what holds it up.
            key = f"{kind}-{number}"
            scheduler.schedule(key, fn, every="1h", key=key, **options)
            scheduler.trigger(key)
    eventually(lambda: len(witness.began()) == 3, LONG_S)
    facts = CliRunner().invoke(app, ["--data-dir", str(place), "runtime", "status"]).stdout
    assert "3 of 3" in facts
    witness.open()
    until_idle(scheduler)
    assert {timer["succeeded"] for timer in scheduler.list()} == {1}
    assert max(under_way(place)) == 3


def test_a_retry_waits_for_room_like_any_other(start, place):
    scheduler = start(max_concurrency=2)
    for number in range(8):
        command = kron.command(f"test $KRON_ATTEMPT -eq 3 # {number}", shell=True)
        scheduler.schedule(f"t{number}", command, every="1h", retry_delay=0)
        scheduler.trigger(f"t{number}")
    eventually(lambda: all(timer["succeeded"] == 1 for timer in scheduler.list()), LONG_S)
    assert {timer["failed"] for timer in scheduler.list()} == {2}
    assert max(under_way(place)) == 2


def test_what_waits_is_cancelled_and_its_place_is_free(start):
    scheduler, gates = start(max_concurrency=2), Gates()
    scheduler.schedule("first", gates, every="1h")
    scheduler.schedule("heavy", gates, every="1h", weight=2)
    scheduler.schedule("behind", gates, every="1h")
    for name in ("first", "heavy", "behind"):
        scheduler.trigger(name)
    eventually(lambda: gates.order == ["first"], LONG_S)
    assert waits_for(scheduler, "behind").startswith("capacity: ")
    assert scheduler.cancel("heavy") == 1
    eventually(lambda: gates.order == ["first", "behind"], LONG_S)
    assert rows(scheduler, "heavy")[0][:2] == ("CANCELLED", "cancel")
    gates.open("first", "behind")
    until_idle(scheduler)


# -- priorities ----------------------------------------------------------------------------------


def test_what_is_more_urgent_goes_first(start):
    scheduler, gates = start(max_concurrency=1), Gates()
    scheduler.schedule("now", gates, every="1h")
    scheduler.trigger("now")
    eventually(lambda: gates.order == ["now"], LONG_S)
    given = {"low": 0, "usual-1": 5, "usual-2": None, "high": 10, "higher-than-usual": 6}
    for name, priority in given.items():
        options = {} if priority is None else {"priority": priority}
        scheduler.schedule(name, gates, every="1h", **options)
        scheduler.trigger(name)
    gates.open("now", *given)
    until_idle(scheduler)
    assert gates.order[1:] == ["high", "higher-than-usual", "usual-1", "usual-2", "low"]


# -- keys ----------------------------------------------------------------------------------------


def test_so_many_runs_of_a_key_as_its_limit(start, place, witness):
    scheduler = start()
    for number in range(7):
        kind = ("command", "task", "thread")[number % 3]
        fn, options = witness.waiting(kind)
        terms = {"key": "db", "key_limit": 2}
        scheduler.schedule(f"t{number}", fn, every="1h", **options, **terms)
        scheduler.trigger(f"t{number}")
    scheduler.schedule("other", time.monotonic, every="1h", key="cache")
    scheduler.trigger("other")
    assert until_ended(scheduler, "other") == [("OK", None, 1)], "a full key holds nobody else up"
    eventually(lambda: len(witness.began()) == 2, LONG_S)
    assert waits_for(scheduler, "t5") == "key: db is taken"
    witness.open()
    until_idle(scheduler)
    assert {scheduler.status(f"t{number}")["succeeded"] for number in range(7)} == {1}
    assert max(under_way(place, {"other": 0})) == 2


@pytest.mark.parametrize("overlap", ["delay", "skip", "restart"])
def test_one_command_on_two_schedules_is_one_instance(start, witness, overlap):
    """The lock that it holds says whether two of them are ever at work together."""
    scheduler = start()
    command = witness.command("sleep 0.05 & wait")
    for name, every in (("a", "110ms"), ("b", "170ms"), ("c", "130ms")):
        scheduler.schedule(name, command, every=every, overlap=overlap)
    eventually(lambda: len({line.timer for line in witness.began()}) == 3, LONG_S)
    eventually(lambda: len(witness.began()) >= 10, LONG_S)
    statuses = Counter(row["status"] for row in scheduler.history())
    scheduler.pause()
    until_idle(scheduler)
    assert witness.lines("together") == []
    assert len({timer["key"] for timer in scheduler.list()}) == 1
    allowed = {"delay": {"OK", "MISSED"}, "skip": {"OK", "SKIPPED_OVERLAP"}}
    assert statuses.keys() <= allowed.get(overlap, {"OK", "CANCELLED", "MISSED"}), statuses


def test_a_skip_names_the_run_that_has_the_key(start, witness):
    scheduler = start()
    fn, _ = witness.waiting("command")
    scheduler.schedule("a", fn, every="1h", overlap="skip")
    scheduler.schedule("b", fn, every="1h", overlap="skip")
    scheduler.trigger("a")
    witness.until_began("a")
    assert scheduler.trigger("b") is None
    assert rows(scheduler, "b") == [("SKIPPED_OVERLAP", None, None)]
    assert scheduler.status("b")["skipped"] == 1
    witness.open()
    until_idle(scheduler)
    assert scheduler.trigger("b") is not None
    until_ended(scheduler, "b", 2)


def test_a_restart_ends_the_run_of_another_timer_that_has_the_key(start, witness):
    scheduler = start()
    fn, _ = witness.waiting("command")
    scheduler.schedule("a", fn, every="1h", overlap="restart")
    scheduler.schedule("b", fn, every="1h", overlap="restart")
    scheduler.trigger("a")
    witness.until_began("a")
    scheduler.trigger("b")
    witness.until_began("b")
    assert until_ended(scheduler, "a") == [("CANCELLED", "restart", 1)]
    witness.open()
    assert until_ended(scheduler, "b") == [("OK", None, 1)]
    assert witness.lines("together") == []


def test_under_allow_a_command_may_run_beside_itself_but_not_beside_its_key(start, witness):
    scheduler = start()
    fn, _ = witness.waiting("command")
    scheduler.schedule("beside", fn, every="1h", overlap="allow")
    scheduler.schedule("keyed", fn, every="1h", overlap="allow", key="one")
    for _ in range(2):
        scheduler.trigger("beside")
        scheduler.trigger("keyed")
    witness.until_began("beside", 2)
    witness.until_began("keyed")
    assert [run["waiting_for"] for run in scheduler.status("keyed")["runs"]] == [
        None, "key: one is taken",
    ]  # fmt: skip
    witness.open()
    until_idle(scheduler)
    assert len(witness.began("keyed")) == 2


# -- threads -------------------------------------------------------------------------------------


def test_who_waits_for_a_thread_does_not_use_up_its_time(start, place):
    """300 callbacks in 128 threads, in three rounds: the timeout is less than two of them."""
    scheduler = start()
    let_go = threading.Event()
    for number in range(300):
        scheduler.schedule(
            f"t{number}", lambda: let_go.wait(0.8), every="1h", timeout="1500ms", max_attempts=1
        )
    for number in range(300):
        scheduler.trigger(f"t{number}")
    assert waits_for(scheduler, "t299") == "threads: every worker thread is busy"
    until_idle(scheduler)
    assert {timer["last_status"] for timer in scheduler.list()} == {"OK"}
    assert max(under_way(place)) == MAX_THREADS


def test_full_threads_hold_up_no_task_and_no_command(start):
    scheduler, let_go = start(), threading.Event()
    scheduler.schedule("many", let_go.wait, every="1h", overlap="allow")
    for _ in range(MAX_THREADS + 5):
        scheduler.trigger("many")

    async def quick():
        pass

    scheduler.schedule("task", quick, every="1h")
    scheduler.schedule("command", kron.command(["true"]), every="1h")
    for name in ("task", "command"):
        scheduler.trigger(name)
        assert until_ended(scheduler, name) == [("OK", None, 1)]
    assert scheduler.status("many")["succeeded"] == 0
    let_go.set()
    eventually(lambda: scheduler.status("many")["succeeded"] == MAX_THREADS + 5, LONG_S)


# -- what cannot be meant ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"weight": 5}, kron.ScheduleError, "weight=5 of 't' is above max_concurrency=4"),
        ({"weight": 0}, kron.ScheduleError, "weight=0 is outside 1-"),
        ({"weight": 1.5}, TypeError, "weight must be an int, not float"),
        ({"weight": True}, TypeError, "weight must be an int, not bool"),
        ({"priority": 11}, kron.ScheduleError, "priority=11 is outside 0-10"),
        ({"priority": -1}, kron.ScheduleError, "priority=-1 is outside 0-10"),
        ({"priority": "high"}, TypeError, "priority must be an int"),
        ({"timeout": 0}, kron.ScheduleError, "timeout=0"),
        ({"timeout": -1}, kron.ScheduleError, "timeout=-1"),
        ({"timeout": "soon"}, kron.ScheduleError, "timeout='soon' is not a duration"),
        ({"key": ""}, kron.ScheduleError, "key='' cannot be used: 1 to 128"),
        ({"key": "a\nb"}, kron.ScheduleError, "printable"),
        ({"key": 7}, TypeError, "key must be a string"),
        ({"key_limit": 0}, kron.ScheduleError, "key_limit=0 is outside 1-"),
        ({"key_limit": 2}, kron.ScheduleError, "key_limit=.*of one key="),
        ({"overlap": "replace"}, kron.ScheduleError, "overlap must be one of: .*restart"),
        ({"executor": "gpu"}, kron.ScheduleError, "executor must be one of: thread, process"),
        ({"executor": "process"}, kron.ScheduleError, "cannot be called in another process"),
        ({"weigth": 2}, TypeError, "weigth"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_at_the_call(start, options, error, text):
    scheduler = start(max_concurrency=4)
    with pytest.raises(error, match=text):
        scheduler.schedule("t", lambda: None, every="1h", **options)
    assert scheduler.list() == []
