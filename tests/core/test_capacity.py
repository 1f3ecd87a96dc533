"""Who may run now: the line, the keys, and an undo that puts everybody back."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from kron.core import commands as c
from kron.core.definition import define
from kron.core.events import RunDue, RunStarted
from kron.core.machine import Machine
from kron.core.model import Now
from kron.testing.player import BASE_US, Player

SECOND = 1_000_000


def schedule(name: str, **options: object) -> c.Schedule:
    definition, size_bytes = define(name=name, **options)  # type: ignore[arg-type]
    return c.Schedule(name, definition, BASE_US, size_bytes)


def machine_of(limit: int | None, *commands: c.Command) -> Machine:
    machine = Machine()
    machine.step(deque([c.Start("boot", 1, "test", None, limit)]), Now(BASE_US, 0))
    machine.confirm()
    machine.step(deque(commands), Now(BASE_US, 0))
    machine.confirm()
    return machine


def at(machine: Machine, seconds: float, *commands: c.Command) -> list[str]:
    """The timers whose runs start, in the order in which they do."""
    us = round(seconds * SECOND)
    step = machine.step(deque(commands), Now(BASE_US + us, us))
    machine.confirm()
    return [each.timer for each in step.events if isinstance(each, RunStarted)]


def run_of(machine: Machine, name: str) -> int:
    return machine.state.timers[name].open[0]


def test_nobody_is_counted_until_there_is_a_limit_or_a_key() -> None:
    machine = machine_of(None, schedule("a", after=1))
    assert not machine.capacity.is_used
    assert at(machine, 1) == ["a"]
    assert machine.capacity.used == 0
    at(machine, 2, schedule("b", after=9, key="db"))
    assert machine.capacity.is_used
    assert machine.capacity.used == 1  # a is under way


def test_what_a_run_waits_for_is_told() -> None:
    machine = machine_of(
        2,
        schedule("a", after=1, key="db"),
        schedule("b", after=2, key="db"),
        schedule("c", after=3, weight=2),
        schedule("d", after=4),
    )
    for second in (1, 2, 3, 4):
        at(machine, second)
    obstacle = machine.capacity.obstacle
    assert [obstacle(run_of(machine, name)) for name in "abcd"] == [
        None, "key", "capacity", "capacity",
    ]  # fmt: skip
    assert machine.capacity.waiting() == {"capacity": 2, "key": 1, "threads": 0}


def test_a_thread_that_is_missing_is_told() -> None:
    command = schedule("a", after=1, timeout=60)._replace(is_threaded=True)
    machine = machine_of(None, command)
    machine.capacity.free_threads = 0
    assert at(machine, 1) == []
    assert machine.capacity.waiting()["threads"] == 1
    machine.capacity.free_threads = 1
    assert at(machine, 2) == ["a"]
    assert machine.capacity.free_threads == 0


def test_undo_gives_threads_back() -> None:
    commands = [schedule(name, after=1, timeout=60)._replace(is_threaded=True) for name in "abc"]
    machine = machine_of(None, *commands)
    machine.capacity.free_threads = 2
    for _ in range(3):
        step = machine.step(deque(), Now(BASE_US + SECOND, SECOND))
        assert sum(isinstance(each, RunStarted) for each in step.events) == 2
        assert machine.capacity.free_threads == 0
        machine.undo()
        assert machine.capacity.free_threads == 2
        assert machine.capacity.waiting()["threads"] == 0


def test_undo_gives_back_what_was_taken_whatever_the_timer_weighs_now() -> None:
    machine = machine_of(4, schedule("a", after=1, weight=3), schedule("b", after=2, weight=2))
    at(machine, 1)
    at(machine, 1.5, schedule("a", after=1, weight=1))
    assert machine.capacity.used == 3
    finish = c.FinishRun(run_of(machine, "a"), 1, c.Outcome.SUCCEEDED, 1)
    step = machine.step(deque([finish]), Now(BASE_US + 2 * SECOND, 2 * SECOND))
    assert [type(each) for each in step.events].count(RunStarted) == 1
    machine.undo()
    assert machine.capacity.used == 3
    assert at(machine, 2) == []
    assert at(machine, 2, finish) == ["b"]


def test_a_thread_that_goes_on_keeps_the_weight_it_took() -> None:
    machine = machine_of(4, schedule("a", after=1, weight=3, timeout=1, max_attempts=1))
    at(machine, 1)
    at(machine, 1.5, schedule("a", after=1, weight=1, timeout=1, max_attempts=1))
    run = run_of(machine, "a")
    at(machine, 2)
    at(machine, 2.5, c.Linger(run, 1))
    assert machine.state.runs == {} and machine.capacity.used == 3
    at(machine, 3, c.FinishRun(run, 1, c.Outcome.FAILED, 1))
    assert machine.capacity.used == 0


def test_the_same_key_under_two_limits() -> None:
    machine = machine_of(
        None,
        schedule("a", after=1, key="db", key_limit=2),
        schedule("b", after=1, key="db", key_limit=1),
        schedule("c", after=1, key="db", key_limit=2),
    )
    assert at(machine, 1) == ["a", "c"]
    ends = [c.FinishRun(run_of(machine, name), 1, c.Outcome.SUCCEEDED, 1) for name in "ac"]
    assert at(machine, 2, ends[0]) == []
    assert at(machine, 3, ends[1]) == ["b"]


def test_a_changed_key_counts_for_the_run_that_is_under_way() -> None:
    machine = machine_of(None, schedule("a", after=1, key="db"), schedule("b", after=2, key="net"))
    at(machine, 1)
    at(machine, 1.5, schedule("a", after=1, key="net"))
    assert at(machine, 2) == []
    finish = c.FinishRun(run_of(machine, "a"), 1, c.Outcome.SUCCEEDED, 1)
    assert at(machine, 3, finish) == ["b"]


@pytest.mark.parametrize("seed", range(10))
def test_the_line_is_in_order_of_priority_and_time(seed: int) -> None:
    """With room for one, all start in the order that sorting gives."""
    random, player = Random(seed), Player()
    player.max_concurrency = 1
    player.start()
    player.turn(player.schedule("first", after=0))
    due: dict[str, tuple[int, int, int]] = {}
    for name in "abcdefghij":
        priority, second = random.randrange(11), random.randrange(1, 6)
        player.turn(player.schedule(name, after=second, priority=priority))
    player.advance(player.us + 10 * SECOND)
    for event, run in zip(player.dues[1:], player.runs[1:], strict=True):
        timer = player.machine.state.timers[event.timer]
        due[event.timer] = (-timer.definition.terms.priority, event.at_us, run)
    started: list[str] = []
    while runs := [run for run in player.machine.state.runs.values() if run.is_under_way]:
        (run,) = runs
        started.append(run.timer.name)
        player.turn(c.FinishRun(run.id, run.attempt, c.Outcome.SUCCEEDED, 1))
    assert started == ["first", *sorted(due, key=lambda name: due[name])]


def test_work_does_not_grow_with_who_waits_for_a_key() -> None:
    """Thousands that wait for one key are parked: a run without it starts at once."""
    waiting = [schedule(f"t{each}", after=1, key="db") for each in range(3000)]
    machine = machine_of(10, *waiting)
    inbox: deque[c.Command] = deque(waiting)
    while machine.step(inbox, Now(BASE_US, 0)).is_full:
        machine.confirm()
    machine.confirm()
    total = 0
    while True:
        step = machine.step(deque(), Now(BASE_US + SECOND, SECOND))
        machine.confirm()
        total += sum(isinstance(each, RunDue) for each in step.events)
        if not step.is_full:
            break
    assert total == 3000
    assert machine.capacity.waiting()["key"] == 2999
    at(machine, 2, schedule("free", after=0)._replace(called_us=BASE_US + 2 * SECOND))
    assert machine.state.runs[run_of(machine, "free")].is_under_way
