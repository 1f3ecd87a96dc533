"""The timer heap: who wants to be looked at next, and when, in steady microseconds.

An owner is anything with a `deadline_us` slot. The heap holds instants; owners with one instant
share its entry, in the order armed. It forgets lazily: an entry counts only while its owner still
wants that very time, so changing one timer among a million touches one entry. When most entries
are stale the heap is built anew.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Protocol


class Owner(Protocol):
    """Something with at most one deadline."""

    deadline_us: int | None


class Deadlines:
    """A heap of owners by `deadline_us`; owners due at one instant come in the order armed."""

    __slots__ = ("_armed", "_at", "_due", "_due_us", "_entries", "_heap")

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._at: dict[int, Owner | list[Owner]] = {}
        self._due: list[Owner] = []  # of the instant that is being worked off, the last one first
        self._due_us = 0
        self._entries = 0
        self._armed = 0

    def __len__(self) -> int:
        return self._armed

    def arm(self, owner: Owner, deadline_us: int | None) -> None:
        """Give the owner a deadline, instead of the one it may have; None takes it away."""
        if owner.deadline_us == deadline_us:
            return
        self._armed += (deadline_us is not None) - (owner.deadline_us is not None)
        owner.deadline_us = deadline_us
        if deadline_us is not None:
            self._enter(owner, deadline_us)
            if self._entries > 2 * self._armed + 64:
                self._sweep()

    def next(self) -> int | None:
        """The earliest deadline, or None."""
        due_us = self._due_us if self._has_due() else None
        coming_us = self._coming()
        if due_us is None or coming_us is None:
            return coming_us if due_us is None else due_us
        return min(due_us, coming_us)

    def pop_due(self, steady_us: int) -> Owner | None:
        """Take the first owner whose deadline is not after `steady_us`; it is disarmed."""
        while not self._has_due() or (self._heap and self._heap[0] < self._due_us):
            coming_us = self._coming()
            if self._due and (coming_us is None or coming_us >= self._due_us):
                break
            if coming_us is None or coming_us > steady_us:
                return None
            self._take(coming_us)
        if self._due_us > steady_us:
            return None
        owner = self._due.pop()
        owner.deadline_us = None
        self._entries -= 1
        self._armed -= 1
        return owner

    def _has_due(self) -> bool:
        """Whether an owner is left of the instant that is being worked off; it is the last one."""
        due, due_us = self._due, self._due_us
        while due and due[-1].deadline_us != due_us:
            due.pop()
            self._entries -= 1
        return bool(due)

    def _coming(self) -> int | None:
        """The first instant in the heap that somebody still wants. It is only looked at: its
        owners are not moved before it has come."""
        while self._heap:
            deadline_us = self._heap[0]
            owners = self._at[deadline_us]
            if not isinstance(owners, list):
                owners = [owners]
            while owners and owners[-1].deadline_us != deadline_us:
                owners.pop()
                self._entries -= 1
            if owners:
                return deadline_us
            heappop(self._heap)
            del self._at[deadline_us]
        return None

    def _take(self, deadline_us: int) -> None:
        """Begin to work the first instant of the heap off."""
        heappop(self._heap)
        owners = self._at.pop(deadline_us)
        self._put_back()
        self._due_us = deadline_us
        self._due = owners[::-1] if isinstance(owners, list) else [owners]

    def _put_back(self) -> None:
        """What is left of an instant, because something earlier was armed meanwhile."""
        if self._due:
            here = self._at.get(self._due_us)
            later = [] if here is None else here if isinstance(here, list) else [here]
            if here is None:
                heappush(self._heap, self._due_us)
            self._at[self._due_us] = [*reversed(self._due), *later]
            self._due = []

    def _enter(self, owner: Owner, deadline_us: int) -> None:
        self._entries += 1
        here = self._at.get(deadline_us)
        if here is None:
            self._at[deadline_us] = owner
            heappush(self._heap, deadline_us)
        elif isinstance(here, list):
            here.append(owner)
        else:
            self._at[deadline_us] = [here, owner]

    def _sweep(self) -> None:
        # An owner armed away and back to the same time has two entries that look alive; one is
        # enough, and pop_due would take only the first anyhow.
        self._put_back()
        seen: set[int] = set()
        kept: dict[int, Owner | list[Owner]] = {}
        self._entries = 0
        for deadline_us, here in self._at.items():
            owners = here if isinstance(here, list) else [here]
            alive = [each for each in owners if each.deadline_us == deadline_us]
            alive = [each for each in dict.fromkeys(alive) if id(each) not in seen]
            seen.update(map(id, alive))
            if alive:
                kept[deadline_us] = alive if len(alive) > 1 else alive[0]
                self._entries += len(alive)
        self._at = kept
        self._heap = list(kept)
        heapify(self._heap)
