"""Which of a timer's moments have had a run: as `apply` keeps it.

While every moment that comes gets a run, `Timer.ran_us` says since when, and costs nothing. What
leaves a moment out ends that stretch, which then goes to `past.ranges`. Instants are on the timer's
own clock.
"""

from __future__ import annotations

from .ranges import united, without
from .things import FORMER_KEPT, Former, Past, Run, Timer


def end_stretch(timer: Timer, until_us: int) -> None:
    """The moment `until_us` has no run; those before it, since `ran_us`, have had one."""
    if timer.ran_us is not None:
        ranges = united(timer.past.ranges, timer.ran_us, until_us - 1)
        timer.past = timer.past._replace(ranges=ranges)
        timer.ran_us = None


def end_era(timer: Timer, open_us: int | None, at_us: int) -> None:
    """The clock has shown up to `at_us` and is set back far: what has had a run is known by its
    moments, however often they come. `open_us`: of the runs that may be open, the latest moment."""
    if timer.ran_us is not None:
        last_us = at_us if open_us is None else max(open_us, timer.ran_us)
        end_stretch(timer, last_us + 1 if timer.next_us is None else timer.next_us)


def late_run(timer: Timer, moment_us: int, at_us: int) -> None:
    """A fixed delay counts from the end of a run: while nothing could fire it had one moment, and
    the time since is without any, in which a backfill finds those of its interval."""
    behind_us = moment_us + int(timer.definition.value)
    if at_us > behind_us:
        end_stretch(timer, behind_us)
        timer.ran_us = at_us


def take_back(timer: Timer, run: Run, moment_us: int, shift_us: int) -> None:
    """A run has ended that never began: its moment has had none. It may be one of what the timer
    was before; `shift_us` leads from elapsed time to the wall's, which that may have followed."""
    if timer.ran_us is not None and moment_us >= timer.ran_us:
        if run.cause == "schedule":  # else the moment had its own run besides
            end_stretch(timer, moment_us)
            timer.ran_us = moment_us + 1
    elif run.cause != "manual":
        wall_us = moment_us + shift_us * timer.definition.is_elapsed
        former = tuple(
            each._replace(
                ranges=without(each.ranges, wall_us - shift_us * each.definition.is_elapsed)
            )
            for each in timer.past.former
        )
        ranges = without(timer.past.ranges, moment_us)
        timer.past = timer.past._replace(ranges=ranges, former=former)


def gone_on(past: Past, moment_us: int, next_us: int | None) -> Past:
    """The first backfill has come to a moment: what it has passed on the way there is done, but
    not the moments behind, which may have been taken back."""
    first, *others = past.backfills
    here = first._replace(next_us=next_us, started=first.started + 1, last_us=moment_us)
    from_us = first.since_us if first.last_us is None else first.last_us + 1
    ranges = united(past.ranges, min(from_us, moment_us), moment_us)
    return past._replace(ranges=ranges, backfills=(here, *others))


def begun_anew(timer: Timer) -> Past:
    """The timer is about to get other moments: what had a run is kept with what it was."""
    if not timer.past.ranges:
        return timer.past
    was = Former(timer.definition, timer.anchor_us, timer.past.ranges)
    return timer.past._replace(ranges=(), former=(*timer.past.former, was)[-FORMER_KEPT:])
