//! Merges a staged tree (a `DESTDIR`) into the root after validating all of it.
//!
//! The root is not changed before every finding is known, and all findings are reported at once. Each file is then renamed
//! into its place, so that a killed process leaves only complete files. Owners and modes do not depend on the umask of the
//! build: root owns everything, with mode 0755 or 0644.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};

use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::host::entry::{Entry, FileKind, components, is_below, utf8};
use crate::image::elf::{Elf, Machine};
use crate::image::kind;
use crate::layout;
use crate::record::inventory::{Content, InstalledFile, Inventory};

/// Where a component may put files.
const ALLOWED: [&str; 3] = ["/etc", "/opt", "/usr"];
/// Paths below [`ALLOWED`] where no component may put files, with the reason.
const RESERVED: [(&str, &str); 6] = [
    (
        "/usr/local",
        "belongs to the administrator, and shadows the distribution's programs and libraries",
    ),
    (
        "/etc/ld.so.preload",
        "would load a library into every program of the image",
    ),
    (layout::RECORDS, "has the image's own records"),
    ("/etc/ld.so.cache", "is made by ldconfig"),
    ("/etc/ld.so.conf", LD_SO_CONF),
    ("/etc/ld.so.conf.d", LD_SO_CONF),
];
/// The dynamic linker reads a cache, which is not updated when a component is restored from the store.
const LD_SO_CONF: &str = "says where every program of the image looks for libraries, and only after ldconfig; a component \
     gives its own files a search path (`-Wl,-rpath,DIRECTORY`), or its libraries are those of a package in \
     `packages.runtime`";
/// Link targets that exist only while a machine runs.
const RUN_TIME: [&str; 4] = ["/dev/", "/proc/", "/run/", "/var/run/"];

/// Merges `stage`, a `DESTDIR` inside the root, as files of `component`. Returns the installed files, which are also
/// recorded in `installed`. `announce` gets every path before the first is changed.
///
/// # Errors
/// One error has every finding about the tree, and nothing is installed. Or a file cannot be copied.
pub fn merge(
    host: &Host,
    stage: &str,
    component: &str,
    installed: &mut Inventory,
    announce: &dyn Fn(&[String]) -> Result<()>,
) -> Result<Vec<InstalledFile>> {
    let stage = Stage {
        host,
        directory: stage,
        component,
    };
    let tree = host.tree(stage.directory)?;
    let findings = stage.findings(installed, &tree, Links::LeadSomewhere)?;
    if !findings.is_empty() {
        let mut message = format!("{component}: what was built cannot be installed");
        for finding in findings {
            // Writing to a String cannot fail.
            let _ = write!(message, "\n  {finding}");
        }
        bail!(message);
    }
    let mut entries: Vec<(String, &Entry)> = Vec::new();
    for entry in &tree {
        entries.push((format!("/{}", utf8(&entry.path)?), entry));
    }
    let paths: Vec<String> = entries.iter().map(|(path, _)| path.clone()).collect();
    announce(&paths)?;
    let mut files = Vec::new();
    for (path, entry) in entries {
        if let Some(file) = stage.put(&path, entry, installed)? {
            installed.insert(file.clone());
            files.push(file);
        }
    }
    Ok(files)
}

/// The findings of [`merge`] about `stage`, a line each, before the tree's dependencies are installed. So the targets of
/// its links need not exist yet.
///
/// # Errors
/// The tree cannot be read.
pub fn validate(host: &Host, stage: &str, component: &str, installed: &Inventory) -> Result<Vec<String>> {
    let stage = Stage {
        host,
        directory: stage,
        component,
    };
    let tree = host.tree(stage.directory)?;
    stage.findings(installed, &tree, Links::MayLeadToWhatComes)
}

/// The machine of the root's programs; `None` if the root has no shell, as in tests.
fn machine(host: &Host) -> Result<Option<Machine>> {
    let Some(shell) = host.real_path("/bin/sh")? else {
        return Ok(None);
    };
    Ok(host.elf(&shell)?.map(|elf| elf.machine))
}

/// Whether a link leads into the work directory, as an interrupted build of a virtual environment leaves it.
fn is_leftover(target: &Path) -> bool {
    target.starts_with(layout::WORK)
}

/// A staged tree.
#[derive(Clone, Copy)]
struct Stage<'a> {
    host: &'a Host,
    /// Its directory inside the root.
    directory: &'a str,
    component: &'a str,
}

