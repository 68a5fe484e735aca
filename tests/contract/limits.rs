//! A memory limit, and /dev/shm as engines make it: what works with PostgreSQL's defaults works with the derived settings.

use super::container::{Container, PASSWORD};
use super::needs::needs_image;

/// More than /dev/shm in a hash table, and in `maintenance_work_mem`.
const DATA: &str = "CREATE TABLE orders AS SELECT n AS id, n % 600000 AS customer FROM generate_series(1, 1000000) n;
    CREATE TABLE customers AS SELECT n AS id, repeat(md5(n::text), 4) AS address FROM generate_series(1, 600000) n;
    CREATE INDEX ON orders (id); CREATE INDEX ON orders (customer); ANALYZE; DELETE FROM orders WHERE id % 10 = 0";
/// Statements that share memory with workers.
const STATEMENTS: [&str; 2] = [
    "SET enable_mergejoin = off; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; \
     SELECT count(*), sum(length(c.address)) > 0 FROM orders o JOIN customers c ON c.id = o.customer",
    "VACUUM (PARALLEL 2) orders",
];
const HNSW: &str = "CREATE EXTENSION vector; \
    CREATE TABLE points AS SELECT n AS id, ARRAY[n % 97, n % 89, n % 83]::vector(3) AS v FROM generate_series(1, 20000) n; \
    ALTER TABLE points SET (parallel_workers = 2); \
    CREATE INDEX ON points USING hnsw (v vector_l2_ops) WITH (ef_construction = 8, m = 4)";

#[test(line_53)]
fn statements_that_share_memory_work_with_a_small_shm() {
    needs_image();
    let container = Container::serving(&["--memory=1g", "--shm-size=64m", "--env", PASSWORD], &[]);
    assert_eq!(container.sql("SHOW dynamic_shared_memory_type"), "sysv");
    let log = container.log();
    assert_eq!(log.matches("shm_size").count(), 1, "one line: {log}");
    container.sql(DATA);
    for statement in STATEMENTS {
        container.sql(statement);
    }
    if container.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "1" {
        container.sql(HNSW);
    }
}

#[test(line_53)]
fn ample_shm_or_a_choice_of_the_users_is_used() {
    needs_image();
    let ample = Container::serving(&["--memory=1g", "--shm-size=512m", "--env", PASSWORD], &[]);
    assert_eq!(ample.sql("SHOW dynamic_shared_memory_type"), "posix");
    assert_eq!(ample.sql("SHOW work_mem"), "10MB");
    assert!(!ample.log().contains("shm_size"), "{}", ample.log());
    drop(ample);
    let small = ["--memory=1g", "--env", PASSWORD];
    let own = Container::serving(&small, &["-c", "dynamic_shared_memory_type=mmap"]);
    assert_eq!(own.sql("SHOW dynamic_shared_memory_type"), "mmap");
    drop(own);
    let off = Container::serving(&[&small[..], &["--env=POSTGRES_AUTO_MEMORY=off"]].concat(), &[]);
    assert_eq!(off.sql("SHOW dynamic_shared_memory_type"), "posix");
    assert_eq!(off.sql("SHOW work_mem"), "4MB");
    assert!(!off.log().contains("shm_size"), "{}", off.log());
}
