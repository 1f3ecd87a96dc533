"""What comes next of a timer, and what will be at a moment in the future: when, and why then."""

from __future__ import annotations

from typing import NamedTuple

from .dst_notes import dst_notes
from .duration import format_duration
from .model import Reason, RunState
from .moments import CronMoments
from .standing import SECOND_US, OpenRun, Standing
from .telling import down_after, noted, span, stamp
from .things import Pause

_DST_US = 6 * 3600 * SECOND_US


class Outlook(NamedTuple):
    """`at_us` is when something starts (None: never, or nobody can say); `because` the reason in a
    word or a few, `text` a sentence."""

    at_us: int | None
    because: str
    text: str


class Ahead(NamedTuple):
    """What there is to say about a moment in the future: the moment that runs then or next (None:
    none, or nobody can say), the reason if it is not the one asked about, the sentences."""

    moment_us: int | None
    because: str | None
    text: list[str]


def outlook(standing: Standing) -> Outlook:
    """What comes next, as of now."""
    if standing.definition is None:
        return Outlook(None, "removed", "Next: nothing; the timer was removed.")
    held = held_up(standing, standing.resumes_us and standing.resumes_us + 1)
    if held is not None:
        return held
    retry = _retry(standing)
    if retry is not None:
        coming = _by_schedule(standing)
        is_beside = standing.is_free and coming.at_us is not None
        return min(retry, coming, key=lambda each: each.at_us or 0) if is_beside else retry
    if _follows_a_run(standing):
        return Outlook(None, "overlap=delay", f"Next: {_after_the_run(standing)}.")
    return _by_schedule(standing)


def _follows_a_run(standing: Standing) -> bool:
    """Whether what comes next waits for the end of something, and for nothing else."""
    coming_us = standing.coming_us
    has_come = coming_us is None or standing.due_us(coming_us) <= standing.now_us
    return standing.is_held_back and has_come and not standing.is_one_shot


def held_up(standing: Standing, at_us: int | None = None) -> Outlook | None:
    """What keeps the whole timer from running what is due at an instant (None: now), if something
    does."""
    name, at_us = standing.name, standing.now_us if at_us is None else at_us
    if standing.invalid:
        zone = standing.invalid
        text = f"Nothing runs: the time zone {zone} is not known on this machine."
        return Outlook(None, Reason.INVALID, text)
    if standing.paused is not None and standing.is_paused_at(at_us):
        return Outlook(None, Reason.PAUSED, _paused(standing, standing.paused))
    if standing.is_orphan:
        text = f"Nothing runs: the callable of {name} has not been registered since the start."
        return Outlook(None, Reason.ORPHANED, text)
    return None


def _paused(standing: Standing, pause: Pause) -> str:
    name, since, until_us = standing.name, stamp(pause.since_us), pause.until_us
    if until_us is None:
        return f"Nothing runs: {name} has been paused since {since}."
    if until_us < standing.now_us:
        return f"{name} was paused from {since} to {stamp(until_us)}."
    return f"Nothing runs until {stamp(until_us)}: {name} has been paused since {since}."


def in_progress(standing: Standing) -> list[str]:
    """That the timer is paused or backfilled now, as far as it is."""
    told: list[str] = []
    if standing.paused is not None and standing.is_paused_at(standing.now_us):
        told = [_paused(standing, standing.paused), *noted(standing.paused)]
    if not standing.backfills:
        return told
    first, more = standing.backfills[0], len(standing.backfills) - 1
    does = "waits" if told or standing.is_orphan or not standing.is_live else "goes on"
    text = f"A backfill from {stamp(first.since_us)} to {stamp(first.until_us)} {does}"
    runs = "run" if first.moments == 1 else "runs"
    text += f" ({first.started:,} of {first.moments:,} {runs} begun)"
    follow = f"; {more} more {'follows' if more == 1 else 'follow'}" if more else ""
    return [*told, f"{text}{follow}."]


def _retry(standing: Standing) -> Outlook | None:
    waits = [
        (run.retry_us, run)
        for run in standing.runs
        if run.state is RunState.RETRYING and run.retry_us is not None
    ]
    if not waits:
        return None
    retry_us, run = min(waits)
    text = f"Next: attempt {run.attempt} of the run of {stamp(run.scheduled_us)}"
    if standing.is_live and retry_us <= standing.now_us:
        return Outlook(retry_us, "retry", f"{text}, as soon as it can start.")
    return Outlook(retry_us, "retry", f"{text}, at {stamp(retry_us)}.")