impl Stage<'_> {
    /// Everything that is wrong with the tree, a line each.
    fn findings(&self, installed: &Inventory, tree: &[Entry], links: Links) -> Result<Vec<String>> {
        let dpkg = self.host.dpkg()?;
        let check = Check {
            stage: *self,
            installed,
            dpkg: &dpkg,
            machine: machine(self.host)?,
            links,
        };
        check.tree(tree)
    }

    /// Whether the file of this path has the same content as an installed one.
    fn has_content_of(&self, path: &str, installed: &InstalledFile) -> Result<bool> {
        let Content::File { sha256, .. } = &installed.content else {
            return Ok(false);
        };
        Ok(*sha256 == self.host.sha256(&format!("{}{path}", self.directory))?)
    }

    /// Whether the file of this path is installed already, with the same content and mode.
    fn is_same(&self, path: &str, mode: u32, installed: &Inventory) -> Result<bool> {
        match installed.find(path) {
            Some(known) => Ok(known.mode == mode && self.has_content_of(path, known)?),
            None => Ok(false),
        }
    }

    /// Installs one entry. Returns `None` for a directory that existed before.
    fn put(&self, path: &str, entry: &Entry, installed: &Inventory) -> Result<Option<InstalledFile>> {
        let host = self.host;
        let mode = tidy_mode(entry);
        let content = match &entry.kind {
            FileKind::Directory => {
                let found = host.look(path)?.map(|found| found.kind);
                if matches!(&found, Some(FileKind::Link(target)) if is_leftover(target)) {
                    host.remove(path)?;
                }
                let is_new = host.look(path)?.is_none();
                host.install_directory(path)?;
                // A directory that two components share stays with the first.
                if !is_new || installed.find(path).is_some() {
                    return Ok(None);
                }
                Content::Directory
            }
            // The second part of a component contains the files of the first. Others are compiled against these, so they stay.
            FileKind::File if self.is_same(path, mode, installed)? => {
                return Ok(installed.find(path).cloned());
            }
            FileKind::File => Content::File {
                sha256: host.install_file(&host.reach(self.directory)?.join(&entry.path), path, mode)?,
                size: entry.size,
            },
            FileKind::Link(target) => {
                host.install_link(target, path)?;
                Content::Link {
                    target: utf8(target)?.to_owned(),
                }
            }
            FileKind::Other => bail!("{path}: neither a file, a directory nor a link"),
        };
        // Owned by root, except in a tree of an ordinary user, who cannot change owners.
        let (uid, gid) = host.look(path)?.map_or((0, 0), |found| (found.uid, found.gid));
        Ok(Some(InstalledFile {
            path: path.to_owned(),
            component: self.component.to_owned(),
            content,
            mode,
            uid,
            gid,
        }))
    }
}

/// 0755 for directories and executable files, 0644 for other files.
fn tidy_mode(entry: &Entry) -> u32 {
    match entry.kind {
        FileKind::Link(_) => 0o777,
        FileKind::File if entry.mode & 0o111 == 0 => 0o644,
        _ => 0o755,
    }
}

/// The facts that a staged tree is validated against.
struct Check<'a> {
    stage: Stage<'a>,
    installed: &'a Inventory,
    dpkg: &'a Dpkg,
    machine: Option<Machine>,
    links: Links,
}

/// The requirement on the targets of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// They exist.
    LeadSomewhere,
    /// They may be installed later.
    MayLeadToWhatComes,
}

