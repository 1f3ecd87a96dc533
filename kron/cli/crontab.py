"""`kron crontab`: into Kron, and out of it again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .mistakes import end_if_mistaken
from .screen import Options, fail, note, show_json

if TYPE_CHECKING:
    from kron.sources.crontab.export import Exported, Written
    from kron.sources.declared import Declared


app = typer.Typer(no_args_is_help=True, help="From a crontab to Kron, and back.")


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A crontab; - is stdin.")] = "-",
    timezone: Annotated[
        str,
        typer.Option(
            "--timezone", "-z", metavar="ZONE", help="Of lines without CRON_TZ. Default: local."
        ),
    ] = "",
    is_compared: Annotated[
        bool,
        typer.Option("--compare", help="Instead, prove with croniter when each line is due."),
    ] = False,
) -> None:
    """Print the kron.toml that does what a user's crontab does.

    All mistakes at once, each with its line; then the exit code is 1. With
    --compare the next 100 moments of each line, as Kron and as croniter
    see them: equal, or the first that is not (exit code 1, too).
    """
    options: Options = ctx.obj
    declared = _read(options, file, timezone)
    if is_compared:
        _compare(declared, options)
        return
    from kron.sources.crontab.toml import tables, write_toml

    if options.is_json:
        notes = [str(each) for each in declared.notes]
        show_json({"timers": tables(declared.timers), "notes": notes})
        return
    print(write_toml(declared), end="")
    for each in declared.notes:
        note(str(each))


def _read(options: Options, file: str, timezone: str) -> Declared:
    """What a crontab declares; ends the program if there are mistakes in it."""
    from kron.core.dst import zone
    from kron.sources.crontab.reader import read_crontab
    from kron.sources.declared import Declared, check_twice

    name = "stdin" if file == "-" else file
    if file == "-" and sys.stdin.isatty():
        note("a crontab is read from the terminal; for yours: crontab -l | kron crontab import")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        fail(f"{name} cannot be read: {exc.strerror}")
        raise typer.Exit(1) from exc
    declared = Declared([name])
    read_crontab(content, name, declared, timezone=timezone and zone(timezone).key)
    check_twice(declared)
    end_if_mistaken(options, declared)
    return declared


def _compare(declared: Declared, options: Options) -> None:
    from .crontab_proof import document, prove, told

    now_us = time.time_ns() // 60_000_000_000 * 60_000_000
    proven = [prove(timer, now_us) for timer in declared.timers]
    if options.is_json:
        show_json([document(each) for each in proven])
    else:
        print("\n".join(told(each) for each in proven) or "(no lines)")
    if not all(each.proof.agrees for each in proven):
        raise typer.Exit(1)


@app.command()
def export(ctx: typer.Context) -> None:
    """Print every timer of the data directory as a crontab.

    What cron cannot say is commented out, with the reason. Comments keep what
    Kron knows beyond that, and kron crontab import reads them again.
    """
    from kron import __version__
    from kron.sources.crontab.export import write_crontab, write_timers

    options: Options = ctx.obj
    written = write_timers(_timers(options.data_dir))
    if options.is_json:
        show_json([_row(each) for each in written])
        return
    print(write_crontab(written, __version__), end="")
    if left_out := sum(bool(each.reasons) for each in written):
        note(f"{left_out} of {len(written)} timer(s) commented out; the reasons stand above them")


def _timers(data_dir: str) -> list[Exported]:
    from kron.server.offline import folded
    from kron.sources.crontab.export import Exported

    state = folded(data_dir).machine.state
    return [
        Exported(timer.name, timer.definition, timer.paused, state.to_wall(timer, timer.anchor_us))
        for timer in state.timers.values()
        if not timer.is_removed
    ]


def _row(written: Written) -> dict[str, Any]:
    when = written.when
    return {
        "name": written.name,
        "timezone": when and when.zone,
        "line": written.line or None,
        "command": written.command or None,
        "comments": written.comments,
        "left_out": written.reasons,
    }
