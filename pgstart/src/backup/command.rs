//! The commands that people call: `backup`, `restore-point`, `restore`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};

use super::repository::{Backup, Contents};
use super::target::Target;
use super::{Backups, PGBACKREST, captured, create_stanza, step_down};
use crate::health::superuser;
use crate::lock_file::{LockFile, utc};
use crate::processes::server_in;
use crate::say;

const BACKUP: &str = "usage: backup [full|diff|incr] [--explain] [--format text|json]
       backup list|check|expire [--explain] [--format text|json]

full   a whole copy; diff: what changed since the last full one; incr (the default): since the last backup
list   the backups of this cluster, the oldest first
check  archives a segment of WAL and waits until it is in the repository
expire removes what PGBACKREST_REPO1_RETENTION_* say is too old; each backup does so at its end";
const RESTORE: &str = "usage: restore [--latest|--time TIME|--lsn LSN|--name NAME] [--set LABEL] [--to EMPTY_DIRECTORY] [--explain] [--format text|json]

Restores this cluster from its repository, while no server runs: into PGDATA, or into another directory. The server that is started there
recovers up to the moment that was named, and serves. --set: from this backup and no later one.";
const RESTORE_POINT: &str = "usage: restore-point NAME [--explain] [--format text|json]

Names this moment, so that `restore --name NAME` and RESTORE_FROM=name=NAME lead back to it.";

/// What the options of all commands say.
#[derive(Debug, Default)]
struct Options {
    explain: bool,
    json: bool,
    help: bool,
}

/// Takes the options of all commands out of the words.
fn options(words: &[&str]) -> Result<(Options, Vec<String>), String> {
    let mut options = Options::default();
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match name {
            "--explain" => options.explain = true,
            "--help" | "-h" => options.help = true,
            "--format" => {
                value = value.or_else(|| words.next().copied());
                options.json = match value {
                    Some("json") => true,
                    Some("text") => false,
                    other => {
                        return Err(format!(
                            "--format is '{}', but may be: text json",
                            other.unwrap_or_default()
                        ));
                    }
                };
            }
            _ => rest.push(word.to_owned()),
        }
    }
    Ok((options, rest))
}

/// Runs a call to its end. What it says goes to standard error.
///
/// # Errors
/// It cannot be run, or fails.
pub fn run(mut command: Command) -> Result<(), String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status();
    let status = child.map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} ended with {status}", command.get_program().display()))
}

