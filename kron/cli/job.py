"""`kron job`: timers, what they did, and what they are told to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .backfill import backfill
from .filters import Metadata, Offset, States, history_options, list_options
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
def list_timers(
    ctx: typer.Context,
    states: States = None,
    metadata: Metadata = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Only with this in name, command line or its hash."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=0, help="Rows.")] = None,
    offset: Offset = 0,
) -> None:
    """The timers, by next run."""
    options: Options = ctx.obj
    asked = list_options(states, metadata, match, limit, offset)
    source = open_source(options.data_dir)
    timers = source.timers(asked)
    if options.is_json:
        show_json(timers)
    elif not timers:
        is_filtered = any(asked.values()) or limit == 0
        print("(no timer fits)" if is_filtered else "(no timers registered)")
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
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A timer's name; without one, of all.")
    ] = None,
    states: States = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what became so since then.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what became so before then.")
    ] = None,
    metadata: Metadata = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=10_000, help="Rows.")] = 20,
    offset: Offset = 0,
) -> None:
    """What became of a timer's latest moments (or of all timers'), newest first.

    TIME is an ISO date and time, a time of today, or a duration: that long ago.
    """
    from .moment import past_instant

    options: Options = ctx.obj
    since = since and past_instant(since, options.zone, "--since")
    until = until and past_instant(until, options.zone, "--until")
    asked = history_options(states, since, until, metadata, limit, offset)
    source = open_source(options.data_dir)
    if name is None:
        rows = source.history(None, asked)
    else:
        rows = answer_of(source, name, source.history, name, asked)
    if options.is_json:
        show_json(rows)
    elif not rows:
        is_filtered = any((states, since, until, metadata, offset)) or limit == 0
        print("(nothing fits)" if is_filtered else "(nothing has happened yet)")
    else:
        from .tables import history_table

        is_wide = console().width >= WIDE
        show(history_table(rows, options.zone, is_wide=is_wide, is_of_all=name is None))
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
