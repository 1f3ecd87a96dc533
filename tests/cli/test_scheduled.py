"""`kron scheduled`: check, list and run, right and wrong, and nothing but that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.sources.project import Project, project_in

from .conftest import ROOT, Kron, environment

APP = ROOT / "examples" / "scheduled_app"
JOBS = """
    import asyncio, sys, warnings

    print("importing jobs")

    def clean_files():
        print("Running cleanup...")

    async def mail():
        await asyncio.sleep(0)
        print("mailed")

    def wrapped():
        return mail()

    def bad():
        int("no number")

    async def bad_mail():
        await asyncio.sleep(0)
        try:
            bad()
        except ValueError as exc:
            raise RuntimeError("no \\x1b[31mmail") from exc

    def leaves():
        sys.exit("no more")

    def interrupted():
        raise KeyboardInterrupt

    def fails_to_fail():
        class Odd(Exception):
            def __str__(self):
                raise TypeError("odd")
        raise Odd

    def context(ctx="mine", *more):
        print(ctx, more)

    def needs(path): ...
"""
FINE = """
    [tool.scheduled.clean-files]
    every = "day"
    entrypoint = "jobs:clean_files"

    [tool.scheduled.mail]
    every = "week"
    entrypoint = "jobs:mail"

    [tool.scheduled."Büro & Co"]
    every = "minute"
    entrypoint = "jobs:context"
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    with project_in(folder) as project:
        project.write("jobs.py", JOBS)
        project.write("pyproject.toml", FINE)
        yield project


@pytest.fixture
def kron(tmp_path: Path) -> Iterator[Kron]:
    directory = tmp_path / "data"
    yield Kron(directory)
    assert not directory.exists()


def job(id_: str, entrypoint: str, every: str = "day") -> str:
    return f'[tool.scheduled."{id_}"]\nevery = "{every}"\nentrypoint = "{entrypoint}"\n'


# -- check --------------------------------------------------------------------------------------


def test_check_praises_in_one_line(project: Project, kron: Kron) -> None:
    done = kron("scheduled", "check")
    assert done.stdout == "3 jobs in pyproject.toml, no mistake\n"
    assert done.stderr == "importing jobs\n"  # what modules print is no answer
    project.write("one.toml", job("one", "jobs:mail"))
    assert kron("scheduled", "check", "one.toml").stdout == "1 job in one.toml, no mistake\n"
    both = kron("scheduled", "check", "one.toml", "pyproject.toml").stdout
    assert both == "4 jobs in one.toml, pyproject.toml, no mistake\n"


def test_check_tells_all_mistakes_at_once(project: Project, kron: Kron) -> None:
    project.write(
        "pyproject.toml",
        job("a", "jobs:nothing")
        + job("b", "jobs:mail", "daily")
        + job("c", "nowhere:f")
        + job("d", "jobs:needs")
        + 'timeout = "5s"\n'
        + job("fine", "jobs:mail")
        + '[tool.scheduled."e\\u0085"]\n',
    )
    done = kron("scheduled", "check", code=1)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "importing jobs",
        "kron: pyproject.toml:3: a: entrypoint 'jobs:nothing': jobs has no nothing.",
        "kron: pyproject.toml:5: b: every='daily' is none of: minute, hour, day, week, month. Did"
        " you mean day?",
        "kron: pyproject.toml:9: c: entrypoint 'nowhere:f': nowhere cannot be imported:"
        " ModuleNotFoundError: No module named 'nowhere'",
        "kron: pyproject.toml:12: d: entrypoint 'jobs:needs': it cannot be called without"
        " arguments: missing a required argument: 'path'.",
        "kron: pyproject.toml:13: d: unknown key 'timeout'; a job has only every and entrypoint."
        " More can be said under [tool.kron.timers].",
        "kron: pyproject.toml:17: e\\x85: an id has 1 to 128 characters, and no control"
        " characters.",
        "kron: pyproject.toml:17: e\\x85: every is missing.",
        "kron: pyproject.toml:17: e\\x85: entrypoint is missing.",
    ]


