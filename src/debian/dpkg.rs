//! Reads dpkg's database from its files: installed packages, their dependencies, and the owner of a file.
//!
//! The files are read directly instead of by `dpkg-query`, because thousands of paths are looked up and because the root may
//! have another architecture. The formats are described in deb-control(5) and dpkg-divert(1); `extended_states` is apt's.
//! Nothing is written here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result};
use glob::Pattern;
use serde::{Deserialize, Serialize};

use super::deb822::{field, paragraphs, relation};
use crate::host::Host;
use crate::host::entry::FileKind;
use crate::locked::LockedPackage;

/// Where dpkg keeps its database.
pub(super) const DATABASE: &str = "/var/lib/dpkg";
/// Where apt keeps which packages were installed automatically.
pub const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";
/// Directories that are links into /usr on a merged system, while packages still have files below the old names.
const ALIASED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The name as apt prints it: with `:arch` only where the architecture is not the machine's own.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Its version.
    pub version: String,
    /// The source package it was built from.
    pub source: String,
    /// The version of that.
    #[serde(default)]
    pub source_version: String,
    /// Installed size in bytes as the package declares it.
    pub size: u64,
    /// True for what dpkg will not remove.
    pub essential: bool,
    /// True if apt marked it as installed automatically.
    pub automatic: bool,
    /// Depends and Pre-Depends: each entry one group of alternatives.
    pub needs: Vec<Vec<String>>,
    /// Virtual packages it provides.
    pub provides: Vec<String>,
}

/// Which files of packages are not unpacked, as dpkg's configuration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Patterns in their order, with whether they exclude or include.
    rules: Vec<(bool, Pattern)>,
}

impl LeftOut {
    fn read(&mut self, text: &str) {
        for line in text.lines() {
            let rule = |name: &str| {
                let rest = line.trim().strip_prefix(name)?.trim_start();
                Some(pattern(rest.strip_prefix('=').unwrap_or(rest).trim()))
            };
            if let Some(pattern) = rule("path-exclude") {
                self.rules.push((true, pattern));
            } else if let Some(pattern) = rule("path-include") {
                self.rules.push((false, pattern));
            }
        }
    }

    /// Whether dpkg does not unpack a path. The last rule that matches decides.
    pub fn has(&self, path: &str) -> bool {
        let mut rules = self.rules.iter().rev();
        let last = rules.find(|(_, pattern)| pattern.matches(path));
        last.is_some_and(|(excludes, _)| *excludes)
    }
}

/// A pattern as dpkg calls fnmatch(3). `*` matches any text, including slashes; `**` means the same. An invalid pattern
/// matches nothing.
fn pattern(text: &str) -> Pattern {
    let mut text = text.to_owned();
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    Pattern::new(&text).unwrap_or_default()
}

/// The installed packages and their files.
#[derive(Debug, Clone, Default)]
pub struct Dpkg {
    /// Installed packages by name.
    pub packages: BTreeMap<String, Package>,
    /// The machine's own architecture, `amd64`. `None` if the database is empty.
    pub architecture: Option<String>,
    owners: HashMap<String, String>,
    /// `/lib` and the like that are links here.
    aliases: Vec<String>,
    diversions: Vec<Diversion>,
}

impl Host {
    /// Which files of packages dpkg does not unpack here.
    ///
    /// # Errors
    /// The configuration of dpkg cannot be read.
    pub fn left_out(&self) -> Result<LeftOut> {
        let mut left_out = LeftOut::default();
        left_out.read(&self.read("/etc/dpkg/dpkg.cfg")?.unwrap_or_default());
        for name in self.names("/etc/dpkg/dpkg.cfg.d")? {
            left_out.read(
                &self
                    .read(&format!("/etc/dpkg/dpkg.cfg.d/{name}"))?
                    .unwrap_or_default(),
            );
        }
        Ok(left_out)
    }

