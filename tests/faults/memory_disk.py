"""A disk in memory that knows what is on the medium, fails on demand, and remembers every call.

What is there is in `medium.py`, what a power cut leaves of it in `crash.py`.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from kron.storage.disk import Disk
from tests.faults.medium import (
    Boundary,
    Cut,
    Inode,
    Link,
    Op,
    Rename,
    Unlink,
    Write,
    apply_file,
    apply_names,
)

SHORT = 0
"""In place of an errno: the write takes only half of what it is given."""

_F = TypeVar("_F", bound=Callable[..., Any])


class Fault:
    """From the `nth` call of this name (None = of any) on: once or for ever; counts its hits."""

    def __init__(self, call: str | None, nth: int, code: int, *, for_ever: bool = False) -> None:
        self.call, self.nth, self.code, self.for_ever = call, nth, code, for_ever
        self.seen = self.hits = 0

    def strikes(self, call: str) -> bool:
        if self.call not in (None, call) or (self.code == SHORT and call != "write"):
            return False
        self.seen += 1
        struck = self.seen >= self.nth if self.for_ever else self.seen == self.nth
        self.hits += struck
        return struck


class _Opened:
    def __init__(self, ino: int, flags: int) -> None:
        self.ino, self.flags, self.position = ino, flags, 0


def _call(method: _F) -> _F:
    name = method.__name__

    @wraps(method)
    def counted(self: MemoryDisk, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.calls[name] += 1
            try:
                self._short = self._struck(name, args)
                return method(self, *args, **kwargs)
            finally:
                if self.history is not None:
                    self.history.append(Boundary(name, len(self.history), dict(self._inodes)))

    return cast(_F, counted)


class MemoryDisk(Disk):
    """`files` (absolute path: content) are there from the beginning, synced."""

    def __init__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        inodes: Mapping[int, Inode] | None = None,
        keep_history: bool = False,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.history: list[Boundary] | None = [] if keep_history else None
        self._inodes = dict(inodes or {1: Inode(stat.S_IFDIR | 0o755, {}, (), {}, 0)})
        self._opened: dict[int, _Opened] = {}
        self._locks: dict[int, int] = {}
        self._next = max(self._inodes) + 1
        self._next_fd = 1000
        self._lock = threading.Lock()
        self._short = False
        for path, content in (files or {}).items():
            self.put(path, content)

    # -- for tests -------------------------------------------------------------------------------

    def put(self, path: str, content: bytes) -> None:
        """A file is there, on the medium, its directories too."""
        directory = 1
        *parts, name = path.strip("/").split("/")
        for part in parts:
            found = self._inodes[directory].now.get(part)
            directory = found or self._place(directory, part, stat.S_IFDIR | 0o700, {})
        self._place(directory, name, stat.S_IFREG | 0o600, content)

    def files(self) -> dict[str, bytes]:
        """Every file that has a name, as a living process sees it."""
        found: dict[str, bytes] = {}
        todo = [("", 1)]
        while todo:
            path, ino = todo.pop()
            inode = self._inodes[ino]
            if stat.S_ISREG(inode.mode):
                found[path] = bytes(inode.now)
            else:
                todo += [(f"{path}/{name}", child) for name, child in inode.now.items()]
        return found

    def age(self, path: str, seconds: float) -> None:
        """The file was last changed this long ago."""
        ino = self._find(path)
        when = time.time_ns() - int(seconds * 1e9)
        self._inodes[ino] = self._inodes[ino]._replace(mtime_ns=when)

    def fail(
        self, call: str | None, nth: int, code: int = errno.EIO, *, for_ever: bool = False
    ) -> Fault:
        """From now on; `heal` ends it."""
        fault = Fault(call, nth, code, for_ever=for_ever)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No call fails any more."""
        self.faults = []

    def kill(self) -> None:
        """The process that uses the disk is dead: its descriptors and locks are gone, what it
        wrote is in the kernel. (That pages whose sync failed stay lost is not modelled on.)"""
        with self._lock:
            self._opened.clear()
            self._locks.clear()
            for ino, inode in self._inodes.items():
                ops = tuple(Op(op.what) for op in inode.ops)
                self._inodes[ino] = inode._replace(ops=ops)

    def boundary(self) -> Boundary:
        """The state now."""
        with self._lock:
            return Boundary("now", len(self.history or ()), dict(self._inodes))

    @property
    def descriptors(self) -> int:
        """How many are open."""
        return len(self._opened)

    # -- the interface ---------------------------------------------------------------------------

    @_call
    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        parent, name = self._parent(path)
        ino = self._names(parent, path).get(name)
        if ino is None:
            if not flags & os.O_CREAT:
                raise _error(errno.ENOENT, path)
            ino = self._new(stat.S_IFREG | mode, b"", bytearray())
            self._change(parent, Link(name, ino))
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            raise _error(errno.EEXIST, path)
        if stat.S_ISDIR(self._inodes[ino].mode) and flags & (os.O_WRONLY | os.O_RDWR):
            raise _error(errno.EISDIR, path)
        if flags & os.O_TRUNC and self._inodes[ino].now:
            self._change(ino, Cut(0))
        self._next_fd += 1
        self._opened[self._next_fd] = _Opened(ino, flags)
        return self._next_fd

    @_call
    def close(self, fd: int) -> None:
        opened = self._file(fd)
        del self._opened[fd]
        if self._locks.get(opened.ino) == fd:
            del self._locks[opened.ino]

    @_call
    def pread(self, fd: int, size: int, offset: int) -> bytes:
        opened = self._file(fd)
        if opened.flags & os.O_WRONLY:
            raise _error(errno.EBADF)
        return bytes(self._inodes[opened.ino].now[offset : offset + size])

    @_call
    def write(self, fd: int, content: bytes) -> int:
        opened = self._writable(fd)
        if self._short:
            content = content[: len(content) // 2]
        size = len(self._inodes[opened.ino].now)
        offset = size if opened.flags & os.O_APPEND else opened.position
        if content:
            self._change(opened.ino, Write(offset, bytes(content)))
        opened.position = offset + len(content)
        return len(content)

    @_call
    def fdatasync(self, fd: int) -> None:
        self._sync(self._file(fd).ino)

    @_call
    def fsync(self, fd: int) -> None:
        self._sync(self._file(fd).ino)

    @_call
    def fsync_dir(self, path: str) -> None:
        ino = self._find(path)
        self._names(ino, path)
        self._sync(ino)

    @_call
    def truncate(self, fd: int, size: int) -> None:
        opened = self._writable(fd)
        if len(self._inodes[opened.ino].now) != size:
            self._change(opened.ino, Cut(size))

    @_call
    def rename(self, old: str, new: str) -> None:
        (parent, name), (other, new_name) = self._parent(old), self._parent(new)
        assert parent == other, "renames between directories are not modelled"
        names = self._names(parent, old)
        if name not in names:
            raise _error(errno.ENOENT, old)
        if name != new_name:
            self._change(parent, Rename(name, new_name, names[name]))

    @_call
    def unlink(self, path: str) -> None:
        parent, name = self._parent(path)
        ino = self._names(parent, path).get(name)
        if ino is None:
            raise _error(errno.ENOENT, path)
        if stat.S_ISDIR(self._inodes[ino].mode):
            raise _error(errno.EISDIR, path)
        self._change(parent, Unlink(name))

    @_call
    def mkdir(self, path: str, mode: int) -> None:
        parent, name = self._parent(path)
        if name in self._names(parent, path):
            raise _error(errno.EEXIST, path)
        self._change(parent, Link(name, self._new(stat.S_IFDIR | mode, {}, {})))

    @_call
    def names(self, path: str) -> list[str]:
        return list(self._names(self._find(path), path))

    @_call
    def lstat(self, path: str) -> os.stat_result:
        return self._state(self._find(path))

    @_call
    def fstat(self, fd: int) -> os.stat_result:
        return self._state(self._file(fd).ino)

    @_call
    def is_writable(self, path: str) -> bool:
        return bool(self._inodes[self._find(path)].mode & 0o200)

    @_call
    def try_lock(self, fd: int) -> bool:
        return self._locks.setdefault(self._file(fd).ino, fd) == fd

    @_call
    def unlock(self, fd: int) -> None:
        ino = self._file(fd).ino
        if self._locks.get(ino) == fd:
            del self._locks[ino]

    # -- inside ----------------------------------------------------------------------------------

    def _struck(self, name: str, args: tuple[Any, ...]) -> bool:
        """Fail, if this call is to fail; returns whether it is to be short."""
        struck = [fault.code for fault in self.faults if fault.strikes(name)]
        for code in struck:
            if code == SHORT:
                continue
            if name in ("fsync", "fdatasync", "fsync_dir"):
                self._curse(args[0])
            if name == "close":  # the kernel has let go of it all the same
                self._locks = {ino: fd for ino, fd in self._locks.items() if fd != args[0]}
                self._opened.pop(args[0], None)
            raise _error(code, args[0] if isinstance(args[0], str) else None)
        return bool(struck)

    def _curse(self, target: str | int) -> None:
        ino = self._file(target).ino if isinstance(target, int) else self._find(target)
        inode = self._inodes[ino]
        ops = tuple(Op(op.what, "cursed") if op.fate == "dirty" else op for op in inode.ops)
        self._inodes[ino] = inode._replace(ops=ops)

    def _sync(self, ino: int) -> None:
        inode = self._inodes[ino]
        if any(op.fate == "cursed" for op in inode.ops):
            ops = tuple(Op(op.what, "durable") if op.fate == "dirty" else op for op in inode.ops)
            self._inodes[ino] = inode._replace(ops=ops)
        elif inode.ops:
            base = dict(inode.now) if stat.S_ISDIR(inode.mode) else bytes(inode.now)
            self._inodes[ino] = inode._replace(base=base, ops=())

    def _change(self, ino: int, op: Any) -> None:
        """Inodes are values, so that the history can keep them: the change is made on a copy."""
        inode = self._inodes[ino]
        now = inode.now.copy() if stat.S_ISDIR(inode.mode) else bytearray(inode.now)
        (apply_names if isinstance(now, dict) else apply_file)(now, op)
        changed = (*inode.ops, Op(op))
        self._inodes[ino] = inode._replace(ops=changed, now=now, mtime_ns=time.time_ns())

    def _new(self, mode: int, base: Any, now: Any) -> int:
        ino, self._next = self._next, self._next + 1
        self._inodes[ino] = Inode(mode, base, (), now, time.time_ns())
        return ino

    def _place(self, directory: int, name: str, mode: int, content: Any) -> int:
        ino = self._new(mode, content, content)
        names = {**self._inodes[directory].now, name: ino}
        self._inodes[directory] = self._inodes[directory]._replace(base=names, ops=(), now=names)
        return ino

    def _file(self, fd: int) -> _Opened:
        opened = self._opened.get(fd)
        if opened is None:
            raise _error(errno.EBADF)
        return opened

    def _writable(self, fd: int) -> _Opened:
        opened = self._file(fd)
        if not opened.flags & (os.O_WRONLY | os.O_RDWR):
            raise _error(errno.EBADF)
        return opened

    def _names(self, ino: int, path: str) -> dict[str, int]:
        if not stat.S_ISDIR(self._inodes[ino].mode):
            raise _error(errno.ENOTDIR, path)
        return cast(dict[str, int], self._inodes[ino].now)

    def _find(self, path: str) -> int:
        ino = 1
        for part in path.strip("/").split("/"):
            found = self._names(ino, path).get(part) if part else ino
            if found is None:
                raise _error(errno.ENOENT, path)
            ino = found
        return ino

    def _parent(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rpartition("/")
        return self._find(parent), name

    def _state(self, ino: int) -> os.stat_result:
        inode = self._inodes[ino]
        is_dir = stat.S_ISDIR(inode.mode)
        links = 2 if is_dir else sum(ino in names for names in self._directories())
        size, when = 0 if is_dir else len(inode.now), inode.mtime_ns
        seconds = when // 10**9
        fields = (inode.mode, ino, 1, links, os.geteuid(), os.getegid(), size, *[seconds] * 3)
        exact = {"st_mtime": when / 1e9, "st_mtime_ns": when}
        return os.stat_result(fields, exact)

    def _directories(self) -> list[Any]:
        return [i.now.values() for i in self._inodes.values() if stat.S_ISDIR(i.mode)]


def _error(code: int, path: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), *([path] if path else []))
