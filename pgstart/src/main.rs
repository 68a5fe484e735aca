//! What a start of PostgreSQL in a container needs and a shell cannot do well.
//!
//! The image's entrypoint is a shell script that reads like the official image's. This program is what it calls for:
//!
//! | command | does | in |
//! |---|---|---|
//! | `run PROGRAM [ARG...]` | removes lock files that are known to be stale, and turns into the server | [`server`] |
//! | `locks check\|remove` | tells whether the lock file of PGDATA may be a running server's; removes it where it is not | [`locks`], [`leases`], [`marker`] |
//! | `memory settings\|dynamic FILE\|advice` | memory settings from the container's limits | [`memory`] |
//! | `tls install\|refresh DIRECTORY` | copies certificates and keys to where the server may read them | [`tls`] |
//! | `tls watch DIRECTORY PID [FILE...]` | does so whenever they are replaced, and reloads the server | [`tls`] |
//! | `health [--wait]` | the health check | [`health`] |
//! | `preload [LIBRARY...]` | which libraries functions in PGDATA are in, of those that are named | [`preload`] |
//! | `backups check STATE\|configure\|stanza\|restore DIRECTORY\|watch PID` | what a start does about backups | [`backup`] |
//! | `pgbackrest archive-push PATH`, `pgbackrest archive-get FILE PATH [STANZA]` | turns into pgBackRest, for the server | [`backup`] |
//! | `password ROLE` | whether the secret on standard input is that of a password | [`password`] |
//!
//! Under the name `postgres` (a link to it) it is `run postgres`, which is how Patroni starts its servers. Under the names `backup`, `restore` and
//! `restore-point` it is these commands.
//!
//! It reads PGDATA, `POSTGRES_ON_STALE_LOCK` and `POSTGRES_AUTO_MEMORY` from the environment, and the password in `candidate_password`. It ends with 0, with 1 where the answer is no or something failed,
//! and with 2 where it was called wrongly. What the user should read goes to standard error, as the entrypoint's own lines do; answers go to
//! standard output.

mod backup;
mod control;
mod health;
mod leases;
mod lock_file;
mod locks;
mod marker;
mod memory;
mod password;
mod preload;
mod processes;
mod server;
mod tls;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use memory::{Advice, Limits, Machine, Settings};

/// Tells the user something.
pub fn say(text: &str) {
    eprintln!("entrypoint: {text}");
}