    /// The current package database. Empty if the root has none.
    ///
    /// # Errors
    /// A file of the database cannot be read.
    pub fn dpkg(&self) -> Result<Arc<Dpkg>> {
        let [status, lists, diversions] =
            ["status", "info", "diversions"].map(|name| format!("{DATABASE}/{name}"));
        // dpkg writes a new file for every change, so the directory of the lists changes with each of them.
        let files = [status.as_str(), &lists, &diversions, EXTENDED_STATES];
        self.remembered(&files, || self.dpkg_now())
    }

    fn dpkg_now(&self) -> Result<Dpkg> {
        let status = self.read(&format!("{DATABASE}/status"))?.unwrap_or_default();
        let automatic = automatic(&self.read(EXTENDED_STATES)?.unwrap_or_default());
        let packages = parse_status(&status, &automatic);
        // The package `dpkg` always is of the machine's own architecture.
        let architecture = packages.get("dpkg").map(|dpkg| dpkg.architecture.clone());
        let mut aliases = Vec::new();
        for name in ALIASED {
            let link = self.look(&format!("/{name}"))?;
            if link.is_some_and(|found| matches!(found.kind, FileKind::Link(_))) {
                aliases.push(name.to_owned());
            }
        }
        let diversions = self.read(&format!("{DATABASE}/diversions"))?.unwrap_or_default();
        let mut dpkg = Dpkg {
            packages,
            architecture,
            owners: HashMap::new(),
            aliases,
            diversions: parse_diversions(&diversions),
        };
        for name in self.names(&format!("{DATABASE}/info"))? {
            let Some(package) = name.strip_suffix(".list") else {
                continue;
            };
            let package = dpkg.plain_name(package);
            // A package that was removed but left its configuration behind also has a list.
            if !dpkg.packages.contains_key(&package) {
                continue;
            }
            let list = self
                .read(&format!("{DATABASE}/info/{name}"))?
                .context("dpkg's lists change while they are read")?;
            dpkg.own(&package, &list);
        }
        Ok(dpkg)
    }
}

impl Dpkg {
    /// The package that owns the absolute path inside the root. Links are not followed, except that `/lib/…` and
    /// `/usr/lib/…` are the same on a merged system.
    pub fn owner(&self, inside: &str) -> Option<&str> {
        self.owners.get(&self.merged(inside)).map(String::as_str)
    }

    /// Every path of every package, including directories, with the package. Unsorted.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.owners
            .iter()
            .map(|(path, package)| (path.as_str(), package.as_str()))
    }

    /// The path with `/lib` and the like written as `/usr/lib` where they are one.
    pub fn merged(&self, inside: &str) -> String {
        let first = inside
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        if self.aliases.iter().any(|alias| alias == first) && inside.trim_start_matches('/') != first {
            format!("/usr{inside}")
        } else {
            inside.to_owned()
        }
    }

    /// Every package that must be there for `roots` to work: the roots and all that they depend on. Recommended
    /// packages are not among them. Each comes with the package that asked for it first, `None` for a root.
    ///
    /// Of alternatives, one that is needed anyway is enough; else the first that is installed is taken, which is
    /// the order in which the dependency was written.
    pub fn needed<'a>(&self, roots: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, Option<String>> {
        let mut needed: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut ahead: Vec<(String, Option<String>)> =
            roots.into_iter().map(|root| (root.to_owned(), None)).collect();
        ahead.reverse();
        let mut undecided: Vec<(&str, Vec<&str>)> = Vec::new();
        loop {
            while let Some((name, by)) = ahead.pop() {
                let Some(package) = self.packages.get(&name) else {
                    continue;
                };
                if needed.contains_key(&name) {
                    continue;
                }
                needed.insert(name, by);
                for group in &package.needs {
                    let candidates = self.candidates(group);
                    match candidates.as_slice() {
                        [] => {}
                        [only] => ahead.push(((*only).to_owned(), Some(package.name.clone()))),
                        _ => undecided.push((&package.name, candidates)),
                    }
                }
            }
            undecided.retain(|(_, candidates)| !candidates.iter().any(|one| needed.contains_key(*one)));
            // One at a time: its dependencies may satisfy the other groups.
            if undecided.is_empty() {
                return needed;
            }
            let (by, candidates) = undecided.remove(0);
            ahead.push((candidates[0].to_owned(), Some(by.to_owned())));
        }
    }

    /// The installed packages that satisfy a group of alternatives, without repetition, in the order of preference.
    fn candidates(&self, group: &[String]) -> Vec<&str> {
        let mut candidates: Vec<&str> = Vec::new();
        for wanted in group {
            let real = self
                .packages
                .get(wanted)
                .map(|package| package.name.as_str())
                .into_iter();
            let virtually = self
                .packages
                .values()
                .filter(|package| package.provides.contains(wanted))
                .map(|package| package.name.as_str());
            for name in real.chain(virtually) {
                if !candidates.contains(&name) {
                    candidates.push(name);
                }
            }
        }
        candidates
    }

    /// Where a file that a package has at `path` really is: diverted, and below `/usr` where that is one.
    pub(super) fn place(&self, package: &str, path: &str) -> String {
        let mut diversions = self.diversions.iter();
        let diverted = diversions.find(|diversion| diversion.from == path && diversion.by != package);
        self.merged(diverted.map_or(path, |diversion| &diversion.to))
    }

    pub(super) fn plain_name(&self, name: &str) -> String {
        match name.split_once(':') {
            Some((plain, architecture)) if self.architecture.as_deref() == Some(architecture) => {
                plain.to_owned()
            }
            _ => name.to_owned(),
        }
    }

    fn own(&mut self, package: &str, list: &str) {
        for path in list.lines().filter(|path| *path != "/.") {
            let path = self.place(package, path);
            self.owners.insert(path, package.to_owned());
        }
    }
}

