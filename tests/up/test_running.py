"""`kron up` in the foreground: from its start to a signal, or once."""

import re
import signal
import time

import orjson
import pytest

from tests.foreground import BEAT, HOURLY, LONG_S, SLOW, Project, run
from tests.waiting import eventually
from tests.witness import judged


def test_what_files_declare_is_carried_out_until_a_signal(project):
    project.write("kron.toml", BEAT)
    with project.up() as up:
        project.until_lines(lambda lines: len(lines) > 2)
        assert up.end() == 0
    assert re.search(r"^  beat +(next|running)", up.said, re.M)
    assert "beat: started" in up.said and "beat: done in" in up.said
    assert judged(project.place / ".kron") == []


def test_the_files_are_found_from_a_folder_below(project):
    project.write("pyproject.toml", "[tool.kron]" + BEAT.replace("[timers", "[tool.kron.timers"))
    project.write("docs/a/b.md", "")
    inner = Project(project.place / "docs/a")
    with inner.up("--data-dir", str(project.place / ".kron")) as up:
        eventually(lambda: inner.lines(), 60)
        up.end()
    assert "note: the files are in" not in up.said
    with inner.up() as up:
        up.until_said(
            f"note: the files are in {project.place}; a kron up from there would keep its own"
        )


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


def test_two_signals_at_one_moment_are_one(project):
    """As `timeout` sends them: to its child, and to the group of both."""
    project.write("kron.toml", SLOW)
    with project.up("--drain", "60s") as up:
        project.until_lines(lambda lines: lines == ["begin"])
        up.until_up()
        for _ in range(3):
            up.program.send_signal(signal.SIGTERM)
            time.sleep(0.005)
        time.sleep(0.1)
        project.write("gate", "")
        assert up.program.wait(LONG_S) == 0
    assert project.lines() == ["begin", "end"]


def test_nothing_is_started_after_a_signal_that_a_blocked_loop_has_not_heard_yet(project):
    project.write(
        "app/blocks.py",
        "import time\nfrom app.jobs import say\n\n"
        "async def block():\n    say('begin')\n    time.sleep(2.5)\n    say('end')\n",
    )
    project.write(
        "kron.toml",
        '[timers.block]\ncron = "* * * * * *"\noverlap = "skip"\nentrypoint = "app.blocks:block"\n',
    )
    with project.up() as up:
        project.until_lines(lambda lines: lines == ["begin"])
        assert up.end() == 0
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


def test_what_is_cut_short_by_the_end_is_said_to_be_due_again(project):
    project.write("kron.toml", '[timers.long]\nafter = "0s"\ncommand = "sleep 60"\n')
    with project.up("--drain", "0.1") as up:
        up.until_said("long: started")
        up.until_up()
        assert up.end() == 0
    assert "stopping; running runs may end within 0.1 s" in up.said
    assert "long: cut short, and due again at the next start" in up.said
    assert up.said.endswith("stopped\n")


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


def test_without_a_stdout_nothing_is_shown(project):
    project.write("kron.toml", '[timers.talk]\nafter = "0s"\ncommand = "echo one"\n')
    closed = ("sh", "-c", 'exec "$@" >&-', "sh")
    with project.up("--once", wrap=closed) as up:
        assert up.program.wait(LONG_S) == 0, up.said
    assert project.kron("job", "logs", "talk").stdout == "one\n"


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


def test_once_does_not_wait_for_a_run_behind_one_that_is_tried_again_in_an_hour(project):
    failing = '[timers.fail]\nafter = "0s"\nretry_delay = "1h"\nentrypoint = "app.jobs:fail"\n'
    project.write("kron.toml", failing)
    assert project.kron("up", "--once").returncode == 1
    run(project, "import kron; kron.start(); kron.trigger('fail'); kron.shutdown()")
    assert project.json("job", "status", "fail")["state"] == "retrying"
    assert project.kron("up", "--once").returncode == 0
    assert project.lines() == ["failed"]


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
    assert bad.returncode == 2 and "--since yesterday" in bad.stderr


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
    as_json = orjson.loads(project.kron("up", "--check", "--json").stdout)
    assert as_json == {"files": ["kron.toml"], "timers": ["beat"], "mistakes": [], "notes": []}


def test_without_a_file_it_says_what_was_looked_for(tmp_path):
    done = Project(tmp_path / "empty").kron("up")
    assert done.returncode == 1
    assert "no pyproject.toml and no kron.toml in" in done.stderr


@pytest.mark.parametrize("flags", [("--once", "--check"), ("--reload", "--dry-run")])
def test_verbs_that_exclude_each_other_are_wrong_usage(project, flags):
    project.write("kron.toml", BEAT)
    assert project.kron("up", *flags).returncode == 2
