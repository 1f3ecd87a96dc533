"""The record that the worker keeps outside of Kron, and what must follow from it."""

import json
from collections import defaultdict
from typing import NamedTuple

GONE = None


class Shown(NamedTuple):
    """What a start must show of a timer: the `schedule()` it is from, and whether it is paused."""

    version: str
    is_paused: bool


class Outside:
    """The record, read; `problems` gathers what contradicts it.

    For each churned timer the states it may be in are followed call by call: an acknowledged call
    had its effect, one that was asked and never answered (the process was killed) may have had it
    or not, and every `list` after a start settles it.
    """

    def __init__(self, lines):
        self.lines = [json.loads(line) for line in lines]
        self.problems = []
        self.shots = {}
        self.settled = 0
        self.ran = self.of("ran")
        self.began_from_snapshots = 0
        self.interrupted_compactions = 0
        self._states = defaultdict(lambda: {GONE})
        self._open = {}
        self._compacting = 0
        self._compacted = 0
        for line in self.lines:
            getattr(self, f"_read_{line['what']}")(line)

    def of(self, what):
        return [line for line in self.lines if line["what"] == what]

    def _read_start(self, line):
        """A new process: what the old one had asked and not heard of may or may not have been."""
        for call in self._open.values():
            if call["verb"] != "shot":
                before = self._states[call["name"]]
                self._states[call["name"]] = before | after(before, call, False)
        self._open.clear()
        self.interrupted_compactions += self._compacting > 0
        self._compacting = 0

    def _read_ask(self, line):
        self._open[line["call"]] = line

    def _read_ack(self, line):
        call = self._open.pop(line["call"])
        if call["verb"] == "shot":
            self.shots[call["name"]] = call["options"]
            return
        states = after(self._states[call["name"]], call, line["unknown"])
        if not states:
            self.problems.append(
                f"{call['verb']} {call['name']} was answered with unknown={line['unknown']},"
                f" though the timer must have been one of {self._states[call['name']]}"
            )
        self._states[call["name"]] = states or {GONE}

    def _read_list(self, line):
        """What a start found is what was acknowledged, or what was asked last."""
        rows = line["rows"]
        for name, states in self._states.items():
            found = GONE
            if name in rows:
                state, version = rows[name]
                found = Shown(version, state == "paused")
            if found not in states:
                self.problems.append(f"{name} is {found} after a start; it must be in {states}")
            self._states[name] = {found}
            self.settled += 1
        lost = [name for name in self.shots if name not in rows]
        if lost:
            self.problems.append(f"acknowledged one-shots are gone after a start: {lost}")

    def _read_ignored(self, line):
        pass

    _read_ran = _read_found = _read_done = _read_ignored

    # -- compactions ---------------------------------------------------------------------------

    def _read_compacting(self, line):
        self._compacting += 1

    def _read_compacted(self, line):
        self._compacting -= 1
        self._compacted = max(self._compacted, line["record"])

    def _read_began(self, line):
        """A start begins from the newest snapshot, and one that was acknowledged is there."""
        newest = max(line["snapshots"], default=0)
        if line["problems"] or line["record"] != newest:
            self.problems.append(f"a start passed the newest snapshot over: {line}")
        if newest < self._compacted:
            self.problems.append(f"the snapshot of record {self._compacted} is gone: {line}")
        self.began_from_snapshots += newest > 0


def after(states, call, is_unknown):
    """The states a timer may be in after the call, of those in which it could have that answer."""
    verb = call["verb"]
    if verb == "schedule":
        return {Shown(call["version"], state is not GONE and state.is_paused) for state in states}
    if is_unknown:
        return states & {GONE}
    there = states - {GONE}
    if verb == "remove":
        return {GONE} if there else set()
    if verb in ("pause", "resume"):
        return {state._replace(is_paused=verb == "pause") for state in there}
    return there
