"""The agenda: what every timer and run waits for follows from the state, and this keeps it so.

`arm` looks at one thing and gives it the deadline that its state says, or none. Nothing of it is
in the log: it is made again from the state, in any order, as often as wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from .deadlines import Deadlines
from .model import ONE_SHOT_KINDS, Overlap, RunState
from .state import State
from .things import Run, Thing, Timer
from .timing import PAST_GRACE_US, is_invalid, look_us

KEEP_FINISHED_US = 30 * 86_400_000_000
"""A finished one-shot is shown for so long, then it is let go."""
FINISHED_KEPT = 100_000
"""The oldest of more finished one-shots than this are let go before."""

_ALLOW, _DELAY = Overlap.ALLOW, Overlap.DELAY
_DUE, _RETRYING = RunState.DUE, RunState.RETRYING


class Agenda:
    """Deadlines in steady time; `now_us` is what they are compared with."""

    def __init__(self, state: State) -> None:
        self.deadlines = Deadlines()
        self.keep_finished_us = KEEP_FINISHED_US
        self.now_us = 0
        self._state = state
        self._finished: dict[int, tuple[int, Timer]] = {}
        self._ends: list[tuple[int, int]] = []  # a heap that forgets lazily

    # -- what comes next ---------------------------------------------------------------------

    def next(self) -> int | None:
        """When there is something to look at; None: never."""
        due_us, go_us = self.deadlines.next(), self._next_to_go()
        if due_us is None or go_us is None:
            return due_us if go_us is None else go_us
        return min(due_us, go_us)

    def pop_finished(self) -> Timer | None:
        """The finished one-shot that is to be let go by now, if there is one."""
        go_us = self._next_to_go()
        if go_us is None or go_us > self.now_us:
            return None
        _, id_ = heappop(self._ends)
        return self._finished.pop(id_)[1]

    def _next_to_go(self) -> int | None:
        """The one that ended first. Nothing goes within a minute of its end: a late `at=` that is
        scheduled again would fire again."""
        ends, finished = self._ends, self._finished
        while ends and finished.get(ends[0][1], (None,))[0] != ends[0][0]:
            heappop(ends)
        if not ends:
            return None
        keep_us = 0 if len(finished) > FINISHED_KEPT else self.keep_finished_us
        return ends[0][0] - self._state.shift_us + max(keep_us, PAST_GRACE_US)

    # -- deadlines follow from the state -----------------------------------------------------

    def arm_finished(self) -> None:
        """All finished one-shots there are."""
        for timer in self._state.timers.values():
            if timer.is_finished:
                self._note_finished(timer)

    def arm_all(self, things: Iterable[Thing]) -> None:
        """Each of them."""
        for thing in things:
            self.arm(thing)

    def arm(self, thing: Thing) -> None:
        """Give the thing its deadline; with a timer also the open run that may go first."""
        if isinstance(thing, Run):
            self.deadlines.arm(thing, self._of_run(thing))
            return
        self.arm_timer(thing)
        if thing.open and thing.definition.terms.overlap is not _ALLOW:
            self.arm_runs(thing.open[:1])

    def arm_timer(self, timer: Timer) -> None:
        """The timer without its runs: enough where those that are open are under way."""
        deadline_us = timer.next_us
        if deadline_us is not None:
            deadline_us = self._of_timer(timer, deadline_us)
        if deadline_us != timer.deadline_us:
            self.deadlines.arm(timer, deadline_us)
        if timer.definition.kind in ONE_SHOT_KINDS or timer.id in self._finished:
            self._note_finished(timer)

    def arm_runs(self, ids: tuple[int, ...]) -> None:
        """Open runs; all of a timer's, where a change may concern more than the first."""
        for id_ in ids:
            run = self._state.runs.get(id_)
            if run is not None:  # None: undone, and so is its timer
                self.deadlines.arm(run, self._of_run(run))

    def _of_run(self, run: Run) -> int | None:
        """A run waits for its callable, its time, and (not under `allow`) the runs before it."""
        timer, state = run.timer, run.state
        if state is _DUE:
            # Not later than now, also after the wall clock went back.
            deadline_us: int | None = min(run.due_us - self._state.shift_us, self.now_us)
        elif state is _RETRYING:
            deadline_us = run.retry_us
        else:
            return None
        is_first = timer.definition.terms.overlap is _ALLOW or timer.open[:1] == (run.id,)
        if timer.bound_us is None or not is_first or run.id not in self._state.runs:
            return None
        return deadline_us

    def _of_timer(self, timer: Timer, next_us: int) -> int | None:
        if timer.bound_us is None or timer.paused_us is not None:
            return None
        if timer.open and timer.definition.terms.overlap is _DELAY:
            return None
        if self._state.timers.get(timer.name) is not timer:
            return None
        definition, shift_us = timer.definition, self._state.shift_us
        if is_invalid(self._state, definition):
            return None
        if definition.terms.is_particular:
            next_us = look_us(timer, shift_us) or next_us
        return next_us - shift_us if shift_us and not definition.is_elapsed else next_us

    def _note_finished(self, timer: Timer) -> None:
        """It may have been changed into another kind, removed, or undone since it was noted."""
        is_kept = self._state.timers.get(timer.name) is timer
        if not (timer.is_finished and is_kept):
            self._finished.pop(timer.id, None)
            return
        end = (timer.finished_us, timer)
        if self._finished.get(timer.id) != end:
            self._finished[timer.id] = end
            heappush(self._ends, (timer.finished_us, timer.id))
        if len(self._ends) > 2 * len(self._finished) + 64:
            self._ends = [(end_us, id_) for id_, (end_us, _) in self._finished.items()]
            heapify(self._ends)
