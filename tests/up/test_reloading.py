"""Taking the files again, while their timers run."""

import signal
import time
from pathlib import Path

import pytest

from tests.foreground import BEAT, names
from tests.waiting import eventually
from tests.witness import judged

CHANGED = BEAT.replace("beat", "other") + '[timers.same]\nevery = "1h"\ncommand = "true"\n'
IN_CODE = """
import kron
from app.jobs import say

@kron.schedule("in-code", every="100ms")
def in_code():
    say("in code")
"""
FORMER = BEAT + '[timers.same]\nevery = "1h"\ncommand = "true"\n'


def test_sighup_takes_the_files_again(project):
    project.write("kron.toml", FORMER)
    with project.up() as up:
        up.until_said("beat: done")
        project.write("kron.toml", CHANGED)
        up.program.send_signal(signal.SIGHUP)
        up.until_said("reloaded kron.toml; 1 added: other; 1 removed: beat; 1 unchanged")
        up.until_said("other: done")
        assert names(project) == ["other", "same"]
        assert up.end() == 0
    assert judged(project.place / ".kron") == []


def test_reload_has_the_running_one_take_them(project):
    project.write("kron.toml", FORMER)
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", CHANGED.replace('"1h"', '"2h"'))
        answer = project.kron("up", "--reload", "kron.toml")
        assert answer.stdout == (
            "reloaded kron.toml; 1 added: other; 1 changed: same; 1 removed: beat; 0 unchanged\n"
        )
        assert project.json("up", "--reload")["unchanged"] == 2
        wrong = project.kron("up", "--reload", "other.toml")
        assert wrong.returncode == 1 and "carries out kron.toml" in wrong.stderr
        assert up.end() == 0


def test_files_with_mistakes_are_not_taken(project):
    project.write("kron.toml", FORMER)
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", FORMER + '[timers.bad]\nevery = "no"\n[timers.worse]\n')
        answer = project.kron("up", "--reload")
        assert answer.returncode == 1 and answer.stdout == ""
        about = [line.split(": ")[:3] for line in answer.stderr.splitlines()]
        assert ["kron", "kron.toml:9", "bad"] in about
        assert ["kron", "kron.toml:10", "worse"] in about
        up.program.send_signal(signal.SIGHUP)
        up.until_said("the files are not taken: kron.toml:9: bad: ")
        assert names(project) == ["beat", "same"]
        assert up.end() == 0


def test_a_reload_that_is_refused_changes_nothing(project):
    project.write("kron.toml", "max_concurrency = 2\n" + FORMER)
    project.write("app/more.py", IN_CODE)
    heavy = '[timers.heavy]\nevery = "1h"\nweight = 5\nentrypoint = "app.more:in_code"\n'
    with project.up() as up:
        up.until_up()
        project.write(
            "kron.toml", "max_concurrency = 8\n" + CHANGED.replace('"1h"', '"2h"') + heavy
        )
        answer = project.kron("up", "--reload")
        assert answer.returncode == 1 and "weight=5" in answer.stderr
        assert names(project) == ["beat", "same"]
        same = project.json("job", "status", "same")
        assert same["schedule"] == "every 1h"
        assert "in code" not in project.lines()
        light = heavy.replace("weight = 5", "weight = 1")
        project.write("kron.toml", "max_concurrency = 2\n" + FORMER + light)
        assert project.kron("up", "--reload").returncode == 0
        assert names(project) == ["beat", "heavy", "in-code", "same"]
        assert up.end() == 0


def test_what_a_reload_imports_comes_along_with_it(project):
    project.write("kron.toml", FORMER)
    project.write("app/more.py", IN_CODE)
    more = '[timers.more]\nevery = "1h"\nentrypoint = "app.more:in_code"\n'
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", FORMER + more)
        assert project.kron("up", "--reload").returncode == 0
        project.until_lines(lambda lines: "in code" in lines)
        assert names(project) == ["beat", "in-code", "more", "same"]
        assert up.end() == 0


def test_a_setting_needs_a_restart_and_says_so(project):
    project.write("kron.toml", "max_concurrency = 4\n" + BEAT)
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", "max_concurrency = 2\n" + BEAT)
        notes = project.json("up", "--reload")["notes"]
        assert notes == ["max_concurrency = 2 needs a restart (4 is in force)"]
        project.write("kron.toml", "max_concurrency = 4\n" + BEAT)
        assert project.json("up", "--reload")["notes"] == []


