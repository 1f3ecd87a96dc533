"""`kron job`: timers, what they did, and what they are told to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .backfill import backfill
from .logs import logs
from .naming import Name, answer_of, tell_effect, tell_origin
from .pausing import pause, resume
from .screen import WIDE, Options, console, show, show_json
from .source import open_source

app = typer.Typer(no_args_is_help=True, help="Timers: list, inspect, trigger, pause, ...")

DONE = {
    "trigger": "{name}: triggered, {run_id}",
    "remove": "{name}: removed",
    "cancel": "{name}: {cancelled} open run(s) or backfill(s) stopped, or asked to stop",
    "cancel_run": "{name}: stopped, or asked to stop",
}
NOT_DONE = {
    "trigger": "{name}: skipped, a run is open (overlap=skip)",
    "remove": "{name}: removed",
    "cancel": "{name}: no run is open, and no backfill goes on",
    "cancel_run": "{name}: is not open any more",
}
"""What people read when the one value of the answer is empty, false or 0."""


@app.command("list")
def list_timers(ctx: typer.Context) -> None:
    """All timers, by next run."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    timers = source.timers()
    if options.is_json:
        show_json(timers)
    elif not timers:
        print("(no timers registered)")
    else:
        from .tables import timer_table

        show(timer_table(timers, options.zone, is_wide=console().width >= WIDE))
    tell_origin(source)


@app.command()
def status(ctx: typer.Context, name: Name) -> None:
    """Everything about one timer."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    timer = answer_of(source, name, source.timer, name)
    if options.is_json:
        show_json(timer)
    else:
        from .tables import timer_block

        show(timer_block(timer, options.zone))
    tell_origin(source)


@app.command()
def history(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Rows.")] = 20,
) -> None:
    """What became of a timer's latest moments, newest first."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    rows = answer_of(source, name, source.history, name, limit)
    if options.is_json:
        show_json(rows)
    elif not rows:
        print("(nothing has happened yet)")
    else:
        from .tables import history_table

        show(history_table(rows, options.zone, is_wide=console().width >= WIDE))
    tell_origin(source)


@app.command()
def why(
    ctx: typer.Context,
    name: Name,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="A moment, past or future. Default: now.")
    ] = None,
) -> None:
    """Why a timer ran late, or did not run, and what comes next: the story of its latest moment.

    TIME is an ISO date and time such as 2026-11-21T09:00, or a time of today;
    without a zone it is local, or UTC with --utc. The answer is about the
    latest moment at or before it; of a TIME to come, whether the timer runs then.
    """
    from .moment import instant

    options: Options = ctx.obj
    asked = None if at is None else instant(at, options.zone)
    source = open_source(options.data_dir)
    story = answer_of(source, name, source.why, name, asked)
    if options.is_json:
        show_json(story)
    else:
        from .tables import story_lines

        show(story_lines(story, options.zone))
    tell_origin(source)


@app.command()
def trigger(ctx: typer.Context, name: Name) -> None:
    """Run a timer once now, besides its schedule."""
    _act(ctx.obj, "trigger", name)


@app.command()
def remove(ctx: typer.Context, name: Name) -> None:
    """Forget a timer."""
    _act(ctx.obj, "remove", name)


@app.command()
def cancel(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|RUN_ID", help="A timer's name, or a run.")],
) -> None:
    """Stop one open run, or all open runs of a timer. The timer stays scheduled."""
    is_run = len(name) == 30 and name.startswith("run_")
    _act(ctx.obj, "cancel_run" if is_run else "cancel", name)


def _act(options: Options, verb: str, name: str) -> None:
    source = open_source(options.data_dir)
    answer: dict[str, Any] = answer_of(source, name, source.act, verb, name)
    if options.is_json:
        show_json(answer)
    else:
        texts = DONE if all(answer.values()) else NOT_DONE
        print(texts[verb].format(name=name, **answer))
    tell_effect(source)


app.command()(pause)
app.command()(resume)
app.command()(backfill)
app.command()(logs)
