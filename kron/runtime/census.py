"""The census: how many timers are in which state, and what open runs wait for.

A million of them take a quarter of a second, so they are counted in slices with turns of the loop
between them, and so rarely that it costs the loop one part in a hundred.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from kron.core.capacity import Capacity
from kron.core.model import Mark, Overlap, RunState
from kron.core.state import State
from kron.core.things import Run, Timer
from kron.core.timer_query import STATES
from kron.core.timing import is_invalid

_ALLOW, _RETRYING, _NO_MARK = Overlap.ALLOW, RunState.RETRYING, Mark.NONE
T = TypeVar("T")
K = TypeVar("K")

SLICE = 2_048
STRIDE = 100_000
"""So many are counted, or skipped, in about a millisecond."""
REST = 100
"""So many times what it took pass before they are counted again."""
WAITS = ("overlap", "retry", "orphaned", "capacity", "key", "threads")
"""An open run waits behind another one of its timer, for its next attempt, for its callable, or
for what `Capacity.obstacle` says."""


class Counts(NamedTuple):
    """Timers by state, open runs under way, and the others by what they wait for. It is of about
    now: a record that is on its way may be in it, and changes go on while it is taken."""

    timers: dict[str, int]
    running: int
    waiting: dict[str, int]


class Census:
    """Counts the things of one State, on the loop it belongs to."""

    def __init__(self, state: State, capacity: Capacity) -> None:
        self._state = state
        self._obstacle = capacity.obstacle
        self._one_at_a_time = asyncio.Lock()
        self._latest: Counts | None = None
        self._again_s = 0.0
        self._spent_s = 0.0

    async def take(self) -> Counts:
        """The counts, or those from before while it is too early to count again."""
        async with self._one_at_a_time:
            if self._latest is None or time.monotonic() >= self._again_s:
                self._spent_s = 0.0
                timers = await self._count(self._state.timers, self._word)
                runs = await self._count(self._state.runs, self._progress)
                self._latest = Counts(
                    {word: timers[word] for word in (*STATES, "finished")},
                    runs["running"],
                    {word: runs[word] for word in WAITS},
                )
                self._again_s = time.monotonic() + REST * self._spent_s
            return self._latest

    async def _count(self, things: dict[K, T], word_of: Callable[[T], str]) -> Counter[str]:
        """From both ends to the middle: it is long to find a place again that is far from one."""
        words: Counter[str] = Counter()
        half = len(things) // 2
        async for part in self._parts(lambda: iter(things.values()), half):
            words.update(map(word_of, part))
        async for part in self._parts(lambda: reversed(things.values()), len(things) - half):
            words.update(map(word_of, part))
        return words

    async def _parts(self, begin: Callable[[], Iterator[T]], size: int) -> AsyncIterator[list[T]]:
        """The first `size` of what `begin` walks over, in slices, with turns of the loop between
        them. What comes or goes meanwhile may be counted or not."""
        left, here, at, stride = begin(), 0, 0, STRIDE
        while at < size:
            began_s = time.perf_counter()
            try:
                if here < at:
                    here += _skip(left, min(stride, at - here))
                elif part := list(islice(left, min(SLICE, size - at))):
                    yield part
                    here = at = at + len(part)
                    stride = STRIDE
                else:
                    return
            except RuntimeError:  # the dict has changed its size: find the place again
                left, here, stride = begin(), 0, 2 * stride  # in ever fewer turns
            self._spent_s += time.perf_counter() - began_s
            if at < size:
                await asyncio.sleep(0)

    def _word(self, timer: Timer) -> str:
        """As `list()` has it."""
        if is_invalid(self._state, timer.definition):
            return "invalid"
        if timer.paused is not None:
            return "paused"
        if timer.bound_us is None and not timer.is_finished:
            return "orphaned"
        if timer.open:
            runs = [run for id_ in timer.open if (run := self._state.runs.get(id_)) is not None]
            if any(run.is_under_way for run in runs):
                return "running"
            if any(run.state is _RETRYING for run in runs):
                return "retrying"
        if timer.mark is not _NO_MARK:
            return timer.mark.value
        return "finished" if timer.next_us is None and not timer.open else "scheduled"

    def _progress(self, run: Run) -> str:
        """ "running", one of WAITS, or "" for a run that is about to start."""
        if run.is_under_way:
            return "running"
        if run.timer.bound_us is None:
            return "orphaned"
        if (obstacle := self._obstacle(run.id)) is not None:
            return obstacle
        if run.state is _RETRYING:
            return "retry"
        is_behind = run.timer.definition.terms.overlap is not _ALLOW and run.timer.open[0] != run.id
        return "overlap" if is_behind or run.timer.lingers else ""


def _skip(things: Iterator[object], count: int) -> int:
    next(islice(things, count, count), None)
    return count
