"""`kron up`, as people and service managers use it: a process in the foreground."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.foreground import LONG_S, Foreground, Project
from tests.waiting import eventually
from tests.witness import judged

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


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.write("app/jobs.py", JOBS)
    return project


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


def test_what_files_declare_is_carried_out_until_a_signal(project):
    project.write("kron.toml", BEAT)
    with project.up() as up:
        project.until_lines(lambda lines: len(lines) > 2)
        assert up.end() == 0
    assert "beat" in up.said and "next" in up.said
    assert "beat: started" in up.said and "beat: done in" in up.said
    assert judged(project.place / ".kron") == []


def test_the_files_are_found_from_a_folder_below(project):
    project.write("pyproject.toml", "[tool.kron]" + BEAT.replace("[timers", "[tool.kron.timers"))
    project.write("docs/a/b.md", "")
    inner = Project(project.place / "docs/a")
    with inner.up("--data-dir", str(project.place / ".kron")):
        eventually(lambda: inner.lines(), 60)


def test_a_signal_lets_runs_end(project):
    project.write("kron.toml", SLOW)
    with project.up("--drain", "60s") as up:
        project.until_lines(lambda lines: lines == ["begin"])
        up.program.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert up.program.poll() is None
        project.write("gate", "")
        assert up.program.wait(60) == 0
    assert project.lines() == ["begin", "end"]
    assert judged(project.place / ".kron") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once_and_the_run_comes_again(project, number):
    project.write("kron.toml", SLOW)
    with project.up("--drain", "1h") as up:
        project.until_lines(lambda lines: lines == ["begin"])
        up.program.send_signal(number)
        time.sleep(0.1)
        assert up.end(number) == 0
    project.write("gate", "")
    with project.up() as up:
        project.until_lines(lambda lines: lines == ["begin", "begin", "end"])
        up.until_said("done in")
        assert up.end() == 0
    assert judged(project.place / ".kron") == []


def test_killed_in_the_middle_of_a_run_it_runs_again(project):
    project.write("kron.toml", SLOW.replace('"app', '"app').replace("after", "after"))
    with project.up() as up:
        project.until_lines(lambda lines: lines == ["begin"])
        assert up.end(signal.SIGKILL) == -9
    project.write("gate", "")
    with project.up() as up:
        project.until_lines(lambda lines: "end" in lines)
        up.until_said("done in")
        assert up.end() == 0
    assert project.lines() == ["begin", "begin", "end"]
    history = project.json("job", "history", "slow")
    assert [(row["status"], row["attempt"]) for row in history] == [("OK", 2), ("FAILED", 1)]
    assert judged(project.place / ".kron") == []


def test_what_commands_print_is_shown_as_it_comes_and_kept(project):
    project.write(
        "kron.toml",
        """
        [timers.talk]
        after = "0s"
        command = "echo one; until test -e gate; do sleep 0.02; done; printf two"
        shell = true
        """,
    )
    with project.up() as up:
        eventually(lambda: up.printed == "talk | one\n", 60)
        project.write("gate", "")
        eventually(lambda: up.printed == "talk | one\ntalk | two\n", 60)
        assert up.end() == 0
    assert project.kron("job", "logs", "talk").stdout == "one\ntwo"


def test_quiet_says_only_what_goes_wrong(project):
    project.write(
        "kron.toml",
        BEAT + '[timers.fail]\nafter = "0s"\nmax_attempts = 1\nentrypoint = "app.jobs:fail"\n',
    )
    with project.up("-q") as up:
        project.until_lines(lambda lines: "failed" in lines and len(lines) > 3)
        up.until_said("ValueError: no")
        assert up.end() == 0
    assert "beat" not in up.said


# -- one data directory ---------------------------------------------------------------------------


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
    for verb in (("up",), ("up", "--check"), ("plan",)):
        done = project.kron(*verb)
        assert done.returncode == 1
        assert "kron.start() was reached while this module was only imported" in done.stderr
    assert not (project.place / ".kron").exists()


def test_two_signals_end_one_that_has_not_started_yet(project):
    project.write("app/stuck.py", "from app.jobs import say, time\nsay('in')\ntime.sleep(3600)\n")
    project.write("kron.toml", '[timers.a]\nevery = "1h"\nentrypoint = "app.stuck:work"\n')
    with project.up() as up:
        project.until_lines(lambda lines: lines == ["in"])
        up.program.send_signal(signal.SIGINT)
        time.sleep(0.1)
        assert up.program.poll() is None
        assert up.end(signal.SIGTERM) == 130


def test_a_signal_while_it_starts_ends_it_before_anything_runs(project):
    project.write("app/slow.py", "from app.jobs import *\nsay('in')\ntime.sleep(0.5)\n")
    project.write("kron.toml", SLOW.replace("jobs", "slow"))
    with project.up() as up:
        project.until_lines(lambda lines: lines == ["in"])
        assert up.end() == 0
    assert project.lines() == ["in"]
    assert not (project.place / ".kron").exists()


# -- once, check, since ---------------------------------------------------------------------------


def test_once_runs_what_is_due_and_exits(project):
    project.write(
        "kron.toml",
        SLOW.replace("slow", "one").replace(":one", ":clean_files")
        + """
        [timers.later]
        every = "1h"
        entrypoint = "app.jobs:fail"
        """.replace("        ", ""),
    )
    done = project.kron("up", "--once")
    assert done.returncode == 0, done.stderr
    assert project.lines() == ["cleaned"]
    assert project.kron("up", "--once").returncode == 0
    assert project.lines() == ["cleaned"]
    assert judged(project.place / ".kron") == []


def test_once_exits_1_if_a_run_failed_and_leaves_the_retry_to_the_next_one(project):
    project.write(
        "kron.toml", SLOW.replace("slow", "fail") + 'retry_delay = "0s"\nmax_attempts = 2\n'
    )
    done = project.kron("up", "--once")
    assert done.returncode == 1 and "failed" in done.stderr
    assert project.lines()[0] == "failed"


def test_once_waits_for_a_run_that_takes_its_time(project):
    project.write("kron.toml", '[timers.slow]\nafter = "0s"\ncommand = ["sleep", "0.5"]\n')
    done = project.kron("up", "--once")
    assert done.returncode == 0 and "slow: done" in done.stderr


def test_once_is_not_held_up_by_an_orphan(project):
    program = "import kron; kron.schedule('own', 'app.jobs:slow', every='1h'); kron.start()"
    run(project, f"{program}; kron.trigger('own'); import os; os._exit(0)")
    project.write("kron.toml", '[timers.one]\nafter = "0s"\ncommand = "true"\n')
    done = project.kron("up", "--once")
    assert done.returncode == 0 and "one: done" in done.stderr, done.stderr


def test_since_backfills(project):
    project.write("kron.toml", HOURLY)
    done = project.kron("up", "--once", "--since", "3h")
    assert done.returncode == 0, done.stderr
    assert project.lines() == ["cleaned"] * 3
    bad = project.kron("up", "--since", "yesterday")
    assert bad.returncode == 1 and "since=" in bad.stderr


def test_check_tells_all_mistakes_at_once(project):
    project.write(
        "pyproject.toml",
        """
        [tool.scheduled.a]
        every = "daily"
        entrypoint = "app.jobs:clean_files"

        [tool.scheduled.b]
        every = "day"

        [tool.kron.timers.c]
        cron = "61 * * * *"
        command = "true"
        """,
    )
    for verb in (("up", "--check"), ("up",), ("up", "--once"), ("up", "--dry-run")):
        done = project.kron(*verb)
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert [line.split(": ")[:3] for line in lines] == [
            ["kron", "pyproject.toml:3", "a"],
            ["kron", "pyproject.toml:6", "b"],
            ["kron", "pyproject.toml:10", "c"],
        ]
        assert done.stdout == ""
    assert not (project.place / ".kron").exists()


def test_check_of_good_files_says_how_many_timers(project):
    project.write("kron.toml", BEAT)
    done = project.kron("up", "--check")
    assert (done.returncode, done.stdout) == (0, "1 timer in kron.toml, no mistake\n")
    assert project.json("up", "--check") == {"files": ["kron.toml"], "timers": ["beat"]}


def test_without_a_file_it_says_what_was_looked_for(tmp_path):
    done = Project(tmp_path / "empty").kron("up")
    assert done.returncode == 1
    assert "no pyproject.toml and no kron.toml in" in done.stderr


# -- taking the files again -----------------------------------------------------------------------


CHANGED = BEAT.replace("beat", "other") + '[timers.same]\nevery = "1h"\ncommand = "true"\n'
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


def test_a_program_that_is_no_kron_up_takes_no_files(project, scheduler, place):
    project.write("kron.toml", FORMER)
    eventually(lambda: (Path(place) / "kron.sock").exists())
    answer = project.kron("up", "--reload", "--data-dir", str(place))
    assert answer.returncode == 1
    assert "does not take its timers from files" in answer.stderr


# -- service managers -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told_of_readiness_reloading_and_the_end(project, is_abstract):
    project.write("kron.toml", BEAT + '[timers.env]\nafter = "0s"\ncommand = "env"\n')
    address = f"@kron-{project.place}"[:100] if is_abstract else "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(f"\0{address[1:]}" if is_abstract else str(project.place / address))

        def hear() -> str:
            return manager.recv(4096).decode()

        with project.up(NOTIFY_SOCKET=address, WATCHDOG_USEC="100000") as up:
            heard = [hear(), hear(), hear()]
            assert "READY=1\nSTATUS=2 timers" in heard
            assert "WATCHDOG=1" in heard
            up.program.send_signal(signal.SIGHUP)
            heard = [hear()]
            while "READY" not in heard[-1]:
                heard.append(hear())
            reloading = next(word for word in heard if "RELOADING" in word)
            assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
            up.program.send_signal(signal.SIGTERM)
            while "STOPPING" not in (word := hear()):
                assert word == "WATCHDOG=1"
            assert up.program.wait(60) == 0
    printed = project.kron("job", "logs", "env").stdout
    assert "PATH=" in printed and "NOTIFY_SOCKET" not in printed and "WATCHDOG" not in printed


def test_a_service_manager_that_is_not_there_is_told_of_once(project):
    project.write("kron.toml", BEAT)
    with project.up(NOTIFY_SOCKET="nobody") as up:
        up.until_said("beat: done")
        assert up.end() == 0
    assert up.said.count("the service manager at nobody is not reached") == 1


UNSHARE = ("unshare", "-pf", "--mount-proc", "--kill-child")
needs_unshare = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"]).returncode != 0,
    reason="this machine does not let us make a process namespace (unshare -pf)",
)


def first_of(unshare: int) -> int:
    """Process 1 of that namespace, by its number here."""
    (child,) = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    return int(child)


@needs_unshare
def test_as_process_one_a_signal_drains(project):
    """A container: the kernel gives process 1 no signal that it has no handler for."""
    project.write("kron.toml", SLOW)
    with project.up(wrap=UNSHARE) as up:
        project.until_lines(lambda lines: lines == ["begin"])
        up.until_up()
        os.kill(first_of(up.program.pid), signal.SIGTERM)
        project.write("gate", "")
        assert up.program.wait(LONG_S) == 0
    assert project.lines() == ["begin", "end"]
    assert judged(project.place / ".kron") == []


@needs_unshare
def test_as_process_one_its_exit_code_is_that_of_the_scheduler(project):
    project.write("kron.toml", SLOW.replace("slow", "fail") + "max_attempts = 1\n")
    with project.up("--once", wrap=UNSHARE) as up:
        assert up.program.wait(LONG_S) == 1
    with project.up(wrap=UNSHARE) as up:
        up.until_up()
        first = first_of(up.program.pid)
        (child,) = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        assert up.program.wait(LONG_S) == 137


@needs_unshare
def test_as_process_one_it_reaps_whom_commands_leave_behind(project):
    daemon = "(setsid sleep 0.05 >/dev/null 2>&1 &)"
    project.write(
        "kron.toml",
        f"""
        [timers.leaves]
        every = "100ms"
        command = "{daemon}; grep -s Z.*zombie /proc/[0-9]*/status | wc -l >> zombies"
        shell = true
        """,
    )
    with project.up(wrap=UNSHARE) as up:
        zombies = project.place / "zombies"
        eventually(lambda: zombies.exists() and len(zombies.read_text().split()) > 10, LONG_S)
        up.until_up()
        os.kill(first_of(up.program.pid), signal.SIGTERM)
        assert up.program.wait(LONG_S) == 0
    assert max(map(int, zombies.read_text().split())) < 4


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


def test_a_setting_needs_a_restart_and_says_so(project):
    project.write("kron.toml", "max_concurrency = 4\n" + BEAT)
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", "max_concurrency = 2\n" + BEAT)
        notes = project.json("up", "--reload")["notes"]
        assert notes == ["max_concurrency = 2 needs a restart (4 is in force)"]
        project.write("kron.toml", "max_concurrency = 4\n" + BEAT)
        assert project.json("up", "--reload")["notes"] == []


def test_what_is_cut_short_by_the_end_is_said_to_be_due_again(project):
    project.write("kron.toml", '[timers.long]\nafter = "0s"\ncommand = "sleep 60"\n')
    with project.up("--drain", "0.1") as up:
        up.until_said("long: started")
        up.until_up()
        assert up.end() == 0
    assert "stopping; running runs may end within 0.1 s" in up.said
    assert "long: cut short, and due again at the next start" in up.said
    assert up.said.endswith("stopped\n")


@pytest.mark.parametrize("flags", [("--once", "--check"), ("--reload", "--dry-run")])
def test_verbs_that_exclude_each_other_are_wrong_usage(project, flags):
    project.write("kron.toml", BEAT)
    assert project.kron("up", *flags).returncode == 2


def test_reload_without_waiting_needs_somebody_to_reload(project):
    project.write("kron.toml", BEAT)
    done = project.kron("up", "--reload", "--no-wait")
    assert done.returncode == 1 and "no kron up runs in .kron" in done.stderr


@needs_unshare
def test_one_that_stands_by_in_another_container_is_quiet_and_takes_over(project):
    """The kernel lists the locks of one's own process namespace only."""
    project.write("kron.toml", BEAT)
    with project.up(wrap=UNSHARE) as first:
        first.until_up()
        with project.up(wrap=UNSHARE) as second:
            second.until_said("waiting for it to end")
            time.sleep(2.5)
            os.kill(first_of(first.program.pid), signal.SIGKILL)
            second.until_up()
            assert second.said.count("waiting for it to end") == 1
            assert second.said.count("has ended; taken over") == 1
            os.kill(first_of(second.program.pid), signal.SIGTERM)
            assert second.program.wait(LONG_S) == 0
    assert judged(project.place / ".kron") == []


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


