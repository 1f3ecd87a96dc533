"""The filters of `kron job list` and `kron job history`, from options to the keywords they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kron.core.row_query import HistoryOptions
    from kron.core.timer_query import ListOptions

States = Annotated[
    list[str] | None,
    typer.Option("--state", "-s", metavar="STATE", help="Only in this state; may be repeated."),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        "-m",
        metavar="PATH=TEXT",
        help="Only with this metadata, such as org.team=web; PATH:=JSON for what is no text, such"
        " as level:=3. May be repeated.",
    ),
]
Offset = Annotated[int, typer.Option(min=0, help="Pass over so many first.")]


def list_options(
    states: list[str] | None,
    metadata: list[str] | None,
    match: str | None,
    limit: int | None,
    offset: int,
) -> ListOptions:
    """The keywords of `list()`. BadParameter for what those cannot be."""
    from kron.core.timer_query import read_timer_query

    asked: ListOptions = {
        "state": states or None,
        "metadata": metadata_of(metadata),
        "match": match,
        "limit": limit,
        "offset": offset,
    }
    with usage():
        read_timer_query(asked)
    return asked


def history_options(
    states: list[str] | None,
    since: str | None,
    until: str | None,
    metadata: list[str] | None,
    limit: int,
    offset: int,
) -> HistoryOptions:
    """The keywords of `history()`; instants have a zone by now. BadParameter for what those cannot
    be."""
    from kron.core.row_query import read_row_query

    asked: HistoryOptions = {
        "state": states or None,
        "since": since,
        "until": until,
        "metadata": metadata_of(metadata),
        "limit": limit,
        "offset": offset,
    }
    with usage():
        read_row_query(None, asked, time.time_ns() // 1000)
    return asked


def metadata_of(pairs: list[str] | None) -> dict[str, Any] | None:
    """`PATH=TEXT` as a filter, or `PATH:=JSON`."""
    found: dict[str, Any] = {}
    for pair in pairs or []:
        path, equals, value = pair.partition("=")
        is_json = path.endswith(":")
        path = path.removesuffix(":")
        if not path or not equals:
            raise _wrong(f"{pair!r} is not PATH=TEXT, or PATH:=JSON")
        if path in found:
            raise _wrong(f"{path} is given twice, and would have to be both")
        found[path] = _json(pair, value) if is_json else value
    return found or None


def _json(pair: str, value: str) -> Any:
    import orjson

    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as exc:
        raise _wrong(f"{pair!r}: {value} is not JSON; a text is PATH=TEXT") from exc


def _wrong(text: str) -> typer.BadParameter:
    return typer.BadParameter(text, param_hint="--metadata")


@contextmanager
def usage() -> Iterator[None]:
    """What a filter refuses is a mistake on the command line."""
    from kron.core.errors import ScheduleError

    try:
        yield
    except (ScheduleError, TypeError) as exc:
        raise typer.BadParameter(str(exc)) from exc
