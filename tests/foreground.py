"""A `kron up` in a process of its own, in a folder with the files that it is to carry out."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from kron.cli.main import app
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
LONG_S = 60.0
"""Nothing takes so long, on a machine under load either."""


class Project:
    """A folder, and the command line in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(exist_ok=True)
        self.trace = place / "trace"
        self.data_dir = place / ".kron"

    def write(self, name: str, text: str) -> Path:
        """A file, at once and whole; the text may be indented."""
        file = self.place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(".aside")
        aside.write_text(textwrap.dedent(text))
        aside.replace(file)
        return file

    def kron(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A verb that ends by itself."""
        return subprocess.run(
            [sys.executable, "-m", "kron", *args],
            cwd=self.place,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=LONG_S,
        )

    def json(self, *args: str) -> object:
        """What a verb answers as JSON, which looks at the data directory only: in this process."""
        words = [*args, "--json", "--data-dir", str(self.data_dir)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.stderr
        return orjson.loads(done.stdout)

    @contextmanager
    def up(
        self, *args: str, wrap: tuple[str, ...] = (), place: Path | None = None, **more: str
    ) -> Iterator["Foreground"]:
        """A `kron up` that goes on; killed in the end, if it is there still. `wrap` is a program
        that starts it; what it says is kept in `place`, or in the folder."""
        kept = place or self.place
        number = len(list(kept.glob("*.err")))
        out, err = kept / f"{number}.out", kept / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            program = subprocess.Popen(
                [*wrap, sys.executable, "-m", "kron", "up", *args],
                cwd=self.place,
                env=self.environment(**more),
                stdout=stdout,
                stderr=stderr,
            )
        try:
            yield Foreground(program, out, err)
        finally:
            program.kill()
            program.wait()

    def environment(self, **more: str) -> dict[str, str]:
        """Kron is found, and writes nothing beside its sources."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}

    def lines(self) -> list[str]:
        """What runs have left in the trace."""
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def until_lines(self, enough: Callable[[list[str]], object]) -> list[str]:
        """What they left, when it is enough."""
        eventually(lambda: enough(self.lines()), LONG_S)
        return self.lines()


class Foreground:
    """One running `kron up`."""

    def __init__(self, program: "subprocess.Popen[bytes]", out: Path, err: Path) -> None:
        self.program = program
        self._out, self._err = out, err

    @property
    def said(self) -> str:
        """All of stderr so far."""
        return self._err.read_text()

    @property
    def printed(self) -> str:
        """All of stdout so far."""
        return self._out.read_text()

    def until_said(self, text: str, times: int = 1) -> None:
        """Until stderr has that."""
        eventually(lambda: self.said.count(text) >= times or self._over(text), LONG_S)

    def until_up(self) -> None:
        """Until it carries the timers out."""
        self.until_said("kept in")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.program.send_signal(number)
        return self.program.wait(LONG_S)

    def _over(self, text: str) -> bool:
        if self.program.poll() is not None and text not in self.said:
            raise AssertionError(f"ended ({self.program.returncode}) without {text!r}: {self.said}")
        return False


# -- what is carried out ---------------------------------------------------------------------------


JOBS = """
import os, time

def say(word):
    with open("trace", "a") as trace:
        trace.write(word + "\\n")

def clean_files():
    say("cleaned")

async def digest():
    say("digested")

def slow():
    say("begin")
    while not os.path.exists("gate"):
        time.sleep(0.01)
    say("end")

def fail():
    say("failed")
    raise ValueError("no")
"""
BEAT = """
[timers.beat]
every = "100ms"
entrypoint = "app.jobs:clean_files"
"""
HOURLY = """
[timers.hourly]
cron = "0 * * * *"
entrypoint = "app.jobs:clean_files"
"""
SLOW = """
[timers.slow]
after = "0s"
entrypoint = "app.jobs:slow"
"""
UNSHARE = ("unshare", "-pf", "--mount-proc", "--kill-child")

needs_unshare = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"]).returncode != 0,
    reason="this machine does not let us make a process namespace (unshare -pf)",
)


@contextmanager
def first_and_second(project: Project) -> Iterator[tuple[Foreground, Foreground]]:
    with project.up() as first:
        first.until_up()
        with project.up() as second:
            yield first, second


def run(project: Project, program: str) -> None:
    """A program of its own in the project's folder."""
    command = [sys.executable, "-c", program]
    env = project.environment()
    subprocess.run(command, cwd=project.place, check=True, env=env, timeout=LONG_S)


def names(project: Project) -> list[str]:
    timers = project.json("job", "list")
    return sorted(timer["id"] for timer in timers)


def first_of(unshare: int) -> int:
    """Process 1 of that namespace, by its number here."""
    (child,) = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    return int(child)
