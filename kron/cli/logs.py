"""`kron job logs`: what the runs of a command printed, read from the files."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from kron.core.errors import StorageError, UnknownTimer

from .naming import Name, answer_of
from .screen import Options, show_json
from .source import Source, open_source
from .words import clean

if TYPE_CHECKING:
    from kron.core.views import TimerStatus

LOOK_SECONDS = 0.2
RUNS = 1_000
"""In so many of the latest rows of history a run with output is looked for."""
_PRINTED = re.compile(r"[^\n\t]+")


def logs(
    ctx: typer.Context,
    name: Name,
    run: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="That run, not the latest with output.")
    ] = None,
    is_followed: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
) -> None:
    """What a command (or executor="process") printed: the last 64 KiB of its latest run that
    printed something."""
    options: Options = ctx.obj
    source = open_source(options.data_dir)
    timer = answer_of(source, name, source.timer, name)
    if timer["command"] is None and timer["executor"] != "process":
        raise UnknownTimer(
            f"{name} is neither a command nor executor='process': what its runs print is not kept."
        )
    run_id = _run_of(source, timer, options, is_followed=is_followed) if run is None else run
    _Printer(source, timer, run_id, options).show(is_followed=is_followed)


def _run_of(source: Source, timer: TimerStatus, options: Options, *, is_followed: bool) -> str:
    """The latest run with output; while following, an open one counts that has none yet."""
    name = timer["id"]
    rows = source.history(name, {"limit": RUNS})
    ended = [row["run_id"] for row in rows if row["run_id"] is not None]
    runs = [*reversed(timer["open_runs"]), *ended]
    if not runs:
        raise UnknownTimer(f"{name} has had no run yet.")
    if is_followed and timer["open_runs"] and source.is_live:
        return runs[0]
    for run_id in dict.fromkeys(runs):
        if _read(options, run_id, 0, is_open=False)[0]:
            return run_id
    raise UnknownTimer(f"{name}: its runs printed nothing, or it was let go since.")


class _Printer:
    """One run's output, and how far it has been printed."""

    def __init__(self, source: Source, timer: TimerStatus, run_id: str, options: Options) -> None:
        self._source = source
        self._timer = timer
        self._run_id = run_id
        self._options = options
        self._offset = 0
        self._texts: list[str] = []

    def show(self, *, is_followed: bool) -> None:
        """Print it; with `is_followed`, until the run has ended."""
        is_open = self._source.is_live and self._run_id in self._timer["open_runs"]
        while self._print(is_open=is_open) and is_followed:
            time.sleep(LOOK_SECONDS)
            is_open = self._is_open()
        if not self._offset and not is_open:
            raise UnknownTimer(f"{self._run_id} printed nothing, or it was let go since.")
        if self._options.is_json:
            text = "".join(self._texts)
            show_json({"timer": self._timer["id"], "run_id": self._run_id, "text": text})

    def _print(self, *, is_open: bool) -> bool:
        """What is new. Whether the run was open is asked before: then nothing comes after it."""
        text, self._offset = _read(self._options, self._run_id, self._offset, is_open=is_open)
        if self._options.is_json:
            self._texts.append(text)
        else:
            sys.stdout.write(_visible(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()
        return is_open

    def _is_open(self) -> bool:
        name = self._timer["id"]
        timer = answer_of(self._source, name, self._source.timer, name)
        return self._source.is_live and self._run_id in timer["open_runs"]


def _read(options: Options, run_id: str, offset: int, *, is_open: bool) -> tuple[str, int]:
    from kron.storage.datadir import DataDir
    from kron.storage.output import read_output

    place = DataDir(options.data_dir, read_only=True)
    try:
        return read_output(place, run_id, offset, is_over=not is_open)
    except OSError as exc:
        raise StorageError(f"the output of {run_id}: {exc.strerror}") from exc


def _visible(text: str) -> str:
    """With everything that a terminal would act on shown as an escape."""
    return _PRINTED.sub(lambda found: clean(found[0]), text)
