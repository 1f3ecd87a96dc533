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
HISTORY_ROWS = 10_000
OFFSET_DIGITS = 15


def limit_of(request: Request) -> int:
    """How many rows `?limit=` asks for."""
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= HISTORY_ROWS):
        raise HTTPException(400, f"limit must be a number from 1 to {HISTORY_ROWS}")
    return int(text)


def offset_of(request: Request) -> int:
    """Where `?offset=` has reading begin."""
    text = request.query_params.get("offset", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= OFFSET_DIGITS):
        raise HTTPException(400, "offset must be a number from 0 on")
    return int(text)


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
