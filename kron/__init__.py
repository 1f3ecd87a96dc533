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
    "current_run": "kron.runtime.context",
    "RunContext": "kron.runtime.context",
    "ShutdownReport": "kron.runtime.stopping",
    "TimerStatus": "kron.core.views",
    "HistoryRow": "kron.core.views",
}

if TYPE_CHECKING:
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
    from kron.core.views import HistoryRow, TimerStatus
    from kron.runtime.context import RunContext, current_run
    from kron.runtime.stopping import ShutdownReport
    from kron.scheduler import Scheduler, default

    schedule, aschedule = default.schedule, default.aschedule
    start, astart = default.start, default.astart
    shutdown, ashutdown = default.shutdown, default.ashutdown
    wait, await_ = default.wait, default.await_
    status, astatus = default.status, default.astatus
    list, alist = default.list, default.alist
    history, ahistory = default.history, default.ahistory
    trigger, atrigger = default.trigger, default.atrigger
    cancel, acancel = default.cancel, default.acancel
    remove, aremove = default.remove, default.aremove
    pause, apause = default.pause, default.apause
    resume, aresume = default.resume, default.aresume

__all__ = [
    "AlreadyStarted",
    "CronError",
    "DataDirLocked",
    "ForeignLog",
    "HistoryRow",
    "InsideEventLoop",
    "KronError",
    "KronStopped",
    "LogCorrupt",
    "LogFailed",
    "LogTooNew",
    "NotStarted",
    "RunContext",
    "ScheduleError",
    "Scheduler",
    "ShutdownReport",
    "StorageError",
    "TimerStatus",
    "UnknownTimer",
    "UnsafeDataDir",
    "__version__",
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
    "cancel",
    "current_run",
    "history",
    "list",
    "pause",
    "remove",
    "resume",
    "schedule",
    "shutdown",
    "start",
    "status",
    "trigger",
    "wait",
]


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
