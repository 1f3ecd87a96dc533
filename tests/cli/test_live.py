"""The CLI and a living scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kron
from kron.cli import tail
from kron.cli.remote import Remote
from kron.core.errors import KronError
from kron.storage.datadir import DataDir

from .conftest import Kron, environment, files_of, run_program, until


def test_reads_are_the_dicts_of_the_scheduler(cli: Kron, live: kron.Scheduler) -> None:
    assert cli.json("job", "list") == live.list()
    assert cli.json("job", "status", "tick") == live.status("tick")
    assert cli.json("job", "history", "bad", "-n", "1") == live.history("bad", limit=1)
    assert cli("job", "list").stderr == ""


def test_verbs_take_effect_at_once(cli: Kron, live: kron.Scheduler) -> None:
    result = cli("job", "pause", "tick")
    assert (result.stdout, result.stderr) == ("tick: paused\n", "")
    assert live.status("tick")["state"] == "paused"
    assert cli.json("job", "resume", "tick") == {"changed": True}
    run_id = cli.json("job", "trigger", "tick")["run_id"]
    assert live.status("tick")["open_runs"] == [run_id]
    assert cli.json("job", "cancel", run_id) == {"cancelled": 1}
    assert cli.json("job", "remove", "tick") == {"removed": True}
    assert live.status("tick") is None


@pytest.mark.parametrize("verb", "status history trigger pause resume cancel remove".split())
@pytest.mark.parametrize("name", ["nope", "", "..", "a/b?limit=1", "run_" + "0" * 26])
def test_an_unknown_name_is_one_line(cli: Kron, live: kron.Scheduler, verb: str, name: str) -> None:
    result = cli("job", verb, name, code=1)
    kind = "run" if verb == "cancel" and len(name) == 30 else "timer"
    assert result.stderr == f"kron: {kind} {name!r} not found\n"


def test_the_doctor_asks_the_runtime(cli: Kron, live: kron.Scheduler) -> None:
    report = cli.json("doctor")
    assert report["ok"], report["checks"]
    assert report["runtime"]["pid"] == os.getpid()
    assert "answers" in cli("doctor").stdout


def test_runtime_status_comes_from_the_process(cli: Kron, live: kron.Scheduler) -> None:
    facts = cli.json("runtime", "status")
    assert (facts["pid"], facts["thread"]) == (os.getpid(), "kron")
    assert str(os.getpid()) in cli("runtime", "status").stdout


def test_a_stolen_token_file_is_a_clear_error(cli: Kron, live: kron.Scheduler) -> None:
    (cli.directory / "kron.token").write_text("0" * 64)
    assert cli("job", "list", code=1).stderr == "kron: unauthorized\n"
    (cli.directory / "kron.token").write_text("")
    assert "has no token" in cli("job", "list", code=1).stderr


def test_a_loop_that_is_busy_is_a_clear_error(cli: Kron, live: kron.Scheduler) -> None:
    """A living process that does not answer in time is named, and nothing is read from files."""
    remote = Remote(DataDir(cli.directory, read_only=True), answer_s=0.05)
    engine = live._control.engine("test")
    import threading

    let_go = threading.Event()
    engine.loop.call_soon_threadsafe(let_go.wait)
    try:
        with pytest.raises(KronError, match=f"in use by process {os.getpid()}, but nobody answers"):
            remote.timers()
    finally:
        let_go.set()


def test_a_program_in_wait_is_stopped_in_order(killed: Path) -> None:
    cli = Kron(killed)
    program = run_program(killed)
    try:
        result = cli("runtime", "shutdown", "--timeout", "0")
        assert result.stdout == "the scheduler has stopped\n"
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.communicate()
    assert not (killed / "kron.sock").exists()
    assert cli.json("log", "tail", "-n", "1")[0]["event"] == "SCHEDULER_STOPPED"
    assert cli("runtime", "shutdown", code=1).stderr.startswith("kron: no runtime is alive in ")
    cli("job", "pause", "tick")


def test_a_socket_of_a_killed_program_counts_for_nothing(killed: Path) -> None:
    program = run_program(killed)
    program.kill()
    program.communicate()
    assert (killed / "kron.sock").is_socket()
    before = files_of(killed)
    assert "read from the files" in Kron(killed)("job", "list").stderr
    assert files_of(killed) == before


def test_following_the_log_shows_new_events_until_it_is_interrupted(
    cli: Kron, live: kron.Scheduler
) -> None:
    command = [sys.executable, "-m", "kron", "--data-dir", str(cli.directory), "--json"]
    with subprocess.Popen(
        [*command, "log", "tail", "--follow", "-n", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "event" in follower.stdout.readline()
        live.pause("tick")
        assert '"TIMER_PAUSED"' in follower.stdout.readline()
        follower.send_signal(2)
        assert follower.wait(10) == 130
        assert follower.stderr.read() == ""


def test_the_reason_stands_where_a_narrow_terminal_shows_it() -> None:
    at = "2026-05-14T17:21:29+00:00"
    fields = {"record": 7, "time": at, "event": "RUN_MISSED", "timer": "beat", "first": at}
    line = tail.Entry({**fields, "last": at, "moments": 12, "reason": "changed"}).line(None)
    assert "beat  reason=changed  first=" in line.plain


def test_a_tail_that_follows_for_long_keeps_few_runs_in_mind(
    cli: Kron, live: kron.Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [entry.fields for entry in tail.LogTail(str(cli.directory)).read()]
    monkeypatch.setattr(tail, "RUNS_KNOWN", 1)
    log = tail.LogTail(str(cli.directory))
    entries = [entry.fields for entry in log.read()]
    assert entries[: len(plain)] == plain and len({each.get("run") for each in plain}) > 2
    assert len(log._scheduled_us) == 1


def test_the_command_waits_for_a_door_that_is_about_to_open(killed: Path) -> None:
    scheduler = kron.Scheduler()
    scheduler.start(killed)  # returns before the door is open
    try:
        assert Kron(killed)("job", "list").stderr == ""
        until((killed / "kron.sock").is_socket)
    finally:
        scheduler.shutdown()
