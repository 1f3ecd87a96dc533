"""What became of a moment that has come: the account of it, told into a story (`why.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .instants import text
from .model import Cause, Reason, RunState, Stop
from .outlook import clock_note, held_up, left_out_by, waits_behind
from .rows import Row
from .standing import SECOND_US, OpenRun
from .telling import Down, because, down_after, said, span, stamp, was_down

if TYPE_CHECKING:
    from .why import Facts, Why

LATE_US = SECOND_US
_OUTCOMES = {"OK": "ran", "DEAD": "failed", "CANCELLED": "cancelled", "FAILED": "failed"}
_ABSENT = (Reason.DOWN, Reason.STOPPED, Reason.GRACE, Reason.CAP)
_STOPS = {
    Stop.CANCEL: "kron.cancel()",
    Stop.REMOVED: "the timer was removed",
    Stop.SHUTDOWN: "the scheduler was shut down",
    Stop.CRASHED: "the process died",
}


def tell_past(facts: Facts, story: Why) -> None:
    """The account of the latest moment at or before the instant asked about."""
    row, run = facts.row, facts.run
    pending_us = facts.standing.pending(facts.until_us)
    moment_us: int | None
    if run is not None:
        moment_us, sentences = run.scheduled_us, _open(facts, story, run)
    elif row is not None and row.status == "MISSED":
        moment_us, sentences = _missed(facts, story, row)
    elif row is not None:
        moment_us, sentences = row.scheduled_us, _of_row(facts, story, row)
    elif pending_us is not None:
        moment_us, sentences = pending_us, _pending(facts, story, pending_us)
    else:
        moment_us, sentences = None, _nothing(facts, story)
    story["scheduled_at"] = text(moment_us)
    story["text"] = [*_asked(facts, moment_us), *sentences]


def _asked(facts: Facts, moment_us: int | None) -> list[str]:
    """A sentence if the instant asked about is none of the timer's moments."""
    at_us = facts.asked_us
    is_meant = moment_us is not None and at_us is not None and moment_us >= at_us
    if at_us is None or moment_us is None or is_meant:
        return []
    first = f"Nothing was due at {stamp(at_us)}; the moment before it is {stamp(moment_us)}."
    return [first, *clock_note(facts.standing, at_us)]


def _nothing(facts: Facts, story: Why) -> list[str]:
    standing, at_us = facts.standing, facts.at_us
    was_there = standing.created_us <= facts.until_us or standing.eras or facts.asked_us is None
    if standing.definition is not None and not was_there:
        created = stamp(standing.created_us)
        return [f"{standing.name} did not exist at {stamp(at_us)}: it was created at {created}."]
    if not facts.is_complete:
        story["outcome"] = "unknown"
        return [f"What was at {stamp(at_us)} cannot be said: its records have been let go."]
    if standing.definition is None:
        return [f"There is no record of {standing.name} until {stamp(at_us)}."]
    return [f"Nothing was due by {stamp(at_us)}."]


# -- runs that have ended -----------------------------------------------------------------------


def _of_row(facts: Facts, story: Why, row: Row) -> list[str]:
    if row.status == "SKIPPED_OVERLAP":
        return _skipped(facts, story, row)
    assert row.run is not None
    name, scheduled_us = facts.standing.name, row.scheduled_us
    story["outcome"] = _OUTCOMES[row.status]
    story["run_id"] = facts.run_text(row.run, scheduled_us)
    story["attempts"] = row.attempt or 0
    story["error"] = row.error or None
    story["ended_at"] = text(row.at_us)
    if row.status == "CANCELLED" and row.started_us is None:
        story["because"] = row.reason
        end = f"at {stamp(row.at_us)}: {_stopped_by(row.reason)}"
        head = f"{name} did not run at {stamp(scheduled_us)}: its run was cancelled {end}."
        return [head, *_stood_for(facts)]
    start = _start(facts, story, scheduled_us, row.started_us)
    return [*start, *_stood_for(facts), *_before(facts, row), *_end(row)]


