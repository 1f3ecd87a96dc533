"""A name that no timer has: what is said of it, and which job of that id may be meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kron
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin
from kron.sources.scheduled import SOURCE, name_of

from .conftest import Kron, environment, files_of

OFFICE = "Büro aufräumen"
VERBS = "status history why trigger pause resume cancel remove logs".split()


def job() -> None:
    pass


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[kron.Scheduler]:
    """It carries out two jobs; and the timer `scheduled:own` is none."""
    scheduler = kron.Scheduler()
    origin = Origin(SOURCE, "pyproject.toml:1", retry_until="window")
    scheduler._enrolment.declare(
        [
            Declaration(name_of(each), job, {"every": "day", "overlap": "skip"}, origin)
            for each in ("clean-files", OFFICE)
        ]
    )
    scheduler.schedule("scheduled:own", job, every="1h")
    scheduler.start(tmp_path / "d")
    yield scheduler
    scheduler.shutdown(0)


@pytest.fixture
def cli(scheduler: kron.Scheduler, tmp_path: Path) -> Kron:
    """Asks the files that the scheduler has left."""
    scheduler.shutdown(0)
    return Kron(tmp_path / "d")


@pytest.mark.parametrize("verb", VERBS)
def test_the_id_of_a_job_is_answered_with_its_timer(cli: Kron, verb: str) -> None:
    before = files_of(cli.directory)
    told = cli("job", verb, "clean-files", code=1).stderr
    assert told == (
        "kron: timer 'clean-files' not found; the job of that id is scheduled:clean-files\n"
    )
    told = cli("job", verb, OFFICE, code=1).stderr
    assert told == f"kron: timer {OFFICE!r} not found; the job of that id is {name_of(OFFICE)}\n"
    assert files_of(cli.directory) == before


def test_a_backfill_of_an_id_is_answered_so_too(cli: Kron) -> None:
    told = cli("job", "backfill", "clean-files", "--since", "1d", code=1).stderr
    assert told.endswith("; the job of that id is scheduled:clean-files\n")


def test_the_living_runtime_is_asked_for_the_job_too(
    scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    cli = Kron(tmp_path / "d")
    for id_ in ("clean-files", OFFICE):
        told = cli("job", "trigger", id_, code=1).stderr
        assert told == f"kron: timer {id_!r} not found; the job of that id is {name_of(id_)}\n"
    assert cli("job", "status", "other", code=1).stderr == "kron: timer 'other' not found\n"


@pytest.mark.parametrize(
    "name", ["other", "own", "scheduled:clean-files-2", "cancel_run", "B\udcfcro", "", "no name"]
)
def test_what_is_no_jobs_id_gets_no_hint(cli: Kron, name: str) -> None:
    assert cli("job", "status", name, code=1).stderr == f"kron: timer {name!r} not found\n"


def test_without_the_hint_nothing_of_the_files_is_imported() -> None:
    code = "import sys, kron.cli.main; print([x for x in sys.modules if 'kron.sources' in x])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.stdout == "[]\n", done.stderr
