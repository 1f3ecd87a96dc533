"""Transcripts: a Machine played through simulated time, and what it is to say at each moment.

A transcript is a text file; `play` runs one and raises `Mismatch` at the first line that is not so.

    # A run still open when the timer falls due again is skipped; the schedule does not drift.
    at 0   schedule backup every=10s overlap=skip   -> TIMER_CREATED next=10
    at 10                                           -> RUN_DUE 1, RUN_STARTED 1
    at 20                                           -> RUN_SKIPPED_OVERLAP by=1
    at 25  finish 1                                 -> RUN_SUCCEEDED 1

Between two lines the machine is looked at whenever it asks for it, and must then have nothing to
say. Every step is proved on the way (`Player.step`).

A time is seconds after `BASE` ("90", "1h"), after the line before ("+5"), an ISO instant, or
`next`: the machine's next deadline. Events: fields that are not named are not compared; a bare
number is the run (1 is the first RUN_DUE), a bare word the timer; `...` stands for any events.
`ANSWER x` is what the line's commands were answered, `STATUS name word next=` what people see.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from kron.core import commands as c
from kron.core.duration import parse_duration
from kron.core.errors import KronError
from kron.core.events import TAGS, Event, RunDue
from kron.core.instants import from_us, parse_instant
from kron.core.machine import Answer
from kron.core.model import RunState
from kron.core.things import Run
from kron.core.views import timer_status

from .player import BASE_US, Mismatch, Player

LOG_ID = "0" * 32


# -- reading a transcript -----------------------------------------------------------------------


def play(text: str) -> Player:
    """Run a transcript; returns the player as it stands at the end. Raises Mismatch."""
    player = Player()
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _is_line(line)]
    if not re.search(r"^at \S+ +(start|offline|concurrency)\b", lines[0][1]):
        player.start()
    for number, line in lines:
        try:
            _play_line(player, line)
        except (AssertionError, KronError, LookupError, ValueError) as exc:
            raise Mismatch(f"line {number}: {line}\n{type(exc).__name__}: {exc}") from exc
    return player


def _is_line(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _play_line(player: Player, line: str) -> None:
    doing, arrow, expected = line.partition("->")
    at, when, *rest = doing.split(None, 2)
    assert at == "at", "a line begins with `at TIME`"
    commands = [shlex.split(each) for each in rest[0].split(";")] if rest else []
    us = _line_time(player, when)
    if commands and commands[0] in (["blocked"], ["suspended"]):
        player.slept_us += us - player.us if commands[0] == ["suspended"] else 0
        player.us, commands = us, commands[1:]
    else:
        early = player.advance(us)
        assert not early, f"before this line came {_shown(player, early)}"
    player.answers = []
    found = _do(player, commands)
    wanted = [each.strip() for each in expected.split(",")] if arrow else []
    _compare(player, wanted, found)


def _do(player: Player, commands: list[list[str]]) -> list[Event]:
    events: list[Event] = []
    inbox: list[c.Command] = []
    is_refused = commands[:1] == [["refused"]]
    for verb, *words in commands[is_refused:]:
        if verb == "start" and is_refused:
            inbox += player.start_commands()
        elif verb in _WORLD:
            events += player.turn(*inbox) if inbox else []
            inbox = []
            events += _WORLD[verb](player, *words) or []
        else:
            inbox.append(_command(player, verb, words))
    if is_refused:
        player.refuse(*inbox)
        return events
    return events + player.turn(*inbox)


def _step_wall(player: Player, by: str) -> None:
    player.stepped_us += _signed_us(by)


def _set_limit(player: Player, limit: str) -> None:
    player.limit = int(limit)


def _set_concurrency(player: Player, limit: str) -> None:
    player.max_concurrency = int(limit)


def _set_threads(player: Player, free: str) -> None:
    player.machine.capacity.free_threads = int(free)


def _start(player: Player, *names: str) -> list[Event]:
    return player.start(set(names[1:]) if names else None)


_WORLD: dict[str, Callable[..., list[Event] | None]] = {
    "start": _start,  # `start only a b` registers a and b alone
    "crash": Player.crash,
    "wall": _step_wall,
    "limit": _set_limit,
    "concurrency": _set_concurrency,  # of the next process
    "threads": _set_threads,
    "offline": lambda player: None,
}

_NAMED: dict[str, Callable[..., c.Command]] = {
    "pause": c.Pause,
    "resume": c.Resume,
    "trigger": c.Trigger,
    "remove": c.Remove,
    "backfill": c.Backfill,
    "pause-many": lambda names, **options: c.PauseMany(tuple(names.split("+")), **options),
    "resume-many": lambda names, **options: c.ResumeMany(tuple(names.split("+")), **options),
}
_OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "for": ("for_us", lambda text: _signed_us(text)),
    "until": ("until_us", lambda text: _moment_us(text)),
    "since": ("since_us", lambda text: _moment_us(text)),
    "concurrency": ("concurrency", int),
    "force": ("is_forced", lambda text: text == "yes"),
}
"""Of the commands that name a timer: what they are told, and how a line writes it."""
_NUMBERS = ("max_attempts", "weight", "priority", "key_limit")
_PLAIN: dict[str, type[c.Drain | c.StopRuns | c.AbandonRuns]] = {
    "drain": c.Drain,
    "stop-runs": c.StopRuns,
    "abandon": c.AbandonRuns,
}
_OUTCOMES = {
    "finish": c.Outcome.SUCCEEDED,
    "fail": c.Outcome.FAILED,
    "cancelled": c.Outcome.CANCELLED,
}


def _command(player: Player, verb: str, words: list[str]) -> c.Command:
    plain = [word for word in words if "=" not in word]
    options: dict[str, Any] = dict(word.split("=", 1) for word in words if "=" in word)
    cmd = options.pop("cmd", "")
    if verb == "schedule":
        return _schedule(player, plain[0], cmd, options)
    if verb == "cancel" and plain[0].isdigit():
        return c.CancelRun(player.runs[int(plain[0]) - 1], cmd_id=cmd)
    if verb == "cancel":
        return c.Cancel(plain[0], cmd)
    if verb == "stopped":
        return c.Stopped(f"boot{player.life}")
    if verb == "linger":
        lingering = player.machine.state.runs[player.runs[int(plain[0]) - 1]]
        return c.Linger(lingering.id, lingering.attempt)
    if verb in _PLAIN:
        return _PLAIN[verb]()
    if verb in _OUTCOMES:
        run = player.runs[int(plain[0]) - 1]
        open_run = player.machine.state.runs.get(run)
        attempt = int(options.get("attempt", open_run.attempt if open_run else 1))
        error = options.get("error", "Oops" if verb == "fail" else "")
        took_us = _took_us(player, open_run, options)
        return c.FinishRun(run, attempt, _OUTCOMES[verb], took_us, error)
    if verb == "remove":
        player.program.pop(plain[0], None)
    given = dict(_option(key, value) for key, value in options.items())
    return _NAMED[verb](plain[0], **given, cmd_id=cmd)


def _took_us(player: Player, run: Run | None, options: dict[str, str]) -> int:
    """What `took=` says, else a millisecond; all the time since its start, if it was stopped."""
    if "took" in options:
        return _signed_us(options["took"])
    is_stopped = run is not None and run.state is RunState.STOPPING
    return player.wall_us - (run.started_us or 0) if run is not None and is_stopped else 1000


def _option(key: str, value: str) -> tuple[str, object]:
    field, read = _OPTIONS.get(key, (key, str))
    return field, read(value)


def _schedule(player: Player, name: str, cmd: str, options: dict[str, Any]) -> c.Schedule:
    called = options.pop("called", None)
    if options.get("at", "T").find("T") < 0:
        options["at"] = from_us(BASE_US + _signed_us(options["at"]))
    options |= {key: int(options[key]) for key in _NUMBERS if key in options}
    if options.pop("thread", "no") == "yes":
        options["is_threaded"] = True
    called_us = None if called is None else BASE_US + _signed_us(called)
    for bound in ("not_before", "not_after"):
        if bound in options:
            options[bound] = from_us(_moment_us(options[bound]) or 0)
    if "exclude" in options:
        options["exclude"] = options["exclude"].split(",")
    return player.schedule(name, called_us, cmd, **options)


# -- comparing ----------------------------------------------------------------------------------


def _compare(player: Player, wanted: list[str], found: list[Event]) -> None:
    views = [each for each in wanted if each.startswith(("ANSWER", "STATUS"))]
    events = [each for each in wanted if each and each not in views]
    difference = f"expected {', '.join(events) or 'nothing'}\ngot      {_shown(player, found)}"
    remaining = list(found)
    for place, each in enumerate(events):
        if each == "...":
            keep = len(events) - place - 1
            remaining = remaining[len(remaining) - keep :]
            continue
        assert remaining and _fits(player, each, remaining.pop(0)), difference
    assert not remaining, difference
    answers = iter(player.answers)
    for view in views:
        _check_view(player, view, answers)


def _check_view(player: Player, view: str, answers: Iterator[Answer]) -> None:
    kind, first, *rest = view.split()
    if kind == "ANSWER":
        value = next(answers).value
        shown = type(value).__name__ if isinstance(value, KronError) else str(value)
        assert shown == first, f"answered {shown}"
        return
    state, now = player.machine.state, player.machine.now
    capacity = player.machine.capacity if player.machine.is_live else None
    timer = state.timers[first]
    status = timer_status(state, timer, now, LOG_ID, capacity=capacity, fn_name=None)
    for each in rest:
        key, _, value = each.rpartition("=")
        if key == "next":
            at = status["next_run_at"]
            next_us = at and parse_instant(at, None, argument="next")
            assert next_us == _moment_us(value), f"next_run_at is {at}"
        else:
            shown = str(dict(status)[key or "state"])
            assert shown.replace(" ", "_") == value, f"{key or 'state'} is {shown}"


def _fits(player: Player, wanted: str, event: Event) -> bool:
    tag, *words = wanted.split()
    if TAGS[type(event)] != tag:
        return False
    return all(_has(player, event, word) for word in words)


def _has(player: Player, event: Event, word: str) -> bool:
    key, equals, value = word.partition("=")
    if not equals:
        return word in (str(_ordinal(player, event)), getattr(event, "timer", ""))
    if key == "by":
        return getattr(event, "by_run", None) == player.runs[int(value) - 1]
    if key == "delta":
        return getattr(event, "delta_us", None) == _signed_us(value)
    if hasattr(event, f"{key}_us"):
        return _is_near(getattr(event, f"{key}_us"), value)
    return str(getattr(event, key)) == value


def _is_near(us: int | None, wanted: str) -> bool:
    value, _, tolerance = wanted.partition("~")
    wanted_us = _moment_us(value)
    if us is None or wanted_us is None:
        return us == wanted_us
    return abs(us - wanted_us) <= (_signed_us(tolerance) if tolerance else 0)


def _ordinal(player: Player, event: Event) -> int | None:
    """Which run the event is about: 1 for the first RUN_DUE of the transcript."""
    if isinstance(event, RunDue):
        return next(place for place, due in enumerate(player.dues, 1) if due is event)
    run = getattr(event, "run", None)
    return player.runs.index(run) + 1 if run in player.runs else None


def _shown(player: Player, events: list[Event]) -> str:
    return ", ".join(_text(player, event) for event in events) or "nothing"


def _text(player: Player, event: Event) -> str:
    words = [TAGS[type(event)], str(_ordinal(player, event) or "")]
    for name, value in event._asdict().items():
        if name.endswith("_us") and name not in ("took_us", "delta_us"):
            value = "none" if value is None else f"{(value - BASE_US) / 1e6:g}"
        if name not in ("definition", "run", "cmd", "boot", "pid", "version"):
            words.append(f"{name.removesuffix('_us')}={value}")
    return " ".join(filter(None, words))


# -- times --------------------------------------------------------------------------------------


def _line_time(player: Player, when: str) -> int:
    if when == "next":
        due_us = player.due()
        assert due_us is not None, "nothing is due"
        return due_us
    if when.startswith("+"):
        return player.us + _signed_us(when)
    moment_us = _moment_us(when)
    assert moment_us is not None
    return moment_us - BASE_US - (player.stepped_us if "T" in when else 0)


def _moment_us(text: str) -> int | None:
    """An instant of the wall clock: seconds or a duration after BASE, ISO, or `none`."""
    if text == "none":
        return None
    if "T" in text:
        return parse_instant(text, None, argument="time")
    return BASE_US + _signed_us(text)


def _signed_us(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    seconds = float(bare) if re.fullmatch(r"[0-9.]+", bare) else None
    return sign * parse_duration(bare if seconds is None else seconds, argument="", allow_zero=True)
