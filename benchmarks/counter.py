"""Counts records of one kind in a log while it grows, from a process of its own.

It reads each byte once, so it leaves the second core alone, and keeps open what it has begun to
read: a log that is rotated into `kron.aof.<index>`, or deleted, is neither lost nor counted twice.
What it counts has been written; the fdatasync of the last record may be one latency behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import NamedTuple

POLL_S = 0.002
CHUNK_BYTES = 4 << 20


class Tail:
    """One file, read from its begin to its end and on from there."""

    def __init__(self, path: str, token: bytes) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.inode = os.fstat(self.fd).st_ino
        self._token = token
        self._rest = b""

    def count(self) -> int:
        """How many tokens were completed since the last call."""
        found = 0
        while chunk := os.read(self.fd, CHUNK_BYTES):
            chunk = self._rest + chunk
            found += chunk.count(self._token)
            keep = len(self._token) - 1  # a token that is cut here is counted with the next chunk
            self._rest = chunk[-keep:]
        return found


class LogTail:
    """All files of a log: `kron.aof` and `kron.aof.<index>`."""

    def __init__(self, folder: str, token: str) -> None:
        self.counted = 0
        self._folder = folder
        self._token = token.encode()
        self._tails: dict[int, Tail] = {}

    def poll(self) -> int:
        """Read on; returns how many there are so far."""
        for entry in os.scandir(self._folder):
            ending = entry.name.removeprefix("kron.aof")
            if ending and (ending == entry.name or not ending[1:].isdigit()):
                continue
            if entry.inode() not in self._tails:
                self._open(entry.path)
        self.counted += sum(tail.count() for tail in self._tails.values())
        return self.counted

    def _open(self, path: str) -> None:
        """Begin a file; by now the name may belong to none, or to one that is known."""
        with suppress(FileNotFoundError):
            tail = Tail(path, self._token)
            if self._tails.setdefault(tail.inode, tail) is not tail:
                os.close(tail.fd)


class Counted(NamedTuple):
    """What a counting process saw: how many, when the last came, and when `at` there were any."""

    counted: int
    at: float

    def so_far(self, wanted: int) -> dict[str, object]:
        """A note for the report if not all came, or too many."""
        return {} if self.counted == wanted else {"counted_instead": self.counted}


class Counter:
    """The counting process, seen from the program that is measured."""

    def __init__(self, folder: str, token: str, wanted: int, timeout_s: float = 120.0) -> None:
        argv = [sys.executable, __file__, folder, token, str(wanted), str(timeout_s)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def wait(self) -> Counted:
        """Block until there are as many as wanted, or the time is over."""
        return Counted(**json.loads(self._process.communicate()[0]))


def count_now(folder: str, token: str) -> int:
    """How many there are, counted by another process."""
    return Counter(folder, token, 0, 0.0).wait().counted


def main(folder: str, token: str, wanted: int, timeout_s: float) -> None:
    """Print how many there are as soon as there are `wanted`, and the time of the last change."""
    log, give_up = LogTail(folder, token), time.monotonic() + timeout_s
    at = time.time()
    before = 0
    while True:
        counted = log.poll()
        if counted != before:
            before, at = counted, time.time()
        if (wanted and counted >= wanted) or time.monotonic() >= give_up:
            break
        time.sleep(POLL_S)
    print(json.dumps({"counted": counted, "at": at}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
