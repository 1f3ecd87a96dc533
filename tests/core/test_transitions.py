"""The life of a run is one table: scenarios take every row of it, and nothing else is possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from kron.core.apply import APPLY
from kron.core.events import TAGS, RunDue, RunStarted, RunSucceeded, TimerCreated
from kron.core.model import Definition, Kind, RunState
from kron.core.state import State
from kron.core.transitions import FINAL, TRANSITIONS, diagram

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def apply(state, id_, event):
    APPLY[type(event)](state, id_, event)


def test_every_row_is_taken_by_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    from kron.core import state
    from kron.testing.transcript import play

    taken = set()

    class Watched(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: object) -> object:
            taken.add(key)
            return super().__getitem__(key)

    monkeypatch.setattr(state, "TRANSITIONS", Watched(TRANSITIONS))
    for path in SCENARIOS.glob("*.txt"):
        play(path.read_text())
    assert taken == set(TRANSITIONS)


def test_the_diagram_has_every_row_and_every_end() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> due: RUN_DUE"]
    for (old, event), new in TRANSITIONS.items():
        assert f"    {old} --> {new}: {TAGS[event]}" in lines
    assert [line for line in lines if line.endswith("[*]")] == [
        "    succeeded --> [*]",
        "    dead --> [*]",
        "    cancelled --> [*]",
        "    missed --> [*]",
    ]
    assert len(lines) == 2 + len(TRANSITIONS) + len(FINAL)


def test_nothing_leaves_a_final_state_and_every_state_is_reached() -> None:
    assert not {old for old, _ in TRANSITIONS} & FINAL
    assert {*TRANSITIONS.values(), RunState.DUE} == set(RunState)


def test_an_event_that_cannot_follow_is_refused_and_changes_nothing() -> None:
    state = State()
    apply(state, 1, TimerCreated("a", Definition(Kind.EVERY, 10), 0, 0, 10))
    apply(state, 2, RunDue("a", 10, 10, None))
    with pytest.raises(KeyError):
        apply(state, 3, RunSucceeded("a", 2, 1, 20, 10, 10, 10))
    assert state.runs[2].state is RunState.DUE
    apply(state, 4, RunStarted("a", 2, 1, 10))
    with pytest.raises(KeyError):
        apply(state, 5, RunStarted("a", 2, 1, 10))
    with pytest.raises(KeyError):
        apply(state, 6, RunStarted("a", 99, 1, 10))
