"""The socket itself: private, exclusive, silent, and gone when the scheduler is."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import kron
from kron.server.listen import peer_uid

from .conftest import door_of, hang, until


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def test_socket_and_token_are_private(door: object, tmp_path: Path) -> None:
    state = os.lstat(tmp_path / "d" / "kron.sock")
    assert stat.S_ISSOCK(state.st_mode)
    assert stat.S_IMODE(state.st_mode) == 0o600
    assert stat.S_IMODE(os.lstat(tmp_path / "d" / "kron.token").st_mode) == 0o600
    assert not (tmp_path / "d" / "kron.sock.tmp").exists()


async def test_the_token_is_kept_over_restarts_and_a_broken_one_is_replaced(
    scheduler: kron.Scheduler, tmp_path: Path
) -> None:
    file, path = tmp_path / "d" / "kron.token", tmp_path / "d"
    (await door_of(path)), (first := file.read_text())
    await scheduler.ashutdown()
    await scheduler.astart(path)
    await door_of(path)
    assert file.read_text() == first
    await scheduler.ashutdown()
    file.write_text("half a tok")
    await scheduler.astart(path)
    await until((path / "kron.sock").exists)
    assert len(file.read_text().strip()) == 64


@pytest.mark.parametrize("left", ["socket", "file"])
async def test_what_a_dead_process_left_is_replaced(tmp_path: Path, left: str) -> None:
    path = tmp_path / "d"
    path.mkdir(mode=0o700)
    if left == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path / "kron.sock"))
    else:
        (path / "kron.sock").write_text("?")
    scheduler = kron.Scheduler()
    await scheduler.astart(path)
    try:
        await until(lambda: connects(path / "kron.sock"))
    finally:
        await scheduler.ashutdown()


async def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 100) / "d"
    assert len(str(path)) > 107
    scheduler = kron.Scheduler()
    await scheduler.astart(path)
    await until((path / "kron.sock").exists)
    from kron.cli.remote import Remote
    from kron.storage.datadir import DataDir

    remote = Remote(DataDir(path, read_only=True))
    assert await asyncio.to_thread(remote.timers) == []
    await scheduler.ashutdown()
    assert not (path / "kron.sock").exists()


async def test_twenty_starts_and_shutdowns_leave_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "d"
    scheduler = kron.Scheduler()
    tasks, fds = asyncio.all_tasks(), None
    for _ in range(20):
        await scheduler.astart(path)
        async with await door_of(path) as client:
            assert (await client.get("/v1/timers")).status_code == 200
            await scheduler.ashutdown()
        assert not (path / "kron.sock").exists()
        assert asyncio.all_tasks() == tasks
        fds = fds or len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) <= fds + 1


async def test_a_shutdown_does_not_wait_for_a_connection_that_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d"
    scheduler = kron.Scheduler()
    await scheduler.astart(path)
    await door_of(path)
    reader, writer = await asyncio.open_unix_connection(path / "kron.sock")
    writer.write(b"GET /v1/timers HTTP/1.1\r\n")
    async with asyncio.timeout(0.5):
        await scheduler.ashutdown()
    assert await reader.read() == b""
    writer.close()


async def test_the_door_opens_on_a_loop_in_a_thread_too(tmp_path: Path) -> None:
    scheduler = kron.Scheduler()
    scheduler.schedule("a", hang, every="1h")
    await asyncio.to_thread(scheduler.start, tmp_path / "d")
    async with await door_of(tmp_path / "d") as client:
        facts = (await client.get("/v1/runtime")).json()
        assert (facts["thread"], facts["timers"]) == ("kron", 1)
    await asyncio.to_thread(scheduler.shutdown)


async def test_an_idle_door_does_not_wake_the_loop(
    door: object, scheduler: kron.Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    turns = []
    select = selector.select
    monkeypatch.setattr(selector, "select", lambda timeout: (turns.append(1), select(timeout))[1])
    await asyncio.sleep(0.5)
    assert len(turns) <= 2


def test_a_forked_child_does_not_keep_the_door(tmp_path: Path) -> None:
    path, scheduler = tmp_path / "d", kron.Scheduler()
    scheduler.start(path)
    asyncio.run(until((path / "kron.sock").exists))
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(path / "kron.sock"))
        visitor.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        got = b""
        while b"unauthorized" not in got:  # accepted and answered, and kept alive
            got += visitor.recv(4096)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write_end)
            os.read(read_end, 1)  # until the parent closes its end
            os._exit(0)
        os.link(path / "kron.sock", tmp_path / "another_name")
        scheduler.shutdown()
        assert visitor.recv(4096) == b""
    assert not connects(tmp_path / "another_name")
    os.close(write_end)
    os.close(read_end)
    assert os.waitpid(child, 0) == (child, 0)


def test_the_kernel_names_the_user_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == os.geteuid()


def test_a_fork_while_the_door_is_loaded_waits_for_it(tmp_path: Path) -> None:
    """Else the child would have an import lock that nobody releases, and no door, ever."""
    program = """
import os, sys, kron
kron.start(sys.argv[1] + "/parent")
child = os.fork()
if child == 0:
    kron.start(sys.argv[1] + "/child")
    kron.shutdown()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
kron.shutdown()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.stdout, done.stderr) == ("7\n", "")