def test_a_reload_that_is_refused_changes_nothing(project):
    project.write("kron.toml", "max_concurrency = 2\n" + FORMER)
    project.write(
        "app/more.py",
        """
        import kron
        from app.jobs import say

        @kron.schedule("in-code", every="100ms")
        def in_code():
            say("in code")
        """,
    )
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
        light = heavy.replace("weight = 5", "weight = 1")
        project.write("kron.toml", "max_concurrency = 2\n" + FORMER + light)
        assert project.kron("up", "--reload").returncode == 0
        assert names(project) == ["beat", "heavy", "same"]
        assert up.end() == 0
    assert "in code" not in project.lines()


def test_what_a_reload_imports_comes_along_with_it(project):
    project.write("kron.toml", FORMER)
    project.write(
        "app/more.py",
        """
        import kron
        from app.jobs import say

        @kron.schedule("in-code", every="100ms")
        def in_code():
            say("in code")
        """,
    )
    more = '[timers.more]\nevery = "1h"\nentrypoint = "app.more:in_code"\n'
    with project.up() as up:
        up.until_up()
        project.write("kron.toml", FORMER + more)
        assert project.kron("up", "--reload").returncode == 0
        project.until_lines(lambda lines: "in code" in lines)
        assert names(project) == ["beat", "in-code", "more", "same"]
        assert up.end() == 0


def test_without_a_stdout_nothing_is_shown(project):
    project.write("kron.toml", '[timers.talk]\nafter = "0s"\ncommand = "echo one"\n')
    closed = ("sh", "-c", 'exec "$@" >&-', "sh")
    with project.up("--once", wrap=closed) as up:
        assert up.program.wait(LONG_S) == 0, up.said
    assert project.kron("job", "logs", "talk").stdout == "one\n"


def test_an_entrypoint_may_end_as_a_program_does(project):
    project.write(
        "app/ends.py",
        """
        import sys

        def well():
            sys.exit(0)

        def badly():
            sys.exit(3)

        class Job:
            async def __call__(self): ...
        """,
    )
    project.write(
        "pyproject.toml",
        "".join(
            f'[tool.scheduled.{id_}]\nevery = "day"\nentrypoint = "app.ends:{id_}"\n'
            for id_ in ("well", "badly", "Job")
        ),
    )
    codes = [project.kron("scheduled", "run", id_).returncode for id_ in ("well", "badly", "Job")]
    assert codes == [0, 1, 0]
