"""`kron runtime`: the living process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from kron.core.errors import KronError, StorageError
from kron.server.holder import find_holder
from kron.storage.datadir import DataDir
from kron.storage.lock import last_word

from .screen import Options, fail, show, show_json
from .source import Live, NoDoor, find_live
from .words import clean, took

if TYPE_CHECKING:
    from kron.server.facts import RuntimeFacts

app = typer.Typer(no_args_is_help=True, help="The process that runs the timers.")
MARGIN_SECONDS = 5.0
_LOOK_SECONDS = 0.02


Check = Annotated[
    bool, typer.Option("--check", help="Say in one line whether it is well; exit 1 if it is not.")
]
Limit = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.1, max=3600, help="With --check: seconds it may take to answer."
    ),
]


class Health(TypedDict):
    """The verdict of a check. `runtime` is the process's own word, None if there was no answer."""

    healthy: bool
    problems: list[str]
    answer_ms: float
    runtime: RuntimeFacts | None


@app.command()
def status(ctx: typer.Context, check: Check = False, timeout: Limit = 5.0) -> None:
    """What the running process says about itself.

    --check is for a Docker HEALTHCHECK and its like. It fails when no process
    runs, when its event loop does not answer, when the log has failed or the
    disk has stalled, and when a timer should have run longer ago than its
    grace= (a minute, without one).
    """
    options: Options = ctx.obj
    if check:
        _show_health(options, _health(options, timeout))
        return
    facts = live_runtime(options).runtime()
    if options.is_json:
        show_json(facts)
        return
    from .tables import runtime_block

    show(runtime_block(facts, options.zone))


@app.command()
def shutdown(
    ctx: typer.Context,
    timeout: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds running attempts may take to end.")
    ] = 5.0,
) -> None:
    """Stop the scheduler in order, and wait until it has let go of its files.

    A program that waits in kron.wait() goes on behind it.
    """
    options: Options = ctx.obj
    answer = live_runtime(options).shutdown(timeout)
    is_over = _wait_until_free(options.data_dir, timeout + MARGIN_SECONDS)
    if options.is_json:
        show_json(answer)
    elif is_over:
        print("the scheduler has stopped")
    if not is_over:
        fail(f"the scheduler still stops after {timeout + MARGIN_SECONDS:.0f} s")
        raise typer.Exit(1)


def live_runtime(options: Options, answer_s: float | None = None) -> Live:
    """The living runtime (see `find_live`). Raises StorageError if there is none."""
    live = find_live(options.data_dir, answer_s)
    if live is None:
        word = last_word(DataDir(options.data_dir, read_only=True))
        why = "" if word is None else f": {word.sentence()}"
        raise StorageError(f"no runtime is alive in {options.data_dir}{why}")
    return live


def _health(options: Options, timeout_s: float) -> Health:
    began_s = time.monotonic()
    facts: RuntimeFacts | None = None
    try:
        live = live_runtime(options, timeout_s)
        began_s = time.monotonic()
        facts = live.runtime()
    except NoDoor:
        _, pid = find_holder(DataDir(options.data_dir, read_only=True))
        who = "another process" if pid is None else f"process {pid}"
        problems = [f"the event loop of {who} does not answer within {timeout_s:g} s"]
    except KronError as exc:
        problems = [str(exc)]
    else:
        from kron.server.facts import problems_of

        problems = problems_of(facts)
    answer_ms = round((time.monotonic() - began_s) * 1000, 1)
    return {
        "healthy": not problems,
        "problems": problems,
        "answer_ms": answer_ms,
        "runtime": facts,
    }


def _show_health(options: Options, health: Health) -> None:
    facts = health["runtime"]
    if options.is_json:
        show_json(health)
    elif facts is None or health["problems"]:
        print(clean(f"unhealthy: {'; '.join(health['problems'])}"))
    else:
        has = f"{_number(facts['timers'], 'timer')}, {_number(facts['open_runs'], 'open run')}"
        print(f"healthy: process {facts['pid']}, {has}, answered in {took(health['answer_ms'])}")
    if not health["healthy"]:
        raise typer.Exit(1)


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _wait_until_free(data_dir: str, seconds: float) -> bool:
    place = DataDir(data_dir, read_only=True)
    deadline = time.monotonic() + seconds
    while find_holder(place).is_held:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
