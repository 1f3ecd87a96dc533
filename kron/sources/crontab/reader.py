"""A user's crontab, line by line, as timers.

A line behaves as cron has it: its runs may overlap, it is tried once, and what passed while nothing
ran is gone. A `# kron:` comment above it says otherwise (`marker.py`).
"""

from __future__ import annotations

import pwd
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from kron.core.command import CommandSpec, read_env
from kron.core.definition import define
from kron.core.dst import zone
from kron.core.errors import KronError, ScheduleError, brief
from kron.core.terms import ScheduleOptions
from kron.runtime.command import Command, command
from kron.runtime.enrolment import Declaration
from kron.runtime.registry import Origin

from ..declared import Declared, Mistake, Place, Timer
from .command import CannotSay, read_command
from .lines import (
    Blank,
    Comment,
    Entry,
    Line,
    Setting,
    Wrong,
    read_lines,
    split_command,
)
from .marker import LEFT_OUT, WORDS, Marked, describe, read_marker
from .when import When, when_of

SOURCE = "crontab"
AS_CRON: ScheduleOptions = {"overlap": "allow", "max_attempts": 1, "missed": "skip"}
"""How cron treats a line."""
_MOST_BYTES = 16 * 1024 * 1024
_SHELL = "/bin/sh"
_MAIL = "Kron sends no mail; kron job logs has what a command prints"
_NOT_CARRIED_OUT = {
    "MAILTO": _MAIL,
    "MAILFROM": _MAIL,
    "CONTENT_TYPE": _MAIL,
    "CONTENT_TRANSFER_ENCODING": _MAIL,
    "NO_MAIL_OUTPUT": _MAIL,
    "RANDOM_DELAY": "give the timers a jitter= instead",
    "START_HOURS_RANGE": "it is anacron's",
    "LOGNAME": "commands run as the user that Kron runs as",
    "USER": "commands run as the user that Kron runs as",
}
"""Settings of cron itself, and why they are only noted."""


def read_crontab(data: bytes, file: str, declared: Declared, *, timezone: str = "") -> None:
    """Add what the lines of a crontab declare, and what is wrong with them. Lines before the first
    `CRON_TZ=` are in `timezone`; without one, in the machine's."""
    try:
        text = _text(data)
    except _NoText as exc:
        declared.mistakes.append(Mistake(Place(file, exc.line), "", str(exc)))
        return
    reading = _Reading(file, declared, timezone)
    if "\r\n" in text:
        reading.note(1, "", "the lines end as on Windows; cron would hand that to the commands")
    for line in read_lines(text):
        reading.take(line)
    reading.leave_behind()
    _declare(reading.jobs, file, declared)
    declared.mistakes.sort(key=lambda mistake: mistake.place.line)