def _start(facts: Facts, story: Why, scheduled_us: int, latest_us: int | None) -> list[str]:
    """When the first attempt began, and why not before; `latest_us` is when the last one did."""
    first = facts.tries[-1] if facts.tries else None
    started_us = latest_us if first is None else first.started_us
    story["ran_at"] = text(started_us)
    if started_us is None:
        return []
    if first is not None and (first.attempt or 1) > 1:  # the first ones were let go
        number = first.attempt
        return [f"Attempt {number} of {facts.standing.name} began at {stamp(started_us)}."]
    late_us = max(started_us - scheduled_us, 0)
    story["late_ms"] = late_us / 1000
    head = f"{facts.standing.name} ran at {stamp(started_us)}"
    if facts.due is not None and facts.due.cause == Cause.MANUAL:
        return [f"{head}, triggered by hand at {stamp(scheduled_us)}{_wait(facts, started_us)}."]
    asked_us = 0 if facts.due is None else facts.due.jitter_us
    if late_us - asked_us <= LATE_US:
        if asked_us < LATE_US:
            return [f"{head}, on time."]
        return [f"{head} for {stamp(scheduled_us)}, {span(late_us)} later: that is its jitter."]
    head += f" for {stamp(scheduled_us)}, {span(late_us)} late"
    why = _kept_it(facts, story, scheduled_us)
    return [f"{head}{f': {why}' if why else ''}{_wait(facts, started_us)}."]


def _kept_it(facts: Facts, story: Why, scheduled_us: int) -> str:
    """What kept the run, as its RUN_DUE says."""
    due = facts.due
    if due is None or not due.late:
        return ""
    story["because"] = due.late
    down = _down(facts, due.late, scheduled_us, due.at_us)
    _put_window(story, due.late, down)
    return because(facts.standing, due.late, scheduled_us, due.at_us, down)


def _wait(facts: Facts, started_us: int) -> str:
    """That the run was there and had to wait."""
    due = facts.due
    if due is None or started_us - due.at_us <= LATE_US:
        return ""
    down = _down(facts, Reason.DOWN, due.at_us, started_us)
    if down is not None:
        return f"; due since {stamp(due.at_us)}, {was_down(down, due.at_us)}"
    return f"; due since {stamp(due.at_us)}, it waited for its turn"


def _stood_for(facts: Facts) -> list[str]:
    """Earlier moments that the run was for as well."""
    missed = 0 if facts.due is None else facts.due.missed
    if not missed:
        return []
    moments = "one moment" if missed == 1 else f"{missed:,} moments"
    return [f"It stands for {moments} before it, too, which did not run."]


def _before(facts: Facts, row: Row) -> list[str]:
    """What became of the attempt before one that ended well."""
    failed = [each for each in facts.tries if each.status == "FAILED"]
    if row.status != "OK" or not failed:
        return []
    latest = failed[0]
    if latest.reason == Stop.CRASHED:
        return [f"Attempt {latest.attempt} was cut short: the process died."]
    return [f"Attempt {latest.attempt} failed at {stamp(latest.at_us)}.", said(latest.error)]


def _end(row: Row) -> list[str]:
    """How the last attempt ended."""
    which = (
        "It" if row.attempt == 1 else f"Attempt {row.attempt}, begun at {stamp(row.started_us)},"
    )
    took = "" if row.took_us is None else f" after {span(row.took_us)}"
    if row.status == "OK":
        return [f"{which} ended well{took}."]
    if row.status == "CANCELLED":
        which = which.partition(",")[0]
        return [f"{which} was cancelled at {stamp(row.at_us)}: {_stopped_by(row.reason)}."]
    what = "The last attempt" if row.attempt == 1 else f"The last of {row.attempt} attempts"
    return [f"{what} failed at {stamp(row.at_us)}, and the run is dead.", said(row.error)]


def _stopped_by(reason: str) -> str:
    return next((words for stop, words in _STOPS.items() if stop == reason), reason)


# -- moments that did not run -------------------------------------------------------------------


def _skipped(facts: Facts, story: Why, row: Row) -> list[str]:
    story["outcome"], story["because"] = "skipped", "overlap"
    which = "an earlier run"
    if facts.by is not None and (due := facts.by[1]) is not None:
        which = f"{facts.run_text(facts.by[0], due.scheduled_us)} of {stamp(due.scheduled_us)}"
    head = f"{facts.standing.name} was skipped at {stamp(row.scheduled_us)}"
    return [f"{head}: {which} was still open (overlap=skip)."]


