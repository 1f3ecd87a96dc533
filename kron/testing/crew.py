"""Who goes by a virtual clock, and when all of them are at rest.

An engine says so itself: it sleeps, its inbox is empty. A callback is at rest while it sleeps on
the clock. So nothing is measured and nothing is guessed, but for a few turns of the loop in which
the test's own tasks go on: those belong to nobody here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from kron.runtime.engine import Engine

from .owed import Attempt, Sleep, awaken
from .story import busy_lines, clock_text
from .trouble import StillRunning

QUIET_TURNS = 3
"""Between two jumps everything must be at rest for so many turns of the loop ..."""
POLITE_TURNS = 25
"""... and for so many if a task that is no callback was woken, and at the end of an `advance`."""
BUSY_TURNS = 200
"""Then it is waited for news, instead of turning the loop in vain."""


class Crew:
    """The engines of one clock and the callbacks that sleep on it. Thread-safe.

    `version` changes with everything that happens; `is_polite` says that a task or thread that is
    no callback was woken.
    """

    def __init__(self, patience_s: float, wall: Callable[[], int]) -> None:
        self.version = 0
        self.is_polite = False
        self.patience_s = patience_s
        self._wall = wall
        self._engines: list[Engine] = []
        self._resting: dict[Attempt, int] = {}
        self._readers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.RLock()

    @property
    def engines(self) -> list[Engine]:
        """Those that live; one whose loop was closed does not."""
        with self._lock:
            return [each for each in self._engines if not each.loop.is_closed()]

    def join(self, engine: Engine) -> None:
        """An engine has begun."""
        with self._lock:
            self._engines = [*self.engines, engine]
        engine.hooks.on_rest = self.tell
        self.tell()

    def leave(self, engine: Engine) -> None:
        """It is over."""
        with self._lock:
            self._engines = [each for each in self.engines if each is not engine]
        self.tell()

    def rest(self, sleep: Sleep) -> None:
        """Somebody sleeps."""
        if sleep.attempt is not None:
            with self._lock:
                self._resting[sleep.attempt] = self._resting.get(sleep.attempt, 0) + 1
        self.tell()

    def rouse(self, sleep: Sleep) -> None:
        """It does so no more, from before it can know."""
        if sleep.attempt is None:
            self.is_polite = True
            return
        with self._lock:
            left = self._resting.pop(sleep.attempt, 1) - 1
            if left:
                self._resting[sleep.attempt] = left

    def look(self) -> None:
        """Have every engine take a look at the clocks."""
        for engine in self.engines:
            with suppress(RuntimeError):  # its loop was closed just now
                if engine.thread == threading.get_ident():
                    engine.look()
                else:
                    engine.loop.call_soon_threadsafe(engine.look)
        self.tell()

    def tell(self) -> None:
        """Something happened: whoever waits for rest is to look again."""
        with self._lock:
            self.version += 1
            readers, self._readers = self._readers, []
        for loop, news in readers:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(awaken, news)

    # -- waiting for rest --------------------------------------------------------------------

    async def rested(self, *, turns: int = QUIET_TURNS) -> int:
        """Wait until every engine sleeps and every callback has ended or sleeps on the clock.

        Returns the version at which that was so. Raises StillRunning.
        """
        until_s = time.monotonic() + self.patience_s
        here = asyncio.get_running_loop()
        while True:
            version = await self._rested_here(here, turns, until_s)
            if all(engine.loop is here for engine in self.engines):
                return version
            # Twice, with nothing told between: then all of them were at rest at one moment.
            is_elsewhere = await self._rests_elsewhere(here, until_s)
            if is_elsewhere and await self._rests_elsewhere(here, until_s):
                if version == self.version and self._rests_on(here):
                    return version
            else:
                await self._news(here, until_s, is_wanted=lambda: True)

    async def _rested_here(
        self, here: asyncio.AbstractEventLoop, turns: int, until_s: float
    ) -> int:
        version, quiet, turned = self.version, 0, 0
        while True:
            await asyncio.sleep(0)
            if version != self.version or not self._rests_on(here):
                version, quiet = self.version, 0
            elif (quiet := quiet + 1) >= (POLITE_TURNS if self.is_polite else turns):
                return version
            turned += 1
            if turned % BUSY_TURNS == 0:
                await self._news(here, until_s, is_wanted=lambda: not self._rests_on(here))

    async def _rests_elsewhere(self, here: asyncio.AbstractEventLoop, until_s: float) -> bool:
        """Whether all is at rest on the other loops, as each of them says."""
        for loop in {engine.loop for engine in self.engines} - {here}:
            answer: Future[bool] = Future()
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._answer, loop, answer)
                waiting = asyncio.wrap_future(answer)
                await asyncio.wait({waiting}, timeout=max(0.0, until_s - time.monotonic()))
                if not waiting.done():
                    raise self.out_of_patience()
                if not waiting.result():
                    return False
        return True

    def _answer(self, loop: asyncio.AbstractEventLoop, answer: Future[bool]) -> None:
        if answer.set_running_or_notify_cancel():
            answer.set_result(self._rests_on(loop))

    def _rests_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """On that loop: nothing there changes meanwhile, but that callbacks in threads end."""
        for engine in self._engines:
            if engine.loop is loop and not (engine.is_asleep and self._rests(engine)):
                return False
        return True

    def _rests(self, engine: Engine) -> bool:
        log_id, runs = engine.log.log_id, engine.machine.state.runs
        under_way = ((log_id, run, runs[run].attempt) for run in engine.running())
        is_still = all(attempt in self._resting for attempt in under_way)
        return is_still and engine.hooks.is_at_rest(self._resting)

    async def _news(
        self, here: asyncio.AbstractEventLoop, until_s: float, is_wanted: Callable[[], bool]
    ) -> None:
        """Wait for a word, which is asked for first; a second at most."""
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise self.out_of_patience()
        news = here.create_future()
        with self._lock:
            self._readers.append((here, news))
        if is_wanted():
            await asyncio.wait({news}, timeout=min(left_s, 1.0))

    def out_of_patience(self) -> StillRunning:
        """The error that names what goes on."""
        now = clock_text(self._wall())
        lines = [line for engine in self.engines for line in busy_lines(engine, self._resting)]
        what = lines or ["  (no callback: an event loop that is blocked, or does not run)"]
        return StillRunning(
            f"not at rest after {self.patience_s:g} real seconds, at {now}:\n"
            + "\n".join(what)
            + "\nA callback ends, or sleeps with `await clock.sleep()` or `clock.sleep_sync()`;"
            " VirtualClock(patience=...) waits longer."
        )
