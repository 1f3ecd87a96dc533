"""What a `kron up` carries out now, and taking its files again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from kron.core.errors import KronError, ScheduleError
from kron.scheduler import Scheduler

from .declared import Declared, Mistake
from .notify import Notifier
from .reading import KRON, PYPROJECT, current_directory, find_files, read_files, shown
from .reloaded import Mistaken, Reloaded, in_words

logger = logging.getLogger("kron.up")

Versions: TypeAlias = list[tuple[int, int, int] | None]

LOOK_SECONDS = 0.2
"""How often the files are looked at, if they are watched."""


def read(files: Sequence[str], scheduler: Scheduler, folder: str = ".") -> Declared:
    """What these files declare, or those that are found from `folder` upwards, for that scheduler,
    which their modules may not start: what the program schedules itself is among the mistakes, too.

    Raises NothingDeclared.
    """
    with scheduler.importing():
        declared = read_files(files or find_files(folder))
        places = {timer.name: timer for timer in declared.timers}
        for name, error in scheduler._enrolment.taken(declared.declarations()).items():
            timer = places[name]
            declared.mistakes.append(Mistake(timer.place, timer.id, str(error)))
    return declared


class Current:
    """The declarations in force. `files` is empty where they are to be found. Whatever a job makes
    of the current directory, they are looked for where they were at first."""

    def __init__(
        self, files: Sequence[str], declared: Declared, notifier: Notifier, scheduler: Scheduler
    ) -> None:
        self._folder = os.getcwd()
        self._named = [os.path.abspath(file) for file in files]
        self._notifier = notifier
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._settings = declared.settings
        self._versions: Versions = []
        self._keep(declared)
        scheduler._enrolment.declare(declared.declarations())

    @property
    def status(self) -> str:
        """For a service manager."""
        count = len(self.declared.timers)
        return "1 timer" if count == 1 else f"{count:,} timers"

    # -- before the start --------------------------------------------------------------------

    def refresh(self) -> None:
        """The files may have changed while others carried them out. With mistakes they stay as they
        were, and the log says so."""
        if self._seen() == self._versions:
            return
        self._versions = self._seen()
        enrolment = self._scheduler._enrolment
        with enrolment.holding():
            try:
                declared = self._read()
            except KronError as exc:
                _log_refused(exc)
                return
            for name in self.declared.by_name().keys() - declared.by_name().keys():
                enrolment.remove(name)
            enrolment.declare(declared.declarations())
            enrolment.hand_held_in()
        self._settings = declared.settings
        self._keep(declared)

    # -- while it runs -----------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove what earlier files have declared."""
        self._scheduler._enrolment.undeclare(self.declared.by_name())

    def reload(self, files: Sequence[str] = ()) -> Reloaded:
        """Take what the files declare now, while everything runs. Any thread but the scheduler's.

        Modules that were imported stay as they are: new code of theirs comes with a restart. Raises
        Mistaken (nothing has changed), ScheduleError if other files than these are carried out.
        """
        if files and set(self._paths) != set(files):
            own, others = ", ".join(self.declared.files), ", ".join(files)
            raise ScheduleError(f"the running kron up carries out {own}, not {others}.")
        with self._lock:
            self._notifier.reloading()
            try:
                reloaded = self._take()
            except KronError as exc:
                _log_refused(exc)
                raise
            finally:
                self._notifier.ready(self.status)
        logger.info("%s", in_words(reloaded))
        return reloaded

    def reload_unasked(self) -> None:
        """As `reload`, where nobody waits for the answer: it is in the log. Raises nothing: whoever
        reloads goes on to do so."""
        try:
            self.reload()
        except KronError:  # logged
            return
        except Exception as exc:
            logger.error("the files are not taken: %s", exc, exc_info=exc)

    def watch(self, is_over: Callable[[], bool]) -> None:
        """Reload whenever a file has changed and stays as it is for a moment (an editor may write
        it in pieces), until `is_over()`."""
        taken = before = self._versions
        while not is_over():
            time.sleep(LOOK_SECONDS)
            now = self._seen()
            if now == before != taken:
                taken = now
                self.reload_unasked()
            before = now

    def _take(self) -> Reloaded:
        enrolment = self._scheduler._enrolment
        with enrolment.holding():
            declared = self._read()
            names = [timer.name for timer in declared.timers]
            became = dict(zip(names, enrolment.declare(declared.declarations()), strict=True))
            became |= enrolment.hand_held_in()
        removed = enrolment.undeclare(declared.by_name())
        self._keep(declared)
        by_word = {
            word: [name for name, its in became.items() if its == word]
            for word in ("created", "updated", "unchanged")
        }
        return {
            "files": list(declared.files),
            "added": by_word["created"],
            "changed": by_word["updated"],
            "removed": removed,
            "unchanged": len(by_word["unchanged"]),
            "notes": [*(str(note) for note in declared.notes), *self._not_in_force()],
        }

    def _read(self) -> Declared:
        """Raises Mistaken, NothingDeclared."""
        named, here = [shown(Path(file)) for file in self._named], current_directory()
        try:
            declared = read(named, self._scheduler, self._folder)
        finally:  # whatever a module did: what runs goes on where it is
            if here is not None:
                os.chdir(here)
        if declared.mistakes:
            raise Mistaken(declared.mistakes)
        return declared

    def _keep(self, declared: Declared) -> None:
        self.declared = declared
        self._paths = [os.path.abspath(file) for file in declared.files]
        self._versions = self._seen()

    def _not_in_force(self) -> list[str]:
        """Settings that are others than those it was started with."""
        now, then = self.declared.settings, self._settings
        return [
            f"{name} = {now.get(name, 'the default')!s} needs a restart"
            f" ({then.get(name, 'the default')!s} is in force)"
            for name in sorted(now.keys() | then.keys())
            if now.get(name) != then.get(name)
        ]

    def _seen(self) -> Versions:
        """Of the files in force; where they are found, also of one that comes beside them."""
        places = {Path(file).parent for file in self._paths if not self._named}
        beside = (str(place / name) for place in places for name in (PYPROJECT, KRON))
        return [_version(Path(file)) for file in dict.fromkeys([*self._paths, *beside])]


def _log_refused(exc: KronError) -> None:
    lines = [str(each) for each in exc.mistakes] if isinstance(exc, Mistaken) else [str(exc)]
    for line in lines:
        logger.error("the files are not taken: %s", line)


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
