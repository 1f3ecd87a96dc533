"""The routes of the door: each reads its request, calls one verb, and answers with its dict."""

from __future__ import annotations

import asyncio
import hmac
import math
import os
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kron.core import commands as c
from kron.core.errors import Conflict, KronError, ScheduleError, StorageError, UnknownTimer
from kron.core.ids import run_id_number, run_id_text
from kron.core.views import HistoryRow, TimerStatus
from kron.core.why import Why
from kron.runtime.engine import Engine
from kron.runtime.host import Host
from kron.runtime.stopping import StopRequest
from kron.storage.blocking import in_thread

from .checkup import examine, with_runtime
from .facts import runtime_facts

BODY_BYTES = 64 * 1024
CMD_ID_CHARACTERS = 128
HISTORY_ROWS = 10_000

STATUS: dict[type[KronError], int] = {
    UnknownTimer: 404,
    ScheduleError: 400,
    Conflict: 409,
    StorageError: 503,
}
"""What an error of a verb is answered with, the first class that fits; 503 if none does: the
scheduler has stopped, or is about to."""

Endpoint: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class Reads(Protocol):
    """What the routes read from a scheduler."""

    async def alist(self) -> list[TimerStatus]:
        """All timers."""

    async def astatus(self, name: str) -> TimerStatus | None:
        """One timer."""

    async def ahistory(self, name: str | None = None, *, limit: int = 100) -> list[HistoryRow]:
        """The latest rows, newest first."""

    async def awhy(self, name: str, at: str | None = None) -> Why:
        """The story of a moment."""


def make_app(scheduler: Reads, host: Host, directory: str, token: str) -> ASGIApp:
    """The ASGI app for one running scheduler; whoever does not show `token` gets a 401."""
    api = Api(scheduler, host, directory)
    timer = "/v1/timers/{name}"
    routes = [
        Route("/v1/timers", api.list_timers),
        Route(timer, api.timer),
        Route(timer, api.remove, methods=["DELETE"]),
        Route(timer + "/history", api.history),
        Route(timer + "/why", api.why),
        Route(timer + "/trigger", api.trigger, methods=["POST"]),
        Route(timer + "/pause", api.pause, methods=["POST"]),
        Route(timer + "/resume", api.resume, methods=["POST"]),
        Route(timer + "/cancel", api.cancel, methods=["POST"]),
        Route("/v1/history", api.history),
        Route("/v1/runs/{run_id}/cancel", api.cancel_run, methods=["POST"]),
        Route("/v1/runtime", api.runtime),
        Route("/v1/runtime/shutdown", api.shutdown, methods=["POST"]),
        Route("/v1/runtime/compact", api.compact, methods=["POST"]),
        Route("/v1/doctor", api.doctor),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, KronError: _kron_error, 500: _bug}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), token)


