"""`kron doctor`: is everything right with this data directory, and what would put it right?"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kron.core.errors import KronError

from .screen import Options, fail, note, show, show_json

if TYPE_CHECKING:
    from kron.server.checkup import DoctorReport
    from kron.server.diagnosis import Finding
    from kron.server.repair import RepairReport

WantsRepair = Annotated[bool, typer.Option("--repair", help="Put right what can be.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --repair: do not ask.")]


def doctor(ctx: typer.Context, repair: WantsRepair = False, yes: Yes = False) -> None:
    """Check the data directory, every file to its last byte, and the runtime. Exit 1 if one fails.

    --repair does what the findings name, after it has asked, and after it has copied each file it
    will touch into kron.repair-<time> in the data directory. No program may run.
    """
    options: Options = ctx.obj
    report = _examine(options)
    done: RepairReport | None = None
    if repair:
        findings = _repairable(options, report)
        if findings and not _is_agreed(options, report, is_sure=yes):
            raise typer.Exit(1)
        if findings:
            done = _repair(options, findings)
            report = _examine(options)
    if options.is_json:
        show_json({**report, "repaired": done} if repair else report)
    else:
        _show(report, done)
    if not report["ok"]:
        raise typer.Exit(1)


def _examine(options: Options) -> DoctorReport:
    from kron.server.checkup import examine, with_runtime

    from .source import find_live

    facts, problem = None, None
    try:
        live = find_live(options.data_dir)
        facts = live.runtime() if live else None
    except KronError as exc:
        problem = str(exc)
    report = with_runtime(examine(options.data_dir), facts, problem)
    report["data_dir"] = os.path.abspath(options.data_dir)
    return report


def _repairable(options: Options, report: DoctorReport) -> list[Finding]:
    """What is to be mended; [] if there is nothing. Exits if that cannot be done safely."""
    from kron.server.checkup import diagnose
    from kron.server.holder import find_holder
    from kron.storage.datadir import DataDir
    from kron.storage.lock import locked_by

    place = DataDir(options.data_dir, read_only=True)
    is_held, pid = find_holder(place)
    if is_held:
        raise locked_by(place, pid)
    findings = diagnose(options.data_dir)
    hopeless = [each for each in findings if each.problem["repair"] is None]
    if hopeless:
        _show_or_json(options, report)
        fail("not all of this can be repaired safely; nothing was changed")
        raise typer.Exit(1)
    return [each for each in findings if each.steps]


def _is_agreed(options: Options, report: DoctorReport, *, is_sure: bool) -> bool:
    if is_sure:
        return True
    if not sys.stdin.isatty():
        fail("--repair asks first, and there is no terminal to ask on. Add --yes.")
        raise typer.Exit(2)
    from .findings import doctor_block

    show(doctor_block(report))
    return typer.confirm("Repair it?", err=True)


def _repair(options: Options, findings: list[Finding]) -> RepairReport:
    from kron.server.checkup import diagnose
    from kron.server.repair import repair

    return repair(options.data_dir, lambda: diagnose(options.data_dir, has_lock=True), findings)


def _show(report: DoctorReport, done: RepairReport | None) -> None:
    from .findings import doctor_block

    if done is not None:
        for each in done["done"]:
            note(f"done: {each}")
        if done["copies"]:
            note(f"copies: {done['copies']}")
    show(doctor_block(report, is_after_repair=done is not None))


def _show_or_json(options: Options, report: DoctorReport) -> None:
    if options.is_json:
        show_json(report)
    else:
        _show(report, None)
