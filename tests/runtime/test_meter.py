"""What the meter counts, event by event."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from kron.core import events as ev
from kron.core.histogram import Histogram
from kron.core.machine import Step
from kron.core.model import Cause, Reason, Stop
from kron.runtime.meter import DURATION_US, LATENESS_US, Meter

AT_US = 1_800_000_000_000_000


def succeeded(attempt: int = 1, late_us: int = 0, took_us: int = 0, cause: str = "") -> ev.Event:
    end_us = AT_US + late_us + took_us
    return ev.RunSucceeded(
        "t", 1, attempt, end_us, AT_US, AT_US + late_us, took_us, None, cause=cause
    )


def failed(attempt: int, late_us: int, took_us: int, reason: str = "") -> ev.Event:
    end_us = AT_US + late_us + took_us
    return ev.RunFailed("t", 1, attempt, end_us, AT_US, AT_US + late_us, took_us, "no", reason)


def cancelled(attempt: int, started_us: int | None) -> ev.Event:
    return ev.RunCancelled("t", 1, attempt, AT_US + 9, AT_US, started_us, Stop.CANCEL)


def step_of(*events: ev.Event) -> Step:
    return Step(1, [*events], [], False)


def seen(*events: ev.Event) -> Meter:
    meter = Meter()
    meter.see(step_of(*events))
    return meter


def spread(histogram: Histogram) -> dict[int, int]:
    """The counts that are not zero, by upper bound; -1 is above all."""
    bounds = [*histogram.bounds_us, -1]
    return {us: count for us, count in zip(bounds, histogram.counts, strict=True) if count}


def test_a_success_is_counted_with_its_lateness_and_its_duration() -> None:
    due = ev.RunDue("t", AT_US, AT_US, None)
    started = ev.RunStarted("t", 1, 1, AT_US)
    meter = seen(due, started, succeeded(late_us=1_500, took_us=7_000))
    assert meter.runs == {"succeeded": 1, "dead": 0, "cancelled": 0}
    assert (spread(meter.lateness), meter.lateness.sum_us) == ({2_000: 1}, 1_500)
    assert (spread(meter.durations), meter.durations.sum_us) == ({10_000: 1}, 7_000)


def test_a_value_on_a_bound_is_under_it_and_the_last_count_is_above_all() -> None:
    meter = seen(
        succeeded(late_us=1_000), succeeded(late_us=1_001), succeeded(late_us=LATENESS_US[-1] + 1)
    )
    assert spread(meter.lateness) == {1_000: 1, 2_000: 1, -1: 1}


def test_a_later_attempt_has_a_duration_and_no_lateness() -> None:
    meter = seen(failed(1, 100, 200), succeeded(attempt=2, late_us=60_000_000, took_us=300))
    assert (sum(meter.lateness.counts), meter.lateness.sum_us) == (1, 100)
    assert (sum(meter.durations.counts), meter.durations.sum_us) == (2, 500)


def test_a_backfill_is_not_late() -> None:
    meter = seen(succeeded(late_us=86_400_000_000, cause=Cause.BACKFILL))
    assert (meter.runs["succeeded"], sum(meter.lateness.counts)) == (1, 0)
    assert sum(meter.durations.counts) == 1


def test_what_a_crash_cut_off_has_no_duration() -> None:
    meter = seen(failed(1, 5, 3_600_000_000, Stop.CRASHED), failed(2, 5, 7, Stop.SHUTDOWN))
    assert (sum(meter.lateness.counts), meter.durations.sum_us) == (1, 7)
    assert (meter.failed["crashed"], meter.failed["shutdown"], meter.failed["error"]) == (1, 1, 0)


def test_a_dead_run_is_its_failed_attempts_and_one_end() -> None:
    dead = ev.RunDead("t", 1, 2, AT_US, AT_US, AT_US, "no")
    meter = seen(failed(1, 0, 1), ev.RunRetrying("t", 1, 2, AT_US), failed(2, 0, 1), dead)
    assert (meter.failed["error"], meter.runs["dead"]) == (2, 1)


@pytest.mark.parametrize(("attempt", "started_us", "observed"), [(1, AT_US, 1), (1, None, 0)])
def test_a_cancelled_run_is_late_only_if_it_had_begun(
    attempt: int, started_us: int | None, observed: int
) -> None:
    meter = seen(cancelled(attempt, started_us))
    assert (meter.runs["cancelled"], sum(meter.lateness.counts)) == (1, observed)
    assert sum(meter.durations.counts) == 0


def test_missed_moments_are_counted_by_reason_and_not_by_event() -> None:
    down = ev.RunMissed("t", AT_US, AT_US + 5, 41, Reason.DOWN, AT_US)
    newer = down._replace(reason="of a newer version", moments=2)
    skipped = ev.RunSkippedOverlap("t", AT_US, AT_US, None, 1)
    meter = seen(down, down, newer, skipped)
    assert (meter.missed["down"], meter.missed["of a newer version"]) == (82, 2)
    assert (meter.missed["blocked"], meter.skipped) == (0, 1)


def test_a_clock_that_went_back_takes_nothing_away() -> None:
    meter = seen(succeeded(late_us=-3_600_000_000), failed(1, -50, 10))
    assert (spread(meter.lateness), meter.lateness.sum_us) == ({1_000: 2}, 0)


def test_steps_add_up_to_what_their_events_say() -> None:
    """Against counting them one by one, over many steps of any size."""
    random_ = random.Random(7)
    meter, lateness, durations, ended = Meter(), [0] * 17, [0] * 16, 0
    for _ in range(200):
        step: list[ev.Event] = []
        for _ in range(random_.randrange(6)):
            attempt, late_us = random_.randint(1, 2), int(random_.expovariate(1e-6))
            took_us = int(random_.expovariate(1e-7))
            is_good = random_.random() < 0.7
            make = succeeded if is_good else failed
            step.append(make(attempt, late_us, took_us))
            ended += is_good
            durations[bisect_left(DURATION_US, took_us)] += 1
            if attempt == 1:
                lateness[bisect_left(LATENESS_US, late_us)] += 1
        meter.see(step_of(*step))
    assert (meter.lateness.counts, meter.durations.counts) == (lateness, durations)
    assert meter.runs["succeeded"] == ended
