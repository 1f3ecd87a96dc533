"""Who may run now: one pure rule for weights, keys and worker threads.

A run whose time has come and that finds no room lines up: by priority, then by when it was ready.
The head of the line waits until it fits, and nobody overtakes it, so a heavy run is not starved by
light ones. What stands in the way of one run alone (its key is taken, every thread is busy) does
not hold the line up: such a run is parked, and comes back into the line when its *pool*, the key or
the threads, has room.

Nothing of it is in the log. Who holds a place follows from the events (`follow`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, TypeAlias

from . import events as ev
from .model import Overlap
from .state import State
from .things import Run, Timer

THREADS = "threads"
CAPACITY = "capacity"
KEY = "key"
PLENTY = 1 << 30

_Entry: TypeAlias = tuple[int, int, int]
_Pool: TypeAlias = tuple[str, int]
"""A key and the limit that is asked of it; THREADS has none of its own."""
_LINE: _Pool = ("", 0)
_THREADS: _Pool = ("", 1)


class _Place(NamedTuple):
    """Where a run waits, which key it will need, its entry there, and since when it waits."""

    entry: _Entry
    pool: _Pool
    key: _Pool
    since_us: int


class _Held(NamedTuple):
    """What an attempt that is under way has of the room; `turn` says who had it first."""

    weight: int
    key: str
    turn: int


class Capacity:
    """The room that there is, who has it, and who waits for it. `is_used` says that weights or keys
    count, `is_followed` that `follow` wants to hear what happens. `parked` are runs that `admit`
    has just put aside because their key is taken."""

    def __init__(self, state: State) -> None:
        self.max_concurrency: int | None = None
        self.used = 0
        self.free_threads = PLENTY
        self.is_used = self.is_followed = False
        self._state = state
        self._held: dict[tuple[int, int], _Held] = {}
        self._holders: dict[str, dict[tuple[int, int], None]] = {}
        self._places: dict[int, _Place] = {}
        self._journal: list[tuple[int, _Place | None]] = []
        self._changes: list[tuple[tuple[int, int], _Held | None]] = []
        self._turns = self._taken = 0
        self._is_recounted = False
        self._heaps: dict[_Pool, list[_Entry]] = {_LINE: []}
        self.parked: list[Run] = []

    # -- what others ask ---------------------------------------------------------------------

    def starts_at_once(self, timer: Timer) -> bool:
        """True if a run of the timer need not line up: nobody counts what it takes, or there is
        plenty."""
        return not self.is_used and not (timer.is_threaded and self._are_threads_short())

    def is_waiting(self, run: Run) -> bool:
        """True if the run has lined up."""
        return run.id in self._places

    def waits_since(self, run: Run) -> int:
        """When a run has lined up that waits."""
        return self._places[run.id].since_us

    def obstacle(self, run_id: int) -> str | None:
        """What a run that has lined up waits for: "capacity", "key" or "threads"."""
        place = self._places.get(run_id)
        if place is None:
            return None
        run = self._state.runs.get(run_id)
        pool = self._full_pool(run, place) if run is not None else None
        if pool is None:
            return CAPACITY
        return THREADS if pool == _THREADS else KEY

    def would_fit(self, weight: int) -> bool:
        """True if there is room for so much, and only the line is in the way."""
        return self.max_concurrency is None or self.used + weight <= self.max_concurrency

    def waiting(self) -> dict[str, int]:
        """How many runs wait, by what they wait for."""
        counts = dict.fromkeys((CAPACITY, KEY, THREADS), 0)
        for run_id in self._places:
            counts[self.obstacle(run_id) or CAPACITY] += 1
        return counts

    def holder(self, timer: Timer) -> int | None:
        """The run of another timer that has had the key of this one for longest, if no place is
        free; one that waits for it counts."""
        key, limit = timer.definition.terms.lock_key, timer.definition.terms.key_limit
        if not self.is_used or not timer.definition.terms.is_key_bound:
            return None
        own = {*timer.open, *timer.lingers}
        ids = [run for run, _ in self._holders.get(key, ()) if run not in own]
        if len(ids) < limit:
            waiting = (id_ for id_, place in self._places.items() if place.key[0] == key)
            ids += sorted(id_ for id_ in waiting if id_ not in own)
        return ids[0] if len(ids) >= limit else None

    def holders(self, run: Run) -> list[int]:
        """The runs under way that have the run's key, if it is taken; the oldest first."""
        terms = run.timer.definition.terms
        holders = self._holders.get(terms.lock_key, {}) if terms.is_key_bound else {}
        return [id_ for id_, _ in holders] if len(holders) >= terms.key_limit else []

    def restarts_waiting(self, key: str) -> int:
        """How many runs wait for the key that may stop who has it."""
        ids = (id_ for id_, place in self._places.items() if place.key[0] == key)
        runs = (run for id_ in ids if (run := self._state.runs.get(id_)) is not None)
        return sum(run.timer.definition.terms.overlap is Overlap.RESTART for run in runs)

    # -- lining up ---------------------------------------------------------------------------

    def line_up(self, run: Run, ready_us: int, now_us: int) -> None:
        """The run's time has come. Once more: it may have another priority or key by now."""
        terms = run.timer.definition.terms
        entry, key = (-terms.priority, ready_us, run.id), _key_of(run)
        place = self._places.get(run.id)
        if place is not None and (place.entry, place.key) == (entry, key):
            return
        self.leave(run.id)
        self._put(run.id, _Place(entry, _LINE, key, now_us))

    def leave(self, run_id: int) -> None:
        """The run waits no longer."""
        place = self._places.get(run_id)
        if place is not None:
            self._drop(run_id)
            if place.pool == _LINE:
                self._call_up(place.key)

    def admit(self, is_ready: Callable[[Run], bool]) -> Run | None:
        """The run that is to start now, or None. Ask again when it has started."""
        line = self._heaps[_LINE]
        if self.free_threads > 0 and _THREADS in self._heaps:
            self._call_up(_THREADS)
        while (entry := self._first(line, _LINE)) is not None:
            run, place = self._state.runs.get(entry[2]), self._places[entry[2]]
            if run is None or run.is_under_way or not is_ready(run):
                self.leave(entry[2])
            elif (pool := self._full_pool(run, place)) is not None:
                heappop(line)
                self._put(run.id, place._replace(pool=pool))
                if pool != _THREADS:
                    self.parked.append(run)
            elif not self.would_fit(run.timer.definition.terms.weight):
                return None
            else:
                heappop(line)
                self._drop(run.id)
                return run
        return None

    def _put(self, run_id: int, place: _Place) -> None:
        self._journal.append((run_id, self._places.get(run_id)))
        self._places[run_id] = place
        self.is_followed = True
        heappush(self._heaps.setdefault(place.pool, []), place.entry)

    def _drop(self, run_id: int) -> None:
        self._journal.append((run_id, self._places.pop(run_id)))
        self.is_followed = self.is_used or bool(self._places)

    def _full_pool(self, run: Run, place: _Place) -> _Pool | None:
        key, limit = place.key
        if key and len(self._holders.get(key, ())) >= limit:
            return place.key
        return _THREADS if run.timer.is_threaded and self.free_threads <= 0 else None

    def _are_threads_short(self) -> bool:
        return self.free_threads <= 0 or _THREADS in self._heaps

    def _first(self, heap: list[_Entry], pool: _Pool) -> _Entry | None:
        """The first entry that still stands for somebody."""
        while heap:
            place = self._places.get(heap[0][2])
            if place is not None and place.pool == pool and place.entry == heap[0]:
                return heap[0]
            heappop(heap)
        return None

    def _call_up(self, pool: _Pool) -> None:
        """Let the first one that is parked there come back into the line."""
        heap = self._heaps.get(pool)
        if heap is None or pool == _LINE:
            return
        entry = self._first(heap, pool)
        if entry is not None:
            heappop(heap)
            self._put(entry[2], self._places[entry[2]]._replace(pool=_LINE))
        if not heap:
            del self._heaps[pool]

    # -- what counts -------------------------------------------------------------------------

    def begin(self, max_concurrency: int | None) -> None:
        """The process starts: nothing is under way."""
        self.max_concurrency = max_concurrency
        self.is_used = self.is_followed = max_concurrency is not None

    def count_keys(self, timer: Timer, lingering: Mapping[tuple[int, int], Run]) -> None:
        """There are keys, and a timer whose run is under way may just have got another one."""
        if not self.is_used:
            self.is_used = self.is_followed = self._is_recounted = True
            self._count_again(lingering)
            return
        key = timer.definition.terms.lock_key
        for attempt, held in [*self._held.items()]:
            if held.key != key and attempt[0] in (*timer.open, *timer.lingers):
                self.give_back(*attempt)
                self._changes.append((attempt, None))
                self._enter(attempt, held._replace(key=key))

    # -- who has what ------------------------------------------------------------------------

    def follow(self, events: Sequence[ev.Event]) -> None:
        """Take note of what has just been applied."""
        for event in events:
            note = _NOTES.get(type(event))
            if note is not None:
                note(self, event)

    def hold(self, timer: Timer, run_id: int, attempt: int) -> None:
        """The attempt takes its part of the room."""
        terms = timer.definition.terms
        self._turns += 1
        self._changes.append(((run_id, attempt), None))
        self._enter((run_id, attempt), _Held(terms.weight, terms.lock_key, self._turns))

    def _enter(self, attempt: tuple[int, int], held: _Held) -> None:
        self._held[attempt] = held
        self.used += held.weight
        if held.key:
            self._holders.setdefault(held.key, {})[attempt] = None

    def give_back(self, run_id: int, attempt: int) -> None:
        """The attempt needs it no longer. (Threads are counted by whoever has them.)"""
        held = self._held.pop((run_id, attempt), None)
        if held is None:
            return
        self._changes.append(((run_id, attempt), held))
        self.used -= held.weight
        holders = self._holders.get(held.key)
        if holders is not None:
            holders.pop((run_id, attempt), None)
            if not holders:
                del self._holders[held.key]
            for pool in [pool for pool in self._heaps if pool[0] == held.key and held.key]:
                self._call_up(pool)

    def hold_on(self, run_id: int, attempt: int) -> None:
        """The attempt goes on: it keeps what it has just given back."""
        for each, held in reversed(self._changes):
            if each == (run_id, attempt) and held is not None:
                self._changes.append((each, None))
                self._enter(each, held)
                return

    def take_thread(self) -> None:
        """An attempt has begun that needs one of the free threads."""
        self.free_threads -= 1
        self._taken += 1

    def confirm(self) -> None:
        """What has been decided since the last one is durable."""
        self._taken, self._is_recounted = 0, False
        if self._journal:
            self._journal = []
        if self._changes:
            self._changes = []

    def undo(self, lingering: Mapping[tuple[int, int], Run]) -> tuple[int, ...]:
        """Everybody waits where they waited at the last `confirm`, and has what they had. Returns
        whose place was another one."""
        moved = tuple(run_id for run_id, _ in self._journal)
        for run_id, place in reversed(self._journal):
            if place is None:
                self._places.pop(run_id, None)
            else:
                self._places[run_id] = place
        if self._journal:
            self._journal, self._heaps = [], {_LINE: []}
            for place in self._places.values():
                self._heaps.setdefault(place.pool, []).append(place.entry)
            for heap in self._heaps.values():
                heapify(heap)
        self.free_threads += self._taken
        if self._is_recounted:
            self._count_again(lingering)
        elif self._changes:
            self._have_back()
        self._taken, self._is_recounted, self._changes = 0, False, []
        return moved

    def _have_back(self) -> None:
        """What was held at the last `confirm`: a timer may weigh something else by now."""
        had = dict(self._held)
        for attempt, held in reversed(self._changes):
            if held is None:
                had.pop(attempt, None)
            else:
                had[attempt] = held
        self.used, self._held, self._holders = 0, {}, {}
        for attempt, held in sorted(had.items(), key=lambda each: each[1].turn):
            self._enter(attempt, held)

    def _count_again(self, lingering: Mapping[tuple[int, int], Run]) -> None:
        """Who has what, from the state."""
        self.used, self._held, self._holders = 0, {}, {}
        for run in self._state.runs.values():
            if run.is_under_way:
                self.hold(run.timer, run.id, run.attempt)
        for (run_id, attempt), run in lingering.items():
            self.hold(run.timer, run_id, attempt)

    def _started(self, event: ev.RunStarted) -> None:
        run = self._state.runs.get(event.run)
        if run is not None:
            self.hold(run.timer, run.id, event.attempt)

    def _ended(self, event: Any) -> None:
        self.give_back(event.run, event.attempt)
        self.leave(event.run)

    def _missed(self, event: ev.RunMissed) -> None:
        if event.run:
            self.leave(event.run)


def _key_of(run: Run) -> _Pool:
    terms = run.timer.definition.terms
    return (terms.lock_key, terms.key_limit) if terms.is_key_bound else _LINE


_NOTES: dict[type[ev.Event], Callable[[Capacity, Any], None]] = {
    ev.RunStarted: Capacity._started,
    ev.RunSucceeded: Capacity._ended,
    ev.RunFailed: Capacity._ended,
    ev.RunCancelled: Capacity._ended,
    ev.RunMissed: Capacity._missed,
}
