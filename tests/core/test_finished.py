"""One-shots that ended long ago are let go, and do not fire again for that; what stays of a timer.

The usual cases are transcripts: tests/scenarios/finished_*.txt.
"""

from __future__ import annotations

from typing import Any

import pytest

from kron.core import agenda, state
from kron.core import commands as c
from kron.core.agenda import KEEP_FINISHED_US
from kron.core.codec import decode, encode
from kron.core.cut import Cut, restore
from kron.core.events import Event, TimerRemoved
from kron.core.machine import Machine
from kron.core.things import OUTCOMES
from kron.testing.player import Player, fold_image
from tests.core.test_cut import Small, schedule, without_ring

SECOND = 1_000_000
HOUR = 3600


@pytest.fixture
def player() -> Player:
    """Every step of it is undone, taken again and replayed."""
    player = Player()
    player.start()
    return player


def end_all(player: Player, outcome: c.Outcome = c.Outcome.SUCCEEDED) -> list[Event]:
    runs = list(player.machine.state.runs.values())
    return player.turn(*(c.FinishRun(run.id, run.attempt, outcome, 1000) for run in runs))


def shots(player: Player, count: int, every_s: float = 1.0) -> None:
    """`count` one-shots, the first of which ends at second 0, the others one after the other."""
    for number in range(count):
        player.turn(player.schedule(f"shot{number}", after=0))
        end_all(player)
        player.advance(player.us + round(every_s * SECOND))


def removed(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.timer, e.reason) for e in events if isinstance(e, TimerRemoved)]


def keep(player: Player, seconds: float) -> None:
    player.machine.agenda.keep_finished_us = round(seconds * SECOND)


def test_one_shots_are_kept_for_as_long_as_was_asked_for(player: Player) -> None:
    keep(player, HOUR)
    shots(player, 3, every_s=60)
    assert removed(player.advance(HOUR * SECOND)) == []
    assert removed(player.turn()) == [("shot0", "finished")]
    assert removed(player.advance(HOUR * SECOND + 120 * SECOND)) == [("shot1", "finished")]
    assert removed(player.turn()) == [("shot2", "finished")]
    assert player.machine.state.timers == {}


@pytest.mark.parametrize("then_remove", [False, True])
def test_a_one_shot_that_has_become_another_kind_is_not_let_go(
    player: Player, then_remove: bool
) -> None:
    keep(player, HOUR)
    shots(player, 1)
    player.turn(player.schedule("shot0", cron="0 0 1 1 *"))
    if then_remove:
        player.turn(c.Remove("shot0"))
    assert removed(player.advance(player.us + 2 * HOUR * SECOND)) == []
    assert set(player.machine.state.timers) == (set() if then_remove else {"shot0"})


def test_a_one_shot_that_never_was_is_not_let_go(player: Player) -> None:
    keep(player, HOUR)
    player.refuse(player.schedule("never", at="2020-01-01T00:00:00Z"))
    assert removed(player.advance(player.us + 2 * HOUR * SECOND)) == []


def test_a_one_shot_triggered_again_and_again_takes_no_more_room(player: Player) -> None:
    shots(player, 2)
    for _ in range(200):
        player.turn(c.Trigger("shot1"))
        end_all(player)
    assert len(player.machine.agenda._ends) < 100


def test_they_are_kept_for_thirty_days_if_nothing_is_said(player: Player) -> None:
    assert player.machine.agenda.keep_finished_us == KEEP_FINISHED_US == 30 * 24 * HOUR * SECOND


def test_nothing_is_let_go_within_a_minute_of_its_end(player: Player) -> None:
    keep(player, 0)
    shots(player, 1)
    assert removed(player.advance(60 * SECOND)) == []
    assert removed(player.turn()) == [("shot0", "finished")]


def test_a_late_at_that_was_let_go_at_once_would_fire_again_within_the_minute(
    player: Player,
) -> None:
    """It does not: it is still there then."""
    keep(player, 0)
    at = "2026-01-01T00:00:10+00:00"
    player.advance(30 * SECOND)
    player.turn(player.schedule("late", at=at))
    end_all(player)
    for second in (31, 60, 69, 89):
        player.advance(second * SECOND)
        events = player.turn(player.schedule("late", at=at))
        assert events == []
    player.advance(91 * SECOND)
    assert "late" not in player.machine.state.timers
    events = player.turn(player.schedule("late", at=at))
    assert [type(event).__name__ for event in events] == ["TimerCreated", "RunMissed"]


def test_the_oldest_of_very_many_go_before_their_time(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "FINISHED_KEPT", 5)
    shots(player, 8, every_s=20)
    # The first three are over 60 s old, and are more than five's worth.
    gone = {f"shot{n}" for n in range(8)} - player.machine.state.timers.keys()
    assert gone == {"shot0", "shot1", "shot2"}
    events = player.advance(HOUR * SECOND)
    assert removed(events) == [] and len(player.machine.state.timers) == 5


