"""`kron up`: what files declare is carried out in the foreground, by the scheduler of the program.

That is the default one, so what the imported modules schedule in code comes along.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, cast

from kron import scheduler as program
from kron.core.errors import (
    AlreadyStarted,
    DataDirLocked,
    KronError,
    KronStopped,
    NotStarted,
    ScheduleError,
)
from kron.core.steering import Ago
from kron.core.views import TimerStatus
from kron.opening import StartOptions
from kron.runtime.host import DRAIN_SECONDS, Host
from kron.runtime.reading import Reading
from kron.runtime.signals import Ear, wait_until
from kron.scheduler import Scheduler
from kron.server.holder import find_holder
from kron.storage.datadir import DataDir

from .declared import Declared, Mistake
from .echo import Echo
from .narrator import Narrator
from .notify import Notifier
from .reading import find_files, read_files
from .reloaded import Mistaken, Reloaded, in_words

logger = logging.getLogger("kron")

LOOK_SECONDS = 0.2
"""How often a lock that somebody has, or the files, are looked at."""
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


def read(files: Sequence[str], scheduler: Scheduler = program.default) -> Declared:
    """What these files declare, or those that are found, for that scheduler: a timer that the
    program schedules itself is among the mistakes. Raises NothingDeclared."""
    declared = read_files(files or find_files())
    places = {timer.name: timer for timer in declared.timers}
    for name, error in scheduler._enrolment.taken(declared.declarations()).items():
        timer = places[name]
        declared.mistakes.append(Mistake(timer.place, timer.id, str(error)))
    return declared


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
        self._declared = declared
        self._notifier = notifier
        self._ear = ear
        self._scheduler = scheduler
        self._narrator = Narrator()
        self._lock = threading.Lock()
        self._started_us = 0
        self._host: Host
        scheduler._on_host = self._prepare

    # -- from start to end -------------------------------------------------------------------

    def start(self) -> bool:
        """Have the timers carried out, when the data directory is free; those that files declared
        and declare no more are removed. False if a signal came while it waited for that.

        Raises DataDirLocked, if nobody is to wait for it, AlreadyStarted, and as
        `Scheduler.start`.
        """
        if self._scheduler._control.host is not None:
            raise AlreadyStarted(
                "a module that the files name has started the scheduler when it was imported. Put"
                ' its kron.start() under `if __name__ == "__main__":`.'
            )
        enrolment = self._scheduler._enrolment
        enrolment.declare(self._declared.declarations())
        if not self._open():
            return False
        self._started_us = time.time_ns() // 1000
        for name in enrolment.undeclare(self._declared.by_name()):
            logger.info("%s: removed, no file declares it any more; its history stays", name)
        signal.signal(signal.SIGHUP, lambda *_: self._spawn(self._reload_logged))
        if self._wish.watches:
            self._spawn(self._watch)
        self._notifier.watch(self._is_well)
        self._notifier.ready(f"{len(self._declared.timers)} timers")
        self._ear.hand_to(self._hear)
        return True

    def wait(self) -> None:
        """Until SIGINT or SIGTERM, which drain; a second one stops at once. Also as PID 1. Raises
        KronStopped if the scheduler has failed."""
        wait_until(self._host.over, self._hear)
        self._host.raise_failure()

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
        return self._narrator.failures

    def timers(self) -> list[TimerStatus]:
        """All timers that its scheduler has, by next run."""
        return self._scheduler.list()

    # -- taking the files again --------------------------------------------------------------

    def reload(self, files: Sequence[str] = ()) -> Reloaded:
        """Take what the files declare now, while everything runs. Any thread but the scheduler's.

        Modules that were imported stay as they are: new code of theirs comes with a restart. Raises
        Mistaken (nothing has changed), ScheduleError if other files than these are carried out.
        """
        own = self._declared.files
        if files and {os.path.abspath(file) for file in own} != set(files):
            raise ScheduleError(
                f"the running kron up carries out {', '.join(own)}, not {', '.join(files)}."
            )
        with self._lock:
            self._notifier.reloading()
            try:
                return self._take(read(self._wish.files, self._scheduler))
            finally:
                self._notifier.ready(f"{len(self._declared.timers)} timers")

    def _take(self, declared: Declared) -> Reloaded:
        if declared.mistakes:
            raise Mistaken(declared.mistakes)
        enrolment = self._scheduler._enrolment
        became = enrolment.declare(declared.declarations())
        removed = enrolment.undeclare(declared.by_name())
        notes = [str(note) for note in declared.notes]
        if declared.settings != self._declared.settings:
            notes.append("settings of the scheduler have changed; they need a restart")
        self._declared = declared
        names = [timer.name for timer in declared.timers]
        by_word = {
            word: [name for name, its in zip(names, became, strict=True) if its == word]
            for word in ("created", "updated", "unchanged")
        }
        return {
            "files": list(declared.files),
            "added": by_word["created"],
            "changed": by_word["updated"],
            "removed": removed,
            "unchanged": len(by_word["unchanged"]),
            "notes": notes,
        }

    def _reload_logged(self) -> None:
        """Reload; there is nobody to answer."""
        try:
            reloaded = self.reload()
        except Mistaken as exc:
            for mistake in exc.mistakes:
                logger.error("not reloaded: %s", mistake)
        except KronError as exc:
            logger.error("not reloaded: %s", exc)
        else:
            logger.info("%s", in_words(reloaded))

    def _watch(self) -> None:
        """Reload whenever a file has changed, as long as the scheduler runs."""
        before = self._seen()
        while not self._host.over.done():
            time.sleep(LOOK_SECONDS)
            now = self._seen()
            if now != before:
                before = now
                self._reload_logged()

    def _seen(self) -> list[tuple[int, int, int] | None]:
        return [_version(Path(file)) for file in self._declared.files]

    # -- parts -------------------------------------------------------------------------------

    def _is_open(self, reading: Reading) -> bool:
        return reading.is_open(self._started_us)

    def _prepare(self, host: Host) -> None:
        self._host = host
        host.on_events = self._narrator.see
        host.reload = self.reload
        if not self._wish.is_quiet:
            host.outputs = Echo(host.outputs)

    def _open(self) -> bool:
        """Start the scheduler; while another process has the directory, wait for its end. False if
        a signal came first."""
        options = cast(StartOptions, {**self._declared.settings, "since": self._wish.since})
        place = DataDir(self._wish.data_dir, read_only=True)
        while not self._ear.heard:
            try:
                self._scheduler.start(self._wish.data_dir, **options)
                return True
            except DataDirLocked as exc:
                if not self._wish.waits:
                    raise
                who = "another process" if exc.pid is None else f"process {exc.pid}"
                logger.info("%s is in use by %s; waiting for it to end", place.shown, who)
                self._notifier.waiting(f"waiting for {who}")
            while find_holder(place).is_held and not self._ear.heard:
                time.sleep(LOOK_SECONDS)
        return False

    def _hear(self) -> None:
        self._notifier.stopping()
        self._host.hear_signal(self._wish.drain_s)

    def _is_well(self) -> bool:
        """Whether the event loop answers. Blocks as long as it does not."""
        try:
            self._scheduler._control.ask(lambda _: None, "status")
        except KronStopped:
            return False
        return True

    def _spawn(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="kron-files", daemon=True).start()


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
