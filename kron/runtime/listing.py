"""Many timers, found and put in order in slices: each as short as a turn of the loop may be.

A question about a hundred thousand timers looks at each once, and makes dicts only of those that
are wanted. Meanwhile the state moves on between the slices, so each dict is right as of its own
making, and all are put in order by what they then say.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from heapq import merge
from itertools import islice
from time import perf_counter
from typing import Generic, TypeAlias, TypeVar

from kron.core.metadata import is_same, meets
from kron.core.model import Definition, Mark, Terms
from kron.core.state import State
from kron.core.things import Timer
from kron.core.timer_query import TimerQuery
from kron.core.views import TimerStatus, standing_of

SLICE_SECONDS = 0.001
PART = 64
"""So many timers are looked at between two looks at the clock; a slow one takes 50 microseconds."""
LAST = 1 << 62
"""The next run of a timer that has none."""
RUN_LENGTH = 512
"""So many are sorted at once: half a millisecond."""

FEW = 10_000
"""So many may be kept in order all the while: what lies behind them needs no look."""
LOOKS = 5
"""How often a page is looked for of which some timers have got another state meanwhile."""

CALM = {"scheduled", "orphaned", "invalid"}
"""States of timers of which nothing else is to be seen: no run, no pause, no mark."""
_NO_MARK = Mark.NONE

T = TypeVar("T")
Slices = Generator[None, None, T]
"""What answers a question in slices: a turn of the loop belongs between two of them."""


class Pace:
    """How long the present slice has lasted."""

    def __init__(self) -> None:
        self._until_s = perf_counter() + SLICE_SECONDS

    def is_over(self) -> bool:
        """Whether it is time for a turn of the loop; then the next slice begins here."""
        now_s = perf_counter()
        if now_s < self._until_s:
            return False
        self._until_s = now_s + SLICE_SECONDS
        return True


Found: TypeAlias = tuple[int, str, Timer]
"""A timer, by what puts it in order: its next run, its name."""


Made: TypeAlias = tuple[bool, str, str, TimerStatus]
"""Its dict, by what puts that in order: no next run, the next run, the name (which is there once).
"""


K = TypeVar("K", Found, Made)


class Smallest(Generic[K]):
    """The smallest of many things, at most `reach` of them (None: all), in order; in short sorts.

    `bound` is a thing of which no equal or larger one needs to be added; None at first. `count`
    were added.
    """

    def __init__(self, reach: int | None) -> None:
        self.bound: K | None = None
        self.count = 0
        self._reach = reach
        self._is_few = reach is not None and reach <= FEW
        self._runs: list[list[K]] = []
        self._new: list[K] = []

    def add(self, things: list[K]) -> None:
        """Some more, in no order."""
        self._new += things
        self.count += len(things)
        if len(self._new) >= RUN_LENGTH:
            self._sort()

    def __iter__(self) -> Iterator[K]:
        self._sort()
        return islice(merge(*self._runs), self._reach)

    def _sort(self) -> None:
        new, self._new = self._new, []
        if self._is_few and self._runs:
            new += self._runs.pop()
        new.sort()
        if self._is_few:
            del new[self._reach :]
            if len(new) == self._reach and new:
                self.bound = new[-1]
        self._runs.append(new)


def in_order(
    state: State,
    query: TimerQuery,
    status_of: Callable[[Timer], TimerStatus],
    *,
    is_carried: bool,
) -> Slices[list[TimerStatus]]:
    """The answer to a question, as the dicts that `status_of` makes; `is_carried`: a process
    carries the timers out."""
    if query.limit == 0:
        return []
    pace = Pace()
    for _ in range(LOOKS):
        found = yield from _find(state, query, pace, is_carried=is_carried)
        made = yield from _make(state, found, query, status_of, pace)
        if query.reach is None or found.count < query.reach or made.count == query.limit:
            break
    rows: list[TimerStatus] = []
    for part in _parts(made):
        rows += [row for *_, row in part]
        if pace.is_over():
            yield
    return rows


def _find(
    state: State, query: TimerQuery, pace: Pace, *, is_carried: bool
) -> Slices[Smallest[Found]]:
    found: Smallest[Found] = Smallest(query.reach)
    for part in _parts(state.confirmed_now()):
        _look_at(state, part, query, found, is_carried=is_carried)
        if pace.is_over():
            yield
    return found


def _make(
    state: State,
    found: Iterable[Found],
    query: TimerQuery,
    status_of: Callable[[Timer], TimerStatus],
    pace: Pace,
) -> Slices[Smallest[Made]]:
    """What has gone meanwhile, or is another tenant's or in another state now, is left out."""
    made: Smallest[Made] = Smallest(None)
    for place, (_, name, timer) in enumerate(found):
        if place >= query.offset and state.confirmed_timer(name) is timer:
            row = status_of(timer)
            if _still_fits(row, query):
                next_run_at = row["next_run_at"]
                made.add([(next_run_at is None, next_run_at or "", name, row)])
        if pace.is_over():
            yield
    return made


