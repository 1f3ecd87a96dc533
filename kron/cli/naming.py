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


def answer_of(source: Source, name: str, ask: Callable[..., T], *args: Any) -> T:
    """The answer to a question about a timer or run; a name that no timer can have is not asked
    for. UnknownTimer says what is not there, and which job of that id is meant, if there is one."""
    from kron.core.definition import check_name

    try:
        check_name(name)
    except ScheduleError as exc:
        raise UnknownTimer(_not_found(source, name)) from exc
    try:
        return ask(*args)
    except UnknownTimer as exc:
        is_run = args[:2] == ("cancel_run", name)
        text = f"run {name!r} not found" if is_run else _not_found(source, name)
        raise UnknownTimer(text) from exc


def _not_found(source: Source, name: str) -> str:
    from kron.sources.scheduled import SOURCE, name_of

    text = f"timer {name!r} not found"
    try:
        job = name_of(name)
        is_there = source.timer(job)["source"] == SOURCE
    except (UnknownTimer, UnicodeEncodeError):  # that cannot be encoded which was no UTF-8
        return text
    return f"{text}; the job of that id is {job}" if is_there else text


def tell_origin(source: Source) -> None:
    """After an answer: that no program gave it."""
    if not source.is_live:
        note(FROM_FILES)


def tell_effect(source: Source) -> None:
    """After a change: that no program carries it out yet."""
    if not source.is_live:
        note(AT_NEXT_START)
