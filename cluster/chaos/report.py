"""Prints what a fault cost, or writes the table of all of them.

    report.py line     the last fault, in one line
    report.py table    all faults by kind: to standard output, and as /results/reliability.md

A fault's outage is the longest time between two acknowledged rows of one lane that overlaps the time from the fault to the moment when the
whole cluster was well again; of the four lanes the worst counts.
"""

import statistics
import sys

import ledger

HEAD = """# What happens when something breaks

Written by `make chaos` ({faults} faults, seed {seed}). A client writes numbered rows through HAProxy into the example cluster, in four lanes: on
the coordinator, on each worker group, and on both worker groups in one transaction. It records every acknowledged row in a log of its own, which
is synced. Each fault stays until the client writes again in every lane, and at least as long as its kind says. Then it is healed. Before the
next fault, each group must have exactly one leader, found by asking the servers; every other member must stream from it; Citus's metadata
must name the same leaders; and every acknowledged row must be there.

**Acknowledged: {acknowledged} rows. Lost: {lost}. Transactions over two groups that were committed in one of them only: {halves}.**
Time without writes, in the worst lane of each fault: median {median:.1f} s, worst {worst:.1f} s. Of the {felt} faults that stopped writes for more than
a second: median {felt_median:.1f} s.

| fault | n | median, s | worst, s | rows acknowledged meanwhile | rows lost |
|---|--:|--:|--:|--:|--:|
"""

TAIL = """
The lanes:

| lane | rows acknowledged | rows lost | of unknown outcome, and there |
|---|--:|--:|--:|
{lanes}
The machine and the configuration. Everything runs on one machine, whose load average (one minute) at the start of a fault was {load:.1f} in the
median and {highest:.1f} at most.

    {machine}

This does not show:

- a loss of power: volumes are in memory here, so that they can be filled;
- two faults at a time: a second member of a group of two is not harmed before the first streams again, although what is written meanwhile is
  on one member only;
- networks between machines;
- a full disk that stops writes without ending the server: Patroni then keeps it as leader;
- a worker's leader that is frozen for longer than here: Citus waits for its answer, and the group takes no writes until the leader continues or is
  killed (see "How the example cluster fails over");
- a server whose recovery neither ends nor fails, as that of PostgreSQL 18.6 once did after a full disk: Patroni waits for it as long as
  `primary_start_timeout` says, 300 s, before another member becomes leader.

Every fault, with the time without writes, the member, and the seconds in each lane:

"""


def faults():
    with open("/results/faults.tsv", encoding="ascii") as file:
        for line in file:
            number, title, target, began, well, flowed, load, lost = line.rstrip("\n").split("\t")
            yield {
                "number": int(number),
                "title": title,
                "target": target,
                "began": float(began),
                "well": float(well),
                "flowed": flowed == "yes",
                "load": float(load),
                "lost": int(lost),
            }


def outage(ends, began, well):
    """The longest gap between neighbours that overlaps the time from began to well; and how many rows are in that time."""
    longest, meanwhile = 0.0, 0
    for before, after in zip(ends, ends[1:]):
        if after > began and before < well:
            longest = max(longest, after - before)
        meanwhile += began <= after <= well
    return longest, meanwhile


def measure():
    ends = {lane: [end for _, _, end in ledger.acknowledged(lane)] for lane in ledger.LANES}
    for fault in faults():
        by_lane = {lane: outage(ends[lane], fault["began"], fault["well"]) for lane in ledger.LANES}
        fault["outages"] = {lane: gap for lane, (gap, _) in by_lane.items()}
        fault["outage"] = max(fault["outages"].values())
        fault["rows"] = sum(rows for _, rows in by_lane.values())
        yield fault


def line(fault):
    lanes = ", ".join(f"{lane} {gap:.1f}" for lane, gap in fault["outages"].items())
    stuck = "" if fault["flowed"] else "; writes came back only when it was healed"
    return f"{fault['number']:3}  {fault['outage']:5.1f} s  {fault['title']} ({fault['target']}): {lanes}{stuck}"


def table(found):
    with open("/results/check.tsv", encoding="ascii") as file:
        checks = [row.split("\t") for row in file]
    kinds = {}
    for fault in found:
        kinds.setdefault(fault["title"], []).append(fault)
    outages = [fault["outage"] for fault in found]
    felt = [gap for gap in outages if gap > 1]
    text = HEAD.format(
        faults=len(found),
        seed=open("/results/seed", encoding="ascii").read().strip(),
        acknowledged=sum(int(row[1]) for row in checks),
        lost=sum(int(row[3]) for row in checks),
        halves=sum(int(row[4]) for row in checks),
        median=statistics.median(outages),
        worst=max(outages),
        felt=len(felt),
        felt_median=statistics.median(felt or [0]),
    )
    for title in sorted(kinds):
        gaps = [fault["outage"] for fault in kinds[title]]
        rows, lost = (sum(fault[what] for fault in kinds[title]) for what in ("rows", "lost"))
        text += f"| {title} | {len(gaps)} | {statistics.median(gaps):.1f} | {max(gaps):.1f} | {rows} | {lost} |\n"
    lanes = "".join(f"| {row[0]} | {row[1]} | {row[3]} | {int(row[2]) - int(row[1]) + int(row[3])} |\n" for row in checks)
    machine = open("/results/machine.txt", encoding="utf-8").read().strip().replace("\n", "\n    ")
    loads = [fault["load"] for fault in found]
    text += TAIL.format(lanes=lanes, machine=machine, load=statistics.median(loads), highest=max(loads))
    return text + "".join(f"    {line(fault)}\n" for fault in found)


def main():
    found = list(measure())
    if sys.argv[1:] == ["line"]:
        print(line(found[-1]))
        return
    text = table(found)
    with open("/results/reliability.md", "w", encoding="utf-8") as file:
        file.write(text)
    print(text)


main()
