"""The data directory: made private, checked before use, and the only way to open a file in it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from kron.core.errors import ForeignLog, StorageError, UnsafeDataDir
from kron.storage.disk import OS_DISK, Disk
from kron.storage.lines import RUST_KRON

_RUST_MARKERS = ("kron.cluster.json", "raft", "kron.raft.aof", "kron.openraft.store.json")
_SNAPSHOT_FRONT_BYTES = 4096


class DataDir:
    """A directory whose files belong to nobody else; `shown` is the path as the caller gave it.

    A read-only one creates nothing and does not ask who owns what; all else is checked alike.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, disk: Disk = OS_DISK, read_only: bool = False
    ) -> None:
        self.shown = os.fspath(path)
        self.disk = disk
        self._path = os.path.abspath(self.shown)
        self._read_only = read_only

    def path_of(self, name: str) -> str:
        """Where a file of this directory is; absolute, so a later chdir changes nothing."""
        return os.path.join(self._path, name)

    def show(self, name: str) -> str:
        """The same for messages."""
        return os.path.join(self.shown, name)

    def prepare(self) -> None:
        """Make the directory (0700, parents too) if need be, and check it.

        Raises UnsafeDataDir if it is a link, not a directory, somebody else's, or open for all
        to write; ForeignLog if the Rust program of the same name used it; StorageError if it
        cannot be made or written. A read-only directory that is missing is FileNotFoundError.
        """
        if not self._read_only:
            self._make(self._path)
        self._check(self.disk.lstat(self._path))
        self._refuse_rust()

    def hide_from_git(self) -> None:
        """Leave a `.gitignore` that covers everything here, unless there is one, or something of
        somebody else's: a directory that is more than Kron's is not hidden."""
        with suppress(OSError):
            if any(not name.startswith("kron.") for name in self.disk.names(self._path)):
                return
        with suppress(OSError):  # a courtesy: a full disk or a link here is no reason to stop
            fd = self.disk.open(self.path_of(".gitignore"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                self.disk.write(fd, b"*\n")
            finally:
                self.disk.close(fd)

    def open_file(self, name: str, flags: int) -> int:
        """Open a file of this directory, 0600 from its creation, and return the descriptor.

        Raises UnsafeDataDir for a link, a hard link, somebody else's file or no regular file;
        other failures are OSErrors.
        """
        path = self.path_of(name)
        with suppress(FileNotFoundError):
            self._check_file(self.disk.lstat(path), name)
        fd = self.disk.open(path, flags)
        try:
            self._check_file(self.disk.fstat(fd), name)
        except BaseException:
            self.disk.close(fd)
            raise
        return fd

    def sync(self) -> None:
        """Bring the names in this directory to the medium."""
        self.disk.fsync_dir(self._path)

    def exists(self, name: str) -> bool:
        """Whether anything has this name here, a dangling link included."""
        try:
            self.disk.lstat(self.path_of(name))
        except FileNotFoundError:
            return False
        return True

    def _make(self, path: str) -> None:
        missing = []
        try:
            while not self._is_there(path):
                missing.append(path)
                path = os.path.dirname(path)
            with suppress(OSError):  # who made it may have been killed before its name was safe
                self.disk.fsync_dir(os.path.dirname(path))
            for part in reversed(missing):
                with suppress(FileExistsError):  # another process was faster
                    self.disk.mkdir(part, 0o700)
                with suppress(PermissionError):  # a parent we may enter but not read
                    self.disk.fsync_dir(os.path.dirname(part))
        except OSError as exc:
            raise StorageError(
                f"{self.shown} cannot be created ({exc.strerror}: {exc.filename})."
                " Use another data dir (--data-dir or KRON_HOME)."
            ) from exc

    def _is_there(self, path: str) -> bool:
        """Whether anything has this name; not if it is below a file, or hidden from us."""
        try:
            self.disk.lstat(path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        return True

    def _check(self, state: os.stat_result) -> None:
        if stat.S_ISLNK(state.st_mode):
            raise UnsafeDataDir(f"{self.shown} is a symbolic link. Name the directory itself.")
        if not stat.S_ISDIR(state.st_mode):
            raise UnsafeDataDir(f"{self.shown} is not a directory. Use another data dir.")
        if state.st_mode & stat.S_IWOTH:
            raise UnsafeDataDir(
                f"{self.shown} can be written by everybody. Run: chmod 700 {self.shown}"
            )
        self._check_owner(state, self.shown)
        if not self._read_only and not self.disk.is_writable(self._path):
            raise StorageError(
                f"{self.shown} cannot be written. Run: chmod u+rwx {self.shown},"
                " or use another data dir."
            )

    def _check_file(self, state: os.stat_result, name: str) -> None:
        file = self.show(name)
        if stat.S_ISLNK(state.st_mode):
            raise UnsafeDataDir(f"{file} is a symbolic link. Put the file itself in its place.")
        if not stat.S_ISREG(state.st_mode):
            raise UnsafeDataDir(f"{file} is not a regular file. Move it away.")
        if state.st_nlink > 1:
            raise UnsafeDataDir(f"{file} has {state.st_nlink} hard links. Remove the other names.")
        self._check_owner(state, file)

    def _check_owner(self, state: os.stat_result, shown: str) -> None:
        if not self._read_only and state.st_uid != os.geteuid():
            raise UnsafeDataDir(
                f"{shown} belongs to user {state.st_uid}, this process runs as user"
                f" {os.geteuid()}. Run as its owner, or use another data dir."
            )

    def _refuse_rust(self) -> None:
        marker = next((name for name in _RUST_MARKERS if self.exists(name)), None)
        if marker is None and self._has_rust_snapshot():
            marker = "kron.snapshot"
        if marker is not None:
            raise ForeignLog(
                f"{self.show(marker)} was {RUST_KRON}. Use another data dir; nothing was changed."
            )

    def _has_rust_snapshot(self) -> bool:
        if not self.exists("kron.snapshot"):
            return False
        fd = self.open_file("kron.snapshot", os.O_RDONLY)
        try:
            front = self.disk.pread(fd, _SNAPSHOT_FRONT_BYTES, 0)
        finally:
            self.disk.close(fd)
        return front.lstrip().startswith(b"{") and b'"engine_version"' in front
