"""Waiting for what comes about in another thread."""

import time


def eventually(condition, seconds=10.0):
    """Wait for a condition instead of a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError("the condition did not come true")
