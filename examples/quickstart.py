"""Quickstart: three timers, four seconds, and what became of every moment.

You see a beat every second, a letter after two and a half seconds, and then the ledger, newest
first: when each moment was due, how it ended, and how long it took.

    python examples/quickstart.py [DATA_DIR]
"""

import sys
import tempfile
import time

import kron


def beat():
    print("beat")


async def letter(context, greeting):
    print(f"{greeting}, says {context['timer_id']} (attempt {context['attempt']})")


def report():
    print("the daily report")


def main(data_dir):
    kron.schedule("beat", beat, every="1s", overlap="skip")
    kron.schedule("letter", letter, after="2.5s", args=["Hello"])
    kron.schedule("report", report, cron="0 8 * * MON-FRI", timezone="Europe/Berlin")

    kron.start(data_dir)
    time.sleep(4.2)

    for row in kron.history():
        late = f"due {row['scheduled_at'][11:23]}, took {row['duration_ms']:.1f} ms"
        print(f"{row['timer']:8} {row['status']:8} {late}")
    print("report   is next due", kron.status("report")["next_run_at"])
    kron.shutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(sys.argv[1] if sys.argv[1:] else scratch)
