"""The living runtime, asked over HTTP on its UNIX socket."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import httpx2
import orjson

from kron.core.errors import KronError, ScheduleError, StorageError, UnknownTimer
from kron.core.row_query import HistoryOptions
from kron.core.row_views import HistoryRow
from kron.core.selection import Candidate, selected
from kron.core.steering import Backfill
from kron.core.timer_query import ListOptions, read_timer_query
from kron.core.views import TimerStatus
from kron.core.why import Why
from kron.runtime.compaction import CompactReport
from kron.server.address import SOCKET_NAME, reachable
from kron.server.facts import RuntimeFacts
from kron.server.holder import find_holder
from kron.server.token import TOKEN_NAME, read_token
from kron.storage.datadir import DataDir

from .source import no_door

if TYPE_CHECKING:
    from kron.sources.reloaded import Reloaded

ANSWER_SECONDS = 10.0
COMPACT_SECONDS = 3600.0
RELOAD_SECONDS = 300.0
NAMES_AT_ONCE = 400
"""So many of the longest names fit into one request."""
_ERRORS: dict[int, type[KronError]] = {400: ScheduleError, 404: UnknownTimer}


class Remote:
    """The door of one data directory, as a Source."""

    is_live = True

    def __init__(self, place: DataDir, answer_s: float = ANSWER_SECONDS) -> None:
        self._place = place
        self._answer_s = answer_s
        self._token = self._read_token()

    def timers(self, options: ListOptions | None = None) -> list[TimerStatus]:
        """See Source. A pattern is searched for here: see `act_on`."""
        query = read_timer_query(options or {})
        asked = _query(options or {}, "match")
        if query.pattern is None:
            return cast(list[TimerStatus], self._call("GET", f"/v1/timers{asked}"))
        asked = _query(options or {}, "match", "limit", "offset")
        timers = cast(list[TimerStatus], self._call("GET", f"/v1/timers{asked}"))
        search = query.pattern.search
        found = [each for each in timers if any(map(search, filter(None, _candidate(each))))]
        return found[query.offset : query.reach]

    def timer(self, name: str) -> TimerStatus:
        """See Source."""
        return cast(TimerStatus, self._call("GET", f"/v1/timers/{quote(name, safe='')}"))

    def history(self, name: str | None, options: HistoryOptions) -> list[HistoryRow]:
        """See Source."""
        of_timer = "" if name is None else f"/timers/{quote(name, safe='')}"
        path = f"/v1{of_timer}/history{_query(options)}"
        return cast(list[HistoryRow], self._call("GET", path))

    def why(self, name: str, at: str | None) -> Why:
        """See Source."""
        asked = "" if at is None else f"?at={quote(at, safe='')}"
        return cast(Why, self._call("GET", f"/v1/timers/{quote(name, safe='')}/why{asked}"))

    def act(self, verb: str, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """See Source."""
        path = f"/v1/timers/{quote(name, safe='')}"
        if verb == "remove":
            return cast(dict[str, Any], self._call("DELETE", path))
        if verb == "cancel_run":
            path, verb = f"/v1/runs/{quote(name, safe='')}", "cancel"
        return cast(dict[str, Any], self._call("POST", f"{path}/{verb}", options))

    def act_on(self, verb: str, match: str | None, options: dict[str, Any]) -> dict[str, Any]:
        """See Source. The pattern is searched for here, not in the runtime, whose loop a search
        could hold up."""
        if match is None:
            answer = self._call("POST", f"/v1/{verb}", {**options, "all": True})
            return cast(dict[str, Any], answer)
        timers = self.timers()
        names = selected(map(_candidate, timers), match)
        changed = 0
        for start in range(0, len(names), NAMES_AT_ONCE):
            some = {**options, "names": names[start : start + NAMES_AT_ONCE]}
            changed += self._call("POST", f"/v1/{verb}", some)["changed"]
        return {"changed": changed}

    def backfill(self, name: str, options: dict[str, Any]) -> Backfill:
        """See Source."""
        path = f"/v1/timers/{quote(name, safe='')}/backfill"
        return cast(Backfill, self._call("POST", path, options))

    def runtime(self) -> RuntimeFacts:
        """See Live."""
        return cast(RuntimeFacts, self._call("GET", "/v1/runtime"))

    def metrics(self) -> str:
        """See Live."""
        return self._ask("GET", "/metrics").text

    def shutdown(self, timeout: float) -> dict[str, Any]:
        """See Live."""
        answer = self._call("POST", "/v1/runtime/shutdown", {"timeout": timeout})
        return cast(dict[str, Any], answer)

    def reload(self, files: list[str]) -> Reloaded:
        """See Live."""
        patient = Remote(self._place, RELOAD_SECONDS)
        return cast("Reloaded", patient._call("POST", "/v1/runtime/reload", {"files": files}))

    def compact(self) -> CompactReport:
        """See Live."""
        patient = Remote(self._place, COMPACT_SECONDS)
        return cast(CompactReport, patient._call("POST", "/v1/runtime/compact"))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What a route answers."""
        return self._ask(method, path, body).json()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        """One request. If the connection breaks it is sent once more: its id keeps it from having
        a second effect."""
        headers = {"authorization": f"Bearer {self._token}"}
        if method != "GET":
            headers["idempotency-key"] = secrets.token_hex(16)
        try:
            try:
                answer = self._send(method, path, headers, body)
            except (httpx2.ReadError, httpx2.RemoteProtocolError):
                answer = self._send(method, path, headers, body)
        except httpx2.TransportError as exc:
            raise no_door(self._place, find_holder(self._place).pid) from exc
        if answer.is_error:
            raise _error(answer)
        return answer

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None
    ) -> httpx2.Response:
        # A bare context and no environment: loading certificates takes 70 ms, for a UNIX socket.
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with reachable(self._place.path_of("")) as uds:
            transport = httpx2.HTTPTransport(uds=uds, verify=bare, trust_env=False)
            client = httpx2.Client(
                transport=transport, base_url="http://kron", trust_env=False, timeout=self._answer_s
            )
            with client:
                return client.request(method, path, headers=headers, json=body)

    def _read_token(self) -> str:
        shown = self._place.show(TOKEN_NAME)
        try:
            token = read_token(self._place)
        except OSError as exc:
            raise StorageError(f"{shown}: {exc.strerror}") from exc
        if token is None:
            socket_name = self._place.show(SOCKET_NAME)
            raise StorageError(f"{shown} has no token for {socket_name}. Restart the program.")
        return token


def _candidate(timer: TimerStatus) -> Candidate:
    return Candidate(timer["id"], timer["command"], timer["command_hash"])


def _query(options: Mapping[str, Any], *besides: str) -> str:
    """Keywords of `list` or `history` as the query of a route."""
    given = {k: v for k, v in options.items() if v is not None and k not in besides}
    if "metadata" in given:
        given["metadata"] = orjson.dumps(given["metadata"]).decode()
    return "?" + urlencode(given, doseq=True) if given else ""


def _error(answer: httpx2.Response) -> KronError:
    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = f"the runtime answered {answer.status_code}"
    return _ERRORS.get(answer.status_code, KronError)(text)