def test_many_that_ended_just_now_wait_for_their_minute(
    player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "FINISHED_KEPT", 2)
    player.turn(*(player.schedule(f"shot{n}", after=0) for n in range(6)))
    end_all(player)
    assert removed(player.advance(60 * SECOND)) == []
    assert len(removed(player.turn())) == 4
    assert len(player.machine.state.timers) == 2


def test_very_many_go_over_several_records(player: Player) -> None:
    keep(player, HOUR)
    player.limit = 64
    player.turn(*(player.schedule(f"shot{n}", after=0) for n in range(200)))
    end_all(player)
    before = player.machine.state.index
    player.advance(HOUR * SECOND)
    assert len(removed(player.turn())) == 200
    assert player.machine.state.index > before + 3


def test_the_next_deadline_says_when_one_is_to_go(player: Player) -> None:
    keep(player, HOUR)
    assert player.due() is None
    player.turn(player.schedule("shot", after=10))
    assert player.due() == 10 * SECOND
    player.advance(11 * SECOND)
    assert player.due() is None
    end_all(player)
    assert player.due() == 11 * SECOND + HOUR * SECOND
    player.turn(player.schedule("beat", every="50m"))
    assert player.due() == 11 * SECOND + 50 * 60 * SECOND
    player.turn(c.Remove("beat"), c.Trigger("shot"))
    assert player.due() is None
    player.advance(21 * SECOND)
    end_all(player)
    assert player.due() == 21 * SECOND + HOUR * SECOND
    player.turn(player.schedule("shot", after=20))
    assert player.due() == 41 * SECOND


def test_a_draining_scheduler_lets_nothing_go(player: Player) -> None:
    keep(player, HOUR)
    shots(player, 1)
    player.turn(c.Drain())
    assert player.due() is None
    assert removed(player.advance(2 * HOUR * SECOND)) == removed(player.turn()) == []


def test_the_order_of_the_ends_holds_when_a_let_go_is_taken_back(player: Player) -> None:
    """One that a store refused to let go must not wait behind one that ended much later."""
    keep(player, HOUR)
    shots(player, 1)
    player.advance(50 * 60 * SECOND)
    player.turn(player.schedule("later", after=0))
    end_all(player)
    player.advance(HOUR * SECOND)
    player.refuse()
    assert player.due() == HOUR * SECOND
    assert removed(player.turn()) == [("shot0", "finished")]


def test_a_removal_that_was_asked_for_is_not_a_let_go(player: Player) -> None:
    """It leaves no tombstone: the name may be used again at once."""
    shots(player, 1)
    assert removed(player.turn(c.Remove("shot0"))) == [("shot0", "")]
    assert not player.machine.state.tombstones
    events = player.turn(player.schedule("shot0", after=0))
    assert [type(event).__name__ for event in events] == ["TimerCreated", "RunDue", "RunStarted"]


def let_go(keep_s: float = HOUR) -> Small:
    """A machine that has let `shot` go, an `after="1s"`."""
    small = Small(schedule("shot", after="1s"))
    small.machine.agenda.keep_finished_us = round(keep_s * SECOND)
    small.do(at=1)
    small.finish_all()
    assert removed(small.do(at=2 + keep_s)) == [("shot", "finished")]
    return small


def again(machine: Machine, **options: Any) -> tuple[list[str], object]:
    """What scheduling `shot` says, in the next process."""
    small = Small.__new__(Small)
    small.machine, small.now = machine, 10_000.0
    small.do(c.Start("boot2", 2, "test"))
    events = small.do(schedule("shot", called=10_000, **options))
    return [type(event).__name__ for event in events], small


@pytest.mark.parametrize("way", ["replay", "snapshot"])
def test_what_was_let_go_does_not_fire_again_in_a_later_process(way: str) -> None:
    log: list[list[Event]] = []
    small = Small.__new__(Small)
    small.machine, small.now = _logged(log), 0
    small.do(c.Start("boot", 1, "test"), schedule("shot", after="1s"))
    small.machine.agenda.keep_finished_us = HOUR * SECOND
    small.do(at=1)
    small.finish_all()
    small.do(at=2 + HOUR)
    assert len(small.state.tombstones) == 1

    def machine() -> Machine:
        if way == "snapshot":
            return Machine(restore(Cut(small.state).parts()))
        replayed = Machine()
        for index, events in enumerate(log, 1):
            replayed.replay(index, decode(encode(events, 0), index).events)
        assert without_ring(replayed.state)["tombstones"] == list(small.state.tombstones)
        return replayed

    assert again(machine(), after="1s")[0] == []
    assert again(machine(), after=1.0)[0] == [], "it is the same definition"
    assert again(machine(), after="2s")[0] == ["TimerCreated"]
    assert again(machine(), after="1s", description="another")[0] == ["TimerCreated"]
    assert again(machine(), after="1s", args=[1])[0] == ["TimerCreated"]
    assert again(machine(), every="1s")[0] == ["TimerCreated"]


