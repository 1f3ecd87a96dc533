"""What must not end in a traceback: odd modules, a directory that is gone, a full stdout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import orjson
import pytest

from tests.foreground import HOURLY, Project

CASES = {
    "skips": ("import pytest\npytest.skip('no', allow_module_level=True)\n", "Skipped: no"),
    "odd": ("class Odd(BaseException): pass\nraise Odd('no')\n", "Odd: no"),
    "gone": ("raise GeneratorExit\n", "GeneratorExit: "),
}
NAMES = "\n".join(
    f'[timers.{name}]\nevery = "1h"\nentrypoint = "{name}:f"\n' for name in (*CASES, "nowhere")
)
JOB = '[tool.scheduled.{name}]\nevery = "day"\nentrypoint = "{name}:f"\n'
TRUE = '[timers.a]\nevery = "1h"\ncommand = "true"\n'
WANDERER = "import os\nos.chdir('/')\ndef f(): print('in', os.getcwd(), flush=True)\n"
WANDERS = '[timers.a]\nevery = "1h"\nentrypoint = "wanderer:f"\n'
DUE = '[timers.a]\nafter = "0s"\nentrypoint = "wanderer:f"\n'
FULL = "kron: stdout: No space left on device\n"
BUFFERED = {"PYTHONUNBUFFERED": ""}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


# -- what imported modules raise -------------------------------------------------------------------


@pytest.fixture
def odd(project: Project) -> Project:
    """Modules that raise what is no Exception, and timers that name them."""
    for name, (module, _) in CASES.items():
        project.write(f"{name}.py", module)
    project.write("kron.toml", NAMES)
    return project


@pytest.mark.parametrize("words", ["up --check", "up --once", "up --dry-run", "plan"])
def test_whatever_a_module_raises_is_a_mistake_beside_the_others(odd: Project, words: str) -> None:
    done = odd.kron(*words.split())
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert [line.split(":")[3].strip() for line in lines] == [*CASES, "nowhere"]
    for line, (name, (_, text)) in zip(lines, CASES.items(), strict=False):
        assert f"'{name}:f': {name} cannot be imported: {text}" in line


def test_with_json_it_is_in_the_document(odd: Project) -> None:
    done = odd.kron("--json", "up", "--check")
    assert (done.returncode, done.stderr) == (1, "")
    assert [each["id"] for each in orjson.loads(done.stdout)["mistakes"]] == [*CASES, "nowhere"]


def test_scheduled_check_tells_it_too(odd: Project) -> None:
    odd.write("pyproject.toml", "".join(JOB.format(name=name) for name in CASES))
    done = odd.kron("scheduled", "check", "pyproject.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[2] for line in done.stderr.splitlines()] == [*CASES]


def test_what_a_module_raises_on_demand_is_a_mistake(project: Project) -> None:
    project.write("lazy.py", "def __getattr__(name):\n    raise GeneratorExit(name)\n")
    project.write("kron.toml", WANDERS.replace("wanderer", "lazy"))
    done = project.kron("up", "--check")
    assert done.returncode == 1
    assert done.stderr.endswith("'lazy:f': GeneratorExit: f\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["up --check", "up --once", "plan", "up --check --json"])
def test_an_interrupt_ends_the_command_with_a_word(project: Project, words: str) -> None:
    """Of a module's own, too: nobody can tell it from that of a SIGINT."""
    project.write("stops.py", "raise KeyboardInterrupt\n")
    project.write("kron.toml", WANDERS.replace("wanderer", "stops"))
    done = project.kron(*words.split())
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "kron: interrupted while stops was imported\n"


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "GeneratorExit"])
def test_no_module_ends_the_thread_that_reads_the_files_again(
    project: Project, raised: str
) -> None:
    """There an interrupt is a mistake, too: only the main thread hears of a SIGINT."""
    project.write("app/jobs.py", "def clean_files(): ...\n")
    project.write("kron.toml", HOURLY)
    project.write("bad.py", f"raise {raised}\n")
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", WANDERS.replace("wanderer", "bad"))
        up.program.send_signal(signal.SIGHUP)
        up.until_said(
            f"the files are not taken: kron.toml:3: a: entrypoint 'bad:f': bad cannot"
            f" be imported: {raised}"
        )
        project.write("kron.toml", HOURLY)
        up.program.send_signal(signal.SIGHUP)
        up.until_said("reloaded kron.toml; 1 unchanged")
        assert up.end() == 0
    assert "Traceback" not in up.said


