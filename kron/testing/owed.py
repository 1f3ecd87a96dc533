"""The calls that a virtual clock owes, by the instant at which they are due."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, TypeAlias

Attempt: TypeAlias = tuple[str, int, int]
"""The id of a log, of a run in it, and the attempt's number."""


class Sleep(NamedTuple):
    """Who sleeps: the callback, if it is one, and whether a thread does."""

    attempt: Attempt | None
    is_thread: bool


class Call:
    """One call that the clock owes, on the loop (None: on any thread) that it was asked from."""

    __slots__ = ("call", "is_abandoned", "loop", "sleep", "thread")

    def __init__(
        self,
        call: Callable[[], object],
        loop: asyncio.AbstractEventLoop | None = None,
        sleep: Sleep | None = None,
    ) -> None:
        self.call: Callable[[], object] | None = call
        self.loop = loop
        self.sleep = sleep
        self.thread = threading.get_ident()
        self.is_abandoned = False

    def cancel(self) -> None:
        """It is not to happen."""
        self.call = None

    def is_of_thread_in(self, log_id: str) -> bool:
        """True if it wakes a callback in a thread, of the scheduler that has this log."""
        attempt, is_thread = self.sleep or (None, False)
        return is_thread and attempt is not None and attempt[0] == log_id

    def fire(self) -> None:
        """Make the call, unless it was cancelled; a loop of another thread makes it itself."""
        call, self.call = self.call, None
        if call is None:
            return
        if self.loop is None or self.thread == threading.get_ident():
            call()
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)


class Owed:
    """A heap that forgets lazily. Not thread-safe: the clock has the lock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Call]] = []
        self._sequence = count()

    def add(self, at_us: int, call: Call) -> None:
        """Owe a call at that elapsed time."""
        heappush(self._heap, (at_us, next(self._sequence), call))

    def next(self) -> int | None:
        """When the next one is due; None: never."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, until_us: int) -> list[Call]:
        """All that are due by then, in order; they are owed no more."""
        due: list[Call] = []
        while self._heap and self._heap[0][0] <= until_us:
            call = heappop(self._heap)[2]
            if call.call is not None:
                due.append(call)
        return due

    def sleeps(self) -> list[Call]:
        """Those that wake somebody who sleeps, in no order."""
        return [call for _, _, call in self._heap if call.call and call.sleep]


def awaken(sleeper: asyncio.Future[None]) -> None:
    """End a wait, unless it was cancelled."""
    if not sleeper.done():
        sleeper.set_result(None)
