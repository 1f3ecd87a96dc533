"""How many timers are in which state, while they come and go."""

from __future__ import annotations

import asyncio

import pytest

from kron.core import events as ev
from kron.core.apply import APPLY
from kron.core.capacity import Capacity
from kron.core.events import POSITIONS
from kron.core.machine import Machine
from kron.core.model import Definition, Kind
from kron.core.state import State
from kron.runtime import census
from kron.runtime.census import WAITS, Census
from kron.testing import VirtualClock, VirtualScheduler

AT_US = 1_800_000_000_000_000
HOURLY = Definition.of(Kind.EVERY, 3_600_000_000, {})


def census_of(machine: Machine) -> Census:
    return Census(machine.state, machine.capacity)


def add(state: State, *names: str) -> None:
    for name in names:
        event = ev.TimerCreated(name, HOURLY, AT_US, AT_US, AT_US + 1)
        APPLY[ev.TimerCreated](state, POSITIONS + len(state.timers), event)
    state.confirm(1, AT_US)


async def test_every_state_is_counted_by_its_word() -> None:
    """The words are those of `list()`, whatever a timer waits for."""

    async def fail() -> None:
        raise ValueError("no")

    clock = VirtualClock()

    async def hang() -> None:
        await clock.sleep("1d")

    async with VirtualScheduler(clock) as scheduler:
        for name in ("scheduled", "paused", "queued"):
            await scheduler.aschedule(name, hang, every="1h")
        await scheduler.aschedule("finished", asyncio.sleep, args=[0], after=0)
        await scheduler.aschedule("retrying", fail, every="1h", retry_delay="1h")
        await scheduler.aschedule("dead", fail, every="1h", max_attempts=1)
        await scheduler.apause("paused")
        for name in ("queued", "queued", "retrying", "dead"):
            await scheduler.atrigger(name)
        await scheduler.asettle()
        counts = await census_of(scheduler._control.engine("test").machine).take()
        words = ["finished" if timer["finished"] else timer["state"] for timer in scheduler.list()]
    assert {word: count for word, count in counts.timers.items() if count} == {
        word: words.count(word) for word in words
    }
    assert set(words) == {"scheduled", "paused", "running", "finished", "retrying", "dead"}
    assert (counts.running, counts.waiting) == (
        1,
        {**dict.fromkeys(WAITS, 0), "overlap": 1, "retry": 1},
    )


async def test_a_timer_without_its_callable_is_an_orphan() -> None:
    state = State()
    add(state, "a", "b")
    assert (await Census(state, Capacity(state)).take()).timers["orphaned"] == 2


@pytest.mark.parametrize("slices", [1, 7, 64])
async def test_timers_that_come_and_go_meanwhile_do_not_confuse_it(
    slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that was there all the time is counted once; the others may be or not."""
    monkeypatch.setattr(census, "SLICE", slices)
    monkeypatch.setattr(census, "STRIDE", 2)
    state, size = State(), 301
    add(state, *(f"t{number}" for number in range(size)))
    taking = asyncio.ensure_future(Census(state, Capacity(state)).take())
    changes = 0
    while not taking.done():
        await asyncio.sleep(0)
        if changes < 40:
            changes += 1
            add(state, f"new{changes}")
    count = taking.result().timers["orphaned"]
    assert size <= count <= size + changes


async def test_a_census_that_took_long_is_shown_again_for_a_while() -> None:
    state = State()
    add(state, "a")
    counter = Census(state, Capacity(state))
    first = await counter.take()
    counter._again_s += 60  # as if it had taken 0.6 s
    add(state, "b")
    assert await counter.take() is first
    counter._again_s -= 120
    assert (await counter.take()).timers["orphaned"] == 2


async def test_many_askers_share_one_census() -> None:
    state = State()
    add(state, *(f"t{number}" for number in range(5_000)))
    counter = Census(state, Capacity(state))
    counts = await asyncio.gather(*(counter.take() for _ in range(5)))
    assert counts[0].timers["orphaned"] == 5_000
    assert all(each is counts[0] for each in counts)
