"""Signals while a program waits, and programs that left their loop behind."""

import signal
import subprocess
import sys

import pytest

WAITS = """
import sys, threading, time
import kron

def slow():
    time.sleep(60)

kron.schedule("slow", slow, after=0)
kron.start(sys.argv[1])
while kron.status("slow")["state"] != "running":
    time.sleep(0.01)
threading.Timer(0.2, lambda: print("ready", flush=True)).start()
kron.wait()
print("over", flush=True)
"""

AWAITS = """
import asyncio, sys
import kron

async def main():
    began = asyncio.Event()

    async def slow():
        began.set()
        await asyncio.sleep(60)

    kron.schedule("slow", slow, after=0)
    await kron.astart(sys.argv[1])
    await began.wait()
    asyncio.get_running_loop().call_later(0.2, lambda: print("ready", flush=True))
    await kron.await_()
    print("over", flush=True)

asyncio.run(main())
"""

LEAVES = """
import asyncio, sys
import kron

loop = asyncio.new_event_loop()
kron.schedule("beat", print, every="1h")
loop.run_until_complete(kron.astart(sys.argv[1]))
loop.close()
print("ready", flush=True)
"""


@pytest.fixture
def program(tmp_path):
    started = []

    def start(source):
        argv = [sys.executable, "-c", source, str(tmp_path / ".kron")]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("source", [WAITS, AWAITS], ids=["wait", "await_"])
def test_two_signals_at_once_are_two_signals(program, source):
    process = program(source)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "over\n"
    assert process.returncode == 0


def test_a_program_that_closed_its_loop_by_hand_ends(program):
    process = program(LEAVES)
    process.communicate(timeout=30)
    assert process.returncode == 0
