"""Overlap: the same slow callback under each of the three policies, side by side.

Every timer falls due each half second, and its callback takes 0.7 s. You see when runs started:
`delay` counts the interval from the end of a run, `skip` keeps the beat and leaves out what would
overlap, `allow` keeps the beat and lets runs overlap.

    python examples/overlap.py [DATA_DIR]
"""

import asyncio
import sys
import tempfile
from datetime import datetime

import kron

POLICIES = ("delay", "skip", "allow")


async def slow():
    await asyncio.sleep(0.7)


def seconds(text, origin):
    passed = datetime.fromisoformat(text) - datetime.fromisoformat(origin)
    return f"{passed.total_seconds():.1f}"


async def main(data_dir):
    for policy in POLICIES:
        kron.schedule(policy, slow, every="500ms", overlap=policy)

    await kron.astart(data_dir)
    await asyncio.sleep(3.7)

    for policy in POLICIES:
        origin = (await kron.astatus(policy))["created_at"]
        rows = list(reversed(await kron.ahistory(policy)))
        started = [seconds(row["started_at"], origin) for row in rows if row["status"] == "OK"]
        skipped = [seconds(row["at"], origin) for row in rows if row["status"] != "OK"]
        print(f"{policy:6} started at {' '.join(started)} s")
        if skipped:
            print(f"{'':6} skipped at {' '.join(skipped)} s")
    await kron.ashutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else scratch))
