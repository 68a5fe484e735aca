//! Backups with pgBackRest: the checks of a start, the archive of the write-ahead log, and the commands `backup`, `restore-point` and `restore`.
//!
//! The configuration comes from the environment alone ([`settings`]). A start writes it to a file that only the server's user reads; the
//! commands, and the server when it archives, use that file, so that no secret has to be in their environment.

mod archive;
mod command;
mod repository;
mod settings;
mod target;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::Pid;

pub use archive::Behind;
pub use command::{backup, restore, restore_point};
use repository::Contents;
use settings::{Machine, PREFIX, Settings};
use target::Target;

use crate::health::{data_directory, superuser};
use crate::{say, warn};

/// The program that does the work.
const PGBACKREST: &str = "pgbackrest";
/// The file that says what a cluster was restored from.
const RESTORED: &str = ".restored-from";

/// What is configured here.
pub struct Backups {
    settings: Settings,
    config: PathBuf,
    data: PathBuf,
}

fn variables() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

/// The settings of the environment. `None` where there are none.
fn settings() -> Result<Option<Settings>, Vec<String>> {
    let machine = Machine {
        read: &|path| std::fs::read_to_string(path),
        looks: !is_root(),
    };
    Settings::read(&variables(), &machine)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where generated configuration is, as the entrypoint's `generated_directory` says.
fn directory() -> PathBuf {
    let is_writable = |path: &str| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if is_writable("/etc/postgresql") {
        return PathBuf::from("/etc/postgresql");
    }
    let temporary = std::env::var("TMPDIR").unwrap_or_else(|_| "/tmp".to_owned());
    let place = if is_writable("/var/run/postgresql") {
        "/var/run/postgresql"
    } else {
        &temporary
    };
    Path::new(place).join(".configuration")
}

/// The file that a start writes.
fn config_file() -> PathBuf {
    directory().join("pgbackrest.conf")
}

/// Whether a start of this container has configured backups.
pub fn are_configured() -> bool {
    config_file().exists()
}

/// The first existing configuration, or a message about why there is none.
fn existing_config() -> Result<PathBuf, String> {
    let file = config_file();
    if file.exists() {
        return Ok(file);
    }
    Err(format!(
        "{} does not exist: this container was started without the variables PGBACKREST_*",
        file.display()
    ))
}

fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).map_err(failed)?;
    }
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)
}

/// A call of pgBackRest that reads this file and nothing of the environment.
fn pgbackrest(config: &Path, stanza: &str, words: &[&str]) -> Command {
    let mut command = Command::new(PGBACKREST);
    command.arg(format!("--config={}", config.display()));
    command.arg(format!("--stanza={stanza}"));
    command.args(words);
    for name in variables().keys().filter(|name| name.starts_with(PREFIX)) {
        command.env_remove(name);
    }
    command
}

/// What a call prints on standard output and on standard error, or what it fails with.
fn captured(mut command: Command) -> Result<(String, String), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {PGBACKREST}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        return Ok((out, err));
    }
    let said = err.lines().find(|line| line.contains("ERROR:"));
    Err(said.map_or_else(
        || format!("{PGBACKREST}: {}", output.status),
        |line| line.trim().to_owned(),
    ))
}

impl Backups {
    /// Those that the environment configures; the file is written if no start has done so, as in a container for one command.
    ///
    /// # Errors
    /// The environment is wrong, or the file cannot be written.
    fn ready() -> Result<Self, String> {
        let data = data_directory();
        let settings = settings().map_err(|problems| problems.join("\n"))?;
        let settings = settings.ok_or("no variable PGBACKREST_* is set, so there are no backups")?;
        let config = config_file();
        if !config.exists() {
            write_private(&config, &settings.render(&data, &superuser()))?;
        }
        Ok(Self {
            settings,
            config,
            data,
        })
    }

    fn call(&self, words: &[&str]) -> Command {
        pgbackrest(&self.config, &self.settings.stanza, words)
    }

    fn contents(&self, stanza: &str) -> Result<Contents, String> {
        contents(&self.config, stanza).map(|(contents, _)| contents)
    }
}

