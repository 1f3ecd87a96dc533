"""A data directory as a killed program left it, a living one, and the command line to ask them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

import kron
from kron.cli.main import app

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys, threading
import kron

def ok(): pass
def bad(): raise ValueError("no \\x1b[31mred\\x1b[0m \\x9b1m news " + "and more " * 30)
def hang(): threading.Event().wait()

kron.schedule("tick", ok, every="1h")
kron.schedule("bad", bad, cron="0 8 * * *", max_attempts=1, timezone="Europe/Berlin")
kron.schedule("retrying", bad, every="1h", retry_delay="1h")
kron.schedule("hang", hang, every="1h", overlap="skip")
kron.schedule("paused", ok, cron="*/5 * * * *", metadata={"team": "data"})
kron.schedule("a-very-long-name." * 7, ok, at="2037-01-01T09:00:00+01:00")
kron.start(sys.argv[1])
for name in ("tick", "bad", "retrying", "hang"):
    kron.trigger(name)
kron.pause("paused")
done = {"tick": "OK", "bad": "DEAD", "retrying": "FAILED"}
while any(not (kron.status(n)["last_status"] or "").startswith(s) for n, s in done.items()):
    threading.Event().wait(0.005)
while not os.path.exists(sys.argv[1] + "/kron.sock"):
    threading.Event().wait(0.005)
print("up", flush=True)
kron.wait()
"""
LONG_NAME = "a-very-long-name." * 7


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_program(directory: Path) -> subprocess.Popen[str]:
    """The program above, up."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n"
    return program


@pytest.fixture(scope="session")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("killed") / "d"
    program = run_program(directory)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    with (directory / "kron.aof").open("ab") as log:
        log.write(b'0123abcd 99 [{"v":1')  # a record that was on its way
    return directory


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """What the program left when it was killed, in the middle of a record."""
    copy = tmp_path / "d"
    # Without the socket file, which cannot be copied.
    shutil.copytree(killed_once, copy, ignore=shutil.ignore_patterns("*.sock"))
    return copy


@pytest.fixture
def live(killed: Path) -> Iterator[kron.Scheduler]:
    """A scheduler on the same directory, in this process."""
    scheduler = kron.Scheduler()
    let_go = threading.Event()
    scheduler.schedule("tick", let_go.wait, every="1h", overlap="skip")
    scheduler.start(killed)
    until((killed / "kron.sock").is_socket)
    yield scheduler
    let_go.set()
    scheduler.shutdown()


class Kron:
    """`kron --data-dir <directory> ...` in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *args: str, code: int = 0, columns: int = 80, utc: bool = True) -> Result:
        front = ["--data-dir", str(self.directory), *(["--utc"] if utc else [])]
        env = {"COLUMNS": str(columns), "TZ": "UTC"}
        result = CliRunner().invoke(app, [*front, *args], env=env)
        assert result.exit_code == code, result.output + result.stderr
        assert "Traceback" not in result.output + result.stderr
        return result

    def json(self, *args: str) -> Any:
        return orjson.loads(self(*args, "--json").stdout)


@pytest.fixture
def cli(killed: Path) -> Kron:
    return Kron(killed)


def files_of(directory: Path) -> dict[str, bytes | None]:
    return {
        path.name: path.read_bytes() if path.is_file() else None for path in directory.iterdir()
    }


def until(is_so: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)
