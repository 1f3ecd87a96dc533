"""Mistakes in files, all at once: a line each on stderr, or rows of a JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

import typer

from .screen import Options, fail, show_json

if TYPE_CHECKING:
    from kron.sources.declared import Declared, Mistake


class MistakeRow(TypedDict):
    """A mistake as JSON. `line` is None if it is about the file, `id` if about no one timer."""

    file: str
    line: int | None
    id: str | None
    text: str


class CheckDocument(TypedDict):
    """What files declare, and what is wrong with it or left out; nothing runs with a mistake."""

    files: list[str]
    timers: list[str]
    mistakes: list[MistakeRow]
    notes: list[MistakeRow]


def mistake_rows(mistakes: Iterable[Mistake]) -> list[MistakeRow]:
    """The mistakes as JSON."""
    return [
        {
            "file": each.place.file,
            "line": each.place.line or None,
            "id": each.what or None,
            "text": each.text,
        }
        for each in mistakes
    ]


def check_document(declared: Declared) -> CheckDocument:
    """What is in the files, as JSON; `timers` without those that have a mistake."""
    return {
        "files": declared.files,
        "timers": [timer.name for timer in declared.timers],
        "mistakes": mistake_rows(declared.mistakes),
        "notes": mistake_rows(declared.notes),
    }


def end_if_any(mistakes: Sequence[Mistake], *, is_told: bool = True) -> None:
    """Exit with 1 if there are mistakes; on stderr, a line each."""
    for each in mistakes if is_told else ():
        fail(str(each))
    if mistakes:
        raise typer.Exit(1)


def end_if_mistaken(options: Options, declared: Declared) -> None:
    """Exit with 1 if the files have mistakes. With --json they are the document on stdout."""
    if declared.mistakes and options.is_json:
        show_json(check_document(declared))
    end_if_any(declared.mistakes, is_told=not options.is_json)
