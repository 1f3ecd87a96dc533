"""Timers, history and findings as rich tables that stay readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from kron.core.model import DEFAULT_PRIORITY
from kron.core.row_views import HistoryRow
from kron.core.telling import retold
from kron.core.views import TimerStatus
from kron.core.why import Why
from kron.server.facts import RuntimeFacts

from . import words

STYLES = {
    "scheduled": "",
    "invalid": "bold red",
    "running": "cyan",
    "retrying": "yellow",
    "paused": "yellow",
    "orphaned": "magenta",
    "dead": "red",
    "cancelled": "dim",
    "OK": "green",
    "FAILED": "red",
    "DEAD": "bold red",
    "CANCELLED": "dim",
    "MISSED": "yellow",
    "SKIPPED_OVERLAP": "yellow",
}


def timer_table(timers: list[TimerStatus], zone: tzinfo | None, *, is_wide: bool) -> Table:
    """One line a timer."""
    now = datetime.now(UTC)
    table = _table(["TIMER", "STATE", _next_title(zone), "LAST", "SCHEDULE"], fixed={1, 2, 3})
    for timer in timers:
        table.add_row(
            _cell(timer["id"], "bold"),
            _word(timer["state"]),
            _next_run(timer, now, zone, is_wide=is_wide),
            _last(timer["last_status"]),
            _cell(words.schedule(timer, zone, is_short=not is_wide)),
        )
    return table


OUTCOME_LETTERS = {"OK": "+", "DEAD": "x", "CANCELLED": "c", "MISSED": "m", "SKIPPED_OVERLAP": "s"}


def timer_block(timer: TimerStatus, zone: tzinfo | None) -> Table:
    """Everything about one timer, a line each; long texts wrap."""
    now = datetime.now(UTC)
    last = timer["last_status"]
    rows: list[tuple[str, Text | None]] = [
        ("timer", _text(timer["id"], "bold")),
        ("state", _word(timer["state"])),
        ("paused", _pause(timer, zone)),
        ("description", _text(timer["description"]) if timer["description"] else None),
        *_target(timer),
        ("schedule", _text(_both(timer, zone))),
        ("invalid", _text(timer["invalid"], "red") if timer["invalid"] else None),
        ("timezone", _text(timer["timezone"])),
        *_limits(timer, zone),
        ("next run", _long_next(timer, now, zone)),
        ("overlap", _text(timer["overlap"])),
        ("missed", _missed_policy(timer)),
        *_capacity(timer),
        ("attempts", _text(_attempts(timer))),
        ("last run", _ago(timer["last_run_at"], now, zone)),
        ("last status", _styled_status(last) if last else _text("-")),
        ("duration", _text(_durations(timer))),
        ("retries (7 d)", _text(f"{timer['retries_last_7d']:,}")),
        ("counts", _text(_counts(timer))),
        ("latest", _outcomes(timer)),
        ("open runs", _text("\n".join(_open_runs(timer, zone)) or "none", is_lines=True)),
        ("backfill", _backfill(timer, zone)),
        ("arguments", _json(_arguments(timer))),
        ("metadata", _json(timer["metadata"])),
        ("created", _ago(timer["created_at"], now, zone)),
    ]
    return _block(rows)


def _durations(timer: TimerStatus) -> str:
    last, p50_ms, p95_ms = (
        timer["last_duration_ms"],
        timer["duration_p50_ms"],
        timer["duration_p95_ms"],
    )
    if p50_ms is None:
        return words.took(last)
    return f"{words.took(last)}; p50 {words.took(p50_ms)}, p95 {words.took(p95_ms)}"


def _outcomes(timer: TimerStatus) -> Text | None:
    """A letter for each of the latest, the newest last, and how long it has been like that."""
    letters = "".join(OUTCOME_LETTERS[word] for word in timer["outcomes"])
    if not letters:
        return None
    streak, dead_streak = timer["ok_streak"], timer["dead_streak"]
    said = f"{streak:,} ok in a row" if streak else f"{dead_streak:,} dead in a row"
    is_streak = max(streak, dead_streak) > 1
    return _text(letters + (f"  {said}" if is_streak else ""), "red" if dead_streak else "")


def history_table(
    rows: list[HistoryRow], zone: tzinfo | None, *, is_wide: bool, is_of_all: bool = False
) -> Table:
    """One line a row, newest first as the API has them; `is_of_all`: each with its timer."""
    titles = ["SCHEDULED" + _zone_mark(zone), "STATUS", "TRY", "TOOK", "DETAIL"]
    if is_wide:
        titles.insert(4, "RUN")
    if is_of_all:
        titles.insert(0, "TIMER")
    fixed = set(range(len(titles) - 1)) - ({0} if is_of_all else set())
    table = _table(titles, fixed=fixed)
    for row in rows:
        cells = [_cell(row["timer"])] if is_of_all else []
        cells += [
            _cell(words.moment(row["scheduled_at"], zone)),
            _last(row["status"]),
            _cell("-" if row["attempt"] is None else str(row["attempt"])),
            _cell(words.took(row["duration_ms"])),
        ]
        if is_wide:
            cells.append(_cell(row["run_id"] or "-"))
        table.add_row(*cells, _cell(_detail(row, zone, is_wide=is_wide)))
    return table


def story_lines(story: Why, zone: tzinfo | None) -> Text:
    """The sentences, a line or more each, with times as the zone's clock shows them."""
    today = datetime.now(zone).date()
    lines = retold(story["text"], zone, today=today)
    return _text("\n".join(words.clean(line) for line in lines), is_lines=True)


