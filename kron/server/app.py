"""The routes of the door: each reads its request, calls one verb, and answers with its dict."""

from __future__ import annotations

import asyncio
import hmac
import math
import os
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, Unpack, cast

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
from kron.core.row_query import HistoryOptions
from kron.core.row_views import HistoryRow
from kron.core.steering import (
    BackfillOptions,
    PauseAsked,
    PauseOptions,
    ResumeOptions,
    begun,
    read_backfill,
    read_pause,
    read_resume,
)
from kron.core.timer_query import ListOptions
from kron.core.views import TimerStatus
from kron.core.why import Why
from kron.runtime.census import Census
from kron.runtime.engine import Engine
from kron.runtime.host import Host
from kron.runtime.stopping import StopRequest
from kron.storage.blocking import in_thread
from kron.storage.datadir import DataDir
from kron.storage.output import read_output

from .checkup import examine, with_runtime
from .facts import runtime_facts
from .figures import Figures, read_figures
from .loading import load_render
from .request import cmd_id_of, filters_of, offset_of, options_of, refusals, told

HISTORY_ROWS = 10_000
LIST_FILTERS = [name for name in ListOptions.__annotations__ if name != "match"]
PAUSE_FIELDS = ("for", "until", "reason", "who")

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

    async def alist(self, **options: Unpack[ListOptions]) -> list[TimerStatus]:
        """The timers that are asked for."""

    async def astatus(self, name: str) -> TimerStatus | None:
        """One timer."""

    async def ahistory(
        self, name: str | None = None, **options: Unpack[HistoryOptions]
    ) -> list[HistoryRow]:
        """The latest rows that are asked for, newest first."""

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
        Route(timer + "/backfill", api.backfill, methods=["POST"]),
        Route(timer + "/cancel", api.cancel, methods=["POST"]),
        Route("/v1/pause", api.pause_many, methods=["POST"]),
        Route("/v1/resume", api.resume_many, methods=["POST"]),
        Route("/v1/history", api.history),
        Route("/v1/runs/{run_id}/cancel", api.cancel_run, methods=["POST"]),
        Route("/v1/runs/{run_id}/output", api.output),
        Route("/v1/runtime", api.runtime),
        Route("/v1/runtime/shutdown", api.shutdown, methods=["POST"]),
        Route("/v1/runtime/compact", api.compact, methods=["POST"]),
        Route("/v1/runtime/reload", api.reload, methods=["POST"]),
        Route("/v1/doctor", api.doctor),
        Route("/metrics", api.metrics),
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
        machine = self._engine.machine
        self._census = Census(machine.state, machine.capacity)

    # -- reading -----------------------------------------------------------------------------

    async def list_timers(self, request: Request) -> Response:
        """GET /v1/timers?state=&metadata=&limit=&offset=: the dicts of `list()`. (A search for a
        pattern can hold up the loop, so there is no match=.)"""
        filters = filters_of(request, *LIST_FILTERS)
        with refusals():
            return _json(await self._scheduler.alist(**cast(ListOptions, filters)))

    async def timer(self, request: Request) -> Response:
        """GET /v1/timers/{name}: the dict of `status()`."""
        name = request.path_params["name"]
        status = await self._scheduler.astatus(name)
        if status is None:
            raise UnknownTimer(f"there is no timer named {name!r}.")
        return _json(status)

    async def history(self, request: Request) -> Response:
        """GET .../history?state=&since=&until=&metadata=&limit=&offset=: the dicts of `history()`,
        newest first, at most 10,000."""
        filters = filters_of(request, *HistoryOptions.__annotations__)
        if filters.get("limit", 0) > HISTORY_ROWS:
            raise HTTPException(400, f"limit must be a number from 0 to {HISTORY_ROWS}")
        name = request.path_params.get("name")
        with refusals():
            rows = await self._scheduler.ahistory(name, **cast(HistoryOptions, filters))
        return _json(rows)

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

    async def metrics(self, request: Request) -> Response:
        """GET /metrics: see `figures.py`, as Prometheus text."""
        figures = await read_figures(self._host, self._census)
        return await in_thread(lambda: _exposition(figures))

    async def output(self, request: Request) -> Response:
        """GET /v1/runs/{run_id}/output?offset=: {text, offset, is_open}; see `read_output`. What is
        not open any more has printed all it will."""
        text, offset = request.path_params["run_id"], offset_of(request)
        run = run_id_number(text, self._host.log.log_id)
        if run is None:
            raise UnknownTimer(f"there is no run {text!r}.")
        is_open = run in self._engine.machine.state.runs
        place = DataDir(self._directory, read_only=True)
        try:
            printed, offset = await in_thread(
                lambda: read_output(place, text, offset, is_over=not is_open)
            )
        except OSError as exc:
            raise StorageError(f"the output of {text}: {exc.strerror}") from exc
        return _json({"text": printed, "offset": offset, "is_open": is_open})

    # -- changing ----------------------------------------------------------------------------

    async def remove(self, request: Request) -> Response:
        """DELETE /v1/timers/{name}: {"removed": true}."""
        name = request.path_params["name"]
        await self._carry_out(c.Remove(name, await cmd_id_of(request)))
        return _json({"removed": True})

    async def trigger(self, request: Request) -> Response:
        """POST .../trigger: {"run_id": ...}, null if `overlap="skip"` skipped it."""
        name = request.path_params["name"]
        answer = await self._carry_out(c.Trigger(name, await cmd_id_of(request)))
        if answer is None:
            return _json({"run_id": None})
        run, scheduled_us = answer
        return _json({"run_id": run_id_text(run, scheduled_us, self._host.log.log_id)})

    async def pause(self, request: Request) -> Response:
        """POST .../pause {for, until, reason, who}: {"changed": ...}, false if it was paused."""
        options, cmd_id = await told(request, *PAUSE_FIELDS)
        asked = self._pause(options)
        name = request.path_params["name"]
        return _json({"changed": await self._carry_out(asked.one(name, cmd_id))})

    async def pause_many(self, request: Request) -> Response:
        """POST /v1/pause {names or all, for, until, reason, who}: {"changed": how many}."""
        options, cmd_id = await told(request, "names", "all", *PAUSE_FIELDS)
        names, asked = self._names(options), self._pause(options)
        return _json({"changed": await self._carry_out(asked.many(names, cmd_id))})

    async def resume(self, request: Request) -> Response:
        """POST .../resume {who}: {"changed": ...}, false if it was not paused."""
        options, cmd_id = await told(request, "who")
        with refusals():
            asked = read_resume(None, cast(ResumeOptions, options))
        name = request.path_params["name"]
        return _json({"changed": await self._carry_out(asked.one(name, cmd_id))})

    async def resume_many(self, request: Request) -> Response:
        """POST /v1/resume {names or all, who}: {"changed": how many}."""
        options, cmd_id = await told(request, "names", "all", "who")
        names = self._names(options)
        with refusals():
            asked = read_resume(None, cast(ResumeOptions, options))
        return _json({"changed": await self._carry_out(asked.many(names, cmd_id))})

    async def backfill(self, request: Request) -> Response:
        """POST .../backfill {since, until, concurrency, force, dry_run}: see Backfill."""
        options, cmd_id = await told(request, *BackfillOptions.__annotations__)
        reading = self._engine.reading
        with refusals():
            asked = read_backfill(request.path_params["name"], cast(BackfillOptions, options))
            command = reading.backfill(asked, cmd_id)
        if asked.is_dry_run:
            return _json(reading.backfill_preview(command))
        return _json(begun(command, await self._carry_out(command)))

    async def cancel(self, request: Request) -> Response:
        """POST /v1/timers/{name}/cancel: {"cancelled": how many runs}."""
        name = request.path_params["name"]
        return _json({"cancelled": await self._carry_out(c.Cancel(name, await cmd_id_of(request)))})

    async def cancel_run(self, request: Request) -> Response:
        """POST /v1/runs/{run_id}/cancel: {"cancelled": 1}, or 0 if it is not open any more."""
        text = request.path_params["run_id"]
        run = run_id_number(text, self._host.log.log_id)
        if run is None:
            raise UnknownTimer(f"there is no run {text!r}.")
        command = c.CancelRun(run, cmd_id=await cmd_id_of(request))
        return _json({"cancelled": await self._carry_out(command)})

    async def shutdown(self, request: Request) -> Response:
        """POST /v1/runtime/shutdown {timeout}: 202 at once, the scheduler then stops."""
        options = await options_of(request, "cmd_id", "timeout")
        timeout = options.get("timeout", 5.0)
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not is_number or not 0 <= timeout < math.inf:
            raise HTTPException(400, "timeout must be a non-negative number of seconds")
        self._host.request_stop(StopRequest(float(timeout)))
        return _json({"shutdown": "requested"}, 202)

    async def compact(self, request: Request) -> Response:
        """POST /v1/runtime/compact: see CompactReport. Answers when the snapshot is durable."""
        await options_of(request, "cmd_id")
        assert self._host.compaction is not None
        return _json(await self._host.compaction.compact())

    async def reload(self, request: Request) -> Response:
        """POST /v1/runtime/reload {files}: have what the files declare taken anew; see Reloaded.
        `files`, if there are any, must be those that are carried out; none is opened for it."""
        files = (await options_of(request, "cmd_id", "files")).get("files", [])
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise HTTPException(400, "files must be a list of paths")
        reload = self._host.reload
        if reload is None:
            raise HTTPException(409, "this program does not take its timers from files (kron up)")
        return _json(await in_thread(lambda: reload(files)))

    def _pause(self, options: dict[str, Any]) -> PauseAsked:
        renamed = {"for_" if name == "for" else name: value for name, value in options.items()}
        with refusals():
            return read_pause(None, cast(PauseOptions, renamed), self._engine.clock.now().wall_us)

    def _names(self, options: dict[str, Any]) -> list[str]:
        """Whom a request for many concerns. Taken out of the options; a pattern is not among them,
        since a search can hold up the loop: see `selected`."""
        names, is_all = options.pop("names", None), options.pop("all", False)
        if is_all is True and names is None:
            return [name for name, _ in self._engine.reading.commands()]
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if is_all is not False or not is_list:
            raise HTTPException(400, 'say whom: {"names": [...]} or {"all": true}')
        return cast(list[str], names)

    async def _carry_out(self, command: c.Command) -> Any:
        return await asyncio.wrap_future(self._engine.submit(command))

    @property
    def _engine(self) -> Engine:
        assert self._host.engine is not None
        return self._host.engine


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _exposition(figures: Figures) -> Response:
    content_type, render = load_render()  # for who asks: a library of its own
    return Response(render(figures), headers={"content-type": content_type})


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
