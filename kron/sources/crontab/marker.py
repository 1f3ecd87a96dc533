"""What crontab has no words for, as the comment above a line, and back.

    # kron: name=backup timeout=10m overlap=skip shell=true
    # kron-meta: {"team":"ops"}
    # The description, as it is.

`# kron:` has keywords of `schedule()` and `kron.command` as words for a shell. With such a comment
what is not said has Kron's defaults; a line without one behaves as cron has it. A shell reads the
line in any case, unless `shell=false` says that it is a plain list of words.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from kron.core.command import KILL_AFTER_US
from kron.core.cron import compile_cron
from kron.core.definition import check_name
from kron.core.duration import format_duration
from kron.core.errors import CronError, ScheduleError, brief
from kron.core.fields import Cron
from kron.core.instants import text as instant_text
from kron.core.model import Definition, Terms

from .lines import Comment, Entry, read_line

WORDS, META, DESCRIPTION = "kron:", "kron-meta:", "kron-description:"
LEFT_OUT = "left out:"
_MARKS = (WORDS, META, DESCRIPTION, LEFT_OUT)
_NUMBERS = ("max_attempts", "weight", "priority", "key_limit")
_DURATIONS = {
    "jitter": "jitter_us",
    "grace": "grace_us",
    "retry_delay": "retry_delay_us",
    "timeout": "timeout_us",
}
_INSTANTS = {"not_before": "not_before_us", "not_after": "not_after_us"}
_TEXTS = ("dst", "missed", "overlap", "key", "executor")
_SELECTORS = ("cron", "every")
_COMMAND = ("shell", "env", "inherit", "kill_after")
_KNOWN = (
    *("name", "timezone", *_SELECTORS, *_COMMAND, *_TEXTS, *_NUMBERS, *_DURATIONS, *_INSTANTS),
    "exclude",
)
_HEADING = re.compile(r"m(in\w*)?\s+h(our)?\w*\s+(dom|day)", re.IGNORECASE)
_PLAIN = Terms()


class Marked(NamedTuple):
    """What a marker says: the keywords of `schedule()`, and those of `kron.command`. `env` is the
    name of a provider; `shell` is there only if it is said."""

    name: str
    options: dict[str, Any]
    command: dict[str, Any]


# -- writing ------------------------------------------------------------------------------------


def write_marker(
    name: str, definition: Definition, zone: str, selector: tuple[str, str] | None
) -> list[str]:
    """The comments above the line of a timer, each without its `#`. `zone` is that of the line,
    `selector` the keyword that its time stands for, if it is another than `cron`."""
    terms = definition.terms
    words = {"name": name, **dict([selector] if selector else [])}
    if terms.timezone != zone:
        words["timezone"] = terms.timezone
    words |= dict(_term_words(terms)) | dict(_command_words(terms))
    comments = [f"{WORDS} " + " ".join(f"{key}={shlex.quote(it)}" for key, it in words.items())]
    if terms.metadata:
        comments.append(f"{META} {_json(terms.metadata)}")
    return comments + _description(terms.description)


def _term_words(terms: Terms) -> Iterator[tuple[str, str]]:
    for key in (*_TEXTS, *_NUMBERS):
        if (value := getattr(terms, key)) != getattr(_PLAIN, key):
            yield key, str(value)
    for key, field in _DURATIONS.items():
        if (us := getattr(terms, field)) != getattr(_PLAIN, field):
            yield key, format_duration(us)
    for key, field in _INSTANTS.items():
        if (us := getattr(terms, field)) is not None:
            yield key, str(instant_text(us))
    if terms.exclude:
        yield "exclude", ",".join(terms.exclude)


def _command_words(terms: Terms) -> Iterator[tuple[str, str]]:
    spec = terms.command
    if spec is None:
        return
    yield "shell", "true" if spec.shell else "false"
    if spec.provider:
        yield "env", spec.provider
    if spec.inherit != "all":
        yield "inherit", spec.inherit
    if spec.kill_after_us != KILL_AFTER_US:
        yield "kill_after", format_duration(spec.kill_after_us)


def _description(text: str) -> list[str]:
    """As comments that people write too, if they come back as the same; else as JSON."""
    if not text:
        return []
    lines = text.split("\n")
    read = [read_line(0, f"# {line}") for line in lines]
    is_plain = all(line.isprintable() for line in lines)
    if is_plain and describe([each.text for each in read if isinstance(each, Comment)]) == text:
        return lines
    return [f"{DESCRIPTION} {_json(text)}"]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


# -- reading ------------------------------------------------------------------------------------


def read_marker(comments: Sequence[str]) -> Marked | None:
    """What the comments above a line say, or None if there is no marker among them. Raises
    ScheduleError."""
    found = [text.removeprefix(WORDS) for text in comments if text.startswith(WORDS)]
    if not found:
        return None
    if len(found) > 1:
        raise ScheduleError("two comments begin with # kron:, and one line is one timer")
    words = _words(found[0])
    if "name" not in words:
        raise ScheduleError("# kron: has no name=; write # kron: name=backup, or another comment")
    options: dict[str, Any] = {
        key: _value(key, text) for key, text in words.items() if key not in ("name", *_COMMAND)
    }
    for text in comments:
        if text.startswith(META):
            options["metadata"] = _from_json(META, text, dict)
        if text.startswith(DESCRIPTION):
            options["description"] = _from_json(DESCRIPTION, text, str)
    if "description" not in options and (description := describe(comments)):
        options["description"] = description
    command: dict[str, Any] = {key: words[key] for key in _COMMAND if key in words}
    if "shell" in command:
        command["shell"] = _is_true(command["shell"])
    return Marked(check_name(words["name"]), options, command)


def describe(comments: Iterable[str]) -> str:
    """Comments as a description: without markers, without lines of a crontab that somebody
    commented out, without the heading of its columns and without mere ornament."""
    kept = [text for text in comments if not _is_furniture(text)]
    while kept and not kept[0].strip():
        kept.pop(0)
    while kept and not kept[-1].strip():
        kept.pop()
    return "\n".join(kept)


def _is_furniture(text: str) -> bool:
    if text.startswith(_MARKS) or _HEADING.match(text):
        return True
    if text and not any(character.isalnum() for character in text):
        return True
    return is_entry(text)


def is_entry(text: str) -> bool:
    """Whether a comment is a line of a crontab that was taken out."""
    line = read_line(0, text)
    if not isinstance(line, Entry):
        return False
    try:
        compile_cron(line.when)
    except CronError:
        return False
    return True


def _words(text: str) -> dict[str, str]:
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError as exc:
        raise ScheduleError(f"# kron: cannot be split into words: {exc}") from exc
    words: dict[str, str] = {}
    for key, equals, value in pairs:
        if not equals or key not in _KNOWN:
            known = ", ".join(_KNOWN)
            raise ScheduleError(
                f"# kron: has {brief(key + equals)}, which is no keyword; known are: {known}"
            )
        if key in words:
            raise ScheduleError(f"# kron: has {key}= twice")
        words[key] = value
    return words


def _value(key: str, text: str) -> Any:
    if key in _NUMBERS:
        if not re.fullmatch("[0-9]{1,18}", text):
            raise ScheduleError(f"# kron: {key}={brief(text)} is no number")
        return int(text)
    if key == "exclude":
        return text.split(",")
    return Cron.from_text(text) if key == "cron" and "=" in text else text


def _is_true(text: str) -> bool:
    if text not in ("true", "false"):
        raise ScheduleError(f"# kron: shell={brief(text)} is neither true nor false")
    return text == "true"


def _from_json(mark: str, text: str, kind: type[dict[str, Any]] | type[str]) -> Any:
    try:
        value = json.loads(text.removeprefix(mark))
    except (ValueError, RecursionError) as exc:
        raise ScheduleError(f"# {mark} is no JSON: {exc}") from exc
    if not isinstance(value, kind):
        what = _KINDS[kind.__name__]
        raise ScheduleError(f"# {mark} is {brief(value)}, and must be a JSON {what}")
    return value


_KINDS = {"dict": "object", "str": "string"}
