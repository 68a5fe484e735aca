//! Turns into a server: `pgstart run postgres ARG...`, or any program called `postgres` that is a link to this one.
//!
//! Every server of a start goes this way, alone, while it is initialised and under Patroni. Lock files are judged and removed here, after
//! everything else has been checked, and the marker is written for the server that this process becomes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::locks::{self, Verdict};
use crate::marker::Marker;
use crate::warn;

/// How long a start waits for the end of the server before it, whose process may be on its way out.
const GRACE: Duration = Duration::from_secs(5);

/// Replaces this process by the server. Returns only what went wrong.
pub fn run(program: &OsStr, arguments: &[OsString], forced: bool) -> String {
    let program = match find(program) {
        Ok(program) => program,
        Err(error) => return error,
    };
    if serves(arguments)
        && let Some(data) = data_directory(arguments)
        && let Err(error) = prepare(&program, arguments, &data, forced)
    {
        return error;
    }
    let error = Command::new(&program).args(arguments).exec();
    format!("cannot run {}: {error}", program.display())
}

/// Takes the marker's lock, and removes the lock files that are known to be stale.
fn prepare(program: &Path, arguments: &[OsString], data: &Path, forced: bool) -> Result<(), String> {
    let deadline = Instant::now() + GRACE;
    let mut marker = Marker::read_or_create(data);
    while matches!(marker, Marker::Held) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        marker = Marker::read_or_create(data);
    }
    let reason = locks::check(data, &marker, forced)?;
    let given = option(
        arguments,
        "k",
        &["unix_socket_directories", "unix-socket-directories"],
    );
    let given: Vec<&str> = given
        .into_iter()
        .flat_map(|list| list.split(',').map(str::trim))
        .collect();
    refuse_foreign_sockets(program, arguments, &locks::socket_directories(data, &given))?;
    locks::remove(data, reason.as_deref(), &given)?;
    if let Marker::Free(entry) = marker {
        // The marker only spares the next start a proof.
        if let Err(error) = entry.hand_over() {
            warn(&format!(
                "cannot write {}: {error}",
                crate::marker::path(data).display()
            ));
        }
    }
    Ok(())
}

/// Whether the server will serve, or write data: some options make it print something and end.
fn serves(arguments: &[OsString]) -> bool {
    let first = arguments.first().map(|argument| argument.as_bytes());
    if first.is_some_and(|first| {
        [&b"--boot"[..], b"--check", b"--describe-config"].contains(&first) || first.starts_with(b"--fork")
    }) {
        return false;
    }
    !arguments.iter().any(|argument| {
        matches!(
            argument.to_str(),
            Some("-?" | "-V" | "-C" | "--help" | "--version")
        )
    })
}

/// The data directory that the server will use.
fn data_directory(arguments: &[OsString]) -> Option<PathBuf> {
    let given = option(arguments, "D", &["data_directory", "data-directory"]).map(OsString::from);
    let data = PathBuf::from(given.or_else(|| std::env::var_os("PGDATA"))?);
    data.is_dir().then_some(data)
}

/// The value of an option of one letter, or of a setting, as postgres's manual page has them; the last one counts.
fn option<'a>(arguments: &'a [OsString], letter: &str, settings: &[&str]) -> Option<&'a str> {
    let mut found = None;
    let mut words = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .peekable();
    while let Some(word) = words.next() {
        let setting = word
            .strip_prefix("--")
            .or_else(|| match word.strip_prefix("-c") {
                Some("") => words.peek().copied(),
                joined => joined,
            })
            .and_then(|setting| setting.split_once('='));
        if let Some((name, value)) = setting
            && settings.contains(&name)
        {
            found = Some(value);
        } else if let Some(value) = word.strip_prefix(&format!("-{letter}")) {
            found = if value.is_empty() {
                words.peek().copied()
            } else {
                Some(value)
            };
        }
    }
    found
}

/// A socket that another server listens on would be taken over by this one, since PostgreSQL looks for that server in its own process
/// namespace. The server is only asked for its port where there is such a socket.
fn refuse_foreign_sockets(
    program: &Path,
    arguments: &[OsString],
    directories: &[PathBuf],
) -> Result<(), String> {
    let mut own = None;
    for directory in directories {
        for path in locks::socket_locks(directory) {
            let Verdict::Live(why) = locks::judge_socket(&path)? else {
                continue;
            };
            let (port, places) = own.get_or_insert_with(|| {
                let ask = |name| ask(program, arguments, name);
                (ask("port"), ask("unix_socket_directories"))
            });
            let same_port = path.file_name() == Some(OsStr::new(&format!(".s.PGSQL.{port}.lock")));
            let same_place = places
                .split(',')
                .any(|place| std::fs::canonicalize(place.trim()).is_ok_and(|place| place == *directory));
            if same_port && same_place {
                return Err(format!(
                    "{} is the lock of another server's socket: {why}. This server would take the socket away from it.\n\
                     Give this server another port, or its own directory for sockets.",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

/// What the server says that a setting will be; nothing where it cannot tell.
fn ask(program: &Path, arguments: &[OsString], setting: &str) -> String {
    let output = Command::new(program)
        .args(arguments)
        .args(["-C", setting])
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// The program of that name on PATH, which this one is not, even where it goes by the same name.
fn find(program: &OsStr) -> Result<PathBuf, String> {
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let own = std::fs::canonicalize("/proc/self/exe").ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file() && std::fs::canonicalize(candidate).ok() != own)
        .ok_or_else(|| format!("there is no {} on PATH", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_server_is_told_from_a_question() {
        for text in ["-D /data", "", "--single -D /data postgres", "-c port=1 -F"] {
            assert!(serves(&words(text)), "{text}");
        }
        for text in [
            "--version",
            "-V",
            "-D /data -C port",
            "--describe-config",
            "--boot -x0",
            "--forkchild x",
            "--check",
        ] {
            assert!(!serves(&words(text)), "{text}");
        }
    }

    #[test]
    fn options_are_read_as_postgres_reads_them() {
        let value =
            |text: &str| option(&words(text), "D", &["data_directory", "data-directory"]).map(str::to_owned);
        for text in [
            "-D /d",
            "-D/d",
            "-c data_directory=/d",
            "-cdata_directory=/d",
            "--data-directory=/d",
            "-D /e -D /d",
            "-c port=1 -D /d",
        ] {
            assert_eq!(value(text).as_deref(), Some("/d"), "{text}");
        }
        assert_eq!(value("-c port=1 -F"), None);
    }
}