/// What the repositories have of a stanza, and what pgBackRest warns of.
fn contents(config: &Path, stanza: &str) -> Result<(Contents, Vec<String>), String> {
    let (out, err) = captured(pgbackrest(config, stanza, &["info", "--output=json"]))?;
    let warnings = err.lines().filter_map(|line| line.split_once("WARN: "));
    let warnings = warnings.map(|(_, text)| text.to_owned()).collect();
    Ok((Contents::parse(&out, stanza)?, warnings))
}

/// Whether there is such a program.
fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(PGBACKREST).is_file())
}

/// Everything that is wrong with backups at a start, where the data directory is `absent`, `complete` or something else.
fn problems_of_start(state: &str) -> Vec<String> {
    let settings = match settings() {
        Ok(None) => return Vec::new(),
        Ok(Some(settings)) => settings,
        Err(problems) => return problems,
    };
    if !is_there() {
        return vec![
            "this image has no pgBackRest, which the variables PGBACKREST_* are for: select it in `programs` of the image's manifest"
                .to_owned(),
        ];
    }
    if is_root() {
        // The server's user is to look.
        return Vec::new();
    }
    let data = data_directory();
    let from = Target::of_variable();
    let mut problems: Vec<String> = from.as_ref().err().cloned().into_iter().collect();
    let file = directory().join(format!(".pgbackrest-{}.conf", std::process::id()));
    if let Err(error) = write_private(&file, &settings.render(&data, &superuser())) {
        return vec![error];
    }
    let asked = contents(&file, &settings.stanza);
    let other = std::env::var("RESTORE_STANZA")
        .ok()
        .filter(|other| !other.is_empty());
    let of_other = other.as_ref().map(|other| contents(&file, other));
    let _ = std::fs::remove_file(&file);
    let (own, warnings) = match asked {
        Ok(asked) => asked,
        Err(error) if state == "complete" && !error.contains("ERROR: [03") => {
            warn(&format!(
                "the repository cannot be looked at: {error}. The database is started without knowing whether it is archived"
            ));
            return problems;
        }
        Err(error) => {
            problems.push(format!(
                "pgBackRest refuses its configuration, or cannot look into the repository: {error}"
            ));
            return problems;
        }
    };
    for warning in warnings
        .iter()
        .filter(|warning| warning.contains("invalid option"))
    {
        problems.push(format!("pgBackRest does not know a variable: {warning}"));
    }
    problems.extend(match state {
        "absent" => {
            let source = match of_other {
                None => Ok(own.clone()),
                Some(other) => other.map(|(contents, _)| contents),
            };
            let name = other.as_deref().unwrap_or(&settings.stanza);
            of_new_cluster(&settings.stanza, &own, from.ok().flatten().as_ref(), name, source)
        }
        "complete" => of_cluster(&settings.stanza, &own, &data),
        _ => Vec::new(),
    });
    problems
}

/// What is wrong where there are no data yet: a new cluster must not be made where one was to be restored.
fn of_new_cluster(
    stanza: &str,
    own: &Contents,
    from: Option<&Target>,
    source: &str,
    found: Result<Contents, String>,
) -> Vec<String> {
    if let Some(silent) = own.unreachable.first() {
        return vec![format!(
            "the repository does not answer, so it is not known whether there is a cluster to restore: {silent}"
        )];
    }
    let Some(target) = from else {
        if !own.exists {
            return Vec::new();
        }
        let newest = own.backups.last().map_or_else(
            || "no backup yet".to_owned(),
            |backup| format!("the newest backup is {}", backup.label),
        );
        return vec![format!(
            "RESTORE_FROM is not set, the data directory is empty, and the repository has a cluster as '{stanza}' ({newest}). Nothing was \
             changed.\nSet RESTORE_FROM=latest to restore it, or another PGBACKREST_STANZA for a new cluster."
        )];
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![format!("the stanza '{source}' cannot be looked at: {error}")],
    };
    let Some(first) = found.backups.iter().find(|backup| !backup.has_errors) else {
        return vec![format!(
            "RESTORE_FROM is set, and the repository has no backup of '{source}'. Nothing was changed.\n\
             Check PGBACKREST_STANZA, RESTORE_STANZA, PGBACKREST_REPO1_PATH and the other variables of the repository."
        )];
    };
    let mut problems = Vec::new();
    if let Some(seconds) = target.seconds().filter(|&seconds| seconds < first.stop) {
        problems.push(format!(
            "RESTORE_FROM is {}, before the end of the oldest backup, {} ({})",
            crate::lock_file::utc(seconds),
            first.label,
            crate::lock_file::utc(first.stop)
        ));
    }
    if source != stanza && own.exists && own.system != found.system {
        problems.push(format!(
            "PGBACKREST_STANZA is '{stanza}', which is another cluster than '{source}' in this repository: name one that is not there yet"
        ));
    }
    problems
}

