"""A cut: the state after one record, handed out slice by slice while the state moves on.

Copy on write: `State.touch` keeps the image of a thing before its first change in a step, and
hands it on to the cut, which uses it if the thing's turn has not come yet. So beginning a cut
copies two lists of references, a slice is as long as the caller wants, and what comes out is the
state at the cut, exactly. History is not in it: that is in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import orjson

from .codec import definition_json
from .errors import LogCorrupt, LogTooNew
from .events import POSITIONS
from .model import Definition, Mark, RunState
from .state import State
from .things import (
    NO_PAST,
    NO_RUNS,
    Backfill,
    Former,
    Image,
    Life,
    Past,
    Pause,
    Run,
    Tally,
    Thing,
    Timer,
    image_of,
)

FORMAT = 1
SLICE = 250
"""Things a part holds: about a millisecond of work."""
PART_BYTES = 128_000
"""A part that is longer ends; the longest thing (256 KiB, an error) makes it half a megabyte."""
_HEAD = ("index", "shift_us", "era_us", "high_us", "seen_us", "last_us", "log_time_us")

_TALLY_ENDS = {8: None, 17: 17, 21: 17, 20: 20, 24: 20}
"""Where the tally ends in a timer's row of that length: one that has not run has none, and that of
an older snapshot is shorter."""
_MARKS = {mark.value: mark for mark in Mark}

T = TypeVar("T")


class Cut:
    """The state as of its last confirmed record, `index`. Begin it between two steps.

    Iterate `parts` to its end (in slices, between steps), or `close` it: until then the state
    reports to it.
    """

    def __init__(self, state: State) -> None:
        self.index = state.index
        self._state = state
        self._head: dict[str, Any] = {name: getattr(state, name) for name in _HEAD}
        self._head |= {"lives": [list(life) for life in state.lives], "eras": state.eras}
        self._timers = list(state.timers.values())
        self._runs = list(state.runs.values())
        self._commands = list(state.commands.items())
        self._tombstones = list(state.tombstones)
        # Their runs are still open: too few to be worth slices.
        removed = {run.timer.id: run.timer for run in self._runs if run.timer.is_removed}
        self._removed = [_timer_row(each, image_of[Timer](each)) for each in removed.values()]
        self._early: dict[int, Image] = {}
        self._last = {Timer: _last_id(self._timers), Run: _last_id(self._runs)}
        self._at = {Timer: 0, Run: 0}
        state.cut = self

    def keep(self, thing: Thing, image: Image) -> None:
        """The thing is about to change; its image is what it was at the cut, unless it changed
        before or has been handed out."""
        kind = type(thing)
        if self._at[kind] < thing.id <= self._last[kind]:
            self._early.setdefault(thing.id, image)

    def close(self) -> None:
        """The state need not report any more. Idempotent."""
        if self._state.cut is self:
            self._state.cut = None

    def parts(self, size: int = SLICE) -> Iterator[bytes]:
        """The snapshot as JSON, one part at a time; each takes `size` things when it is asked for.

        Timers come before the runs that belong to them. `restore` is the inverse.
        """
        counts = {"timers": len(self._timers) + len(self._removed), "runs": len(self._runs)}
        yield orjson.dumps({"head": {"v": FORMAT, **self._head, **counts}})
        yield from _in_parts("timers", self._removed, size)
        yield from _in_parts("timers", self._rows(self._timers, _timer_row), size)
        yield from _in_parts("runs", self._rows(self._runs, _run_row), size)
        yield from _in_parts("commands", ([id_, *done] for id_, done in self._commands), size)
        yield from _in_parts("tombstones", self._tombstones, 40 * size)
        self.close()

    def _rows(self, things: list[Any], row_of: Callable[[Any, Image], T]) -> Iterator[T]:
        for thing in things:
            kind = type(thing)
            self._at[kind] = thing.id
            image = self._early.pop(thing.id, None)
            yield row_of(thing, image_of[kind](thing) if image is None else image)


def restore(parts: Iterable[bytes]) -> State:
    """The state that a cut described; its ring is empty.

    Raises LogTooNew for a newer format, LogCorrupt for parts that do not fit together.
    """
    state, head, counts = State(), dict[str, Any](), {"timers": 0, "runs": 0}
    removed: dict[int, Timer] = {}
    loaders: dict[str, Callable[[Any], None]] = {
        "timers": partial(_enter_timer, state.timers, removed),
        "runs": partial(_enter_run, state, removed),
        "commands": lambda row: state.commands.__setitem__(row[0], tuple(row[1:])),
        "tombstones": lambda row: state.tombstones.__setitem__(row, None),
    }
    try:
        for part in parts:
            ((name, rows),) = orjson.loads(part).items()
            if not head:
                head = _checked(name, rows)
                continue
            load = loaders[name]
            for row in rows:
                load(row)
            counts[name] = counts.get(name, 0) + len(rows)
        wanted = {name: head[name] for name in ("timers", "runs")}
        _enter_head(state, head)
    except (ValueError, TypeError, LookupError, AttributeError, StopIteration) as exc:
        raise LogCorrupt(f"the snapshot does not fit together: {exc!r}") from exc
    if any(counts[name] != wanted[name] for name in wanted):
        raise LogCorrupt(f"the snapshot has {counts}, but its head says {wanted}")
    state.ring_floor = (state.index + 1) * POSITIONS - 1
    return state


def _enter_head(state: State, head: dict[str, Any]) -> None:
    if "lives" not in head:  # it is older, and knew of the latest process alone
        is_over = head["started_us"] <= head["stopped_us"]
        ended = [head["stopped_us"], head["stop_began_us"]] if is_over else [None, None]
        steady = [None if us is None else us - head["shift_us"] for us in ended]
        life = [head["started_us"], *ended, [], [head["started_us"] - head["shift_us"], *steady]]
        head |= {"lives": [life] if life[0] else [], "eras": [], "era_us": 0}
        head |= {"high_us": head["log_time_us"], "seen_us": head["last_us"] - head["shift_us"]}
    state.__dict__.update({name: int(head[name]) for name in _HEAD})
    state.lives = tuple(Life(*row[:3], *map(tuple, row[3:])) for row in head["lives"])
    state.eras = tuple(head["eras"])


def _checked(name: str, head: dict[str, Any]) -> dict[str, Any]:
    if name != "head":
        raise ValueError(f"it begins with {name}")
    if head["v"] > FORMAT:
        raise LogTooNew(
            f"the snapshot has format version {head['v']}; this Kron reads up to {FORMAT}."
            " Use the newer Kron; nothing was changed."
        )
    return head


# -- rows ---------------------------------------------------------------------------------------


def _timer_row(timer: Timer, image: Image) -> list[Any]:
    """Without its open runs: they follow from the runs."""
    definition, anchor_us, next_us, paused, mark, tally, ran_us, past, _ = image
    pause = None if paused is None else [*paused]
    row = [timer.id, timer.name, definition, timer.created_us, anchor_us, next_us, pause, mark]
    if ran_us is not None or past is not NO_PAST:
        return [*row, *tally, ran_us, past.ranges, *map(_lists, past[1:])]
    return row if tally is NO_RUNS else [*row, *tally]


def _run_row(run: Run, image: Image) -> list[Any]:
    """Nearly always nothing was skipped because of it, and the row says nothing of that."""
    timer, last = run.timer, image[-1:]
    return [
        run.id,
        timer.id,
        timer.name,
        run.scheduled_us,
        run.due_us,
        run.cause,
        run.missed,
        *image[:-1],
        *(last if last != (None,) else ()),
    ]


def _enter_timer(timers: dict[str, Timer], removed: dict[int, Timer], row: list[Any]) -> None:
    timer = Timer.__new__(Timer)
    (
        timer.id,
        timer.name,
        definition,
        timer.created_us,
        timer.anchor_us,
        timer.next_us,
        paused,
        mark,
    ) = row[:8]
    timer.paused = _pause(paused)
    if timer.anchor_us == timer.created_us:  # one number for both, as `apply` has it
        timer.anchor_us = timer.created_us
    timer.definition = Definition.from_json(definition)
    timer.mark = _MARKS[mark]
    end = _TALLY_ENDS[len(row)]
    timer.tally = NO_RUNS if end is None else _tally(row[8:end])
    timer.ran_us, timer.past = None, NO_PAST
    if end is not None and len(row) > end:
        timer.ran_us, timer.past = row[end], _past(*row[end + 1 :])
    timer.open = timer.lingers = ()
    timer.bound_us = timer.deadline_us = timer.target = None
    timer.stamp, timer.is_threaded, timer.begins_later = 0, False, False
    if mark == Mark.REMOVED:
        removed[timer.id] = timer
    else:
        timers[timer.name] = timer


def _lists(values: tuple[Any, ...]) -> list[list[Any]]:
    return [[*value] for value in values]


def _pause(row: int | list[Any] | None) -> Pause | None:
    """An older snapshot has only since when."""
    if isinstance(row, int):
        return Pause(row)
    return None if row is None else Pause(*row)


def _past(ranges: list[int], former: list[Any], backfills: list[Any]) -> Past:
    if not (ranges or former or backfills):
        return NO_PAST
    was = (Former(Definition.from_json(row[0]), row[1], tuple(row[2])) for row in former)
    return Past(tuple(ranges), tuple(was), tuple(Backfill(*row) for row in backfills))


def _tally(row: list[Any]) -> Tally:
    tally = Tally(*row)
    longest = (tally.longest[0], tally.longest[1])
    return tally._replace(
        retry_days=tuple((day, n) for day, n in tally.retry_days), longest=longest
    )


def _enter_run(state: State, removed: dict[int, Timer], row: list[Any]) -> None:
    run = Run.__new__(Run)
    id_, timer_id, name, *values = row
    timer = removed.get(timer_id) or state.timers[name]
    if timer.id != timer_id:
        raise ValueError(f"run {id_} belongs to a timer that is not there")
    fields = Run.FIXED + Run.FOLDED
    values = values if 2 + len(values) == len(fields) else [*values, None]
    for field, value in zip(fields, (id_, timer, *values), strict=True):
        setattr(run, field, value)
    run.state = RunState(run.state)
    run.deadline_us = None
    run.stamp = run.began_us = run.until_us = 0
    timer.open = (*timer.open, id_)
    state.runs[id_] = run


def _in_parts(name: str, rows: Iterable[T], size: int) -> Iterator[bytes]:
    """A part has `size` rows, or less where definitions and errors are so large that it would be
    too long."""
    part: list[bytes] = []
    part_bytes = 0
    for row in rows:
        part.append(orjson.dumps(row, definition_json, orjson.OPT_PASSTHROUGH_DATACLASS))
        part_bytes += len(part[-1])
        if len(part) == size or part_bytes > PART_BYTES:
            yield b'{"%b":[%b]}' % (name.encode(), b",".join(part))
            part, part_bytes = [], 0
    if part:
        yield b'{"%b":[%b]}' % (name.encode(), b",".join(part))


def _last_id(things: list[Any]) -> int:
    return things[-1].id if things else 0
