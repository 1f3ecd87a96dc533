"""From file names to what the files declare; where they are looked for if none is named."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kron.core.errors import KronError, ScheduleError
from kron.core.keywords import meant
from kron.runtime.registry import Registry, refuse_heavy

from . import scheduled, timers
from .declared import Declared, Mistake, Place, Timer, check_twice
from .scheduled import Entrypoint, Job, Jobs
from .toml import Document, NoToml, read_toml

PYPROJECT, KRON = "pyproject.toml", "kron.toml"
GONE = "the current directory is not there any more."


class NothingDeclared(KronError):
    """No file was named, and none was found."""


def find_files(start: str = ".") -> list[str]:
    """The pyproject.toml with [tool.scheduled] or [tool.kron], and the kron.toml, of the nearest
    folder from `start` upwards that has either; if none has, the nearest pyproject.toml.

    Raises NothingDeclared, also for a file above `start` that belongs to somebody else: what it
    names would be imported.
    """
    here = _absolute(start)
    nearest: list[Path] = []
    for folder in (here, *here.parents):
        project, own = folder / PYPROJECT, folder / KRON
        found = [file for file in (project, own) if os.path.isfile(file)]
        if project in found and not _is_ours(project):
            nearest = nearest or [project]
            found.remove(project)
        if found:
            _refuse_foreign(found, here)
            return [shown(file) for file in found]
    if nearest:
        return [shown(file) for file in nearest]
    raise NothingDeclared(f"no {PYPROJECT} and no {KRON} in {here} or above it. Name a file.")


def _refuse_foreign(files: Iterable[Path], here: Path) -> None:
    """Somebody else may put a file into /tmp, say, above a folder of ours."""
    trusted = {0, os.geteuid(), here.stat().st_uid}
    for file in files:
        owner = file.stat().st_uid
        if file.parent != here and owner not in trusted:
            raise NothingDeclared(
                f"{file} belongs to user {owner}, and was only found, above {here}. If it is to be"
                " trusted, name it."
            )


def read_files(files: Sequence[str]) -> Declared:
    """What they declare together, their entrypoints imported: the folder of each TOML file, then
    its `src`, come first on sys.path. Raises nothing for what is in them (see `mistakes`), but
    NothingDeclared, if they count from a current directory that is gone."""
    paths = [_absolute(file) for file in files]  # before a module changes the current directory
    lead_path(file for file in files if _is_toml(file))
    declared = Declared()
    for file, path in zip(files, paths, strict=True):
        declared.take(_read_file(file, path))
    _check_weights(declared)
    return declared


def read_jobs(files: Iterable[str]) -> Jobs:
    """The jobs of `[tool.scheduled]` in these TOML files, and what is wrong with it, also an id
    that is there twice. Imports nothing."""
    jobs: dict[str, Job] = {}
    mistakes: list[Mistake] = []
    entrypoints: list[Entrypoint] = []
    for file in files:
        try:
            document = read_toml(_bytes_of(file))
        except NoToml as exc:
            mistakes.append(Mistake(Place(file, exc.line), "", str(exc)))
            continue
        tables = _tool(document).get("scheduled", {})
        found = scheduled.read_jobs(tables, _places(file, document, *scheduled.TABLE))
        mistakes += sorted(found.mistakes, key=_line)
        entrypoints += found.entrypoints
        for job in found.jobs:
            before = jobs.setdefault(job.id, job)
            if before is not job:
                said = f"is declared in {before.place} already. One id has one source."
                mistakes.append(Mistake(job.place, job.id, said))
    return Jobs(list(jobs.values()), mistakes, entrypoints)


def lead_path(files: Iterable[str]) -> None:
    """Let imports look into the folders of these files, and their `src`, before all others, and
    find modules that have just been written. Raises NothingDeclared, as `read_files`."""
    folders = [_absolute(file).parent for file in files]
    wanted = [str(place) for folder in folders for place in (folder, folder / "src")]
    first = list(dict.fromkeys(place for place in wanted if os.path.isdir(place)))
    sys.path[:] = [*first, *(entry for entry in sys.path if entry not in first)]
    importlib.invalidate_caches()


def _read_file(file: str, path: Path) -> Declared:
    """`file` is what people call it, `path` where it is."""
    declared = Declared([file])
    try:
        content = _bytes_of(path)
        if _is_toml(file):
            _read_tables(file, read_toml(content), declared, str(path.parent))
        else:
            from .crontab.reader import read_crontab

            read_crontab(content, file, declared)
    except NoToml as exc:
        declared.mistakes.append(Mistake(Place(file, exc.line), "", str(exc)))
    declared.timers.sort(key=_line)
    check_twice(declared)
    declared.mistakes.sort(key=_line)
    return declared


def _read_tables(file: str, document: Document, declared: Declared, folder: str) -> None:
    tool = _tool(document)
    if "scheduled" in tool:
        place_of = _places(file, document, *scheduled.TABLE)
        scheduled.read_scheduled(tool["scheduled"], declared, place_of)
    if "kron" in tool:
        place_of = _places(file, document, *timers.TABLE)
        timers.read_timers(tool["kron"], declared, place_of, folder)
    if Path(file).name != PYPROJECT:
        own = {key: value for key, value in document.values.items() if key != "tool"}
        timers.read_timers(own, declared, _places(file, document), folder)
    elif not tool.keys() & {"scheduled", "kron"}:
        declared.notes.extend(_unread(file, document, tool))


def _unread(file: str, document: Document, tool: dict[str, Any]) -> Iterator[Mistake]:
    """Tables of a pyproject.toml without timers that may have been meant to have some."""
    for key in tool:
        if hint := meant(key, ("scheduled", "kron")):
            place = Place(file, document.line_of("tool", key))
            yield Mistake(place, "", f"[tool.{key}] is not read.{hint}")
    if "timers" in document.values:
        place = Place(file, document.line_of("timers"))
        yield Mistake(place, "", "[timers] is not read; write [tool.kron.timers] here.")


def current_directory() -> str | None:
    """None if it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _absolute(file: str) -> Path:
    """Raises NothingDeclared."""
    try:
        return Path(file).absolute()
    except FileNotFoundError as exc:
        raise NothingDeclared(GONE) from exc


def _bytes_of(file: str | Path) -> bytes:
    """Raises NoToml."""
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        raise NoToml(0, f"cannot be read: {exc.strerror}.") from exc


def _tool(document: Document) -> dict[str, Any]:
    """The table [tool]; an empty one, if there is none."""
    tool = document.values.get("tool")
    return tool if isinstance(tool, dict) else {}


def _places(file: str, document: Document, *table: str) -> Callable[..., Place]:
    """Where keys below that table stand."""

    def place_of(*keys: str) -> Place:
        return Place(file, document.line_of(*table, *keys))

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
        tool = _tool(read_toml(_bytes_of(project)))
    except NoToml:
        return True
    return bool(tool.keys() & {"scheduled", "kron"})


def _is_toml(file: str) -> bool:
    return file.endswith(".toml")


def _line(what: Timer | Mistake) -> int:
    return what.place.line


def shown(file: Path) -> str:
    """As people would name it: relative, if that is shorter."""
    relative = os.path.relpath(file)
    return min(relative, str(file), key=len)
