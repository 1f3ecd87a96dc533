"""The jobs of `[tool.scheduled]` as rows: when each is due, in words and next."""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich.table import Table
from rich.text import Text

from kron.core.instants import text
from kron.core.preview import upcoming
from kron.core.words import in_words
from kron.sources.scheduled import Job, name_of

from .words import clean, short_moment


def job_rows(jobs: list[Job]) -> list[dict[str, Any]]:
    """A JSON object for each, in the order of the files."""
    now_us = time.time_ns() // 1000
    return [_row(job, now_us) for job in jobs]


def _row(job: Job, now_us: int) -> dict[str, Any]:
    definition = job.definition()
    return {
        "id": job.id,
        "timer": name_of(job.id),
        "every": job.every,
        "slot": in_words(definition),
        "entrypoint": job.entrypoint.text,
        "next_run_at": text(*upcoming(definition, now_us, 1)),
        "file": job.place.file,
        "line": job.place.line,
    }


def job_table(rows: list[dict[str, Any]], zone: tzinfo | None) -> Table:
    """One line a job; where there is no room, ids and entrypoints go on in the next line."""
    now = datetime.now(UTC)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold dim")
    table.add_column("JOB")
    table.add_column("RUNS", no_wrap=True)
    table.add_column("ENTRYPOINT")
    table.add_column("NEXT RUN" + (" (UTC)" if zone is UTC else ""), no_wrap=True)
    for row in rows:
        table.add_row(
            Text(clean(row["id"]), "bold", overflow="fold"),
            Text(row["slot"]),
            Text(clean(row["entrypoint"]), overflow="fold"),
            Text(short_moment(row["next_run_at"], now, zone)),
        )
    return table
