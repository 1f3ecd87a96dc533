"""The proof that a line of a crontab is due when croniter says so, too."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from kron.core.model import Kind
from kron.core.moments import CronMoments
from kron.core.timing import definition_moments
from kron.runtime.registry import Registry
from kron.sources.crontab.when import when_of
from kron.sources.declared import Timer

from .compare import Proof, compare_next

MOMENTS = 100


class Proven(NamedTuple):
    """A line, the expression and zone that it came to, and what both make of it."""

    timer: Timer
    expr: str
    timezone: str
    proof: Proof


def prove(timer: Timer, begin_us: int) -> Proven:
    """The next moments from `begin_us` on."""
    each = timer.declaration
    definition = Registry().registration(each.name, each.fn, each.options, 0).definition
    moments = definition_moments(definition, begin_us)
    expr, timezone = str(definition.value), definition.terms.timezone
    if definition.kind is not Kind.CRON:
        timezone, expr, _ = when_of(timer.name, definition)
    assert isinstance(moments, CronMoments)
    proof = compare_next(moments, expr, begin_us, MOMENTS)
    return Proven(timer, expr, timezone, proof)


def told(proven: Proven) -> str:
    """What was found out, in one line or three."""
    timer, proof = proven.timer, proven.proof
    what = f"{timer.place} {timer.name}: "
    if proof.problem:
        return f"{what}not compared\n  croniter {proof.problem}"
    if proof.agrees:
        until = f", until {_shown(proof.last)}" if proof.last else ""
        return f"{what}{proof.equal} moments equal{until}"
    return (
        f"{what}moment {proof.equal + 1} differs ({proven.expr}, {proven.timezone})\n"
        f"  Kron      {_shown(proof.kron)}\n"
        f"  croniter  {_shown(proof.croniter)}"
    )


def document(proven: Proven) -> dict[str, Any]:
    """The same as JSON values."""
    proof = proven.proof
    moments = {"last": proof.last, "kron": proof.kron, "croniter": proof.croniter}
    return {
        "name": proven.timer.name,
        "place": str(proven.timer.place),
        "cron": proven.expr,
        "timezone": proven.timezone,
        "agrees": proof.agrees,
        "equal": proof.equal,
        **{key: at and at.isoformat() for key, at in moments.items()},
        "problem": proof.problem or None,
    }


def _shown(at: datetime | None) -> str:
    return f"{at:%a %Y-%m-%d %H:%M%z}" if at else "none any more"
