"""Which timers a pattern selects: by name, command line, or hash of the command."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .command import CommandSpec
from .errors import ScheduleError, UnknownTimer, brief

MATCH_CHARACTERS = 256


class Candidate(NamedTuple):
    """A timer, as a pattern sees it; one that starts no command has neither line nor hash."""

    name: str
    command: str | None = None
    command_hash: str | None = None


def candidate(name: str, command: CommandSpec | None) -> Candidate:
    """The timer of that name, which starts that."""
    return Candidate(name) if command is None else Candidate(name, command.line, command.hash)


def selected(candidates: Iterable[Candidate], match: str | None) -> tuple[str, ...]:
    """The names of those in which `re.search` finds `match`; of all, if it is None.

    There are patterns with which a search takes for ever, and holds up the whole interpreter: so
    they come from whoever owns the process, never with a request from outside. Raises UnknownTimer
    if it fits nothing, ScheduleError for what is no regular expression or is over 256 characters,
    TypeError.
    """
    if match is None:
        return tuple(each.name for each in candidates)
    search = pattern_of(match).search
    names = tuple(each.name for each in candidates if any(map(search, filter(None, each))))
    if not names:
        raise UnknownTimer(f"no timer matches {brief(match)}.")
    return names


def pattern_of(match: object) -> re.Pattern[str]:
    """The regular expression of a `match=`. Raises as `selected` does."""
    if not isinstance(match, str):
        raise TypeError(f"match must be a string, not {type(match).__name__}.")
    if not 0 < len(match) <= MATCH_CHARACTERS:
        raise ScheduleError(
            f"match= has {len(match)} characters; a regular expression of 1 to {MATCH_CHARACTERS}"
            " is searched for."
        )
    try:
        return re.compile(match)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ScheduleError(f"match={brief(match)} is not a regular expression: {exc}.") from exc