/// One entry of dpkg-divert: the file `from` of every package except `by` is installed at `to`.
#[derive(Debug, Clone)]
struct Diversion {
    from: String,
    to: String,
    by: String,
}

fn parse_diversions(text: &str) -> Vec<Diversion> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks_exact(3)
        .map(|three| Diversion {
            from: three[0].to_owned(),
            to: three[1].to_owned(),
            by: three[2].to_owned(),
        })
        .collect()
}

fn automatic(extended_states: &str) -> BTreeSet<(String, String)> {
    paragraphs(extended_states)
        .filter(|fields| fields.get("Auto-Installed").is_some_and(|value| value == "1"))
        .filter_map(|mut fields| Some((fields.remove("Package")?, fields.remove("Architecture")?)))
        .collect()
}

fn parse_status(text: &str, automatic: &BTreeSet<(String, String)>) -> BTreeMap<String, Package> {
    let installed: Vec<BTreeMap<String, String>> = paragraphs(text)
        .filter(|fields| {
            fields
                .get("Status")
                .is_some_and(|status| status.ends_with(" installed"))
        })
        .collect();
    let native = installed
        .iter()
        .find(|fields| field(fields, "Package") == "dpkg")
        .map(|fields| field(fields, "Architecture"))
        .unwrap_or_default();
    let mut packages = BTreeMap::new();
    for fields in &installed {
        let architecture = field(fields, "Architecture");
        // apt writes the native architecture for packages of `all`.
        let state_architecture = if architecture == "all" {
            native.clone()
        } else {
            architecture
        };
        let is_automatic = automatic.contains(&(field(fields, "Package"), state_architecture));
        let package = Package {
            automatic: is_automatic,
            ..package(fields, &native)
        };
        packages.insert(package.name.clone(), package);
    }
    packages
}

