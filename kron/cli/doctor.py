"""`kron doctor`: is everything right with this data directory?"""

from __future__ import annotations

import os

import typer

from kron.core.errors import KronError

from .screen import Options, show, show_json


def doctor(ctx: typer.Context) -> None:
    """Check the data directory, the log to its last byte, and the runtime. Exit 1 if one fails."""
    from kron.server.checkup import examine, with_runtime

    from .source import find_live

    options: Options = ctx.obj
    facts, problem = None, None
    try:
        live = find_live(options.data_dir)
        facts = live.runtime() if live else None
    except KronError as exc:
        problem = str(exc)
    report = with_runtime(examine(options.data_dir), facts, problem)
    report["data_dir"] = os.path.abspath(options.data_dir)
    if options.is_json:
        show_json(report)
    else:
        from .tables import doctor_block

        show(doctor_block(report))
    if not report["ok"]:
        raise typer.Exit(1)
