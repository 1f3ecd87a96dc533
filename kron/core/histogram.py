"""How often a length of time was how long: counts under upper bounds, as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """`counts[i]` values were at most `bounds_us[i]` and above the bound before it; the last count
    is of those above every bound. One thread observes; any may read."""

    __slots__ = ("bounds_us", "counts", "sum_us")

    def __init__(self, bounds_us: tuple[int, ...]) -> None:
        """`bounds_us` ascend."""
        self.bounds_us = bounds_us
        self.counts = [0] * (len(bounds_us) + 1)
        self.sum_us = 0

    def observe(self, us: int) -> None:
        """Count a length of time; one below zero (the wall clock went back) counts as none."""
        self.counts[bisect_left(self.bounds_us, us)] += 1
        if us > 0:
            self.sum_us += us
