"""Hooks: what a program wants to be called when a run has succeeded, was given up, or was missed.

They are told of what is durable, and change nothing: a hook that raises is logged. Those of one
timer are called one after the other, in the order of its outcomes; several timers do not wait for
each other. So a slow hook delays its own timer's hooks only, and never a run.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple, TypeAlias, cast

from kron.core import events as ev
from kron.core.errors import ScheduleError, brief
from kron.core.machine import Step
from kron.core.row_views import HistoryRow, Outcome, history_row
from kron.core.rows import Row, row_of
from kron.core.state import State
from kron.core.things import Timer

from .callables import callable_name, is_coroutine_function
from .command import Command, resolve
from .failures import traceback_of
from .promise import promise

logger = logging.getLogger("kron.hooks")

AT_ONCE = 32
"""So many hooks are carried out at a time."""
CUT_SECONDS = 0.5
"""So long a hook that is cut short may tidy up."""
MOST_OWED = 10_000
"""Of more outcomes than these that no hook was told of yet, the newest are left out."""


class Hooked(NamedTuple):
    """A hook, ready to be called."""

    fn: Callable[..., Any]
    name: str
    is_async: bool
    takes_outcome: bool


class HookSet(NamedTuple):
    """The hooks of one timer, or those of a scheduler for all timers."""

    on_success: Hooked | None = None
    on_failure: Hooked | None = None
    on_missed: Hooked | None = None

    def over(self, others: HookSet) -> HookSet:
        """These, and where there is none the other one."""
        return HookSet(*(mine or other for mine, other in zip(self, others, strict=True)))


NO_HOOKS = HookSet()
HookedEvent: TypeAlias = ev.RunSucceeded | ev.RunDead | ev.RunMissed
HOOKED: dict[type[ev.Event], int] = {ev.RunSucceeded: 0, ev.RunDead: 1, ev.RunMissed: 2}
"""By event, the place in a HookSet."""


def read_hooks(options: Mapping[str, Any]) -> HookSet | None:
    """The hooks among keywords; None if there are none. Raises TypeError or ScheduleError, naming
    the keyword."""
    given = [options.get(name) for name in HookSet._fields]
    if given == [None, None, None]:
        return None
    named = zip(HookSet._fields, given, strict=True)
    return HookSet(*(None if fn is None else _hooked(name, fn) for name, fn in named))


def _hooked(argument: str, hook: object) -> Hooked:
    fn: Any = hook
    if isinstance(hook, str):
        try:
            fn = resolve(hook)
        except ScheduleError as exc:
            raise ScheduleError(f"{argument} {exc}") from exc
    if isinstance(fn, Command) or not callable(fn):
        raise TypeError(f"{argument} must be a function, not {brief(hook)}.")
    takes_outcome = _fits(fn, {})
    if not takes_outcome and not _fits(fn):
        raise TypeError(f"{argument}: {callable_name(fn)} must take one argument, or none.")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{argument}: {callable_name(fn)} is a generator function.")
    return Hooked(fn, callable_name(fn), is_coroutine_function(fn), takes_outcome)


def _fits(fn: Callable[..., Any], *args: object) -> bool:
    try:
        inspect.signature(fn).bind(*args)
    except TypeError:
        return False
    except ValueError:  # a builtin that tells nothing of its parameters
        return bool(args)
    return True


class Owed(NamedTuple):
    """An outcome that hooks have not been told of yet, and the timer's metadata then."""

    hooks: list[Hooked]
    row: Row
    metadata: Mapping[str, Any] | None