def _after_the_run(standing: Standing) -> str:
    definition = standing.definition
    assert definition is not None
    resumes_us, pause = standing.resumes_us, ""
    if resumes_us is not None and resumes_us >= standing.now_us:
        pause = f", once its pause has ended at {stamp(resumes_us)}"
    if not standing.regular:
        end = "the attempt that timed out leaves its thread"
        return f"when {end} (overlap=delay){pause}"
    if standing.is_chained and standing.next_us is not None:
        return f"as soon as the run that is open ends (overlap=delay){pause}"
    if standing.is_chained:
        first = format_duration(int(definition.value))
        return f"{first} after the run that is open ends (overlap=delay){pause}"
    first = f"the first moment of {standing.schedule} after the open run ends"
    return f"{first} (overlap=delay){pause}"


def _by_schedule(standing: Standing) -> Outlook:
    next_us, resumes_us = standing.coming_us, standing.resumes_us
    if next_us is not None and standing.left_out(next_us) is not None:
        next_us = standing.allowed_from(next_us)
    if next_us is None:
        return _nothing(standing)
    due_us = standing.due_us(next_us)
    if resumes_us is not None and resumes_us >= max(due_us, standing.now_us):
        text = f"Next: {stamp(resumes_us)}, when its pause ends."
        return Outlook(resumes_us, standing.schedule, text)
    if due_us <= standing.now_us:
        when = "at once" if standing.is_live else "when a process is started"
        return Outlook(due_us, standing.schedule, f"Next: {when}.")
    text = f"Next: {stamp(due_us)}, by {standing.schedule}"
    if due_us != next_us:
        text += f" (its jitter delays {stamp(next_us)})"
    if standing.is_held_back and not standing.is_one_shot:
        text += f", if {_what_is_open(standing)} has ended by then"
    return Outlook(due_us, standing.schedule, text + ".")


def _nothing(standing: Standing) -> Outlook:
    if standing.is_one_shot:
        return Outlook(None, "finished", "Next: nothing; it fires once.")
    text = "Next: nothing; no moment is left"
    definition = standing.definition
    assert definition is not None
    latest_us = definition.terms.not_after_us
    if latest_us is not None:
        return Outlook(None, Reason.BOUNDS, f"{text} (not_after={stamp(latest_us)}).")
    return Outlook(None, "finished", text + ".")


# -- a moment in the future ---------------------------------------------------------------------


def ahead(standing: Standing, at_us: int, until_us: int) -> Ahead:
    """What will be at `at_us` (a moment up to `until_us` is meant by it, too)."""
    lasts_us = standing.resumes_us
    held = held_up(standing, lasts_us and lasts_us + 1)
    if standing.definition is None:
        held = outlook(standing)
    if held is not None:
        note = [] if standing.paused is None or lasts_us else noted(standing.paused)
        return Ahead(None, held.because, [held.text, *note])
    if standing.paused is not None and lasts_us is not None:
        meant_us = standing.moment_after(at_us - 1)
        is_one = meant_us is not None and meant_us <= until_us
        if standing.is_paused_at(standing.due_us(meant_us) if is_one and meant_us else at_us):
            return _in_the_pause(standing, standing.paused, at_us, lasts_us)
    if standing.is_one_shot or standing.is_chained:
        return _of_one_moment(standing, at_us, until_us)
    moment_us = standing.moment_after(at_us - 1)
    if moment_us is not None and moment_us > until_us:
        moment_us = None
    reason = None if moment_us is None else standing.left_out(moment_us)
    is_next = moment_us is not None and moment_us >= (standing.next_us or moment_us)
    if is_next and reason is None:
        return Ahead(moment_us, None, [_will_run(standing, moment_us), *_while_open(standing)])
    first = f"{standing.name} does not run at {stamp(at_us)}: "
    if moment_us is None:
        first += f"it is no moment of {standing.schedule}."
    elif reason is None:
        first += f"its next moment is {stamp(standing.next_us)}."
    else:
        first += f"{left_out_by(standing, moment_us, reason)}."
    later_us = standing.allowed_after(max(until_us, (standing.next_us or 0) - 1))
    text = [first, *clock_note(standing, at_us)]
    if later_us is None:
        return Ahead(None, reason or Reason.BOUNDS, [*text, "Nothing comes after it."])
    then = f"The first moment after it: {stamp(later_us)}."
    return Ahead(later_us, reason, [*text, then])