/// The package that a paragraph describes.
fn package(fields: &BTreeMap<String, String>, native: &str) -> Package {
    let plain = field(fields, "Package");
    let architecture = field(fields, "Architecture");
    let mut needs = relation(&field(fields, "Pre-Depends"));
    needs.extend(relation(&field(fields, "Depends")));
    let version = field(fields, "Version");
    let source = field(fields, "Source");
    // `NAME`, or `NAME (VERSION)` where the version is another one than the package's.
    let (source, source_version) = match source.split_once('(') {
        Some((source, rest)) => (source.trim(), rest.trim_end_matches(')').trim()),
        None => (source.trim(), version.as_str()),
    };
    Package {
        name: if architecture == native || architecture == "all" {
            plain.clone()
        } else {
            format!("{plain}:{architecture}")
        },
        source: match source {
            "" => plain,
            source => source.to_owned(),
        },
        source_version: source_version.to_owned(),
        version,
        size: field(fields, "Installed-Size").parse::<u64>().unwrap_or(0) * 1024,
        essential: field(fields, "Essential") == "yes",
        automatic: false,
        needs,
        provides: relation(&field(fields, "Provides"))
            .into_iter()
            .flatten()
            .collect(),
        architecture,
    }
}

/// What `apt-get --simulate install` says it would install or upgrade: name and version. A line of it is
/// `Inst NAME [VERSION THAT IS INSTALLED] (VERSION ARCHIVE [ARCHITECTURE])`.
pub fn parse_simulation(answer: &str) -> BTreeMap<String, String> {
    let one = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (_, version) = rest.split_once('(')?;
        Some((name.to_owned(), version.split([' ', ')']).next()?.to_owned()))
    };
    answer.lines().filter_map(one).collect()
}