def runtime_block(facts: RuntimeFacts, zone: tzinfo | None) -> Table:
    """The living process."""
    now = datetime.now(UTC)
    failure, problem = facts["failure"], facts["compaction_problem"]
    rows: list[tuple[str, Text | None]] = [
        ("process", _text(str(facts["pid"]), "bold")),
        ("version", _text(facts["version"])),
        ("data dir", _text(facts["data_dir"])),
        ("started", _ago(facts["started_at"], now, zone)),
        ("timers", _text(f"{facts['timers']:,}")),
        ("open runs", _text(f"{facts['open_runs']:,}")),
        ("capacity", _text(_room(facts))),
        ("records", _text(f"{facts['records']:,}")),
        ("overdue", _overdue(facts)),
        ("failure", _text(failure, "red") if failure else None),
        ("log", _text(_log(facts, zone))),
        ("compaction", _text(problem, "red") if problem else None),
        ("loop", _text(f"{facts['loop']} in thread {facts['thread']}")),
        ("boot", _text(facts["boot"])),
        ("log id", _text(facts["log_id"])),
    ]
    return _block(rows)


def _overdue(facts: RuntimeFacts) -> Text | None:
    """Each with how late it is; in red what is beyond its grace."""
    lines = [
        Text(f"{words.clean(each['timer'])}  {words.took(each['seconds'] * 1000)} late", style)
        for each in facts["overdue"]
        for style in ["red" if each["beyond_grace"] else "yellow"]
    ]
    return Text("\n", overflow="fold").join(lines) if lines else None


def _room(facts: RuntimeFacts) -> str:
    """How much of it is in use, and who waits."""
    limit, used = facts["max_concurrency"], facts["used_weight"]
    text = f"{facts['running']:,} running, no limit"
    if limit is not None:
        text = f"{used:,} of {limit:,} in use ({used / limit:.0%}) by {facts['running']:,} running"
    waits = [f"{count:,} for {what}" for what, count in facts["waiting"].items() if count]
    return f"{text}; waiting: {', '.join(waits)}" if waits else text


def _log(facts: RuntimeFacts, zone: tzinfo | None) -> str:
    """How long a start would read."""
    text = f"{facts['log_bytes']:,} bytes"
    if facts["log_pending_s"] >= 1:
        text = f"a write takes {facts['log_pending_s']:.0f} s so far; {text}"
    if facts["snapshot_record"] is None:
        return text
    at = facts["compacted_at"]
    when = "" if at is None else f", {words.moment(at, zone)}"
    return f"{text} since the snapshot of record {facts['snapshot_record']:,}{when}"


