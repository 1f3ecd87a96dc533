"""docs/crontab.md and examples/crontab do what they show."""

import re
import subprocess
from pathlib import Path

import pytest

from kron.sources.reading import read_files
from tests.test_guides import ask, begin, is_like, shape

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/crontab.md").read_text("utf-8")
EXAMPLE = ROOT / "examples/crontab"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_guide_does_what_it_shows(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_795_252_643_000_000_000)  # 2026-11-21 09:17:23
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.S | re.M)
    assert [language for language, _ in blocks] == [
        *("crontab", "console", "console", "python", "console"),
    ]
    for language, block in blocks:
        if language == "crontab":
            Path("crontab").write_text(block, "utf-8")
        elif language == "python":
            program = begin(block)
            assert program.wait(60) == 0, program.communicate()
        else:
            command, *shown = block.removeprefix("$ ").splitlines()
            code, printed = ask(command)
            assert code == ("exit code 1" in command)
            lines = [line.replace("# ...", "...") for line in shown]
            assert is_like([*map(as_shown, printed.splitlines())], [*map(as_shown, lines)]), printed


def as_shown(line):
    """The minutes of an interval are those of the moment of its first call."""
    return shape(re.sub(r"^#(\*|\d+-59)/30 ", "#N/N ", line))


def test_the_example_is_run_line_by_line(tmp_path):
    declared = read_files([str(EXAMPLE)])
    assert declared.mistakes == []
    assert ["MAILTO" in note.text for note in declared.notes] == [True]
    printed = {}
    for timer in declared.timers:
        spec = timer.declaration.fn.spec
        env = {"PATH": "/usr/bin:/bin", **dict(spec.env), "PLACE": str(tmp_path / "a place")}
        argv = ["/bin/sh", "-c", spec.shell]
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True, timeout=20)
        printed[timer.declaration.options["description"]] = done.stdout.decode()
    assert len(printed) == 5
    assert "%" in printed["How full the disk is, in office hours"]
    assert printed["What stands behind a percent sign is the input"] == "apples\npears\n"
    assert printed["Nine o'clock in Seoul, as often as it takes"] == "good morning\n"
    (list_,) = (tmp_path / "a place").iterdir()
    assert re.fullmatch(r"programs-\d{4}-\d\d-\d\d\.txt", list_.name)


def test_the_example_is_due_when_croniter_says_so():
    code, printed = ask(f"kron crontab import {EXAMPLE} --compare")
    assert (code, printed.count(": 100 moments equal")) == (0, 5)
