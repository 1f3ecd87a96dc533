"""Which moments of the past a backfill runs: those that had no run, and only real ones."""

from __future__ import annotations

from collections import deque

import pytest

from kron.core import commands as c
from kron.core.backfill import EXACT, Span, span_of
from kron.core.errors import ScheduleError
from kron.core.past import begun_anew, end_stretch, gone_on
from kron.core.ranges import end_of
from kron.core.things import FORMER_KEPT, Backfill, Former, Past, Timer
from kron.testing.player import BASE_US, Player
from kron.testing.transcript import play

SECOND = 1_000_000
MINUTE = 60 * SECOND


def timer_of(text: str, name: str = "tick") -> tuple[Player, Timer]:
    player = play(text)
    return player, player.machine.state.timers[name]


def span(player: Player, timer: Timer, since: float, until: float, *, force: bool = False) -> Span:
    at = [round(BASE_US + each * SECOND) for each in (since, until)]
    return span_of(player.machine.state, timer, at[0], at[1], is_forced=force)


def seconds(found: Span) -> list[float]:
    return [(us - BASE_US) / SECOND for us in found.moments()]


MINUTES = 'at 0 schedule tick cron="* * * * *" overlap=skip -> ...\n'


def test_the_range_is_half_open_and_ends_before_the_pending_moment() -> None:
    player, timer = timer_of(MINUTES + "at 30")
    assert seconds(span(player, timer, -120, 0)) == [-120, -60]
    assert seconds(span(player, timer, -119, 1)) == [-60, 0]
    assert seconds(span(player, timer, -60, 600)) == [-60, 0]
    assert seconds(span(player, timer, 10, 10)) == []
    assert seconds(span(player, timer, 50, 10)) == []


def test_what_had_a_run_is_left_out_and_counted() -> None:
    text = MINUTES + "at 60 -> ...\nat 61 finish 1 -> ...\nat 70 pause tick -> ...\n"
    text += "at 190 resume tick -> ...\nat 240 -> ...\nat 241 finish 2 -> ..."
    player, timer = timer_of(text)
    found = span(player, timer, 0, 241)
    assert seconds(found) == [0, 120, 180]
    assert (found.total(), found.left()) == (5, 3)
    forced = span(player, timer, 0, 241, force=True)
    assert seconds(forced) == [0, 60, 120, 180, 240]
    assert forced.left() == 5


def test_next_to_run_is_after_its_argument() -> None:
    player, timer = timer_of(MINUTES + "at 30")
    found = span(player, timer, -180, 0)
    assert found.next_to_run(BASE_US - 3 * MINUTE) == BASE_US - 2 * MINUTE
    assert found.next_to_run(BASE_US - 3 * MINUTE - 1) == BASE_US - 3 * MINUTE
    assert found.next_to_run(BASE_US - MINUTE) is None


@pytest.mark.parametrize("since", [-200, -7, 0, 3, 40])
def test_an_interval_has_a_past_on_its_grid(since: int) -> None:
    player, timer = timer_of("at 0 schedule tick every=7s overlap=skip called=3 -> ...\nat 3")
    expected = [each for each in range(-4 - 7 * 40, 10, 7) if since <= each < 10]
    assert seconds(span(player, timer, since, 10)) == expected


def test_limits_leave_moments_out_of_the_past_too() -> None:
    text = 'at 0 schedule tick cron="0 * * * *" overlap=skip exclude=2025-12-31 -> ...\nat 30'
    player, timer = timer_of(text)
    found = span(player, timer, -26 * 3600, 30)
    assert seconds(found) == [-26 * 3600, -25 * 3600, 0]
    assert found.total() == found.left() == 3


def test_jitter_does_not_move_the_past() -> None:
    player, timer = timer_of('at 0 schedule tick cron="* * * * *" jitter=30s -> ...\nat 1')
    assert seconds(span(player, timer, -120, 0)) == [-120, -60]


def test_a_one_shot_has_no_past() -> None:
    player, timer = timer_of("at 0 schedule tick after=10s -> ...\nat 1")
    with pytest.raises(ScheduleError, match="trigger it"):
        span(player, timer, -60, 0)


CHANGED = MINUTES + "at 60 -> ...\nat 61 finish 1 -> ...\nat 120 -> ...\nat 121 finish 2 -> ...\n"


