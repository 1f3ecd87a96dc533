"""Kron makes application time reliable: a durable, embedded, asyncio-native scheduler.

The names below are loaded when they are first used, so `import kron` costs next to nothing. The
functions are the methods of one default `Scheduler`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Scheduler": "kron.scheduler",
    "Cron": "kron.core.fields",
    "command": "kron.runtime.command",
    "current_run": "kron.runtime.context",
    "preview": "kron.runtime.preview",
    "Backfill": "kron.core.steering",
    "Command": "kron.runtime.command",
    "Event": "kron.core.announced",
    "RunContext": "kron.runtime.context",
    "ShutdownReport": "kron.runtime.stopping",
    "TimerStatus": "kron.core.views",
    "HistoryRow": "kron.core.row_views",
    "Outcome": "kron.core.row_views",
    "Why": "kron.core.why",
}

if TYPE_CHECKING:
    from kron.core.announced import Event
    from kron.core.errors import (
        AlreadyStarted,
        CronError,
        DataDirLocked,
        ForeignLog,
        InsideEventLoop,
        KronError,
        KronStopped,
        LogCorrupt,
        LogFailed,
        LogTooNew,
        NotStarted,
        ScheduleError,
        StorageError,
        UnknownTimer,
        UnsafeDataDir,
    )
    from kron.core.fields import Cron
    from kron.core.row_views import HistoryRow, Outcome
    from kron.core.steering import Backfill
    from kron.core.views import TimerStatus
    from kron.core.why import Why
    from kron.runtime.command import Command, command
    from kron.runtime.context import RunContext, current_run
    from kron.runtime.preview import preview
    from kron.runtime.stopping import ShutdownReport
    from kron.scheduler import Scheduler, default

    schedule, aschedule = default.schedule, default.aschedule
    start, astart = default.start, default.astart
    shutdown, ashutdown = default.shutdown, default.ashutdown
    wait, await_ = default.wait, default.await_
    status, astatus = default.status, default.astatus
    list, alist = default.list, default.alist
    history, ahistory = default.history, default.ahistory
    why, awhy = default.why, default.awhy
    subscribe = default.subscribe
    trigger, atrigger = default.trigger, default.atrigger
    cancel, acancel = default.cancel, default.acancel
    remove, aremove = default.remove, default.aremove
    pause, apause = default.pause, default.apause
    resume, aresume = default.resume, default.aresume
    backfill, abackfill = default.backfill, default.abackfill

__all__ = [
    "AlreadyStarted",
    "Backfill",
    "Command",
    "Cron",
    "CronError",
    "DataDirLocked",
    "Event",
    "ForeignLog",
    "HistoryRow",
    "InsideEventLoop",
    "KronError",
    "KronStopped",
    "LogCorrupt",
    "LogFailed",
    "LogTooNew",
    "NotStarted",
    "Outcome",
    "RunContext",
    "ScheduleError",
    "Scheduler",
    "ShutdownReport",
    "StorageError",
    "TimerStatus",
    "UnknownTimer",
    "UnsafeDataDir",
    "Why",
    "__version__",
    "abackfill",
    "acancel",
    "ahistory",
    "alist",
    "apause",
    "aremove",
    "aresume",
    "aschedule",
    "ashutdown",
    "astart",
    "astatus",
    "atrigger",
    "await_",
    "awhy",
    "backfill",
    "cancel",
    "command",
    "current_run",
    "history",
    "list",
    "pause",
    "preview",
    "remove",
    "resume",
    "schedule",
    "shutdown",
    "start",
    "status",
    "subscribe",
    "trigger",
    "wait",
    "why",
]


if not TYPE_CHECKING:  # for a type checker there is nothing but the names above

    def __getattr__(name: str) -> Any:
        if name in _NAMES:
            value = getattr(import_module(_NAMES[name]), name)
        elif name not in __all__:
            raise AttributeError(f"module 'kron' has no attribute {name!r}")
        elif name[0].isupper():
            value = getattr(import_module("kron.core.errors"), name)
        else:
            value = getattr(import_module("kron.scheduler").default, name)
        globals()[name] = value
        return value


def __dir__() -> Any:
    return sorted({*globals(), *__all__})
