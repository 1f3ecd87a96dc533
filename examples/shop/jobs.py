"""What ../kron.toml calls: a function that may take the context of its run, one with arguments, and
one that is awaited.
"""

import asyncio


def beat(context):
    """Every third attempt goes wrong; what Kron tries again succeeds."""
    if context["attempt"] == 1 and int(context["scheduled_at"][17:19]) % 3 == 0:
        raise RuntimeError("skipped a beat")
    print(f"beat {context['scheduled_at'][11:19]}, attempt {context['attempt']}")


def report(title, columns):
    print(f"{title}: {' '.join(columns)}")


async def launch():
    await asyncio.sleep(0)
    print("lift-off")
