"""A thread that makes the missing indexes of sealed files, in small pieces, and ends with the log.

An index only makes history quicker to read. So whatever goes wrong here is passed over, and the
file is searched instead until the next compaction tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from kron.core.errors import StorageError
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child
from kron.storage.new_file import make_file, remove_leftover, write_all
from kron.storage.row_index import (
    IndexUnusable,
    encode_index,
    framing_of,
    has_index,
    index_name,
    offsets_in,
    segment_name,
)
from kron.storage.segments import Segment

TEMPORARY_NAME = "kron.aof.index.tmp"
PAUSE_S = 0.001
"""After about half a millisecond of work: everybody else has the interpreter too."""
PIECE_BYTES = 256 << 10

T = TypeVar("T")


class Indexer:
    """Makes indexes when it is asked to; never two threads at once.

    Each change to the directory is one step under a lock, and none comes after `close`: when the
    log is given up and its lock is free, no byte lands and no name changes.
    """

    def __init__(
        self, data_dir: DataDir, log_id: str, segments: Callable[[], list[Segment]]
    ) -> None:
        self._dir = data_dir
        self._log_id = log_id
        self._segments = segments
        self._given_up: set[str] = set()
        self._thread: threading.Thread | None = None
        self._is_asked = False
        self._closed = threading.Event()
        self._in_use = threading.Lock()
        close_in_child(self)

    def begin(self, *, anew: bool = False) -> None:
        """Have what is missing made, in a thread. `anew`: also what could not be made before."""
        with self._in_use:
            if anew:
                self._given_up.clear()
            if self._closed.is_set() or self._is_asked:
                return
            self._is_asked = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kron-index", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Until the thread has ended, if there is one."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """No byte lands and no name changes any more; waits for the system call in flight."""
        self._closed.set()
        with self._in_use:
            pass

    def close_fds(self) -> None:
        """In a forked child: the thread is the parent's, and so is the file it writes."""
        self._in_use = threading.Lock()
        self._closed = threading.Event()  # the thread may have held the lock in the other one
        self._closed.set()

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._goes_on():
                self._make_missing()
        except BaseException:  # a bug here ends this thread; the next question gets another one
            with self._in_use:
                self._thread, self._is_asked = None, False
            raise

    def _goes_on(self) -> bool:
        with self._in_use:
            is_asked, self._is_asked = self._is_asked and not self._closed.is_set(), False
            if not is_asked:
                self._thread = None
            return is_asked

    def _make_missing(self) -> None:
        with suppress(_Closed):
            self._remove_orphans()
            for segment in self._segments():
                self._make_if_missing(segment)

    def _make_if_missing(self, segment: Segment) -> None:
        if not segment.is_sealed or segment.name in self._given_up:
            return
        try:
            self._pause()
            if not has_index(self._dir, self._log_id, segment):
                self._make(segment)
        except (OSError, StorageError, IndexUnusable):
            self._given_up.add(segment.name)
            self._step(partial(remove_leftover, self._dir, TEMPORARY_NAME))

    def _make(self, segment: Segment) -> None:
        disk, path_of = self._dir.disk, self._dir.path_of
        found = offsets_in(self._dir, self._log_id, segment, self._pause)
        fd = self._step(partial(make_file, self._dir, TEMPORARY_NAME))
        try:
            for piece in _in_pieces(encode_index(framing_of(self._log_id, segment), found)):
                self._step(partial(write_all, disk, fd, piece))
                self._pause()
            self._step(partial(disk.fsync, fd))
        finally:
            disk.close(fd)
        names = path_of(TEMPORARY_NAME), path_of(index_name(segment))
        self._step(partial(disk.rename, *names))

    def _remove_orphans(self) -> None:
        """What was made while its file was let go."""
        disk, path_of = self._dir.disk, self._dir.path_of
        with suppress(OSError):
            names = set(disk.names(path_of("")))
            for name in names:
                segment = segment_name(name)
                if segment is not None and segment not in names:
                    self._step(partial(disk.unlink, path_of(name)))

    def _step(self, action: Callable[[], T]) -> T:
        with self._in_use:
            if self._closed.is_set():
                raise _Closed
            return action()

    def _pause(self) -> None:
        if self._closed.wait(PAUSE_S):
            raise _Closed


class _Closed(Exception):
    """The log is closed: come to an end."""


def _in_pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
