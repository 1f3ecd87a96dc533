"""The `kron` command: global options, the groups of verbs, and what errors look like."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kron import __version__
from kron.core.errors import KronError

from . import crontab, doctor, job, log, runtime, scheduled
from .metrics import metrics
from .next import NextCommand, show_next
from .plan import PlanCommand, plan
from .screen import DATA_DIR, STDOUT, Options, drop_stdout, fail, take_stdout
from .up import up

EPILOG = "The global options may also stand behind the verb: kron job list --json"
_FLAGS = {"--json", "--utc"}
_VALUES = {"--data-dir"}


class KronGroup(TyperGroup):
    """The root: takes the global options anywhere, and ends in one line for a KronError."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        return super().parse_args(ctx, globals_first(args))

    def invoke(self, ctx: Any) -> Any:
        """See click."""
        try:
            return super().invoke(ctx)
        except KronError as exc:
            fail(str(exc))
        except FileNotFoundError:
            from kron.sources.reading import GONE, current_directory

            if current_directory() is not None:
                raise
            fail(GONE)
        except KeyboardInterrupt as exc:
            for each in getattr(exc, "__notes__", ()):  # whose code it struck
                fail(each)
            raise typer.Exit(130) from None
        raise typer.Exit(1)


app = typer.Typer(
    cls=KronGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(job.app, name="job")
app.add_typer(crontab.app, name="crontab")
app.add_typer(log.app, name="log")
app.add_typer(runtime.app, name="runtime")
app.add_typer(scheduled.app, name="scheduled")
app.command("doctor")(doctor.doctor)
app.command("metrics")(metrics)
app.command("next", cls=NextCommand)(show_next)
app.command("plan", cls=PlanCommand)(plan)
app.command("up")(up)


def globals_first(args: list[str]) -> list[str]:
    """The arguments with the global options (up to `--`) moved to the front."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            rest.append(arg)
            break
        is_option = arg in _FLAGS or arg.partition("=")[0] in _VALUES
        (first if is_option else rest).append(arg)
        if arg in _VALUES:
            first += [value for value in [next(left, None)] if value is not None]
    return [*first, *rest, *left]


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"kron {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    data_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The data directory. Default: $KRON_HOME, else .kron in the current directory.",
        ),
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    is_utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC, not local.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Look at a Kron scheduler and steer it.

    Answers come from the running program; if none runs, they are read from its files.
    """
    ctx.obj = Options(data_dir or os.environ.get("KRON_HOME") or DATA_DIR, is_json, is_utc)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    take_stdout()
    try:
        _run()
    except OSError as exc:
        if exc.filename != STDOUT:
            raise
        drop_stdout()
        if not isinstance(exc, BrokenPipeError):  # nobody reads any more: as with other programs
            fail(f"{STDOUT}: {exc.strerror}")
        sys.exit(1)


def _run() -> None:
    """A command, until all it prints has been printed: what cannot be is a failure, too."""
    try:
        app(prog_name="kron")
    except SystemExit:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
        raise
