"""Subscriptions: the events of a running scheduler, to whoever follows them, from any point on.

A subscription is a cursor over the log. What is live comes a shorter way, from a bounded buffer
that the engine fills; the numbers of the records say whether something lies between the last one
handed out and the next one there, and that is read from the log. So the engine never waits, and
who is slow loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, TypeAlias

from kron.core.announced import Event, EventsMissed
from kron.core.announcing import Announcer
from kron.core.codec import decode
from kron.core.errors import (
    InsideEventLoop,
    KronStopped,
    LogTruncated,
    ScheduleError,
    StorageError,
    brief,
)
from kron.core.events import POSITIONS
from kron.core.events import Event as LogEvent
from kron.core.instants import from_us
from kron.core.machine import Step
from kron.storage.blocking import in_thread
from kron.storage.log import Record

from .engine import Engine

AT_ONCE = 256
"""Records that are read at once, at most ..."""
AT_ONCE_BYTES = 256_000
"""... and fewer, where so many are larger than that."""
POLITE = 256
"""After so many events that were at hand, everybody else on the loop gets a turn."""
LOOK_SECONDS = 1.0
"""How often a subscriber elsewhere looks whether the engine's loop was closed under it."""

Waiter: TypeAlias = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]


class Page(NamedTuple):
    """The events of one record; `at_us` is its log time, where that is known."""

    record: int
    events: list[LogEvent]
    at_us: int | None = None


class Feed:
    """What one engine announces, and to whom. `see` is one of its observers; all else may be called
    from any thread. `over` is done when the log is closed."""

    def __init__(self, engine: Engine, over: Future[None]) -> None:
        self.engine = engine
        self.log = engine.log
        self.latest = Step(engine.machine.state.index, [], [], False)
        self.waiting: set[Subscription] = set()
        self._over = over
        self._lock = threading.Lock()
        self._followers: tuple[weakref.ref[Subscription], ...] = ()
        over.add_done_callback(lambda _: self._wake_all())

    def see(self, step: Step) -> None:
        """A durable step, on the loop. Appends and wakes; waits for nobody."""
        if not step.events:
            return
        self.latest = step
        for follower in self._followers:
            subscription = follower()
            if subscription is not None:
                subscription.push(step.record, step.events)
            elif self._lock.acquire(blocking=False):
                self._prune()
                self._lock.release()

    def subscribe(self, after: int | None, buffer: int) -> Subscription:
        """See `Scheduler.subscribe`."""
        _check("buffer", buffer, 1)
        if after is not None:
            _check("after", after, 0)
            end = (self.log.tip + 1) * POSITIONS
            if after >= end:
                raise ScheduleError(f"after={after} is beyond the end: the log has none from {end}")
        subscription = Subscription(self, after, buffer)
        with self._lock:
            self._prune()
            self._followers = (*self._followers, weakref.ref(subscription))
        subscription.begin(self.log.tip)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """It wants nothing more."""
        with self._lock:
            self._prune(subscription)

    @property
    def has_ended(self) -> bool:
        """Whether no step will follow the latest."""
        engine = self.engine
        return engine.is_over or self._over.done() or engine.loop.is_closed()

    def raise_failure(self) -> None:
        """After the end: raise KronStopped if it was not in order."""
        engine = self.engine
        if engine.failure is not None:
            raise engine.stopped_error()
        if not engine.is_over and not self._over.done():
            raise KronStopped("the scheduler has stopped: its event loop was closed.")

    def _prune(self, gone: Subscription | None = None) -> None:
        self._followers = tuple(each for each in self._followers if each() not in (None, gone))

    def _wake_all(self) -> None:
        for follower in self._followers:
            if (subscription := follower()) is not None:
                subscription.wake()


