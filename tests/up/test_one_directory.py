"""One data directory: who has it, who stands by, and whose timers are in it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.foreground import (
    BEAT,
    LONG_S,
    UNSHARE,
    first_and_second,
    first_of,
    names,
    needs_unshare,
    run,
)
from tests.witness import judged


def test_a_second_one_waits_and_takes_over(project):
    project.write("kron.toml", BEAT)
    with first_and_second(project) as (first, second):
        second.until_said("waiting for it to end")
        third = project.kron("up", "--no-wait")
        assert third.returncode == 1 and "in use by process" in third.stderr
        first.program.send_signal(signal.SIGKILL)
        second.until_up()
        before = len(project.lines())
        project.until_lines(lambda lines: len(lines) > before)
        assert second.end() == 0
    assert judged(project.place / ".kron") == []


def test_a_signal_ends_the_waiting(project):
    project.write("kron.toml", BEAT)
    with first_and_second(project) as (first, second):
        second.until_said("waiting for it to end")
        assert second.end() == 0
        assert first.program.poll() is None


def test_one_that_stands_by_takes_over_what_the_files_say_by_then(project):
    project.write("kron.toml", BEAT)
    with first_and_second(project) as (first, second):
        second.until_said("waiting for it to end")
        second.program.send_signal(signal.SIGHUP)
        project.write("kron.toml", BEAT.replace("beat", "other"))
        assert project.kron("up", "--reload").returncode == 0
        first.program.send_signal(signal.SIGKILL)
        second.until_said("other: done")
        assert second.end() == 0
    assert names(project) == ["other"]
    assert judged(project.place / ".kron") == []


def test_one_that_stands_by_keeps_to_what_it_read_if_there_are_mistakes_by_then(project):
    project.write("kron.toml", BEAT)
    with first_and_second(project) as (first, second):
        second.until_said("waiting for it to end")
        project.write("kron.toml", "[")
        first.program.send_signal(signal.SIGKILL)
        second.until_said("the files are not taken: kron.toml:1")
        second.until_said("beat: done")
        assert second.end() == 0


def test_timers_in_the_code_of_files_that_are_refused_are_not_carried_out(project):
    project.write(
        "coded.py", "import kron\nkron.schedule('coded', print, every='1h')\ndef f(): ...\n"
    )
    project.write("kron.toml", BEAT)
    with first_and_second(project) as (first, second):
        second.until_said("waiting for it to end")
        wrong = '[timers.b]\nevery = "1h"\nentrypoint = "coded:f"\n[timers.c]\nevery = "1x"\n'
        project.write("kron.toml", BEAT + wrong)
        first.program.send_signal(signal.SIGKILL)
        second.until_said("the files are not taken: kron.toml")
        second.until_up()
        assert names(project) == ["beat"]
        assert second.end() == 0


def child_of(pid):
    """Process 1 hands the program to a child of its own."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@needs_unshare
def test_who_is_in_another_container_knows_that_it_is_in_use(project):
    project.write("kron.toml", BEAT)
    with project.up(wrap=UNSHARE) as first:
        first.until_up()
        host = project.json("up", "--dry-run")
        outside = first_of(first.program.pid)
        assert host["live"] and host["pid"] in (outside, child_of(outside))
        command = [*UNSHARE, sys.executable, "-m", "kron", "up", "--dry-run", "--json"]
        beside = subprocess.run(
            command, cwd=project.place, env=project.environment(), check=True, capture_output=True
        )
        assert json.loads(beside.stdout)["live"]
    assert not project.json("up", "--dry-run")["live"]


@needs_unshare
def test_one_that_stands_by_in_another_container_is_quiet_and_takes_over(project):
    """The kernel lists the locks of one's own process namespace only."""
    project.write("kron.toml", BEAT)
    with project.up(wrap=UNSHARE) as first:
        first.until_up()
        with project.up(wrap=UNSHARE) as second:
            second.until_said("waiting for it to end")
            time.sleep(1.5)
            os.kill(first_of(first.program.pid), signal.SIGKILL)
            second.until_up()
            assert second.said.count("waiting for it to end") == 1
            assert second.said.count("has ended; taken over") == 1
            os.kill(first_of(second.program.pid), signal.SIGTERM)
            assert second.program.wait(LONG_S) == 0
    assert judged(project.place / ".kron") == []


# -- whose timers ---------------------------------------------------------------------------------


def test_a_timer_that_is_declared_no_more_is_removed_and_keeps_its_history(project):
    project.write("kron.toml", BEAT + BEAT.replace("beat", "gone"))
    with project.up() as up:
        up.until_said("gone: done")
        up.end()
    project.write("kron.toml", BEAT)
    with project.up() as up:
        up.until_said("gone: removed")
        up.until_said("beat: done")
        up.end()
    assert names(project) == ["beat"]
    assert project.json("job", "history", "gone")
    assert judged(project.place / ".kron") == []


def test_a_timer_of_a_program_stays(project):
    project.write("kron.toml", BEAT)
    run(project, "import kron; kron.schedule('own', 'app.jobs:digest', every='1h'); kron.start()")
    with project.up() as up:
        up.until_said("beat: done")
        up.end()
    assert names(project) == ["beat", "own"]


def test_what_imported_modules_schedule_comes_along(project):
    project.write(
        "app/more.py",
        """
        import kron
        from app.jobs import say

        @kron.schedule("in-code", every="100ms")
        def in_code():
            say("in code")

        def declared():
            say("declared")
        """,
    )
    project.write(
        "kron.toml", '[timers.in-file]\nevery = "100ms"\nentrypoint = "app.more:declared"\n'
    )
    with project.up() as up:
        project.until_lines(lambda lines: {"in code", "declared"} <= set(lines))
        assert up.end() == 0


def test_a_name_in_code_and_in_a_file_is_a_mistake_that_names_both(project):
    project.write(
        "app/more.py",
        """
        import kron

        @kron.schedule("twice", every="1h")
        def in_code(): ...
        """,
    )
    project.write("kron.toml", '[timers.twice]\nevery = "1h"\nentrypoint = "app.more:in_code"\n')
    for verb in (("up", "--check"), ("up",)):
        done = project.kron(*verb)
        assert done.returncode == 1
        assert "kron.toml:1" in done.stderr and "app/more.py:4" in done.stderr
    assert not (project.place / ".kron").exists()


def test_a_module_that_starts_the_scheduler_itself_is_told_of(project):
    project.write("app/eager.py", "import kron\nkron.start()\ndef work(): ...\n")
    project.write("kron.toml", '[timers.a]\nevery = "1h"\nentrypoint = "app.eager:work"\n')
    project.write(
        "pyproject.toml", '[tool.scheduled.b]\nevery="day"\nentrypoint="app.eager:work"\n'
    )
    verbs = [("up",), ("up", "--check"), ("plan",)]
    for verb in [*verbs, ("scheduled", "check"), ("scheduled", "run", "b")]:
        done = project.kron(*verb)
        assert done.returncode == 1
        assert "kron.start() was reached while this module was only imported" in done.stderr
    assert not (project.place / ".kron").exists()