def _missed(facts: Facts, story: Why, row: Row) -> tuple[int | None, list[str]]:
    """The moment, if it can be told which of the range it is, and the sentences."""
    assert row.last_us is not None
    first_us, last_us = row.scheduled_us, row.last_us
    is_same = _is_same_course(facts, row)
    moment_us: int | None = last_us
    if last_us > facts.until_us:
        moment_us = facts.standing.moment_until(facts.until_us) if is_same else None
    story.update(
        {
            "outcome": "missed",
            "because": row.reason,
            "moments": row.moments,
            "first_at": text(first_us),
            "last_at": text(last_us),
        }
    )
    name, many = facts.standing.name, f"{row.moments:,} moments from {stamp(first_us)} to"
    if row.moments == 1 and first_us == last_us:
        why = _kept_moment(facts, story, row, first_us)
        return moment_us, [f"{name} did not run at {stamp(first_us)}: {why}.", *_heir(facts)]
    left_out = facts.standing.left_out(moment_us) if is_same and moment_us is not None else None
    if moment_us is not None and left_out is not None and left_out != row.reason:
        story["because"] = left_out
        why = left_out_by(facts.standing, moment_us, left_out)
        return moment_us, [f"{name} did not run at {stamp(moment_us)}: {why}."]
    if facts.asked_us is None or moment_us is None:
        why = _kept_range(facts, story, row)
        head = f"{many} {stamp(last_us)} did not run: {why}."
        return moment_us, [head[0].upper() + head[1:], *_heir(facts)]
    why = _kept_moment(facts, story, row, moment_us)
    head = f"{name} did not run at {stamp(moment_us)}: {why}."
    return moment_us, [head, f"It is one of {many} {stamp(last_us)}.", *_heir(facts)]


def _is_same_course(facts: Facts, row: Row) -> bool:
    """Whether the timer's definition of today gives the moments of a range."""
    assert row.last_us is not None
    standing = facts.standing
    ends = (row.scheduled_us, row.last_us)
    if any(standing.moment_until(end_us) != end_us for end_us in ends):
        return False
    return row.moments in standing.amounts(*ends)


def _kept_moment(facts: Facts, story: Why, row: Row, moment_us: int) -> str:
    down = _down(facts, row.reason, moment_us, row.at_us)
    _put_window(story, row.reason, down)
    why = because(facts.standing, row.reason, moment_us, row.at_us, down)
    if row.reason in (Reason.GRACE, Reason.CAP) and down is not None:
        why += f"; {was_down(down, moment_us)}"
    return why


def _kept_range(facts: Facts, story: Why, row: Row) -> str:
    """The reason of a range; the process may have been down more than once in it."""
    assert row.last_us is not None
    first = _down(facts, row.reason, row.scheduled_us, row.at_us)
    last = _down(facts, row.reason, row.last_us, row.at_us)
    if first == last or row.reason not in (Reason.DOWN, Reason.STOPPED):
        return _kept_moment(facts, story, row, row.scheduled_us)
    _put_window(story, row.reason, last)
    return "at the last of them " + was_down(last, row.last_us)


def _heir(facts: Facts) -> list[str]:
    if facts.heir is None:
        return []
    run, due = facts.heir
    run_id = facts.run_text(run, due.scheduled_us)
    return [f"The run of {stamp(due.scheduled_us)} stands for what was missed: {run_id}."]


def _down(facts: Facts, reason: str, moment_us: int, at_us: int) -> Down | None:
    """The time without a process that kept a moment, if it is known and was over by `at_us`."""
    if reason not in _ABSENT or facts.is_past_era:
        return None
    down = down_after(facts.standing, moment_us)
    is_it = down is not None and down.to_us is not None and down.to_us <= at_us
    if reason in (Reason.GRACE, Reason.CAP) and down is not None:  # it need not be the cause
        is_it = is_it and down.from_us is not None and down.from_us <= moment_us
    return down if is_it else None


def _put_window(story: Why, reason: str, down: Down | None) -> None:
    if down is not None:
        from_us = down.stopping_us if reason == Reason.STOPPED else down.from_us
        story["window"] = {"from": text(from_us), "to": text(down.to_us)}


# -- what is not over ---------------------------------------------------------------------------


