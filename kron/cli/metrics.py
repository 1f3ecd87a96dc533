"""`kron metrics`: the figures of the living process, as Prometheus reads them."""

from __future__ import annotations

from typing import Any

import typer

from .runtime import live_runtime
from .screen import Options, show_json


def metrics(ctx: typer.Context) -> None:
    """The figures of the running process, as Prometheus text: what GET /metrics of its socket has.

    Counters begin when the scheduler is started. With --json it is an array
    of the same families.
    """
    options: Options = ctx.obj
    text = live_runtime(options).metrics()
    if options.is_json:
        show_json(_families(text))
    else:
        print(text, end="")


def _families(text: str) -> list[dict[str, Any]]:
    from prometheus_client.parser import text_string_to_metric_families

    return [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value}
                for sample in family.samples
            ],
        }
        for family in text_string_to_metric_families(text)
    ]
