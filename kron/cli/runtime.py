"""`kron runtime`: the living process."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from kron.core.errors import StorageError
from kron.server.holder import find_holder
from kron.storage.datadir import DataDir
from kron.storage.lock import last_word

from .screen import Options, fail, show, show_json
from .source import Live, find_live

app = typer.Typer(no_args_is_help=True, help="The process that runs the timers.")
MARGIN_SECONDS = 5.0
_LOOK_SECONDS = 0.02


@app.command()
def status(ctx: typer.Context) -> None:
    """What the running process says about itself."""
    options: Options = ctx.obj
    facts = _live(options).runtime()
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
    answer = _live(options).shutdown(timeout)
    is_over = _wait_until_free(options.data_dir, timeout + MARGIN_SECONDS)
    if options.is_json:
        show_json(answer)
    elif is_over:
        print("the scheduler has stopped")
    if not is_over:
        fail(f"the scheduler still stops after {timeout + MARGIN_SECONDS:.0f} s")
        raise typer.Exit(1)


def _live(options: Options) -> Live:
    live = find_live(options.data_dir)
    if live is None:
        word = last_word(DataDir(options.data_dir, read_only=True))
        why = "" if word is None else f": {word.sentence()}"
        raise StorageError(f"no runtime is alive in {options.data_dir}{why}")
    return live


def _wait_until_free(data_dir: str, seconds: float) -> bool:
    place = DataDir(data_dir, read_only=True)
    deadline = time.monotonic() + seconds
    while find_holder(place).is_held:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