class Hooks:
    """Calls the hooks of one engine's timers, on its loop and in threads of its own.

    `defaults` are the scheduler's, called behind the timer's own. `is_used` is set as soon as
    anybody has a hook: without, it costs a look a step.
    """

    def __init__(
        self,
        state: State,
        log_id: str,
        loop: asyncio.AbstractEventLoop,
        on_idle: Callable[[], object],
    ) -> None:
        self.defaults = NO_HOOKS
        self.is_used = False
        self._state = state
        self._log_id = log_id
        self._loop = loop
        self._on_idle = on_idle
        self._owed: dict[str, deque[Owed]] = {}
        self._seen: list[tuple[int, HookedEvent, Timer | None]] = []
        self._count = self._left_out = 0
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def is_idle(self) -> bool:
        """True while there is nobody to be told of anything."""
        return not (self._tasks or self._seen)

    def serve(self, defaults: HookSet, *, is_used: bool) -> None:
        """From now on these are the scheduler's; `is_used`: a timer has some of its own."""
        self.defaults = defaults
        self.is_used = is_used or defaults != NO_HOOKS

    def see(self, step: Step) -> None:
        """Be told of a durable step, before it is confirmed: the runs that end are still there.
        (What a registration in it calls is not known yet: that is looked up a moment later.)"""
        if not self.is_used:
            return
        for id_, event in enumerate(step.events, step.record * ev.POSITIONS):
            if type(event) in HOOKED:
                hooked = cast(HookedEvent, event)
                if not self._seen:
                    self._loop.call_soon(self._look)
                self._seen.append((id_, hooked, self._timer(hooked)))

    async def finish(self, timeout_s: float) -> None:
        """Wait so long for those that go on; let the others go, and log that."""
        if self._seen:
            self._look()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=timeout_s)
        for timer, task in list(self._tasks.items()):
            extra = {"timer": timer}
            logger.error("timer %s: a hook is cut short by the shutdown", timer, extra=extra)
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=CUT_SECONDS)

    def _look(self) -> None:
        seen, self._seen = self._seen, []
        for id_, event, timer in seen:
            own: HookSet = (timer and timer.target and timer.target.hooks) or NO_HOOKS
            place = HOOKED[type(event)]
            hooks = [hook for hook in (own[place], self.defaults[place]) if hook is not None]
            row = row_of(id_, event)
            if hooks and row is not None:
                metadata = None if timer is None else timer.definition.terms.metadata
                self._owe(event.timer, Owed(hooks, row, metadata))
        if self.is_idle:
            self._on_idle()

    def _owe(self, timer: str, owed: Owed) -> None:
        if self._count >= MOST_OWED:
            self._left_out += 1
            return
        self._count += 1
        queue = self._owed.setdefault(timer, deque())
        queue.append(owed)
        if timer not in self._tasks:
            self._tasks[timer] = asyncio.Task(self._tell(timer, queue), loop=self._loop)

    def _timer(self, event: HookedEvent) -> Timer | None:
        """The timer of a run may be removed by now, and there may be another one of its name."""
        run = self._state.run_of_step(event.run) if event.run else None
        return self._state.timers.get(event.timer) if run is None else run.timer

    async def _tell(self, timer: str, queue: deque[Owed]) -> None:
        """Tell the hooks of one timer of one outcome after the other."""
        try:
            while queue:
                for hook in queue[0].hooks:
                    await self._call(hook, queue[0])
                queue.popleft()
                self._count -= 1
        finally:
            del self._owed[timer], self._tasks[timer]
            self._count -= len(queue)
            if self._left_out and not self._count:
                text = "hooks are slower than the runs: they were not told of %d outcomes"
                logger.error(text, self._left_out)
                self._left_out = 0
            if self.is_idle:
                self._on_idle()

    async def _call(self, hook: Hooked, owed: Owed) -> None:
        outcome = _outcome(owed, self._log_id)
        arguments = (outcome,) if hook.takes_outcome else ()
        try:
            async with self._room:
                answer = hook.fn(*arguments) if hook.is_async else await _in_thread(hook, arguments)
                if inspect.isawaitable(answer):
                    await answer
        except BaseException as exc:
            if _is_cut_short(exc):
                raise
            timer, run = outcome["timer"], outcome["run_id"]
            extra = {"timer": timer, "run": run, "attempt": outcome["attempt"]}
            text = "timer %s: the hook %s failed\n%s"
            logger.error(text, timer, hook.name, traceback_of(exc), extra=extra)


def _is_cut_short(exc: BaseException) -> bool:
    """Whether it is a cancellation from outside, and not one that the hook let through."""
    task = asyncio.current_task()
    return isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _outcome(owed: Owed, log_id: str) -> Outcome:
    """A new dict for each hook, which may do with it what it likes."""
    row: HistoryRow = history_row(owed.row, log_id)
    return {**row, "metadata": deepcopy(dict(owed.metadata or {}))}


async def _in_thread(hook: Hooked, arguments: tuple[Outcome, ...]) -> Any:
    """What a plain function returns or raises. The thread is a daemon's, and may be let go."""
    future = promise()

    def run() -> None:
        try:
            future.set_result(hook.fn(*arguments))
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, name=f"kron-hook-{hook.name}", daemon=True).start()
    return await asyncio.wrap_future(future)
