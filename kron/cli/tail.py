"""Reads events off the log's files, from where it stopped reading before."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from kron.core.codec import decode
from kron.core.errors import StorageError
from kron.core.events import POSITIONS, TAGS, UNSAID, Event, Unknown
from kron.core.ids import run_id_text
from kron.core.instants import text
from kron.core.model import Definition
from kron.core.views import schedule_text
from kron.storage.datadir import DataDir
from kron.storage.reader import LogReader
from kron.storage.segments import LOG_NAME

from .words import clean, log_moment, moment, moment_ms, took

if TYPE_CHECKING:
    from rich.text import Text

LOOK_SECONDS = 0.1
LOOKS = 20
"""How often a file that is not there is looked for: two seconds."""
FINAL = {"RUN_SUCCEEDED", "RUN_DEAD", "RUN_CANCELLED"}
RUN_FIELDS = {"run", "by_run"}
LENGTHS = {"took_us", "delta_us", "jitter_us"}
RUNS_KNOWN = 10_000
"""Of how many runs the nominal moment is kept; that of an older one is read again."""
_ORDER = {"reason": 0, "error": 0, "cause": 1, "run": 3, "by_run": 3}
"""Why it happened stands in front, where a narrow terminal does not cut it off; 2 = the rest."""
_HEAD = {"record", "time", "event", "timer"}
_PLAIN = {("attempt", 1), ("cause", "schedule"), ("concurrency", 1)}
_LATER = {"started", "anchor", "boot", "is_elapsed"}
"""Fields that people do not miss in a line: --json has them."""


class Entry(NamedTuple):
    """One event as a dict: record, time, event, timer, then its other fields."""

    fields: dict[str, Any]

    def line(self, zone: tzinfo | None) -> Text:
        """For people: time, event, timer, and what says something: why first, run ids last."""
        from rich.text import Text

        fields = self.fields
        at = datetime.fromisoformat(fields["time"])
        line = Text(moment_ms(fields["time"], zone)[11:], "dim")
        line.append(f"  {fields['event']:<19}", "bold")
        line.append("  " + clean(fields.get("timer", "")))
        for key, value in sorted(fields.items(), key=lambda pair: _ORDER.get(pair[0], 2)):
            if self._is_telling(key, value):
                name = key.removesuffix("_ms").removeprefix("is_")
                line.append(f"  {name}=", "dim").append(_word(key, value, at, zone))
        return line

    def day(self, zone: tzinfo | None) -> str:
        """The date that `line` leaves out."""
        return moment(self.fields["time"], zone)[:10]

    def _is_telling(self, key: str, value: Any) -> bool:
        if key in _HEAD or key in _LATER or value in (None, "", 0):
            return False
        if key == "scheduled" and self.fields["event"] in FINAL | {"RUN_FAILED"}:
            return False
        return not isinstance(value, int | str) or (key, value) not in _PLAIN


class LogTail:
    """The events of a data directory's log. Creates nothing; raises as LogReader does."""

    def __init__(self, data_dir: str) -> None:
        self._reader = LogReader(data_dir)
        self._log_id = self._reader.log_id
        self._dir = DataDir(data_dir, read_only=True)
        self._index = self._reader.base
        self._seen: object = None
        self._scheduled_us: dict[int, int] = {}

    def latest(self, count: int) -> list[Entry]:
        """The latest events, oldest first; `read` goes on behind them. Only as many of the log's
        files are read as that takes, the newest first."""
        found: deque[Entry] = deque()
        for segment in reversed(self._reader.files):
            self._index = max(segment.base, self._reader.base)
            found = deque(self.read(), count)
            if len(found) == count:
                break
        return list(found)

    def read(self) -> Iterator[Entry]:
        """The events since the last read; all that are kept, the first time."""
        self._seen = self._look()
        for record in self._reader.records_after(self._index):
            yield from self._entries(record.index, record.payload)
            self._index = record.index

    def wait(self) -> None:
        """Until the log has changed: it has grown, or a torn tail was cut, or it was sealed."""
        while self._look() == self._seen:
            time.sleep(LOOK_SECONDS)

    def _look(self) -> tuple[int, int]:
        path = self._dir.path_of(LOG_NAME)
        for patience in range(LOOKS):
            try:
                state = os.stat(path)
            except FileNotFoundError:  # between two files, or the directory is gone
                if patience == LOOKS - 1:
                    raise StorageError(f"{self._dir.show(LOG_NAME)} is gone") from None
                time.sleep(LOOK_SECONDS)
            except OSError as exc:
                raise StorageError(f"{self._dir.show(LOG_NAME)}: {exc.strerror}") from exc
            else:
                break
        return state.st_ino, state.st_size

    def _entries(self, index: int, payload: bytes) -> Iterator[Entry]:
        header, events = decode(payload, index)
        for position, event in enumerate(events):
            yield self._entry(index, index * POSITIONS + position, event, header.get("t", 0))

    def _entry(self, record: int, id_: int, event: Event, log_time_us: int) -> Entry:
        if isinstance(event, Unknown):
            head = {"record": record, "time": text(log_time_us), "event": event.tag}
            return Entry({**head, "fields": event.fields})
        values: dict[str, Any] = event._asdict()
        tag = TAGS[type(event)]
        if tag == "RUN_DUE":
            values = {**values, "run": id_}
        if values.get("next_us") == UNSAID:
            del values["next_us"]
        self._remember(tag, values)
        head = {
            "record": record,
            "time": text(values.pop("at_us", log_time_us)),
            "event": tag,
        }
        return Entry({**head, **dict(self._field(*pair) for pair in values.items())})

    def _remember(self, tag: str, values: dict[str, Any]) -> None:
        """A run's id as people see it holds its nominal moment, which not every event carries."""
        if "scheduled_us" in values and "run" in values:
            self._keep(values["run"], values["scheduled_us"])

    def _field(self, name: str, value: Any) -> tuple[str, Any]:
        if isinstance(value, Definition):
            return "definition", {"schedule": schedule_text(value), **value.to_json()}
        if name in RUN_FIELDS:
            return name, self._run_id(value) if value else None
        if name in LENGTHS:
            return name[:-3] + "_ms", value / 1000
        if name.endswith("_us"):
            return name[:-3], text(value)
        return name, value

    def _run_id(self, run: int) -> str | None:
        """None if its RUN_DUE is in a part of the log that was let go."""
        if run not in self._scheduled_us:
            index, position = divmod(run, POSITIONS)
            if index <= self._reader.base:
                return None
            record = next(self._reader.records_after(index - 1))
            due = decode(record.payload, index).events[position]
            self._keep(run, getattr(due, "scheduled_us", 0))
        return run_id_text(run, self._scheduled_us[run], self._log_id)

    def _keep(self, run: int, scheduled_us: int) -> None:
        self._scheduled_us[run] = scheduled_us
        if len(self._scheduled_us) > RUNS_KNOWN:
            del self._scheduled_us[next(iter(self._scheduled_us))]


def _word(key: str, value: Any, now: datetime, zone: tzinfo | None) -> str:
    if value is True:
        return "yes"
    if isinstance(value, dict):
        return f"{value.get('schedule', '...')!s}"
    if key.endswith("_ms"):
        return took(value)
    if isinstance(value, str) and value[10:11] == "T" and value.endswith("+00:00"):
        return log_moment(value, now, zone)
    return clean(str(value))
