"""What files declare: timers, settings, and every mistake in them, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kron.runtime.enrolment import Declaration


class Place(NamedTuple):
    """A line of a file, as people name it."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Mistake(NamedTuple):
    """Why a declaration cannot be used. `what` is the id it is about; "" if about the file."""

    place: Place
    what: str
    text: str

    def __str__(self) -> str:
        about = f"{self.what}: " if self.what else ""
        return f"{self.place}: {about}{self.text}"


@dataclass(frozen=True, slots=True)
class Timer:
    """One declared timer: its id in the file, and what it is for a scheduler."""

    id: str
    place: Place
    declaration: Declaration

    @property
    def name(self) -> str:
        """Its name for Kron."""
        return self.declaration.name

    @property
    def source(self) -> str:
        """The kind of file: scheduled, kron or crontab."""
        return self.declaration.origin.source


@dataclass(slots=True)
class Declared:
    """All of some files. Nothing of it is to be used while there are `mistakes`; `notes` say what
    is understood and not carried out. `settings` are keywords of `start()`."""

    files: list[str] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[Mistake] = field(default_factory=list)

    def take(self, other: Declared) -> None:
        """What another file declares, too; a name or a setting that both have is a mistake."""
        self.mistakes += other.mistakes
        self.notes += other.notes
        self.files += other.files
        self.mistakes += _twice([*self.timers, *other.timers], since=len(self.timers))
        self.timers += other.timers
        for name, value in other.settings.items():
            if self.settings.setdefault(name, value) != value:
                place = Place(other.files[0])
                said = f"says {value!r}, and another file {self.settings[name]!r}"
                self.mistakes.append(Mistake(place, name, said))

    def by_name(self) -> Mapping[str, Timer]:
        """The timers by their names for Kron."""
        return {timer.name: timer for timer in self.timers}

    def declarations(self) -> list[Declaration]:
        """For a scheduler."""
        return [timer.declaration for timer in self.timers]


def check_twice(declared: Declared) -> None:
    """Two declarations of one name within a file are a mistake as well."""
    declared.mistakes += _twice(declared.timers)


def _twice(timers: Iterable[Timer], since: int = 0) -> Iterator[Mistake]:
    """For each name, from the `since`th timer on, that an earlier one has."""
    first: dict[str, Timer] = {}
    for number, timer in enumerate(timers):
        before = first.setdefault(timer.name, timer)
        if before is not timer and number >= since:
            said = f"the name {timer.name!r} is declared in {before.place} already"
            yield Mistake(timer.place, timer.id, f"{said}. One name has one source.")