impl Check<'_> {
    /// Everything that is wrong with the tree, a line each.
    fn tree(&self, tree: &[Entry]) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        let mut misplaced: Option<String> = None;
        for entry in tree {
            let path = format!("/{}", utf8(&entry.path)?);
            // Parents come before children, so a misplaced directory gets one line, and its content none.
            if !misplaced.as_ref().is_some_and(|top| is_below(&path, top))
                && let Some(finding) = place(&path, &entry.kind)
            {
                findings.push(format!("{path}: {finding}"));
                misplaced = Some(path.clone());
            }
            for finding in self.findings(&path, entry)? {
                findings.push(format!("{path}: {finding}"));
            }
        }
        if !tree.iter().any(|entry| entry.kind != FileKind::Directory) {
            findings.push(format!("{}: no file was installed into it", self.stage.directory));
        }
        Ok(findings)
    }

    fn findings(&self, path: &str, entry: &Entry) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        if entry.kind == FileKind::Other {
            findings.push("is a device, a pipe or a socket".to_owned());
            return Ok(findings);
        }
        if !matches!(entry.kind, FileKind::Link(_)) {
            if entry.mode & 0o6000 != 0 {
                findings.push(format!(
                    "is set-user-id or set-group-id (mode {:04o})",
                    entry.mode
                ));
            }
            if entry.mode & 0o002 != 0 {
                findings.push(format!("is writable by everyone (mode {:04o})", entry.mode));
            }
        }
        findings.extend(self.collision(path, entry)?);
        match &entry.kind {
            FileKind::Link(target) => findings.extend(self.link(path, utf8(target)?)?),
            FileKind::File => {
                if let Some(elf) = self.stage.host.elf(&format!("{}{path}", self.stage.directory))? {
                    findings.extend(self.elf(&elf));
                }
            }
            _ => {}
        }
        Ok(findings)
    }

    /// The finding about something at the path that does not belong to this component.
    fn collision(&self, path: &str, entry: &Entry) -> Result<Option<String>> {
        let Stage {
            host,
            directory,
            component,
        } = self.stage;
        if let Some(known) = self.installed.find(path) {
            let both_directories = known.content == Content::Directory && entry.kind == FileKind::Directory;
            // Debug symbols are named by build id: two components with the same program bring the same file.
            let fits = both_directories
                || known.component == component
                || path.starts_with(kind::DEBUG_SYMBOLS) && self.stage.has_content_of(path, known)?;
            return Ok((!fits).then(|| format!("is a file of {} already", known.component)));
        }
        let found = host.look(path)?;
        if entry.kind == FileKind::Directory {
            return Ok(match found.map(|found| found.kind) {
                None | Some(FileKind::Directory) => None,
                Some(FileKind::Link(target)) if is_leftover(&target) => None,
                Some(FileKind::Link(target)) => Some(format!(
                    "is a directory here, and a link to {} in the image",
                    target.display()
                )),
                Some(_) => Some("is a directory here, and a file in the image".to_owned()),
            });
        }
        if let Some(package) = self.dpkg.owner(path) {
            return Ok(Some(format!("is a file of the Debian package {package} already")));
        }
        let Some(found) = found else {
            return Ok(None);
        };
        // An interrupted merge of the same tree leaves files with the same content.
        let is_same = match (&entry.kind, &found.kind) {
            (FileKind::Link(here), FileKind::Link(there)) => here == there,
            (FileKind::File, FileKind::File) => {
                host.sha256(&format!("{directory}{path}"))? == host.sha256(path)?
            }
            _ => false,
        };
        Ok((!is_same).then(|| "is in the image already, with other content and without an owner".to_owned()))
    }

    fn link(&self, path: &str, target: &str) -> Result<Option<String>> {
        let (host, stage) = (self.stage.host, self.stage.directory);
        if RUN_TIME.iter().any(|place| target.starts_with(place)) {
            return Ok(None);
        }
        if target.starts_with('/') {
            if target == stage || target.starts_with(&format!("{stage}/")) {
                return Ok(Some(format!("links to {target}, which is in the staged tree")));
            }
            if !ALLOWED.iter().any(|prefix| is_below(target, prefix)) {
                return Ok(Some(format!(
                    "links to {target}, outside of {}",
                    ALLOWED.join(", ")
                )));
            }
        }
        let absolute = resolve(path, target);
        // The target may be in the stage, which is merged into the root.
        for top in [stage, ""] {
            if host.look(&format!("{top}{absolute}"))?.is_some() {
                return Ok(None);
            }
        }
        Ok(match host.real_path(&absolute)? {
            Some(_) => None,
            None if self.links == Links::MayLeadToWhatComes => None,
            None => Some(format!("links to {target}, which does not exist")),
        })
    }

    fn elf(&self, elf: &Elf) -> Vec<String> {
        let mut findings = Vec::new();
        if let Some(machine) = self.machine
            && machine != elf.machine
        {
            findings.push(format!(
                "is built for {}, but the image is for {machine}",
                elf.machine
            ));
        }
        for directory in elf.rpath.iter().chain(&elf.runpath) {
            let own = directory.starts_with("$ORIGIN") || directory.starts_with("${ORIGIN}");
            let known = ["/usr/lib", "/lib", "/opt"]
                .iter()
                .any(|prefix| is_below(directory, prefix));
            if !own && !known {
                findings.push(format!(
                    "searches libraries in `{directory}`, where an image has none"
                ));
            }
        }
        findings
    }
}

/// The finding about a path where no component may put a file.
pub fn place(path: &str, kind: &FileKind) -> Option<String> {
    if let Some((_, why)) = RESERVED.iter().find(|(prefix, _)| is_below(path, prefix)) {
        return Some(format!("must not be there: it {why}"));
    }
    let is_on_the_way = *kind == FileKind::Directory && ALLOWED.contains(&path);
    let is_inside = ALLOWED
        .iter()
        .any(|prefix| is_below(path, prefix) && path != *prefix);
    (!is_on_the_way && !is_inside).then(|| format!("is outside of {}", ALLOWED.join(", ")))
}

