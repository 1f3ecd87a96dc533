"""`kron up` under a service manager, and as process 1 of a container."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.foreground import BEAT, LONG_S, SLOW, UNSHARE, first_of, needs_unshare
from tests.waiting import eventually
from tests.witness import judged


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
            heard = [hear()]
            while len({*heard}) < 2:
                heard.append(hear())
            assert {*heard} == {"WATCHDOG=1", "READY=1\nSTATUS=2 timers"}
            up.program.send_signal(signal.SIGHUP)
            heard = [hear()]
            while "READY" not in heard[-1]:
                heard.append(hear())
            reloading = next(word for word in heard if "RELOADING" in word)
            assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
            up.program.send_signal(signal.SIGTERM)
            while "STOPPING" not in (word := hear()):
                assert word == "WATCHDOG=1", word
            assert up.program.wait(60) == 0
    printed = project.kron("job", "logs", "env").stdout
    assert "PATH=" in printed and "NOTIFY_SOCKET" not in printed and "WATCHDOG" not in printed


def test_a_service_manager_that_is_not_there_is_told_of_once(project):
    project.write("kron.toml", BEAT)
    with project.up(NOTIFY_SOCKET="nobody") as up:
        up.until_said("beat: done")
        assert up.end() == 0
    assert up.said.count("the service manager at nobody is not reached") == 1


# -- process one ----------------------------------------------------------------------------------


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
