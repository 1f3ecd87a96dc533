"""Where two states are not the same, in words: what a snapshot says, and what the records say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kron.core.state import State
from kron.core.things import Run, Tally, Timer

NAMED = 20
"""More differences than this are only counted."""
_SHORT = 60
COUNTED_LATER = {"took", "streak", "longest"}
"""A log may be older than these: then its snapshots count from a later run on than the records."""
_HEAD = ("index", "shift_us", "lives", "eras", "era_us", "high_us", "seen_us", "last_us")


def differences(snapshot: State, folded: State) -> list[str]:
    """All that differs but the ring, which no snapshot has; the first NAMED ones, and how many
    more there are. Neither state is in a step."""
    found = list(_all(snapshot, folded))
    more = len(found) - NAMED
    return found[:NAMED] + ([f"and {more:,} more differences"] if more > 0 else [])


def _all(snapshot: State, folded: State) -> Iterator[str]:
    for name in _HEAD:
        yield from _unequal(name, getattr(snapshot, name), getattr(folded, name))
    yield from _of_things("timer", _timers(snapshot), _timers(folded))
    yield from _of_things("run", snapshot.runs, folded.runs)
    yield from _of_windows("command", snapshot.commands, folded.commands)
    yield from _of_windows("tombstone", snapshot.tombstones, folded.tombstones)


def _timers(state: State) -> dict[int, Timer]:
    """Those that are there, and the removed ones that still have a run."""
    timers = [*state.timers.values(), *(run.timer for run in state.runs.values())]
    return {timer.id: timer for timer in timers}


def _of_things(
    kind: str, ours: Mapping[int, Timer | Run], theirs: Mapping[int, Timer | Run]
) -> Iterator[str]:
    for id_ in ours.keys() | theirs.keys():
        mine, other = ours.get(id_), theirs.get(id_)
        if mine is None or other is None:
            thing = mine or other
            assert thing is not None
            where = "the snapshot" if other is None else "the records"
            yield f"{_named(kind, thing)} is only in {where}"
            continue
        for name in type(mine).FIXED + type(mine).FOLDED:
            what = f"{_named(kind, mine)}: {name}"
            yield from _unequal(what, _plain(mine, name), _plain(other, name))


def _named(kind: str, thing: Timer | Run) -> str:
    if isinstance(thing, Timer):
        return f"{kind} {thing.name!r}"
    return f"{kind} {thing.id} of timer {thing.timer.name!r}"


def _plain(thing: Timer | Run, name: str) -> Any:
    value = getattr(thing, name)
    if name == "timer":
        return value.id
    return value.to_json() if name == "definition" else value


def _unequal(what: str, ours: Any, theirs: Any) -> Iterator[str]:
    if ours == theirs:
        return
    if isinstance(ours, Tally) and isinstance(theirs, Tally):
        for name in Tally._fields:
            mine, other = getattr(ours, name), getattr(theirs, name)
            if not (name in COUNTED_LATER and _is_part(mine, other)):
                yield from _unequal(f"{what}.{name}", mine, other)
        return
    yield f"{what} is {_short(ours)} in the snapshot, {_short(theirs)} by the records"


def _is_part(ours: Any, theirs: Any) -> bool:
    """Whether the one is of the latest of those runs that the other is of."""
    if isinstance(ours, str):
        return str(theirs).endswith(ours)
    if isinstance(ours, int):
        return bool(ours * theirs >= 0 and abs(ours) <= abs(theirs))
    return all(mine <= other for mine, other in zip(ours, theirs, strict=True))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHORT else text[:_SHORT] + "..."


def _of_windows(kind: str, ours: dict[Any, Any], theirs: dict[Any, Any]) -> Iterator[str]:
    """Bounded windows: the order counts too, for the oldest goes first."""
    if ours == theirs and list(ours) == list(theirs):
        return
    for key in ours.keys() ^ theirs.keys():
        yield f"{kind} {key!r} is only in {'the snapshot' if key in ours else 'the records'}"
    for key in ours.keys() & theirs.keys():
        yield from _unequal(f"{kind} {key!r}", ours[key], theirs[key])
    if ours == theirs:
        yield f"the {kind}s are in another order"
