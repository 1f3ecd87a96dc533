"""One writer per data directory, whatever forks and dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kron.core.errors import DataDirLocked, LogFailed
from kron.storage.file import FileLog

HOLDER = """
import asyncio, sys
from kron.storage.file import FileLog
async def main():
    log = FileLog(sys.argv[1]); await log.open(); await log.append(log.tip + 1, b"[1]")
    print("held", flush=True); sys.stdin.readline(); await log.close()
asyncio.run(main())
"""
TRY = """
import asyncio, sys
from kron.core.errors import DataDirLocked
from kron.storage.file import FileLog
async def main():
    log = FileLog(sys.argv[1])
    try:
        await log.open()
    except DataDirLocked as exc:
        print("locked by", exc.pid)
    else:
        print("free", log.tip); await log.close()
asyncio.run(main())
"""


def hold(data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


async def test_a_second_process_is_told_who_holds_the_directory(data_dir) -> None:
    holder = hold(data_dir)
    with pytest.raises(DataDirLocked) as locked:
        await FileLog(data_dir).open()
    assert str(locked.value) == (
        f"{data_dir} is in use by process {holder.pid} ({data_dir}/kron.sock)."
        " Stop it, or use another data dir."
    )
    assert locked.value.pid == holder.pid
    holder.communicate("\n")
    log = FileLog(data_dir)
    await log.open()
    assert log.tip == 1
    await log.close()


async def test_a_killed_process_holds_nothing(data_dir) -> None:
    holder = hold(data_dir)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert (data_dir / "kron.lock").read_text() == f"{holder.pid}\n"
    log = FileLog(data_dir)
    await log.open()
    assert log.tip == 1
    await log.close()


async def test_a_second_log_in_this_process_is_refused(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    with pytest.raises(DataDirLocked, match=f"process {os.getpid()} "):
        await FileLog(data_dir).open()
    await log.append(1, b"[]")
    await log.close()


async def test_removing_the_lock_file_lets_nobody_in(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    (data_dir / "kron.lock").unlink()
    with pytest.raises(DataDirLocked, match="another process"):
        await FileLog(data_dir).open()
    await log.append(1, b"[]")
    await log.close()


async def test_a_forked_child_holds_nothing_and_writes_nothing(data_dir, run_python) -> None:
    log = FileLog(data_dir)
    await log.open()
    await log.append(1, b"[1]")
    to_parent, from_child = os.pipe()
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for fd in os.listdir("/proc/self/fd"):
                if os.path.exists(f"/proc/self/fd/{fd}"):
                    assert "/kron." not in os.readlink(f"/proc/self/fd/{fd}")
            with pytest.raises(LogFailed, match="parent"):
                log.append(2, b"[2]").send(None)
            log.abandon()
            os.write(from_child, b"ok")
            os.read(to_child, 1)
        finally:
            os._exit(0)
    os.close(from_child)
    assert os.read(to_parent, 2) == b"ok"
    assert run_python(TRY, data_dir) == f"locked by {os.getpid()}\n"
    await log.append(2, b"[2]")
    await log.close()
    assert run_python(TRY, data_dir) == "free 2\n"  # the child is still alive
    os.write(from_parent, b".")
    assert os.waitpid(child, 0)[1] == 0
    for fd in (to_parent, to_child, from_parent):
        os.close(fd)


async def test_a_copy_of_the_descriptors_that_escaped_keeps_nothing_locked(data_dir) -> None:
    log = FileLog(data_dir)
    await log.open()
    assert log._parts is not None
    copies = [
        os.dup(log._lock._fd),
        os.dup(log._parts.writer._fd),
    ]  # as in a child forked by C code
    await log.close()
    second = FileLog(data_dir)
    await second.open()
    await second.close()
    for fd in copies:
        os.close(fd)


async def test_a_child_forked_during_a_write_can_abandon_the_log(data_dir, disk) -> None:
    log = FileLog(data_dir, disk=disk)
    await log.open()
    assert log._parts is not None
    with log._parts.writer._file_in_use:  # as if the writer thread were in a system call
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            log.abandon()
            log._parts.writer.stop()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    await log.append(1, b"[]")
    await log.close()