def test_check_as_json(project: Project, kron: Kron) -> None:
    assert kron.json("scheduled", "check") == {
        "files": ["pyproject.toml"],
        "jobs": ["clean-files", "mail", "Büro & Co"],
        "mistakes": [],
    }
    project.write("pyproject.toml", job("a", "jobs:needs") + job("b", "jobs:mail"))
    done = kron("scheduled", "check", "--json", code=1)
    assert orjson.loads(done.stdout) == {
        "files": ["pyproject.toml"],
        "jobs": ["b"],
        "mistakes": [
            {
                "file": "pyproject.toml",
                "line": 3,
                "id": "a",
                "text": "entrypoint 'jobs:needs': it cannot be called without arguments: missing a"
                " required argument: 'path'.",
            }
        ],
    }


def test_the_timers_of_kron_are_another_matter(project: Project, kron: Kron) -> None:
    project.write("pyproject.toml", job("a", "jobs:mail") + '[tool.kron.timers.b]\nevery = "never"')
    assert kron("scheduled", "check").stdout.startswith("1 job in ")


@pytest.mark.parametrize("verb", ["check", "list"])
def test_a_file_without_jobs_is_no_mistake(project: Project, kron: Kron, verb: str) -> None:
    project.write("pyproject.toml", "[project]\nname = 'x'\n")
    said = kron("scheduled", verb).stdout
    assert said == "(no jobs under [tool.scheduled] in pyproject.toml)\n"


@pytest.mark.parametrize("verb", [["check"], ["list"], ["run", "a"]])
def test_a_file_that_cannot_be_read_is_told_of(
    project: Project, kron: Kron, verb: list[str]
) -> None:
    project.write("pyproject.toml", "\n[tool.scheduled\n")
    done = kron("scheduled", *verb, code=1)
    assert done.stderr == (
        "kron: pyproject.toml:2: no valid TOML: Expected ']' at the end of a table declaration"
        " (column 16).\n"
    )
    done = kron("scheduled", *verb, "gone.toml", code=1)
    assert done.stderr == "kron: gone.toml: cannot be read: No such file or directory.\n"


def test_without_a_file_there_is_an_error(project: Project, kron: Kron) -> None:
    (project.folder / "pyproject.toml").unlink()
    done = kron("scheduled", "list", code=1)
    assert done.stderr.startswith("kron: no pyproject.toml and no kron.toml in /")


# -- list ---------------------------------------------------------------------------------------


def test_list_shows_slot_entrypoint_and_next_run(project: Project, kron: Kron) -> None:
    head, *rows = kron("scheduled", "list").stdout.splitlines()
    assert head.split() == "JOB RUNS ENTRYPOINT NEXT RUN (UTC)".split()
    columns = [re.split(r"  +", row.strip()) for row in rows]
    assert [row[:-1] for row in columns] == [
        ["clean-files", "daily at 15:12 UTC", "jobs:clean_files"],
        ["mail", "weekly on Monday at 03:31 UTC", "jobs:mail"],
        ["Büro & Co", "every minute at :54 s", "jobs:context"],
    ]
    assert columns[0][-1].endswith(("15:12", "15:12:00"))
    assert "jobs" not in sys.modules


def test_list_is_readable_at_80_columns(project: Project, kron: Kron) -> None:
    long = "x" * 60 + " " + "y" * 67
    project.write("pyproject.toml", job(long, "some.very.long.module.name:function", "month"))
    lines = kron("scheduled", "list").stdout.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert "monthly on day " in lines[1]
    told = "".join(line[:12].split(" ")[0] for line in lines[1:])
    assert told.count("x") > 40
    assert "\x1b" not in "".join(lines)


