"""`kron log`: the events themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from .screen import Options, console, show_json, show_line

if TYPE_CHECKING:
    from rich.console import Console

    from .tail import Entry

app = typer.Typer(no_args_is_help=True, help="The log of events.")
Count = Annotated[int, typer.Option("-n", "--lines", min=0, help="How many events.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones, as they come.")]


@app.command()
def tail(ctx: typer.Context, lines: Count = 20, follow: Follow = False) -> None:
    """The latest events, oldest first, read from the files whether a runtime is alive or not.

    With --json it is one array; with --follow as well, one object a line.
    """
    from .tail import LogTail

    options: Options = ctx.obj
    log = LogTail(options.data_dir)
    latest = deque(log.read(), lines)
    if options.is_json and not follow:
        show_json([entry.fields for entry in latest])
        return
    screen = console()

    day = _show(latest, options, screen, "")
    while follow:
        log.wait()
        day = _show(log.read(), options, screen, day)


def _show(entries: Iterable[Entry], options: Options, screen: Console, day: str) -> str:
    """A line an entry, and one for each new day; returns the day it came to."""
    for entry in entries:
        if options.is_json:
            show_line(entry.fields)
            continue
        if entry.day(options.zone) != day:
            day = entry.day(options.zone)
            screen.print(day, style="dim")
        screen.print(entry.line(options.zone), no_wrap=True, overflow="ellipsis", crop=True)
    return day