def _in_the_pause(standing: Standing, pause: Pause, at_us: int, lasts_us: int) -> Ahead:
    """Of an instant before the pause ends by itself."""
    text = f"{standing.name} does not run at {stamp(at_us)}: it is paused until {stamp(lasts_us)}."
    coming = _by_schedule(standing)
    told = [text, *noted(pause)]
    if _follows_a_run(standing):
        return Ahead(None, Reason.PAUSED, [*told, f"Next: {_after_the_run(standing)}."])
    if coming.at_us is None:
        return Ahead(None, Reason.PAUSED, [*told, "Nothing comes after it."])
    if standing.is_one_shot and coming.at_us == lasts_us:
        then = f"It runs when the pause ends, at {stamp(lasts_us)}."
        return Ahead(standing.next_us, Reason.PAUSED, [*told, then])
    then = f"The first moment after the pause: {stamp(standing.coming_us)}."
    return Ahead(standing.coming_us, Reason.PAUSED, [*told, then])


def _of_one_moment(standing: Standing, at_us: int, until_us: int) -> Ahead:
    """Of timers that know but their next moment."""
    next_us = standing.coming_us
    if next_us is not None and at_us <= next_us <= until_us:
        return Ahead(next_us, None, [_will_run(standing, next_us), *_while_open(standing)])
    coming = outlook(standing)
    if standing.is_chained and (next_us is None or next_us < at_us):
        why = f"What {standing.name} does at {stamp(at_us)} cannot be said:"
        text = f"{why} each moment follows from the end of the run before it (overlap=delay)."
        return Ahead(next_us, None, [text, coming.text])
    text = f"{standing.name} does not run at {stamp(at_us)}."
    return Ahead(next_us if coming.at_us is not None else None, None, [text, coming.text])


def _will_run(standing: Standing, moment_us: int | None) -> str:
    assert moment_us is not None
    text = f"{standing.name} is to run at {stamp(moment_us)}, by {standing.schedule}"
    late_us = standing.due_us(moment_us) - moment_us
    text += f"; its jitter delays that by {span(late_us)}" if late_us else ""
    resumes_us = standing.resumes_us
    if resumes_us is not None and resumes_us >= standing.now_us:
        text += f"; its pause ends before that, at {stamp(resumes_us)}"
    return text + "."


def _while_open(standing: Standing) -> list[str]:
    if not standing.is_held_back:
        return []
    return [f"But only if {_what_is_open(standing)} has ended by then (overlap=delay)."]


def _what_is_open(standing: Standing) -> str:
    return "the run that is open" if standing.regular else "the attempt that timed out"


def left_out_by(standing: Standing, moment_us: int, reason: Reason) -> str:
    """`left out by not_before=...`."""
    assert standing.definition is not None
    terms = standing.definition.terms
    earliest_us, latest_us = terms.not_before_us, terms.not_after_us
    if reason is not Reason.BOUNDS:
        return "left out by exclude="
    if earliest_us is not None and moment_us < earliest_us:
        return f"left out by not_before={stamp(earliest_us)}"
    return f"left out by not_after={stamp(latest_us)}"


def clock_note(standing: Standing, at_us: int) -> list[str]:
    """What a change of the clocks around an instant does to the timer."""
    moments = standing.course.moments
    if not isinstance(moments, CronMoments):
        return []
    notes = dst_notes(moments, at_us - _DST_US, at_us + _DST_US, 1)
    return [f"{note.text} ({moments.timezone})." for note in notes]


def no_process(standing: Standing) -> list[str]:
    """That nobody carries the schedule out now."""
    down = None if standing.is_live else down_after(standing, standing.now_us)
    if down is None or down.from_us is None:
        return [] if standing.is_live else ["No process carries the schedule out."]
    note = " (its last sign of life; it was killed)" if down.was_killed else ""
    return [f"No process has carried the schedule out since {stamp(down.from_us)}{note}."]


def waits_behind(standing: Standing, run: OpenRun) -> OpenRun | None:
    """The open run that an open run waits for."""
    first = standing.runs[0] if standing.runs else run
    return None if standing.is_free or first.id == run.id else first