# -- modules that change the current directory -----------------------------------------------------


@pytest.fixture
def wandering(project: Project) -> Project:
    """A module that changes to another directory when it is imported, and a timer of it."""
    other = project.place / "other"
    other.mkdir()
    project.write("wanderer.py", WANDERER.replace("'/'", repr(str(other))))
    project.write("kron.toml", WANDERS)
    return project


def test_a_module_does_not_move_the_data_directory(wandering: Project) -> None:
    wandering.write("kron.toml", DUE)
    done = wandering.kron("up", "--once")
    assert (done.returncode, done.stdout) == (0, f"in {wandering.place / 'other'}\n")
    assert f"kept in {wandering.data_dir}\n" in done.stderr
    assert "note:" not in done.stderr
    assert (wandering.data_dir / "kron.aof").exists()
    assert not (wandering.place / "other" / ".kron").exists()


@pytest.mark.parametrize("words", ["up --dry-run", "plan"])
def test_the_plan_is_that_of_the_data_directory_here(wandering: Project, words: str) -> None:
    wandering.write("kron.toml", DUE)
    (wandering.place / "wanderer.py").rename(wandering.place / "kept")
    wandering.write("wanderer.py", "def f(): ...\n")
    assert wandering.kron("up", "--once").returncode == 0
    (wandering.place / "kept").rename(wandering.place / "wanderer.py")
    done = wandering.kron(*words.split(), "--json")
    assert done.returncode == 0
    answer = orjson.loads(done.stdout)
    assert answer["data_dir"] == ".kron"
    assert not answer.get("runs")


def test_files_behind_such_a_module_are_found(wandering: Project) -> None:
    wandering.write("pyproject.toml", JOB.format(name="wanderer"))
    done = wandering.kron("up", "--check")
    assert (done.stdout, done.stderr) == ("2 timers in pyproject.toml, kron.toml, no mistake\n", "")


@pytest.mark.parametrize("named", [(), ("kron.toml",)])
def test_its_files_are_found_again(wandering: Project, named: tuple[str, ...]) -> None:
    with wandering.up(*named) as up:
        up.until_up()
        wandering.write("kron.toml", WANDERS.replace("1h", "2h"))
        up.program.send_signal(signal.SIGHUP)
        up.until_said("kron.toml; 1 changed: a")
        done = wandering.kron("up", "--reload", "kron.toml")
        assert (done.returncode, done.stderr) == (0, "")
        assert up.end() == 0


# -- a current directory that is gone --------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *("up ../kron.toml --check", "up ../kron.toml", "up --check", "up ../crontab --check"),
        *("plan ../kron.toml", "scheduled check ../kron.toml", "job list", "up --reload"),
    ],
)
def test_where_nothing_is_that_is_said(project: Project, words: str) -> None:
    project.write("kron.toml", TRUE)
    place = project.place / "gone"
    place.mkdir()
    program = [sys.executable, "-m", "kron", *words.split()]
    leave = ["sh", "-c", 'rmdir "$0" && exec "$@"', str(place), *program]
    env = project.environment()
    done = subprocess.run(leave, cwd=place, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1:] == ["kron: the current directory is not there any more."]
    assert "Traceback" not in done.stderr


def test_a_file_named_in_full_is_checked_from_nowhere(project: Project) -> None:
    file = project.write("kron.toml", TRUE)
    place = project.place / "gone"
    place.mkdir()
    program = [sys.executable, "-m", "kron", "up", "--check", str(file)]
    leave = ["sh", "-c", 'rmdir "$0" && exec "$@"', str(place), *program]
    env = project.environment()
    done = subprocess.run(leave, cwd=place, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"1 timer in {file}, no mistake\n")


def test_a_file_that_is_missing_elsewhere_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a mistake of Kron's own, about which one wants to know all."""
    from typer.testing import CliRunner

    from kron.cli import main

    def lose(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "x")

    monkeypatch.setattr("kron.cli.up.read_or_exit", lose)
    done = CliRunner().invoke(main.app, ["up", "--check"])
    assert isinstance(done.exception, FileNotFoundError)


