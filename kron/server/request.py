"""What a request says, read strictly; a mistake in it is an HTTPException."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY_BYTES = 64 * 1024
CMD_ID_CHARACTERS = 128
OFFSET_DIGITS = 15
COUNTS = ("limit", "offset")


def filters_of(request: Request, *known: str) -> dict[str, Any]:
    """The query as keywords of `list` or `history`: `state` may be there several times, `metadata`
    is a JSON object. Strict: an unknown filter that were passed over would show everybody's."""
    query = request.query_params
    if unknown := query.keys() - set(known):
        raise HTTPException(400, f"unknown filter {min(unknown)!r}")
    found: dict[str, Any] = {name: query[name] for name in ("since", "until") if name in query}
    found |= {name: _count_of(query[name], name) for name in COUNTS if name in query}
    if "state" in query:
        found["state"] = query.getlist("state")
    if "metadata" in query:
        found["metadata"] = _object_of(query["metadata"], "metadata")
    return found


def _count_of(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= OFFSET_DIGITS):
        raise HTTPException(400, f"{name} must be a number from 0 on")
    return int(text)


def _object_of(text: str, name: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise HTTPException(400, f"{name} is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise HTTPException(400, f"{name} must be a JSON object")
    return found


def offset_of(request: Request) -> int:
    """Where `?offset=` has reading begin."""
    return _count_of(request.query_params.get("offset", "0"), "offset")


async def cmd_id_of(request: Request) -> str:
    """The id of a command that takes nothing else."""
    return (await told(request))[1]


async def told(request: Request, *known: str) -> tuple[dict[str, Any], str]:
    """The body without the command's id, and that: its `cmd_id`, or the header Idempotency-Key."""
    options = await options_of(request, "cmd_id", *known)
    cmd_id = options.pop("cmd_id", request.headers.get("idempotency-key", ""))
    if not isinstance(cmd_id, str) or len(cmd_id) > CMD_ID_CHARACTERS or not _is_clean(cmd_id):
        raise HTTPException(
            400, f"cmd_id must be text of at most {CMD_ID_CHARACTERS} printable characters"
        )
    return options, cmd_id


@contextmanager
def refusals() -> Iterator[None]:
    """What a verb takes for a mistake in the program is one in the request."""
    try:
        yield
    except TypeError as exc:
        raise HTTPException(400, str(exc)) from exc


async def options_of(request: Request, *known: str) -> dict[str, Any]:
    """The JSON object in the body, {} if there is none. Strict: unknown fields are a 400."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"the body is over {BODY_BYTES} bytes")
    try:
        options = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as exc:
        raise HTTPException(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(options, dict):
        raise HTTPException(400, "the body must be a JSON object")
    if unknown := options.keys() - set(known):
        raise HTTPException(400, f"unknown field {min(unknown)!r}")
    return options


def _is_clean(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not text)
