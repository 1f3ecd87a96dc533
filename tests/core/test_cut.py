"""A cut is the state as it was, however it moves on; and what is restored from it goes on alike."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from kron.core import commands as c
from kron.core.codec import decode
from kron.core.cut import FORMAT, SLICE, Cut, restore
from kron.core.decide_host import STEP_US
from kron.core.definition import define
from kron.core.errors import LogCorrupt, LogTooNew
from kron.core.events import POSITIONS, Event
from kron.core.machine import Machine, Step
from kron.core.model import Now, RunState
from kron.core.state import State
from kron.testing.player import BASE_US, Mismatch, Player, fold_image, replayed
from tests.core.test_simulation import MOVES, World

SECOND = 1_000_000
HISTORIES = [*range(150), *(pytest.param(n, marks=pytest.mark.long) for n in range(150, 600))]
SIZES = (1, 2, 3, 7, SLICE)


def without_ring(state: State) -> dict[str, Any]:
    return {**fold_image(state), "ring": [], "log_time_us": state.log_time_us}


# -- random histories -----------------------------------------------------------------------------


class Twin:
    """A machine that has folded the whole log, and one that began from a snapshot: both are given
    the same, and must say the same."""

    def __init__(self, whole: Machine, restored: Machine) -> None:
        self.whole, self.restored = whole, restored

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def step(self, inbox: deque[c.Command], now: Now, limit: int) -> Step:
        same = deque(inbox)
        step, other = self.whole.step(inbox, now, limit), self.restored.step(same, now, limit)
        assert repr(other) == repr(step)  # a KronError in an answer is equal to itself alone
        assert same == inbox
        return step

    def confirm(self) -> None:
        self.whole.confirm()
        self.restored.confirm()

    def undo(self) -> None:
        self.whole.undo()
        self.restored.undo()

    def next_deadline(self) -> int | None:
        assert self.restored.next_deadline() == self.whole.next_deadline()
        return self.whole.next_deadline()


class CuttingPlayer(Player):
    """Takes snapshots in slices of any size, now and then gives one up, and begins every life
    after the first from the last one that came to its end."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = Random(seed)
        self.kept: tuple[int, list[bytes]] | None = None
        self.restarts = 0

    def step(self, inbox: deque[c.Command]) -> list[Event]:
        step = self._decided(inbox)
        if step.events:
            self._keep(step.record, step.events)
        self.machine.confirm()
        self.answers += step.answers
        if self.machine.is_live:
            self.end_us = self.wall_us
        if next(self._snapshot, self) is self:
            self._snapshot = self._take_snapshot()
        return step.events

    def _decided(self, inbox: deque[c.Command]) -> Step:
        if self.random.random() < 0.2:
            commands = list(inbox)
            self.machine.step(inbox, self._now(), self.limit)
            self.machine.undo()
            inbox.clear()
            inbox.extend(commands)
        return self.machine.step(inbox, self._now(), self.limit)

    def crash(self) -> None:
        self._snapshot = iter(())
        self.machine = replayed(self.log)
        if self.kept is None:
            return
        index, parts = self.kept
        restored = Machine(restore(parts))
        for record, payload in enumerate(self.log[index:], index + 1):
            restored.replay(record, decode(payload, record).events)
        whole = self.machine.state
        assert without_ring(restored.state) == without_ring(whole)
        floor = restored.state.ring_floor
        assert restored.state.ring == [row for row in whole.ring if row[0] > floor]
        self.restarts += 1
        self.machine = Twin(self.machine, restored)  # type: ignore[assignment]

    def _take_snapshot(self) -> Iterator[None]:
        state = self.machine.state
        expected, index, parts = without_ring(state), state.index, []
        with_luck = self.random.random() < 0.9
        cut = Cut(state)
        for part in cut.parts(self.random.choice(SIZES)):
            parts.append(part)
            if not with_luck and len(parts) > 2:
                cut.close()
                assert state.cut is None
                return
            yield
        assert state.cut is None
        assert without_ring(restore(parts)) == expected
        self.snapshots += 1
        self.kept = index, parts


class CuttingWorld(World):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.player: CuttingPlayer = CuttingPlayer(seed)
        self.player.start()


