"""How pause, resume, backfill and cancel are carried out: a look at the engine, one command."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeAlias

from kron.core import commands as c
from kron.core.command import CommandSpec
from kron.core.errors import UnknownTimer
from kron.core.ids import run_id_number
from kron.core.selection import candidate, selected
from kron.core.steering import Backfill, BackfillAsked, PauseAsked, ResumeAsked, begun
from kron.storage.blocking import in_thread

from .control import Control
from .engine import Engine
from .reading import Reading

Steering: TypeAlias = PauseAsked | ResumeAsked
Timers: TypeAlias = list[tuple[str, CommandSpec | None]]


def steer(control: Control, asked: Steering) -> int:
    """Pause or resume. Returns for one timer whether that changed something, else how many."""
    if asked.name is not None:
        return bool(control.submit(asked.one(asked.name), asked.verb).result())
    names = _selected(control.ask(Reading.commands, asked.verb), asked.match)
    return int(control.submit(asked.many(names), asked.verb).result())


async def asteer(control: Control, asked: Steering) -> int:
    """As `steer`, from any running loop."""
    if asked.name is not None:
        return bool(await control.asubmit(asked.one(asked.name), asked.verb))
    timers = await control.aask(Reading.commands, asked.verb)
    names = await in_thread(lambda: _selected(timers, asked.match))
    return int(await control.asubmit(asked.many(names), asked.verb))


def backfill(control: Control, asked: BackfillAsked) -> Backfill:
    """Have it begun, or find out what it would run."""
    command = control.ask(lambda reading: reading.backfill(asked), "backfill")
    if asked.is_dry_run:
        return control.ask(lambda reading: reading.backfill_preview(command), "backfill")
    return begun(command, control.submit(command, "backfill").result())


async def abackfill(control: Control, asked: BackfillAsked) -> Backfill:
    """As `backfill`, from any running loop."""
    command = await control.aask(lambda reading: reading.backfill(asked), "backfill")
    if asked.is_dry_run:
        return await control.aask(lambda reading: reading.backfill_preview(command), "backfill")
    return begun(command, await control.asubmit(command, "backfill"))


def cancel_of(name: str, log_id: str) -> c.Command:
    """The command that cancels the run of that id, or all runs of the timer of that name."""
    if not isinstance(name, str):
        raise TypeError(f"cancel() takes a timer's name or a run id, not {name!r}.")
    run = run_id_number(name, log_id)
    return c.Cancel(name) if run is None else c.CancelRun(run)


def backfill_all(control: Control, since_us: int) -> None:
    """Backfill every recurring timer that this process has registered, from `since_us` until now;
    returns when that is durable. Raises KronStopped."""
    commands = control.ask(lambda reading: reading.backfills(since_us), "start")
    _take(_submit(control.engine("start"), commands))


async def abackfill_all(control: Control, since_us: int) -> None:
    """As `backfill_all`, from any running loop."""
    commands = await control.aask(lambda reading: reading.backfills(since_us), "start")
    answers = _submit(await control.aengine("start"), commands)
    if answers:
        await asyncio.wait([asyncio.wrap_future(each) for each in answers])
    _take(answers)


def _selected(timers: Timers, match: str | None) -> tuple[str, ...]:
    return selected((candidate(*each) for each in timers), match)


def _submit(engine: Engine, commands: list[c.Backfill]) -> list[Future[Any]]:
    return [engine.submit(command) for command in commands]


def _take(answers: list[Future[Any]]) -> None:
    for each in answers:
        with suppress(UnknownTimer):  # a callback has removed it since
            each.result()
