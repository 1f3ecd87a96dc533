"""`kron up`: carry out in the foreground what files declare."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kron import __version__
from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError, StorageError

from .mistakes import check_document, end_if_mistaken
from .moment import past_instant
from .screen import DATA_DIR, Options, fail, note, show_json
from .source import Live, find_live
from .words import plain, short_moment

if TYPE_CHECKING:
    from kron.core.views import TimerStatus
    from kron.sources.declared import Declared
    from kron.sources.up import Up, Wish

LISTED = 20
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_NAME_COLUMNS, _NEXT_COLUMNS = 32, 17
_FORMAT, _TIME = "%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S%z"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="A pyproject.toml, kron.toml or crontab. Default: the first two, found upwards.",
        show_default=False,
    ),
]


Once = Annotated[bool, typer.Option("--once", help="Run what is due, then exit; 1 if one failed.")]
Check = Annotated[bool, typer.Option("--check", help="Only tell all mistakes in the files.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run now, and next.")]
Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="Make the running kron up read its files again. If none runs, start, and watch them.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help='Backfill since an ISO instant, or "2h" for so long ago.'),
]
Drain = Annotated[
    str, typer.Option(metavar="DURATION", help="How long runs may go on after a signal.")
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Exit 1 if another process has the data directory.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what goes wrong.")]


def up(
    ctx: typer.Context,
    files: Files = None,
    is_once: Once = False,
    is_check: Check = False,
    is_dry_run: DryRun = False,
    is_reload: Reload = False,
    since: Since = None,
    drain: Drain = "5s",
    no_wait: NoWait = False,
    is_quiet: Quiet = False,
) -> None:
    """Run what pyproject.toml, kron.toml or a crontab declare, in the foreground.

    SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads the files
    again. A second kron up in one data directory stands by, and takes over.
    """
    options: Options = ctx.obj
    if is_once + is_check + is_dry_run + is_reload > 1:
        raise typer.BadParameter("one of --once, --check, --dry-run, --reload at a time", ctx)
    drain_s = _seconds(drain)
    since = None if since is None else past_instant(since, options.zone, "--since")
    if is_reload and (live := _to_reload(options, waits=not no_wait)):
        _reload(options, live, files or [])
        return
    if is_check:
        _praise(options, read_or_exit(options, files or ()))
    elif is_dry_run:
        from .plan import show_dry_run

        show_dry_run(options, read_or_exit(options, files or ()), since)
    else:
        from kron.sources.up import Wish

        wish = Wish(
            *(tuple(files or ()), options.data_dir, drain_s, since),
            waits=not no_wait,
            watches=is_reload,
            is_quiet=is_quiet,
        )
        _carry_out(options, wish, is_once=is_once)


def _seconds(drain: str) -> float:
    """Of a duration, or a number of seconds. Raises BadParameter."""
    seconds = float(drain) if _NUMBER.fullmatch(drain) else drain
    try:
        return parse_duration(seconds, argument="--drain", allow_zero=True) / 1_000_000
    except ScheduleError as exc:
        raise typer.BadParameter(str(exc)) from exc


def read_or_exit(options: Options, files: Sequence[str]) -> Declared:
    """What the files declare (without any: those that are found); all mistakes in them at once are
    lines on stderr, with --json a document on stdout, and exit 1. What imported modules print is on
    stderr, too, and the current directory stays the same."""
    declared, _ = _read_or_exit(options, files)
    return declared


def _read_or_exit(options: Options, files: Sequence[str]) -> tuple[Declared, str | None]:
    """See `read_or_exit`; and the directory that imported modules have changed to, if any has."""
    from kron import scheduler as program
    from kron.sources.current import read
    from kron.sources.reading import current_directory

    before = current_directory()
    with redirect_stdout(sys.stderr):
        declared = read(files, program.default)
    after = current_directory()
    if before is not None and after != before:
        os.chdir(before)
    end_if_mistaken(options, declared)
    return declared, None if after == before else after


def _carry_out(options: Options, wish: Wish, *, is_once: bool) -> None:
    from kron.runtime.first import fill_streams, leave_process_one
    from kron.runtime.signals import Ear
    from kron.sources.notify import take_notifier
    from kron.sources.up import Up

    fill_streams()
    leave_process_one()
    ear = Ear()
    _log(wish.is_quiet)
    declared, chosen = _read_or_exit(options, wish.files)
    here = os.getcwd()
    if chosen is not None:
        wish = wish._replace(data_dir=os.path.abspath(wish.data_dir))
    program = Up(wish, declared, take_notifier(os.environ), ear)
    if chosen is not None:  # by a module, for its functions
        os.chdir(chosen)
    if not program.start():
        return
    if not wish.is_quiet:
        _introduce(options, wish, declared, program, here)
    if not is_once:
        program.wait()
    elif failures := program.finish_due():
        fail("1 attempt has failed" if failures == 1 else f"{failures} attempts have failed")
        raise typer.Exit(1)


def _to_reload(options: Options, *, waits: bool) -> Live | None:
    """Whom to reload. If nobody is there one starts and watches its files, unless --no-wait forbids
    it."""
    live = find_live(options.data_dir)
    if live is None and not waits:
        raise StorageError(f"no kron up runs in {options.data_dir}.")
    return live


def _reload(options: Options, live: Live, files: Sequence[str]) -> None:
    from kron.sources.reloaded import in_words

    try:
        reloaded = live.reload([os.path.abspath(file) for file in files])
    except ScheduleError as exc:
        for line in str(exc).splitlines():
            fail(line)
        raise typer.Exit(1) from exc
    if options.is_json:
        show_json(reloaded)
    else:
        print(in_words(reloaded))


def _praise(options: Options, declared: Declared) -> None:
    for remark in declared.notes:
        note(f"note: {remark}")
    if options.is_json:
        show_json(check_document(declared))
    else:
        print(f"{_timers(len(declared.timers))} in {', '.join(declared.files)}, no mistake")


def _introduce(options: Options, wish: Wish, declared: Declared, program: Up, here: str) -> None:
    """What is carried out, when it runs next, on stderr. It was started in `here`."""
    for remark in declared.notes:
        note(f"note: {remark}")
    timers = [timer for timer in program.timers() if timer["state"] != "orphaned"]
    place = os.path.abspath(os.path.join(here, options.data_dir))
    files = ", ".join(declared.files)
    who = f"kron {__version__}, process {os.getpid()}"
    note(f"{who}: {_timers(len(timers))} from {files}, kept in {place}")
    if not timers:
        note("there is nothing to do: no timer is declared")
    folder = os.path.abspath(os.path.join(here, os.path.dirname(declared.files[0])))
    is_default = options.data_dir == DATA_DIR and not wish.files
    if is_default and folder != os.path.dirname(place):
        note(f"note: the files are in {folder}; a kron up from there would keep its own {DATA_DIR}")
    for line in _lines(timers[:LISTED], options):
        note(line)
    if len(timers) > LISTED:
        note(f"  and {len(timers) - LISTED} more: kron job list")


def _lines(timers: Sequence[TimerStatus], options: Options) -> Iterator[str]:
    """Name, next run, schedule in words; in columns, unless a name is very long."""
    now = datetime.now(UTC)
    columns = min(max((len(timer["id"]) for timer in timers), default=0), _NAME_COLUMNS)
    for timer in timers:
        at = timer["next_run_at"]
        next_run = f"next {short_moment(at, now, options.zone)}" if at else timer["state"]
        yield f"  {timer['id']:<{columns}}  {next_run:<{_NEXT_COLUMNS}}  {plain(timer)}"


def _timers(count: int) -> str:
    return f"{count:,} timer" if count == 1 else f"{count:,} timers"


def _log(is_quiet: bool) -> None:
    """To stderr, unless the program's modules set logging up themselves."""
    level = logging.WARNING if is_quiet else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format=_FORMAT, datefmt=_TIME)
