"""What became of a moment that has come: the account of it, told into a story (`why.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .beginnings import begun, down_that_kept, put_window, stands_for
from .decide_pause import BY_ITSELF
from .events import TimerResumed
from .instants import text
from .model import Reason, Stop
from .outlook import clock_note, left_out_by
from .rows import Row
from .telling import because, down_after, said, span, stamp, was_down
from .unfinished import stopped_by, tell_open, tell_pending

if TYPE_CHECKING:
    from .why import Facts, Why

_OUTCOMES = {"OK": "ran", "DEAD": "failed", "CANCELLED": "cancelled", "FAILED": "failed"}
_DONE = ("ran", "running", "waiting")


def tell_past(facts: Facts, story: Why) -> None:
    """The account of the latest moment at or before the instant asked about."""
    pending_us = facts.standing.pending(facts.until_us)
    moment_us: int | None
    if facts.run is not None:
        moment_us, sentences = facts.run.scheduled_us, tell_open(facts, story, facts.run)
    elif facts.row is not None and facts.row.status == "MISSED":
        moment_us, sentences = _missed(facts, story, facts.row)
    elif facts.row is not None:
        moment_us, sentences = facts.row.scheduled_us, _of_row(facts, story, facts.row)
    elif pending_us is not None and facts.again is None:
        moment_us, sentences = pending_us, tell_pending(facts, story, pending_us)
    else:
        moment_us, sentences = None, [] if facts.again else _nothing(facts, story)
    if facts.again is not None:
        moment_us = facts.again.scheduled_us
        sentences = _run_again(facts, story, sentences)
    elif moment_us is not None and _is_to_be_backfilled(facts, story, moment_us):
        sentences = [*sentences, "The backfill that goes on is to run it."]
    story["scheduled_at"] = text(moment_us)
    story["text"] = [*_asked(facts, moment_us), *sentences]


def _run_again(facts: Facts, story: Why, sentences: list[str]) -> list[str]:
    """What a backfill has made of the moment, behind what came of it at first."""
    again = facts.again
    assert again is not None
    before = story.copy()
    mine = facts._replace(
        row=again.row, run=again.run, tries=again.tries, due=again.due, is_stop_known=False
    )
    if again.run is not None:
        told = tell_open(mine, story, again.run)
    else:
        assert again.row is not None
        told = _of_row(mine, story, again.row)
    if before["outcome"] in _DONE:  # the run of the schedule counts, whatever followed
        story.update(before)
        return [*sentences, *told]
    story["because"] = before["because"] or story["because"] or "backfill"
    return [*sentences[:1], *told] if before["outcome"] == "missed" else [*sentences, *told]


def _is_to_be_backfilled(facts: Facts, story: Why, moment_us: int) -> bool:
    """Whether the backfill that goes on has still to come to a moment that had no run."""
    if story["outcome"] not in ("missed", "skipped") or not facts.standing.backfills:
        return False
    first = facts.standing.backfills[0]
    is_left_out = facts.standing.left_out(moment_us) is not None
    is_ahead = first.next_us is not None and first.next_us <= moment_us < first.until_us
    return is_ahead and not is_left_out


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
        end = f"at {stamp(row.at_us)}: {_ended_by(facts, row)}"
        head = f"{name} did not run at {stamp(scheduled_us)}: its run was cancelled {end}."
        return [head, *stands_for(facts)]
    start = begun(facts, story, scheduled_us, row.started_us)
    return [*start, *stands_for(facts), *_before(facts, row), *_end(facts, row)]


def _before(facts: Facts, row: Row) -> list[str]:
    """What became of the attempt before one that ended well, or was cancelled."""
    failed = [each for each in facts.tries if each.status == "FAILED"]
    if row.status == "DEAD" or not failed:
        return []
    latest = failed[0]
    if latest.reason == Stop.CRASHED:
        return [f"Attempt {latest.attempt} was cut short: the process died."]
    if latest.reason == Stop.TIMEOUT:
        return [f"Attempt {latest.attempt} {latest.error} at {stamp(latest.at_us)}."]
    return [f"Attempt {latest.attempt} failed at {stamp(latest.at_us)}.", said(latest.error)]


def _end(facts: Facts, row: Row) -> list[str]:
    """How the last attempt ended."""
    which = (
        "It" if row.attempt == 1 else f"Attempt {row.attempt}, begun at {stamp(row.started_us)},"
    )
    took = "" if row.took_us is None else f" after {span(row.took_us)}"
    if row.status == "OK":
        return [f"{which} ended well{took}."]
    if row.status == "CANCELLED":
        which = which.partition(",")[0]
        return [f"{which} was cancelled at {stamp(row.at_us)}: {_ended_by(facts, row)}."]
    what = "The last attempt" if row.attempt == 1 else f"The last of {row.attempt} attempts"
    if not _is_timed_out(facts, row):
        return [f"{what} failed at {stamp(row.at_us)}, and the run is dead.", said(row.error)]
    told = [f"{what} {row.error} at {stamp(row.at_us)}, and the run is dead."]
    if row.run in facts.standing.lingers:
        wait = "" if facts.standing.is_free else ": later runs wait"
        told.append(f"Its thread goes on{wait}.")
    return told


def _is_timed_out(facts: Facts, row: Row) -> bool:
    """Whether it was a timeout that ended the last attempt of a dead run."""
    return any(
        (each.status, each.attempt, each.reason) == ("FAILED", row.attempt, Stop.TIMEOUT)
        for each in facts.tries
    )


def _ended_by(facts: Facts, row: Row) -> str:
    """Why a run was cancelled; for another one, which."""
    if row.reason != Stop.RESTART or not facts.is_stop_known:
        definition = facts.standing.definition
        is_for_slot = row.reason == Stop.RESTART and definition is not None and definition.gives_way
        return "the next slot came, and began anew" if is_for_slot else stopped_by(row.reason)
    if facts.heir is None:
        return "a run of another timer needed its key (overlap=restart)"
    run, due = facts.heir
    run_id = facts.run_text(run, due.scheduled_us)
    return f"the newer {run_id} of {stamp(due.scheduled_us)} replaced it (overlap=restart)"


# -- moments that did not run -------------------------------------------------------------------


def _skipped(facts: Facts, story: Why, row: Row) -> list[str]:
    story["outcome"], story["because"] = "skipped", "overlap"
    head = f"{facts.standing.name} was skipped at {stamp(row.scheduled_us)}"
    due = None if facts.by is None else facts.by[1]
    if facts.by is None or due is None:
        return [f"{head}: an earlier run was still open (overlap=skip)."]
    which = f"{facts.run_text(facts.by[0], due.scheduled_us)} of {stamp(due.scheduled_us)}"
    if due.timer != row.timer:
        story["because"] = "key"
        return [f"{head}: {due.timer} was ahead of it for the key, with {which} (overlap=skip)."]
    if facts.is_by_over:
        return [f"{head}: {which} had timed out, and went on in its thread (overlap=skip)."]
    return [f"{head}: {which} was still open (overlap=skip)."]


def _missed(facts: Facts, story: Why, row: Row) -> tuple[int | None, list[str]]:
    """The moment, if it can be told which of the range it is, and the sentences."""
    assert row.last_us is not None
    first_us, last_us = row.scheduled_us, row.last_us
    moment_us = facts.standing.moment_of(row, facts.until_us)
    is_same = facts.standing.has_range(row)
    story.update(
        {
            "outcome": "missed",
            "because": row.reason,
            "moments": row.moments,
            "first_at": text(first_us),
            "last_at": text(last_us),
        }
    )
    if row.run is not None:
        story["run_id"] = facts.run_text(row.run, first_us)
    name, many = facts.standing.name, f"{row.moments:,} moments from {stamp(first_us)} to"
    if row.moments == 1 and first_us == last_us:
        why = _kept_moment(facts, story, row, first_us)
        return moment_us, [f"{name} did not run at {stamp(first_us)}: {why}.", *_heir(facts, row)]
    left_out = facts.standing.left_out(moment_us) if is_same and moment_us is not None else None
    if moment_us is not None and left_out is not None and left_out != row.reason:
        story["because"] = left_out
        why = left_out_by(facts.standing, moment_us, left_out)
        return moment_us, [f"{name} did not run at {stamp(moment_us)}: {why}."]
    if facts.asked_us is None or moment_us is None:
        why = _kept_range(facts, story, row)
        head = f"{many} {stamp(last_us)} did not run: {why}."
        return moment_us, [head[0].upper() + head[1:], *_heir(facts, row)]
    why = _kept_moment(facts, story, row, moment_us)
    head = f"{name} did not run at {stamp(moment_us)}: {why}."
    return moment_us, [head, f"It is one of {many} {stamp(last_us)}.", *_heir(facts, row)]


def _kept_moment(facts: Facts, story: Why, row: Row, moment_us: int) -> str:
    down = down_that_kept(facts, row.reason, moment_us, row.at_us)
    put_window(story, row.reason, down)
    why = because(facts.standing, row.reason, moment_us, row.at_us, down)
    if facts.resumed is not None and facts.resumed.reason == BY_ITSELF:
        why = _until_it_ended(facts, row, facts.resumed)
    if row.reason in (Reason.GRACE, Reason.CAP) and down is not None:
        why += f"; {was_down(down, moment_us)}"
    return why


def _until_it_ended(facts: Facts, row: Row, resumed: TimerResumed) -> str:
    """Of a pause that ended by itself; nobody may have been there to see that."""
    down = down_after(facts.standing, row.last_us or row.scheduled_us)
    was_away = down is not None and down.to_us is not None and down.to_us <= row.at_us
    if was_away or (resumed.next_us is not None and resumed.next_us <= resumed.at_us):
        return f"the timer was paused; by {stamp(row.at_us)} that had ended by itself"
    return f"the timer was paused until {stamp(row.at_us)}, when that ended by itself"


def _kept_range(facts: Facts, story: Why, row: Row) -> str:
    """The reason of a range; the process may have been down more than once in it."""
    assert row.last_us is not None
    first = down_that_kept(facts, row.reason, row.scheduled_us, row.at_us)
    last = down_that_kept(facts, row.reason, row.last_us, row.at_us)
    if first == last or row.reason not in (Reason.DOWN, Reason.STOPPED):
        return _kept_moment(facts, story, row, row.scheduled_us)
    put_window(story, row.reason, last)
    return "at the last of them " + was_down(last, row.last_us)


def _heir(facts: Facts, row: Row) -> list[str]:
    """The run that stands for what was missed, or what this one stood for."""
    if row.run is not None:
        return stands_for(facts)
    if facts.heir is None:
        return []
    run, due = facts.heir
    run_id = facts.run_text(run, due.scheduled_us)
    return [f"The run of {stamp(due.scheduled_us)} stands for what was missed: {run_id}."]
