"""The CLI steers timers: pause, resume, backfill; and shows what commands print."""

from __future__ import annotations

import asyncio
import getpass
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import kron

from .conftest import Kron, environment, files_of, until


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[kron.Scheduler]:
    """A living scheduler with timers that are quick, and commands."""
    scheduler = kron.Scheduler()
    scheduler.schedule("report", lambda: None, cron="0 0 * * *")
    scheduler.schedule("backup", kron.command(["echo", "to tape"]), every="1h")
    scheduler.schedule("cleanup", lambda: None, every="1h")
    scheduler.start(tmp_path / "live")
    until((tmp_path / "live" / "kron.sock").is_socket)
    yield scheduler
    scheduler.shutdown(1)


@pytest.fixture
def cli(scheduler: kron.Scheduler, tmp_path: Path) -> Kron:
    return Kron(tmp_path / "live")


@pytest.fixture
def offline(killed: Path) -> Kron:
    return Kron(killed)


def paused(scheduler: kron.Scheduler) -> set[str]:
    return {timer["id"] for timer in scheduler.list() if timer["state"] == "paused"}


# -- pause and resume --------------------------------------------------------------------------


def test_a_pause_says_until_when_why_and_who(cli: Kron, scheduler: kron.Scheduler) -> None:
    result = cli("job", "pause", "report", "--for", "2h", "--reason", "deploy")
    assert (result.stdout, result.stderr) == ("report: paused\n", "")
    pause = scheduler.status("report")["paused"]
    assert (pause["reason"], pause["who"]) == ("deploy", getpass.getuser())
    lasts = datetime.fromisoformat(pause["until"]) - datetime.fromisoformat(pause["since"])
    assert lasts == timedelta(hours=2)
    shown = cli("job", "status", "report", columns=200).stdout
    assert f"by {getpass.getuser()}: deploy" in shown
    assert f"until {pause['until'][:10]}" in shown
    again = ("job", "pause", "report", "--until", "2999-01-01T09:00", "--who", "ada")
    assert cli.json(*again) == {"changed": True}
    assert scheduler.status("report")["paused"]["until"] == "2999-01-01T09:00:00+00:00"
    assert scheduler.status("report")["paused"]["who"] == "ada"
    assert cli("job", "resume", "report").stdout == "report: resumed\n"
    assert cli("job", "resume", "report").stdout == "report: was not paused\n"


def test_a_pattern_pauses_by_name_command_and_hash(cli: Kron, scheduler: kron.Scheduler) -> None:
    assert cli("job", "pause", "--match", "^re|to tape").stdout == "2 timer(s) paused\n"
    assert paused(scheduler) == {"report", "backup"}
    assert cli.json("job", "resume", "--match", "port$") == {"changed": 1}
    command_hash = scheduler.status("backup")["command_hash"]
    assert cli.json("job", "resume", "--match", command_hash) == {"changed": 1}
    assert paused(scheduler) == set()


def test_all_are_paused_only_when_that_is_said(cli: Kron, scheduler: kron.Scheduler) -> None:
    assert cli("job", "pause", "--all", "--for", "1h").stdout == "3 timer(s) paused\n"
    assert cli("job", "resume", "--all").stdout == "3 timer(s) resumed\n"
    for args in ([], ["report", "--all"], ["report", "--match", "x"], ["--match", "x", "--all"]):
        assert "--match REGEX and --all" in cli("job", "pause", *args, code=2).stderr
        cli("job", "resume", *args, code=2)
    assert paused(scheduler) == set()


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["--match", "nothing like it"], 1, "no timer matches"),
        (["--match", "("], 1, "not a regular expression"),
        (["--match", "a" * 257], 1, "257 characters"),
        (["nope"], 1, "timer 'nope' not found"),
        (["report", "--for", "soon"], 2, "not a duration"),
        (["report", "--until", "soon"], 2, "not a date and time"),
        (["report", "--for", "1h", "--until", "2999-01-01"], 2, "not both"),
        (["report", "--until", "2001-01-01"], 1, "lies in the past"),
        (["report", "--reason", "x" * 1001], 1, "at most 1000"),
    ],
)
@pytest.mark.parametrize("is_live", [True, False])
def test_what_cannot_be_meant_is_one_line(
    cli: Kron, offline: Kron, args: list[str], code: int, text: str, is_live: bool
) -> None:
    if not is_live:
        cli, args = offline, ["bad" if arg == "report" else arg for arg in args]
    before = files_of(cli.directory)
    result = cli("job", "pause", *args, code=code, columns=200)
    assert text in result.stderr
    assert code == 2 or result.stderr.count("\n") == 1
    assert files_of(cli.directory) == before


