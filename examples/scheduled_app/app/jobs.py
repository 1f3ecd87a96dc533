"""What the jobs of pyproject.toml do, in the folder APP_FILES (or one of the system's for scratch).

A job runs at least once in each minute, day or week. After a crash nobody knows whether it had got
to its end, so it runs again: each of these does no harm when it runs twice.
"""

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

FILES = Path(os.environ.get("APP_FILES") or Path(tempfile.gettempdir(), "scheduled_app"))
DAY_S = 24 * 60 * 60


def count_files():
    """Of its nature harmless."""
    print(f"{sum(file.is_file() for file in FILES.glob('*'))} files in {FILES}")


def clean_files():
    """What another run has deleted meanwhile is as gone as it should be."""
    print("Running cleanup...")
    for file in FILES.glob("*.tmp"):
        if file.stat().st_mtime < time.time() - DAY_S:
            file.unlink(missing_ok=True)


async def send_digest():
    """Sent once a week, though it may run twice: the first run leaves a note."""
    note = note_of_this_week()
    if note.exists():
        print("The digest of this week has been sent.")
        return
    await asyncio.sleep(0.1)  # here you would send it
    note.touch()
    print("Sent the digest.")


def note_of_this_week():
    FILES.mkdir(parents=True, exist_ok=True)
    return FILES / f"digest-{datetime.now(UTC):%G-W%V}.sent"
