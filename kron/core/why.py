"""Why a moment ran, or did not, as a story in words and the same as data; from facts alone.

Who collects the facts is `kron/runtime/story.py`. What is not among them (records that were let go)
is not guessed: the story is shorter then.
"""

from __future__ import annotations

from datetime import UTC
from typing import NamedTuple

from typing_extensions import TypedDict

from . import events as ev
from .accounts import tell_past
from .ids import run_id_text
from .instants import text
from .outlook import Outlook, ahead, in_progress, no_process, outlook
from .rows import Row
from .standing import SECOND_US, OpenRun, Standing
from .telling import retold

Window = TypedDict("Window", {"from": str | None, "to": str | None})


class Why(TypedDict):
    """The story of the latest due moment at or before `asked_at`. Times are RFC 3339 in UTC.

    `outcome` is one of ran, running, waiting (a run is there, but not begun, or between two
    attempts), failed (it is dead), cancelled, missed, skipped, pending (it has come, and nothing
    has been done about it yet), coming (in the future), none (nothing was due, or will be),
    unknown (the records of that time were let go). `because` is a reason of RUN_DUE or RUN_MISSED
    (also of a moment that a backfill has run since), "backfill", "overlap", "retry", what it waits
    for ("capacity", "key", "threads", "thread"), "cancel", "removed", "crashed", "shutdown",
    "restart", or None. `window` is when no process ran (if it was killed, from its last sign of
    life on; None: not known, or not yet). A missed moment may be one of `moments`, from `first_at`
    to `last_at`. `text` has the sentences.
    """

    timer: str
    asked_at: str | None
    scheduled_at: str | None
    outcome: str
    ran_at: str | None
    ended_at: str | None
    late_ms: float | None
    because: str | None
    window: Window | None
    run_id: str | None
    attempts: int
    error: str | None
    moments: int
    first_at: str | None
    last_at: str | None
    next_run_at: str | None
    next_because: str | None
    text: list[str]


class Again(NamedTuple):
    """The latest run of a backfill for a moment: its last line of history or, if it is open, the
    run; `tries` and `due` as those of Facts."""

    scheduled_us: int
    row: Row | None = None
    run: OpenRun | None = None
    tries: tuple[Row, ...] = ()
    due: ev.RunDue | None = None


class Facts(NamedTuple):
    """What is known about the latest moment at or before `asked_us` (None: now).

    `row` is the latest line of history about it, `run` its run if that is open, `tries` the lines
    of its run's attempts, newest first, and `due` its RUN_DUE. `by` is the run that was in the way
    of a skipped one, `heir` the run that stands for a missed one, or took the place of one that
    was stopped, each with its RUN_DUE. `again` is what a backfill has made of the moment,
    `resumed` the end of the pause that it fell into.

    `is_by_over` says that `by` had ended, but for a thread that nothing can stop, `is_stop_known`
    that the event was found by which a run was stopped for another one, `is_complete` that no
    record was let go, `is_past_era` that the clock was set back by hours since.
    """

    standing: Standing
    log_id: str
    asked_us: int | None = None
    row: Row | None = None
    run: OpenRun | None = None
    tries: tuple[Row, ...] = ()
    due: ev.RunDue | None = None
    by: tuple[int, ev.RunDue | None] | None = None
    heir: tuple[int, ev.RunDue] | None = None
    again: Again | None = None
    is_by_over: bool = False
    is_stop_known: bool = False
    resumed: ev.TimerResumed | None = None
    is_complete: bool = True
    is_past_era: bool = False

    @property
    def at_us(self) -> int:
        """The instant asked about."""
        return self.standing.now_us if self.asked_us is None else self.asked_us

    @property
    def until_us(self) -> int:
        """Whoever names a second means all of it."""
        return until_of(self.at_us)

    def run_text(self, run: int, scheduled_us: int) -> str:
        """The id of a run as people see it."""
        return run_id_text(run, scheduled_us, self.log_id)


def until_of(at_us: int) -> int:
    """The end of the second, if an instant is a whole one."""
    return at_us if at_us % SECOND_US else at_us + SECOND_US - 1


def why(facts: Facts) -> Why:
    """The story."""
    standing = facts.standing
    comes = outlook(standing)
    story = _blank(facts, comes)
    if facts.asked_us is not None and facts.asked_us > standing.now_us:
        _tell_future(facts, story)
    else:
        tell_past(facts, story)
    if facts.asked_us is None:
        more = [*no_process(standing), *in_progress(standing), comes.text]
        story["text"] = [*dict.fromkeys([*story["text"], *more])]
    story["because"] = story["because"] and str(story["because"])
    story["next_because"] = story["next_because"] and str(story["next_because"])
    story["text"] = retold(story["text"], UTC, mark="Z")
    return story


def _tell_future(facts: Facts, story: Why) -> None:
    coming = ahead(facts.standing, facts.at_us, facts.until_us)
    story["scheduled_at"] = text(coming.moment_us)
    story["outcome"] = "none" if coming.moment_us is None else "coming"
    story["because"] = coming.because
    story["text"] = [*coming.text, *no_process(facts.standing)]


def _blank(facts: Facts, comes: Outlook) -> Why:
    return {
        "timer": facts.standing.name,
        "asked_at": text(facts.at_us),
        "scheduled_at": None,
        "outcome": "none",
        "ran_at": None,
        "ended_at": None,
        "late_ms": None,
        "because": None,
        "window": None,
        "run_id": None,
        "attempts": 0,
        "error": None,
        "moments": 0,
        "first_at": None,
        "last_at": None,
        "next_run_at": text(comes.at_us),
        "next_because": comes.because or None,
        "text": [],
    }
