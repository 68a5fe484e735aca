"""What the writer and the check share: the tables, the lanes, and the client's log of what was acknowledged.

A lane is a sequence of numbered rows, written one after the other by one session. One lane's rows are on the coordinator, one's on worker
group 1, one's on group 2, and one lane writes a row to both groups in a transaction, which Citus commits in two phases.
"""

import psycopg

COORDINATOR, GROUP_1, GROUP_2, BOTH = "coordinator", "group 1", "group 2", "both groups"
LANES = (COORDINATOR, GROUP_1, GROUP_2, BOTH)


def connect(**options):
    with open("/run/secrets/superuser", encoding="ascii") as file:
        password = file.read().strip()
    return psycopg.connect(
        host="haproxy", port=5000, user="postgres", password=password, dbname="citus", connect_timeout=3, autocommit=True, **options
    )


def log_path(lane):
    return f"/results/acknowledged-{lane.replace(' ', '-')}.log"


def acknowledged(lane):
    """Each acknowledged row: number, and when it was sent and acknowledged, in seconds since 1970."""
    with open(log_path(lane), encoding="ascii") as file:
        # A last line without its end is being written.
        return [(int(n), float(sent), float(end)) for n, sent, end in (line.split() for line in file if line.endswith("\n"))]


def create(connection):
    """Makes the tables where they are not there yet."""
    connection.execute("CREATE TABLE IF NOT EXISTS whole (key bigint, n bigint, payload text, PRIMARY KEY (key, n))")
    connection.execute("CREATE TABLE IF NOT EXISTS sharded (key bigint, n bigint, payload text, PRIMARY KEY (key, n))")
    connection.execute("SET citus.shard_count = 8")
    if not connection.execute("SELECT FROM pg_dist_partition WHERE logicalrelid = 'sharded'::regclass").fetchone():
        connection.execute("SELECT create_distributed_table('sharded', 'key')")


def keys(connection):
    """Table and keys of each lane: of the sharded table, keys whose shard is where the lane's rows belong."""
    found = {1: [], 2: []}
    placed = """SELECT groupid FROM pg_dist_placement
        WHERE shardid = get_shard_id_for_distribution_column('sharded', %s::bigint)"""
    for key in range(1, 100):
        found.setdefault(connection.execute(placed, (key,)).fetchone()[0], []).append(key)
    return {
        COORDINATOR: ("whole", [0]),
        GROUP_1: ("sharded", [found[1][0]]),
        GROUP_2: ("sharded", [found[2][0]]),
        BOTH: ("sharded", [found[1][1], found[2][1]]),
    }