def _still_fits(row: TimerStatus, query: TimerQuery) -> bool:
    """Whether what is shown is what was asked for: a timer may change after it was found."""
    fits = not query.metadata or meets(row["metadata"], query.metadata)
    return fits and query.wants_state(row["state"])


def names_of(state: State, query: TimerQuery) -> Slices[list[str]]:
    """The names of the timers that a question concerns; without its states."""
    names: list[str] = []
    pace = Pace()
    for part in _parts(state.confirmed_now()):
        names += [each.name for each in part if query.wants(each.name, each.definition.terms)]
        if pace.is_over():
            yield
    return names


def run_out(slices: Slices[T]) -> T:
    """All the slices, one after the other."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            answer: T = end.value
            return answer


def _look_at(
    state: State, part: list[Timer], query: TimerQuery, found: Smallest[Found], *, is_carried: bool
) -> None:
    """Those of a part that the question concerns, and that are not behind what it reaches."""
    step, shift_us, is_any = state.step, state.shift_us, query.states is None
    last_us, last_name = (LAST, "") if found.bound is None else found.bound[:2]
    part = _in_reach(state, part, query, last_us)
    if query.metadata or query.pattern:
        part = _fitting(state, part, query)
    is_plain = not state.unknown_zones
    wanted: list[Found] = []
    for timer in part:
        definition, next_us = timer.definition, timer.next_us
        pause = timer.paused
        is_usual = not (timer.open or definition.terms.is_particular) and timer.stamp != step
        if is_usual and is_plain and (pause is None or pause.until_us is None):
            # In a tenth of the time: nearly all are like this.
            if pause is not None:
                word, next_us = "paused", None
            elif is_carried and timer.bound_us is None and not timer.is_finished:
                word = "orphaned"
            else:
                word = timer.mark.value or "scheduled"
            if shift_us and next_us is not None and definition.is_elapsed:
                next_us += shift_us
        else:
            word, next_us = standing_of(state, timer, is_carried=is_carried)
        if next_us is None:
            next_us = LAST
        if next_us > last_us or (last_name and next_us == last_us and timer.name > last_name):
            continue
        if is_any or query.wants_state(word):
            wanted.append((next_us, timer.name, timer))
    if wanted:
        found.add(wanted)


def _in_reach(state: State, part: list[Timer], query: TimerQuery, last_us: int) -> list[Timer]:
    """Those that may be wanted: most of many are seen at a glance not to be."""
    step = state.step
    if last_us != LAST:  # none starts before its moment
        until_us = last_us + abs(state.shift_us)
        part = [
            each
            for each in part
            if each.next_us is None
            or each.next_us <= until_us
            or each.open
            or each.paused
            or each.stamp == step
        ]
    if query.states is not None and not query.states & CALM:  # so something has happened to it
        part = [
            each
            for each in part
            if each.open or each.paused or each.stamp == step or each.mark is not _NO_MARK
        ]
    return part


def _fitting(state: State, part: list[Timer], query: TimerQuery) -> list[Timer]:
    """Those that the question concerns by what they are, as of the last confirmed record."""
    step = state.step
    touched = [each for each in part if each.stamp == step]
    if not touched:
        return _with(part, query)
    part = _with([each for each in part if each.stamp != step], query)
    return part + [each for each in touched if query.wants(each.name, _terms(state, each))]


def _terms(state: State, timer: Timer) -> Terms:
    """Those of a timer that has changed since the last confirmed record, before that."""
    definition: Definition = state.confirmed(timer)["definition"]
    return definition.terms


def _with(part: list[Timer], query: TimerQuery) -> list[Timer]:
    """Those with that metadata and name; a condition asks who is left of the one before."""
    for condition in query.metadata:
        path, value = condition.path, condition.value
        if len(condition.keys) == 1:
            part = [
                each
                for each in part
                if (known := each.definition.terms.metadata) is not None
                if path in known and known[path] == value and is_same(known[path], value)
            ]
        else:
            part = [
                each
                for each in part
                if (known := each.definition.terms.metadata) is not None
                if condition.is_met(known)
            ]
    if query.pattern is not None:
        part = [each for each in part if query.fits_pattern(each.name, each.definition.terms)]
    return part


def _parts(things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while part := list(islice(left, PART)):
        yield part
