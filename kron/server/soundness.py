"""What a whole log says that should not be so: moments without an event, timers that cannot run."""

from __future__ import annotations

from kron.core.decide_clock import unknown_zones
from kron.core.state import State
from kron.storage.datadir import DataDir
from kron.storage.segments import LOG_NAME

from .diagnosis import Problem, problem_of
from .survey import Survey


def unsound(place: DataDir, found: Survey) -> list[Problem]:
    """Due moments without an event or with two, and timers that cannot be carried out here. No
    start is refused for them, and no repair mends them."""
    problems = [
        problem_of(
            problem, place.show(LOG_NAME), "the ledger is not whole: see docs/ledger.md", None
        )
        for problem in found.audit.problems
    ]
    meaning = "it does not run; install the zone (python -m pip install tzdata), or change it"
    for name, zone in invalid_timers(found.machine.state):
        what = f"timer {name} is invalid: the time zone {zone} is not known on this machine"
        problems.append(problem_of(what, place.shown, meaning, None))
    return problems


def invalid_timers(state: State) -> list[tuple[str, str]]:
    """Timers whose time zone the machine of the latest process does not know, with the zone."""
    unknown = unknown_zones(state)
    return [
        (timer.name, timer.definition.terms.timezone)
        for timer in state.timers.values()
        if timer.definition.needs_zone and timer.definition.terms.timezone in unknown
    ]
