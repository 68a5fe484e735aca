"""Writes numbered rows in four lanes until it is ended, and logs what was acknowledged, as an application would see it.

A row counts as acknowledged when COMMIT has returned; then, and not before, its number goes to the client's own log, which is synced. An
attempt that fails, or is given up after some seconds, has an unknown outcome: its number is never used again, and the row may be there or
not. A statement that takes too long is given up by closing the connection: `statement_timeout` would end a wait for the synchronous standby
and make an unsafe commit look safe.
"""

import os
import socket
import threading
import time

import psycopg

import ledger

PAUSE_SECONDS = 0.05
GIVE_UP_SECONDS = 5
PAYLOAD = "x" * 200


class Deadline:
    """Shuts a connection's socket down if the block takes too long."""

    def __init__(self, connection):
        self.socket = socket.socket(fileno=os.dup(connection.fileno()))
        self.timer = threading.Timer(GIVE_UP_SECONDS, self.give_up)

    def give_up(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def __enter__(self):
        self.timer.start()

    def __exit__(self, *_):
        self.timer.cancel()
        self.socket.close()


def next_number(lane):
    """Numbers go on where the log ends, with room for those of unknown outcome."""
    try:
        rows = ledger.acknowledged(lane)
    except FileNotFoundError:
        rows = []
    return rows[-1][0] + 1_000_000 if rows else 1


def write(connection, table, keys, number):
    insert = f"INSERT INTO {table} VALUES (%s, %s, %s)"
    with Deadline(connection):
        if len(keys) == 1:
            connection.execute(insert, (keys[0], number, PAYLOAD))
        else:
            with connection.transaction():
                for key in keys:
                    connection.execute(insert, (key, number, PAYLOAD))


def run(lane, table, keys):
    number = next_number(lane)
    log = os.open(ledger.log_path(lane), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    connection, said = None, ""
    while True:
        sent = time.time()
        try:
            connection = connection or ledger.connect()
            write(connection, table, keys, number)
        except (psycopg.Error, OSError) as error:
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            if text != said:
                print(f"{time.time():.3f} {lane}: {number}: {text}")
            said = text
            if connection:
                connection.close()
            connection = None
            time.sleep(0.1)
        else:
            os.write(log, f"{number} {sent:.3f} {time.time():.3f}\n".encode())
            os.fdatasync(log)
            said = ""
            time.sleep(PAUSE_SECONDS)
        number += 1


def main():
    with ledger.connect() as connection:
        ledger.create(connection)
        lanes = ledger.keys(connection)
    threads = [threading.Thread(target=run, args=(lane, *place)) for lane, place in lanes.items()]
    for thread in threads:
        thread.start()
    print("writing: " + ", ".join(f"{lane}: {table} {keys}" for lane, (table, keys) in lanes.items()))


main()
