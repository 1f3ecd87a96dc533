"""Backfill: a service was down for a night; the hours it has missed are run afterwards.

You see what the ledger says of the night, which hours a backfill would run, that it runs each of
them once, oldest first and with its own label, and that a second one finds nothing to do.

    python examples/backfill.py
"""

from kron.testing import VirtualClock, VirtualScheduler


def rollup(context):
    by = " (backfill)" if context["backfill"] else ""
    print(f"  rolls up {context['scheduled_at']}{by}")


def main():
    clock = VirtualClock("2027-03-01T20:30:00Z")
    scheduler = VirtualScheduler(clock)
    scheduler.schedule("rollup", rollup, cron="0 * * * *", overlap="skip")
    with scheduler:
        scheduler.advance("1h")
    print("the service is down from 21:30 to 03:15")
    scheduler.advance_to("2027-03-02T03:15:00Z")
    with scheduler:
        scheduler.settle()
        for row in scheduler.history("rollup"):
            if row["status"] == "MISSED":
                first, last = row["scheduled_at"], row["last_scheduled_at"]
                print(f"  {row['count']} missed ({row['reason']}), {first} to {last}")

        asked = scheduler.backfill("rollup", since="12h", dry_run=True)
        print("a backfill of twelve hours would run", asked["moments"], "of them; it runs")
        scheduler.backfill("rollup", since="12h")
        scheduler.settle()

        again = scheduler.backfill("rollup", since="12h")
        print(f"once more: {again['moments']} to run, {again['done']} had a run")


if __name__ == "__main__":
    main()
