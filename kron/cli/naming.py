"""Timers as people name them on the command line, and what is said of where an answer is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from kron.core.errors import ScheduleError, UnknownTimer

from .screen import note
from .source import Source

T = TypeVar("T")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The timer's name.")]
FROM_FILES = "no runtime is alive; read from the files"
AT_NEXT_START = "no runtime is alive; takes effect at the next start"


def known(name: str) -> str:
    """The name; one that no timer can have is not asked for. Raises UnknownTimer."""
    from kron.core.definition import check_name

    try:
        check_name(name)
    except ScheduleError as exc:
        raise UnknownTimer(f"timer {name!r} not found") from exc
    return name


def answer_of(name: str, ask: Callable[..., T], *args: Any) -> T:
    """The answer to a question about a timer or run; UnknownTimer says which of them is none."""
    try:
        return ask(*args)
    except UnknownTimer as exc:
        kind = "run" if args[0] == "cancel_run" else "timer"
        raise UnknownTimer(f"{kind} {name!r} not found") from exc


def tell_origin(source: Source) -> None:
    """After an answer: that no program gave it."""
    if not source.is_live:
        note(FROM_FILES)


def tell_effect(source: Source) -> None:
    """After a change: that no program carries it out yet."""
    if not source.is_live:
        note(AT_NEXT_START)
