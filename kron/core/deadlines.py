"""The one heap: who wants to be looked at next, and when, in steady microseconds.

An owner is anything with a `deadline_us` slot. The heap forgets lazily: an entry counts only
while its owner still wants that very time, so changing one timer among a million touches one
entry. When most entries are stale the heap is built anew.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Protocol


class Owner(Protocol):
    """Something with at most one deadline."""

    deadline_us: int | None


class Deadlines:
    """A heap of owners by `deadline_us`; owners due at one instant come in the order armed."""

    __slots__ = ("_armed", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Owner]] = []
        self._sequence = 0
        self._armed = 0

    def __len__(self) -> int:
        return self._armed

    def arm(self, owner: Owner, deadline_us: int | None) -> None:
        """Give the owner a deadline, instead of the one it may have; None takes it away."""
        if owner.deadline_us == deadline_us:
            return
        self._armed += (deadline_us is not None) - (owner.deadline_us is not None)
        owner.deadline_us = deadline_us
        if deadline_us is None:
            return
        self._sequence += 1
        heappush(self._heap, (deadline_us, self._sequence, owner))
        if len(self._heap) > 2 * self._armed + 64:
            self._sweep()

    def next(self) -> int | None:
        """The earliest deadline, or None."""
        heap = self._heap
        while heap and heap[0][2].deadline_us != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, steady_us: int) -> Owner | None:
        """Take the first owner whose deadline is not after `steady_us`; it is disarmed."""
        heap = self._heap
        while heap and heap[0][0] <= steady_us:
            deadline_us, _, owner = heappop(heap)
            if owner.deadline_us == deadline_us:
                owner.deadline_us = None
                self._armed -= 1
                return owner
        return None

    def _sweep(self) -> None:
        # An owner armed away and back to the same time has two entries that look alive; one is
        # enough, and pop_due would take only the first anyhow.
        seen: set[int] = set()
        kept = []
        for entry in self._heap:
            owner = entry[2]
            if owner.deadline_us == entry[0] and id(owner) not in seen:
                seen.add(id(owner))
                kept.append(entry)
        heapify(kept)
        self._heap = kept