/// The files that records of a package list describe, as `apt-cache show` prints them, by name.
///
/// # Errors
/// What is wrong with each record that describes no file of an archive.
pub fn parse_files(text: &str) -> Result<BTreeMap<String, LockedPackage>, Vec<String>> {
    let (mut files, mut faults) = (BTreeMap::new(), Vec::new());
    for fields in paragraphs(text).filter(|fields| fields.contains_key("Package")) {
        match LockedPackage::from_record(&fields) {
            // Several archives may have it.
            Ok(package) => drop(files.entry(package.name.clone()).or_insert(package)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// The packages that records of a package list describe, as `apt-cache show` prints them.
pub fn parse_records(text: &str, native: Option<&str>) -> BTreeMap<String, Package> {
    paragraphs(text)
        .filter(|fields| fields.contains_key("Package"))
        .map(|fields| package(&fields, native.unwrap_or_default()))
        .map(|package| (package.name.clone(), package))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: dpkg
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 1.21
Installed-Size: 10

Package: server
Status: install ok installed
Architecture: amd64
Version: 2:1.0-1
Source: source (2:1.0)
Depends: libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, mta | mail-server,
 late:any
Pre-Depends: init

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36

Package: init
Status: install ok installed
Architecture: all
Version: 1

Package: cdebconf
Status: install ok installed
Architecture: amd64
Provides: debconf-2.0
Version: 1

Package: postfix
Status: install ok installed
Architecture: amd64
Provides: mail-server (= 1)
Version: 1

Package: exim
Status: install ok installed
Architecture: amd64
Provides: mail-server
Version: 1

Package: late
Status: install ok installed
Architecture: all
Source: other
Depends: postfix
Version: 1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
";

    fn database() -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let write = |path: &str, text: &str| {
            let path = host.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("/var/lib/dpkg/status", STATUS);
        write(
            "/var/lib/apt/extended_states",
            "Package: late\nArchitecture: amd64\nAuto-Installed: 1\n\n\
             Package: libc6\nArchitecture: i386\nAuto-Installed: 1\n\n\
             Package: server\nArchitecture: amd64\nAuto-Installed: 0\n",
        );
        write(
            "/var/lib/dpkg/info/libc6:amd64.list",
            "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n",
        );
        write("/var/lib/dpkg/info/init.list", "/.\n/bin\n/bin/sh\n");
        write("/var/lib/dpkg/info/late.list", "/.\n/bin/sh\n");
        write("/var/lib/dpkg/info/gone.list", "/.\n/etc/gone\n");
        write("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\nlate\n");
        std::os::unix::fs::symlink("usr/bin", host.path("/bin")).unwrap();
        std::os::unix::fs::symlink("usr/lib", host.path("/lib")).unwrap();
        (root, host)
    }

    #[test]
    fn a_file_is_found_by_either_spelling_and_behind_its_diversion() {
        let (_root, host) = database();
        let dpkg = host.dpkg().unwrap();
        assert_eq!(dpkg.owner("/lib/x86_64-linux-gnu/libc.so.6"), Some("libc6"));
        assert_eq!(dpkg.owner("/usr/lib/x86_64-linux-gnu/libc.so.6"), Some("libc6"));
        assert_eq!(dpkg.owner("/usr/bin/sh"), Some("late"));
        assert_eq!(dpkg.owner("/usr/bin/sh.distrib"), Some("init"));
        assert_eq!(dpkg.owner("/etc/gone"), None);
    }

    #[test]
    fn of_dpkgs_patterns_the_last_that_fits_decides() {
        let mut left_out = LeftOut::default();
        left_out.read("# x\npath-exclude /usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n");
        left_out.read("path-exclude=/usr/share/man/[!m]**/x.?\n");
        assert!(left_out.has("/usr/share/man/de/man1/x.1"));
        assert!(!left_out.has("/usr/share/man/man1/x.1"));
        assert!(!left_out.has("/usr/share/man/de/man1/x.10"));
        assert!(left_out.has("/usr/share/doc/libc6/changelog.gz"));
        assert!(left_out.has("/usr/share/doc/libc6"));
        assert!(!left_out.has("/usr/share/doc/libc6/copyright"));
        assert!(!left_out.has("/usr/share/docs/x"));
    }

    #[test]
    fn packages_have_the_names_and_marks_that_apt_shows() {
        let (_root, host) = database();
        let dpkg = host.dpkg().unwrap();
        let names: Vec<&str> = dpkg.packages.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "cdebconf",
                "dpkg",
                "exim",
                "init",
                "late",
                "libc6",
                "libc6:i386",
                "postfix",
                "server"
            ]
        );
        let marked = |name: &str| dpkg.packages[name].automatic;
        assert!(marked("late") && marked("libc6:i386"));
        assert!(!marked("server") && !marked("libc6"));
        let source = |name: &str| {
            let package = &dpkg.packages[name];
            format!("{} {}", package.source, package.source_version)
        };
        assert_eq!(source("server"), "source 2:1.0");
        assert_eq!(source("late"), "other 1");
        assert_eq!(source("init"), "init 1");
        assert!(dpkg.packages["dpkg"].essential);
        assert_eq!(dpkg.packages["dpkg"].size, 10 * 1024);
    }

    #[test]
    fn what_apt_would_install_is_read_with_its_version_and_what_it_needs() {
        let answer = "Reading package lists...\n\
                      Inst gcc (4:12.2.0-3 Debian:12.11/oldstable [amd64])\n\
                      Inst libc6 [2.36-9] (2.36-10 Debian-Security:12/oldstable-security [amd64]) [libc6-dev:amd64 ]\n\
                      Conf gcc (4:12.2.0-3 Debian:12.11/oldstable [amd64])\n";
        let coming = parse_simulation(answer);
        let lines: Vec<String> = coming
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        assert_eq!(lines, ["gcc 4:12.2.0-3", "libc6 2.36-10"]);
        let records = "Package: gcc\nArchitecture: amd64\nVersion: 4:12.2.0-3\nDepends: cpp (= 4:12.2.0-3),\n gcc-12\n\n\
                       Package: libx\nArchitecture: i386\nVersion: 1\n";
        let packages = parse_records(records, Some("amd64"));
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["gcc", "libx:i386"]);
        assert_eq!(packages["gcc"].needs, [["cpp"], ["gcc-12"]]);
    }

    #[test]
    fn what_a_package_depends_on_is_needed_and_one_alternative_is_enough() {
        let (_root, host) = database();
        let needed = host.dpkg().unwrap().needed(["server"]);
        let names: Vec<&str> = needed.keys().map(String::as_str).collect();
        // exim would do as a mail server, too, but postfix is needed anyway, by `late`.
        assert_eq!(names, ["cdebconf", "init", "late", "libc6", "postfix", "server"]);
        assert_eq!(needed["postfix"].as_deref(), Some("late"));
        assert_eq!(needed["server"], None);
    }
}
