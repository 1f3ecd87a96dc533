"""`kron job backfill`: run moments of the past, and watch it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .naming import Name, answer_of, tell_effect
from .screen import Options, fail, note, show_json
from .source import Source, open_source

if TYPE_CHECKING:
    from kron.core.steering import Backfill
    from kron.core.views import TimerStatus

LOOK_SECONDS = 0.2


def backfill(
    ctx: typer.Context,
    name: Name,
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on (2d: two days ago).")],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to then, without it. Default: now.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many at once (needs overlap=allow).")
    ] = 1,
    is_forced: Annotated[
        bool, typer.Option("--force", help="Also moments that have had a run.")
    ] = False,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the moments; change nothing.")
    ] = False,
    is_awaited: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Stay until all of it has run.")
    ] = True,
) -> None:
    """Run the moments of a timer that passed without a run, oldest first.

    Ctrl-C leaves, and the backfill goes on; kron job cancel NAME ends it.
    Exit code 1 if a run was given up or cancelled.
    """
    from .moment import past_instant

    options: Options = ctx.obj
    fields: dict[str, Any] = {"since": past_instant(since, options.zone, "--since")}
    if until is not None:
        fields["until"] = past_instant(until, options.zone, "--until")
    fields |= {"concurrency": concurrency, "force": is_forced, "dry_run": is_dry_run}
    source = open_source(options.data_dir)
    asked_at = datetime.now(UTC)
    begun = answer_of(source, name, source.backfill, name, fields)
    is_over = is_awaited and not is_dry_run and _is_over(source, begun, options)
    if options.is_json:
        show_json(begun)
    elif is_dry_run:
        _list(begun, options)
    else:
        print(_told(source, begun, is_over=is_over, is_forced=is_forced))
    if not is_dry_run:
        tell_effect(source)
    if is_over and (bad := _given_up(source, begun, asked_at)):
        fail(f"{name}: {bad:,} of these runs were given up or cancelled (kron job history {name})")
        raise typer.Exit(1)


def _is_over(source: Source, begun: Backfill, options: Options) -> bool:
    """Wait for the end of it, if there is anything to wait for."""
    name = begun["timer"]
    if not source.is_live or not begun["moments"]:
        return False
    if source.timer(name)["paused"] is not None:
        note(f"{name} is paused: the backfill waits until it is resumed")
        return False
    try:
        _follow(source, begun, is_quiet=options.is_json)
    except KeyboardInterrupt:
        note(f"{name}: the backfill goes on")
        raise
    return True


def _given_up(source: Source, begun: Backfill, asked_at: datetime) -> int:
    """How many of its runs did not end well, as far as one answer of history goes."""
    rows = source.history(begun["timer"], {"limit": min(10_000, 20 * begun["moments"] + 100)})
    return sum(
        row["status"] in ("DEAD", "CANCELLED")
        and row["cause"] == "backfill"
        and datetime.fromisoformat(row["at"] or "") >= asked_at
        for row in rows
    )


def _follow(source: Source, begun: Backfill, *, is_quiet: bool) -> None:
    """Until the timer has no backfill any more: a bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    is_shown = console.is_terminal and not is_quiet
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task("started", total=begun["moments"])
        for started, moments in _progress(source, begun["timer"]):
            progress.update(task, completed=started, total=moments)


def _progress(source: Source, name: str) -> Iterator[tuple[int, int]]:
    """How many moments have started of how many, again and again until the last run has ended:
    those of a cancelled backfill are asked to stop after it is no more."""
    while (status := source.timer(name))["backfill"] is not None or _has_run(status):
        if (now := status["backfill"]) is not None:
            yield now["started"], now["moments"]
        time.sleep(LOOK_SECONDS)


def _has_run(status: TimerStatus) -> bool:
    return any(run["cause"] == "backfill" for run in status["runs"])


def _told(source: Source, begun: Backfill, *, is_over: bool, is_forced: bool) -> str:
    name, left_out = begun["timer"], _left_out(begun)
    if not is_over:
        return f"{name}: {begun['moments']:,} moment(s) to backfill{left_out}"
    left = 0
    if not is_forced:  # of a forced one nobody could tell by that
        again = {"since": begun["since"], "until": begun["until"], "dry_run": True}
        left = source.backfill(name, again)["moments"]
    if left:
        return f"{name}: the backfill has ended early; {left:,} moment(s) had no run"
    return f"{name}: {begun['moments']:,} moment(s) backfilled{left_out}"


def _list(preview: Backfill, options: Options) -> None:
    from .words import moment

    name, count, shown = preview["timer"], preview["moments"], preview["scheduled_at"]
    print(f"{name}: {count:,} moment(s) would run{_left_out(preview)}")
    for each in shown:
        print(moment(each, options.zone))
    if len(shown) < count:
        print(f"... and {count - len(shown):,} more")


def _left_out(backfill: Backfill) -> str:
    return f"; {backfill['done']:,} had a run" if backfill["done"] else ""