class _NoText(ScheduleError):
    """Bytes that are no crontab, and the line where that shows."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def _text(data: bytes) -> str:
    if len(data) > _MOST_BYTES:
        raise _NoText(0, f"the file has {len(data):,} bytes; at most {_MOST_BYTES:,} are read")
    if (at := data.find(b"\0")) >= 0:
        raise _NoText(data.count(b"\n", 0, at) + 1, "this line holds a NUL byte: it is no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise _NoText(
            line, "this line is not UTF-8; if it is Latin-1: iconv -f latin1 -t utf-8"
        ) from exc


class _Job(NamedTuple):
    """An entry with all that holds for it."""

    line: Entry
    timezone: str
    env: dict[str, str]
    comments: list[str]


@dataclass(slots=True)
class _Reading:
    """Down a file: what the lines so far have set."""

    file: str
    declared: Declared
    default: str
    zone: str = ""
    env: dict[str, str] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    jobs: list[_Job] = field(default_factory=list)

    def take(self, line: Line) -> None:
        """One line."""
        match line:
            case Comment():
                self.comments.append(line)
                return
            case Entry(number, when="@reboot", command=text):
                said = f"@reboot is left out, Kron has no such moment: {brief(text)}"
                self.note(number, "", said)
            case Entry():
                comments = [comment.text for comment in self.comments]
                self.comments.clear()
                self.jobs.append(_Job(line, self._zone(line), {**self.env}, comments))
            case Setting():
                self._set(line)
            case Wrong(number, text):
                self.wrong(number, text)
                self.comments.clear()
            case Blank():
                pass
        self.leave_behind()

    def leave_behind(self) -> None:
        """The comments so far are about no line."""
        marks = [each for each in self.comments if each.text.startswith(WORDS)]
        why = [each.text for each in self.comments if each.text.startswith(LEFT_OUT)]
        for mark in marks:
            name = re.search(r"name=(\S+)", mark.text)
            reason = why[0] if why else f"{LEFT_OUT} no line stands below its comment"
            self.note(mark.number, name[1] if name else "", reason)
        self.comments.clear()

    def note(self, number: int, what: str, text: str) -> None:
        """What is understood, and not carried out."""
        self.declared.notes.append(Mistake(Place(self.file, number), what, text))

    def wrong(self, number: int, text: str) -> None:
        """What cannot be used."""
        self.declared.mistakes.append(Mistake(Place(self.file, number), "", text))

    def _set(self, line: Setting) -> None:
        if line.name == "CRON_TZ":
            self.zone = ""
            try:
                self.zone = zone(line.value).key if line.value else ""
            except ScheduleError as exc:
                self.wrong(line.number, f"CRON_TZ: {exc}")
                self.zone = "UTC"  # what it is does not matter any more
        elif line.name == "SHELL" and not line.value.strip():
            self.wrong(line.number, "SHELL= names no shell; name one, or take it out for /bin/sh")
            self.env.pop("SHELL", None)
        elif why := _NOT_CARRIED_OUT.get(line.name):
            self.note(line.number, "", f"{line.name}={line.value} is not carried out: {why}")
        else:
            try:
                self.env |= dict(read_env({line.name: line.value}))
            except ScheduleError as exc:
                self.wrong(line.number, str(exc).removesuffix("."))

    def _zone(self, line: Entry) -> str:
        if not (self.zone or self.default):
            try:
                self.default = local_zone()
            except ScheduleError as exc:
                self.wrong(line.number, str(exc))
                self.default = "UTC"
        return self.zone or self.default


def local_zone() -> str:
    """The name of the machine's time zone. Raises ScheduleError if it has none."""
    import tzlocal

    try:
        name = tzlocal.get_localzone_name()
        return "UTC" if name in (None, "Etc/UTC") else zone(name).key
    except (KeyError, ScheduleError, ValueError) as exc:
        raise ScheduleError(
            f"the time zone of this machine cannot be told ({exc}); say it: CRON_TZ=Europe/Berlin"
            " above this line, or --timezone"
        ) from exc


# -- from lines to timers -----------------------------------------------------------------------


def _declare(jobs: list[_Job], file: str, declared: Declared) -> None:
    users = _with_users(jobs)
    if users:
        word = users[0].line.command.split()[0]
        text = (
            f"{len(users)} line(s) from here on have a user ({brief(word)}) before the command, as"
            " in /etc/crontab. A user's crontab has no such column: take it out; everything runs"
            " as the user that Kron runs as"
        )
        declared.mistakes.append(Mistake(Place(file, users[0].line.number), "", text))
        numbers = {job.line.number for job in users}
        jobs = [job for job in jobs if job.line.number not in numbers]
    marks = [_mark(job, file, declared) for job in jobs]
    taken = Counter(mark.name for mark in marks if mark)
    for job, mark in zip(jobs, marks, strict=True):
        _declare_one(job, mark, Place(file, job.line.number), taken, declared)


def _mark(job: _Job, file: str, declared: Declared) -> Marked | None:
    """What the comments say; a marker that cannot be read says nothing."""
    try:
        return read_marker(job.comments)
    except (KronError, TypeError) as exc:
        declared.mistakes.append(Mistake(Place(file, job.line.number), "", str(exc)))
        return None


def _declare_one(
    job: _Job, mark: Marked | None, place: Place, taken: Counter[str], declared: Declared
) -> None:
    try:
        fn = _command(job, mark)
        name = mark.name if mark else _free_name(fn.spec.hash, taken)
        options = _options(job, mark)
        definition, _ = define(**options, name=name, command=fn.spec)
        if mark and {"cron", "every"} & mark.options.keys():
            _check_time(job, name, when_of(name, definition))
    except (KronError, TypeError, CannotSay) as exc:
        what = mark.name if mark else ""
        declared.mistakes.append(Mistake(place, what, str(exc).removesuffix(".")))
        return
    declared.notes += [Mistake(place, name, said) for said in _doubts(job.line.command)]
    origin = Origin(SOURCE, str(place))
    declared.timers.append(Timer(name, place, Declaration(name, fn, options, origin)))


