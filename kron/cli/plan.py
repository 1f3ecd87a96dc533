"""`kron plan`: what `kron up` would add, change and remove, and what that does to the next runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from .screen import Options, console, note, show_json
from .up import Files, read_or_exit

if TYPE_CHECKING:
    from kron.core.steering import Ago
    from kron.sources.declared import Declared
    from kron.sources.plan import Plan

CHANGES = 2
"""The exit code, if there is something to do."""


class PlanCommand(TyperCommand):
    """Wrong usage is exit code 1, not click's 2, which says here that there are changes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        try:
            return super().parse_args(ctx, args)
        except Exception as exc:
            wrong: Any = exc  # click's UsageError, which typer has no name for
            if getattr(wrong, "exit_code", None) == CHANGES:
                wrong.exit_code = 1
            raise


def plan(ctx: typer.Context, files: Files = None) -> None:
    """What kron up would add, change and remove, and what each change does to the next run.

    Nothing is changed. Exit 0: nothing to do, 2: changes, 1: mistakes in the
    files, wrong usage, or an error.
    """
    options: Options = ctx.obj
    declared = read_or_exit(options, files or ())
    answer = _plan_of(options, declared)
    _tell_beside(declared, answer)
    if options.is_json:
        show_json(answer.document())
    else:
        from .plan_text import plan_text

        screen = console()
        screen.print(plan_text(answer, options.zone, screen.width), soft_wrap=True)
    if not answer.is_empty:
        raise typer.Exit(CHANGES)


def show_dry_run(options: Options, declared: Declared, since: Ago | None = None) -> None:
    """What `kron up` would run at once, what it would backfill, and when each timer runs next.
    Raises ScheduleError or TypeError for a wrong `since`."""
    answer = _plan_of(options, declared, since)
    _tell_beside(declared, answer)
    if options.is_json:
        show_json(_dry_run(answer))
    else:
        from .plan_text import dry_run_text

        screen = console()
        screen.print(dry_run_text(answer, options.zone, screen.width), soft_wrap=True)


def _plan_of(options: Options, declared: Declared, since: Ago | None = None) -> Plan:
    from kron import scheduler as program
    from kron.server.offline import wall_now
    from kron.sources.plan import make_plan

    # The modules of the entrypoints may have scheduled timers of their own.
    others = program.default._enrolment.waiting()
    return make_plan(options.data_dir, declared, wall_now(), others, since)


def _tell_beside(declared: Declared, answer: Plan) -> None:
    for remark in declared.notes:
        note(f"note: {remark}")
    is_held, pid = answer.holder
    if is_held:
        who = "another process" if pid is None else f"process {pid}"
        taken = "this is what taking these files now would change"
        note(f"{answer.data_dir} is in use by {who}; {taken}")


def _dry_run(answer: Plan) -> dict[str, Any]:
    is_held, pid = answer.holder
    return {
        "data_dir": answer.data_dir,
        "live": is_held,
        "pid": pid if is_held else None,
        "files": answer.files,
        "runs": answer.runs,
        "backfills": answer.begun(),
        "timers": answer.prospects,
    }