def _logged(log: list[list[Event]]) -> Machine:
    machine = Machine()
    confirm = machine.confirm

    def keep_and_confirm() -> None:
        if machine._events:
            log.append(machine._events)
        confirm()

    machine.confirm = keep_and_confirm  # type: ignore[method-assign]
    return machine


def test_the_name_of_the_callable_is_no_part_of_what_was_let_go() -> None:
    small = let_go()
    assert again(small.machine, after="1s", fn_name="renamed")[0] == []


def test_another_name_with_that_definition_fires() -> None:
    small = let_go()
    events = small.do(schedule("shot2", after="1s", called=small.now))
    assert [type(event).__name__ for event in events] == ["TimerCreated"]


def test_a_let_go_that_is_undone_leaves_everything_as_it_was() -> None:
    small = Small(schedule("shot", after="1s"))
    small.do(at=1)
    small.finish_all()
    before = fold_image(small.state)
    small.now = 31 * 24 * HOUR
    small.refuse()
    assert fold_image(small.state) == before
    assert not small.state.tombstones and small.state.timers["shot"].is_finished
    assert removed(small.do()) == [("shot", "finished")]


def test_tombstones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten first."""
    monkeypatch.setattr(state, "TOMBSTONES", 3)
    small = Small(*(schedule(f"shot{n}", after=n) for n in range(5)))
    small.machine.agenda.keep_finished_us = HOUR * SECOND
    for second in range(5):
        small.do(at=second)
        small.finish_all()
    assert len(removed(small.do(at=2 * HOUR))) == 5
    assert len(small.state.tombstones) == 3
    for n in range(5):
        events = small.do(schedule(f"shot{n}", after=n, called=small.now))
        assert bool(events) == (n < 2)


# -- what stays of a timer's runs -----------------------------------------------------------------


def test_a_timer_remembers_the_latest_thirty_outcomes() -> None:
    small = Small(schedule("a", every=10, overlap="skip", max_attempts=1))
    ends = [c.Outcome.SUCCEEDED, c.Outcome.FAILED, None]
    letters = ""
    for turn in range(20):
        small.do(at=10 + 20 * turn)
        outcome = ends[turn % 3]
        if outcome is None:
            small.do(c.Cancel("a"))
            letters += "k"  # the moment at +10 finds it stopping
            small.do(at=20 + 20 * turn)
            run = next(iter(small.state.runs.values()))
            small.do(c.FinishRun(run.id, 1, c.Outcome.CANCELLED, 1))
            letters += "c"
            continue
        run = next(iter(small.state.runs.values()))
        small.do(at=20 + 20 * turn)
        letters += "k"
        small.do(c.FinishRun(run.id, 1, outcome, 1, "Oops"))
        letters += "s" if outcome is c.Outcome.SUCCEEDED else "d"
    tally = small.state.timers["a"].tally
    assert len(letters) == 40 and tally.outcomes == letters[-OUTCOMES:]
    assert (tally.succeeded, tally.failed, tally.skipped) == (7, 7, 20)
    small.finish_all()
    small.do(at=10_000)
    tally = small.state.timers["a"].tally
    assert tally.outcomes == (letters + "m")[-OUTCOMES:]
    restored = restore(Cut(small.state).parts()).timers["a"].tally
    assert restored == tally and type(restored) is type(tally)


def test_a_retry_is_no_outcome() -> None:
    small = Small(schedule("a", after=10, retry_delay=0, max_attempts=3))
    small.do(at=10)
    for _ in range(2):
        run = next(iter(small.state.runs.values()))
        small.do(c.FinishRun(run.id, run.attempt, c.Outcome.FAILED, 1, "Oops"))
    assert small.state.timers["a"].tally.outcomes == ""
    small.finish_all()
    assert small.state.timers["a"].tally.outcomes == "s"


def test_the_ring_has_every_row_over_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "RING_ROWS", 50)
    small = Small(schedule("a", every=3600, overlap="allow"))
    assert small.state.ring_floor == 0
    rows: list[int] = []
    for turn in range(40):
        small.do(*(c.Trigger("a") for _ in range(50)), at=turn)
        small.finish_all()
        ids = [id_ for id_, _ in small.state.ring]
        rows += [id_ for id_ in ids if id_ > max(rows, default=0)]
        assert ids == [id_ for id_ in rows if id_ > small.state.ring_floor]
    assert len(rows) == 2_000 and small.state.ring_floor > 0
    assert 50 <= len(small.state.ring) <= 50 + 1024 + 50
