"""Random histories: every step is undone and replayed (`Player`), and the ledger must be whole."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from kron.core import commands as c
from kron.core.errors import ScheduleError
from kron.core.fields import Cron
from kron.core.model import RunState
from kron.core.things import Run
from kron.testing.player import BASE_US, Player
from tests.ledger import check

SECOND = 1_000_000
NAMES = "abcdef"
DAY = 86_400
SEEDS = [*range(60), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(60, 1500))]
MOVES = 120
WORLDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 110))]
STEPS = 100
CARRIED_OUT = (RunState.RUNNING, RunState.STOPPING)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_history_keeps_its_ledger(seed: int) -> None:
    world = World(seed)
    for _ in range(MOVES):
        world.move()
    assert faults_of(world.player) == []


@pytest.mark.parametrize("seed", WORLDS)
def test_random_clock_steps_repeat_nothing_and_lose_nothing(seed: int) -> None:
    world = World(seed)
    world.set_up_clocks()
    for _ in range(STEPS):
        world.step_clock()
    assert faults_of(world.player) == []


@pytest.mark.parametrize("seed", WORLDS)
def test_jobs_that_fail_are_tried_until_their_windows_end(seed: int) -> None:
    world = Jobs(seed)
    for _ in range(MOVES):
        world.move()
    assert faults_of(world.player) == []


def faults_of(player: Player) -> list[str]:
    records = [json.loads(payload) for payload in player.log]
    orphans = set(player.shadow.state.timers) - player.bound
    limits = player.limits
    return check(records, end_us=player.end_us, orphans=orphans, limits=limits)


class World:
    """A program that does anything at any time, on a machine that fails now and then."""

    outcomes = (6, 3, 1)

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.player = Player()
        self.player.max_concurrency = self.random.choice((None, 3, 5))
        self.player.start()
        self.player.has_ties = True
        self.sent: list[c.Command] = []
        self.in_threads: list[tuple[int, int]] = []
        self.moves = [
            (20, self.schedule),
            (24, self.end_runs),
            (8, self.trigger),
            (6, self.pause_or_resume),
            (2, self.pause_many),
            (4, self.backfill),
            (6, self.linger),
            (5, self.end_thread),
            (5, self.cancel),
            (3, self.remove),
            (30, self.wait),
            (4, self.block),
            (2, self.suspend),
            (4, self.step_wall),
            (1, self.step_far),
            (4, self.crash),
            (2, self.shut_down),
            (4, self.refuse),
            (3, self.repeat),
        ]

    def move(self) -> None:
        weights = [weight for weight, _ in self.moves]
        self.random.choices(self.moves, weights)[0][1]()

    def send(self, *commands: c.Command) -> None:
        player = self.player
        player.limit = self.random.choice((64, 4096))
        self.sent += [each for each in commands if each.cmd_id]
        player.turn(*commands)
        self.keep_within_limits()
        for name in NAMES:
            if name not in player.shadow.state.timers:
                player.program.pop(name, None)

    def name(self) -> str:
        return self.random.choice(NAMES)

    def cmd(self) -> str:
        return self.random.choice(("", f"cmd{self.random.randrange(10**9)}"))

    def command(self) -> c.Schedule:
        pick, zones = self.random.choice, ("Europe/Berlin", "America/New_York")
        selector: dict[str, Any] = pick(
            [
                {"every": pick((5, 7.5, 60))},
                {"every": pick((5, 7.5, 60))},
                {"cron": pick(("* * * * *", "*/10 * * * * *", "*/7 * * * *", "0 * * * *"))},
                {"cron": "30 2 * * *", "timezone": pick(zones), "dst": pick(("once", "skip"))},
                {"cron": pick(FIELDS), "timezone": pick((*zones, None))},
                {"every": pick(("minute", "hour", "day", "week", "month"))},
                {"after": pick((0, 3, 90))},
                {"at": _text(self.player.wall_us + pick((-90, -30, 0, 20, 600)) * SECOND)},
            ]
        )
        options = {
            **selector,
            **self.terms(is_recurring=not selector.keys() & {"after", "at"}),
            "overlap": pick(("delay", "delay", "skip", "allow", "restart")),
            "max_attempts": pick((1, 2, 3)),
            "retry_delay": pick((0, 1, 20)),
            **self.limits(),
        }
        if self.random.random() < 0.5:
            options["retry_until"] = "window"  # of a cadence; to the others it means nothing
        name, cmd = self.name(), self.cmd()
        try:
            return self.player.schedule(name, None, cmd, **options)
        except ScheduleError as exc:
            assert "leaves out every moment" in str(exc)
            del options["exclude"]
            return self.player.schedule(name, None, cmd, **options)

    def terms(self, *, is_recurring: bool) -> dict[str, Any]:
        """What a definition may say about its moments besides; most say little."""
        pick, now_us = self.random.choice, self.player.wall_us
        terms: dict[str, Any] = {
            "missed": pick(("once", "all", "skip")),
            "grace": pick((2, 45, 1800, 100_000)),
            "jitter": pick((0.5, 4)),
        }
        if is_recurring:
            terms["exclude"] = pick(EXCLUDES)
            terms["not_before"] = _text(now_us + pick((-60, 33, 900, DAY)) * SECOND)
            terms["not_after"] = _text(now_us + pick((2 * DAY, 3 * DAY)) * SECOND)
            if self.random.random() < 0.3:
                terms["not_after"] = _text(now_us + pick((DAY, 2 * DAY)) * SECOND)
        return {name: value for name, value in terms.items() if self.random.random() < 0.25}

    def limits(self) -> dict[str, Any]:
        """What a definition may say about how its runs share the machine."""
        pick = self.random.choice
        limits: dict[str, Any] = {
            "timeout": pick((1, 10, 600)),
            "weight": pick((1, 2, 3)),
            "priority": pick((0, 5, 5, 9)),
            "key": pick(("db", "db", "net")),
        }
        given = {name: value for name, value in limits.items() if self.random.random() < 0.25}
        if "key" in given and self.random.random() < 0.3:
            given["key_limit"] = 2
        return given

    def keep_within_limits(self) -> None:
        """What the log cannot tell, because of threads that go on: as the machine counts it."""
        capacity, machine = self.player.machine.capacity, self.player.machine
        if capacity.max_concurrency is not None:
            assert capacity.used <= capacity.max_concurrency
        if capacity.is_followed:
            under_way = sum(run.is_under_way for run in machine.state.runs.values())
            assert len(capacity._held) == under_way + len(machine.lingering)

    def schedule(self) -> None:
        self.send(self.command())

    def trigger(self) -> None:
        self.send(c.Trigger(self.name(), self.cmd()))

    def pause_or_resume(self) -> None:
        if self.random.random() < 0.6:
            self.send(c.Resume(self.name(), cmd_id=self.cmd()))
        else:
            self.send(c.Pause(self.name(), *self.pause_terms(), cmd_id=self.cmd()))

    def pause_terms(self) -> tuple[int | None, int | None, str]:
        """For how long or until when, and why; mostly neither."""
        pick, how = self.random.choice, self.random.random()
        for_us = pick((1, 40, 700)) * SECOND if how < 0.25 else None
        until_us = self.player.wall_us + pick((-5, 15, 900)) * SECOND if how > 0.75 else None
        return for_us, until_us, pick(("", "", "why"))

    def pause_many(self) -> None:
        names = tuple(self.random.sample(NAMES, 3))
        if self.random.random() < 0.5:
            self.send(c.ResumeMany(names, cmd_id=self.cmd()))
        else:
            self.send(c.PauseMany(names, *self.pause_terms(), cmd_id=self.cmd()))

    def backfill(self) -> None:
        pick, now_us = self.random.choice, self.player.wall_us
        since_us = now_us - pick((20, 100, 1000, DAY // 4, 2 * DAY)) * SECOND
        until_us = now_us - pick((-60, 0, 0, 10)) * SECOND
        name, is_forced = self.name(), self.random.random() < 0.2
        self.send(c.Backfill(name, since_us, until_us, is_forced, pick((1, 1, 2)), self.cmd()))

    def linger(self) -> None:
        """Nothing can stop an attempt whose time is up: it goes on in its thread."""
        machine = self.player.machine
        runs = machine.state.runs.values()
        stopping = [run for run in runs if run.stop_reason == "timeout" and run.is_under_way]
        if stopping and machine.is_live:
            attempts = [(run.id, run.attempt) for run in stopping]
            self.in_threads += attempts
            self.send(*(c.Linger(*each) for each in attempts))

    def end_thread(self) -> None:
        """A thread that has gone on ends; its process may have died since."""
        if self.in_threads and self.player.machine.is_live:
            picked = self.in_threads.pop(self.random.randrange(len(self.in_threads)))
            self.send(c.FinishRun(*picked, self.random.choice(list(c.Outcome)), 1000, "late"))

    def remove(self) -> None:
        self.send(c.Remove(self.name(), self.cmd()))

    def cancel(self) -> None:
        runs = list(self.player.machine.state.runs)
        if runs and self.random.random() < 0.5:
            self.send(c.CancelRun(self.random.choice(runs), cmd_id=self.cmd()))
        else:
            self.send(c.Cancel(self.name(), self.cmd()))

    def end_runs(self) -> None:
        machine = self.player.machine
        runs = [run for run in machine.state.runs.values() if run.state in CARRIED_OUT]
        picked = self.random.sample(runs, min(len(runs), self.random.choice((1, 1, 2, 99))))
        stale = self.random.random() < 0.1
        outcomes = self.random.choices(list(c.Outcome), self.outcomes, k=len(picked))
        if machine.is_live:
            self.send(
                *(
                    c.FinishRun(run.id, run.attempt - stale, outcome, self.took_us(run), "Oops")
                    for run, outcome in zip(picked, outcomes, strict=True)
                )
            )

    def took_us(self, run: Run) -> int:
        """Mostly all the time since it started; now and then it was over long before."""
        since_us = self.player.machine.took_us(run)
        return since_us if self.random.random() < 0.9 else min(since_us, 1000)

    def wait(self) -> None:
        self.player.advance(self.player.us + self.random.choice((1, 10, 61, 300)) * SECOND // 2)
        self.player.turn()

    def block(self) -> None:
        self.player.us += self.random.choice((7, 100, 4000)) * SECOND
        self.player.turn()

    def suspend(self) -> None:
        slept_us = self.random.choice((7, 100, 4000, 50_000)) * SECOND
        self.player.us += slept_us
        self.player.slept_us += slept_us
        self.player.turn()

    def step_far(self) -> None:
        """By days: back, and a new era begins."""
        days = self.random.choice((-30, -3, -1, -0.2, -0.13, 0.2, 1, 3, 30))
        self.player.stepped_us += round(days * DAY) * SECOND
        if self.random.random() < 0.5:
            self.player.turn()
        else:
            self.crash()

    def step_wall(self) -> None:
        steps = (-7200, -60, -1, -0.04, -0.03, 0.03, 0.04, 1, 60, 7200)
        self.player.stepped_us += round(self.random.choice(steps) * SECOND)
        self.player.turn()

    def crash(self) -> None:
        self.player.crash()
        self.player.us += self.random.choice((0, 3, 500, 90_000)) * SECOND
        if self.random.random() < 0.3:
            self.random.choice((self.trigger, self.pause_or_resume, self.cancel, self.remove))()
        names = {name for name in NAMES if self.random.random() < 0.8}
        self.player.limit = self.random.choice((64, 4096))
        self.player.max_concurrency = self.random.choice((None, None, 3, 4))
        self.in_threads = []  # a later process has no such attempt
        for _ in range(self.random.choice((0, 0, 1, 3))):
            self.command()  # it comes back with another line in its program
        self.player.start(names)

    def shut_down(self) -> None:
        player = self.player
        self.send(c.Drain())
        self.wait()
        self.end_runs()
        self.send(c.StopRuns())
        if self.random.random() < 0.3:
            self.crash()
            return
        self.end_runs()
        self.send(c.AbandonRuns())
        self.send(c.Stopped(f"boot{player.life}"))
        player.crash()
        player.us += self.random.choice((0, 100, 5000)) * SECOND
        self.in_threads = []
        player.start()

    def refuse(self) -> None:
        program, bound = dict(self.player.program), set(self.player.bound)
        commands = [self.command(), c.Remove(self.name()), c.Trigger(self.name())]
        commands += [c.Drain(), c.StopRuns(), c.Cancel(self.name())]
        self.player.refuse(*self.random.sample(commands, 3))
        self.player.program, self.player.bound = program, bound
        self.player.turn()

    # -- clocks alone ----------------------------------------------------------------------------

    def set_up_clocks(self) -> None:
        selectors: list[dict[str, Any]] = [
            {"cron": "*/20 * * * *", "overlap": "skip"},
            {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "missed": "all"},
            {"every": "20m", "overlap": "skip", "missed": self.random.choice(("once", "skip"))},
            {"every": "30m"},
            {"cron": Cron(hour="*/4"), "overlap": "allow", "exclude": "sat-sun"},
            {"every": "hour", "overlap": "skip", "grace": "10m"},
        ]
        for name, selector in zip(NAMES, self.random.sample(selectors, 4), strict=False):
            self.send(self.player.schedule(name, **selector))

    def step_clock(self) -> None:
        """One step of the wall clock, seen at once, after a sleep, or over a restart."""
        player, pick = self.player, self.random.choice
        size = pick((0.05, 0.2, 30, 1800, 7200, 10_790, 10_810, 40_000, DAY, 10 * DAY, 30 * DAY))
        player.stepped_us += round(pick((-1, 1)) * size * SECOND)
        if player.wall_us < BASE_US - 3650 * DAY * SECOND:  # a decade is enough
            player.stepped_us += 7300 * DAY * SECOND
        slept_us = pick((0, 0, 0, 5, 4000, 50_000)) * SECOND
        player.us += slept_us
        player.slept_us += slept_us
        how = self.random.random()
        if how < 0.2:
            player.start()
        elif how < 0.3:
            player.crash()
            player.us += pick((0, 3, 4000)) * SECOND
            player.start()
        else:
            player.turn()
        for _ in range(pick((0, 1, 3))):
            player.advance(player.us + pick((30, 700, 5000)) * SECOND)
            player.turn()
            self.end_runs()

    def repeat(self) -> None:
        """A command that had its effect has no second one."""
        done = [each for each in self.sent if each.cmd_id in self.player.shadow.state.commands]
        if done:
            before = self.player.machine.state.index
            player, command = self.player, self.random.choice(done)
            player.answers = []
            first = player.machine.state.commands[command.cmd_id]
            player.turn(command)
            assert player.machine.state.commands[command.cmd_id] == first
            assert len(player.answers) == 1 and player.machine.state.index <= before + 2


class Jobs(World):
    """Most of its timers are like those of [tool.scheduled], and fail most of the time."""

    outcomes = (1, 8, 1)

    def command(self) -> c.Schedule:
        pick = self.random.choice
        if self.random.random() < 0.1:
            return super().command()
        options = {
            "every": pick(("minute", "minute", "hour", "day")),
            "overlap": "skip",
            "retry_until": "window",
            "max_attempts": pick((1, 2, 3)),
            "retry_delay": pick((1, 5, 20)),
            **(self.limits() if self.random.random() < 0.3 else {}),
        }
        return self.player.schedule(self.name(), None, self.cmd(), **options)


FIELDS = (
    Cron(minute="*/7"),
    Cron(hour="*/3"),
    Cron(day_of_week="thu-sat", hour=1),
    Cron(day="last"),
    Cron(second=20),
)
EXCLUDES = (
    "thu",
    "sat-sun",
    ["2026-01-01"],
    ["2026-01-02..2026-01-03", "wed"],
    ["2025-12-01..2025-12-31", "fri"],
)


def _text(wall_us: int) -> str:
    from kron.core.instants import text

    return str(text(max(wall_us, BASE_US)))
