//! What a start of PostgreSQL in a container needs and a shell cannot do well.
//!
//! The image's entrypoint is a shell script that reads like the official image's. This program is what it calls for:
//!
//! | command | does | in |
//! |---|---|---|
//! | `run PROGRAM [ARG...]` | removes lock files that are known to be stale, and turns into the server | [`server`] |
//! | `locks check\|remove` | tells whether the lock file of PGDATA may be a running server's; removes it where it is not | [`locks`], [`leases`], [`marker`] |
//! | `memory settings\|dynamic [VALUE]\|advice` | memory settings from the container's limits | [`memory`] |
//! | `tls install\|refresh DIRECTORY` | copies certificates and keys to where the server may read them | [`tls`] |
//! | `tls watch DIRECTORY PID [FILE...]` | does so whenever they are replaced, and reloads the server | [`tls`] |
//! | `health [--wait]` | the health check | [`health`] |
//! | `preload [LIBRARY...]` | which libraries functions in PGDATA are in, of those that are named | [`preload`] |
//!
//! Under the name `postgres` (a link to it) it is `run postgres`, which is how Patroni starts its servers.
//!
//! It reads PGDATA and `POSTGRES_ON_STALE_LOCK` from the environment. It ends with 0, with 1 where the answer is no or something failed,
//! and with 2 where it was called wrongly. What the user should read goes to standard error, as the entrypoint's own lines do; answers go to
//! standard output.

mod health;
mod leases;
mod lock_file;
mod locks;
mod marker;
mod memory;
mod preload;
mod processes;
mod server;
mod tls;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use memory::{Machine, Settings};

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
    if name == Some("postgres".as_ref()) {
        arguments.splice(..1, ["pgstart", "run", "postgres"].map(OsString::from));
    }
    match dispatch(&arguments[1..]) {
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

fn dispatch(arguments: &[OsString]) -> Result<ExitCode, String> {
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    match &words[..] {
        ["run", _, ..] => Err(server::run(&arguments[1], &arguments[2..], is_forced()?)),
        ["locks", "check"] => check_locks(false),
        ["locks", "remove"] => check_locks(true),
        ["memory", "settings"] => Ok(derived(|settings, _| settings.render())),
        ["memory", "dynamic", chosen @ ..] if chosen.len() < 2 => {
            let chosen = chosen.first().copied().unwrap_or_default();
            Ok(derived(|settings, _| settings.render_dynamic(chosen).to_owned()))
        }
        ["memory", "advice"] => Ok(derived(|settings, limits| {
            let lines = settings.advice(limits);
            lines.iter().map(|line| format!("{line}\n")).collect()
        })),
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
        _ => {
            eprintln!(
                "usage: pgstart run PROGRAM [ARG...] | locks check|remove | memory settings|dynamic [VALUE]|advice |\n       \
                 tls install|refresh DIRECTORY | tls watch DIRECTORY PID [FILE...] | health [--wait] | preload [LIBRARY...]"
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

fn check_locks(remove: bool) -> Result<ExitCode, String> {
    let data = data()?;
    if let Some(reason) = locks::check(&data, &marker::Marker::read(&data), is_forced()?)?
        && remove
    {
        let path = locks::lock_file_of(&data);
        say(&format!("removing {}: {reason}", path.display()));
        std::fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints something of the settings that the container's limits lead to, where there are any.
fn derived(render: impl Fn(&Settings, memory::Limits) -> String) -> ExitCode {
    let machine = Machine {
        cgroup: PathBuf::from("/sys/fs/cgroup"),
        proc: PathBuf::from("/proc"),
        shm: PathBuf::from("/dev/shm"),
    };
    if let Some(limits) = machine.limits() {
        print!("{}", render(&Settings::derive(limits), limits));
    }
    ExitCode::SUCCESS
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
