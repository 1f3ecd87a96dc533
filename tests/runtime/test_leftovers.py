"""What a killed scheduler leaves behind is ended by the next one, and nobody else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import eventually

from kron.runtime.groups import boot_id, has_variable, is_alive, process_of
from kron.runtime.leftovers import Mark, end_leftovers, started, starting
from kron.storage.datadir import DataDir
from kron.storage.output import OutputStore, read_output

RUN = "run_01kx0000000000000000000000"

SCHEDULER = """
import os, sys, time
from kron.core.definition import define
from kron.core.events import RunDue, TimerCreated
from kron.core.things import Run, Timer
from kron.runtime.callables import Target
from kron.runtime.command import command
from kron.runtime.context import Job
from kron.runtime.environment import Providers
from kron.runtime.processes import Processes
from kron.storage.datadir import DataDir
from kron.storage.output import OutputStore

store = OutputStore(DataDir(sys.argv[1]))
store.prepare(time.time())
timer = Timer(1, TimerCreated("t", define(every=10)[0], 0, 0, None))
job = Job(Run(7, timer, RunDue("t", 0, 0, None)), Target(command(sys.argv[2:]), (), {}), "0" * 16)
Processes(print, store, Providers()).start(job)
print(job.run_id, flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    place = DataDir(tmp_path / "kron")
    place.prepare()
    store = OutputStore(place)
    store.prepare(time.time())
    return store


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own, with a mark of the run in its environment."""
    sleeper = subprocess.Popen(
        ["sleep", "60"], start_new_session=True, env={**os.environ, "KRON_RUN_ID": RUN}
    )
    if sys.platform == "linux":  # it is not there from the first instant on
        eventually(lambda: has_variable(sleeper.pid, f"KRON_RUN_ID={RUN}"))
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def killed_scheduler(place: Path, *argv: str) -> str:
    """Start a command with a scheduler, wait until it prints, SIGKILL the scheduler; the run."""
    with subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, str(place), *argv],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    ) as scheduler:  # fmt: skip
        assert scheduler.stdout is not None
        run_id = scheduler.stdout.readline().strip()
        eventually(lambda: read_output(DataDir(place), run_id)[0].endswith("\n"), 30)
        eventually(lambda: Mark.of_text((place / f"output/{run_id}.pid").read_text()).pid, 30)
        scheduler.kill()
    return run_id


@pytest.mark.parametrize(
    "text",
    [
        "trap '' TERM HUP PIPE; echo $$; while :; do sleep 0.05; done",
        "echo $$; (trap '' HUP PIPE; while :; do sleep 0.05; done) & exit 0",  # the leader is gone
    ],
)
def test_what_a_killed_scheduler_left_is_ended(
    store: OutputStore, tmp_path: Path, text: str
) -> None:
    place = tmp_path / "kron"
    run_id = killed_scheduler(place, "sh", "-c", text)
    group = int(read_output(DataDir(place), run_id)[0])
    if "exit 0" not in text:
        assert is_alive(group)
    was_alive = is_alive(group)
    assert end_leftovers(store) == ([run_id] if was_alive else [])
    assert not is_alive(group) and store.marks() == {}
    assert end_leftovers(store) == []


def test_a_process_of_the_same_pid_is_left_alone(
    store: OutputStore, sleeper: subprocess.Popen[bytes]
) -> None:
    mark = Mark.of_text(started(sleeper.pid))
    store.mark(RUN, mark._replace(started=mark.started + "1").text())
    assert end_leftovers(store) == [] and sleeper.poll() is None
    assert store.marks() == {}


def test_one_that_was_being_started_is_found(
    store: OutputStore, sleeper: subprocess.Popen[bytes]
) -> None:
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    store.mark(RUN, starting())
    assert end_leftovers(store) == [RUN]
    assert sleeper.wait(10) == -signal.SIGKILL


def test_after_a_restart_of_the_machine_there_is_nothing_to_end(
    store: OutputStore, sleeper: subprocess.Popen[bytes]
) -> None:
    store.mark(RUN, Mark.of_text(started(sleeper.pid))._replace(boot="another").text())
    assert end_leftovers(store) == [] and sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "null"])
def test_a_torn_mark_is_removed(store: OutputStore, text: str) -> None:
    store.mark(RUN, text)
    assert end_leftovers(store) == [] and store.marks() == {}


def test_a_group_of_somebody_else_whose_leader_is_gone_is_left_alone(store: OutputStore) -> None:
    """The pid of a former leader, and its group, may belong to others by now."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 60 >/dev/null & echo $!"],
        stdout=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip
    sleeper = int(shell.communicate(timeout=30)[0])
    try:
        store.mark(RUN, json.dumps({"pid": shell.pid, "started": "1", "boot": boot_id()}))
        assert end_leftovers(store) == []
        assert is_alive(shell.pid) and process_of(shell.pid) is None
    finally:
        os.kill(sleeper, signal.SIGKILL)
