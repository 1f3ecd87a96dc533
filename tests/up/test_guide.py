"""docs/files.md does what it shows: from top to bottom, in one folder.

A block whose first line is a comment with a file's name is that file; of Python and TOML only. What
stands below a command is what it prints, numbers and times aside. `kron up` goes on until the end
of the guide, and the commands below it talk to it.
"""

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.foreground import Project
from tests.test_guides import shape
from tests.waiting import eventually

GUIDE = (Path(__file__).parents[2] / "docs/files.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.S | re.M)


def begins(text: str) -> list[str]:
    """What a list of timers says of each but its next run: that is another one every day."""
    return [re.sub(r" next (\w{3} )?N(:N)*( N)?(:N)*", "", line) for line in shapes(text)]


def shapes(text: str) -> list[str]:
    """Without what differs from day to day, and blanks."""
    day = r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)( \w{3} \d\d)? \d\d:\d\d(:\d\d)?"
    return [shape(re.sub(day, "WHEN", re.sub(r" +", " ", line))) for line in text.splitlines()]


def test_the_guide_does_what_it_shows(tmp_path):
    project = Project(tmp_path / "app")
    with ExitStack() as stack:
        for language, block in BLOCKS:
            if language == "console":
                for each in block.split("$ ")[1:]:
                    follow(project, stack, *each.split("\n", 1))
            elif language in ("python", "toml"):
                name, text = re.fullmatch(r"# (\S+)\n(.*)", block, re.S).groups()
                project.write(name, text)


def follow(project: Project, stack: ExitStack, command: str, shown: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words == ["up"]:
        up = stack.enter_context(project.up(TZ="UTC"))
        here = str(project.place)
        eventually(lambda: {*begins(shown)} <= {*begins(up.said.replace(here, "/srv/app"))}, 60)
        return
    wanted = int((re.findall(r"# exit code (\d)", command) or [0])[0])
    done = project.kron(*words, COLUMNS="80", TZ="UTC")
    assert (done.returncode, shapes(done.stdout)) == (wanted, shapes(shown)), done.stderr


def is_well(project: Project, words: list[str]) -> bool:
    return project.kron(*words).returncode == 0


def unit() -> str:
    (text,) = (block for language, block in BLOCKS if language == "ini")
    return text


def test_the_unit_file_is_one_that_systemd_takes(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    kron = tmp_path / "kron"
    kron.write_text(f"#!/bin/sh\nexec {sys.executable} -m kron\n")
    kron.chmod(0o755)
    file = tmp_path / "kron.service"
    file.write_text(unit().replace("/srv/app/.venv/bin/kron", str(kron)))
    done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_unit_and_the_image_start_is_a_command_that_there_is(tmp_path):
    (dockerfile,) = (block for language, block in BLOCKS if language == "dockerfile")
    started = re.findall(r"bin/kron (up .*)", unit())
    started += [" ".join(words_of(each)[1:]) for each in re.findall(r"CMD (\[.*\])", dockerfile)]
    assert started == ["up --drain 60s", "runtime status --check", "up --drain 8s"]
    project = Project(tmp_path / "app")
    project.write("kron.toml", '[timers.a]\nevery = "1h"\ncommand = "true"\n')
    for command in started:
        if command.startswith("up"):
            assert project.kron(*command.split(), "--once").returncode == 0
        else:
            with project.up() as up:
                up.until_up()
                words = command.split()
                eventually(partial(is_well, project, words), 60)


def words_of(text: str) -> list[str]:
    return [part.strip().strip('"') for part in text.strip("[]").split(",")]