/// The absolute path of a link's target, computed from the text alone.
fn resolve(path: &str, target: &str) -> String {
    let directory = Path::new(path)
        .parent()
        .and_then(Path::to_str)
        .unwrap_or_default();
    let text = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("{directory}/{target}")
    };
    let mut names: Vec<&str> = Vec::new();
    for name in components(&text) {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
    }
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use std::fs as std_fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A root with an installed package, and a stage inside it.
    struct Machine {
        _directory: tempfile::TempDir,
        host: Host,
        installed: Inventory,
    }

    impl Machine {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let host = Host::new(directory.path());
            let machine = Self {
                _directory: directory,
                host,
                installed: Inventory::default(),
            };
            machine.write(
                "/var/lib/dpkg/status",
                "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
            );
            machine.write("/var/lib/dpkg/info/dpkg.list", "/.\n/usr\n/usr/bin/dpkg\n");
            machine.write("/usr/bin/dpkg", "dpkg");
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.host.path(path);
            std_fs::create_dir_all(path.parent().unwrap()).unwrap();
            std_fs::write(path, text).unwrap();
        }

        fn merge(&mut self, component: &str) -> Result<Vec<InstalledFile>> {
            merge(&self.host, "/stage", component, &mut self.installed, &|_| Ok(()))
        }

        /// The findings about a stage that `make` fills.
        fn findings(make: impl FnOnce(&Self)) -> Vec<String> {
            let mut machine = Self::new();
            make(&machine);
            let error = machine.merge("citus").unwrap_err().to_string();
            assert!(machine.installed.iter().next().is_none());
            error.lines().skip(1).map(|line| line.trim().to_owned()).collect()
        }
    }

    #[test]
    fn a_good_tree_is_installed_with_tidy_modes_and_recorded() {
        let mut machine = Machine::new();
        machine.write("/stage/usr/lib/pg/lib/citus.so", "citus");
        machine.write("/stage/usr/lib/pg/bin/tool", "tool");
        let tool = machine.host.path("/stage/usr/lib/pg/bin/tool");
        std_fs::set_permissions(&tool, std_fs::Permissions::from_mode(0o700)).unwrap();
        symlink("citus.so", machine.host.path("/stage/usr/lib/pg/lib/link.so")).unwrap();
        let files = machine.merge("citus").unwrap();
        let lines: Vec<String> = files
            .iter()
            .map(|file| format!("{} {:o}", file.path, file.mode))
            .collect();
        assert_eq!(
            lines,
            [
                "/usr/lib 755",
                "/usr/lib/pg 755",
                "/usr/lib/pg/bin 755",
                "/usr/lib/pg/bin/tool 755",
                "/usr/lib/pg/lib 755",
                "/usr/lib/pg/lib/citus.so 644",
                "/usr/lib/pg/lib/link.so 777",
            ]
        );
        assert_eq!(
            machine.host.read("/usr/lib/pg/lib/link.so").unwrap().as_deref(),
            Some("citus")
        );
        assert_eq!(
            machine.installed.find("/usr/lib/pg/bin/tool"),
            files.iter().find(|file| file.path.ends_with("tool"))
        );
        assert_eq!(machine.installed.size(), 9);
        // A second merge, as after an interruption, finds the same content and no collision.
        machine.installed = Inventory::default();
        machine.merge("citus").unwrap();
    }

    #[test]
    fn files_of_packages_and_of_other_components_are_not_replaced() {
        let mut machine = Machine::new();
        machine.write("/stage/usr/share/x", "1");
        machine.merge("first").unwrap();
        machine.write("/stage/usr/share/x", "2");
        machine.write("/stage/usr/bin/dpkg", "2");
        machine.write("/usr/share/stray", "1");
        machine.write("/stage/usr/share/stray", "2");
        let error = machine.merge("second").unwrap_err().to_string();
        assert_eq!(
            error,
            "second: what was built cannot be installed\n  \
             /usr/bin/dpkg: is a file of the Debian package dpkg already\n  \
             /usr/share/stray: is in the image already, with other content and without an owner\n  \
             /usr/share/x: is a file of first already"
        );
        assert_eq!(
            machine.host.read("/usr/bin/dpkg").unwrap().as_deref(),
            Some("dpkg")
        );
    }

    #[test]
    fn symbols_of_a_program_that_two_components_have_stay_with_the_first() {
        let mut machine = Machine::new();
        let symbols = "/usr/lib/debug/.build-id/ab/cdef.debug";
        let stage = |machine: &Machine, text: &str| machine.write(&format!("/stage{symbols}"), text);
        stage(&machine, "symbols");
        machine.merge("first").unwrap();
        machine.merge("second").unwrap();
        assert_eq!(machine.installed.find(symbols).unwrap().component, "first");
        stage(&machine, "others");
        let error = machine.merge("second").unwrap_err().to_string();
        assert!(
            error.contains("cdef.debug: is a file of first already"),
            "{error}"
        );
    }

    #[test]
    fn a_link_to_a_later_dependency_is_accepted_before_the_merge() {
        let machine = Machine::new();
        machine.write("/stage/usr/bin/dpkg", "2");
        symlink("/usr/bin/python3", machine.host.path("/stage/usr/bin/python")).unwrap();
        let findings = validate(&machine.host, "/stage", "citus", &machine.installed).unwrap();
        assert_eq!(
            findings,
            ["/usr/bin/dpkg: is a file of the Debian package dpkg already"]
        );
    }

    #[test]
    fn every_finding_is_reported_at_once() {
        let findings = Machine::findings(|machine| {
            machine.write("/stage/home/me/x", "");
            machine.write("/stage/usr/local/lib/x", "");
            machine.write("/stage/etc/ld.so.cache", "");
            machine.write("/stage/etc/ld.so.conf", "/opt/x/lib");
            machine.write("/stage/etc/ld.so.conf.d/x.conf", "/opt/x/lib");
            machine.write("/stage/etc/ld.so.preload", "/opt/x/lib/x.so");
            machine.write("/stage/usr/bin/suid", "");
            let suid = machine.host.path("/stage/usr/bin/suid");
            std_fs::set_permissions(suid, std_fs::Permissions::from_mode(0o4757)).unwrap();
        });
        assert_eq!(
            findings,
            [
                "/etc/ld.so.cache: must not be there: it is made by ldconfig",
                &format!("/etc/ld.so.conf: must not be there: it {LD_SO_CONF}"),
                &format!("/etc/ld.so.conf.d: must not be there: it {LD_SO_CONF}"),
                "/etc/ld.so.preload: must not be there: it would load a library into every program of the image",
                "/home: is outside of /etc, /opt, /usr",
                "/usr/bin/suid: is set-user-id or set-group-id (mode 4757)",
                "/usr/bin/suid: is writable by everyone (mode 4757)",
                "/usr/local: must not be there: it belongs to the administrator, and shadows the distribution's \
                 programs and libraries",
            ]
        );
    }

    #[test]
    fn links_must_lead_somewhere_in_the_image() {
        let findings = Machine::findings(|machine| {
            machine.write("/stage/usr/lib/real", "");
            let link = |target: &str, name: &str| {
                symlink(target, machine.host.path(format!("/stage/usr/lib/{name}"))).unwrap();
            };
            link("real", "fine");
            link("../bin/dpkg", "fine-too");
            link("/dev/null", "run-time");
            link("nowhere", "dangling");
            link("/stage/usr/lib/real", "stage");
            link("/home/me/real", "outside");
        });
        assert_eq!(
            findings,
            [
                "/usr/lib/dangling: links to nowhere, which does not exist",
                "/usr/lib/outside: links to /home/me/real, outside of /etc, /opt, /usr",
                "/usr/lib/stage: links to /stage/usr/lib/real, which is in the staged tree",
            ]
        );
    }

    #[test]
    fn programs_for_another_machine_are_rejected() {
        let findings = Machine::findings(|machine| {
            let own = std_fs::read("/bin/sh").unwrap();
            let mut foreign = own.clone();
            // e_machine is s390x, on which the tests do not run.
            foreign[18..20].copy_from_slice(&22_u16.to_le_bytes());
            std_fs::create_dir_all(machine.host.path("/bin")).unwrap();
            std_fs::write(machine.host.path("/bin/sh"), own).unwrap();
            machine.write("/stage/usr/bin/x", "");
            std_fs::write(machine.host.path("/stage/usr/bin/x"), foreign).unwrap();
        });
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0]
                .starts_with("/usr/bin/x: is built for s390x (64 bit, little endian), but the image is for "),
            "{findings:?}"
        );
    }

    #[test]
    fn an_empty_stage_is_a_finding() {
        let findings = Machine::findings(|machine| {
            std_fs::create_dir_all(machine.host.path("/stage/usr/lib")).unwrap();
        });
        assert_eq!(findings, ["/stage: no file was installed into it"]);
    }
}
