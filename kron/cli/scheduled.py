"""`kron scheduled`: the jobs of `[tool.scheduled]`, checked, listed, and run by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .mistakes import end_if_any, mistake_rows
from .screen import Options, show, show_json

if TYPE_CHECKING:
    from kron.sources.declared import Mistake
    from kron.sources.scheduled import Entrypoint, Jobs

app = typer.Typer(
    no_args_is_help=True, help="Jobs of \\[tool.scheduled] in pyproject.toml: check, list, run."
)

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="Default: pyproject.toml and kron.toml, from here upwards.",
        show_default=False,
    ),
]


@app.command()
def check(ctx: typer.Context, files: Files = None) -> None:
    """Whether every job can run: its id, its keys, and an entrypoint that imports.

    All mistakes at once, each with its line; then the exit code is 1.
    """
    options: Options = ctx.obj
    named, (jobs, mistakes, entrypoints) = _read(files)
    with redirect_stdout(sys.stderr):  # what modules print while they are imported is no answer
        loaded, not_loaded = _load(named, entrypoints)
    mistakes = sorted([*mistakes, *not_loaded], key=lambda each: each.place)
    if options.is_json:
        ids = [job.id for job in jobs if job.entrypoint in loaded]
        show_json({"files": named, "jobs": ids, "mistakes": mistake_rows(mistakes)})
    elif not mistakes:
        print(_praise(jobs, named))
    end_if_any(mistakes, is_told=not options.is_json)


@app.command("list")
def list_jobs(ctx: typer.Context, files: Files = None) -> None:
    """Every job, the slot that follows from its id, and its next run. Imports nothing."""
    from .scheduled_table import job_rows, job_table

    options: Options = ctx.obj
    named, (jobs, mistakes, _) = _read(files)
    if options.is_json:
        show_json(job_rows(jobs))
    elif jobs:
        show(job_table(job_rows(jobs), options.zone))
    elif not mistakes:
        print(_none(named))
    end_if_any(mistakes)


@app.command()
def run(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The job's id, as it is declared.")],
    files: Files = None,
) -> None:
    """Import a job's function and call it, here and now: as from MODULE import FUNCTION does.

    Nothing is recorded, and the job's slot stays where it is. The exit code is 1
    if it raises; its traceback is on stderr.
    """
    from .calling import call

    named, (jobs, mistakes, _) = _read(files)
    asked = [job for job in jobs if job.id == id_]
    wrong = [each for each in mistakes if each.what == id_ or not (asked or each.what)]
    if not (asked or wrong):
        _fail_unknown(id_, [job.id for job in jobs])
    end_if_any(wrong)
    loaded, not_loaded = _load(named, [job.entrypoint for job in asked])
    end_if_any(not_loaded)
    if not all(map(call, loaded.values())):
        raise typer.Exit(1)


def _read(files: list[str] | None) -> tuple[list[str], Jobs]:
    from kron.sources.reading import find_files, read_jobs

    named = files or find_files()
    return named, read_jobs(named)


def _load(
    named: list[str], entrypoints: list[Entrypoint]
) -> tuple[dict[Entrypoint, Callable[[], Any]], list[Mistake]]:
    """The functions of jobs. Their modules may not start the scheduler, as in `kron up`."""
    from kron import scheduler as program
    from kron.sources.reading import lead_path
    from kron.sources.scheduled import load

    lead_path(named)
    with program.default.importing():
        return load(entrypoints)


def _fail_unknown(id_: str, known: list[str]) -> None:
    from kron.core.errors import UnknownTimer
    from kron.core.keywords import meant

    hint = meant(id_.removeprefix("scheduled:"), known) or " See kron scheduled list."
    raise UnknownTimer(f"no job {id_!r} is declared.{hint}")


def _praise(jobs: list[Any], files: list[str]) -> str:
    if not jobs:
        return _none(files)
    return f"{len(jobs):,} job{'' if len(jobs) == 1 else 's'} in {', '.join(files)}, no mistake"


def _none(files: list[str]) -> str:
    return f"(no jobs under [tool.scheduled] in {', '.join(files)})"
