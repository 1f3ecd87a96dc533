"""Many timers in slices: the same answer as looking at each of them at once."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kron
from kron.core import commands as c
from kron.core.cut import Cut, restore
from kron.core.definition import define
from kron.core.errors import KronStopped
from kron.core.machine import Machine
from kron.core.model import Now
from kron.core.things import Timer
from kron.core.timer_query import STATES, TimerQuery, read_timer_query
from kron.core.views import TimerStatus, timer_status
from kron.runtime import listing
from kron.runtime.listing import Slices, in_order, names_of, run_out
from kron.runtime.questions import Questions
from tests.waiting import eventually

BEGIN_US = 1_800_000_000_000_000
MINUTE_US = 60_000_000
SCHEDULES: list[dict[str, Any]] = [
    {"every": "10m"},
    {"every": "7m", "overlap": "skip"},
    {"every": "1h", "jitter": "5m"},
    {"cron": "*/5 * * * *"},
    {"cron": "30 3 * * *", "timezone": "Europe/Berlin", "exclude": ["sat-sun"]},
    {"cron": "0 * * * *", "not_after": "2027-01-20T00:00:00Z"},
    {"after": "20m"},
    {"at": "2027-01-15T08:30:00Z"},
    {"at": "2020-01-01T00:00:00Z"},
]
ACTIONS = ("trigger", "pause", "resume", "remove", "schedule", "succeed", "fail", "wait", "wait")
QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 5},
    {"limit": 5, "offset": 3},
    {"offset": 30},
    {"limit": 0},
    {"state": "scheduled", "limit": 10},
    {"state": ["running", "retrying"]},
    {"state": "paused"},
    {"state": "dead", "limit": 3},
    {"state": ["orphaned", "cancelled"]},
    {"metadata": {"tenant_id": "t1"}},
    {"metadata": {"org.team": "x"}, "limit": 4, "offset": 1},
    {"metadata": {"tenant_id": "t2", "org.team": "x"}, "state": "scheduled"},
    {"match": "^timer-[0-4]", "limit": 7},
    {"match": "nobody"},
]


class World:
    """A machine with many timers to which anything may happen."""

    def __init__(self, seed: int, count: int = 60) -> None:
        self.random = random.Random(seed)
        self.machine = Machine()
        self.now_us = BEGIN_US
        self.made = 0
        self.step(c.Start("boot", 1, "0", None, None))
        for _ in range(count):
            self.schedule()
        self.machine = Machine(restore(Cut(self.machine.state).parts()))
        self.step(c.Start("reboot", 1, "0", None, None))
        for _ in range(count):  # what is not scheduled again is orphaned
            self.schedule()

    def now(self) -> Now:
        return Now(self.now_us, self.now_us - BEGIN_US)

    def decide(self, *commands: c.Command) -> None:
        """A step that is on its way."""
        self.machine.step(deque(commands), self.now())

    def step(self, *commands: c.Command) -> None:
        self.decide(*commands)
        self.machine.confirm()

    def schedule(self) -> None:
        # Some are as before, some new.
        name = f"timer-{self.random.randrange(self.made + 5)}"
        self.made += 1
        metadata = self.random.choice(
            (None, {"tenant_id": "t1"}, {"tenant_id": "t2", "org": {"team": "x"}})
        )
        options = self.random.choice(SCHEDULES)
        definition, size = define(**options, metadata=metadata, max_attempts=2, name=name)
        self.step(c.Schedule(name, definition, self.now_us, size))

    def command(self) -> c.Command | None:
        """Something that happens."""
        state, action = self.machine.state, self.random.choice(ACTIONS)
        name = self.random.choice(list(state.timers) or ["none"])
        under_way = [run for run in state.runs.values() if run.is_under_way]
        if action in ("succeed", "fail") and under_way:
            run = self.random.choice(under_way)
            outcome = c.Outcome.SUCCEEDED if action == "succeed" else c.Outcome.FAILED
            return c.FinishRun(run.id, run.attempt, outcome, 1_000, "")
        made: dict[str, c.Command] = {
            "trigger": c.Trigger(name),
            "pause": c.Pause(name, self.random.choice((None, MINUTE_US * 30)), None, "", ""),
            "resume": c.Resume(name, ""),
            "remove": c.Remove(name),
        }
        self.now_us += self.random.choice((0, 1_000_000, MINUTE_US, 11 * MINUTE_US))
        return made.get(action)

    def happen(self) -> None:
        command = self.command()
        self.step(*([] if command is None else [command]))

    def status(self, timer: Timer) -> TimerStatus:
        machine = self.machine
        capacity = machine.capacity
        return timer_status(
            machine.state, timer, machine.now, "0" * 32, capacity=capacity, fn_name=None
        )

    def ask(self, options: Any) -> Slices[list[TimerStatus]]:
        query = read_timer_query(options)
        return in_order(self.machine.state, query, self.status, is_carried=True)

    def expected(self, options: Any) -> list[TimerStatus]:
        """One after the other, and from what the dicts say alone."""
        query = read_timer_query(options)
        rows = [self.status(timer) for timer in self.machine.state.confirmed_timers()]
        wanted = sorted(
            (row for row in rows if is_wanted(row, query)),
            key=lambda row: (row["next_run_at"] is None, row["next_run_at"], row["id"]),
        )
        return wanted[query.offset : query.reach]


def is_wanted(row: TimerStatus, query: TimerQuery) -> bool:
    if query.states is not None and row["state"] not in query.states:
        return False
    if query.pattern is not None and not query.pattern.search(row["id"]):
        return False
    known = row["metadata"]
    flat = {"tenant_id": known.get("tenant_id"), "org.team": known.get("org", {}).get("team")}
    return all(flat[condition.path] == condition.value for condition in query.metadata)


@pytest.fixture(params=[True, False], ids=["short runs", "long runs"])
def runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few timers, what many come to: several sorted runs, and a bound."""
    if request.param:
        monkeypatch.setattr(listing, "RUN_LENGTH", 8)
        monkeypatch.setattr(listing, "PART", 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_that_of_looking_at_each(seed: int, runs: None) -> None:
    world, seen = World(seed), set()
    for _ in range(30):
        world.happen()
        for options in world.random.sample(QUERIES, 3):
            rows = run_out(world.ask(options))
            assert rows == world.expected(options), options
            seen |= {row["state"] for row in rows}
    assert {"scheduled", "orphaned", "paused"} <= seen <= set(STATES)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_on_its_way_does_not_show(seed: int, runs: None) -> None:
    world = World(seed)
    for _ in range(30):
        world.happen()
        before = {at: world.expected(options) for at, options in enumerate(QUERIES)}
        now = world.machine.now
        command = world.command()
        world.decide(*([] if command is None else [command]))
        world.machine.now, after = now, world.machine.now  # which is part of no image
        for at in world.random.sample(range(len(QUERIES)), 4):
            assert run_out(world.ask(QUERIES[at])) == before[at], QUERIES[at]
        world.machine.now = after
        world.machine.confirm()


@pytest.mark.parametrize("seed", range(2))
def test_while_things_happen_each_row_is_right_and_all_are_in_order(
    seed: int, runs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(listing, "PART", 2)
    world = World(seed)
    for _ in range(4):
        for options in QUERIES:
            query = read_timer_query(options)
            rows = taken(world, world.ask(options))
            keys = [(row["next_run_at"] is None, row["next_run_at"], row["id"]) for row in rows]
            assert keys == sorted(keys)
            assert len({row["id"] for row in rows}) == len(rows) <= (query.limit or len(rows))
            assert all(is_wanted(row, query) for row in rows)
    world.random = random.Random(seed)
    assert run_out(world.ask({})) == world.expected({})


def taken(world: World, slices: Iterator[None]) -> list[TimerStatus]:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            rows: list[TimerStatus] = end.value
            return rows
        world.happen()


def test_names_are_those_with_the_metadata() -> None:
    world = World(3)
    query = read_timer_query({"metadata": {"tenant_id": "t1"}})
    wanted = {row["id"] for row in world.expected({"metadata": {"tenant_id": "t1"}})}
    found = run_out(names_of(world.machine.state, query))
    assert set(found) == wanted and len(found) == len(wanted) > 5


def test_one_scan_looks_at_each_timer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dicts are made of those on the page alone, and conditions asked once of each."""
    world, made, asked = World(1, count=400), [], []
    plain = TimerQuery.fits_pattern
    monkeypatch.setattr(
        TimerQuery, "fits_pattern", lambda self, *args: asked.append(args[0]) or plain(self, *args)
    )
    options = {"metadata": {"tenant_id": "t1"}, "match": "timer", "limit": 10, "offset": 5}
    query = read_timer_query(options)

    def status_of(timer: Timer) -> TimerStatus:
        made.append(timer.name)
        return world.status(timer)

    rows = run_out(in_order(world.machine.state, query, status_of, is_carried=True))
    assert [row["id"] for row in rows] == made and len(made) == 10
    assert 10 < len(asked) == len(set(asked)) < len(world.machine.state.timers)


class Loop:
    """A loop that keeps what it is to call."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.is_closed = False

    def call_soon(self, call: Any) -> None:
        self.calls.append(call)

    def call_soon_threadsafe(self, call: Any) -> None:
        if self.is_closed:
            raise RuntimeError("Event loop is closed")
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def counting(turns: int) -> Slices[int]:
    for _ in range(turns):
        yield
    return turns


def test_a_question_is_answered_in_turns_of_the_loop() -> None:
    loop: Any = Loop()
    questions = Questions(loop)
    future, failing = questions.put_long(counting(3)), questions.put(lambda: 1 // 0)
    for _ in range(3):
        assert not future.done()
        loop.turn()
    loop.turn()
    assert future.result(0) == 3 and loop.calls == []
    assert isinstance(failing.exception(0), ZeroDivisionError)


def test_whoever_still_asks_at_the_end_is_refused() -> None:
    """A loop that stops drops what was to be called next."""
    loop: Any = Loop()
    questions = Questions(loop)
    begun, asked = questions.put_long(counting(3)), questions.put(lambda: 1)
    loop.turn()
    questions.refuse(lambda: KronStopped("over"))
    late, later = questions.put(lambda: 2), questions.put_long(counting(1))
    loop.is_closed = True
    closed = questions.put(lambda: 3)
    assert asked.result(0) == 1
    for future in (begun, late, later, closed):
        assert isinstance(future.exception(0), KronStopped)
    loop.turn()  # what comes after all changes nothing


def test_threads_that_ask_while_it_stops_are_not_left_waiting(tmp_path: Path) -> None:
    scheduler, stopped, answered = kron.Scheduler(), threading.Event(), []
    for number in range(3_000):
        scheduler.schedule(f"timer-{number}", print, every="1h", metadata={"n": number % 7})

    def ask() -> None:
        while not stopped.is_set():
            try:
                answered.append(len(scheduler.list(metadata={"n": 3})))
                scheduler.history(metadata={"n": 3}, limit=1)
            except (kron.KronStopped, kron.NotStarted):
                answered.append(-1)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        scheduler.start(tmp_path / "d", fsync="never")
        scheduler.shutdown()
    stopped.set()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert {429} <= set(answered) <= {429, -1}


def test_a_page_is_full_though_those_in_front_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first candidates begin to run before their dicts are made."""
    monkeypatch.setattr(listing, "SLICE_SECONDS", 0.0)
    world = World(1, count=0)
    for number in range(300):
        definition, size = define(every=60 + number, overlap="skip", name=f"t{number}")
        world.step(c.Schedule(f"t{number}", definition, world.now_us, size))
    slices = world.ask({"state": "scheduled", "limit": 20})
    for _ in range(6):
        next(slices)
    world.now_us += 100 * 1_000_000  # forty of them are running now
    world.step()
    rows = run_out(slices)
    assert [row["id"] for row in rows] == [f"t{number}" for number in range(41, 61)]


def test_a_page_of_timers_that_share_a_moment_makes_few_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "RUN_LENGTH", 16)
    world, added = World(1, count=0), []
    definition, size = define(cron="0 9 1 1 *")
    for number in range(400):
        world.step(c.Schedule(f"t{number:03}", definition, world.now_us, size))
    plain = listing.Smallest.add
    monkeypatch.setattr(
        listing.Smallest, "add", lambda self, some: added.extend(some) or plain(self, some)
    )
    rows = run_out(world.ask({"limit": 10, "offset": 2}))
    assert [row["id"] for row in rows] == [f"t{number:03}" for number in range(2, 12)]
    assert len(added) < 120


def test_what_was_asked_of_a_loop_that_was_closed_by_hand_is_refused(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    scheduler = kron.Scheduler()
    loop.run_until_complete(scheduler.astart(tmp_path / "d"))
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(scheduler.list())
        except kron.KronStopped as exc:
            found.append(exc)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    eventually(lambda: scheduler._control.host.engine.reading._questions._open)
    loop.close()
    scheduler.shutdown()
    thread.join(20)
    assert isinstance(found[0], kron.KronStopped)


def test_what_has_become_another_tenants_meanwhile_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "SLICE_SECONDS", 0.0)
    world = World(1, count=0)

    def schedule(number: int, tenant: str) -> c.Schedule:
        definition, size = define(every=3600 + number, metadata={"tenant_id": tenant})
        return c.Schedule(f"t{number}", definition, world.now_us, size)

    for number in range(200):
        world.step(schedule(number, "t1"))
    slices = world.ask({"metadata": {"tenant_id": "t1"}, "limit": 20})
    for _ in range(3):
        next(slices)
    world.step(schedule(0, "t2"))
    world.decide(schedule(1, "t2"))  # on its way
    rows = run_out(slices)
    assert {row["metadata"]["tenant_id"] for row in rows} == {"t1"}
    assert [row["id"] for row in rows] == [f"t{number}" for number in range(1, 21)]