def test_what_ran_under_another_schedule_has_run() -> None:
    text = CHANGED + 'at 122 schedule tick cron="*/20 * * * * *" overlap=skip -> ...'
    player, timer = timer_of(text)
    assert seconds(span(player, timer, 40, 122)) == [40, 80, 100]
    assert span(player, timer, 40, 122).left() == 3


def test_only_moments_of_the_former_schedule_have_run() -> None:
    """All of a range had a run; what is not among its moments had none."""
    text = CHANGED + "at 122 schedule tick every=30s overlap=skip called=120 -> ..."
    player, timer = timer_of(text)
    assert seconds(span(player, timer, 30, 121)) == [30, 90]


def test_what_the_former_schedule_left_out_has_not_run() -> None:
    player = Player()
    player.start()
    schedule = {"cron": "0 */12 * * *", "overlap": "skip"}
    player.turn(player.schedule("tick", exclude=["2026-01-02"], **schedule))
    for _ in range(3):
        player.advance(player.us + 24 * 60 * MINUTE)
        runs = [run for run in player.machine.state.runs.values() if run.is_under_way]
        player.turn(*(c.FinishRun(run.id, 1, c.Outcome.SUCCEEDED, 1) for run in runs))
    player.turn(player.schedule("tick", **schedule))
    timer = player.machine.state.timers["tick"]
    assert timer.past.former
    assert seconds(span(player, timer, 43_200, 2 * 86_400)) == [86_400, 86_400 + 43_200]


def test_long_ranges_are_counted_without_looking_at_each() -> None:
    player, timer = timer_of(CHANGED + 'at 122 schedule tick cron="* * * * * *" -> ...')
    found = span(player, timer, -20 * EXACT, 122)
    assert found.total() == 20 * EXACT + 122
    assert found.left() == found.total()  # too many by two, which are left out all the same
    assert span(player, timer, 0, 122).left() == 122 - 2


# -- what `apply` keeps of it --------------------------------------------------------------------


def backfill(since: int, next_us: int | None) -> Backfill:
    return Backfill(since, 100, next_us, 10, 0, 1, False)


def test_a_backfill_joins_what_it_has_come_to() -> None:
    past = Past(backfills=(backfill(10, 12),))
    for moment, following in ((12, 20), (20, 33), (33, None)):
        past = gone_on(past, moment, following)
    assert past.ranges == (10, 33)
    assert past.backfills[0].next_us is None
    assert (past.backfills[0].started, past.backfills[0].last_us) == (3, 33)


def test_a_moment_that_was_taken_back_stays_free() -> None:
    past = gone_on(Past(backfills=(backfill(10, 12),)), 12, 20)
    past = past._replace(ranges=(10, 11))  # its run was cancelled before it began
    past = gone_on(past, 20, None)
    assert end_of(past.ranges, 12) is None
    assert past.ranges == (10, 11, 13, 20)


def test_a_stretch_ends_where_a_moment_has_no_run() -> None:
    _, timer = timer_of(MINUTES + "at 60 -> ...\nat 61 finish 1 -> ...")
    first = timer.ran_us
    assert first == BASE_US + MINUTE
    end_stretch(timer, first + 5 * MINUTE)
    assert timer.ran_us is None and timer.past.ranges == (first, first + 5 * MINUTE - 1)
    end_stretch(timer, first + 9 * MINUTE)
    assert timer.past.ranges == (first, first + 5 * MINUTE - 1)


def test_only_so_many_former_schedules_are_kept() -> None:
    _, timer = timer_of(MINUTES)
    for each in range(FORMER_KEPT + 2):
        timer.past = timer.past._replace(ranges=(each, each))
        timer.past = begun_anew(timer)
    assert timer.past.ranges == ()
    assert timer.past.former[0].ranges == (2, 2)
    assert len(timer.past.former) == FORMER_KEPT
    assert all(isinstance(each, Former) for each in timer.past.former)
    assert begun_anew(timer) is timer.past  # nothing has run since


def test_the_answer_is_how_many_run_and_how_many_had_run() -> None:
    player, _ = timer_of(CHANGED)
    command = c.Backfill("tick", BASE_US, BASE_US + 121 * SECOND)
    player.answers = []
    player.step(deque([command]))
    assert [each.value for each in player.answers] == [(1, 2)]
    player.answers = []
    player.step(deque([c.Backfill("tick", BASE_US + 60 * SECOND, BASE_US + 121 * SECOND)]))
    assert [each.value for each in player.answers] == [(0, 2)]
