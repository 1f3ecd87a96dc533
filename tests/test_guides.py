"""The guides named below do what they show: from top to bottom, in one directory.

A block of Python is a program. One that ends with `kron.wait()` goes on until the next such one,
and the commands below it talk to it. What stands below a command is what it prints; "..." is any
number of lines.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

import kron
from kron.cli.main import app

ROOT = Path(__file__).parents[1]
GUIDES = ["commands.md", "running.md", "scripts.md"]
CHANGING = {"trigger", "cancel", "pause", "resume", "remove", "backfill"}
PATIENCE_S = 20.0


class Reader:
    """Somebody who does everything that a guide shows, in the current directory."""

    def __init__(self):
        self.program = None

    def run(self, text):
        if "kron.wait()" in text:
            self.stop()
            self.program = begin(text)
            self._await("kron runtime status --check")
            return
        program = begin(text)
        printed, errors = program.communicate(timeout=60)
        assert program.returncode == 0, f"{text}\n{printed}\n{errors}"

    def stop(self):
        if self.program is None:
            return
        ask("kron runtime shutdown --timeout 0")
        _, errors = self.program.communicate(timeout=30)
        assert self.program.returncode == 0, errors
        self.program = None

    def type(self, command, shown):
        """A command, until it prints that; one that changes something is not typed again."""
        expected = [shape(line) for line in shown]
        wanted = int((re.findall(r"# exit code (\d)", command) or [0])[0])
        end_s = time.monotonic() + PATIENCE_S
        while True:
            code, printed = ask(command)
            lines = [shape(line) for line in printed.splitlines()]
            if code == wanted and (not expected or is_like(lines, expected)):
                return
            if CHANGING & set(command.split()) or time.monotonic() > end_s:
                raise AssertionError(f"$ {command}  # is {code}, prints\n{printed}")
            time.sleep(0.05)

    def _await(self, command):
        end_s = time.monotonic() + PATIENCE_S
        while ask(command)[0] != 0:
            assert self.program.poll() is None, self.program.communicate()[1]
            assert time.monotonic() < end_s
            time.sleep(0.05)


def begin(program):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(command):
    """The exit code and stdout of `kron ...`, carried out in this process."""
    name, *words = shlex.split(command, comments=True)
    assert name == "kron"
    result = CliRunner().invoke(app, words, env={"COLUMNS": "80", "TZ": "UTC"})
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stdout


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader()
    yield reader
    if reader.program is not None:
        reader.program.kill()
        reader.program.communicate()


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_does_what_it_shows(guide, reader):
    text = (ROOT / "docs" / guide).read_text("utf-8")
    blocks = re.findall(r"^```(python|console)\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) > 4
    for language, block in blocks:
        if language == "python":
            reader.run(block)
            continue
        for each in block.split("$ ")[1:]:
            command, *shown = each.splitlines()
            reader.type(command, shown)
    reader.stop()


def test_the_series_that_are_described_are_those_there_are(reader):
    text = (ROOT / "docs" / "running.md").read_text("utf-8")
    rows = re.findall(r"^\| (`kron_.*?) \|", text, re.M)
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    scheduler = kron.Scheduler(max_concurrency=4)
    scheduler.start()
    try:
        reader.type("kron runtime status --check", [])
        families = text_string_to_metric_families(ask("kron metrics")[1])
        assert described == [
            each.name + ("_total" if each.type == "counter" else "") for each in families
        ]
    finally:
        scheduler.shutdown()


def shape(line):
    """A line without what differs from one run to the next: numbers, times, blanks."""
    line = re.sub(r"run_[0-9a-z]{26}", "RUN", line)
    line = re.sub(r"\d[\d,.]*", "N", line)
    line = re.sub(r"\b(now|in N \w+|N \w+ ago)$", "WHEN", line.rstrip())
    line = re.sub(r"<?N (ms|s)\b", "TOOK", line)
    line = line.replace("N open run,", "N open runs,")
    return " ".join(line.split())


def is_like(lines, expected):
    """Whether these lines are those, where "..." stands for any number of them."""
    patterns = ["(?:.*\n)*?" if each == "..." else re.escape(f"{each}\n") for each in expected]
    return re.fullmatch("".join(patterns), "".join(f"{line}\n" for line in lines)) is not None
