"""A process group: signals to all of it, and whether anybody of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

_HAS_PROC = sys.platform == "linux"
_GONE = "ZX"

CENSUS_SECONDS = 0.2


class Process(NamedTuple):
    """A line of the system's table: its group, its state letter, when it started."""

    pid: int
    group: int
    state: str
    started: str


def signal_group(group: int, number: int) -> None:
    """Send it to all processes of the group; to those that are ours, at least."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def has_members(group: int) -> bool:
    """Whether there is any process of the group, be it one that only waits to be reaped."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so too where only such ones are left
        return _HAS_PROC
    return True


def is_alive(group: int) -> bool:
    """The same without those that only wait to be reaped; looks at every process there is."""
    return group in living_groups() if _HAS_PROC else has_members(group)


def living_groups() -> set[int]:
    """All groups with a process that is no zombie."""
    return {each.group for each in processes() if each.state not in _GONE}


class Census:
    """As `is_alive`, for many who ask again and again: one look at the table serves them all.

    Zombies may stay for ever where the PID 1 of a container reaps nobody.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._living: set[int] = set()
        self._counted_s = 0.0

    def has(self, group: int, since_s: float) -> bool:
        """Whether anybody of a group is alive that existed at `since_s` (monotonic), as of a
        moment after it: one without a living process never has one again."""
        if not _HAS_PROC:
            return has_members(group)
        with self._lock:
            now_s = time.monotonic()
            if self._counted_s <= since_s or (group in self._living and self._is_old(now_s)):
                self._living, self._counted_s = living_groups(), now_s
            return group in self._living

    def _is_old(self, now_s: float) -> bool:
        return now_s - self._counted_s > CENSUS_SECONDS


def reap_adopted(group: int) -> bool:
    """Reap those of the group that became our children when their parent died (a PID 1 gets all
    of these). Never before the leader is reaped. Whether there are any that still live."""
    with suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-group, os.WNOHANG)
            if pid == 0:
                return True
    return False


def processes() -> Iterator[Process]:
    """All processes that /proc shows."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and (process := process_of(int(name))) is not None:
            yield process


def process_of(pid: int) -> Process | None:
    """One process, None if there is none. Where it started says when, and is only compared."""
    if not _HAS_PROC:
        return _by_ps(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Behind the name, which may hold blanks and parentheses: proc(5), fields 3 on.
    fields = text[text.rindex(b")") + 2 :].decode("ascii").split()
    return Process(pid, int(fields[2]), fields[0], fields[19])


@cache
def boot_id() -> str:
    """Differs after a restart of the machine; "" where the system tells none."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def has_variable(pid: int, variable: str) -> bool:
    """Whether a process was started with `NAME=value`; False if we may not know."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return variable.encode() in file.read().split(b"\0")
    except OSError:
        return False


def _by_ps(pid: int) -> Process | None:
    command = ["ps", "-o", "pgid=,state=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    fields = done.stdout.split(maxsplit=2)
    if len(fields) < 3:
        return None
    return Process(pid, int(fields[0]), fields[1][0], fields[2].strip())
