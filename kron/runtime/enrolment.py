"""What is scheduled, from any thread: for the running scheduler, or kept for the next start."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kron.core import commands as c
from kron.core.errors import ScheduleError, UnknownTimer
from kron.core.terms import ScheduleOptions
from kron.core.timer_query import TimerQuery
from kron.core.views import TimerStatus

from .clock import Clock
from .control import Control
from .host import Host
from .reading import Reading
from .registry import (
    PROGRAM,
    Origin,
    Registration,
    Registry,
    declared_twice,
    refuse_heavy,
)


class Declaration(NamedTuple):
    """A timer that a file declares: the arguments of `schedule()`, and where they are from."""

    name: str
    fn: Any
    options: ScheduleOptions
    origin: Origin


class Enrolment:
    """A registry behind the lock of a scheduler's control."""

    def __init__(self, control: Control, clock: Clock, max_concurrency: int | None) -> None:
        self._control = control
        self.clock = clock
        self._max_concurrency = max_concurrency
        self._registry = Registry()
        self._held: dict[str, Registration] = {}
        self._holder = 0
        self.has_hooks = False

    def register(
        self, name: str, fn: Any, options: ScheduleOptions, *, sync_verb: str = ""
    ) -> tuple[Registration, bool]:
        """Check and keep it; says too whether there is a running scheduler to hand it to.

        Raises as `schedule()`; InsideEventLoop for a `sync_verb` on the scheduler's own thread.
        """
        registration = self._checked(name, fn, options)
        if sync_verb:
            self._control.refuse_loop_thread(sync_verb)
        if self._holder == threading.get_ident():
            self._held[name] = registration
            return registration, False
        return registration, self._claimed(registration)

    def declare(self, declarations: Sequence[Declaration]) -> list[str]:
        """What files declare, as one `schedule()` each, and durable at once where a scheduler runs.

        Returns for each what became of it: created, updated or unchanged; "" if it waits for a
        start. Raises ScheduleError or TypeError; then nothing has changed.
        """
        for error in self.taken(declarations).values():
            raise error
        self._control.refuse_loop_thread("schedule")
        checked = [self._checked(*each) for each in declarations]
        origins = [each.origin for each in declarations]
        return self._hand_in(checked, origins)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """What this thread registers meanwhile (an import does) is held until `hand_held_in`; if
        that does not come, for the next time: no import registers it again."""
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = 0

    def hand_held_in(self) -> dict[str, str]:
        """What is held is registered now, as by `schedule()`, durable if a scheduler runs. Returns
        by name what `declare` does."""
        held, self._held = self._held, {}
        became = self._hand_in([*held.values()], [PROGRAM] * len(held))
        return dict(zip(held, became, strict=True))

    def taken(self, declarations: Sequence[Declaration]) -> dict[str, ScheduleError]:
        """By name, what is wrong with those whose timers this program schedules itself."""
        places = {each.name: each.origin.place for each in declarations}
        if self._control.host is None:
            with self._control.lock:
                own = self._registry.own(places)
        else:
            own = self._control.ask(lambda reading: reading.own(places), "schedule")
        own |= {each.name: each.target.fn for each in self._held.values() if each.name in places}
        return {name: declared_twice(name, places[name], fn) for name, fn in own.items()}

    def _checked(
        self, name: str, fn: Any, options: ScheduleOptions, origin: Origin = PROGRAM
    ) -> Registration:
        called_us, host = self.clock.now().wall_us, self._control.host
        registration = self._registry.registration(name, fn, options, called_us, origin)
        limit = self._max_concurrency if host is None else host.max_concurrency
        refuse_heavy((registration,), limit)
        if registration.target.hooks is not None:
            self.has_hooks = True
            if host is not None:
                host.heed_hooks()
        return registration

    def _claimed(self, registration: Registration, origin: Origin = PROGRAM) -> bool:
        """Keep it, unless there is a running scheduler to hand it to: whether there is one."""
        with self._control.lock:  # a start that begins now takes it along, or the caller does
            is_running = self._control.host is not None
            self._registry.claim(registration, origin)
            if not is_running:
                self._registry.add(registration)
        return is_running

    def _hand_in(self, checked: list[Registration], origins: Sequence[Origin]) -> list[str]:
        durable: list[Future[Any] | None] = []
        for registration, origin in zip(checked, origins, strict=True):
            is_running, command = self._claimed(registration, origin), registration.command()
            durable.append(
                self._control.submit(command, "schedule", registration) if is_running else None
            )
        wait([future for future in durable if future is not None])
        return ["" if future is None else str(future.result()) for future in durable]

    def undeclare(self, besides: Iterable[str]) -> list[str]:
        """Remove the timers of the running scheduler that files declared, and declare no more (as
        `remove`, durable at once); but `besides`. Returns which those were."""
        kept = set(besides)
        gone = [name for name in self._control.ask(Reading.declared, "remove") if name not in kept]
        with self._control.lock:
            for name in gone:
                self._registry.disclaim(name)
        removed = [self._control.submit(c.Remove(name), "remove") for name in gone]
        wait(removed)
        for future in removed:
            with suppress(UnknownTimer):  # somebody else was quicker
                future.result()
        return gone

    def remove(self, name: str) -> None:
        """Forget one that waits for a start. Raises UnknownTimer."""
        with self._control.lock:
            self._registry.remove(name)

    def status(self, name: str) -> TimerStatus | None:
        """One that waits for a start, as the timer it will be."""
        with self._control.lock:
            return self._registry.status(name)

    def statuses(self, query: TimerQuery) -> list[TimerStatus]:
        """Those of them that are asked for."""
        with self._control.lock:
            return self._registry.list(query)

    def on(self, clock: Clock) -> Enrolment:
        """Another one with the registrations that wait here, as if made now on that clock."""
        copy = Enrolment(self._control, clock, self._max_concurrency)
        for each in self._registry.waiting():
            copy._registry.add(each._replace(called_us=clock.now().wall_us))
        return copy

    # -- for whoever makes the host, with the lock -------------------------------------------

    def waiting(self) -> Iterable[Registration]:
        """All that wait; they stay."""
        return self._registry.waiting()

    def hand_to(self, host: Host) -> None:
        """That one has them now, and is asked for what is left of them at its end."""
        self._registry.taken_by(host)

    def take(self) -> list[Registration]:
        """All that wait, for the host that is being made."""
        return self._registry.take()