@pytest.mark.parametrize("seed", HISTORIES)
def test_cuts_of_a_random_history_are_exact_and_what_they_give_goes_on_alike(seed: int) -> None:
    world = CuttingWorld(seed)
    for _ in range(MOVES // 2):
        world.move()
    world.player.start()
    for _ in range(MOVES // 2):
        world.move()
    assert world.player.snapshots > 0 and world.player.restarts > 0


def test_the_simulation_takes_snapshots_all_the_while() -> None:
    """Of what test_simulation.py plays; `Player` compares each with the state at its beginning."""
    worlds = [World(seed) for seed in range(20)]
    for world in worlds:
        for _ in range(MOVES):
            world.move()
    taken = [world.player.snapshots for world in worlds]
    assert sum(count > 0 for count in taken) >= 19 and sum(taken) > 100


def play_twenty_histories() -> None:
    for seed in range(20):
        test_cuts_of_a_random_history_are_exact_and_what_they_give_goes_on_alike(seed)


def test_a_cut_that_is_wrong_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the state kept no image for it."""
    monkeypatch.setattr(Cut, "keep", lambda *_: None)
    with pytest.raises((AssertionError, Mismatch, LogCorrupt)):
        play_twenty_histories()


# -- one case at a time ---------------------------------------------------------------------------


class Small:
    """A live machine at second `now`, to which commands are given."""

    def __init__(self, *commands: c.Command) -> None:
        self.machine = Machine()
        self.now = 0.0
        self.do(c.Start("boot", 1, "test"), *commands)

    @property
    def state(self) -> State:
        return self.machine.state

    def do(self, *commands: c.Command, at: float | None = None) -> list[Event]:
        self.now = self.now if at is None else at
        inbox, events = deque(commands), []
        is_full = True
        while is_full:
            step = self.machine.step(inbox, self._now())
            self.machine.confirm()
            events += step.events
            is_full = step.is_full
        return events

    def refuse(self, *commands: c.Command) -> None:
        self.machine.step(deque(commands), self._now())
        self.machine.undo()

    def finish_all(self) -> None:
        runs = list(self.state.runs.values())
        self.do(*(c.FinishRun(run.id, run.attempt, c.Outcome.SUCCEEDED, 1) for run in runs))

    def _now(self) -> Now:
        us = round(self.now * SECOND)
        return Now(BASE_US + us, us)


def schedule(name: str, cmd_id: str = "", called: float = 0, **options: Any) -> c.Schedule:
    definition, size_bytes = define(**options)
    return c.Schedule(name, definition, BASE_US + round(called * SECOND), size_bytes, cmd_id)


def every_hour(count: int, prefix: str = "t") -> list[c.Schedule]:
    return [schedule(f"{prefix}{n}", every="1h") for n in range(count)]


def test_a_removed_timer_with_open_runs_is_in_it() -> None:
    small = Small(schedule("a", every=10, overlap="allow"))
    small.do(at=10)
    small.do(at=20)
    small.do(c.Remove("a"))
    expected = without_ring(small.state)
    state = restore(list(Cut(small.state).parts()))
    assert without_ring(state) == expected
    assert not state.timers and len(state.runs) == 2
    first, second = state.runs.values()
    assert first.timer is second.timer and first.timer.is_removed
    assert first.timer.open == (first.id, second.id)


@pytest.mark.parametrize("size", SIZES)
def test_a_name_that_was_removed_and_created_again_is_two_timers(size: int) -> None:
    """While a run of the first is still open: each run finds its own."""
    small = Small(schedule("a", every=10))
    small.do(at=10)
    small.do(c.Remove("a"))
    small.do(schedule("a", every=5, overlap="skip", called=10), at=11)
    small.do(at=15)
    cut, expected = Cut(small.state), without_ring(small.state)
    parts = cut.parts(size)
    taken = [next(parts)]
    small.finish_all()
    state = restore([*taken, *parts])
    assert without_ring(state) == expected
    old, new = state.runs.values()
    assert old.timer is not new.timer and new.timer is state.timers["a"]
    assert (old.timer.open, new.timer.open) == ((old.id,), (new.id,))


def test_command_ids_and_tombstones_come_back_in_their_order() -> None:
    small = Small(*(schedule(f"t{n}", f"cmd{n}", every="1h") for n in range(600)))
    small.do(*(c.Trigger("t1", f"trigger{n}") for n in range(3)))
    for tombstone in range(50_000, 0, -1):
        small.state.bury(tombstone)
    small.do(c.Pause("t2", cmd_id="pause"))
    expected = without_ring(small.state)
    parts = list(Cut(small.state).parts())
    state = restore(parts)
    assert without_ring(state) == expected
    assert list(state.commands)[-4:] == ["trigger0", "trigger1", "trigger2", "pause"]
    assert list(state.tombstones) == [*range(50_000, 0, -1)]
    assert max(map(len, parts)) < 1 << 20, "a part is a line of at most 1 MiB"


def test_the_largest_definitions_still_fit_into_parts_of_one_line() -> None:
    """A definition may have 256 KiB; a line of a snapshot 1 MiB."""
    small = Small(*(schedule(f"t{n}", every="1h", args=["x" * 250_000]) for n in range(12)))
    expected = without_ring(small.state)
    parts = list(Cut(small.state).parts())
    assert without_ring(restore(parts)) == expected
    assert max(map(len, parts)) <= 1 << 20


@pytest.mark.parametrize("size", SIZES)
def test_slices_of_every_size_give_the_same_state(size: int) -> None:
    small = Small(*every_hour(20), schedule("a", every=10, overlap="allow"))
    for second in range(10, 100, 10):
        small.do(at=second)
    expected = without_ring(small.state)
    parts = list(Cut(small.state).parts(size))
    assert without_ring(restore(parts)) == expected
    rows = [len(rows) for part in parts[1:] for rows in json.loads(part).values()]
    assert max(rows) <= size and sum(rows) == 21 + 9


@pytest.mark.parametrize("taken", range(12))
def test_a_change_before_at_or_after_a_things_slice_is_not_in_it(taken: int) -> None:
    """Of ten timers, one a slice, the sixth changes after `taken` slices, in every way."""
    for change in (
        lambda small: small.do(c.Pause("t5")),
        lambda small: small.do(schedule("t5", every="2h")),
        lambda small: small.do(c.Remove("t5")),
        lambda small: (small.do(c.Remove("t5")), small.do(schedule("t5", every="3h"))),
        lambda small: (small.do(c.Trigger("t5")), small.finish_all()),
        lambda small: (small.do(c.Pause("t5")), small.do(c.Remove("t5"))),
        lambda small: small.refuse(c.Pause("t5")),
        lambda small: small.refuse(c.Remove("t5"), schedule("t5", every="3h")),
        lambda small: (small.refuse(c.Pause("t5")), small.do(c.Remove("t5"))),
        lambda small: (small.do(c.Pause("t5")), small.refuse(c.Remove("t5"), c.Resume("t6"))),
        lambda small: small.do(*(c.Remove(f"t{n}") for n in range(10))),
        lambda small: small.do(*every_hour(5, "new"), *(c.Pause(f"new{n}") for n in range(5))),
    ):
        small = Small(*every_hour(10))
        expected = without_ring(small.state)
        parts = Cut(small.state).parts(size=1)
        kept = [next(parts) for _ in range(min(taken, 11))]
        change(small)
        assert without_ring(restore([*kept, *parts])) == expected


@pytest.mark.parametrize("outcome", c.Outcome)
@pytest.mark.parametrize("taken", range(7))
def test_a_run_that_goes_on_or_ends_is_in_it_as_it_was(taken: int, outcome: c.Outcome) -> None:
    """One timer and four runs, one a slice: the runs change after `taken` slices, twice."""
    small = Small(schedule("a", every=10, overlap="allow", max_attempts=3, retry_delay=60))
    for second in (10, 20, 30, 40):
        small.do(at=second)
    expected = without_ring(small.state)
    parts = Cut(small.state).parts(size=1)
    kept = [next(parts) for _ in range(min(taken, 6))]
    runs = list(small.state.runs.values())
    ends = [c.FinishRun(run.id, 1, outcome, 1, "Oops") for run in runs[1:3]]
    small.refuse(*ends)
    small.do(*ends, c.CancelRun(runs[0].id))
    small.do(c.Remove("a"), at=200)
    small.finish_all()
    assert without_ring(restore([*kept, *parts])) == expected


def test_a_cut_that_is_closed_halfway_costs_nothing_more() -> None:
    small = Small(*every_hour(10))
    cut = Cut(small.state)
    parts = cut.parts(size=2)
    next(parts)
    small.do(c.Pause("t7"))
    assert small.state.cut is cut and len(cut._early) == 1
    cut.close()
    cut.close()
    assert small.state.cut is None
    small.do(c.Pause("t8"))
    assert len(cut._early) == 1


def test_closing_a_cut_that_was_replaced_leaves_the_new_one() -> None:
    small = Small(*every_hour(4))
    old, new = Cut(small.state), Cut(small.state)
    old.close()
    assert small.state.cut is new
    expected = without_ring(small.state)
    small.do(c.Pause("t1"))
    assert without_ring(restore(new.parts())) == expected


def test_an_empty_state_has_a_cut_too() -> None:
    state = restore(Cut(State()).parts())
    assert without_ring(state) == without_ring(State())
    assert state.ring == [] and state.ring_floor == POSITIONS - 1


def test_the_ring_begins_behind_the_cut() -> None:
    """History is in the log: what the ring holds is all of that after `ring_floor`."""
    small = Small(schedule("a", every=10))
    small.do(at=10)
    small.finish_all()
    state = restore(Cut(small.state).parts())
    assert small.state.ring and not state.ring
    assert small.state.ring[-1][0] <= state.ring_floor < (state.index + 1) * POSITIONS


# -- what cannot be restored ----------------------------------------------------------------------


@pytest.fixture
def parts() -> list[bytes]:
    small = Small(*every_hour(3), schedule("a", every=10, overlap="allow"))
    small.do(at=10)
    small.do(at=20)
    return list(Cut(small.state).parts(size=2))


def changed(part: bytes, change: dict[str, Any]) -> bytes:
    ((name, fields),) = json.loads(part).items()
    return json.dumps({name: {**fields, **change}}).encode()


def test_a_newer_format_is_refused_naming_both_versions(parts: list[bytes]) -> None:
    with pytest.raises(LogTooNew, match=f"format version 99; this Kron reads up to {FORMAT}"):
        restore([changed(parts[0], {"v": 99}), *parts[1:]])


def test_a_newer_format_is_refused_whatever_its_parts_are(parts: list[bytes]) -> None:
    with pytest.raises(LogTooNew):
        restore([changed(parts[0], {"v": FORMAT + 1}), b'{"something":[1]}'])


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_part_is_found(parts: list[bytes], missing: int) -> None:
    assert len(parts) == 4
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore(parts[:missing] + parts[missing + 1 :])


@pytest.mark.parametrize("twice", range(4))
def test_a_part_that_is_there_twice_is_found(parts: list[bytes], twice: int) -> None:
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore([*parts[: twice + 1], *parts[twice:]])


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"7",
        b'{"timers":[[1]]}',
        b'{"timers":7}',
        b'{"runs":[[1,2,"nobody",3,4,"schedule",0,"running",1,5,null,"",""]]}',
        b'{"commands":[[]]}',
        b'{"tombstones":[[]]}',
        b'{"weather":["rain"]}',
        b'{"timers":[],"runs":[]}',
    ],
)
def test_a_part_that_is_not_of_a_snapshot_is_refused(parts: list[bytes], foreign: bytes) -> None:
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore([*parts, foreign])
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore([foreign, *parts])


@pytest.mark.parametrize("field", ["v", "index", "shift_us", "log_time_us", "timers", "runs"])
def test_a_head_that_lacks_a_field_is_refused(parts: list[bytes], field: str) -> None:
    head = json.loads(parts[0])["head"]
    del head[field]
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore([json.dumps({"head": head}).encode(), *parts[1:]])


def test_no_parts_are_no_snapshot() -> None:
    with pytest.raises(LogCorrupt, match="snapshot"):
        restore([])


@pytest.mark.parametrize("count", ["timers", "runs"])
def test_a_count_that_is_not_what_there_is_is_found(parts: list[bytes], count: str) -> None:
    with pytest.raises(LogCorrupt, match="but its head says"):
        restore([changed(parts[0], {count: 17}), *parts[1:]])


def test_a_run_of_another_timer_of_that_name_is_found(parts: list[bytes]) -> None:
    ((name, runs),) = json.loads(parts[-1]).items()
    runs[0][1] += 1
    with pytest.raises(LogCorrupt, match="belongs to a timer that is not there"):
        restore([*parts[:-1], json.dumps({name: runs}).encode()])


# -- going on -------------------------------------------------------------------------------------


def test_a_restored_machine_fires_what_the_other_would() -> None:
    """Retries, a pause, a one-shot and a cron timer, each at its moment."""
    small = Small(
        schedule("retry", every=10, retry_delay=30, overlap="skip"),
        schedule("paused", every=15),
        schedule("once", after=200),
        schedule("cron", cron="* * * * *"),
    )
    small.do(at=10)
    small.do(c.Pause("paused"), at=12)
    run = next(iter(small.state.runs.values()))
    small.do(c.FinishRun(run.id, 1, c.Outcome.FAILED, 1, "Oops"))
    assert run.state is RunState.RETRYING
    again = [Machine(restore(Cut(small.state).parts())) for _ in range(2)]
    twin = Twin(*again)
    registrations = [
        schedule("retry", every=10, retry_delay=30, overlap="skip"),
        schedule("paused", every=15),
        schedule("once", after=200),
        schedule("cron", cron="* * * * *"),
    ]
    inbox: deque[c.Command] = deque([c.Start("boot2", 2, "test"), *registrations])
    fired, us = [], 20 * SECOND
    while us < 300 * SECOND:
        step = twin.step(inbox, Now(BASE_US + us, us), POSITIONS)
        twin.confirm()
        fired += [event.timer for event in step.events if type(event).__name__ == "RunStarted"]
        us = max(us + STEP_US // 10, twin.next_deadline() or us)
    assert fired.count("retry") == 1 and "paused" not in fired
    assert fired.count("once") == 1 and fired.count("cron") == 1
