"""Hooks: what a program wants to be called when a run has succeeded, was given up, or was missed.

They are told of what is durable, and change nothing: a hook that raises is logged. Those of one
timer are called one after the other, in the order of its outcomes; several timers do not wait for
each other, as long as there are threads. Nobody waits for them but the end of the scheduler.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Container
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

from kron.core import events as ev
from kron.core.json_values import copied
from kron.core.machine import Step
from kron.core.row_views import Outcome, history_row
from kron.core.rows import Row, row_of
from kron.core.state import State
from kron.core.things import Timer

from .failures import traceback_of
from .hook_set import NO_HOOKS, Hooked, HookSet
from .logger import tell
from .promise import promise

complain = partial(tell, logging.ERROR, logger=logging.getLogger("kron.hooks"))

THREADS = 64
"""So many plain functions are carried out at a time; coroutine functions need no thread."""
BUSY_SECONDS = 10.0
"""Who has waited so long for a thread says so."""
CUT_SECONDS = 0.5
"""So long a hook that is cut short may tidy up."""
MOST_OWED, MOST_OWED_IN_ALL = 1_000, 100_000
"""Of more outcomes that hooks of one timer, or of all, were not told of yet, the newest are left
out."""

HookedEvent: TypeAlias = ev.RunSucceeded | ev.RunDead | ev.RunMissed
HOOKED: dict[type[ev.Event], int] = {ev.RunSucceeded: 0, ev.RunDead: 1, ev.RunMissed: 2}
"""By event, the place in a HookSet."""

CURRENT_HOOK: ContextVar[tuple[str, int] | None] = ContextVar("kron_current_hook", default=None)
"""The hook that this code is part of: the id of a log, and the number of its Telling."""


class Seen(NamedTuple):
    """An event that hooks may want to hear of, its id, and the timer that it is of."""

    id: int
    event: HookedEvent
    timer: Timer | None


class Owed(NamedTuple):
    """An outcome that hooks have not been told of yet, and the timer's metadata then."""

    hooks: list[Hooked]
    row: Row
    metadata: dict[str, Any] | None


class Telling:
    """The hooks of one timer being told of one outcome after the other."""

    def __init__(self, timer: str, number: int) -> None:
        self.timer = timer
        self.number = number
        self.queue: deque[Owed] = deque()
        self.left_out = 0
        self.task: asyncio.Task[None] | None = None


