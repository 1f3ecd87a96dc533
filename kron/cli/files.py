"""The files of a data directory no runtime has: read without a trace, changed under the lock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from kron.core import commands as c
from kron.core.errors import KronError, UnknownTimer
from kron.core.ids import run_id_number, run_id_text
from kron.core.row_query import HistoryOptions, read_row_query
from kron.core.row_views import HistoryRow
from kron.core.selection import candidate, selected
from kron.core.steering import (
    Backfill,
    BackfillOptions,
    PauseAsked,
    PauseOptions,
    ResumeAsked,
    ResumeOptions,
    begun,
    previewed,
    read_backfill,
    read_pause,
    read_resume,
)
from kron.core.things import Timer
from kron.core.timer_query import ListOptions, read_timer_query
from kron.core.views import TimerStatus, timer_status
from kron.core.why import Why
from kron.runtime.history import past
from kron.runtime.listing import in_order, names_of, run_out
from kron.runtime.story import story_of
from kron.server.offline import Idle, folded, opened, wall_now

COMMANDS: dict[str, Callable[[str], c.Command]] = {
    "trigger": c.Trigger,
    "cancel": c.Cancel,
    "remove": c.Remove,
}


class Files:
    """The log, folded, as a Source. Reading creates and changes nothing.

    Raises StorageError if there is no log here, or it cannot be used.
    """

    is_live = False

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        self._reader, self._machine = folded(data_dir)
        self._log_id = self._reader.log_id

    def timers(self, options: ListOptions | None = None) -> list[TimerStatus]:
        """See Source."""
        query, state = read_timer_query(options or {}), self._machine.state
        return run_out(in_order(state, query, self._status, is_carried=False))

    def timer(self, name: str) -> TimerStatus:
        """See Source."""
        return self._status(self._machine.timer(name))

    def history(self, name: str | None, options: HistoryOptions) -> list[HistoryRow]:
        """See Source."""
        query, state = read_row_query(name, options, wall_now().wall_us), self._machine.state
        if query.metadata:
            query = query.of(run_out(names_of(state, query.timers_wanted)))
        return past(state, self._reader, query).rows()

    def why(self, name: str, at: str | None) -> Why:
        """See Source."""
        now_us, state = wall_now().wall_us, self._machine.state
        return story_of(state, self._reader, name, at, now_us, is_live=False).tell()

    def act(self, verb: str, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """See Source. It takes effect at the next start; DataDirLocked if that has just come."""
        answer = self._append(self._command(verb, name, options or {}))
        if verb == "trigger":
            run_id = None if answer is None else run_id_text(answer[0], answer[1], self._log_id)
            return {"run_id": run_id}
        if verb == "remove":
            return {"removed": True}
        return {"cancelled" if verb.startswith("cancel") else "changed": answer}

    def act_on(self, verb: str, match: str | None, options: dict[str, Any]) -> dict[str, Any]:
        """See Source."""
        timers = self._machine.state.timers.values()
        commands = ((timer.name, timer.definition.terms.command) for timer in timers)
        names = selected((candidate(*each) for each in commands), match)
        return {"changed": self._append(_asked(verb, options).many(names))}

    def backfill(self, name: str, options: dict[str, Any]) -> Backfill:
        """See Source. It begins at the next start."""
        timer = self._machine.timer(name)
        asked = read_backfill(name, cast(BackfillOptions, options))
        command = asked.command(timer.definition, wall_now().wall_us)
        if asked.is_dry_run:
            return previewed(self._machine.state, timer, command)
        return begun(command, self._append(command))

    def _append(self, command: c.Command) -> Any:
        return asyncio.run(_append(self._data_dir, command))

    def _command(self, verb: str, name: str, options: dict[str, Any]) -> c.Command:
        """Raises UnknownTimer before the lock is taken: a name is only looked up."""
        if verb == "cancel_run":
            run = run_id_number(name, self._log_id)
            if run is None:
                raise UnknownTimer(f"there is no run {name!r}.")
            return c.CancelRun(run)
        self._machine.timer(name)
        if verb in COMMANDS:
            return COMMANDS[verb](name)
        return _asked(verb, options).one(name)

    def _status(self, timer: Timer) -> TimerStatus:
        state = self._machine.state
        fn_name = timer.definition.terms.fn_name or None
        return timer_status(state, timer, wall_now(), self._log_id, capacity=None, fn_name=fn_name)


def _asked(verb: str, options: dict[str, Any]) -> PauseAsked | ResumeAsked:
    """The fields of the routes, as the verbs take them."""
    if verb == "resume":
        return read_resume(None, cast(ResumeOptions, options))
    renamed = {"for_" if name == "for" else name: value for name, value in options.items()}
    return read_pause(None, cast(PauseOptions, renamed), wall_now().wall_us)


async def _append(data_dir: str, command: c.Command) -> Any:
    """Take the lock, fold the log, append what the command decides, leave."""
    async with opened(data_dir) as idle:
        return await _carry_out(idle, command)


async def _carry_out(idle: Idle, command: c.Command) -> Any:
    inbox = deque([command])
    value: Any = None
    is_full = True
    while is_full:
        step = idle.machine.step(inbox, wall_now())
        if step.events:
            await idle.append(step.record, step.events)
        idle.machine.confirm()
        for answer in step.answers:
            value = answer.value
        is_full = step.is_full
    if isinstance(value, KronError):
        raise value
    return value
