"""Going on in a new file: one change-over, from the writer thread, step by step.

Before the old file is renamed nothing has changed, and a failure is only told to the caller.
From then on a failure ends the log: whether a rename is on the medium cannot be known, and the
next `open` finds out (see recovery.py). At every moment the names say where the records are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from kron.core.errors import StorageError
from kron.storage.chain import Chain
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child
from kron.storage.lines import Header, encode_header, seed_of
from kron.storage.markers import Marker, Stretch, encode_marker
from kron.storage.new_file import make_file, remove_leftover, write_all
from kron.storage.segments import LOG_NAME, NEXT_NAME


class FirstLines(NamedTuple):
    """What a new log file begins with, where its header ends, and how the file then stands."""

    content: bytes
    start: int
    stretch: Stretch


def first_lines(header: Header, *, is_lazy: bool) -> FirstLines:
    """The header, and behind it the marker of a policy that syncs later or never."""
    line = encode_header(header)
    if not is_lazy:
        return FirstLines(line, len(line), Stretch())
    marker = Marker(header.base, is_strict=False)
    content = line + encode_marker(seed_of(header.log_id), marker)
    return FirstLines(content, len(line), Stretch().after(marker))


class Rotation:
    """The new file, from its creation until the writer takes `fd`; `first` is what it holds."""

    def __init__(self, data_dir: DataDir, chain: Chain, header: Header, *, is_lazy: bool) -> None:
        self.fd = -1
        self._dir = data_dir
        self._chain = chain
        self._header = header
        self.first = first_lines(header, is_lazy=is_lazy)
        close_in_child(self)

    def carry_out(self, sealed_bytes: int, go_on: Callable[[], None]) -> None:
        """Seal `kron.aof`, which has `sealed_bytes`, and make the new file `kron.aof`, locked.

        Between two steps it calls `go_on`, which raises to stop it.
        Raises StorageError if the log is as it was; OSError if it may not be used any more.
        """
        disk, path_of = self._dir.disk, self._dir.path_of
        try:
            _one_by_one(
                go_on,
                self._make,
                lambda: write_all(disk, self.fd, self.first.content),
                lambda: disk.fsync(self.fd),
                self._lock,  # before it has its name: nobody finds it without an owner
                self._dir.sync,
                lambda: self._chain.seal(self._header.base, sealed_bytes, self.first.start),
            )
        except OSError as exc:
            self.close_fds()
            remove_leftover(self._dir, NEXT_NAME)
            raise StorageError(
                f"{self._dir.show(LOG_NAME)} could not be sealed ({exc.strerror or exc}); it goes"
                " on as it was. Make room, or fix the disk."
            ) from exc
        _one_by_one(
            go_on,
            self._dir.sync,
            lambda: disk.rename(path_of(NEXT_NAME), path_of(LOG_NAME)),
            self._dir.sync,
        )

    def close_fds(self) -> None:
        """Close this process's copy, if the writer has not taken it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with suppress(OSError):
                self._dir.disk.close(fd)

    def _make(self) -> None:
        self.fd = make_file(self._dir, NEXT_NAME)

    def _lock(self) -> None:
        if not self._dir.disk.try_lock(self.fd):
            raise OSError(f"{NEXT_NAME} is locked by another process")


def _one_by_one(go_on: Callable[[], None], *steps: Callable[[], None]) -> None:
    for step in steps:
        go_on()
        step()
