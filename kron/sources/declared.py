"""What files declare: timers, settings, and every mistake in them, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kron.runtime.enrolment import Declaration

_WHAT_CHARACTERS = 128


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
        what = self.what
        if len(what) > _WHAT_CHARACTERS:
            what = what[: _WHAT_CHARACTERS - 3] + "..."
        return f"{self.place}: {what}: {self.text}" if what else f"{self.place}: {self.text}"


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
    is understood and not carried out. `settings` are keywords of `start()`, and `set_at` says where
    each of them stands."""

    files: list[str] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    set_at: dict[str, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[Mistake] = field(default_factory=list)

    def setting(self, name: str, value: Any, place: Place) -> None:
        """Add a setting; another value of it than elsewhere is a mistake, naming both places."""
        before = self.settings.setdefault(name, value)
        at = self.set_at.setdefault(name, place)
        if before != value:
            said = f"{name} is {value!r} here and {before!r} in {at}. Say it once."
            self.mistakes.append(Mistake(place, "", said))

    def take(self, other: Declared) -> None:
        """What another file declares, too; a name that both have is a mistake, and so is a setting
        of two values."""
        self.files += other.files
        self.mistakes += other.mistakes
        self.notes += other.notes
        taken = {timer.name: timer for timer in reversed(self.timers)}
        for timer in other.timers:
            if timer.name in taken:
                self.mistakes.append(_twice(timer, taken[timer.name]))
        self.timers += other.timers
        for name, value in other.settings.items():
            self.setting(name, value, other.set_at.get(name, Place(other.files[0])))

    def by_name(self) -> Mapping[str, Timer]:
        """The timers by their names for Kron."""
        return {timer.name: timer for timer in self.timers}

    def declarations(self) -> list[Declaration]:
        """For a scheduler."""
        return [timer.declaration for timer in self.timers]


def check_twice(declared: Declared) -> None:
    """Two declarations of one name within a file are a mistake as well."""
    first: dict[str, Timer] = {}
    for timer in declared.timers:
        before = first.setdefault(timer.name, timer)
        if before is not timer:
            declared.mistakes.append(_twice(timer, before))


def _twice(timer: Timer, before: Timer) -> Mistake:
    said = (
        f"the name {timer.name!r} is declared in {before.place} already. One name has one source."
    )
    return Mistake(timer.place, timer.id, said)