class Guard:
    """Lets requests of the same user (or root) through that carry the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = b"bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, secret = given.partition(b" ")
        if scope["state"]["peer_uid"] not in (os.geteuid(), 0):
            await _error(403, "forbidden")(scope, receive, send)
        elif not hmac.compare_digest(kind.lower() + b" " + secret.strip(), self._expected):
            await _error(401, "unauthorized")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Api:
    """One method a route."""

    def __init__(self, scheduler: Reads, host: Host, directory: str) -> None:
        self._scheduler = scheduler
        self._host = host
        self._directory = directory

    # -- reading -----------------------------------------------------------------------------

    async def list_timers(self, request: Request) -> Response:
        """GET /v1/timers: the dicts of `list()`."""
        return _json(await self._scheduler.alist())

    async def timer(self, request: Request) -> Response:
        """GET /v1/timers/{name}: the dict of `status()`."""
        name = request.path_params["name"]
        status = await self._scheduler.astatus(name)
        if status is None:
            raise UnknownTimer(f"there is no timer named {name!r}.")
        return _json(status)

    async def history(self, request: Request) -> Response:
        """GET .../history?limit=: the dicts of `history()`, newest first."""
        limit = _limit(request)
        return _json(await self._scheduler.ahistory(request.path_params.get("name"), limit=limit))

    async def why(self, request: Request) -> Response:
        """GET .../why?at=: the dict of `why()`."""
        at = request.query_params.get("at")
        return _json(await self._scheduler.awhy(request.path_params["name"], at))

    async def runtime(self, request: Request) -> Response:
        """GET /v1/runtime: see RuntimeFacts."""
        return _json(runtime_facts(self._host, self._directory))

    async def doctor(self, request: Request) -> Response:
        """GET /v1/doctor: see DoctorReport. The files are read in a thread."""
        report = await in_thread(lambda: examine(self._directory))
        return _json(with_runtime(report, runtime_facts(self._host, self._directory)))

    # -- changing ----------------------------------------------------------------------------

    async def remove(self, request: Request) -> Response:
        """DELETE /v1/timers/{name}: {"removed": true}."""
        name = request.path_params["name"]
        await self._carry_out(c.Remove(name, await _cmd_id(request)))
        return _json({"removed": True})

    async def trigger(self, request: Request) -> Response:
        """POST .../trigger: {"run_id": ...}, null if `overlap="skip"` skipped it."""
        name = request.path_params["name"]
        answer = await self._carry_out(c.Trigger(name, await _cmd_id(request)))
        if answer is None:
            return _json({"run_id": None})
        run, scheduled_us = answer
        return _json({"run_id": run_id_text(run, scheduled_us, self._host.log.log_id)})

    async def pause(self, request: Request) -> Response:
        """POST .../pause: {"changed": ...}, false if it was paused."""
        name = request.path_params["name"]
        return _json({"changed": await self._carry_out(c.Pause(name, await _cmd_id(request)))})

    async def resume(self, request: Request) -> Response:
        """POST .../resume: {"changed": ...}, false if it was not paused."""
        name = request.path_params["name"]
        return _json({"changed": await self._carry_out(c.Resume(name, await _cmd_id(request)))})

    async def cancel(self, request: Request) -> Response:
        """POST /v1/timers/{name}/cancel: {"cancelled": how many runs}."""
        name = request.path_params["name"]
        return _json({"cancelled": await self._carry_out(c.Cancel(name, await _cmd_id(request)))})

    async def cancel_run(self, request: Request) -> Response:
        """POST /v1/runs/{run_id}/cancel: {"cancelled": 1}, or 0 if it is not open any more."""
        text = request.path_params["run_id"]
        run = run_id_number(text, self._host.log.log_id)
        if run is None:
            raise UnknownTimer(f"there is no run {text!r}.")
        command = c.CancelRun(run, cmd_id=await _cmd_id(request))
        return _json({"cancelled": await self._carry_out(command)})

    async def shutdown(self, request: Request) -> Response:
        """POST /v1/runtime/shutdown {timeout}: 202 at once, the scheduler then stops."""
        options = await _options(request, "cmd_id", "timeout")
        timeout = options.get("timeout", 5.0)
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not is_number or not 0 <= timeout < math.inf:
            raise HTTPException(400, "timeout must be a non-negative number of seconds")
        self._host.request_stop(StopRequest(float(timeout)))
        return _json({"shutdown": "requested"}, 202)

    async def compact(self, request: Request) -> Response:
        """POST /v1/runtime/compact: see CompactReport. Answers when the snapshot is durable."""
        await _options(request, "cmd_id")
        assert self._host.compaction is not None
        return _json(await self._host.compaction.compact())

    async def _carry_out(self, command: c.Command) -> Any:
        return await asyncio.wrap_future(self._engine.submit(command))

    @property
    def _engine(self) -> Engine:
        assert self._host.engine is not None
        return self._host.engine


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= HISTORY_ROWS):
        raise HTTPException(400, f"limit must be a number from 1 to {HISTORY_ROWS}")
    return int(text)


async def _cmd_id(request: Request) -> str:
    """The command's id: the body's `cmd_id`, or the header Idempotency-Key."""
    options = await _options(request, "cmd_id")
    cmd_id = options.get("cmd_id", request.headers.get("idempotency-key", ""))
    if not isinstance(cmd_id, str) or len(cmd_id) > CMD_ID_CHARACTERS or not _is_clean(cmd_id):
        raise HTTPException(
            400, f"cmd_id must be text of at most {CMD_ID_CHARACTERS} printable characters"
        )
    return cmd_id


def _is_clean(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not text)


async def _options(request: Request, *known: str) -> dict[str, Any]:
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


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json({"error": text}, status)


async def _http_error(request: Request, exc: HTTPException) -> Response:
    response = _error(exc.status_code, exc.detail)
    response.headers.update(exc.headers or {})
    return response


async def _kron_error(request: Request, exc: KronError) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(exc, kind)), 503)
    return _error(status, str(exc))


async def _bug(request: Request, exc: Exception) -> Response:
    """Starlette raises the error again behind this answer, so that it is logged."""
    return _error(500, f"internal error ({type(exc).__name__}); see the program's log")
