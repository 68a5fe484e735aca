//! Which libraries the data of a cluster name: those of functions in C, in every database, without a server.
//!
//! `pg_proc` is a mapped relation, so `pg_filenode.map` beside a database's files names the file that it is in
//! (`src/backend/utils/cache/relmapper.c`). A function's library is in the column `probin`: `$libdir/citus`, or `citus` alone. The file is
//! searched for these values as they are stored, so rows that are deleted count too: a library too many does no harm.
//!
//! After a crash the newest rows may be in the write-ahead log alone, which holds them as they are stored. So it is searched as well then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::control::was_shut_down;

/// The object id of `pg_proc`.
const PG_PROC: u32 = 1255;
/// What `pg_filenode.map` begins with.
const MAP_MAGIC: u32 = 0x0059_2717;
/// Of a library's name; PostgreSQL's own limit on names.
const MAX_NAME: usize = 63;

/// The libraries that functions of the cluster are in, as `$libdir/NAME` says.
///
/// # Errors
/// A file of the catalogs cannot be read.
pub fn libraries(data: &Path) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    search(data, |bytes| found.extend(names(bytes)))?;
    Ok(found)
}

/// Those of the libraries that functions of the cluster are in, with `$libdir/` before their name or without it.
///
/// # Errors
/// A file of the catalogs cannot be read.
pub fn needed(data: &Path, libraries: &[String]) -> Result<Vec<String>, String> {
    let mut needed = BTreeSet::new();
    search(data, |bytes| {
        let named = libraries.iter().filter(|library| {
            contains_value(bytes, &format!("$libdir/{library}")) || contains_value(bytes, library)
        });
        needed.extend(named.cloned());
    })?;
    Ok(libraries
        .iter()
        .filter(|library| needed.contains(*library))
        .cloned()
        .collect())
}

/// Hands the contents of each file of each database's `pg_proc` to `look`.
fn search(data: &Path, mut look: impl FnMut(&[u8])) -> Result<(), String> {
    for database in databases(data)? {
        let Some(node) = file_of_pg_proc(&database)? else {
            continue;
        };
        for segment in 0.. {
            let name = if segment == 0 {
                node.to_string()
            } else {
                format!("{node}.{segment}")
            };
            match std::fs::read(database.join(name)) {
                Ok(bytes) => look(&bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(error) => {
                    return Err(format!(
                        "cannot read {}: {error}",
                        database.join(node.to_string()).display()
                    ));
                }
            }
        }
    }
    if was_shut_down(data)? {
        return Ok(());
    }
    for segment in files(&data.join("pg_wal"))? {
        // A server that runs may remove it meanwhile.
        if let Ok(bytes) = std::fs::read(&segment) {
            look(&bytes);
        }
    }
    Ok(())
}

/// The directories of databases: in `base`, and in tablespaces below a directory of the major version.
fn databases(data: &Path) -> Result<Vec<PathBuf>, String> {
    let mut places = vec![data.join("base")];
    for tablespace in subdirectories(&data.join("pg_tblspc"))? {
        places.extend(subdirectories(&tablespace)?);
    }
    let mut databases = Vec::new();
    for place in places {
        databases.extend(subdirectories(&place)?);
    }
    Ok(databases)
}

fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>, String> {
    entries(directory, Path::is_dir)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    entries(directory, Path::is_file)
}

/// What is in a directory and wanted; nothing if the directory is not there.
fn entries(directory: &Path, is_wanted: fn(&Path) -> bool) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if is_wanted(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The number of the file that a database's `pg_proc` is in. `None` if the directory is not that of a database.
fn file_of_pg_proc(database: &Path) -> Result<Option<u32>, String> {
    let path = database.join("pg_filenode.map");
    let map = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        map => map.map_err(|error| format!("cannot read {}: {error}", path.display()))?,
    };
    let words: Vec<u32> = map
        .chunks_exact(4)
        .map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
        .collect();
    let damaged = || {
        format!(
            "{} is not a map of relations to files as PostgreSQL writes it",
            path.display()
        )
    };
    if words.first() != Some(&MAP_MAGIC) {
        return Err(damaged());
    }
    let count = words.get(1).map_or(0, |&count| count as usize);
    let pairs = words.get(2..2 + 2 * count.min(words.len())).ok_or_else(damaged)?;
    let node = pairs
        .chunks_exact(2)
        .find(|pair| pair[0] == PG_PROC)
        .map(|pair| pair[1]);
    node.map(Some).ok_or_else(damaged)
}

/// The names that stand behind `$libdir/` in a file.
fn names(bytes: &[u8]) -> BTreeSet<String> {
    const PREFIX: &[u8] = b"$libdir/";
    let mut found = BTreeSet::new();
    for start in positions(bytes, PREFIX) {
        // The length of a short value is in the byte before it.
        let Some(length) = start.checked_sub(1).map(|header| short_length(bytes[header])) else {
            continue;
        };
        let Some(name) = bytes.get(start + PREFIX.len()..start + length) else {
            continue;
        };
        if let Ok(name) = std::str::from_utf8(name)
            && !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.contains(|c: char| c.is_control())
        {
            found.insert(name.to_owned());
        }
    }
    found
}

/// Whether a file has a short value of the type text that is this one. It is the last value of its row, so no text follows: in the source of
/// a function, a letter before the name may look like a header by chance, as the quote of `'pg_stat_statements'` does.
fn contains_value(bytes: &[u8], value: &str) -> bool {
    positions(bytes, value.as_bytes()).any(|start| {
        let has_header = start > 0 && short_length(bytes[start - 1]) == value.len();
        let next = bytes.get(start + value.len());
        has_header && next.is_none_or(|next| !next.is_ascii_graphic() && *next != b' ')
    })
}

fn positions<'a>(bytes: &'a [u8], value: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, value)
}