# -- cells -----------------------------------------------------------------------------------


def _table(titles: list[str], fixed: set[int]) -> Table:
    """The columns at `fixed` keep their width; the others give way, with an ellipsis."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold dim")
    for position, title in enumerate(titles):
        table.add_column(_cell(title), no_wrap=position in fixed)
    return table


def _block(rows: list[tuple[str, Text | None]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for label, value in rows:
        if value is not None:
            table.add_row(Text(label, "dim", no_wrap=True), value)
    return table


def _cell(text: str, style: str = "") -> Text:
    """Text on one line, cut with an ellipsis where there is no room."""
    return Text(words.clean(text), style, no_wrap=True, overflow="ellipsis")


def _text(text: str, style: str = "", *, is_lines: bool = False) -> Text:
    """Text that wraps."""
    return Text(text if is_lines else words.clean(text), style, overflow="fold")


def _word(word: str) -> Text:
    return _cell(word, STYLES.get(word, ""))


def _last(status: str | None) -> Text:
    """The word of a status, without its text (which has a place of its own)."""
    word = (status or "-").partition(":")[0]
    return _cell(word.removesuffix("_OVERLAP"), STYLES.get(word, "dim"))


def _styled_status(status: str) -> Text:
    return _text(status, STYLES.get(status.partition(":")[0], ""))


def _next_title(zone: tzinfo | None) -> str:
    return "NEXT RUN" + _zone_mark(zone)


def _zone_mark(zone: tzinfo | None) -> str:
    return " (UTC)" if zone is UTC else ""


def _next_run(timer: TimerStatus, now: datetime, zone: tzinfo | None, *, is_wide: bool) -> Text:
    next_at = timer["next_run_at"]
    if next_at is None:
        return _cell("finished" if timer["finished"] else "-", "dim")
    at = words.moment(next_at, zone) if is_wide else words.short_moment(next_at, now, zone)
    return _cell(at).append("  " + words.distance(next_at, now), "dim")


def _long_next(timer: TimerStatus, now: datetime, zone: tzinfo | None) -> Text:
    if timer["next_run_at"] is None:
        return _text("- (finished)" if timer["finished"] else "-")
    return _ago(timer["next_run_at"], now, zone)


def _ago(at: str | None, now: datetime, zone: tzinfo | None) -> Text:
    if at is None:
        return _text("-")
    mark = " UTC" if zone is UTC else ""
    return _text(words.moment(at, zone) + mark).append("  " + words.distance(at, now), "dim")


def _both(timer: TimerStatus, zone: tzinfo | None) -> str:
    """The schedule in words, and as it was written if that is something else."""
    kind = timer["schedule"].partition(" ")[0]
    if kind in ("at", "after"):
        return words.schedule(timer, zone)
    return f"{words.plain(timer)}  ({timer['schedule']})"


def _limits(timer: TimerStatus, zone: tzinfo | None) -> list[tuple[str, Text | None]]:
    """What moves moments or leaves some out, where it is not the default."""
    values = [
        ("dst", timer["dst"] if timer["dst"] != "once" else None),
        ("jitter", f"up to {timer['jitter']}" if timer["jitter"] else None),
        ("not before", _bound(timer["not_before"], zone)),
        ("not after", _bound(timer["not_after"], zone)),
        ("exclude", ", ".join(timer["exclude"]) or None),
    ]
    return [(label, _text(value)) for label, value in values if value is not None]


def _bound(at: str | None, zone: tzinfo | None) -> str | None:
    return None if at is None else words.moment(at, zone) + (" UTC" if zone is UTC else "")


def _target(timer: TimerStatus) -> list[tuple[str, Text | None]]:
    """What is called, or started."""
    if timer["command"] is None:
        executor = timer["executor"]
        name = (timer["fn_name"] or "-") + (f"  (in a {executor})" if executor else "")
        return [("function", _text(name))]
    return [("command", _text(timer["command"])), ("hash", _text(timer["command_hash"] or "-"))]


def _pause(timer: TimerStatus, zone: tzinfo | None) -> Text | None:
    """Since when and until when, who wanted it, and why."""
    paused = timer["paused"]
    if paused is None:
        return None
    until = _bound(paused["until"], zone)
    text = f"since {_bound(paused['since'], zone)}" + (f", until {until}" if until else "")
    text += f", by {paused['who']}" if paused["who"] else ""
    return _text(text + (f": {paused['reason']}" if paused["reason"] else ""))


def _capacity(timer: TimerStatus) -> list[tuple[str, Text | None]]:
    """What decides when a run may start, and how long it may take, where it is not the default."""
    key, limit = timer["key"], timer["key_limit"]
    if key == timer["command_hash"] and limit == 1:
        key = None
    values = [
        ("key", f"{key}  (at most {limit} at once)" if key and limit > 1 else key),
        ("weight", str(timer["weight"]) if timer["weight"] != 1 else None),
        ("priority", str(timer["priority"]) if timer["priority"] != DEFAULT_PRIORITY else None),
        ("timeout", timer["timeout"]),
    ]
    return [(label, _text(value)) for label, value in values if value is not None]


def _open_runs(timer: TimerStatus, zone: tzinfo | None) -> Iterator[str]:
    """Each with its state, and what it waits for."""
    for run in timer["runs"]:
        text = f"{run['run_id']}  {run['state']}"
        waiting = run["waiting_for"] or ""
        if waiting.startswith("retry"):
            text += f", again at {_bound(run['retry_at'], zone)}"
        elif waiting:
            text += f", waits for {waiting}"
        yield words.clean(text)


def _backfill(timer: TimerStatus, zone: tzinfo | None) -> Text | None:
    """The one that goes on, and how far it has come."""
    goes_on = timer["backfill"]
    if goes_on is None:
        return None
    since, until = _bound(goes_on["since"], zone), _bound(goes_on["until"], zone)
    count = f"{goes_on['started']:,} of {goes_on['moments']:,} moments started"
    queued = f"; {goes_on['queued']} more after it" if goes_on["queued"] else ""
    return _text(f"{since} to {until}, {count}{queued}")


def _missed_policy(timer: TimerStatus) -> Text | None:
    policy, grace = timer["missed_policy"], timer["grace"]
    if policy == "once" and grace is None:
        return None
    return _text(policy + (f", at most {grace} late" if grace else ""))


def _attempts(timer: TimerStatus) -> str:
    if timer["max_attempts"] == 1:
        return "1"
    is_endless = timer["retry_until"] is not None
    most = "until the window ends" if is_endless else f"at most {timer['max_attempts']}"
    return f"{most}, the second after {timer['retry_delay']}, then doubling"


def _counts(timer: TimerStatus) -> str:
    kinds = ("succeeded", "failed", "missed", "skipped")
    numbers = (timer["succeeded"], timer["failed"], timer["missed"], timer["skipped"])
    return ", ".join(f"{number:,} {kind}" for kind, number in zip(kinds, numbers, strict=True))


def _arguments(timer: TimerStatus) -> Any:
    if timer["args"] and timer["kwargs"]:
        return {"args": timer["args"], "kwargs": timer["kwargs"]}
    return timer["args"] or timer["kwargs"]


def _json(value: Any) -> Text | None:
    return _text(orjson.dumps(value).decode()) if value else None


def _detail(row: HistoryRow, zone: tzinfo | None, *, is_wide: bool) -> str:
    if row["status"] == "SKIPPED_OVERLAP":
        return "another run was in the way"
    by = "" if row["cause"] == "schedule" else row["cause"]
    text = ", ".join(filter(None, (by, row["error"] or row["reason"])))
    last_at = row["last_scheduled_at"]
    if row["count"] == 1 or last_at is None:
        return text
    if is_wide:
        return f"{text}: {row['count']:,} moments until {words.moment(last_at, zone)}"
    # So short that the moment is not cut at 80 columns.
    return f"{text}: {row['count']:,} until {words.short_moment(last_at, datetime.now(UTC), zone)}"
