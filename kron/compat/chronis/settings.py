"""What a `PollingScheduler` is told, checked; most of it means nothing to Kron."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

from kron.core.errors import ScheduleError, brief
from kron.core.keywords import check_keywords

from .adapters.locks import InMemoryLockAdapter
from .adapters.storage import InMemoryStorageAdapter
from .numbers import read_count, read_number

POLLING_SECONDS = (0.1, 3600)


class SchedulerOptions(TypedDict, total=False):
    """The keywords of `PollingScheduler`, besides the adapters and the polling interval."""

    lock_ttl_seconds: float
    max_workers: int | None
    max_queue_size: int | None
    executor_interval_seconds: float | None
    verbose: bool
    logger: Any
    on_failure: Callable[..., Any] | None
    on_success: Callable[..., Any] | None
    store: str | os.PathLike[str] | None


class Settings(NamedTuple):
    """Those that mean something here; the callbacks are read elsewhere."""

    store: str | None
    max_concurrency: int | None
    logger: Any


def read_settings(polling_interval_seconds: float, options: SchedulerOptions) -> Settings:
    """The keywords, checked. Raises TypeError or ScheduleError (a ValueError), naming one."""
    check_keywords("PollingScheduler", options, SchedulerOptions)
    _check_pace(polling_interval_seconds, options)
    store, workers = options.get("store"), options.get("max_workers")
    if store is not None and not isinstance(store, str | os.PathLike):
        raise TypeError(f"store must be the path of a directory, not {type(store).__name__}.")
    return Settings(
        None if store is None else os.fsdecode(store),
        None if workers is None else read_count(workers, "max_workers", 1),
        _logger(options.get("logger")),
    )


def check_adapters(storage: object, lock: object) -> None:
    """TypeError for one that is no marker: it would be passed over."""
    _check_adapter("storage_adapter", storage, InMemoryStorageAdapter)
    _check_adapter("lock_adapter", lock, InMemoryLockAdapter)


def _check_adapter(argument: str, adapter: object, marker: type) -> None:
    if adapter is None or isinstance(adapter, marker):
        return
    raise TypeError(
        f"{argument}={brief(adapter)} cannot be used: Kron keeps its jobs in files and needs no"
        f" adapters. Pass {marker.__name__}() or nothing, and store= for the directory."
    )


def _check_pace(polling: float, options: SchedulerOptions) -> None:
    """Kron sleeps until something is due, so none of these has an effect."""
    polling_s = read_number(polling, "polling_interval_seconds", *POLLING_SECONDS)
    lock_ttl_s = read_number(options.get("lock_ttl_seconds", 300), "lock_ttl_seconds")
    if lock_ttl_s < 2 * polling_s:
        raise ScheduleError(
            f"lock_ttl_seconds={lock_ttl_s:g} must be at least twice polling_interval_seconds="
            f"{polling_s:g}."
        )
    if (size := options.get("max_queue_size")) is not None:
        read_count(size, "max_queue_size", 1)
    if (executor := options.get("executor_interval_seconds")) is not None:
        read_number(executor, "executor_interval_seconds")
    if not isinstance(options.get("verbose", False), bool):
        raise TypeError(f"verbose must be True or False, not {brief(options.get('verbose'))}.")


def _logger(logger: Any) -> Any:
    if logger is None:
        return logging.getLogger("kron.compat.chronis")
    if not callable(getattr(logger, "warning", None)):
        raise TypeError(f"logger must have a method warning(), not {brief(logger)}.")
    return logger