/// Warns the user.
pub fn warn(text: &str) {
    eprintln!("entrypoint: warning: {text}");
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = Path::new(arguments.first().map_or("".as_ref(), OsString::as_os_str)).file_name();
    let command = name.and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if command == "postgres" {
        arguments.splice(..1, ["pgstart", "run", "postgres"].map(OsString::from));
    }
    match dispatch(&command, &arguments) {
        Ok(code) => code,
        Err(error) => {
            // Further lines stand under the first.
            eprintln!(
                "entrypoint: error: {}",
                error.replace('\n', "\n                   ")
            );
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, all: &[OsString]) -> Result<ExitCode, String> {
    let arguments = &all[1..];
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    match command {
        "backup" => return backup::backup(all, &words),
        "restore" => return backup::restore(all, &words),
        "restore-point" => return backup::restore_point(all, &words),
        _ => {}
    }
    match &words[..] {
        ["run", _, ..] => Err(server::run(&arguments[1], &arguments[2..], is_forced()?)),
        ["locks", "check"] => check_locks(false),
        ["locks", "remove"] => check_locks(true),
        ["memory", "settings"] => {
            print!(
                "{}",
                derived()?.map_or(String::new(), |settings| settings.render())
            );
            Ok(ExitCode::SUCCESS)
        }
        ["memory", "dynamic", file] => {
            // One that cannot be read the server will complain of.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            print!(
                "{}",
                derived()?.map_or("", |settings| settings.render_dynamic(&text))
            );
            Ok(ExitCode::SUCCESS)
        }
        ["memory", "advice"] => advise(),
        ["tls", "install", directory] => {
            for pair in pairs(directory) {
                pair.install()?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["tls", "refresh", directory] => tls::refresh(&pairs(directory)).map(|()| ExitCode::SUCCESS),
        ["tls", "watch", directory, pid, files @ ..] => {
            let number = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            let pid = number.ok_or_else(|| format!("'{pid}' is not the id of a process"))?;
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            tls::watch(&pairs(directory), &files, pid);
            Ok(ExitCode::SUCCESS)
        }
        ["health"] => Ok(health(false)),
        ["health", "--wait"] => Ok(health(true)),
        ["preload", libraries @ ..] => {
            let libraries: Vec<String> = libraries.iter().map(|&library| library.to_owned()).collect();
            let found = if libraries.is_empty() {
                preload::libraries(&data()?)?.into_iter().collect()
            } else {
                preload::needed(&data()?, &libraries)?
            };
            for library in found {
                println!("{library}");
            }
            Ok(ExitCode::SUCCESS)
        }
        ["backups", words @ ..] => backup::of_entrypoint(words),
        ["pgbackrest", words @ ..] => backup::of_server(words),
        ["password", role] => {
            let candidate = std::env::var_os("candidate_password").ok_or("candidate_password is not set")?;
            let secret = std::io::read_to_string(std::io::stdin())
                .map_err(|error| format!("cannot read the secret: {error}"))?;
            let matches =
                password::matches(secret.trim_end_matches('\n'), role, candidate.as_encoded_bytes())?;
            println!("{}", if matches { "same" } else { "differs" });
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!(
                "usage: pgstart run PROGRAM [ARG...] | locks check|remove | memory settings|dynamic FILE|advice |\n       \
                 tls install|refresh DIRECTORY | tls watch DIRECTORY PID [FILE...] | health [--wait] | preload [LIBRARY...] |\n       \
                 backups check STATE|configure|stanza|restore DIRECTORY|watch PID | pgbackrest archive-push PATH | pgbackrest archive-get FILE PATH [STANZA] |\n       \
                 password ROLE"
            );
            Ok(ExitCode::from(2))
        }
    }
}

fn data() -> Result<PathBuf, String> {
    let data = std::env::var_os("PGDATA").filter(|data| !data.is_empty());
    data.map(PathBuf::from)
        .ok_or_else(|| "PGDATA is not set".to_owned())
}

/// The user's word on a lock file that may be a running server's.
fn is_forced() -> Result<bool, String> {
    match std::env::var("POSTGRES_ON_STALE_LOCK")
        .unwrap_or_default()
        .as_str()
    {
        "" | "refuse" => Ok(false),
        "remove" => Ok(true),
        other => Err(format!(
            "POSTGRES_ON_STALE_LOCK is '{other}', but may be: refuse remove"
        )),
    }
}

/// A refusal is the answer to a question, and an error where something was to be done.
fn check_locks(remove: bool) -> Result<ExitCode, String> {
    let data = data()?;
    let checked = locks::check(&data, &marker::Marker::read(&data), is_forced()?);
    match checked {
        Err(refusal) if !remove => {
            println!("{refusal}");
            Ok(ExitCode::FAILURE)
        }
        Err(refusal) => Err(refusal),
        Ok(reason) => {
            if remove {
                locks::remove(&data, reason.as_deref(), &[])?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn limits() -> Option<Limits> {
    let [cgroup, proc, shm] = ["/sys/fs/cgroup", "/proc", "/dev/shm"].map(PathBuf::from);
    Machine { cgroup, proc, shm }.limits()
}

/// The settings that the container's limits lead to, where there are any and the user has not turned them off.
fn derived() -> Result<Option<Settings>, String> {
    match std::env::var("POSTGRES_AUTO_MEMORY").unwrap_or_default().as_str() {
        "" | "on" => Ok(limits().map(Settings::derive)),
        "off" => Ok(None),
        other => Err(format!("POSTGRES_AUTO_MEMORY is '{other}', but may be: on off")),
    }
}

fn advise() -> Result<ExitCode, String> {
    if let Some(limits) = limits() {
        let settings = derived()?;
        let advice = [
            limits.advice(),
            settings.and_then(|settings| settings.advice(limits)),
        ];
        for advice in advice.into_iter().flatten() {
            match advice {
                Advice::Warning(text) => warn(&text),
                Advice::Note(text) => say(&text),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn pairs(directory: &str) -> Vec<tls::Pair> {
    tls::pairs(Path::new(directory), |name| std::env::var(name).ok())
}

fn health(wait: bool) -> ExitCode {
    let (text, is_well) = health::answer(wait);
    println!("{text}");
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
