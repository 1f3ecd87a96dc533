"""How long a timer's latest attempts took: one letter each, on a scale of even ratios.

A million timers keep thirty of them, so a length of time takes two bytes, not forty. Neighbouring
letters are a thousandth apart, which is as exact as a percentile of thirty can mean to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, expm1, log1p

KEPT = 30
"""So many attempts are remembered."""
_STEPS = 1024
_FIRST = 256
"""Letters from here on; the longest time (300,000 years) is far below the surrogates."""


def noted(letters: str, took_us: int) -> str:
    """The same with one more attempt, the oldest of more than KEPT left out."""
    return (letters + chr(_FIRST + round(log1p(took_us) * _STEPS)))[-KEPT:]


def percentiles_ms(letters: str, shares: Sequence[float]) -> list[float | None]:
    """The length of time, in milliseconds with three digits, that this share of the attempts did
    not exceed (nearest rank); None if there were none."""
    ordered = sorted(letters)
    if not ordered:
        return [None] * len(shares)
    ranks = [max(1, ceil(share * len(ordered))) for share in shares]
    return [_ms(ordered[rank - 1]) for rank in ranks]


def _ms(letter: str) -> float:
    return float(f"{expm1((ord(letter) - _FIRST) / _STEPS) / 1000:.3g}")
