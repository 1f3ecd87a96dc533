"""`kron up`: what files declare is carried out in the foreground, by the scheduler of the program.

That is the default one, so what the imported modules schedule in code comes along.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, cast

from kron import scheduler as program
from kron.core.errors import (
    DataDirLocked,
    KronStopped,
    NotStarted,
)
from kron.core.model import Stop
from kron.core.steering import Ago
from kron.core.views import TimerStatus
from kron.opening import StartOptions
from kron.runtime.host import DRAIN_SECONDS, Host
from kron.runtime.reading import Reading
from kron.runtime.signals import Ear, wait_until
from kron.scheduler import Scheduler
from kron.server.holder import find_holder
from kron.storage.datadir import DataDir

from .current import Current
from .declared import Declared
from .echo import Echo
from .notify import Notifier

logger = logging.getLogger("kron.up")

LOOK_SECONDS = 0.2
"""How often a lock that somebody has is looked at."""
_DUE_SECONDS = 0.02


class Wish(NamedTuple):
    """How the files are to be carried out; `files` is empty where they are to be found."""

    files: tuple[str, ...]
    data_dir: str
    drain_s: float = DRAIN_SECONDS
    since: Ago | None = None
    waits: bool = True
    watches: bool = False
    is_quiet: bool = False


class Up:
    """One `kron up`: `start`, then `wait` or `finish_due`. Its scheduler is not to be used twice.

    `declared` has no mistakes. Call all of it from the main thread.
    """

    def __init__(
        self,
        wish: Wish,
        declared: Declared,
        notifier: Notifier,
        ear: Ear,
        scheduler: Scheduler = program.default,
    ) -> None:
        self._wish = wish
        self._notifier = notifier
        self._ear = ear
        self._scheduler = scheduler
        self._current = Current(wish.files, declared, notifier, scheduler)
        self._started_us = 0
        self._is_stopping = False
        self._hung_up: SimpleQueue[None] = SimpleQueue()  # a handler may interrupt its put
        self._host: Host | None = None
        scheduler._on_host = self._prepare

    # -- from start to end -------------------------------------------------------------------

    def start(self) -> bool:
        """Have the timers carried out, when the data directory is free; those that files declared
        and declare no more are removed. False if a signal came while it waited for that.

        Raises DataDirLocked, if nobody is to wait for it, and as `Scheduler.start`.
        """
        self._spawn(self._reload)
        signal.signal(signal.SIGHUP, lambda *_: self._hung_up.put(None))
        self._notifier.watch(self._is_well)
        if not self._open():
            return False
        self._started_us = time.time_ns() // 1000
        self._current.sweep()
        if self._wish.watches:
            self._spawn(lambda: self._current.watch(self._started.over.done))
        self._notifier.ready(self._current.status)
        return True

    def wait(self) -> None:
        """Until SIGINT or SIGTERM, which drain; a second one stops at once. Also as PID 1. Raises
        KronStopped if the scheduler has failed."""
        self._ear.hand_to(self._hear)
        wait_until(self._started.over, self._ear.hear)
        self._started.raise_failure()
        logger.info("stopped")

    def finish_due(self) -> int:
        """Until what was due when it started has ended, or waits for a retry, or a signal comes;
        then stop. Returns how many attempts have failed, or were cut short. Raises as `wait`."""
        control = self._scheduler._control
        with suppress(NotStarted, KronStopped):  # by a signal; or it has failed: `wait` tells
            while not self._ear.heard and control.ask(self._is_open, "wait"):
                time.sleep(_DUE_SECONDS)
        if not self._ear.heard:
            self._hear()
        self.wait()
        return self._failures()

    def timers(self) -> list[TimerStatus]:
        """All timers that its scheduler has, by next run."""
        return self._scheduler.list()

    # -- parts -------------------------------------------------------------------------------

    def _is_open(self, reading: Reading) -> bool:
        return reading.is_open(self._started_us)

    def _failures(self) -> int:
        """Attempts that have ended badly; not those that a killed process had left."""
        engine = self._started.engine
        failed = {} if engine is None else engine.meter.failed
        return sum(count for reason, count in failed.items() if reason != Stop.CRASHED)

    def _prepare(self, host: Host) -> None:
        self._host = host
        host.is_foreground = True
        host.reload = self._current.reload
        if not self._wish.is_quiet and sys.stdout is not None:
            host.outputs = Echo(host.outputs)

    def _open(self) -> bool:
        """Start the scheduler; while another process has the directory, stand by, and then take
        what the files say by then. False if a signal came first."""
        holder: int | None = -1
        while not self._ear.heard:
            settings = {**self._current.declared.settings, "since": self._wish.since}
            try:
                self._scheduler.start(self._wish.data_dir, **cast(StartOptions, settings))
            except DataDirLocked as exc:
                if not self._wish.waits:
                    raise
                self._stand_by(exc.pid, is_told=exc.pid == holder)
                holder = exc.pid
                self._current.refresh()
                continue
            if holder != -1:
                logger.info("%s has ended; taken over", _process(holder))
            return True
        return False

    def _stand_by(self, pid: int | None, *, is_told: bool) -> None:
        """Until the directory seems to be free."""
        place = DataDir(self._wish.data_dir, read_only=True)
        if not is_told:
            logger.info("%s is in use by %s; waiting for it to end", place.shown, _process(pid))
            self._notifier.ready(f"standing by for {_process(pid)}")
        is_held = True
        while is_held and not self._ear.heard:
            time.sleep(LOOK_SECONDS)
            is_held = find_holder(place).is_held

    @property
    def _started(self) -> Host:
        assert self._host is not None
        return self._host

    def _reload(self) -> None:
        """Thread: take the files again for each SIGHUP; once for many at a time. (One that stands
        by takes them when it takes over.)"""
        while True:
            self._hung_up.get()
            with suppress(Empty):
                while True:
                    self._hung_up.get_nowait()
            if self._started_us and not self._is_stopping:
                self._current.reload_unasked()

    def _hear(self) -> None:
        drain_s = self._wish.drain_s
        if self._is_stopping:
            logger.info("stopping at once")
        else:
            logger.info("stopping; running runs may end within %g s", drain_s)
        self._is_stopping = True
        self._notifier.stopping()
        self._started.hear_signal(drain_s)

    def _is_well(self) -> bool:
        """Whether the event loop answers, if there is one. Blocks as long as it does not."""
        if not self._started_us:
            return True
        try:
            self._scheduler._control.ask(lambda _: None, "status")
        except (NotStarted, KronStopped):
            return False
        return True

    def _spawn(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="kron-files", daemon=True).start()


def _process(pid: int | None) -> str:
    return "another process" if pid is None else f"process {pid}"
