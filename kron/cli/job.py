"""`kron job`: timers, what they did, and what they are told to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kron.core.errors import ScheduleError, UnknownTimer

from .screen import WIDE, Options, console, note, show, show_json
from .source import Source, open_source

app = typer.Typer(no_args_is_help=True, help="Timers: list, inspect, trigger, pause, ...")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The timer's name.")]
FROM_FILES = "no runtime is alive; read from the files"
AT_NEXT_START = "no runtime is alive; takes effect at the next start"

DONE = {
    "trigger": "{name}: triggered, {run_id}",
    "pause": "{name}: paused",
    "resume": "{name}: resumed",
    "remove": "{name}: removed",
    "cancel": "{name}: {cancelled} open run(s) stopped, or asked to stop",
    "cancel_run": "{name}: stopped, or asked to stop",
}
NOT_DONE = {
    "trigger": "{name}: skipped, a run is open (overlap=skip)",
    "pause": "{name}: was paused already",
    "resume": "{name}: was not paused",
    "remove": "{name}: removed",
    "cancel": "{name}: no run is open",
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
    _tell_origin(source)


@app.command()
def status(ctx: typer.Context, name: Name) -> None:
    """Everything about one timer."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    timer = _of(name, source.timer, _known(name))
    if options.is_json:
        show_json(timer)
    else:
        from .tables import timer_block

        show(timer_block(timer, options.zone))
    _tell_origin(source)


@app.command()
def history(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Rows.")] = 20,
) -> None:
    """What became of a timer's latest moments, newest first."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    rows = _of(name, source.history, _known(name), limit)
    if options.is_json:
        show_json(rows)
    elif not rows:
        print("(nothing has happened yet)")
    else:
        from .tables import history_table

        show(history_table(rows, options.zone, is_wide=console().width >= WIDE))
    _tell_origin(source)


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
    story = _of(name, source.why, _known(name), asked)
    if options.is_json:
        show_json(story)
    else:
        from .tables import story_lines

        show(story_lines(story, options.zone))
    _tell_origin(source)


@app.command()
def trigger(ctx: typer.Context, name: Name) -> None:
    """Run a timer once now, besides its schedule."""
    _act(ctx.obj, "trigger", _known(name))


@app.command()
def pause(ctx: typer.Context, name: Name) -> None:
    """Let no moment of a timer run until it is resumed."""
    _act(ctx.obj, "pause", _known(name))


@app.command()
def resume(ctx: typer.Context, name: Name) -> None:
    """End a pause."""
    _act(ctx.obj, "resume", _known(name))


@app.command()
def remove(ctx: typer.Context, name: Name) -> None:
    """Forget a timer."""
    _act(ctx.obj, "remove", _known(name))


@app.command()
def cancel(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|RUN_ID", help="A timer's name, or a run.")],
) -> None:
    """Stop one open run, or all open runs of a timer. The timer stays scheduled."""
    is_run = len(name) == 30 and name.startswith("run_")
    _act(ctx.obj, "cancel_run" if is_run else "cancel", _known(name))


def _act(options: Options, verb: str, name: str) -> None:
    source = open_source(options.data_dir)
    answer: dict[str, Any] = _of(name, source.act, verb, name)
    if options.is_json:
        show_json(answer)
    else:
        texts = DONE if all(answer.values()) else NOT_DONE
        print(texts[verb].format(name=name, **answer))
    if not source.is_live:
        note(AT_NEXT_START)


def _known(name: str) -> str:
    """A name that no timer can have is not asked for."""
    from kron.core.definition import check_name

    try:
        check_name(name)
    except ScheduleError as exc:
        raise UnknownTimer(f"timer {name!r} not found") from exc
    return name


def _of(name: str, ask: Any, *args: Any) -> Any:
    try:
        return ask(*args)
    except UnknownTimer as exc:
        kind = "run" if args[0] == "cancel_run" else "timer"
        raise UnknownTimer(f"{kind} {name!r} not found") from exc


def _tell_origin(source: Source) -> None:
    if not source.is_live:
        note(FROM_FILES)