def test_list_as_json(project: Project, kron: Kron) -> None:
    rows = {row["id"]: row for row in kron.json("scheduled", "list")}
    now = datetime.now(UTC)
    row = rows["Büro & Co"]
    next_run = datetime.fromisoformat(row.pop("next_run_at"))
    assert now - timedelta(seconds=5) < next_run <= now + timedelta(minutes=1)
    assert row == {
        "id": "Büro & Co",
        "timer": "scheduled:B_xC3_xBCro_x20_x26_x20Co",
        "every": "minute",
        "slot": f"every minute at :{next_run.second:02} s",
        "entrypoint": "jobs:context",
        "file": "pyproject.toml",
        "line": 10,
    }
    assert rows["clean-files"]["slot"] == "daily at 15:12 UTC"
    assert rows["clean-files"]["next_run_at"].endswith("T15:12:00+00:00")


def test_list_shows_what_it_can_and_tells_the_mistakes(project: Project, kron: Kron) -> None:
    project.write("pyproject.toml", job("a", "jobs:mail") + job("b", "jobs:mail", "daily"))
    done = kron("scheduled", "list", code=1)
    assert "jobs:mail" in done.stdout
    assert done.stderr.startswith("kron: pyproject.toml:5: b: every='daily' is none of")


# -- run ----------------------------------------------------------------------------------------


def run(kron: Kron, project: Project, entrypoint: str, code: int = 0) -> Any:
    project.write("pyproject.toml", job("a", f"jobs:{entrypoint}"))
    return kron("scheduled", "run", "a", code=code)


@pytest.mark.parametrize(
    ("entrypoint", "printed"),
    [
        ("clean_files", "Running cleanup...\n"),
        ("mail", "mailed\n"),
        ("wrapped", "mailed\n"),
        ("context", "mine ()\n"),
    ],
)
def test_run_imports_and_calls_it(
    project: Project, kron: Kron, entrypoint: str, printed: str
) -> None:
    done = run(kron, project, entrypoint)
    assert (done.stdout, done.stderr) == (f"importing jobs\n{printed}", "")


