"""Is every acknowledged row there? Exit status 0 if so. Prints a line a lane: acknowledged, present, lost, and halves of transactions.

A row that was acknowledged by a transaction over both groups may still be prepared on one of them, if that one failed at the wrong moment.
Citus completes such transactions by itself; the check asks it to do so now.
"""

import sys
import time

import ledger

# What may still be under way in a group that has just recovered.
PATIENCE_SECONDS = 20


def look(connection, lane, table, keys):
    """Acknowledged, present, lost and half-committed numbers of one lane."""
    log = {number for number, _, _ in ledger.acknowledged(lane)}
    present = [{row[0] for row in connection.execute(f"SELECT n FROM {table} WHERE key = %s", (key,))} for key in keys]
    whole = set.intersection(*present)
    newest = max(log, default=0)
    halves = {number for number in set.union(*present) - whole if number < newest}
    return log, whole, log - whole, halves


def main():
    healthy = True
    with ledger.connect() as connection:
        lanes = ledger.keys(connection)
        for lane, (table, keys) in lanes.items():
            deadline = time.time() + PATIENCE_SECONDS
            while True:
                connection.execute("SELECT recover_prepared_transactions()")
                log, whole, lost, halves = look(connection, lane, table, keys)
                if not lost and not halves or time.time() > deadline:
                    break
                time.sleep(1)
            print(f"{lane}\t{len(log)}\t{len(whole)}\t{len(lost)}\t{len(halves)}\t{sorted(lost | halves)[:10]}")
            healthy = healthy and not lost and not halves
    return 0 if healthy else 1


sys.exit(main())
