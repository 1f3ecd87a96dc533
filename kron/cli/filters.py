"""The filters of `kron job list` and `kron job history`, from options to the keywords they are."""

from __future__ import annotations

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
        metavar="PATH=VALUE",
        help="Only with this metadata, such as tenant_id=acme or org.team=web; may be repeated.",
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
    """The keywords of `list()`."""
    return {
        "state": states or None,
        "metadata": metadata_of(metadata),
        "match": match,
        "limit": limit,
        "offset": offset,
    }


def history_options(
    states: list[str] | None,
    since: str | None,
    until: str | None,
    metadata: list[str] | None,
    limit: int,
    offset: int,
) -> HistoryOptions:
    """The keywords of `history()`; instants have a zone by now."""
    return {
        "state": states or None,
        "since": since,
        "until": until,
        "metadata": metadata_of(metadata),
        "limit": limit,
        "offset": offset,
    }


def metadata_of(pairs: list[str] | None) -> dict[str, Any] | None:
    """`PATH=VALUE` as a filter: a value that is JSON (3, true, null, "3") is that, any other is a
    text."""
    import orjson

    found: dict[str, Any] = {}
    for pair in pairs or []:
        path, equals, value = pair.partition("=")
        if not path or not equals:
            raise typer.BadParameter(f"{pair!r} is not PATH=VALUE.", param_hint="--metadata")
        try:
            found[path] = orjson.loads(value)
        except orjson.JSONDecodeError:
            found[path] = value
    return found or None
