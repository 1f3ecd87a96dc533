"""Cron as cronie has it: `load_user`, `load_env`, `load_entry`, `do_command`, after the C source.

Written apart from Kron's own reader, to be asked about what Kron writes.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

MAX_GARBAGE = 32768
MAX_COMMAND = 1000  # Vixie's; cronie itself takes more
SPACE = " \t\n\v\f\r"
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat sun".split()
ALIASES = {
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "monthly": "0 0 1 * *",
    "weekly": "0 0 * * 0",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "hourly": "0 * * * *",
}


class BadCrontab(Exception):
    """cron would refuse the line, or the file."""


class Job(NamedTuple):
    fields: list[set[int]]
    is_either: bool
    env: dict[str, str]
    command: str
    stdin: str
    raw: str

    @property
    def zone(self) -> str:
        return self.env["CRON_TZ"]

    def next(self, after: datetime, count: int) -> list[datetime]:
        """The next readings of the zone's clock."""
        return list(islice(self._all(after), count))

    def _all(self, after: datetime) -> Iterator[datetime]:
        minutes, hours, *_ = self.fields
        for ahead in range(366 * 9):
            day = after.date() + timedelta(days=ahead)
            if not self._has(day):
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    at = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001
                    if at > after:
                        yield at

    def _has(self, day: date) -> bool:
        _, _, month_days, months, weekdays = self.fields
        by_date, by_weekday = day.day in month_days, day.isoweekday() % 7 in weekdays
        is_day = by_date or by_weekday if self.is_either else by_date and by_weekday
        return day.month in months and is_day

    def run(self, home: Path, **base: str) -> bytes:
        """What it prints."""
        env = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": str(home), **base, **self.env}
        done = subprocess.run(
            [env["SHELL"], "-c", self.command],
            input=self.stdin.encode(),
            env=env,
            cwd=env["HOME"],
            stdout=subprocess.PIPE,
            timeout=20,
            check=True,
        )
        return done.stdout


def load(text: str) -> list[Job]:
    if not text.endswith("\n"):
        raise BadCrontab("missing newline before EOF")
    env: dict[str, str] = {}
    jobs: list[Job] = []
    garbage_bytes = 0
    for line in text.removesuffix("\n").split("\n"):
        bare = line.lstrip(" \t")
        if not bare or bare[0] == "#":
            garbage_bytes += len(line.encode()) + 1
            if garbage_bytes > MAX_GARBAGE:
                raise BadCrontab("too many garbage characters")
            continue
        garbage_bytes = 0
        setting = load_env(bare)
        if setting:
            env = {**env, setting[0]: setting[1]}
        else:
            jobs.append(load_entry(bare, env))
    return jobs


def load_env(line: str) -> tuple[str, str] | None:
    """The machine with its states NAMEI, NAME, EQ1, EQ2, VALUEI, VALUE, FINI, ERROR."""
    state, quote, at, name, value = 0, "", 0, "", ""
    while state < 7 and at < len(line):
        c = line[at]
        if state in (0, 4):
            if c in "'\"":
                quote = c
                at += 1
            state += 1
            if at == len(line):
                break
            c = line[at]
        if state in (1, 5):
            if quote and c == quote:
                state += 1
                at += 1
            elif quote and state == 1 and c == "=":
                state = 7
            elif not quote and state == 1 and c in SPACE:
                state += 1
                at += 1
            elif not quote and state == 1 and c == "=":
                state += 1
            else:
                name, value = (name + c, value) if state == 1 else (name, value + c)
                at += 1
        elif state == 2:
            if c == "=":
                state, quote = 3, ""
            elif c not in SPACE:
                state = 7
            at += 1
        elif c in SPACE:
            at += 1
        else:
            state += 1
    if state not in (3, 6) and not (state == 5 and not quote):
        return None
    return name, value.rstrip(SPACE) if state == 5 else value


def load_entry(line: str, env: dict[str, str]) -> Job:
    line = line.removeprefix("-")
    if line.startswith("@"):
        word, command = re.split(r"[ \t]+", line, maxsplit=1)
        when = ALIASES[word[1:]].split()
    else:
        *when, command = re.split(r"[ \t]+", line, maxsplit=5)
    lows, highs = (0, 0, 1, 1, 0), (59, 23, 31, 12, 7)
    names: list[list[str]] = [[], [], [], MONTHS, DAYS]
    fields = [get_list(*each) for each in zip(when, lows, highs, names, strict=True)]
    if fields[4] & {0, 7}:
        fields[4] |= {0, 7}
    if not command or command[0] in "*-":
        raise BadCrontab(f"bad command in {line}")
    if len(command.encode()) >= MAX_COMMAND:
        raise BadCrontab("the command is cut")
    return Job(fields, not (when[2][0] == "*" or when[4][0] == "*"), env, *split(command), command)


def get_list(text: str, low: int, high: int, names: list[str]) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9]+))?", item)
        if not match or (match[1] and match[3] and not match[2]):
            raise BadCrontab(f"bad item {item}")
        first, last = (number(each, low, names) if each else None for each in match.groups()[:2])
        start = low if first is None else first
        end = high if first is None else first if last is None else last
        values = range(start, end + 1, int(match[3] or 1))
        if not values or start < low or end > high:
            raise BadCrontab(f"bad item {item}")
        found |= set(values)
    return found


def number(text: str, low: int, names: list[str]) -> int:
    if text.isdigit():
        return int(text)
    if text.lower() not in names:
        raise BadCrontab(f"bad value {text}")
    return names.index(text.lower()) + low


def split_debian(text: str) -> str:
    """The command of a line without input, as Debian's cron 3.0pl1 has it: a backslash takes the
    `%` or the backslash behind it."""
    kept, rest = "", text
    while rest:
        if rest[0] == "%":
            raise BadCrontab("the command ends here")
        if rest[0] == "\\" and len(rest) > 1:
            kept += rest[1] if rest[1] in "%\\" else rest[:2]
            rest = rest[2:]
        else:
            kept, rest = kept + rest[0], rest[1:]
    return kept


def split(text: str) -> tuple[str, str]:
    """The command, and its input; character by character, as `do_command` does it twice."""
    parts: list[str] = [""]
    is_escaped = False
    for c in text:
        if is_escaped and c != "%":
            parts[-1] += "\\"
        if c == "%" and not is_escaped:
            if len(parts) == 1:
                parts.append("")
            else:
                parts[-1] += "\n"
            continue
        is_escaped = c == "\\"
        if not is_escaped:
            parts[-1] += c
    if is_escaped:
        parts[-1] += "\\"
    given = "".join(parts[1:])
    return parts[0], given + "\n" if given and given[-1] != "\n" else given
