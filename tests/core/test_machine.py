"""The Machine's contract: the limits of a record, and work that does not grow with the state."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from kron.core import commands as c
from kron.core.codec import encode
from kron.core.definition import define
from kron.core.events import POSITIONS, RunDue, RunStarted, TimerCreated
from kron.core.machine import Machine, Step
from kron.core.model import Now
from kron.core.state import COMMANDS_REMEMBERED, RING_ROWS
from kron.testing.player import BASE_US

SECOND = 1_000_000
LARGEST_PAYLOAD = 1 << 20
"""What a log takes in one record (kron/storage/lines.py)."""


def now(seconds: float) -> Now:
    return Now(BASE_US + round(seconds * SECOND), round(seconds * SECOND))


def schedule(name: str, cmd_id: str = "", **options: Any) -> c.Schedule:
    definition, size_bytes = define(**options)
    return c.Schedule(name, definition, BASE_US, size_bytes, cmd_id)


def started(*commands: c.Command) -> Machine:
    machine = Machine()
    machine.step(deque([c.Start("boot", 1, "test")]), now(0))
    machine.confirm()
    steps(machine, deque(commands), 0)
    return machine


def steps(machine: Machine, inbox: deque[c.Command], seconds: float) -> list[Step]:
    done = []
    while True:
        done.append(machine.step(inbox, now(seconds)))
        machine.confirm()
        if not done[-1].is_full:
            return done


# -- the limits of a record ---------------------------------------------------------------------


def test_a_record_holds_at_most_its_limit_of_events() -> None:
    machine = started(*(schedule(f"t{i}", every=10) for i in range(5_000)))
    done = steps(machine, deque(), 10)
    assert sum(isinstance(e, RunStarted) for step in done for e in step.events) == 5_000
    assert all(len(step.events) <= POSITIONS for step in done)
    assert all(len(encode(step.events, 0)) < LARGEST_PAYLOAD for step in done)
    assert [step.record for step in done] == [done[0].record + i for i in range(4)]


def test_a_record_holds_about_512_kb() -> None:
    big = [schedule(f"t{i}", every=10, args=["x" * 200_000]) for i in range(9)]
    inbox: deque[c.Command] = deque(big)
    machine = started()
    first = machine.step(inbox, now(1))
    machine.confirm()
    assert len(first.events) == 3 and len(inbox) == 6 and first.is_full
    assert len(encode(first.events, 0)) < LARGEST_PAYLOAD
    assert [len(step.events) for step in steps(machine, inbox, 1) if step.events] == [3, 3]


def test_the_worst_errors_fit_in_a_record() -> None:
    machine = started(*(schedule(f"t{i}", every=10, max_attempts=1) for i in range(100)))
    steps(machine, deque(), 10)
    error = "\x01" * 8192  # six bytes each, as JSON
    finishes = [
        c.FinishRun(run.id, 1, c.Outcome.FAILED, 5, error) for run in machine.state.runs.values()
    ]
    done = steps(machine, deque(finishes), 11)
    assert max(len(encode(step.events, 0)) for step in done) <= LARGEST_PAYLOAD
    assert not machine.state.runs


def test_a_flood_of_commands_does_not_hold_up_what_is_due() -> None:
    machine = started(schedule("due", every=10))
    flood = [schedule(f"t{i}", every=3600) for i in range(20_000)]
    inbox: deque[c.Command] = deque(flood)
    first = machine.step(inbox, now(10))
    machine.confirm()
    kinds = [type(event) for event in first.events]
    assert kinds.count(TimerCreated) <= POSITIONS // 2
    assert kinds.count(RunDue) == 1 and inbox


def test_what_found_no_room_is_answered_later_and_once() -> None:
    commands = [schedule(f"t{i}", every=10) for i in range(5_000)]
    done = steps(started(), deque(commands), 1)
    answered = [answer.command for step in done for answer in step.answers]
    assert answered == commands and len(done) > 1


def test_many_runs_left_by_a_crash_are_interrupted_over_several_records() -> None:
    names = [f"t{i}" for i in range(6_000)]
    registrations = [schedule(name, every=10) for name in names]
    machine = started(*registrations)
    log = [step.events for step in steps(machine, deque(), 10)]
    assert sum(map(len, log)) == 12_000
    machine = _reborn(machine)
    done = steps(machine, deque([c.Start("boot2", 2, "test"), *registrations]), 20)
    assert len(done) > 3 and all(len(step.events) <= POSITIONS for step in done)
    attempts = [e for step in done for e in step.events if isinstance(e, RunStarted)]
    assert len(attempts) == 6_000 and {each.attempt for each in attempts} == {2}
    starts = [a for step in done for a in step.answers if isinstance(a.command, c.Start)]
    assert [each.value for each in starts] == [True]


def _reborn(machine: Machine) -> Machine:
    """A machine of the next process; that replay gives its state is proved elsewhere."""
    again = Machine(machine.state)
    for timer in again.state.timers.values():
        timer.bound_us = timer.deadline_us = None
    return again


# -- bounded memory ----------------------------------------------------------------------------


def test_history_and_command_ids_are_bounded() -> None:
    machine = started(schedule("t", every=3600, overlap="allow"))
    for turn in range(30):
        triggers = [c.Trigger("t", f"{turn}/{i}") for i in range(500)]
        steps(machine, deque(triggers), turn)
        runs = list(machine.state.runs.values())
        finishes = [c.FinishRun(run.id, 1, c.Outcome.SUCCEEDED, 1) for run in runs]
        steps(machine, deque(finishes), turn)
    assert len(machine.state.commands) == COMMANDS_REMEMBERED
    assert RING_ROWS <= len(machine.state.ring) <= RING_ROWS + 1024 + POSITIONS


# -- work does not grow with what is there --------------------------------------------------------


def work(machine: Machine, command: c.Command) -> tuple[int, int, int]:
    """Things touched, things to undo and heap entries pushed by one command."""
    before = len(machine.agenda.deadlines._heap)
    machine.step(deque([command]), now(1))
    state = machine.state
    undone = len(state._undo) + len(state._entered) + len(state._gone)
    figures = len(state._images), undone, len(machine.agenda.deadlines._heap) - before
    machine.undo()
    return figures


@pytest.fixture(scope="module")
def few_and_many() -> list[Machine]:
    one, size_bytes = define(every="1h")
    return [
        started(*(c.Schedule(f"t{i}", one, BASE_US, size_bytes) for i in range(count)))
        for count in (100, 100_000)
    ]


@pytest.mark.parametrize(
    ("command", "most"),
    [
        (schedule("t7", every="1h"), (0, 0, 0)),
        (schedule("t7", every="1h", description="x"), (1, 0, 0)),
        (schedule("t7", every="2h", cmd_id="c"), (1, 1, 1)),
        (schedule("new", every="2h"), (0, 2, 1)),
        (c.Pause("t7", cmd_id="c"), (1, 1, 0)),
        (c.Trigger("t7", "c"), (2, 2, 1)),
        (c.Remove("t7", "c"), (1, 2, 0)),
    ],
    ids=["again", "update", "move", "new", "pause", "trigger", "remove"],
)
def test_one_timer_among_many_costs_the_same(
    few_and_many: list[Machine], command: c.Command, most: tuple[int, int, int]
) -> None:
    few, many = (work(machine, command) for machine in few_and_many)
    assert few == many
    assert all(figure <= limit for figure, limit in zip(many, most, strict=True)), many


@pytest.mark.parametrize("overlap", ["skip", "delay", "allow"])
@pytest.mark.parametrize("options", [{"every": 1}, {"cron": "* * * * * *"}], ids=["every", "cron"])
def test_years_of_downtime_are_a_handful_of_events(overlap: str, options: dict[str, Any]) -> None:
    machine = started(schedule("t", overlap=overlap, **options))
    step = machine.step(deque(), now(10 * 365 * 86_400))
    assert len(step.events) <= 3


def test_nothing_to_do_is_no_event() -> None:
    machine = started(schedule("t", every=10))
    assert machine.next_deadline() == 10 * SECOND
    step = machine.step(deque(), now(5))
    machine.confirm()
    assert step == Step(machine.state.index + 1, [], [], False)