/// What is wrong where a cluster is there.
fn of_cluster(stanza: &str, own: &Contents, data: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let from = std::env::var("RESTORE_FROM").unwrap_or_default();
    let done = std::fs::read_to_string(data.join(RESTORED)).unwrap_or_default();
    if !from.is_empty() && done.trim_end() != from {
        problems.push(format!(
            "RESTORE_FROM is '{from}', and {} holds a cluster already{}. Nothing was changed.\n\
             Restore into an empty directory or volume, or remove RESTORE_FROM to start this cluster.",
            data.display(),
            if done.is_empty() {
                String::new()
            } else {
                format!(", restored from '{}'", done.trim_end())
            }
        ));
    }
    match (own.system, repository::system(data)) {
        (Some(theirs), Ok(Some(ours))) if theirs != ours => problems.push(format!(
            "the repository's '{stanza}' is of another cluster: its system identifier is {theirs}, and that of {} is {ours}. Nothing was \
             changed.\nSet another PGBACKREST_STANZA, also after an upgrade to another major version, or the repository of this cluster.",
            data.display()
        )),
        (_, Err(error)) => problems.push(error),
        _ => {}
    }
    problems
}

/// The entrypoint's own calls: `backups check STATE`, `configure`, `stanza`, `restore DIRECTORY`, `watch PID`.
///
/// # Errors
/// What was to be done failed.
pub fn of_entrypoint(words: &[&str]) -> Result<ExitCode, String> {
    match words {
        ["check", state] => {
            for problem in problems_of_start(state) {
                print!("{problem}\0");
            }
        }
        ["configure"] => {
            let settings = settings().map_err(|problems| problems.join("\n"))?;
            let settings = settings.ok_or("no variable PGBACKREST_* is set")?;
            write_private(&config_file(), &settings.render(&data_directory(), &superuser()))?;
        }
        ["stanza"] => {
            let (config, stanza) = (existing_config()?, stanza()?);
            if let Err(error) = create_stanza(&config, &stanza) {
                warn(&format!(
                    "the repository cannot be prepared, and archiving fails until it can: {error}"
                ));
            }
        }
        ["restore", directory] => {
            let config = existing_config()?;
            let target = Target::of_variable()?.ok_or("RESTORE_FROM is not set")?;
            let source = std::env::var("RESTORE_STANZA")
                .ok()
                .filter(|source| !source.is_empty());
            let call = command::restoration(
                &config,
                &stanza()?,
                source.as_deref(),
                &target,
                Path::new(directory),
                None,
            );
            say(&format!("restoring {}", target.describe()));
            command::run(call)?;
        }
        ["watch", pid] => {
            let number = pid.parse().ok().and_then(Pid::from_raw);
            let pid = number.ok_or_else(|| format!("'{pid}' is not the id of a process"))?;
            let (config, stanza) = (existing_config()?, stanza()?);
            // A repository that did not answer at the start may have no stanza yet.
            archive::watch(&data_directory(), pid, || drop(create_stanza(&config, &stanza)));
        }
        _ => {
            return Err(
                "usage: pgstart backups check STATE | configure | stanza | restore DIRECTORY | watch PID"
                    .to_owned(),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn stanza() -> Result<String, String> {
    std::env::var("PGBACKREST_STANZA").map_err(|_| "PGBACKREST_STANZA is not set".to_owned())
}

/// Makes the stanza unless it is there. The server need not run.
fn create_stanza(config: &Path, stanza: &str) -> Result<(), String> {
    captured(pgbackrest(config, stanza, &["stanza-create", "--no-online"])).map(drop)
}

/// The server's own calls: `pgbackrest archive-push PATH`, `pgbackrest archive-get FILE PATH [STANZA]`. Turns into pgBackRest.
///
/// # Errors
/// It cannot be run.
pub fn of_server(words: &[&str]) -> Result<ExitCode, String> {
    let config = existing_config()?;
    let own = stanza()?;
    let mut command = match words {
        ["archive-push", path] => pgbackrest(&config, &own, &["archive-push", path]),
        ["archive-get", file, path] => pgbackrest(&config, &own, &["archive-get", file, path]),
        ["archive-get", file, path, stanza] => pgbackrest(&config, stanza, &["archive-get", file, path]),
        _ => {
            return Err(
                "usage: pgstart pgbackrest archive-push PATH | archive-get FILE PATH [STANZA]".to_owned(),
            );
        }
    };
    // The data directory may have been moved since the file was written.
    command.arg(format!(
        "--pg1-path={}",
        std::env::current_dir().unwrap_or_default().display()
    ));
    Err(format!("cannot run {PGBACKREST}: {}", command.exec()))
}

/// As root: becomes the server's user first, with the secrets that only root can read.
///
/// # Errors
/// It cannot.
fn step_down(arguments: &[OsString]) -> Result<(), String> {
    if !is_root() {
        return Ok(());
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--no-new-privs",
        "--",
    ]);
    command.args(arguments);
    if let Ok(Some(settings)) = settings() {
        for (name, _) in variables() {
            let option = name
                .strip_prefix(PREFIX)
                .map(|name| name.to_lowercase().replace('_', "-"));
            let secret = option.as_ref().and_then(|option| option.strip_suffix("-file"));
            if let Some(value) = secret.and_then(|secret| settings.option(secret)) {
                command
                    .env_remove(&name)
                    .env(name.trim_end_matches("_FILE"), value);
            }
        }
    }
    Err(format!("cannot become postgres: {}", command.exec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use repository::Backup;

    fn with_backup(stop: u64) -> Contents {
        Contents {
            exists: true,
            system: Some(7),
            backups: vec![Backup {
                label: "20261201-030000F".to_owned(),
                stop,
                ..Backup::default()
            }],
            unreachable: Vec::new(),
        }
    }

    #[test]
    fn a_new_cluster_is_not_made_where_one_can_be_restored() {
        let own = with_backup(100);
        let problems = of_new_cluster("main", &own, None, "main", Ok(own.clone()));
        assert!(
            problems[0].starts_with("RESTORE_FROM is not set") && problems[0].contains("20261201-030000F")
        );
        assert_eq!(
            of_new_cluster(
                "main",
                &Contents::default(),
                None,
                "main",
                Ok(Contents::default())
            ),
            [""; 0]
        );
        let silent = Contents {
            unreachable: vec!["repository 1: no".to_owned()],
            ..Contents::default()
        };
        assert!(
            of_new_cluster("main", &silent, None, "main", Ok(silent.clone()))[0].contains("does not answer")
        );
    }

    #[test]
    fn what_cannot_be_restored_is_refused() {
        let latest = Target::Latest;
        let empty = Contents::default();
        assert!(
            of_new_cluster("main", &empty, Some(&latest), "main", Ok(empty.clone()))[0]
                .contains("no backup of 'main'")
        );
        let own = with_backup(100);
        assert_eq!(
            of_new_cluster("main", &own, Some(&latest), "main", Ok(own.clone())),
            [""; 0]
        );
        let early = Target::Time {
            text: String::new(),
            seconds: 99,
        };
        assert!(
            of_new_cluster("main", &own, Some(&early), "main", Ok(own.clone()))[0]
                .contains("before the end of the oldest")
        );
        let other = Contents {
            system: Some(8),
            ..own.clone()
        };
        assert!(
            of_new_cluster("clone", &other, Some(&latest), "main", Ok(own))[0]
                .contains("is another cluster than 'main'")
        );
    }

    #[test]
    fn a_repository_of_another_cluster_is_refused() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("global")).unwrap();
        std::fs::write(data.path().join("global/pg_control"), 7u64.to_ne_bytes()).unwrap();
        assert_eq!(of_cluster("main", &with_backup(1), data.path()), [""; 0]);
        std::fs::write(data.path().join("global/pg_control"), 9u64.to_ne_bytes()).unwrap();
        let problems = of_cluster("main", &with_backup(1), data.path());
        assert!(
            problems[0].contains("its system identifier is 7") && problems[0].contains("is 9"),
            "{problems:?}"
        );
    }
}