@pytest.mark.parametrize("named", [(), ("kron.toml",)])
def test_a_job_that_changes_the_directory_changes_no_files(project, named):
    project.write("app/wander.py", "from app.jobs import *\ndef go():\n    os.chdir('other')\n")
    project.write("other/kron.toml", BEAT.replace("beat", "stranger"))
    files = BEAT + '[timers.go]\nafter = "0s"\nentrypoint = "app.wander:go"\n'
    project.write("kron.toml", files)
    with project.up(*named, "--reload") as up:
        up.until_said("go: done")
        up.program.send_signal(signal.SIGHUP)
        up.until_said("2 unchanged")
        project.write("kron.toml", files + BEAT.replace("beat", "more"))
        up.until_said("1 added: more; 2 unchanged")
        assert up.end() == 0
    assert "stranger" not in up.said


def test_a_storm_of_sighup_is_weathered(project):
    project.write("kron.toml", BEAT)
    with project.up() as up:
        up.until_up()
        end_s = time.monotonic() + 0.3
        while time.monotonic() < end_s:
            up.program.send_signal(signal.SIGHUP)
        up.until_said("reloaded")
        threads = len(list(Path(f"/proc/{up.program.pid}/task").iterdir()))
        assert threads < 20
        assert up.end() == 0
    assert "Traceback" not in up.said


# -- without a running one ------------------------------------------------------------------------


def test_timers_in_code_come_along_with_the_first_reload_that_is_taken(project):
    """The module was imported for one that was refused, and is not imported again."""
    project.write("kron.toml", FORMER)
    project.write("coded.py", IN_CODE)
    with project.up() as up:
        up.until_up()
        coded = FORMER + '[timers.b]\nevery = "1h"\nentrypoint = "coded:in_code"\n'
        project.write("kron.toml", coded + '[timers.c]\nevery = "1x"\ncommand = "true"\n')
        assert project.kron("up", "--reload").returncode == 1
        assert "in-code" not in names(project)
        project.write("kron.toml", coded + BEAT.replace("beat", "in-code"))
        refused = project.kron("up", "--reload")
        assert "in-code" in refused.stderr and "scheduled by the program too" in refused.stderr
        project.write("kron.toml", coded)
        assert project.json("up", "--reload")["added"] == ["b", "in-code"]
        project.until_lines(lambda lines: "in code" in lines)
        assert up.end() == 0
    assert judged(project.place / ".kron") == []


def test_reload_without_a_running_one_watches_the_files(project):
    project.write("kron.toml", FORMER)
    with project.up("--reload") as up:
        up.until_up()
        project.write("kron.toml", CHANGED)
        up.until_said("1 added: other; 1 removed: beat")
        project.write("kron.toml", "[")
        up.until_said("the files are not taken: kron.toml:1")
        project.write("kron.toml", FORMER)
        up.until_said("1 added: beat; 1 removed: other")
        assert up.end() == 0


def test_a_file_that_comes_beside_a_watched_one_is_taken(project):
    project.write("kron.toml", FORMER)
    with project.up("--reload") as up:
        up.until_up()
        project.write("pyproject.toml", '[tool.kron.timers.new]\nevery = "1h"\ncommand = "true"\n')
        up.until_said("1 added: new; 2 unchanged")
        assert up.end() == 0


def test_a_watched_file_is_taken_when_it_is_whole(project):
    project.write("kron.toml", FORMER)
    with project.up("--reload") as up:
        up.until_up()
        for _ in range(3):
            (project.place / "kron.toml").write_text("")
            time.sleep(0.1)
            (project.place / "kron.toml").write_text(FORMER)
            time.sleep(0.1)
        project.write("kron.toml", CHANGED)
        up.until_said("1 added: other; 1 removed: beat")
        assert up.end() == 0
    assert "removed: beat, same" not in up.said


def test_reload_without_waiting_needs_somebody_to_reload(project):
    project.write("kron.toml", BEAT)
    done = project.kron("up", "--reload", "--no-wait")
    assert done.returncode == 1 and "no kron up runs in .kron" in done.stderr


def test_a_program_that_is_no_kron_up_takes_no_files(project, scheduler, place):
    project.write("kron.toml", FORMER)
    eventually(lambda: (Path(place) / "kron.sock").exists())
    answer = project.kron("up", "--reload", "--data-dir", str(place))
    assert answer.returncode == 1
    assert "does not take its timers from files" in answer.stderr
