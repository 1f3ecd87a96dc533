"""The auditor is silent about every scenario, and finds the moment that a forger takes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from kron.core.codec import decode
from kron.core.events import POSITIONS, Event, RunDue, RunMissed, RunSkippedOverlap, Unknown
from kron.core.ledger import NAMED, LedgerAudit
from kron.core.machine import Machine
from kron.core.state import State
from kron.testing.player import Player
from kron.testing.transcript import play
from tests.core.test_simulation import MOVES, STEPS, World

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))
ACCOUNTS = (RunDue, RunSkippedOverlap, RunMissed)
MINUTES = """
at 0     schedule tick cron="* * * * *" overlap={overlap} -> ...
at 60    -> ...
at 61    finish 1 -> ...
at 120   -> ...
at 125   finish 2 -> ...
at 240   blocked -> ...
at 245   finish 3 -> ...
at 300   -> ...
at 305   finish 4 -> ...
at 360   -> ...
"""


def records_of(player: Player) -> list[list[Event]]:
    return [decode(payload, index).events for index, payload in enumerate(player.log, 1)]


def audited(records: list[list[Event]], state: State | None = None) -> list[str]:
    audit = LedgerAudit(state or State())
    base = 0 if state is None else state.index
    for index, events in enumerate(records, base + 1):
        audit.follow(index, events)
    return audit.problems


def without(records: list[list[Event]], at: tuple[int, int]) -> list[list[Event]]:
    """The records with one event, and all of the run that it is, made into nothing."""
    run = at[0] * POSITIONS + at[1]

    def is_gone(index: int, place: int, event: Event) -> bool:
        return (index, place) == at or getattr(event, "run", None) == run

    return [
        [Unknown("X", []) if is_gone(index, place, each) else each for place, each in enumerate(es)]
        for index, es in enumerate(records, 1)
    ]


def accounts(records: list[list[Event]]) -> list[tuple[int, int]]:
    """Where the events about moments of the schedule are."""
    return [
        (index, place)
        for index, events in enumerate(records, 1)
        for place, event in enumerate(events)
        if isinstance(event, ACCOUNTS) and getattr(event, "cause", "schedule") == "schedule"
    ]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_healthy_log_has_no_problem(path: Path) -> None:
    assert audited(records_of(play(path.read_text("utf-8")))) == []


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_may_begin_at_any_record(path: Path) -> None:
    """As from a snapshot: with the state after some record."""
    records = records_of(play(path.read_text("utf-8")))
    machine = Machine()
    for index, events in enumerate(records, 1):
        machine.replay(index, events)
        assert audited(records[index:], machine.state) == []


@pytest.mark.parametrize("overlap", ["skip", "delay", "allow"])
def test_an_event_that_is_taken_out_is_missed(overlap: str) -> None:
    records = records_of(play(MINUTES.format(overlap=overlap)))
    places = accounts(records)
    assert len(places) >= 5
    for at in places[:-1]:  # nothing follows the last one
        (problem,) = audited(without(records, at))
        assert "no event says what became of it" in problem


def test_the_chain_of_a_fixed_delay_has_no_gap_either() -> None:
    lines = ["at 0 schedule tick every=60s -> ..."]
    for number in range(1, 5):
        lines += [f"at {60 * number} -> ...", f"at {60 * number} finish {number} -> ..."]
    records = records_of(play("\n".join(lines)))
    for at in accounts(records)[:-1]:
        assert len(audited(without(records, at))) == 1


def test_an_event_that_is_there_twice_is_found() -> None:
    records = records_of(play(MINUTES.format(overlap="skip")))
    for index, place in accounts(records)[1:]:
        event = records[index - 1][place]
        if isinstance(event, RunMissed):
            event = event._replace(next_us=-1)
        forged = [*records]
        forged[index - 1] = [*records[index - 1][: place + 1], event]
        assert any("a second event is about it" in each for each in audited(forged))


def test_a_moment_that_was_not_due_is_found() -> None:
    records = records_of(play("at 0 schedule tick after=10s -> ...\nat 10 -> ...\nat 20"))
    again = [each for each in records[-1] if isinstance(each, RunDue)]
    (problem,) = audited([*records, [*again]])
    assert "an event is about it, though it was not due" in problem


def test_nothing_may_be_left_behind_by_a_removal_or_another_schedule() -> None:
    for last in ("remove tick", "schedule tick every=7s overlap=skip"):
        text = "at 0 schedule tick every=10s overlap=skip -> ...\nat 25 blocked ; "
        records = records_of(play(f"{text}{last} -> ..."))
        assert audited(records) == []
        kept = [[each for each in es if not isinstance(each, RunMissed)] for es in records]
        (problem,) = audited(kept)
        assert "tick at 2026-01-01T00:00:10+00:00: no event says what became of it" in problem


def test_a_gap_names_record_timer_moment_and_how_many() -> None:
    records = records_of(play(MINUTES.format(overlap="skip")))
    (missed,) = [at for at in accounts(records) if isinstance(records[at[0] - 1][at[1]], RunMissed)]
    (problem,) = audited(without(records, missed))
    assert problem == (
        f"record {missed[0]}: tick at 2026-01-01T00:03:00+00:00: no event says what became of it"
    )


def test_many_problems_are_told_in_part() -> None:
    records = records_of(play("at 0 schedule tick every=10s overlap=skip -> ...\nat 10 -> ..."))
    (due,) = [each for each in records[-1] if isinstance(each, RunDue)]
    problems = audited([*records, *([due],) * 40])
    assert len(problems) == NAMED + 1
    assert problems[-1].endswith("more is wrong, which is not told here")


@pytest.mark.parametrize("seed", range(15))
def test_random_histories_have_no_problem(seed: int) -> None:
    world, clocks = World(seed), World(seed)
    for _ in range(MOVES):
        world.move()
    clocks.set_up_clocks()
    for _ in range(STEPS):
        clocks.step_clock()
    assert audited(records_of(world.player)) == audited(records_of(clocks.player)) == []
