"""What the storage tests share: a directory, a disk that fails on demand, a log made of lines."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kron.storage.disk import Disk
from kron.storage.file import FileLog

PAYLOADS = ['["é"]'.encode(), b'["two",{"n":2}]', '["dreißig ☃"]'.encode()]


class FaultyDisk(Disk):
    """Counts calls, and fails those it is told to."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.fail: dict[str, int] = {}
        self.short = 0
        self.synced = threading.Event()
        self.hold: threading.Event | None = None
        self.writing = threading.Event()

    def _count(self, name: str) -> None:
        self.calls[name] += 1
        if code := self.fail.get(name):
            raise OSError(code, os.strerror(code))

    def write(self, fd: int, content: bytes) -> int:
        self._count("write")
        self.writing.set()
        if self.hold is not None:
            assert self.hold.wait(5)
        return super().write(fd, content[: len(content) - self.short])

    def fdatasync(self, fd: int) -> None:
        self._count("fdatasync")
        super().fdatasync(fd)
        self.synced.set()

    def fsync(self, fd: int) -> None:
        self._count("fsync")
        super().fsync(fd)

    def fsync_dir(self, path: str) -> None:
        self._count("fsync_dir")
        super().fsync_dir(path)


class DyingDisk(Disk):
    """Fails the `nth` call that changes something, counted from `arm`; or from then on all."""

    CHANGES = ("write", "fdatasync", "fsync", "fsync_dir", "truncate", "rename", "unlink", "open")

    def __init__(self) -> None:
        self.left = 0
        self.for_ever = False
        self.hits = 0

    def arm(self, nth: int, *, for_ever: bool) -> None:
        self.left, self.for_ever, self.hits = nth, for_ever, 0

    def heal(self) -> None:
        self.left = 0

    def _count(self) -> None:
        if self.left == 0:
            return
        self.left -= 1
        if self.left == 0:
            self.hits += 1
            self.left = 1 if self.for_ever else 0
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _dying(name: str) -> Callable[..., object]:
    def call(self: DyingDisk, *arguments: object, **options: object) -> object:
        self._count()
        return getattr(Disk, name)(self, *arguments, **options)

    return call


for _name in DyingDisk.CHANGES:
    setattr(DyingDisk, _name, _dying(_name))


@pytest.fixture
def dying() -> DyingDisk:
    return DyingDisk()


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def enospc() -> int:
    return errno.ENOSPC


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "kron"


@pytest.fixture
def payloads() -> list[bytes]:
    return PAYLOADS


@pytest.fixture
def written(data_dir: Path) -> Callable[[], Awaitable[bytes]]:
    """Write a log of three records and return the bytes of its file."""

    async def write() -> bytes:
        log = FileLog(data_dir)
        await log.open()
        for index, payload in enumerate(PAYLOADS, 1):
            await log.append(index, payload)
        await log.close()
        return (data_dir / "kron.aof").read_bytes()

    return write


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Run a program in another process, as the user nobody if asked; return what it prints."""

    def run(program: str, *arguments: object, as_nobody: bool = False) -> str:
        if as_nobody and os.geteuid() == 0:
            # The imports come first: nobody may not be able to read the interpreter's library.
            program = (
                "import os, anyio._backends._asyncio, kron.storage.file, kron.storage.reader\n"
                "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" + program
            )
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True, text=True, timeout=30, cwd="/",
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
