"""Figures as Prometheus text."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kron.core.histogram import Histogram

from .figures import Figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(figures: Figures) -> bytes:
    """The exposition format, as CONTENT_TYPE says. A few milliseconds: for a thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(figures))
    return generate_latest(registry)


class _Families(Collector):
    """A collector of figures that were read before; the library asks it once."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        yield from _of_process(self._figures)
        yield from _of_past(self._figures)
        yield from _of_present(self._figures)
        yield from _of_log(self._figures)


def _of_process(figures: Figures) -> Iterator[Metric]:
    about = {"version": figures.version, "python": platform.python_version()}
    yield InfoMetricFamily("kron_build", "The version of Kron, and of Python.", about)
    yield GaugeMetricFamily(
        "kron_start_time_seconds",
        "When this scheduler was started, in seconds since the epoch; its counters began there.",
        figures.started_us / 1_000_000,
    )


def _of_past(figures: Figures) -> Iterator[Metric]:
    """Counters and histograms, since this scheduler was started."""
    meter = figures.meter
    yield _counters("kron_runs", "Runs that have ended, by outcome.", "outcome", meter.runs)
    yield _counters(
        "kron_failed_attempts",
        "Attempts that ended badly, by reason; error: the callback raised.",
        "reason",
        meter.failed,
    )
    yield _counters(
        "kron_missed_moments", "Due moments that had no run, by reason.", "reason", meter.missed
    )
    yield CounterMetricFamily(
        "kron_skipped_moments",
        'Due moments that had no run because one was open (overlap="skip").',
        meter.skipped,
    )
    yield _histogram(
        "kron_run_lateness_seconds",
        "From a run's moment to the start of its first attempt, seen when that has ended.",
        meter.lateness,
    )
    yield _histogram(
        "kron_attempt_duration_seconds", "How long attempts of runs took.", meter.durations
    )


def _of_present(figures: Figures) -> Iterator[Metric]:
    """Gauges of timers and runs."""
    counts = figures.counts
    yield _gauges("kron_timers", "Timers, by state.", "state", counts.timers)
    yield GaugeMetricFamily("kron_runs_running", "Runs under way.", counts.running)
    yield _gauges(
        "kron_runs_waiting", "Open runs that wait, by what for.", "reason", counts.waiting
    )
    if figures.max_concurrency is not None:
        yield GaugeMetricFamily(
            "kron_max_concurrency",
            "What the weights of all runs under way may sum up to.",
            figures.max_concurrency,
        )
        yield GaugeMetricFamily("kron_used_weight", "What they sum up to.", figures.used_weight)
    yield GaugeMetricFamily(
        "kron_timers_overdue",
        "Timers that nothing keeps from running, and that should have run 5 s ago or longer.",
        figures.overdue_timers,
    )
    yield _gauges(
        "kron_timer_overdue_seconds",
        "For how long such a timer has been overdue (the worst 100 of them).",
        "timer",
        {each.timer: each.late_us / 1_000_000 for each in figures.overdue},
    )


def _of_log(figures: Figures) -> Iterator[Metric]:
    """The log of events."""
    yield GaugeMetricFamily(
        "kron_log_size_bytes", "Bytes appended since the log was sealed.", figures.log_bytes
    )
    yield GaugeMetricFamily(
        "kron_log_records", "The index of the last durable record.", figures.records
    )
    yield GaugeMetricFamily(
        "kron_log_pending_seconds",
        "How long the write or sync that is under way has lasted; 0 without one.",
        figures.log_pending_s,
    )
    if figures.syncs is not None:
        yield _histogram(
            "kron_log_fsync_seconds", "How long syncs of the log file took.", figures.syncs
        )


def _counters(name: str, about: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _gauges(name: str, about: str, label: str, values: dict[str, int] | dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, level in values.items():
        family.add_metric([value], level)
    return family


def _histogram(name: str, about: str, histogram: Histogram) -> Metric:
    """With counts that add up, as the format has them."""
    bounds = [*(repr(us / 1_000_000) for us in histogram.bounds_us), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(name, about, buckets, histogram.sum_us / 1_000_000)