class Subscription:
    """Events in the order of the log, each once: `async for event in ...`, on any loop, or in a
    thread without one `for event in ...`. One task or thread at a time.

    `index` is that of the last event handed out; `subscribe(after=index)` goes on behind it. The
    iteration ends with the scheduler, or with `close`.
    """

    def __init__(self, feed: Feed, after: int | None, buffer: int) -> None:
        self.index = -1 if after is None else after
        self._feed = feed
        self._buffer = buffer
        self._announcer = Announcer(feed.log.log_id)
        self._record = 0
        self._live: deque[Page] = deque()
        self._pushed = self._popped = 0
        self._backlog: deque[Record] = deque()
        self._page: Page | None = None
        self._at_hand: Iterator[Event] = iter(())
        self._handed = 0
        self._at_once = 16
        self._waiter: Waiter | None = None
        self._is_busy = self._is_closed = False

    def begin(self, tip: int) -> None:
        """From now on; the records up to `tip` are in the past. It is pushed to already."""
        if self.index < 0:
            self._record, self.index = tip, (tip + 1) * POSITIONS - 1
        else:
            self._record = max(self.index // POSITIONS - 1, 0)

    # -- for the engine ----------------------------------------------------------------------

    def push(self, record: int, events: list[LogEvent]) -> None:
        """A durable record. Without room it is left in the log."""
        held = self._pushed - self._popped
        if not held or held + len(events) <= self._buffer:
            self._pushed += len(events)
            self._live.append(Page(record, events))
        if self._waiter is not None:
            self.wake()

    def wake(self) -> None:
        """There is something new for whoever waits."""
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        loop, word = waiter
        engine = self._feed.engine
        if loop is engine.loop and threading.get_ident() == engine.thread:
            _say(word)
            return
        try:
            loop.call_soon_threadsafe(_say, word)
        except RuntimeError:  # that loop was closed while it waited
            self._feed.waiting.discard(self)

    # -- for people --------------------------------------------------------------------------

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        """The next event. A cancellation loses none. Raises KronStopped if the scheduler failed,
        StorageError if a record cannot be read."""
        if self._is_busy:
            raise RuntimeError("this subscription is being waited for already; make one for each.")
        self._is_busy = True
        try:
            if self._handed >= POLITE:
                self._handed = 0
                await asyncio.sleep(0)
            while (event := self._next()) is None:
                if self._is_closed or not await self._get_more():
                    raise StopAsyncIteration
        finally:
            self._is_busy = False
        self._handed += 1
        return event

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        """As `__anext__`, and blocks this thread. Raises InsideEventLoop on a loop's thread."""
        _refuse_loop()
        if not self._is_busy and (event := self._next()) is not None:
            return event
        try:
            return asyncio.run(self.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Want nothing more: the iteration ends. Idempotent, from any thread."""
        self._is_closed = True
        self._feed.leave(self)
        self.wake()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- the cursor --------------------------------------------------------------------------

    def _next(self) -> Event | None:
        """The next event, if it is at hand."""
        while not self._is_closed:
            for event in self._at_hand:
                if event.index > self.index:
                    self.index = event.index
                    return event
            if not self._turn_page():
                break
        return None

    def _turn_page(self) -> bool:
        """Go on to the next record, if it is at hand and all that has to be known of it."""
        if self._page is None:
            self._page = self._next_page()
        page = self._page
        if page is None or self._unknown(page):
            return False
        self._page, self._record = None, page.record
        self._at_hand = self._announcer.announce(*page)
        return True

    def _next_page(self) -> Page | None:
        """The record behind the last one, from what was read or, without a gap, from the engine."""
        if self._backlog:
            index, payload = self._backlog[0]
            header, events = decode(payload, index)
            self._backlog.popleft()
            return Page(index, events, int(header.get("t", 0)))
        while self._live and self._live[0].record <= self._record + 1:
            page = self._live.popleft()
            self._popped += len(page.events)
            if page.record > self._record:
                return page
        return None

    def _unknown(self, page: Page) -> list[int]:
        """The runs that the record names whose moment is in the log alone."""
        runs = self._feed.engine.machine.state.runs
        found = []
        for id_ in self._announcer.unknown(page.record, page.events):
            if (run := runs.get(id_)) is not None:
                self._announcer.learn(id_, run.scheduled_us)
            else:
                found.append(id_)
        return found

    async def _get_more(self) -> bool:
        """Look up, read or wait; False at the end."""
        if self._page is not None:
            await self._look_up(self._unknown(self._page))
        elif self._record < self._feed.latest.record:
            await self._read()
        elif self._feed.has_ended:
            self._feed.raise_failure()
            return False
        else:
            await self._wait()
        return True

    async def _look_up(self, runs: list[int]) -> None:
        moments = await in_thread(lambda: [self._moment(run) for run in runs])
        for run, scheduled_us in zip(runs, moments, strict=True):
            self._announcer.learn(run, scheduled_us)

    def _moment(self, run: int) -> int | None:
        """That of a run that is over, as its RUN_DUE says, unless that was let go."""
        index, position = divmod(run, POSITIONS)
        try:
            due = decode(self._feed.log.record_at(index).payload, index).events[position]
        except StorageError:
            return None
        return getattr(due, "scheduled_us", None)

    async def _read(self) -> None:
        """The next records from the log; or the word that they are not to be had."""
        feed = self._feed
        try:
            records = await feed.log.read(self._record, self._at_once)
        except LogTruncated:
            self._miss(feed.log.base, "let_go")
        except StorageError:
            if not feed.has_ended:
                raise
            # It was closed before we came to it. The latest record is at hand all the same.
            if not self._live:
                self._live.append(Page(feed.latest.record, feed.latest.events))
            self._miss(self._live[0].record - 1, "closed")
        else:
            size_bytes = sum(len(record.payload) for record in records)
            self._at_once = max(1, min(AT_ONCE, AT_ONCE_BYTES * len(records) // size_bytes))
            self._backlog.extend(records)

    def _miss(self, last: int, reason: str) -> None:
        """The records up to `last` are not to be had."""
        if last > self._record:
            at, index = from_us(self._feed.engine.clock.now().wall_us), (last + 1) * POSITIONS - 1
            self._at_hand = iter([EventsMissed(index, at, self.index, reason)])
            self._record = last

    async def _wait(self) -> None:
        """Until there is something new. Who waits is held: nobody else may know of it."""
        loop = asyncio.get_running_loop()
        self._waiter = loop, loop.create_future()
        word = self._waiter[1]
        self._feed.waiting.add(self)
        try:
            if self._has_news():
                return
            if loop is self._feed.engine.loop:
                await word
            else:
                await asyncio.wait({word}, timeout=LOOK_SECONDS)
        finally:
            self._waiter = None
            self._feed.waiting.discard(self)

    def _has_news(self) -> bool:
        """Whether something came before there was anybody to wake."""
        is_behind = self._record < self._feed.latest.record
        return bool(self._live) or is_behind or self._feed.has_ended or self._is_closed


def _say(word: asyncio.Future[None]) -> None:
    if not word.done():
        word.set_result(None)


def _check(name: str, number: object, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} must be a whole number, not {brief(number)}.")
    if number < least:
        raise ScheduleError(f"{name}={brief(number)} must be at least {least}.")


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InsideEventLoop(
        "this blocks the event loop of this thread; use: async for event in kron.subscribe(...)"
    )
