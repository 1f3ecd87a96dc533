"""`kron log`: the events themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from .screen import Options, console, show, show_json, show_line
from .words import clean

if TYPE_CHECKING:
    from rich.console import Console

    from kron.runtime.compaction import CompactReport

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
    latest = log.latest(lines)
    if options.is_json and not follow:
        show_json([entry.fields for entry in latest])
        return
    screen = console()

    day = _show(latest, options, screen, "")
    while follow:
        log.wait()
        day = _show(log.read(), options, screen, day)


@app.command()
def compact(ctx: typer.Context) -> None:
    """Write the state as a snapshot, so that a start reads that and not the whole log.

    The running program does it by itself when the log has grown, and lets history go that is
    older than it says; if none runs, all history stays.
    """
    from .source import find_live

    options: Options = ctx.obj
    live = find_live(options.data_dir)
    report = _compact_files(options) if live is None else live.compact()
    if options.is_json:
        show_json(report)
        return
    print(f"snapshot of record {report['record']:,}: {report['snapshot_bytes']:,} bytes")
    removed = [clean(name) for name in report["removed"]]
    print("history let go: " + ", ".join(removed) if removed else "no history was let go")


@app.command()
def verify(ctx: typer.Context) -> None:
    """Read every file to its end, fold all records, and compare each snapshot with them.

    Changes nothing, also beside a running program. Exit 1 if anything is wrong.
    """
    from kron.server.verify import verify as prove

    options: Options = ctx.obj
    proof = prove(options.data_dir)
    if options.is_json:
        show_json(proof)
    else:
        from .findings import proof_block

        show(proof_block(proof))
    if not proof["ok"]:
        raise typer.Exit(1)


def _compact_files(options: Options) -> CompactReport:
    import asyncio

    from kron.server.offline import compact

    return asyncio.run(compact(options.data_dir))


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
