"""`kron next`: when an expression is due, in words and as moments; what clock changes do to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from .screen import Options, show_json

if TYPE_CHECKING:
    from .compare import Comparison
    from .forecast import Forecast

MOST = 1_000
_NO_OPTION = re.compile(r"-[^-].*\s")


class NextCommand(TyperCommand):
    """An expression with a minus in front is not taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        wrong = [arg for arg in args if _NO_OPTION.match(arg)]
        if wrong and "--" not in args:
            args = [*(arg for arg in args if arg not in wrong), "--", *wrong]
        return super().parse_args(ctx, args)


def show_next(
    ctx: typer.Context,
    expr: Annotated[
        str,
        typer.Argument(
            metavar="EXPR", help="Cron in quotes, an alias, a duration (15m) or a cadence (day)."
        ),
    ],
    timezone: Annotated[
        str, typer.Option("--timezone", "-z", metavar="ZONE", help="Its time zone.")
    ] = "UTC",
    count: Annotated[int, typer.Option("-n", min=1, max=MOST, help="How many moments.")] = 10,
    around: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="The moments from the day before to the day after."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Moments after this time, not after now.")
    ] = None,
    dst: Annotated[
        str, typer.Option(metavar="once|skip", help="Times that a clock change leaves out.")
    ] = "once",
    name: Annotated[
        str, typer.Option(help="The timer's name: the slot of a cadence follows from it.")
    ] = "",
    is_compared: Annotated[
        bool, typer.Option("--compare", help="Also where croniter would fire differently.")
    ] = False,
) -> None:
    """When an expression is due next, and what changes of the clocks do to it.

    Nothing is scheduled, and no data directory is looked at.
    """
    from .forecast import Question, WrongUse, forecast

    options: Options = ctx.obj
    try:
        answer = forecast(Question(expr, timezone, count, around, after, dst, name, is_compared))
    except WrongUse as exc:
        raise typer.BadParameter(str(exc)) from exc
    if options.is_json:
        show_json(_document(answer))
    else:
        from .forecast_text import print_forecast

        print_forecast(answer)


def _document(answer: Forecast) -> dict[str, Any]:
    from kron.core.instants import from_us, text

    moments = []
    for moment_us in answer.moments:
        note = answer.note_of(moment_us)
        at = from_us(moment_us, answer.tz).isoformat()
        moments.append({"at": at, "utc": text(moment_us), "note": note and note.text})
    return {
        "expr": answer.question.expr,
        "timezone": answer.tz.key,
        "words": answer.words,
        "moments": moments,
        "earlier": answer.earlier,
        "later": answer.later,
        "notes": [note.text for note in answer.notes],
        "compare": None if answer.comparison is None else _opinion(answer.comparison),
    }


def _opinion(comparison: Comparison) -> dict[str, Any]:
    return {
        "croniter": comparison.version,
        "agrees": comparison.agrees,
        "problem": comparison.problem or None,
        "begin": comparison.begin.isoformat(),
        "end": comparison.end.isoformat(),
        "compared": comparison.moments,
        "is_whole": comparison.is_whole,
        "differences": [
            {
                "date": each.day.isoformat(),
                "kron": [at.isoformat() for at in each.kron],
                "croniter": [at.isoformat() for at in each.croniter],
            }
            for each in comparison.differences
        ],
    }
