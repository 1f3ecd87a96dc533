"""Payday: a year of a payroll in a second of virtual time, and what Kron says about it.

The payroll runs at 18:00 in Berlin on the last working day of the month, but not in the company's
holidays, and never twice. In March the program is down for three days, over a payday; in the
autumn somebody sets the clock of the machine back by two hours.

    python examples/payday.py
"""

from kron.testing import VirtualClock, VirtualScheduler

SCHEDULE = {
    "cron": "0 18 LW * *",
    "timezone": "Europe/Berlin",
    "exclude": "2027-12-24..2028-01-01",
    "missed": "all",
}


def pay(context):
    print(f"  paid for {context['scheduled_at']}")


def main():
    clock = VirtualClock("2027-01-01T00:00:00Z")
    scheduler = VirtualScheduler(clock)
    scheduler.schedule("payroll", pay, **SCHEDULE)
    with scheduler:
        scheduler.advance_to("2027-03-30T12:00:00Z")
        scheduler.shutdown()
        print("the program is down from 30 March to 2 April")
        clock.drive(clock.advance("3d"))
        scheduler.start()
        scheduler.advance_to("2027-10-29T17:00:00Z")
        print("the clock is set back by two hours")
        clock.step("-2h")
        scheduler.advance_to("2028-01-02T00:00:00Z")
        for row in scheduler.history("payroll"):
            if row["status"] != "OK":
                print(row["status"], row["scheduled_at"], row["reason"])
        print(*scheduler.why("payroll", at="2027-03-31T16:00:00Z")["text"], sep="\n")
        print(*scheduler.why("payroll", at="2027-12-31T17:00:00Z")["text"], sep="\n")


if __name__ == "__main__":
    main()
