"""What `schedule` was asked for in this process: checked, and kept while no scheduler runs.

A running engine has it all (definition and callable are on its timers), so there is no second
copy of a million registrations; when it has ended, it is asked what is to be handed to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

from kron.core import commands as c
from kron.core.definition import check_name, define, size_of
from kron.core.errors import ScheduleError, UnknownTimer
from kron.core.model import Definition
from kron.core.state import State
from kron.core.terms import ScheduleOptions
from kron.core.things import Timer
from kron.core.timer_query import TimerQuery
from kron.core.views import WAITING, TimerStatus, waiting_status

from .callables import Target, callable_name, place_of
from .command import Command, resolve
from .hook_set import HookSet, read_hooks

F = TypeVar("F", bound=Callable[..., Any])


class Origin(NamedTuple):
    """Whose word a registration is: a program's `schedule()`, or a file's.

    `place` is where the file declares it ("kron.toml:12"); `slot_id` is what the slot of a cadence
    follows from, "" for the timer's name. `source` and `retry_until` are fields of its Terms.
    """

    source: str = ""
    place: str = ""
    slot_id: str = ""
    retry_until: str = ""


PROGRAM = Origin()


class Registration(NamedTuple):
    """One `schedule` call."""

    name: str
    definition: Definition
    size_bytes: int
    target: Target
    called_us: int

    def command(self) -> c.Schedule:
        """The command that makes it durable."""
        lane = self.target.lane
        return c.Schedule(
            self.name,
            self.definition,
            self.called_us,
            self.size_bytes,
            is_threaded=lane == "thread",
            begins_later=lane == "process",
        )


def declared_twice(name: str, place: str, fn: Any) -> ScheduleError:
    """The error for a timer that a file declares and the program schedules itself."""
    return ScheduleError(
        f"{name!r} is declared in {place}, and scheduled by the program too ({place_of(fn)})."
        " Leave one of them out."
    )


def refuse_heavy(registrations: Iterable[Registration], max_concurrency: int | None) -> None:
    """ScheduleError for a timer whose weight is more than all that runs at once may weigh."""
    if max_concurrency is None:
        return
    for each in registrations:
        weight = each.definition.terms.weight
        if weight > max_concurrency:
            raise ScheduleError(
                f"weight={weight} of {each.name!r} is above max_concurrency={max_concurrency}; no"
                " run of it could ever start. Give it a smaller weight, or raise max_concurrency."
            )


def decorator(
    schedule: Callable[..., object], name: str, options: ScheduleOptions
) -> Callable[[F], F]:
    """What `schedule` without `fn` returns; the arguments are checked now."""
    check_name(name)
    define(**options, name=name)
    read_hooks(options)

    def register(fn: F) -> F:
        schedule(name, fn, **options)
        return fn

    return register


class Former(Protocol):
    """Whoever had the registrations before."""

    def left_over(self) -> Iterable[Registration]:
        """Those that a next start is to get."""


class Registry:
    """The registrations that wait for a start. Not thread-safe: its owner has a lock."""

    def __init__(self) -> None:
        self._waiting: dict[str, Registration] = {}
        self._former: Former | None = None
        self._last_target: Target | None = None
        self._declared: dict[str, str] = {}

    def registration(
        self,
        name: str,
        fn: Any,
        options: ScheduleOptions,
        called_us: int,
        origin: Origin = PROGRAM,
    ) -> Registration:
        """What one `schedule` call asks for; it is not kept. Any thread may call this.

        Raises ScheduleError or TypeError, naming argument, value and remedy.
        """
        check_name(name)
        found: Any = resolve(fn) if isinstance(fn, str) else fn
        command = found.spec if isinstance(found, Command) else None
        definition, size_bytes = define(
            **options,
            fn_name=callable_name(found),
            name=origin.slot_id or name,
            command=command,
            source=origin.source,
            retry_until=origin.retry_until,
        )
        target = self._target(found, definition, read_hooks(options))
        return Registration(name, definition, size_bytes, target, called_us)

    def _target(self, fn: Any, definition: Definition, hooks: HookSet | None) -> Target:
        """That of the call before, where it is the same."""
        terms, last = definition.terms, self._last_target
        args, kwargs, executor = terms.args, terms.kwargs or {}, terms.executor or None
        if last is None or not last.is_for(fn, args, kwargs, executor, hooks):
            last = self._last_target = Target(fn, args, kwargs, executor, hooks)
        return last

    def claim(self, registration: Registration, origin: Origin = PROGRAM) -> None:
        """One name has one source: ScheduleError if the program schedules what a file declares."""
        name, place = registration.name, self._declared.get(registration.name)
        if origin.source:
            self._declared[name] = origin.place
        elif place is not None:
            raise declared_twice(name, place, registration.target.fn)

    def own(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of these that the program schedules itself, and the callable of each."""
        all_ = self._all()
        found = {name: all_[name] for name in names if name in all_}
        return {
            name: each.target.fn for name, each in found.items() if not each.definition.terms.source
        }

    def disclaim(self, name: str) -> None:
        """No file declares it any more."""
        self._declared.pop(name, None)

    def add(self, registration: Registration) -> None:
        """Keep it for the next start, in place of an earlier one of that name."""
        self._all()[registration.name] = registration

    def remove(self, name: str) -> None:
        """Forget it. Raises UnknownTimer."""
        if self._all().pop(name, None) is None:
            raise UnknownTimer(f"there is no timer named {name!r}.")

    def waiting(self) -> Iterable[Registration]:
        """All of them, which stay."""
        return self._all().values()

    def take(self) -> list[Registration]:
        """All of them; whoever takes them says with `taken_by` whom to ask later."""
        waiting, self._waiting = self._all(), {}
        return list(waiting.values())

    def taken_by(self, former: Former) -> None:
        """That one has them now."""
        self._former = former

    def status(self, name: str) -> TimerStatus | None:
        """A waiting registration as the timer it will be."""
        waiting = self._all().get(name)
        return None if waiting is None else _status(waiting)

    def list(self, query: TimerQuery) -> list[TimerStatus]:
        """Those that are asked for."""
        found = [
            each
            for each in self._all().values()
            if query.wants(each.name, each.definition.terms) and query.wants_state(WAITING)
        ]
        found.sort(key=lambda each: each.name)
        return [_status(each) for each in found[query.offset : query.reach]]

    def _all(self) -> dict[str, Registration]:
        if self._former is not None:
            former, self._former = self._former, None
            for each in former.left_over():
                self._waiting.setdefault(each.name, each)
        return self._waiting


def registered(state: State) -> Iterable[Registration]:
    """What the timers of an engine that has ended leave for the next one: all with a callable, but
    no one-shot that ended meanwhile."""
    for timer in state.timers.values():
        has_ended = timer.is_finished and timer.finished_us >= state.started_us
        if timer.target is not None and not has_ended:
            yield _registration(state, timer)


def _registration(state: State, timer: Timer) -> Registration:
    # Where the timer is older than this process, the call was not: it came with the start.
    called_us = max(state.to_wall(timer, timer.anchor_us), state.started_us)
    definition = timer.definition
    return Registration(timer.name, definition, size_of(definition), timer.target, called_us)


def _status(waiting: Registration) -> TimerStatus:
    return waiting_status(waiting.name, waiting.definition, waiting.target.name)