def _pending(facts: Facts, story: Why, moment_us: int) -> list[str]:
    """A moment that has come and about which the log says nothing yet."""
    standing = facts.standing
    due_us = standing.due_us(moment_us)
    head = f"{stamp(moment_us)} has come, and {standing.name} has not run"
    if due_us > standing.now_us and standing.left_out(moment_us) is None:
        story["outcome"] = "coming"
        return [f"{head} yet: its jitter delays that to {stamp(due_us)}."]
    story["outcome"] = "pending"
    held = held_up(standing)
    if (left_out := standing.left_out(moment_us)) is not None:
        story["because"] = left_out
        why = left_out_by(standing, moment_us, left_out)
        return [f"{standing.name} does not run at {stamp(moment_us)}: {why}."]
    if held is not None:
        story["because"] = held.because
        return [f"{head}.", held.text, _later(facts, held.because)]
    if not standing.is_live:
        down = down_after(standing, moment_us)
        story["because"] = Reason.DOWN
        _put_window(story, Reason.DOWN, down)
        why = was_down(down, moment_us).replace("was down", "has been down")
        return [f"{head}: {why}.", _later(facts, Reason.DOWN)]
    if standing.is_delay and standing.runs:
        story["because"] = Reason.DELAYED
        run = standing.runs[0]
        run_id = facts.run_text(run.id, run.scheduled_us)
        first = f"{head}: {run_id} of {stamp(run.scheduled_us)} is still open (overlap=delay)."
        return [first]
    return [f"{head} yet: it is about to."]


def _later(facts: Facts, reason: str) -> str:
    """What will become of it."""
    standing = facts.standing
    assert standing.definition is not None
    when = {
        Reason.PAUSED: "it is resumed",
        Reason.ORPHANED: "it is registered again",
        Reason.DOWN: "a process is started and registers it",
    }.get(Reason(reason), "the zone is known")
    if standing.is_one_shot:
        return f"It runs when {when}."
    if reason == Reason.PAUSED:
        return "When it is resumed, its moments of the pause are recorded as missed."
    return f'When {when}, missed="{standing.definition.terms.missed}" decides about it.'


def _open(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    """A run that has not ended."""
    standing = facts.standing
    story["run_id"] = facts.run_text(run.id, run.scheduled_us)
    story["error"] = run.error or None
    begins = run.state in (RunState.DUE, RunState.RETRYING)
    story["attempts"] = run.attempt - 1 if begins else run.attempt
    started = _start(facts, story, run.scheduled_us, run.started_us) + _stood_for(facts)
    if run.state is RunState.DUE:
        return _waiting(facts, story, run)
    if run.state is RunState.RETRYING:
        return [*started, *_retrying(facts, story, run)]
    which = "It" if run.attempt == 1 else f"Attempt {run.attempt}"
    if not standing.is_live:
        story["outcome"], story["because"] = "waiting", Stop.CRASHED
        last = stamp(standing.last_us)
        return [*started, f"{which} was running when the process died (last sign of life {last})."]
    story["outcome"] = "running"
    since = "" if run.attempt == 1 else f" since {stamp(run.started_us)}"
    asked = f", asked to stop ({run.stop_reason})" if run.state is RunState.STOPPING else ""
    return [*started, f"{which} is still running{since}{asked}."]


def _waiting(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    """It has not begun."""
    story["outcome"] = "waiting"
    head = f"The run of {stamp(run.scheduled_us)} is there and has not begun"
    late = _kept_it(facts, story, run.scheduled_us)
    parts = [f"It was late already: {late}."] if late else []
    before = waits_behind(facts.standing, run)
    if before is not None:
        story["because"] = "overlap"
        run_id = facts.run_text(before.id, before.scheduled_us)
        return [f"{head}: {run_id} of {stamp(before.scheduled_us)} is still open.", *parts]
    held = held_up(facts.standing)
    if held is not None and held.because == Reason.ORPHANED:
        story["because"] = Reason.ORPHANED
        return [f"{head}.", held.text, *parts]
    return [f"{head}.", *parts]


def _retrying(facts: Facts, story: Why, run: OpenRun) -> list[str]:
    story["outcome"], story["because"] = "waiting", "retry"
    last = facts.tries[0] if facts.tries else None
    again = f"Attempt {run.attempt} is due at {stamp(run.retry_us)}."
    if last is None:
        return [again]
    if last.reason:
        story["because"] = last.reason
        how = f"ended at {stamp(last.at_us)}: {_stopped_by(last.reason)}"
        return [f"Attempt {last.attempt} {how}; it is due again, as attempt {run.attempt}."]
    how = f"failed at {stamp(last.at_us)}; attempt {run.attempt} is due at {stamp(run.retry_us)}."
    return [f"Attempt {last.attempt} {how}", said(last.error)]