@pytest.fixture
def program(project: Project) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`kron` in a process of its own, without a data directory to go to."""

    def kron(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "kron", *args],
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not Path(".kron").exists()
        return done

    return kron


def test_what_a_job_raises_is_shown_as_python_does(project: Project, program: Any) -> None:
    lines = {"bad": 'int("no number")', "bad_mail": "await"}
    project.write("pyproject.toml", "".join(job(each, f"jobs:{each}") for each in lines))
    done = program("scheduled", "run", "bad")
    assert (done.returncode, done.stdout) == (1, "importing jobs\n")
    first, *trace, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert trace[0] == f'  File "{project.folder}/jobs.py", line 17, in bad'
    assert trace[1] == '    int("no number")'
    assert last == "ValueError: invalid literal for int() with base 10: 'no number'"
    done = program("scheduled", "run", "bad_mail")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 2
    assert "kron/" not in done.stderr.replace(str(project.folder), "")
    assert "asyncio" not in done.stderr.replace("asyncio.sleep", "")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("leaves", 1, "SystemExit: no more"),
        ("fails_to_fail", 1, "Odd: <exception str() failed>"),
        ("interrupted", 130, ""),
    ],
)
def test_whatever_ends_a_job_is_an_exit_code(
    project: Project, program: Any, name: str, code: int, said: str
) -> None:
    project.write("pyproject.toml", job("a", f"jobs:{name}"))
    done = program("scheduled", "run", "a")
    assert done.returncode == code
    assert said in done.stderr


def test_run_needs_no_other_job_to_be_right(project: Project, kron: Kron) -> None:
    project.write("pyproject.toml", job("bad", "nowhere:f", "daily") + job("a", "jobs:clean_files"))
    assert "Running cleanup..." in kron("scheduled", "run", "a").stdout
    done = kron("scheduled", "run", "bad", code=1)
    assert done.stderr.startswith("kron: pyproject.toml:2: bad: every='daily' is none of")
    assert done.stdout == ""


def test_run_of_a_job_that_does_not_import_tells_why(project: Project, kron: Kron) -> None:
    project.write("broken.py", "def f(:\n")
    project.write("pyproject.toml", job("a", "broken:f"))
    done = kron("scheduled", "run", "a", code=1)
    assert done.stderr.startswith(
        "kron: pyproject.toml:3: a: entrypoint 'broken:f': broken cannot be imported: SyntaxError:"
    )


@pytest.mark.parametrize(
    ("id_", "hint"),
    [
        ("clean-file", "Did you mean clean-files?"),
        ("scheduled:clean-files", "Did you mean clean-files?"),
        ("Clean-Files", "Did you mean clean-files?"),
        ("nothing-like-it", "See kron scheduled list."),
        ("", "See kron scheduled list."),
        ("\x1b[31m", "See kron scheduled list."),
    ],
)
def test_an_unknown_id_names_one_that_is_near(
    project: Project, kron: Kron, id_: str, hint: str
) -> None:
    done = kron("scheduled", "run", id_, code=1)
    assert done.stderr == f"kron: no job {id_!r} is declared. {hint}\n"


def test_an_id_of_two_files_is_not_run(project: Project, kron: Kron) -> None:
    project.write("kron.toml", job("mail", "jobs:bad"))
    done = kron("scheduled", "run", "mail", code=1)
    assert done.stderr == (
        "kron: kron.toml:1: mail: is declared in pyproject.toml:6 already. One id has one source.\n"
    )
    assert "Running" in kron("scheduled", "run", "clean-files").stdout


def test_the_folder_of_the_file_leads_the_imports(project: Project, program: Any) -> None:
    """Also from below, and before what the current directory or the environment has."""
    project.write("sub/jobs.py", "def clean_files(): print('wrong')\n")
    os.chdir("sub")
    done = program("scheduled", "run", "clean-files", PYTHONPATH=f"{Path.cwd()}:{ROOT}")
    assert done.stdout == "importing jobs\nRunning cleanup...\n", done.stderr


def test_the_example_of_the_specification_in_an_empty_project(tmp_path: Path, kron: Kron) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with project_in(folder) as project:
        project.write(
            "app/jobs.py",
            'def clean_files():\nprint("Running cleanup...")\n'.replace("\np", "\n    p"),
        )
        project.write(
            "pyproject.toml",
            """
            [tool.scheduled.clean-files]
            every = "day"
            entrypoint = "app.jobs:clean_files"
            """,
        )
        assert kron("scheduled", "check").stdout == "1 job in pyproject.toml, no mistake\n"
        assert kron("scheduled", "run", "clean-files").stdout == "Running cleanup...\n"


# -- the example --------------------------------------------------------------------------------


def test_the_example_lists_and_runs(
    tmp_path: Path, kron: Kron, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_FILES", str(tmp_path / "files"))
    file = str(APP / "pyproject.toml")
    with project_in(APP):
        assert kron("scheduled", "check").stdout == "3 jobs in pyproject.toml, no mistake\n"
        listed = kron("scheduled", "list").stdout
        assert "clean-files  daily at 15:12 UTC" in listed
        old = tmp_path / "files" / "old.tmp"
        assert kron("scheduled", "run", "send-digest", file).stdout == "Sent the digest.\n"
        again = kron("scheduled", "run", "send-digest").stdout
        assert again == "The digest of this week has been sent.\n"
        old.touch()
        os.utime(old, (0, 0))
        (old.parent / "new.tmp").touch()
        assert kron("scheduled", "run", "clean-files").stdout == "Running cleanup...\n"
        assert [each.name for each in old.parent.glob("*.tmp")] == ["new.tmp"]
        counted = kron("scheduled", "run", "count-files").stdout
        assert counted == f"2 files in {old.parent}\n"
