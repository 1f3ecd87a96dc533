"""The snapshots as the owner of a log holds them: one being written, two kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from kron.core.errors import StorageError
from kron.storage.blocking import in_thread
from kron.storage.datadir import DataDir
from kron.storage.fork import close_in_child
from kron.storage.lines import check_payload
from kron.storage.log import SnapshotFile
from kron.storage.new_file import make_file, remove_leftover, write_all
from kron.storage.snapshot import (
    NEWEST_NAME,
    OLDER_NAME,
    Framing,
    kept_snapshots,
    newest_first,
    read_parts,
)

TEMPORARY_NAME = "kron.snapshot.tmp"


class Snapshots:
    """What is kept, and the one sink that may be open."""

    def __init__(self, data_dir: DataDir, log_id: str) -> None:
        self._dir = data_dir
        self._log_id = log_id
        self.kept = kept_snapshots(data_dir, log_id)
        self._synced_older = self.listing()[-1].index if self.kept else 0
        self.is_closed = False
        self._has_put_aside = False
        self._sink: FileSink | None = None

    def listing(self) -> list[SnapshotFile]:
        """See `Log.snapshots`."""
        return newest_first(self.kept)

    def trimmable(self) -> int:
        """The last record that no snapshot needs, be it one that a power cut could bring back."""
        kept = self.listing()
        return min(kept[1].index, self._synced_older) if len(kept) > 1 else 0

    def read(self, index: int) -> Iterator[bytes]:
        """See `Log.read_snapshot`."""
        return read_parts(self._dir, self._log_id, index)

    def begin(self, index: int) -> FileSink:
        """See `Log.begin_snapshot`; blocks."""
        newest = self.listing()[:1]
        if newest and index < newest[0].index:
            raise ValueError(f"a snapshot of record {newest[0].index} is kept, {index} is older")
        if self._sink is not None:
            self._sink.close("was replaced by another")
        self._sink = FileSink(self, self._dir, Framing(self._log_id, index), index)
        self._sink.begin()
        return self._sink

    def close(self) -> None:
        """No file changes any more; waits for the system call in flight."""
        self.is_closed = True  # first: a sink that is being made looks here
        if self._sink is not None:
            self._sink.close("was given up: the log was closed")

    def put_aside(self, index: int) -> None:
        """The newest is now the older one, unless it is of record `index` too."""
        newest = self.kept.get(NEWEST_NAME)
        self._has_put_aside = newest is not None and newest.index != index
        if newest is None or newest.index == index:
            return
        self._dir.disk.rename(self._dir.path_of(NEWEST_NAME), self._dir.path_of(OLDER_NAME))
        self.kept = {OLDER_NAME: newest}

    def take(self, snapshot: SnapshotFile) -> None:
        """The temporary file is now the newest."""
        self._dir.disk.rename(self._dir.path_of(TEMPORARY_NAME), self._dir.path_of(NEWEST_NAME))
        self.kept = {**self.kept, NEWEST_NAME: snapshot}

    def sync(self) -> None:
        """The names are on the medium: what was the older one does not come back."""
        self._dir.sync()
        if self._has_put_aside:  # else an earlier commit did, whose sync may have failed
            self._synced_older = self.listing()[-1].index


class FileSink:
    """A `SnapshotSink` into a file of its own. Its first failure ends it; so does `close`.

    Each system call is made under a lock, and none after the end: when the owner has abandoned
    the log and its lock is free, no byte lands and no name changes.
    """

    def __init__(self, owner: Snapshots, data_dir: DataDir, framing: Framing, index: int) -> None:
        self._owner = owner
        self._dir = data_dir
        self._framing = framing
        self._index = index
        self._fd = -1
        self._lines = self._size_bytes = 0
        self._ended = ""
        self._file_in_use = threading.Lock()
        close_in_child(self)

    def begin(self) -> None:
        """Make the file and write its header; blocks."""
        self._step(self._make)
        self._write(self._framing.header())

    async def put(self, part: bytes) -> None:
        """See `SnapshotSink.put`. ValueError for a part that is not short JSON on one line."""
        check_payload(part)
        await in_thread(lambda: self._write(self._framing.part(self._lines, part)))

    async def commit(self) -> SnapshotFile:
        """See `SnapshotSink.commit`."""
        return await in_thread(self._commit)

    async def discard(self) -> None:
        """See `SnapshotSink.discard`."""
        await in_thread(lambda: self._give_up("was discarded"))

    def close(self, why: str) -> None:
        """Nothing more is written; the temporary file stays. Idempotent."""
        with self._file_in_use:
            self._end(why)

    def close_fds(self) -> None:
        """In a forked child: the file is the parent's. The parent's thread may hold our lock."""
        self._file_in_use = threading.Lock()
        self.close("belongs to the parent of this forked process")

    def _make(self) -> None:
        self._fd = make_file(self._dir, TEMPORARY_NAME)

    def _write(self, line: bytes) -> None:
        self._step(lambda: write_all(self._dir.disk, self._fd, line))
        self._lines += 1
        self._size_bytes += len(line)

    def _commit(self) -> SnapshotFile:
        self._write(self._framing.end(self._lines))
        snapshot = SnapshotFile(self._index, self._size_bytes)
        self._step(lambda: self._dir.disk.fsync(self._fd), "synced")
        self._step(lambda: self._owner.put_aside(self._index), "given its name")
        self._step(lambda: self._owner.take(snapshot), "given its name")
        self._step(self._owner.sync, "synced with its directory")
        self.close("was committed")
        return snapshot

    def _step(self, action: Callable[[], None], done: str = "written") -> None:
        """Make a system call, unless this has ended; its failure ends it."""
        file = self._dir.show(TEMPORARY_NAME)
        try:
            with self._file_in_use:
                if self._owner.is_closed:
                    self._end("was given up: the log was closed")
                if self._ended:
                    raise StorageError(f"{file} {self._ended}. Begin another snapshot.")
                action()
        except OSError as exc:
            self._give_up(f"could not be {done} ({exc.strerror})")
            raise StorageError(
                f"{file} could not be {done} ({self._size_bytes} bytes so far): {exc.strerror}."
                " Make room, or fix the disk; the next snapshot begins anew."
            ) from exc

    def _give_up(self, why: str) -> None:
        with self._file_in_use:
            if not self._ended:
                self._end(why)
                remove_leftover(self._dir, TEMPORARY_NAME)

    def _end(self, why: str) -> None:
        fd, self._fd = self._fd, -1
        self._ended = self._ended or why
        if fd >= 0:
            with suppress(OSError):
                self._dir.disk.close(fd)
