"""A program that comes back with another schedule: what is overdue, in the record of its start."""

from __future__ import annotations

import json
from typing import Any

from kron.core.events import Event, RunDue, RunStarted, TimerUpdated
from kron.core.model import Overlap
from kron.testing.player import Player
from kron.testing.transcript import play
from tests.ledger import check

HOUR = 3_600_000_000


def back_with(told: dict[str, Any], hours: float, *, limit: int = 4096, **before: Any) -> Player:
    """A process is killed early, and the next one knows its timer otherwise."""
    options = " ".join(f"{name}={value}" for name, value in before.items())
    player = play(f'at 0 schedule pay cron="0 * * * *" {options} -> ...\nat 10 crash')
    player.us = round(hours * HOUR)
    player.schedule("pay", **told)
    player.limit, player.has_ties = limit, True
    player.start()
    records = [json.loads(payload) for payload in player.log]
    assert check(records, end_us=player.end_us) == []
    return player


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def test_the_run_is_due_by_what_the_timer_was_and_starts_as_what_it_is() -> None:
    player = back_with({"cron": "30 5 * * *", "args": [2], "timeout": 5}, 3.5)
    record = [json.loads(player.log[-1])[1:]]
    tags = [event[0] for event in record[0]]
    assert tags == ["SCHEDULER_STARTED", "RUN_MISSED", "RUN_DUE", "TIMER_UPDATED", "RUN_STARTED"]
    (run,) = player.machine.state.runs.values()
    assert run.timer.definition.terms.args == (2,)
    assert (run.started_us or 0) == player.wall_us
    assert player.machine.agenda.next_timeout() is not None


def test_a_hundred_runs_that_are_kept_start_in_as_many_records_as_it_takes() -> None:
    told = {"cron": "30 5 * * *", "overlap": "allow"}
    player = back_with(told, 200.5, limit=64, missed="all", overlap="skip")
    runs = player.machine.state.runs.values()
    assert len(runs) == 100 and all(run.is_under_way for run in runs)
    assert player.machine.state.timers["pay"].definition.terms.overlap is Overlap.ALLOW
    assert len(player.log) > 3


def test_none_of_them_starts_before_the_timer_has_changed() -> None:
    player = back_with({"cron": "30 5 * * *", "overlap": "allow"}, 9.5, missed="all")
    told = [event for payload in player.log[2:] for event in json.loads(payload)[1:]]
    tags = [event[0] for event in told]
    assert tags.count("RUN_DUE") == tags.count("RUN_STARTED") == 9
    changed = tags.index("TIMER_UPDATED")
    assert "RUN_STARTED" not in tags[:changed] and "RUN_DUE" not in tags[changed:]


def test_a_refused_change_keeps_nothing() -> None:
    player = play('at 0 schedule pay cron="0 * * * *" overlap=skip -> ...')
    player.us = HOUR
    change = player.schedule("pay", cron="30 * * * *", overlap="skip")
    player.refuse(change)
    assert not player.machine.state.runs
    assert kinds(player.turn(change)) == [RunDue, TimerUpdated, RunStarted]
