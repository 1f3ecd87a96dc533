"""Timers by decorator, with arguments, metadata, and the run that a function is part of.

You see an async function and a plain one that share a step. The step learns from `current_run()`
which run it belongs to, though nobody passed it on.

    python examples/decorator.py [DATA_DIR]
"""

import asyncio
import sys
import tempfile

import kron


def step(text):
    run = kron.current_run()
    print(f"{run['timer_id']}: {text} (team {run['metadata']['team']}, {run['run_id'][:8]}...)")


@kron.schedule("fetch", every="500ms", kwargs={"city": "Oslo"}, metadata={"team": "weather"})
async def fetch(city):
    await asyncio.sleep(0.1)
    step(f"fetched {city}")


@kron.schedule("tidy", after="700ms", metadata={"team": "storage"}, description="Once per install.")
def tidy():
    step("tidied up")


async def main(data_dir):
    await kron.astart(data_dir)  # async callbacks run as tasks on this very loop
    await asyncio.sleep(2)
    await kron.ashutdown()
    print("as before, these are ordinary functions:", fetch.__name__, "and", tidy.__name__)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else scratch))
