//! What the environment says of backups, checked as a whole, and pgBackRest's configuration that is made of it.
//!
//! pgBackRest's own variables are taken as they are: `PGBACKREST_REPO1_PATH` is its option `repo1-path`. What belongs together is checked
//! together here, because pgBackRest would complain of one thing at a time, when a database is running already.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What pgBackRest's variables begin with.
pub const PREFIX: &str = "PGBACKREST_";
/// Options of a repository whose values are secrets. Their variables have a form with `_FILE`.
const SECRETS: [&str; 7] = [
    "azure-key",
    "cipher-pass",
    "s3-key",
    "s3-key-secret",
    "s3-sse-customer-key",
    "s3-token",
    "sftp-private-key-passphrase",
];
/// Options that take several values, which a variable separates by colons.
const LISTS: [&str; 8] = [
    "annotation",
    "db-exclude",
    "db-include",
    "exclude",
    "link-map",
    "recovery-option",
    "sftp-known-host",
    "tablespace-map",
];

/// The configuration of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the cluster in its repositories.
    pub stanza: String,
    options: BTreeMap<String, String>,
}

/// Where the checks look besides the environment.
pub struct Machine<'a> {
    /// The content of a file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    /// Whether directories and files are looked at: not by root, who sees and writes what the server's user does not.
    pub looks: bool,
}

impl Settings {
    /// Reads variables. `None` where none of them is pgBackRest's.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(
        variables: &BTreeMap<String, String>,
        machine: &Machine<'_>,
    ) -> Result<Option<Self>, Vec<String>> {
        let mut problems = Vec::new();
        let options = options(variables, machine, &mut problems);
        let restores = ["RESTORE_FROM", "RESTORE_STANZA"];
        // The entrypoint exports both, empty where they are not set.
        let is_set = |name: &&str| variables.get(*name).is_some_and(|value| !value.is_empty());
        let restores = restores.into_iter().find(is_set);
        if options.is_empty() && restores.is_none() && problems.is_empty() {
            return Ok(None);
        }
        let mut check = Check {
            options: &options,
            problems: &mut problems,
            machine,
        };
        check.all(restores);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Some(Self {
            stanza: options.get("stanza").cloned().unwrap_or_default(),
            options,
        }))
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The text of pgBackRest's file. The data directory is `data`.
    pub fn render(&self, data: &Path, user: &str) -> String {
        let defaults = [
            ("lock-path", "/tmp/pgbackrest"),
            ("spool-path", "/tmp/pgbackrest-spool"),
            // The container's log is the server's.
            ("log-level-file", "off"),
            ("log-level-console", "off"),
            ("log-level-stderr", "warn"),
            // Faster than the default, and smaller.
            ("compress-type", "zst"),
            // A backup begins at once, and not at the next checkpoint.
            ("start-fast", "y"),
        ];
        let mut text =
            "# Written by the entrypoint from PGBACKREST_* variables at each start, and overwritten at the next.\n[global]\n"
                .to_owned();
        for (name, value) in defaults {
            if !self.options.contains_key(name) {
                text.push_str(&format!("{name}={value}\n"));
            }
        }
        for (name, value) in &self.options {
            if name == "stanza" || name.starts_with("pg1-") {
                continue;
            }
            let base = name.split_once('-').map_or(name.as_str(), |(_, base)| base);
            let is_list = LISTS.contains(&name.as_str()) || LISTS.contains(&base);
            for value in if is_list {
                value.split(':').collect()
            } else {
                vec![value.as_str()]
            } {
                text.push_str(&format!("{name}={value}\n"));
            }
        }
        text.push_str(&format!("\n[{}]\npg1-path={}\n", self.stanza, data.display()));
        if !self.options.contains_key("pg1-user") {
            text.push_str(&format!("pg1-user={user}\n"));
        }
        for (name, value) in self.options.iter().filter(|(name, _)| name.starts_with("pg1-")) {
            text.push_str(&format!("{name}={value}\n"));
        }
        text
    }
}

/// The variable of an option: `repo1-path` is `PGBACKREST_REPO1_PATH`.
pub fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.to_uppercase().replace('-', "_"))
}

/// The repository that an option is of, and the option's name without it: `repo1-path` is `path` of 1.
fn of_repository(option: &str) -> Option<(u16, &str)> {
    let (number, name) = option.strip_prefix("repo")?.split_once('-')?;
    Some((number.parse().ok()?, name))
}

fn is_secret(option: &str) -> bool {
    of_repository(option).is_some_and(|(_, name)| SECRETS.contains(&name))
}