def test_a_search_that_takes_for_ever_does_not_hold_up_the_runtime(
    cli: Kron, scheduler: kron.Scheduler
) -> None:
    scheduler.schedule("a" * 60 + "-", lambda: None, every="1h")
    command = [sys.executable, "-m", "kron", "--data-dir", str(cli.directory)]
    with subprocess.Popen(
        [*command, "job", "pause", "--match", "(a+)+$"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as searching:
        with pytest.raises(subprocess.TimeoutExpired):
            searching.wait(1.5)
        ran = scheduler.status("cleanup")["succeeded"]
        scheduler.trigger("cleanup")
        until(lambda: scheduler.status("cleanup")["succeeded"] == ran + 1)
        searching.kill()
    assert paused(scheduler) == set()


def test_more_names_than_one_request_holds(cli: Kron, scheduler: kron.Scheduler) -> None:
    for number in range(900):
        scheduler.schedule(f"{'n' * 120}-{number}", lambda: None, every="1h")
    assert cli.json("job", "pause", "--match", "^nnn") == {"changed": 900}
    assert len(paused(scheduler)) == 900


def test_without_a_runtime_it_takes_effect_at_the_next_start(offline: Kron) -> None:
    later = "no runtime is alive; takes effect at the next start\n"
    result = offline("job", "pause", "bad", "--until", "2999-01-01", "--reason", "holiday")
    assert (result.stdout, result.stderr) == ("bad: paused\n", later)
    result = offline("job", "pause", "--match", "^(tick|hang)$", "--who", "ada")
    assert (result.stdout, result.stderr) == ("2 timer(s) paused\n", later)
    timers = {timer["id"]: timer["paused"] for timer in offline.json("job", "list")}
    assert timers["bad"]["reason"] == "holiday"
    assert timers["bad"]["until"] == "2999-01-01T00:00:00+00:00"
    assert timers["tick"]["who"] == timers["hang"]["who"] == "ada"
    assert timers["retrying"] is None
    assert offline.json("job", "resume", "--all") == {"changed": 4}
    scheduler = kron.Scheduler()
    scheduler.start(offline.directory)
    try:
        assert paused(scheduler) == set()
    finally:
        scheduler.shutdown(0)


# -- backfill ----------------------------------------------------------------------------------


def test_a_backfill_is_followed_until_it_is_over(cli: Kron, scheduler: kron.Scheduler) -> None:
    result = cli("job", "backfill", "report", "--since", "10d")
    assert (result.stdout, result.stderr) == ("report: 10 moment(s) backfilled\n", "")
    status = scheduler.status("report")
    assert (status["succeeded"], status["backfill"]) == (10, None)
    answer = cli.json("job", "backfill", "report", "--since", "12d", "--until", "1d")
    assert (answer["moments"], answer["done"], answer["dry_run"]) == (2, 9, False)
    assert scheduler.status("report")["succeeded"] == 12
    forced = cli("job", "backfill", "report", "--since", "3d", "--force").stdout
    assert forced == "report: 3 moment(s) backfilled\n"
    assert scheduler.status("report")["succeeded"] == 15


def test_a_dry_run_lists_the_moments(cli: Kron, scheduler: kron.Scheduler) -> None:
    args = ("job", "backfill", "report", "--since", "2026-01-01", "--until", "2026-01-04T12:00")
    result = cli(*args, "--dry-run")
    assert result.stdout.splitlines() == [
        "report: 4 moment(s) would run",
        *(f"2026-01-0{day} 00:00:00" for day in range(1, 5)),
    ]
    answer = cli.json(*args, "--dry-run")
    assert (answer["moments"], len(answer["scheduled_at"])) == (4, 4)
    long = cli("job", "backfill", "backup", "--since", "60d", "--dry-run").stdout.splitlines()
    assert len(long) == 1002
    assert long[-1] == "... and 440 more"
    assert scheduler.status("report")["succeeded"] == 0


def test_a_backfill_can_be_left_alone(cli: Kron, scheduler: kron.Scheduler) -> None:
    let_go = threading.Event()
    scheduler.schedule("slow", let_go.wait, cron="0 0 * * *")
    try:
        result = cli("job", "backfill", "slow", "--since", "3d", "--no-wait")
        assert result.stdout == "slow: 3 moment(s) to backfill\n"
        until(lambda: scheduler.status("slow")["backfill"]["started"] == 1)
        assert scheduler.status("slow")["backfill"]["moments"] == 3
        assert "1 of 3 moments started" in cli("job", "status", "slow", columns=200).stdout
    finally:
        let_go.set()
    until(lambda: scheduler.status("slow")["succeeded"] == 3)


def test_an_interrupt_leaves_and_the_backfill_goes_on(cli: Kron, scheduler: kron.Scheduler) -> None:
    let_go = threading.Event()
    scheduler.schedule("slow", let_go.wait, cron="0 0 * * *")
    command = [sys.executable, "-m", "kron", "--data-dir", str(cli.directory)]
    with subprocess.Popen(
        [*command, "job", "backfill", "slow", "--since", "3d"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as following:
        until(lambda: scheduler.status("slow")["backfill"] is not None)
        with pytest.raises(subprocess.TimeoutExpired):
            following.wait(1.0)
        following.send_signal(signal.SIGINT)
        _, errors = following.communicate(timeout=10)
    assert (following.returncode, errors) == (130, "slow: the backfill goes on\n")
    let_go.set()
    until(lambda: scheduler.status("slow")["succeeded"] == 3)


def test_a_backfill_that_is_cancelled_is_said_to_have_ended_early(
    cli: Kron, scheduler: kron.Scheduler
) -> None:
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:  # it is no more, and its run still ends: the command waits for that
            await asyncio.sleep(1)

    def cancel_soon() -> None:
        until(lambda: scheduler.status("slow")["state"] == "running")
        scheduler.cancel("slow")

    scheduler.schedule("slow", slow, cron="0 0 * * *", max_attempts=1)
    canceller = threading.Thread(target=cancel_soon)
    canceller.start()
    shown = cli("job", "backfill", "slow", "--since", "3d", code=1).stdout
    canceller.join()
    assert shown == "slow: the backfill has ended early; 2 moment(s) had no run\n"


def test_a_backfill_without_a_runtime_begins_at_the_next_start(offline: Kron) -> None:
    before = files_of(offline.directory)
    args = ("job", "backfill", "bad", "--since", "3d")
    preview = offline("job", "backfill", "bad", "--since", "3d", "--dry-run")
    assert "bad: 3 moment(s) would run" in preview.stdout
    assert preview.stderr == ""
    assert files_of(offline.directory) == before
    result = offline(*args)
    assert result.stdout == "bad: 3 moment(s) to backfill\n"
    assert "takes effect at the next start" in result.stderr
    ran = []
    scheduler = kron.Scheduler()
    scheduler.schedule(
        "bad",
        lambda context: ran.append(context["backfill"]),
        cron="0 8 * * *",
        max_attempts=1,
        timezone="Europe/Berlin",
    )
    scheduler.start(offline.directory)
    try:
        until(lambda: scheduler.status("bad")["backfill"] is None)
        assert ran.count(True) == 3
    finally:
        scheduler.shutdown(0)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["report"], 2, "--since"),
        (["report", "--since", "soon"], 2, "not a date and time"),
        (["report", "--since", "1d", "--until", "soon"], 2, "--until soon"),
        (["report", "--since", "1d", "--concurrency", "0"], 2, "--concurrency"),
        (["report", "--since", "1d", "--concurrency", "2"], 1, "overlap='allow'"),
        (["report", "--since", "2999-01-01"], 1, "lies in the future"),
        (["report", "--since", "1d", "--until", "2d"], 1, "lies before"),
        (["nope", "--since", "1d"], 1, "timer 'nope' not found"),
    ],
)
def test_a_backfill_that_cannot_be_meant(cli: Kron, args: list[str], code: int, text: str) -> None:
    assert text in cli("job", "backfill", *args, code=code, columns=200).stderr


# -- logs --------------------------------------------------------------------------------------


def ran(scheduler: kron.Scheduler, name: str) -> str:
    """A run of it, ended."""
    before = scheduler.status(name)["succeeded"]
    run_id = scheduler.trigger(name)
    until(lambda: scheduler.status(name)["succeeded"] == before + 1)
    return str(run_id)


def test_logs_are_what_the_latest_run_printed(cli: Kron, scheduler: kron.Scheduler) -> None:
    assert cli("job", "logs", "backup", code=1).stderr == "kron: backup has had no run yet.\n"
    first = ran(scheduler, "backup")
    assert cli("job", "logs", "backup").stdout == "to tape\n"
    scheduler.schedule("backup", kron.command(["printf", "half\tof \\033[31m it"]), every="1h")
    second = ran(scheduler, "backup")
    assert cli("job", "logs", "backup").stdout == "half\tof \x1b[31m it"
    assert cli("job", "logs", "backup", "--run", first).stdout == "to tape\n"
    answer = cli.json("job", "logs", "backup")
    assert answer == {"timer": "backup", "run_id": second, "text": "half\tof \x1b[31m it"}
    scheduler.schedule("backup", kron.command(["true"]), every="1h")
    third = ran(scheduler, "backup")
    assert cli.json("job", "logs", "backup")["run_id"] == second
    scheduler.shutdown()
    assert cli.json("job", "logs", "backup")["run_id"] == second
    assert "printed nothing" in cli("job", "logs", "backup", "--run", third, code=1).stderr


def test_there_are_logs_of_commands_alone(cli: Kron, scheduler: kron.Scheduler) -> None:
    ran(scheduler, "cleanup")
    assert "cleanup is neither a command nor" in cli("job", "logs", "cleanup", code=1).stderr
    assert "not found" in cli("job", "logs", "nope", code=1).stderr
    assert "no run id" in cli("job", "logs", "backup", "--run", "../x", code=1).stderr


def test_logs_are_followed_until_the_run_has_ended(
    cli: Kron, scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    text = f"echo one; while [ ! -e {gate} ]; do sleep 0.02; done; echo two"
    scheduler.schedule("slow", kron.command(text, shell=True), every="1h")
    scheduler.trigger("slow")
    command = [sys.executable, "-m", "kron", "--data-dir", str(cli.directory)]
    with subprocess.Popen(
        [*command, "job", "logs", "slow", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "one\n"
        gate.touch()
        assert following.stdout.read() == "two\n"
        assert following.wait(10) == 0
    assert cli("job", "logs", "slow", "--follow").stdout == "one\ntwo\n"


def test_a_terminal_is_shown_no_control_characters(cli: Kron, scheduler: kron.Scheduler) -> None:
    import pty

    scheduler.schedule("rude", kron.command(["printf", "a\\tb \\033[2J\\rc\\n"]), every="1h")
    ran(scheduler, "rude")
    outside, inside = pty.openpty()
    command = [sys.executable, "-m", "kron", "--data-dir", str(cli.directory)]
    with open(outside, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [*command, "job", "logs", "rude"], stdout=inside, env=environment(), timeout=60
        )
        assert done.returncode == 0
        shown = terminal.read(1000)
    assert b"\x1b" not in shown
    assert b"b \\x1b[2J\\rc" in shown


# -- what status shows -------------------------------------------------------------------------


def test_a_status_tells_what_a_command_needs_and_what_its_runs_wait_for(
    cli: Kron, scheduler: kron.Scheduler
) -> None:
    options = {"every": "1h", "weight": 2, "priority": 8, "timeout": "90s", "key": "tape"}
    scheduler.schedule("one", kron.command(["sleep", "60"]), **options)
    scheduler.schedule("two", kron.command(["sleep", "61"]), **options)
    first, second = scheduler.trigger("one"), scheduler.trigger("two")
    shown = cli("job", "status", "one", columns=200).stdout
    for line in ("sleep 60", "tape", "1m30s", f"{first}  running"):
        assert line in shown
    assert (
        f"{second}  due, waits for key: tape is taken"
        in cli("job", "status", "two", columns=200).stdout
    )
    scheduler.cancel("two")
    scheduler.cancel("one")