/// The length of a value from its header of one byte, which counts itself (`src/include/varatt.h`).
fn short_length(header: u8) -> usize {
    let counted = if cfg!(target_endian = "little") {
        header >> 1
    } else {
        header & 0x7F
    };
    usize::from(counted).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the type text as it is stored in a row.
    fn value(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len() + 1).expect("a short value");
        let header = if cfg!(target_endian = "little") {
            (length << 1) | 1
        } else {
            length | 0x80
        };
        [&[header], text.as_bytes()].concat()
    }

    fn map(pairs: &[(u32, u32)]) -> Vec<u8> {
        let mut words = vec![MAP_MAGIC, u32::try_from(pairs.len()).expect("few")];
        words.extend(pairs.iter().flat_map(|&(oid, node)| [oid, node]));
        words.resize(131, 0);
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn database(directory: &Path, node: u32, rows: &[&str]) {
        std::fs::create_dir_all(directory).expect("a directory");
        std::fs::write(
            directory.join("pg_filenode.map"),
            map(&[(1259, 1259), (PG_PROC, node)]),
        )
        .expect("a file");
        let bytes: Vec<u8> = rows
            .iter()
            .flat_map(|row| [vec![0; 5], value(row)].concat())
            .collect();
        std::fs::write(directory.join(node.to_string()), bytes).expect("a file");
    }

    #[test]
    fn every_database_is_searched_in_its_own_file() {
        let data = tempfile::tempdir().expect("a directory");
        database(&data.path().join("base/1"), 1255, &["$libdir/pg_cron"]);
        database(&data.path().join("base/5"), 16_400, &["$libdir/citus_columnar"]);
        database(
            &data.path().join("pg_tblspc/9/PG_18_202506291/7"),
            1255,
            &["pg_squeeze"],
        );
        // Where pg_proc was before it was rewritten, and a part of it in a second file.
        std::fs::write(data.path().join("base/5/1255"), value("$libdir/gone")).expect("a file");
        std::fs::write(data.path().join("base/5/16400.1"), value("$libdir/second")).expect("a file");
        std::fs::create_dir(data.path().join("base/pgsql_tmp")).expect("a directory");
        let found = libraries(data.path()).expect("it can be read");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["citus_columnar", "pg_cron", "second"]
        );
        let asked = ["citus", "pg_squeeze", "pg_cron", "gone"].map(str::to_owned);
        assert_eq!(
            needed(data.path(), &asked),
            Ok(vec!["pg_squeeze".to_owned(), "pg_cron".to_owned()])
        );
    }

    #[test]
    fn a_name_is_whole_or_is_none() {
        let citus = value("$libdir/citus");
        assert!(contains_value(&citus, "$libdir/citus"));
        assert!(!contains_value(&value("$libdir/citus_columnar"), "$libdir/citus"));
        assert!(!contains_value(&value("before citus"), "citus"));
        assert!(!contains_value(b"citus", "citus"));
        assert!(names(b"$libdir/x").is_empty());
    }

    #[test]
    fn a_damaged_map_is_told_with_its_place() {
        let data = tempfile::tempdir().expect("a directory");
        let place = data.path().join("base/1");
        std::fs::create_dir_all(&place).expect("a directory");
        for bytes in [&b""[..], b"short", &[0; 524], &map(&[(1259, 1259)])] {
            std::fs::write(place.join("pg_filenode.map"), bytes).expect("a file");
            let error = libraries(data.path()).expect_err("it is damaged");
            assert!(error.contains("base/1/pg_filenode.map"), "{error}");
        }
    }

    #[test]
    fn a_name_in_the_source_of_a_function_is_no_library() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = "BEGIN IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') THEN";
        let database_directory = directory.path().join("base/5");
        database(&database_directory, 1255, &[source, "$libdir/citus"]);
        let asked = ["citus", "pg_stat_statements"].map(str::to_owned);
        assert_eq!(needed(directory.path(), &asked).expect("an answer"), ["citus"]);
        database(&database_directory, 1255, &["pg_stat_statements"]);
        assert_eq!(
            needed(directory.path(), &asked).expect("an answer"),
            ["pg_stat_statements"]
        );
    }

    #[test]
    fn after_a_crash_the_write_ahead_log_counts() {
        let data = tempfile::tempdir().expect("a directory");
        database(&data.path().join("base/5"), 1255, &["$libdir/pg_cron"]);
        for directory in ["global", "pg_wal"] {
            std::fs::create_dir(data.path().join(directory)).expect("a directory");
        }
        let segment = data.path().join("pg_wal/000000010000000000000001");
        std::fs::write(segment, value("$libdir/citus")).expect("a file");
        for (state, expected) in [(1_u32, &["pg_cron"][..]), (6, &["citus", "pg_cron"])] {
            let control = [&[0; 16][..], &state.to_ne_bytes(), &[0; 100]].concat();
            std::fs::write(data.path().join("global/pg_control"), control).expect("a file");
            let asked = ["citus", "pg_cron"].map(str::to_owned);
            assert_eq!(needed(data.path(), &asked).expect("an answer"), expected);
        }
    }
}
