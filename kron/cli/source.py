"""Where the CLI gets its answers: from the living runtime through its door, else from the files."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Protocol

from kron.core.errors import StorageError
from kron.server.address import SOCKET_NAME, reachable
from kron.server.holder import find_holder
from kron.storage.datadir import DataDir

if TYPE_CHECKING:
    from kron.core.row_query import HistoryOptions
    from kron.core.row_views import HistoryRow
    from kron.core.steering import Backfill
    from kron.core.timer_query import ListOptions
    from kron.core.views import TimerStatus
    from kron.core.why import Why
    from kron.runtime.compaction import CompactReport
    from kron.server.facts import RuntimeFacts
    from kron.sources.reloaded import Reloaded

DOOR_SECONDS = 2.0
"""How long a runtime that has the lock may take to open its door."""
_LOOK_SECONDS = 0.02


class Source(Protocol):
    """One data directory, answered by whoever can. The answers are the dicts of the API.

    All raise UnknownTimer for a name that does not exist, other KronErrors for what is wrong.
    """

    is_live: bool

    def timers(self, options: ListOptions | None = None) -> list[TimerStatus]:
        """The timers that are asked for, by next run."""

    def timer(self, name: str) -> TimerStatus:
        """One timer."""

    def history(self, name: str | None, options: HistoryOptions) -> list[HistoryRow]:
        """The latest rows that are asked for, newest first."""

    def why(self, name: str, at: str | None) -> Why:
        """The story of a moment; `at` is an ISO instant with a zone, or None: now."""

    def act(self, verb: str, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out trigger, pause, resume, cancel, cancel_run or remove; returns when durable.
        `options` are the fields of the route."""

    def act_on(self, verb: str, match: str | None, options: dict[str, Any]) -> dict[str, Any]:
        """Pause or resume the timers that match, or all of them."""

    def backfill(self, name: str, options: dict[str, Any]) -> Backfill:
        """Have a backfill begun; returns when that is durable. With `dry_run`, say what it is."""


class Live(Source, Protocol):
    """A runtime that answers."""

    def runtime(self) -> RuntimeFacts:
        """What the process says about itself."""

    def metrics(self) -> str:
        """Its figures as Prometheus text."""

    def shutdown(self, timeout: float) -> dict[str, Any]:
        """Ask it to stop; returns at once."""

    def reload(self, files: list[str]) -> Reloaded:
        """Have it take what its files declare now; if any are named, they must be those."""

    def compact(self) -> CompactReport:
        """Have the log compacted; returns when the snapshot is durable. Raises KronError."""


class NoDoor(StorageError):
    """A process has the data directory, but its door does not answer."""


def open_source(data_dir: str) -> Source:
    """The runtime if one is alive, else the files. Raises NoDoor, StorageError."""
    live = find_live(data_dir)
    if live is not None:
        return live
    from .files import Files

    return Files(data_dir)


def find_live(data_dir: str, answer_s: float | None = None) -> Live | None:
    """The runtime, or None if none is alive; it answers within `answer_s` from now on (default:
    ten seconds a question) or NoDoor is raised. Raises NoDoor if the lock is held for longer than a
    door takes to open, StorageError if the directory or the socket cannot be used."""
    place = DataDir(data_dir, read_only=True)
    began_s = time.monotonic()
    deadline = began_s + min(DOOR_SECONDS, answer_s or DOOR_SECONDS)
    while not is_door_open(place):
        is_held, pid = find_holder(place)
        if not is_held:
            return None
        if time.monotonic() > deadline:
            raise no_door(place, pid)
        time.sleep(_LOOK_SECONDS)
    from .remote import ANSWER_SECONDS, Remote

    if answer_s is None:
        return Remote(place, ANSWER_SECONDS)
    return Remote(place, max(answer_s - (time.monotonic() - began_s), _LOOK_SECONDS))


def is_door_open(place: DataDir) -> bool:
    """Whether somebody listens on the socket. Raises StorageError if that cannot be found out."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(DOOR_SECONDS)
        try:
            with reachable(place.path_of("")) as path:
                probe.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionError, TimeoutError):
            return False
        except BlockingIOError:  # so many wait already that no more may
            return False
        except OSError as exc:
            raise StorageError(f"{place.show(SOCKET_NAME)}: {exc.strerror}") from exc
    return True


def no_door(place: DataDir, pid: int | None) -> NoDoor:
    """The error that names the holder and the socket."""
    who = "another process" if pid is None else f"process {pid}"
    return NoDoor(
        f"{place.shown} is in use by {who}, but nobody answers on {place.show(SOCKET_NAME)}."
        " Is it stopped, or busy? Stop the process, or wait."
    )
