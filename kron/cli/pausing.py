"""`kron job pause` and `kron job resume`: one timer, those that match, or all."""

from __future__ import annotations

import getpass
import os
from typing import Annotated, Any

import typer

from .naming import answer_of, tell_effect
from .screen import Options, show_json
from .source import open_source

Someone = Annotated[str | None, typer.Argument(metavar="NAME", help="The timer's name.")]
Match = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="All whose name, command line or command hash it is found in."
    ),
]
All = Annotated[bool, typer.Option("--all", help="All timers.")]
Who = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who wants it. Default: your login name.")
]

DONE = {"pause": "{name}: paused", "resume": "{name}: resumed"}
NOT_DONE = {"pause": "{name}: was paused already", "resume": "{name}: was not paused"}
DONE_TO_MANY = {"pause": "{changed} timer(s) paused", "resume": "{changed} timer(s) resumed"}


def pause(
    ctx: typer.Context,
    name: Someone = None,
    match: Match = None,
    is_all: All = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End it by itself after that.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End it by itself at that moment.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for people.")] = "",
    who: Who = None,
) -> None:
    """Let no moment of a timer run until it is resumed, or the given time is over.

    Moments that come meanwhile are recorded as missed (paused).
    """
    from .moment import duration, instant

    options: Options = ctx.obj
    if for_ is not None and until is not None:
        raise typer.BadParameter("--for or --until, not both")
    fields: dict[str, Any] = {"reason": reason, "who": _login() if who is None else who}
    if for_ is not None:
        fields["for"] = duration(for_, "--for")
    if until is not None:
        fields["until"] = instant(until, options.zone, "--until")
    _steer(options, "pause", name, match, is_all, fields)


def resume(
    ctx: typer.Context,
    name: Someone = None,
    match: Match = None,
    is_all: All = False,
    who: Who = None,
) -> None:
    """End a pause. A one-shot that fell due in it runs now."""
    _steer(ctx.obj, "resume", name, match, is_all, {"who": _login() if who is None else who})


def _steer(
    options: Options,
    verb: str,
    name: str | None,
    match: str | None,
    is_all: bool,
    fields: dict[str, Any],
) -> None:
    if [name is not None, match is not None, is_all].count(True) != 1:
        raise typer.BadParameter(f"say whom to {verb}: one of NAME, --match REGEX and --all")
    source = open_source(options.data_dir)
    if name is None:
        answer = source.act_on(verb, match, fields)
        text = DONE_TO_MANY[verb]
    else:
        answer = answer_of(source, name, source.act, verb, name, fields)
        text = (DONE if answer["changed"] else NOT_DONE)[verb]
    if options.is_json:
        show_json(answer)
    else:
        print(text.format(name=name, **answer))
    tell_effect(source)


def _login() -> str:
    """The name of whoever calls this; a user that has none is a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
