"""What became of reading the files again, while their timers run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from kron.core.errors import ScheduleError

from .declared import Mistake


class Reloaded(TypedDict):
    """What taking the files again has changed: the names of timers. `notes` say what has not been
    taken."""

    files: list[str]
    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    notes: list[str]


class Mistaken(ScheduleError):
    """Files with mistakes: nothing of them is used."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(each) for each in mistakes))
        self.mistakes = list(mistakes)


def in_words(reloaded: Reloaded) -> str:
    """What was reloaded, as a line."""
    parts = [
        f"{len(names)} {word}: {', '.join(names)}"
        for word in ("added", "changed", "removed")
        if (names := reloaded[word])
    ]
    parts += [f"{reloaded['unchanged']} unchanged", *reloaded["notes"]]
    return f"reloaded {', '.join(reloaded['files'])}; {'; '.join(parts)}"
