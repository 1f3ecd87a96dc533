"""From file names to what the files declare; where they are looked for if none is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kron.core.errors import KronError, ScheduleError
from kron.runtime.registry import Registry, refuse_heavy

from . import scheduled, timers
from .declared import Declared, Mistake, Place, check_twice
from .toml import Document, NoToml, read_toml

PYPROJECT, KRON = "pyproject.toml", "kron.toml"


class NothingDeclared(KronError):
    """No file was named, and none was found."""


def find_files(start: str = ".") -> list[str]:
    """The pyproject.toml with [tool.scheduled] or [tool.kron], and the kron.toml, of the nearest
    folder from `start` upwards that has either. Raises NothingDeclared."""
    here = Path(start).absolute()
    nearest = None
    for folder in (here, *here.parents):
        project = folder / PYPROJECT
        found = [file for file in (project, folder / KRON) if file.is_file()]
        nearest = nearest or next(iter(found), None)
        if project in found and not _is_ours(project):
            found.remove(project)
        if found:
            return [_shown(file) for file in found]
    if nearest is not None:
        return [_shown(nearest)]
    raise NothingDeclared(
        f"no {PYPROJECT} and no {KRON} in {here} or above it. Name a file: kron up FILE"
    )


def read_files(files: Sequence[str]) -> Declared:
    """What they declare together, their entrypoints imported: the folder of each file, then its
    `src`, come first on sys.path. Raises nothing for what is in them; see `mistakes`."""
    lead_path(files)
    declared = Declared()
    for file in files:
        declared.take(_read_file(file))
    _check_weights(declared)
    return declared


def lead_path(files: Iterable[str]) -> None:
    """Let imports look into the folders of these files, and their `src`, before all others."""
    folders = [Path(file).absolute().parent for file in files]
    wanted = [str(place) for folder in folders for place in (folder, folder / "src")]
    first = list(dict.fromkeys(place for place in wanted if os.path.isdir(place)))
    sys.path[:] = [*first, *(entry for entry in sys.path if entry not in first)]


def _read_file(file: str) -> Declared:
    declared = Declared([file])
    try:
        data = Path(file).read_bytes()
    except OSError as exc:
        declared.mistakes.append(Mistake(Place(file), "", f"cannot be read: {exc.strerror}"))
        return declared
    if not file.endswith(".toml"):
        from .crontab import read_crontab

        read_crontab(data, file, declared)
    else:
        _read_tables(data, file, declared)
    check_twice(declared)
    return declared


def _read_tables(data: bytes, file: str, declared: Declared) -> None:
    try:
        document = read_toml(data)
    except NoToml as exc:
        declared.mistakes.append(Mistake(Place(file, exc.line), "", str(exc)))
        return
    tool = document.values.get("tool", {})
    places = _Places(file, document)
    if isinstance(tool, dict) and "scheduled" in tool:
        scheduled.read_scheduled(tool["scheduled"], declared, places.below(*scheduled.TABLE))
    if isinstance(tool, dict) and "kron" in tool:
        timers.read_timers(tool["kron"], declared, places.below(*timers.TABLE))
    if Path(file).name != PYPROJECT:
        own = {key: value for key, value in document.values.items() if key != "tool"}
        timers.read_timers(own, declared, places.below())


class _Places:
    """Where the keys of a document stand."""

    def __init__(self, file: str, document: Document) -> None:
        self._file = file
        self._document = document

    def below(self, *table: str) -> Callable[..., Place]:
        """The places of keys below that table; an empty key is the table that has it."""

        def place_of(*keys: str) -> Place:
            path = (*table, *(key for key in keys if key))
            return Place(self._file, self._document.line_of(*path))

        return place_of


def _check_weights(declared: Declared) -> None:
    """A weight that no run could ever have room for."""
    limit: Any = declared.settings.get("max_concurrency")
    registry = Registry()
    for timer in declared.timers:
        each = timer.declaration
        try:
            registration = registry.registration(each.name, each.fn, each.options, 0, each.origin)
            refuse_heavy((registration,), limit)
        except (ScheduleError, TypeError) as exc:
            declared.mistakes.append(Mistake(timer.place, timer.id, str(exc)))


def _is_ours(project: Path) -> bool:
    """Whether it declares timers; one that cannot be read is looked at later, and told of."""
    try:
        tool = read_toml(project.read_bytes()).values.get("tool", {})
    except (NoToml, OSError):
        return True
    return isinstance(tool, dict) and bool(tool.keys() & {"scheduled", "kron"})


def _shown(file: Path) -> str:
    """As people would name it: relative, if that is shorter."""
    relative = os.path.relpath(file)
    return min(relative, str(file), key=len)