/// The command line, as you would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+%@".contains(c);
        if word.chars().all(is_plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn explain(options: &Options, what: &str, calls: &[Command]) -> ExitCode {
    let calls: Vec<String> = calls.iter().map(shown).collect();
    if options.json {
        println!("{}", json!({"does": what, "commands": calls}));
    } else {
        println!("{what}");
        for call in &calls {
            println!("  {call}");
        }
    }
    ExitCode::SUCCESS
}

/// Prints an answer in the form that is asked for.
fn answer(options: &Options, value: &Value, text: &str) {
    if options.json {
        println!("{value}");
    } else {
        println!("{}", text.trim_end());
    }
}

impl Backups {
    /// The server of these data, which must run.
    fn server(&self) -> Result<LockFile, String> {
        let found = LockFile::read(&self.data.join("postmaster.pid")).ok().flatten();
        let found = found.filter(|_| server_in(&self.data).is_some());
        found.ok_or_else(|| {
            format!(
                "no server runs on {}: call this in the container of the database, with docker exec",
                self.data.display()
            )
        })
    }

    /// A call that connects to the server.
    fn online(&self, server: &LockFile, words: &[&str]) -> Command {
        let mut command = self.call(words);
        command.arg(format!("--pg1-path={}", self.data.display()));
        command.arg(format!("--pg1-port={}", server.port.unwrap_or(5432)));
        command.arg(format!("--pg1-socket-path={}", server.socket_directory));
        command
    }
}

/// `backup`: makes, lists, checks and expires backups.
///
/// # Errors
/// It was called wrongly, or failed.
pub fn backup(arguments: &[OsString], words: &[&str]) -> Result<ExitCode, String> {
    let (options, rest) = options(words)?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    if options.help {
        println!("{BACKUP}");
        return Ok(ExitCode::SUCCESS);
    }
    let action = match rest[..] {
        [] => "incr",
        [word @ ("full" | "diff" | "incr" | "list" | "check" | "expire")] => word,
        _ => {
            eprintln!("{BACKUP}");
            return Ok(ExitCode::from(2));
        }
    };
    step_down(arguments)?;
    let backups = Backups::ready()?;
    let stanza = backups.settings.stanza.as_str();
    match action {
        "list" => {
            let call = || backups.call(&["info", "--output=json"]);
            if options.explain {
                return Ok(explain(&options, "lists the backups of this cluster", &[call()]));
            }
            let contents = backups.contents(stanza)?;
            answer(&options, &listed(stanza, &contents), &table(stanza, &contents));
        }
        "expire" => {
            let call = backups.call(&["expire"]);
            if options.explain {
                return Ok(explain(&options, "removes what is too old", &[call]));
            }
            run(call)?;
            let contents = backups.contents(stanza)?;
            answer(&options, &listed(stanza, &contents), &table(stanza, &contents));
        }
        "check" => {
            let call = backups.online(&backups.server()?, &["check"]);
            if options.explain {
                return Ok(explain(
                    &options,
                    "archives a segment of WAL and waits for it",
                    &[call],
                ));
            }
            run(call)?;
            let value = json!({"stanza": stanza, "check": "passed"});
            answer(&options, &value, &format!("{stanza}: WAL reaches the repository"));
        }
        kind => {
            let call = backups.online(&backups.server()?, &["backup", &format!("--type={kind}")]);
            if options.explain {
                return Ok(explain(&options, &format!("makes a backup ({kind})"), &[call]));
            }
            if !backups.contents(stanza)?.exists {
                create_stanza(&backups.config, stanza)?;
            }
            run(call)?;
            let contents = backups.contents(stanza)?;
            let made = contents
                .backups
                .last()
                .ok_or("the backup is not in the repository")?;
            answer(&options, &as_json(made), &line(made));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(backup: &Backup) -> Value {
    json!({
        "label": backup.label,
        "type": backup.kind,
        "repository": backup.repository,
        "start": backup.start,
        "stop": backup.stop,
        "bytes": backup.bytes,
        "added_bytes": backup.added,
        "has_errors": backup.has_errors,
    })
}

fn listed(stanza: &str, contents: &Contents) -> Value {
    let backups: Vec<Value> = contents.backups.iter().map(as_json).collect();
    json!({"stanza": stanza, "backups": backups, "unreachable": contents.unreachable})
}

fn line(backup: &Backup) -> String {
    let mebibytes = |bytes: u64| bytes.div_ceil(1024 * 1024);
    format!(
        "{:<33} {:<4} {} {:>8} MiB {:>8} MiB added{}",
        backup.label,
        backup.kind,
        utc(backup.stop),
        mebibytes(backup.bytes),
        mebibytes(backup.added),
        if backup.has_errors {
            "  pages with wrong checksums"
        } else {
            ""
        }
    )
}

fn table(stanza: &str, contents: &Contents) -> String {
    let backups = contents.backups.iter().map(line);
    let silent = contents.unreachable.iter().cloned();
    let lines: Vec<String> = backups.chain(silent).collect();
    if lines.is_empty() {
        return format!("no backup of {stanza}");
    }
    lines.join("\n")
}

/// `restore-point`: names a moment. A coordinator of Citus names it on every node.
///
/// # Errors
/// It was called wrongly, or failed.
pub fn restore_point(arguments: &[OsString], words: &[&str]) -> Result<ExitCode, String> {
    let (options, rest) = options(words)?;
    if options.help {
        println!("{RESTORE_POINT}");
        return Ok(ExitCode::SUCCESS);
    }
    let [name] = &rest[..] else {
        eprintln!("{RESTORE_POINT}");
        return Ok(ExitCode::from(2));
    };
    Target::name(name)?;
    step_down(arguments)?;
    let backups = Backups::ready()?;
    let server = backups.server()?;
    let database = std::env::var("POSTGRES_DB").ok().filter(|name| !name.is_empty());
    let database = database.unwrap_or_else(superuser);
    let psql = |sql: &str| {
        let mut command = Command::new("psql");
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
        ]);
        command.arg(format!("--host={}", server.socket_directory));
        command.arg(format!("--port={}", server.port.unwrap_or(5432)));
        command.arg(format!("--username={}", superuser()));
        command.arg(format!(
            "--dbname=dbname='{}'",
            database.replace('\\', r"\\").replace('\'', r"\'")
        ));
        command.arg(format!("--command={sql}"));
        command
    };
    let is_citus = psql("SELECT count(*) FROM pg_extension WHERE extname = 'citus'");
    let literal = name.replace('\'', "''");
    let function = if !options.explain && captured(is_citus)?.0.trim() == "1" {
        "citus_create_restore_point"
    } else {
        "pg_create_restore_point"
    };
    let make = psql(&format!("SELECT {function}(E'{}')", literal.replace('\\', r"\\")));
    // In a transaction of its own: the segment that has the point is complete, and is archived now.
    let switch = psql("SELECT pg_switch_wal()");
    if options.explain {
        let what =
            "names this moment; with Citus in the database, by citus_create_restore_point on every node";
        return Ok(explain(&options, what, &[make, switch]));
    }
    let lsn = captured(make)?.0.trim().to_owned();
    captured(switch)?;
    answer(
        &options,
        &json!({"name": name, "lsn": lsn}),
        &format!("restore point '{name}' at {lsn}"),
    );
    Ok(ExitCode::SUCCESS)
}

/// What `restore` is told.
#[derive(Debug, PartialEq, Eq)]
struct Restore {
    target: Target,
    set: Option<String>,
    to: Option<PathBuf>,
}

/// Reads the words of `restore`; an empty error means that its usage is to be shown.
fn restore_words(words: &[String]) -> Result<Restore, String> {
    let mut target = None;
    let (mut set, mut to) = (None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            let value = value.clone().or_else(|| words.next().cloned());
            value.ok_or_else(|| format!("{name} has no value"))
        };
        let found = match name {
            "--latest" => Target::Latest,
            "--time" => Target::time(&value()?)?,
            "--lsn" => Target::lsn(&value()?)?,
            "--name" => Target::name(&value()?)?,
            "--set" => {
                set = Some(value()?);
                continue;
            }
            "--to" => {
                to = Some(PathBuf::from(value()?));
                continue;
            }
            _ => return Err(String::new()),
        };
        if target.replace(found).is_some() {
            return Err("of --latest, --time, --lsn and --name, one can be given".to_owned());
        }
    }
    Ok(Restore {
        target: target.unwrap_or(Target::Latest),
        set,
        to,
    })
}

/// The call that restores a cluster into a directory. The server there takes WAL from the archive of `source`.
pub fn restoration(
    config: &Path,
    stanza: &str,
    source: Option<&str>,
    target: &Target,
    directory: &Path,
    set: Option<&str>,
) -> Command {
    let source = source.filter(|source| *source != stanza);
    let mut command = super::pgbackrest(config, source.unwrap_or(stanza), &["restore"]);
    command.arg(format!("--pg1-path={}", directory.display()));
    command.args(target.options());
    command.args(set.map(|set| format!("--set={set}")));
    let of_other = source.map_or(String::new(), |source| format!(" {source}"));
    command.arg(format!(
        "--recovery-option=restore_command=/opt/container/bin/pgstart pgbackrest archive-get %f \"%p\"{of_other}"
    ));
    command
}

/// `restore`: restores this cluster into an empty directory.
///
/// # Errors
/// It was called wrongly, or failed.
pub fn restore(arguments: &[OsString], words: &[&str]) -> Result<ExitCode, String> {
    let (options, rest) = options(words)?;
    if options.help {
        println!("{RESTORE}");
        return Ok(ExitCode::SUCCESS);
    }
    let told = match restore_words(&rest) {
        Err(error) if error.is_empty() => {
            eprintln!("{RESTORE}");
            return Ok(ExitCode::from(2));
        }
        told => told?,
    };
    step_down(arguments)?;
    let backups = Backups::ready()?;
    let stanza = backups.settings.stanza.as_str();
    let directory = told.to.as_deref().unwrap_or(&backups.data);
    let call = restoration(
        &backups.config,
        stanza,
        None,
        &told.target,
        directory,
        told.set.as_deref(),
    );
    let what = format!("restores {} into {}", told.target.describe(), directory.display());
    if options.explain {
        return Ok(explain(&options, &what, &[call]));
    }
    if let Some(pid) = server_in(directory) {
        return Err(format!(
            "a server (process {pid}) runs on {}: stop it first",
            directory.display()
        ));
    }
    if std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!(
            "{} is not empty, and is left as it is: restore into an empty directory, with --to or in an empty volume",
            directory.display()
        ));
    }
    if backups.contents(stanza)?.backups.is_empty() {
        return Err(format!(
            "the repository has no backup of '{stanza}'; {PGBACKREST} was not called"
        ));
    }
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    say(&what);
    run(call)?;
    let value = json!({"restored": told.target.describe(), "directory": directory});
    let text = format!(
        "{} is restored. The server that is started there recovers up to that moment, and serves.",
        directory.display()
    );
    answer(&options, &value, &text);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_moment_is_named_and_the_latest_by_default() {
        let latest = Restore {
            target: Target::Latest,
            set: None,
            to: None,
        };
        assert_eq!(restore_words(&[]), Ok(latest));
        let named = restore_words(&words("--name=before --to /new --set 20261201-030000F")).unwrap();
        assert_eq!(named.target, Target::Name("before".to_owned()));
        assert_eq!(
            (named.to, named.set.as_deref()),
            (Some(PathBuf::from("/new")), Some("20261201-030000F"))
        );
        for (text, expected) in [
            ("--latest --name x", "one can be given"),
            ("--lsn", "--lsn has no value"),
            ("--time tomorrow", "is not a time"),
        ] {
            let error = restore_words(&words(text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(restore_words(&words("full")), Err(String::new()));
    }

    #[test]
    fn options_are_taken_from_anywhere() {
        let (found, rest) = options(&["list", "--format=json", "--explain"]).unwrap();
        assert!(found.json && found.explain && rest == ["list"]);
        assert!(options(&["--format", "xml"]).is_err());
    }

    #[test]
    fn a_clone_reads_the_archive_of_the_original() {
        let call = |source| {
            let call = restoration(
                Path::new("/c"),
                "clone",
                source,
                &Target::Latest,
                Path::new("/d"),
                None,
            );
            shown(&call)
        };
        assert!(
            call(None).contains("--stanza=clone")
                && call(None).ends_with("pgbackrest archive-get %f \"%p\"'")
        );
        let from = call(Some("main"));
        assert!(
            from.contains("--stanza=main") && from.ends_with("pgbackrest archive-get %f \"%p\" main'"),
            "{from}"
        );
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let mut command = Command::new("psql");
        command.args(["--port=5432", "it's"]);
        assert_eq!(shown(&command), r"psql --port=5432 'it'\''s'");
    }
}