def _options(job: _Job, mark: Marked | None) -> ScheduleOptions:
    given: dict[str, Any] = {"cron": job.line.when, "timezone": job.timezone}
    if mark is None:
        description = describe(job.comments)
        given |= {**AS_CRON, **({"description": description} if description else {})}
    else:
        if "every" in mark.options:
            del given["cron"]
        given |= mark.options
    return cast(ScheduleOptions, given)


def _command(job: _Job, mark: Marked | None) -> Command:
    """What a shell, or the one that SHELL= names, makes of the text of a line; or an argv, if the
    marker says so."""
    text, lines = split_command(job.line.command)
    own = mark.command if mark else {}
    beside: dict[str, Any] = {"env": job.env or None, "cwd": job.env.get("HOME") or None}
    shell = job.env.get("SHELL", _SHELL)
    if "shell" in own:
        if lines and not own["shell"]:
            raise ScheduleError("an argv has no % that feeds its input; write \\% for the sign")
        spec = read_command(text, is_shell=own["shell"])
    else:
        spec = CommandSpec(shell=_trimmed(text))
    text = spec.shell
    beside |= {key: own[key] for key in ("inherit", "kill_after") if key in own}
    beside["cwd"] = spec.cwd or beside["cwd"]
    beside["env"] = _env({**job.env, **dict(spec.env)}, own.get("env"))
    if spec.argv:
        return command(spec.argv, **beside)
    if lines:  # exactly this shell reads exactly these lines, whatever the command is made of
        feed = " ".join(map(shlex.quote, lines))
        text = f"printf '%s\\n' {feed} | {shlex.quote(shell)} -c {shlex.quote(text)}"
    elif shell != _SHELL:
        return command([shell, "-c", text], **beside)
    return command(text, shell=True, **beside)


def _doubts(text: str) -> Iterator[str]:
    """What may have been meant otherwise."""
    if _is_cut(text):
        yield "an unescaped % ends the command here, as in cron; \\% is the sign itself"
    if "\\\\" in text:
        yield "two backslashes are two here, as for cronie; Debian's cron makes one of them"


def _is_cut(text: str) -> bool:
    """Whether a `%` that feeds the input ends a command where nobody can have meant it to end."""
    before, lines = split_command(text)
    try:
        shlex.split(before)
    except ValueError:
        return bool(lines)
    return bool(lines) and before.endswith("+")


def _trimmed(text: str) -> str:
    """Without blanks at the end, which mean nothing to a shell unless one is escaped."""
    trimmed = text.rstrip(" \t")
    return text if trimmed.endswith("\\") else trimmed


def _env(env: dict[str, str], provider: str | None) -> dict[str, str] | str | None:
    if provider and env:
        names = ", ".join(sorted(env))
        raise ScheduleError(
            f"variables come either from the provider {provider}, or from the crontab ({names})"
        )
    return provider or env or None


def _free_name(hash_: str, taken: Counter[str]) -> str:
    """`cron-3f9a1c2b4d5e`; with `-2` behind it for the second line with the same command."""
    base = f"cron-{hash_}"
    name, number = base, 1
    while taken[name]:
        number += 1
        name = f"{base}-{number}"
    taken[name] += 1
    return name


def _check_time(job: _Job, name: str, when: When) -> None:
    """A line whose marker says in other words when it is due must still say the same."""
    line = job.line.when
    is_same = when.text == (line if line.startswith("@") else line.upper())
    if not is_same or when.zone != job.timezone:
        key, value = when.selector or ("cron", when.text)
        raise ScheduleError(
            f"the line says {line} ({job.timezone}), and {key}={value} in the comment above it"
            f" means {when.text} ({when.zone}). Take {key}= out of the comment, or correct the line"
        )


def _with_users(jobs: list[_Job]) -> list[_Job]:
    """The lines of a system crontab: all if each seems to be one, else those that surely are."""
    likely = [job for job in jobs if _is_user(job.line.command)]
    if likely and len(likely) == len(jobs):
        return jobs
    return [job for job in likely if job.line.command.split()[0] == "root"]


def _is_user(text: str) -> bool:
    """Whether a command begins with somebody's name, which is no program, and goes on."""
    word, *rest = text.split(maxsplit=1)
    return bool(rest) and (word == "root" or _is_account(word)) and shutil.which(word) is None


def _is_account(word: str) -> bool:
    try:
        pwd.getpwnam(word)
    except (KeyError, ValueError):
        return False
    return True