# -- what stdout cannot say ------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape", "latin-1"])
def test_stdout_escapes_what_it_cannot_say(project: Project, encoding: str) -> None:
    project.write("k 日.toml", TRUE)
    done = project.kron("up", "--check", "k 日.toml", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 timer in k \\u65e5.toml, no mistake\n"


def test_json_stays_what_it_is(project: Project) -> None:
    project.write("k ü日🕰.toml", TRUE)
    done = project.kron("--json", "up", "--check", "k ü日🕰.toml", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert orjson.loads(done.stdout)["files"] == ["k ü日🕰.toml"]
    assert done.stdout.isascii()


def test_an_imported_crontab_stays_toml(project: Project) -> None:
    project.write("crontab", "5 5 * * * echo ü 🕰\n")
    done = project.kron("crontab", "import", "crontab", PYTHONIOENCODING="ascii")
    (timer,) = tomllib.loads(done.stdout)["timers"].values()
    assert timer["command"] == "echo ü 🕰"


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_job_whose_id_cannot_be_said_is_listed(project: Project, json: tuple[str, ...]) -> None:
    project.write("pyproject.toml", JOB.replace("{name}]", '"日"]'))
    done = project.kron("scheduled", "list", *json, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5" in done.stdout


def test_help_is_shown_in_any_encoding(project: Project) -> None:
    assert project.kron("up", "--help", PYTHONIOENCODING="ascii").returncode == 0


# -- a stdout that takes no more -------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize(
    "words",
    ["up --check", "plan", "plan --json", "crontab export", "--version", "--help", "next @daily"],
)
def test_a_full_stdout_is_one_line(project: Project, words: str, buffering: str) -> None:
    project.write("kron.toml", TRUE)
    assert project.kron("up", "--once").returncode == 0
    with open("/dev/full", "wb") as full:
        done = said(project, words, full.fileno(), PYTHONUNBUFFERED=buffering)
    assert (done.returncode, done.stderr.splitlines(True)[-1]) == (1, FULL)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_more_than_fits_into_a_buffer_is_one_line_too(project: Project) -> None:
    project.write("kron.toml", "".join(TRUE.replace(".a]", f".a{n}]") for n in range(1000)))
    with open("/dev/full", "wb") as full:
        done = said(project, "up --check --json", full.fileno(), **BUFFERED)
    assert (done.returncode, done.stderr) == (1, FULL)


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("words", ["--version", "next @daily", "plan --json"])
def test_if_nobody_reads_stdout_nothing_is_said(
    project: Project, words: str, buffering: str
) -> None:
    project.write("kron.toml", TRUE)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = said(project, words, writer, PYTHONUNBUFFERED=buffering)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_without_a_stdout_nothing_is_printed(project: Project) -> None:
    project.write("kron.toml", TRUE)
    words = ["sh", "-c", 'exec "$0" -m kron up --check >&-', sys.executable]
    done = subprocess.run(
        words, cwd=project.place, env=project.environment(), stderr=subprocess.PIPE, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_error_of_another_file_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from kron.cli import main

    def fill() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(main, "_run", fill)
    monkeypatch.setattr(main, "take_stdout", lambda: None)
    with pytest.raises(OSError, match="No space"):
        main.main()


def said(
    project: Project, words: str, stdout: int, **more: str
) -> subprocess.CompletedProcess[str]:
    """What a command says on stderr, its stdout going there."""
    return subprocess.run(
        [sys.executable, "-m", "kron", *words.split()],
        cwd=project.place,
        env=project.environment(**more),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )


# -- wrong usage of `kron plan` --------------------------------------------------------------------


@pytest.mark.parametrize("words", ["plan --bogus", "plan --json=1", "plan --data-dir d -x"])
def test_wrong_usage_is_no_sign_of_changes(project: Project, words: str) -> None:
    project.write("kron.toml", TRUE)
    done = project.kron(*words.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert "Usage: kron plan" in done.stderr
    assert project.kron("plan").returncode == 2
    assert project.kron("plan", "--help").returncode == 0


def test_other_verbs_exit_with_two_for_it(project: Project) -> None:
    assert project.kron("up", "--bogus").returncode == 2