/// pgBackRest's options with their values, secrets read from the files that name them.
fn options(
    variables: &BTreeMap<String, String>,
    machine: &Machine<'_>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (name, value) in variables {
        let Some(option) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else {
            continue;
        };
        let option = option.to_lowercase().replace('_', "-");
        match option.strip_suffix("-file").filter(|secret| is_secret(secret)) {
            None => {
                options.insert(option, value.clone());
            }
            Some(secret) => {
                let other = variable(secret);
                if variables.get(&other).is_some_and(|value| !value.is_empty()) {
                    problems.push(format!("both {other} and {name} are set (but are exclusive)"));
                    continue;
                }
                match (machine.read)(Path::new(value)) {
                    Ok(text) => {
                        options.insert(secret.to_owned(), text.trim_end_matches('\n').to_owned());
                    }
                    Err(error) => {
                        problems.push(format!("{name} is '{value}', which cannot be read: {error}"));
                    }
                }
            }
        }
    }
    for (option, value) in &options {
        if value.contains(['\n', '\r']) {
            problems.push(format!("{} has more than one line", variable(option)));
        }
    }
    options
}

/// The checks of what belongs together.
struct Check<'a> {
    options: &'a BTreeMap<String, String>,
    problems: &'a mut Vec<String>,
    machine: &'a Machine<'a>,
}

