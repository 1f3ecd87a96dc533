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
        return self._due_us if self._load(None) else None

    def pop_due(self, steady_us: int) -> Owner | None:
        """Take the first owner whose deadline is not after `steady_us`; it is disarmed."""
        if not self._load(steady_us):
            return None
        owner = self._due.pop()
        owner.deadline_us = None
        self._entries -= 1
        self._armed -= 1
        return owner

    def _load(self, steady_us: int | None) -> bool:
        """Make the last of `_due` an owner that is armed for `_due_us`, the earliest deadline
        (not after `steady_us`); False if there is none."""
        while True:
            due = self._due
            if due and self._heap and self._heap[0] < self._due_us:
                self._put_back()
                continue
            while due:
                if due[-1].deadline_us == self._due_us:
                    return steady_us is None or self._due_us <= steady_us
                due.pop()
                self._entries -= 1
            if not self._heap or (steady_us is not None and self._heap[0] > steady_us):
                return False
            self._due_us = heappop(self._heap)
            owners = self._at.pop(self._due_us)
            self._due = owners[::-1] if isinstance(owners, list) else [owners]

    def _put_back(self) -> None:
        """Something earlier was armed while an instant was being worked off."""
        due, self._due = self._due, []
        self._entries -= len(due)
        for owner in reversed(due):
            if owner.deadline_us == self._due_us:
                self._enter(owner, self._due_us)

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