class Hooks:
    """Calls the hooks of one engine's timers, on its loop and in threads of its own.

    `defaults` are the scheduler's, called behind the timer's own. `is_used` is set as soon as
    anybody has a hook, and `is_young` until the start is over; without both it costs a look a step.
    `unbound` says that there are outcomes of timers whose own hooks are not known yet.
    """

    def __init__(self, state: State, log_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.defaults = NO_HOOKS
        self.is_used = False
        self.is_young = True
        self.on_rest: Callable[[], object] = lambda: None
        self.unbound: dict[Timer, list[Seen]] = {}
        self._state = state
        self._log_id = log_id
        self._loop = loop
        self._seen: list[Seen] = []
        self._tellings: dict[str, Telling] = {}
        self._count = self._number = 0
        self._threads = asyncio.Semaphore(THREADS)
        self._said_busy_s = -BUSY_SECONDS

    def serve(self, defaults: HookSet, *, is_used: bool) -> None:
        """From now on these are the scheduler's; `is_used`: a timer has some of its own."""
        self.defaults = defaults
        self.is_used = is_used or defaults != NO_HOOKS

    # -- what has become of runs -------------------------------------------------------------

    def see(self, step: Step) -> None:
        """Be told of a durable step, before it is confirmed: the runs that end are still there.
        (What a registration in it calls is not known yet: that is looked up a moment later.)"""
        if not (self.is_used or self.is_young):
            return
        for id_, event in enumerate(step.events, step.record * ev.POSITIONS):
            if type(event) in HOOKED:
                hooked = cast(HookedEvent, event)
                if not self._seen:
                    self._loop.call_soon(self._look)
                self._seen.append(Seen(id_, hooked, self._timer(hooked)))

    def bind(self, timer: Timer) -> None:
        """The timer's own hooks are known from now on."""
        for seen in self.unbound.pop(timer, ()):
            self._owe(seen, _own(timer), NO_HOOKS)

    def _look(self) -> None:
        seen, self._seen = self._seen, []
        for each in seen:
            timer = each.timer
            if timer is not None and timer.target is None:
                self._keep(timer, each)
            self._owe(each, _own(timer), self.defaults)
        if self.is_at_rest(()):
            self.on_rest()

    def _timer(self, event: HookedEvent) -> Timer | None:
        """The timer of a run may be removed by now, and there may be another one of its name."""
        run = self._state.run_of_step(event.run) if event.run else None
        return self._state.timers.get(event.timer) if run is None else run.timer

    def _keep(self, timer: Timer, seen: Seen) -> None:
        """Of a timer that is not registered yet, until it is: what a crash has left, above all."""
        if timer not in self.unbound and len(self.unbound) >= MOST_OWED:
            self.unbound = {
                each: kept
                for each, kept in self.unbound.items()
                if each.target is None and not each.is_removed
            }
        kept = self.unbound.setdefault(timer, [])
        if len(kept) < MOST_OWED:
            kept.append(seen)
        elif len(kept) == MOST_OWED:
            kept.append(seen)
            text = "timer %s: no more than %d outcomes from before it is scheduled will be told"
            complain(text, timer.name, MOST_OWED, timer=timer.name)

    def _owe(self, seen: Seen, own: HookSet, others: HookSet) -> None:
        place, timer = HOOKED[type(seen.event)], seen.event.timer
        hooks = [hook for hook in (own[place], others[place]) if hook is not None]
        row = row_of(seen.id, seen.event)
        if not hooks or row is None:
            return
        telling = self._tellings.get(timer)
        if telling is None:
            self._number += 1
            telling = self._tellings[timer] = Telling(timer, self._number)
            telling.task = asyncio.Task(self._tell(telling), loop=self._loop)
        if len(telling.queue) >= MOST_OWED or self._count >= MOST_OWED_IN_ALL:
            self._leave_out(telling)
            return
        self._count += 1
        metadata = None if seen.timer is None else seen.timer.definition.terms.metadata
        telling.queue.append(Owed(hooks, row, metadata))

    def _leave_out(self, telling: Telling) -> None:
        if not telling.left_out:
            text = "timer %s: %d outcomes wait for its hooks; they are not told of the next"
            complain(text, telling.timer, len(telling.queue), timer=telling.timer)
        telling.left_out += 1

    # -- telling -----------------------------------------------------------------------------

    async def _tell(self, telling: Telling) -> None:
        CURRENT_HOOK.set((self._log_id, telling.number))  # a task has a context of its own
        queue = telling.queue
        try:
            while queue:
                owed = queue.popleft()
                self._count -= 1
                for hook in owed.hooks:
                    await self._call(hook, owed)
        finally:
            del self._tellings[telling.timer]
            self._count -= len(queue)
            left_out = telling.left_out + len(queue)
            if left_out:
                text = "timer %s: its hooks were not told of %d outcomes"
                complain(text, telling.timer, left_out, timer=telling.timer)
            self.on_rest()

    async def _call(self, hook: Hooked, owed: Owed) -> None:
        outcome = _outcome(owed, self._log_id)
        arguments = (outcome,) if hook.takes_outcome else ()
        try:
            if hook.is_async:
                await hook.fn(*arguments)
                return
            answer = await self._in_thread(hook, arguments)
            if inspect.isawaitable(answer):
                await answer
        except BaseException as exc:
            if _is_cut_short(exc):
                raise
            timer, run, attempt = owed.row.timer, outcome["run_id"], owed.row.attempt
            text = "timer %s: the hook %s failed\n%s"
            about = timer, hook.name, traceback_of(exc)
            complain(text, *about, timer=timer, run=run, attempt=attempt)

    async def _in_thread(self, hook: Hooked, arguments: tuple[Outcome, ...]) -> Any:
        """What a plain function returns or raises. The thread is a daemon's, and may be let go."""
        await self._take_thread()
        try:
            future, context = promise(), copy_context()

            def run() -> None:
                try:
                    future.set_result((context.run(hook.fn, *arguments), None))
                except BaseException as exc:  # as a value: a future takes no StopIteration
                    future.set_result((None, exc))

            threading.Thread(target=run, name=f"kron-hook-{hook.name}", daemon=True).start()
            answer, exc = await asyncio.wrap_future(future)
        finally:
            self._threads.release()
        if exc is not None:
            raise exc
        return answer

    async def _take_thread(self) -> None:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await self._threads.acquire()
        except TimeoutError:
            self._say_busy()
            await self._threads.acquire()

    def _say_busy(self) -> None:
        now_s = self._loop.time()
        if now_s - self._said_busy_s >= BUSY_SECONDS:
            self._said_busy_s = now_s
            timers = ", ".join(sorted(self._tellings)[:5])
            text = "all %d threads for hooks are busy, the others wait: %s ..."
            complain(text, THREADS, timers)

    # -- the end, and a virtual clock --------------------------------------------------------

    def going_on(self, besides: Container[int | None]) -> list[asyncio.Task[None]]:
        """The tasks of those that are being told, but of these."""
        if self._seen:
            self._look()
        tellings = self._tellings.values()
        return [each.task for each in tellings if each.task and each.number not in besides]

    async def cut_short(self, besides: Container[int | None]) -> None:
        """Let them go, but these, which have asked for the end themselves; and log that."""
        tasks = self.going_on(besides)
        for each in self._tellings.values():
            if each.task in tasks:
                text = "timer %s: a hook is cut short by the shutdown"
                complain(text, each.timer, timer=each.timer)
        for task in tasks:
            task.cancel()
        await _wait(tasks, CUT_SECONDS)

    async def linger(self) -> None:
        """On a loop that is to be closed: let those that asked for the end come to theirs."""
        await _wait(self.going_on(()), CUT_SECONDS)

    def is_at_rest(self, resting: Container[tuple[str, int, int]]) -> bool:
        """True if nobody is to be told of anything, but hooks that sleep on a virtual clock."""
        return not (self._seen or self.restless(resting))

    def restless(self, resting: Container[tuple[str, int, int]]) -> list[str]:
        """The timers whose hooks are being told, and do not sleep on the clock."""
        tellings, log_id = self._tellings.values(), self._log_id
        return [each.timer for each in tellings if (log_id, -each.number, 0) not in resting]


def _own(timer: Timer | None) -> HookSet:
    return (timer and timer.target and timer.target.hooks) or NO_HOOKS


def _outcome(owed: Owed, log_id: str) -> Outcome:
    """A new dict for each hook, which may do with it what it likes."""
    return {**history_row(owed.row, log_id), "metadata": copied(owed.metadata or {})}


def _is_cut_short(exc: BaseException) -> bool:
    """Whether it is a cancellation from outside, and not one that the hook let through."""
    task = asyncio.current_task()
    return isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def _wait(tasks: list[asyncio.Task[None]], timeout_s: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s)