impl Check<'_> {
    fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// Wants an option; `why` says what it is.
    fn want(&mut self, option: &str, why: &str) {
        // One whose file could not be read is a problem already.
        let variable = variable(option);
        let is_reported = self.problems.iter().any(|text| text.contains(&variable));
        if !self.has(option) && !is_reported {
            let file = if is_secret(option) {
                format!(" (or {variable}_FILE)")
            } else {
                String::new()
            };
            self.problem(format!("{variable} is not set{file}: {why}"));
        }
    }

    fn all(&mut self, restores: Option<&str>) {
        let repositories: BTreeSet<u16> = self
            .options
            .keys()
            .filter_map(|option| of_repository(option))
            .map(|(number, _)| number)
            .collect();
        if repositories.is_empty() {
            let because = if let Some(name) = restores {
                format!("{name} is set")
            } else {
                let names: Vec<String> = self.options.keys().map(|option| variable(option)).collect();
                format!("{} is set", names.join(", "))
            };
            self.problem(format!(
                "PGBACKREST_REPO1_TYPE is not set, and no other variable of a repository: {because}, and backups need one.\n\
                 Set it to posix (a volume), s3, sftp, azure or gcs, or set PGBACKREST_REPO1_HOST."
            ));
        }
        self.want(
            "stanza",
            "the cluster's name in its repositories, for example main",
        );
        if let Some(stanza) = self.options.get("stanza") {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if !stanza.chars().all(fits) {
                let text =
                    format!("PGBACKREST_STANZA is '{stanza}', but may have letters, digits, - and _ only");
                self.problem(text);
            }
        }
        self.want(
            "archive-push-queue-max",
            "how much WAL may wait where archiving fails: 20GiB drops what waits, and with it the way to later moments, before the \
             disk is full; 4PiB drops nothing, and the disk may fill up",
        );
        for (option, why) in [
            ("pg1-path", "it is PGDATA"),
            ("pg1-host", "the server is in this container"),
            ("config", "the file is made of these variables"),
        ] {
            if self.has(option) {
                self.problem(format!("{} is the entrypoint's own: {why}", variable(option)));
            }
        }
        for number in repositories {
            self.repository(number);
        }
    }

    fn repository(&mut self, number: u16) {
        let of = |name: &str| format!("repo{number}-{name}");
        if self.has(&of("host")) {
            self.host(number);
            return;
        }
        self.want(&of("type"), "posix (a volume), s3, sftp, azure or gcs");
        self.want(
            &of("retention-full"),
            "how many full backups are kept; older ones are removed with their WAL",
        );
        let kind = self.options.get(&of("type")).cloned().unwrap_or_default();
        let kinds: [(&str, &[(&str, &str)]); 6] = [
            ("posix", &[]),
            ("cifs", &[]),
            (
                "s3",
                &[
                    ("s3-bucket", "the bucket's name"),
                    ("s3-endpoint", "the host of the object store"),
                    (
                        "s3-region",
                        "the store's region; what it is called does not matter to most other stores than Amazon's",
                    ),
                ],
            ),
            (
                "sftp",
                &[
                    ("sftp-host", "the host"),
                    ("sftp-host-user", "the user there"),
                    ("sftp-host-key-hash-type", "how the host's key is hashed: sha256"),
                    ("sftp-private-key-file", "the private key"),
                ],
            ),
            (
                "azure",
                &[
                    ("azure-account", "the account"),
                    ("azure-container", "the container"),
                    ("azure-key", "the key"),
                ],
            ),
            ("gcs", &[("gcs-bucket", "the bucket's name")]),
        ];
        let Some((_, wanted)) = kinds.iter().find(|(name, _)| *name == kind) else {
            if !kind.is_empty() {
                let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
                let variable = variable(&of("type"));
                self.problem(format!("{variable} is '{kind}', but may be: {}", names.join(" ")));
            }
            return;
        };
        self.want(
            &of("path"),
            "the directory in the repository, for example /backups",
        );
        for (name, why) in *wanted {
            self.want(&of(name), why);
        }
        // Without the type that they are of, pgBackRest passes over them.
        for (name, _) in kinds.iter().filter(|(name, _)| *name != kind) {
            let prefix = of(&format!("{name}-"));
            let strays = self.options.keys().filter(|option| option.starts_with(&prefix));
            let strays: Vec<String> = strays.map(|option| variable(option)).collect();
            if !strays.is_empty() {
                let text = format!(
                    "{} is of the type {name}, but {} is {kind}",
                    strays.join(", "),
                    variable(&of("type"))
                );
                self.problem(text);
            }
        }
        if kind == "s3"
            && self
                .options
                .get(&of("s3-key-type"))
                .is_none_or(|kind| kind == "shared")
        {
            self.want(&of("s3-key"), "the access key");
            self.want(&of("s3-key-secret"), "the access key's secret");
        }
        self.cipher(number);
        if kind == "posix" {
            self.volume(number);
        }
        for name in [
            "storage-ca-file",
            "sftp-private-key-file",
            "sftp-public-key-file",
            "gcs-key",
        ] {
            self.file(&of(name));
        }
    }

    /// Encryption wants a passphrase, and a passphrase alone encrypts nothing.
    fn cipher(&mut self, number: u16) {
        let [kind, pass] = ["cipher-type", "cipher-pass"].map(|name| format!("repo{number}-{name}"));
        let is_encrypted = self.options.get(&kind).is_some_and(|kind| kind != "none");
        if is_encrypted {
            self.want(&pass, "the passphrase of the repository's encryption");
        } else if self.has(&pass) {
            self.want(&kind, "aes-256-cbc; a passphrase alone encrypts nothing");
        }
    }

    /// A host that runs pgBackRest. The image has no ssh.
    fn host(&mut self, number: u16) {
        let of = |name: &str| format!("repo{number}-{name}");
        if self
            .options
            .get(&of("host-type"))
            .is_none_or(|kind| kind != "tls")
        {
            let text = format!(
                "{} is not tls: this image has no ssh, so a pgBackRest host is reached by TLS",
                variable(&of("host-type"))
            );
            self.problem(text);
        }
        for (name, why) in [
            ("host-ca-file", "the authority of the host's certificate"),
            (
                "host-cert-file",
                "the certificate by which the host knows this one",
            ),
            ("host-key-file", "its key"),
        ] {
            self.want(&of(name), why);
            self.file(&of(name));
        }
    }

    fn file(&mut self, option: &str) {
        let Some(path) = self.options.get(option).filter(|_| self.machine.looks) else {
            return;
        };
        if let Err(error) = std::fs::File::open(path) {
            let text = format!("{} is '{path}', which cannot be read: {error}", variable(option));
            self.problem(text);
        }
    }

    /// A directory that can be written to and outlives the container.
    fn volume(&mut self, number: u16) {
        let option = format!("repo{number}-path");
        let Some(path) = self.options.get(&option).filter(|_| self.machine.looks).cloned() else {
            return;
        };
        let name = variable(&option);
        let Ok(found) = std::fs::metadata(&path) else {
            self.problem(format!(
                "{name} is '{path}', which does not exist: mount a volume there"
            ));
            return;
        };
        if !found.is_dir() {
            self.problem(format!("{name} is '{path}', which is not a directory"));
        } else if std::fs::metadata("/").is_ok_and(|root| root.dev() == found.dev()) {
            self.problem(format!(
                "{name} is '{path}', which is in the container itself, and backups there are lost with it: mount a volume there"
            ));
        } else if rustix::fs::access(path.as_str(), rustix::fs::Access::WRITE_OK).is_err() {
            self.problem(format!(
                "{name} is '{path}', which belongs to uid {} (mode {:o}) and cannot be written to by uid {}: give the volume to that \
                 user",
                found.uid(),
                found.mode() & 0o7777,
                rustix::process::getuid().as_raw()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: [(&str, &str); 10] = [
        ("PGBACKREST_STANZA", "main"),
        ("PGBACKREST_ARCHIVE_PUSH_QUEUE_MAX", "20GiB"),
        ("PGBACKREST_REPO1_TYPE", "s3"),
        ("PGBACKREST_REPO1_PATH", "/backups"),
        ("PGBACKREST_REPO1_RETENTION_FULL", "2"),
        ("PGBACKREST_REPO1_S3_BUCKET", "bucket"),
        ("PGBACKREST_REPO1_S3_ENDPOINT", "store"),
        ("PGBACKREST_REPO1_S3_REGION", "here"),
        ("PGBACKREST_REPO1_S3_KEY", "key"),
        ("PGBACKREST_REPO1_S3_KEY_SECRET_FILE", "/run/secret"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Vec<String>> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let machine = Machine {
            read: &|path| match path.to_str() {
                Some("/run/secret") => Ok("hidden\n".to_owned()),
                _ => Err(std::io::ErrorKind::NotFound.into()),
            },
            looks: false,
        };
        Settings::read(&variables.collect(), &machine)
    }

    fn text(problems: Result<Option<Settings>, Vec<String>>) -> String {
        problems.expect_err("something is wrong").join("\n")
    }

    #[test]
    fn without_a_variable_there_are_no_backups() {
        assert_eq!(
            read(&[("POSTGRES_USER", "x"), ("PGBACKREST_STANZA", "")]),
            Ok(None)
        );
    }

    #[test]
    fn each_variable_that_is_left_out_is_named() {
        assert!(read(&S3).unwrap().is_some());
        for (left_out, _) in S3 {
            let rest: Vec<_> = S3.into_iter().filter(|(name, _)| *name != left_out).collect();
            let problems = read(&rest).expect_err(left_out);
            let name = left_out.trim_end_matches("_FILE");
            assert!(
                problems.iter().any(|text| text.contains(name)),
                "{left_out}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_restore_needs_a_repository() {
        assert!(text(read(&[("RESTORE_FROM", "latest")])).contains("PGBACKREST_REPO1_TYPE is not set"));
        assert_eq!(
            read(&[("RESTORE_FROM", ""), ("RESTORE_STANZA", "")]).unwrap(),
            None
        );
    }

    #[test]
    fn variables_that_belong_together_are_checked_together() {
        let with = |more: &[(&str, &str)]| text(read(&[&S3, more].concat()));
        for (more, expected) in [
            (
                ("PGBACKREST_REPO1_CIPHER_PASS", "x"),
                "PGBACKREST_REPO1_CIPHER_TYPE is not set",
            ),
            (
                ("PGBACKREST_REPO1_CIPHER_TYPE", "aes-256-cbc"),
                "PGBACKREST_REPO1_CIPHER_PASS is not set (or PGBACKREST_REPO1_CIPHER_PASS_FILE)",
            ),
            (
                ("PGBACKREST_REPO1_SFTP_HOST", "h"),
                "PGBACKREST_REPO1_SFTP_HOST is of the type sftp",
            ),
            (("PGBACKREST_REPO1_S3_KEY_SECRET", "x"), "are exclusive"),
            (
                ("PGBACKREST_PG1_PATH", "/x"),
                "PGBACKREST_PG1_PATH is the entrypoint's own",
            ),
            (
                ("PGBACKREST_REPO2_HOST", "h"),
                "PGBACKREST_REPO2_HOST_TYPE is not tls",
            ),
            (
                ("PGBACKREST_REPO1_S3_TOKEN_FILE", "/absent"),
                "PGBACKREST_REPO1_S3_TOKEN_FILE is '/absent'",
            ),
        ] {
            let found = with(&[more]);
            assert!(found.contains(expected), "{more:?}: {found}");
        }
    }

    #[test]
    fn a_secret_is_read_and_written_once() {
        let settings = read(&S3).unwrap().unwrap();
        let text = settings.render(Path::new("/data"), "postgres");
        assert!(text.contains("repo1-s3-key-secret=hidden\n"), "{text}");
        assert!(
            text.contains("\n[main]\npg1-path=/data\npg1-user=postgres\n"),
            "{text}"
        );
        assert!(
            !text.contains("stanza=") && !text.contains("secret-file"),
            "{text}"
        );
    }
}
