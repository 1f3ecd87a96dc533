"""What `start()` is told, checked, and what it opens by that: the log and the door."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast

from typing_extensions import TypedDict

from kron.core.duration import parse_duration
from kron.core.errors import ScheduleError, brief
from kron.core.keywords import check_keywords
from kron.core.steering import Ago, read_since
from kron.core.terms import Duration, Hook
from kron.runtime.hook_set import NO_HOOKS, HookSet, read_hooks
from kron.runtime.host import Host, Keeping
from kron.runtime.keeping import keeping
from kron.server.loading import load_serve
from kron.storage.datadir import DataDir
from kron.storage.file import FileLog
from kron.storage.log import Log
from kron.storage.output import OutputStore
from kron.storage.writer import Fsync

if TYPE_CHECKING:
    from kron.server.app import Reads

DataDirPath: TypeAlias = str | os.PathLike[str]


class StartOptions(TypedDict, total=False):
    """The keywords of `start()`; its docstring says what each does, `read_start` what it may be."""

    fsync: Literal["always", "interval", "never"] | str
    fsync_interval: Duration
    keep_history: Duration
    keep_history_bytes: int
    keep_finished: Duration
    keep_output: Duration
    max_concurrency: int | None
    since: Ago | None
    on_success: Hook | None
    on_failure: Hook | None
    on_missed: Hook | None


class Opening(NamedTuple):
    """What one start was told, checked; but `fsync` is for whoever makes the log to judge."""

    place: str
    fsync: str
    interval_s: float
    keeping: Keeping
    max_concurrency: int | None
    since_us: int | None
    hooks: HookSet


def read_start(data_dir: DataDirPath | None, options: StartOptions, now_us: int) -> Opening:
    """The arguments of `start()`, with its defaults. Raises ScheduleError or TypeError, naming
    one."""
    check_keywords("start", options, StartOptions)
    since = options.get("since")
    interval = options.get("fsync_interval", "1s")
    return Opening(
        os.fsdecode(data_dir or default_data_dir()),
        options.get("fsync", "always"),
        parse_duration(interval, argument="fsync_interval") / 1_000_000,
        keeping(
            options.get("keep_history", "90d"),
            options.get("keep_history_bytes", 1 << 30),
            options.get("keep_finished", "30d"),
            options.get("keep_output", "30d"),
        ),
        read_max_concurrency(options.get("max_concurrency")),
        None if since is None else read_since(since, None, now_us, argument="since"),
        read_hooks(options) or NO_HOOKS,
    )


def read_max_concurrency(limit: object) -> int | None:
    """What the weights of all that runs at once may sum up to; None: no limit. ScheduleError."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ScheduleError(
            f"max_concurrency={brief(limit)} must be a whole number from 1 on, or None: no limit."
        )
    return limit


def default_data_dir() -> str:
    """KRON_HOME, else `.kron` in the current directory."""
    return os.environ.get("KRON_HOME") or ".kron"


def file_log(data_dir: str, fsync: str, interval_s: float) -> Log:
    """The log in the files of a directory; nothing is touched before its `open`."""
    if fsync not in ("always", "interval", "never"):
        raise ScheduleError(f"fsync must be one of: always, interval, never; not {fsync!r}.")
    return FileLog(data_dir, fsync=cast(Fsync, fsync), interval_s=interval_s)


def output_store(opening: Opening) -> OutputStore:
    """Where the runs of a scheduler with a directory print; nothing is touched before `prepare`."""
    keep_age_s = opening.keeping.output_us / 1_000_000
    return OutputStore(DataDir(opening.place), keep_age_s=keep_age_s)


async def open_door(scheduler: Reads, data_dir: str, host: Host) -> None:
    """The control socket; its libraries are loaded in a thread, for they would stall the loop."""
    serve = await load_serve()
    await serve(scheduler, data_dir, host)
