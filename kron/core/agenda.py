"""The agenda: what every timer and run waits for follows from the state, and this keeps it so.

`arm` looks at one thing and gives it the deadline that its state says, or none. Nothing of it is
in the log: it is made again from the state, in any order, as often as wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from .capacity import Capacity
from .catch_up import SKIP_GRACE_US
from .deadlines import Deadlines
from .model import ONE_SHOT_KINDS, Cause, Missed, Overlap, RunState
from .state import State
from .things import Run, Thing, Timer
from .timing import PAST_GRACE_US, is_invalid, look_us

LOOK_AGAIN_US = 1_000
"""What is not there yet is looked at again no sooner: the clock may stand still."""
CHANCE_US = 1_000_000
"""Who is too late already when it lines up waits at least so long: there may be room."""
KEEP_FINISHED_US = 30 * 86_400_000_000
"""A finished one-shot is shown for so long, then it is let go."""
FINISHED_KEPT = 100_000
"""The oldest of more finished one-shots than this are let go before."""

_ALLOW, _DELAY = Overlap.ALLOW, Overlap.DELAY
_DUE, _RETRYING, _RUNNING = RunState.DUE, RunState.RETRYING, RunState.RUNNING


class Agenda:
    """Deadlines in steady time; `now_us` is what they are compared with."""

    def __init__(self, state: State, capacity: Capacity) -> None:
        self.deadlines = Deadlines()
        self.keep_finished_us = KEEP_FINISHED_US
        self.now_us = 0
        self._state = state
        self._capacity = capacity
        self._finished: dict[int, tuple[int, Timer]] = {}
        self._ends: list[tuple[int, int]] = []  # two heaps that forget lazily
        self.timeouts: list[tuple[int, int, int]] = []
        self._popped: list[tuple[int, int, int]] = []

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
        if timer.paused is not None or timer.past.backfills:
            deadline_us = self._of_several(timer)
        elif deadline_us is not None:
            deadline_us = self._of_moment(timer, deadline_us)
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
        state = run.state
        if state is not _DUE and state is not _RETRYING:
            return None
        if self._capacity.is_waiting(run):
            end_us = self.grace_end_us(run)
            soon_us = self._capacity.waits_since(run) + CHANCE_US
            return None if end_us is None else max(end_us - self._state.shift_us, soon_us)
        return self.ready_us(run) if self.is_ready(run) else None

    def ready_us(self, run: Run) -> int:
        """Since when a waiting run is ready to start: not later than now, also after the wall clock
        went back."""
        if run.retry_us is not None:
            return run.retry_us
        return min(run.due_us - self._state.shift_us, self.now_us)

    def grace_end_us(self, run: Run) -> int | None:
        """Until when (wall time) a run may wait for room; None: for ever. A run that was asked for
        by hand, or has been tried before, has no grace."""
        terms = run.timer.definition.terms
        grace_us = SKIP_GRACE_US if terms.missed is Missed.SKIP else None
        grace_us = grace_us if terms.grace_us is None else terms.grace_us
        is_first = run.state is _DUE and run.cause == Cause.SCHEDULE
        return run.scheduled_us + grace_us if is_first and grace_us is not None else None

    # -- attempts that are under way have their own, also while the process drains -------------

    def watch(self, run: Run, began_us: int) -> None:
        """An attempt has begun: stop it when its time is up."""
        timeout_us = run.timer.definition.terms.timeout_us
        if timeout_us is not None:
            before = run.began_us, run.until_us
            self._state.on_undo(lambda: _put_back(run, before))
            run.began_us = began_us
            run.until_us = run.began_us + timeout_us
            heappush(self.timeouts, (run.until_us, run.id, run.attempt))

    def pop_timeout(self) -> Run | None:
        """An attempt whose time is up by now."""
        if self.timeouts and (end_us := self.next_timeout()) is not None and end_us <= self.now_us:
            self._popped.append(heappop(self.timeouts))
            return self._state.runs[self._popped[-1][1]]
        return None

    def next_timeout(self) -> int | None:
        """When the time of the next one is up."""
        while self.timeouts:
            end_us, id_, attempt = self.timeouts[0]
            run = self._state.runs.get(id_)
            # Of a run that was undone another one may have the number: refused_run_and_its_timeout.
            is_this = run is not None and (run.until_us, run.attempt) == (end_us, attempt)
            if run is not None and is_this and run.state is _RUNNING:
                return end_us
            self._popped.append(heappop(self.timeouts))
        return None

    def confirm(self) -> None:
        """What has been decided since the last one is durable."""
        if self._popped:
            self._popped = []

    def undo(self) -> None:
        """Watch again what was watched at the last `confirm`."""
        for each in self._popped:
            heappush(self.timeouts, each)
        self._popped = []

    # -- a timer ------------------------------------------------------------------------------

    def is_ready(self, run: Run) -> bool:
        """True if nothing of its own timer keeps a waiting run from starting when it is time."""
        timer = run.timer
        is_allowed = timer.definition.terms.overlap is _ALLOW
        if timer.lingers and (not is_allowed or run.id in timer.lingers):
            return False
        is_first = is_allowed or timer.open[:1] == (run.id,)
        return timer.bound_us is not None and is_first and run.id in self._state.runs

    def _of_several(self, timer: Timer) -> int | None:
        """The end of a pause, the next moment, the next of a backfill: the first of them."""
        if self._state.timers.get(timer.name) is not timer:
            return None
        is_here = timer.bound_us is not None
        end_us = self.pause_end_us(timer) if is_here else None  # no sooner than its callable is
        waits = (end_us, self.moment_us(timer), self.backfill_us(timer))
        return min((each for each in waits if each is not None), default=None)

    def moment_us(self, timer: Timer) -> int | None:
        """When the timer's next moment is due."""
        return None if timer.next_us is None else self._of_moment(timer, timer.next_us)

    def pause_end_us(self, timer: Timer) -> int | None:
        """When the timer's pause ends by itself."""
        pause = timer.paused
        if pause is None or pause.until_us is None:
            return None
        return pause.until_us - (0 if pause.is_elapsed else self._state.shift_us)

    def backfill_us(self, timer: Timer) -> int | None:
        """When there is something to do about the timer's first backfill: at once, or nothing."""
        if not timer.past.backfills or timer.bound_us is None or timer.paused is not None:
            return None
        if is_invalid(self._state, timer.definition):
            return None
        backfill = timer.past.backfills[0]
        at_once = backfill.concurrency if timer.definition.terms.overlap is _ALLOW else 1
        is_open = len(timer.open) - len(self._state.regular(timer))
        has_room = is_open < at_once if backfill.next_us is not None else not is_open
        return 0 if has_room else None

    def _is_behind(self, timer: Timer) -> bool:
        """True while a run of the timer (not of a backfill) is open, or nothing could stop it."""
        return bool(timer.lingers) or (bool(timer.open) and bool(self._state.regular(timer)))

    def _of_moment(self, timer: Timer, next_us: int) -> int | None:
        if timer.bound_us is None or timer.paused is not None:
            return None
        if timer.definition.terms.overlap is _DELAY and self._is_behind(timer):
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


def _put_back(run: Run, times: tuple[int, int]) -> None:
    run.began_us, run.until_us = times
