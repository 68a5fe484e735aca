//! Reads what was installed and follows it: which libraries, link targets and script interpreters it needs, and after
//! the purge, whether all of them are still there.
//!
//! Following is `closure`'s; here is what it is fed with. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::closure::{self, Closure, LdSoConf, Library, Machinery, Missing};
use super::elf::{Elf, ElfKind, Machine};
use super::programs::on_path;
use super::scripts::{self, Interpreter};
use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::host::entry::FileKind;
use crate::host::unread::Unread;
use crate::record::inventory::{Content, InstalledFile, Inventory};
use crate::resolve::Declared;

/// What says where libraries are searched (ld.so(8)).
const LD_SO_CONF: &str = "/etc/ld.so.conf";

/// What the installed files need of the rest of the machine.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// ELF files that were followed.
    pub elf_files: usize,
    /// Their libraries.
    pub closure: Closure,
    /// Libraries that a file names without linking them, and that are there: by library, the file and the package.
    /// A program that contains such a name opens it with `dlopen`.
    pub named: BTreeMap<String, Named>,
    /// Libraries that a file names and that are nowhere, nor declared: library, and the file. Only files that call
    /// `dlopen`, for the others may be talking about it only.
    pub undeclared: BTreeMap<String, String>,
    /// Programs that manifests declare.
    pub programs: BTreeMap<String, Called>,
    /// Installed links into Debian packages: the link, and the package.
    pub links: BTreeMap<String, String>,
    /// Files of the machine that are called like a missing library, where the dynamic linker does not look.
    pub elsewhere: BTreeMap<String, String>,
    /// Links that lead nowhere.
    pub dangling: BTreeMap<String, String>,
    /// Scripts with the interpreter each asks for, and the package that has it, if one does.
    pub scripts: BTreeMap<String, Interpreter>,
    /// Files that could not be read, so that what they need is not known.
    pub unread: Unread,
}

/// A library that is named in a file, and is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The file.
    pub file: String,
    /// The Debian package that has the library.
    pub package: Option<String>,
}

/// A program that a manifest declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The components that call it.
    pub wanted_by: Vec<String>,
    /// Where it is. `None` if it is missing.
    pub path: Option<String>,
    /// The Debian package that has it.
    pub package: Option<String>,
}

impl Needs {
    /// The packages that must stay for what was installed, each with its reason.
    ///
    /// The interpreter of a script keeps no package: that is for a manifest to say (`packages.runtime`), or one
    /// script with a `perl` line would keep 50 MB. A script that is left without its interpreter fails the gate.
    pub fn packages(&self) -> BTreeMap<String, String> {
        let mut packages = self.closure.packages();
        for (link, package) in &self.links {
            packages
                .entry(package.clone())
                .or_insert_with(|| format!("link {link}"));
        }
        for (program, called) in &self.programs {
            if let Some(package) = &called.package {
                packages.entry(package.clone()).or_insert_with(|| {
                    format!("program {program}, called by {}", called.wanted_by.join(", "))
                });
            }
        }
        packages
    }

    /// These needs as they will be when packages are removed. The packages that [`packages`](Self::packages) names are not
    /// among those.
    #[must_use]
    pub fn without(&self, is_removed: &dyn Fn(&str) -> bool) -> Self {
        let goes = |package: &Option<String>| package.as_deref().is_some_and(is_removed);
        let mut after = self.clone();
        after.named.retain(|_, named| !goes(&named.package));
        for script in after.scripts.values_mut().filter(|script| goes(&script.package)) {
            (script.path, script.package) = (None, None);
        }
        after
    }

    /// Scripts whose interpreter is missing.
    pub fn scripts_without_interpreter(&self) -> impl Iterator<Item = (&String, &Interpreter)> {
        self.scripts
            .iter()
            .filter(|(_, interpreter)| interpreter.path.is_none())
    }
}

/// What the files of `inventory` need and what is `declared`, as the machine is now.
///
/// # Errors
/// A file, or a library that one needs, is a broken ELF file or cannot be read; all of them are named.
pub fn needs(host: &Host, inventory: &Inventory, declared: &Declared) -> Result<Needs> {
    let mut needs = survey(host, inventory, declared)?;
    std::mem::take(&mut needs.unread).into_result()?;
    Ok(needs)
}

/// What installed files need, where an unreadable file does not keep the others from being read. A file that is missing or
/// altered needs nothing; the comparison with the inventory reports it.
///
/// # Errors
/// The package database cannot be read.
pub fn survey(host: &Host, inventory: &Inventory, declared: &Declared) -> Result<Needs> {
    let dpkg = host.dpkg()?;
    let mut needs = Needs::default();
    let mut files = Vec::new();
    for file in inventory.iter() {
        let read = needs_of(host, &dpkg, file, inventory, &mut needs);
        if let Some(Some(elf)) = needs.unread.take(host, &file.path, read) {
            files.push((file.path.clone(), elf));
        }
    }
    needs.elf_files = files
        .iter()
        .filter(|(_, elf)| elf.kind != ElfKind::Object)
        .count();
    let machine = match files.first() {
        Some((_, elf)) => Some(elf.machine),
        // A server of Debian packages alone.
        None => library(host, "/bin/sh", &mut needs.unread).map(|shell| shell.elf.machine),
    };
    let mut followed = files.clone();
    if let Some(machine) = machine {
        followed.extend(opened(host, machine, declared, &mut needs.unread));
    }
    needs.closure = follow_readable(host, &dpkg, followed, &mut needs.unread)?;
    needs.elsewhere = elsewhere(&needs.closure, &dpkg, inventory);
    for (program, wanted_by) in &declared.programs {
        let path = on_path(host, program, inventory);
        let path = needs.unread.take(host, program, path).flatten();
        let package = path
            .as_deref()
            .and_then(|path| dpkg.owner(path))
            .map(str::to_owned);
        let called = Called {
            wanted_by: wanted_by.clone(),
            path,
            package,
        };
        needs.programs.insert(program.clone(), called);
    }
    let ours: BTreeSet<&str> = inventory.iter().map(|file| base_name(&file.path)).collect();
    let linked = linked_or_declared(&needs.closure, declared);
    for (path, elf) in &files {
        let texts = needs.unread.take(host, path, host.library_names(path));
        let is_own = |name: &String| linked.contains(name) || elf.soname.as_ref() == Some(name);
        for name in texts.unwrap_or_default().into_iter().filter(|name| !is_own(name)) {
            if needs.named.contains_key(&name) {
                continue;
            }
            let named = opened_by_name(host, &dpkg, (path, elf), &name, &mut needs.unread)?;
            if let Some(named) = named {
                needs.named.insert(name, named);
            } else if elf.opens_libraries && !ours.contains(name.as_str()) {
                needs.undeclared.entry(name).or_insert_with(|| path.clone());
            }
        }
    }
    Ok(needs)
}

/// For each missing library, a file of that name that a component or a package has.
pub fn elsewhere(closure: &Closure, dpkg: &Dpkg, inventory: &Inventory) -> BTreeMap<String, String> {
    let missing: BTreeSet<&str> = closure
        .missing
        .iter()
        .map(|missing| missing.name.as_str())
        .collect();
    if missing.is_empty() {
        return BTreeMap::new();
    }
    let installed = inventory.iter().map(|file| file.path.as_str());
    let paths = installed.chain(dpkg.files().map(|(path, _)| path));
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Of several, the first in order, so that a message does not change.
        if missing.contains(name) && found.get(name).is_none_or(|other| path < other.as_str()) {
            found.insert(name.to_owned(), path.to_owned());
        }
    }
    found
}

/// Records what one installed path needs. Returns the facts of an ELF file, to follow its libraries.
fn needs_of(
    host: &Host,
    dpkg: &Dpkg,
    file: &InstalledFile,
    inventory: &Inventory,
    needs: &mut Needs,
) -> Result<Option<Elf>> {
    let found = host.look(&file.path)?.map(|found| found.kind);
    match (&file.content, found) {
        (Content::Link { target }, Some(FileKind::Link(_))) => link(host, dpkg, file, target, needs)?,
        (Content::File { .. }, Some(FileKind::File)) => {
            let elf = host.elf(&file.path)?;
            if elf.is_none() && file.mode & 0o111 != 0 {
                let interpreter = scripts::interpreter(host, dpkg, file, inventory)?;
                needs
                    .scripts
                    .extend(interpreter.map(|one| (file.path.clone(), one)));
            }
            return Ok(elf);
        }
        _ => {}
    }
    Ok(None)
}

/// What stands for the declared libraries: for each of them a file that would link it.
fn opened(host: &Host, machine: Machine, declared: &Declared, unread: &mut Unread) -> Vec<(String, Elf)> {
    let directories = library_directories(host, unread);
    let mut asking = Vec::new();
    for (library, wanted_by) in &declared.libraries {
        let needed = if library.contains('/') && !library.starts_with('/') {
            let places = directories
                .iter()
                .chain(&closure::default_directories(machine))
                .map(|directory| format!("{directory}/{library}"))
                .collect::<Vec<_>>();
            places.into_iter().find(|place| host.exists(place))
        } else {
            None
        };
        let elf = Elf {
            needed: vec![needed.unwrap_or_else(|| library.clone())],
            ..Elf::alone(machine, ElfKind::Library)
        };
        asking.push((format!("{} (`packages.dlopen`)", wanted_by.join(", ")), elf));
    }
    asking
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The names of libraries that installed files link, or manifests declare.
fn linked_or_declared(closure: &Closure, declared: &Declared) -> BTreeSet<String> {
    let found = closure.found.keys().map(|(name, _)| base_name(name));
    let missing = closure.missing.iter().map(|missing| missing.name.as_str());
    let optional = declared.optional_libraries.keys();
    let declared = declared
        .libraries
        .keys()
        .chain(optional)
        .map(|name| base_name(name));
    found.chain(missing).chain(declared).map(str::to_owned).collect()
}

/// The library that a file names without linking it, if it is there.
fn opened_by_name(
    host: &Host,
    dpkg: &Dpkg,
    (path, elf): (&String, &Elf),
    name: &str,
    unread: &mut Unread,
) -> Result<Option<Named>> {
    // As if it were linked: dlopen searches in the same places.
    let asking = Elf {
        interpreter: None,
        needed: vec![name.to_owned()],
        ..elf.clone()
    };
    let closure = follow_readable(host, dpkg, [(path.clone(), asking)], unread)?;
    let is_there = closure.found.keys().any(|(found, _)| found == name);
    Ok(is_there.then(|| Named {
        file: path.clone(),
        package: closure.package_of(name).map(str::to_owned),
    }))
}

/// Follows ELF files of this root.
///
/// # Errors
/// A library is a broken ELF file or cannot be read; all of them are named.
pub fn follow(host: &Host, dpkg: &Dpkg, files: impl IntoIterator<Item = (String, Elf)>) -> Result<Closure> {
    let mut unread = Unread::default();
    let closure = follow_readable(host, dpkg, files, &mut unread)?;
    unread.into_result()?;
    Ok(closure)
}

/// Follows libraries like [`Closure::follow`]. A library that cannot be read is recorded in `unread` and counts as missing.
///
/// # Errors
/// A library cannot be looked up for a reason other than an unreadable file.
pub fn follow_readable(
    host: &Host,
    dpkg: &Dpkg,
    files: impl IntoIterator<Item = (String, Elf)>,
    unread: &mut Unread,
) -> Result<Closure> {
    let mut known: HashMap<String, Option<Library>> = HashMap::new();
    let directories = library_directories(host, unread);
    Closure::follow(
        files,
        &mut Machinery {
            directories: &directories,
            look: &mut |path| {
                if let Some(library) = known.get(path) {
                    return Ok(library.clone());
                }
                let library = library(host, path, unread);
                known.insert(path.to_owned(), library.clone());
                Ok(library)
            },
            owner: &|path| dpkg.owner(path).map(str::to_owned),
        },
    )
}

fn library(host: &Host, path: &str, unread: &mut Unread) -> Option<Library> {
    let real_path = unread.take(host, path, host.real_path(path))??;
    let elf = unread.take(host, &real_path, host.elf(&real_path))??;
    Some(Library { real_path, elf })
}

/// What is wrong with a file whose library the machine has where the dynamic linker does not look, and what to do; `None` if it
/// is nowhere.
pub fn astray(missing: &Missing, elsewhere: &BTreeMap<String, String>) -> Option<String> {
    let path = elsewhere.get(&missing.name)?;
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let file = missing.chain.0.iter().rev().nth(1).map_or("it", String::as_str);
    Some(format!(
        "{missing}; {path} has that name, but the dynamic linker does not look there: link {file} with \
         `-Wl,-rpath,{directory}`, which makes it a run path"
    ))
}

/// Compares the needs before and after the purge.
///
/// # Errors
/// Something that is needed is missing. The error names the file, the library, and the package that had it.
pub fn check(before: &Needs, after: &Needs) -> Result<()> {
    let mut findings = BTreeSet::new();
    let mut found_astray = BTreeSet::new();
    for missing in &after.closure.missing {
        let mut text = missing.to_string();
        if let Some(finding) = astray(missing, &after.elsewhere) {
            found_astray.insert(finding);
            continue;
        }
        match before.closure.package_of(&missing.name) {
            Some(package) => {
                let _ = write!(text, "; the package {package} had it");
            }
            None => text.push_str("; no installed package had it"),
        }
        findings.insert(text);
    }
    for (name, named) in &before.named {
        if let (Some(package), false) = (&named.package, after.named.contains_key(name)) {
            findings.insert(format!(
                "{} opens {name}; the package {package} had it",
                named.file
            ));
        }
    }
    for (name, file) in &after.undeclared {
        if !before.named.contains_key(name) {
            findings.insert(format!(
                "{file} opens {name}, which neither exists nor is declared; no installed package had it"
            ));
        }
    }
    for (program, called) in &after.programs {
        if called.path.is_none() {
            let package = before
                .programs
                .get(program)
                .and_then(|before| before.package.as_deref());
            let package = package.map_or_else(
                || "no installed package had it".to_owned(),
                |package| format!("the package {package} had it"),
            );
            findings.insert(format!(
                "{} calls the program {program}, which does not exist; {package}",
                called.wanted_by.join(", ")
            ));
        }
    }
    for (link, target) in &after.dangling {
        let mut text = format!("{link}: leads to {target}, which does not exist");
        if let Some(package) = before.links.get(link) {
            let _ = write!(text, "; the package {package} had it");
        }
        findings.insert(text);
    }
    let scripts = orphaned(before, after);
    if findings.is_empty() && found_astray.is_empty() && scripts.is_empty() {
        return Ok(());
    }
    let mut message = "installed files need what does not exist".to_owned();
    for finding in findings.iter().chain(&found_astray).chain(&scripts) {
        let _ = write!(message, "\n  {finding}");
    }
    if !findings.is_empty() {
        message.push_str(LIBRARIES_HINT);
    }
    if !scripts.is_empty() {
        message.push_str(scripts::HINT);
    }
    bail!(message)
}

const LIBRARIES_HINT: &str = "\nhint: a library that is opened without being linked belongs in `packages.dlopen` of its \
     manifest, and its package, where no build package brings it, into `packages.runtime`; an optional one into \
     `dlopen_optional`";
fn link(host: &Host, dpkg: &Dpkg, file: &InstalledFile, target: &str, needs: &mut Needs) -> Result<()> {
    if ["/dev/", "/proc/", "/run/", "/var/run/"]
        .iter()
        .any(|place| target.starts_with(place))
    {
        return Ok(());
    }
    match host.real_path(&file.path)? {
        Some(real) => {
            // A directory is of every package that has something in it.
            let is_directory = host
                .look(&real)?
                .is_some_and(|found| found.kind == FileKind::Directory);
            if let Some(package) = dpkg.owner(&real).filter(|_| !is_directory) {
                needs.links.insert(file.path.clone(), package.to_owned());
            }
        }
        None => {
            needs.dangling.insert(file.path.clone(), target.to_owned());
        }
    }
    Ok(())
}

/// The directories of /etc/ld.so.conf and of the files it includes.
fn library_directories(host: &Host, unread: &mut Unread) -> Vec<String> {
    let mut directories = Vec::new();
    let mut read = BTreeSet::new();
    let done = read_ld_so_conf(host, LD_SO_CONF, &mut read, &mut directories);
    unread.take(host, LD_SO_CONF, done);
    directories
}

fn read_ld_so_conf(
    host: &Host,
    file: &str,
    read: &mut BTreeSet<String>,
    directories: &mut Vec<String>,
) -> Result<()> {
    if !read.insert(file.to_owned()) {
        return Ok(());
    }
    for entry in closure::parse_ld_so_conf(&host.read(file)?.unwrap_or_default()) {
        match entry {
            LdSoConf::Directory(directory) => directories.push(directory),
            LdSoConf::Include(pattern) => {
                let pattern = if pattern.starts_with('/') {
                    pattern
                } else {
                    format!("/etc/{pattern}")
                };
                let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
                // What glob(3) does not know either includes nothing.
                let Ok(wanted) = glob::Pattern::new(name) else {
                    continue;
                };
                for name in host.names(directory)?.iter().filter(|name| wanted.matches(name)) {
                    read_ld_so_conf(host, &format!("{directory}/{name}"), read, directories)?;
                }
            }
        }
    }
    Ok(())
}

/// One line per script whose interpreter is missing, with the package that had it before.
pub fn orphaned(before: &Needs, after: &Needs) -> Vec<String> {
    let line = |(script, interpreter): (&String, &Interpreter)| {
        let known = before.scripts.get(script);
        let package = known.and_then(|known| known.package.as_deref());
        let package = package.map_or_else(
            || "no installed package had it".to_owned(),
            |package| format!("the package {package} had it"),
        );
        format!(
            "{script} is run by {}, which does not exist; {package}",
            interpreter.name
        )
    };
    after.scripts_without_interpreter().map(line).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::image::closure::{Chain, Needed};

    fn chain(names: &[&str]) -> Chain {
        Chain(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// A root with these files: path, mode and content.
    pub fn root(files: &[(&str, u32, &[u8])]) -> (tempfile::TempDir, Host, Inventory) {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::new(directory.path());
        let mut inventory = Inventory::default();
        for (path, mode, bytes) in files {
            let at = host.path(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(&at, bytes).unwrap();
            std::fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(*mode)).unwrap();
            let file = crate::image::entry::record(&host, "citus", path);
            inventory.insert(file.unwrap().unwrap());
        }
        (directory, host, inventory)
    }

    #[test]
    fn a_broken_elf_file_of_a_component_fails_the_gate_by_name_and_a_survey_goes_on() {
        let broken = "/usr/lib/postgresql/18/lib/citus.so";
        let gone = "/usr/lib/postgresql/18/lib/gone.so";
        let script = "/opt/x/bin/tool";
        let (_directory, host, inventory) = root(&[
            (broken, 0o755, b"\x7fELF\x02\x01 cut off"),
            (gone, 0o755, b"x"),
            (script, 0o755, b"#!/usr/bin/env nosuch\n"),
        ]);
        std::fs::remove_file(host.path(gone)).unwrap();
        let declared = Declared::default();
        let error = needs(&host, &inventory, &declared).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{broken}: is a broken ELF file: ")),
            "{error}"
        );
        let survey = survey(&host, &inventory, &declared).unwrap();
        assert_eq!(survey.unread.0.keys().collect::<Vec<_>>(), [broken]);
        assert_eq!(survey.scripts.keys().collect::<Vec<_>>(), [script]);
    }

    #[test]
    fn a_link_keeps_the_package_of_a_file_and_of_no_directory() {
        let list: &[u8] = b"/.\n/usr/share/words\n/usr/share/words/list\n";
        let status: &[u8] = b"Package: words\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n";
        let (_directory, host, mut inventory) = root(&[
            ("/var/lib/dpkg/status", 0o644, status),
            ("/var/lib/dpkg/info/words.list", 0o644, list),
            ("/usr/share/words/list", 0o644, b"a"),
        ]);
        for (link, target) in [("/usr/all", "share/words"), ("/usr/one", "share/words/list")] {
            std::os::unix::fs::symlink(target, host.path(link)).unwrap();
            let file = crate::image::entry::record(&host, "citus", link);
            inventory.insert(file.unwrap().unwrap());
        }
        let needs = needs(&host, &inventory, &Declared::default()).unwrap();
        let links: Vec<&String> = needs.links.keys().collect();
        assert_eq!(links, ["/usr/one"]);
    }

    #[test]
    fn what_the_purge_took_away_is_named_with_file_library_and_package() {
        let mut before = Needs::default();
        let needed = Needed {
            path: "/usr/lib/libcurl.so.4".to_owned(),
            package: Some("libcurl4".to_owned()),
            chain: chain(&["/lib/citus.so", "libcurl.so.4"]),
        };
        let key = ("libcurl.so.4".to_owned(), "/usr/lib/libcurl.so.4.8".to_owned());
        before.closure.found.insert(key, needed);
        let named = Named {
            file: "/lib/http.so".to_owned(),
            package: Some("libtensor1".to_owned()),
        };
        before.named.insert("libtensor.so.1".to_owned(), named);
        before
            .links
            .insert("/opt/bin/python3".to_owned(), "python3-minimal".to_owned());
        assert!(check(&before, &before).is_ok());

        let mut after = Needs::default();
        after.closure.missing.insert(Missing {
            name: "libcurl.so.4".to_owned(),
            chain: chain(&["/lib/citus.so", "libcurl.so.4"]),
            unfit: Vec::new(),
        });
        after
            .dangling
            .insert("/opt/bin/python3".to_owned(), "/usr/bin/python3".to_owned());
        let error = check(&before, &after).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "installed files need what does not exist",
                "/lib/citus.so -> libcurl.so.4: not found; the package libcurl4 had it",
                "/lib/http.so opens libtensor.so.1; the package libtensor1 had it",
                "/opt/bin/python3: leads to /usr/bin/python3, which does not exist; the package python3-minimal had it",
                LIBRARIES_HINT.trim(),
            ]
        );
    }

    #[test]
    fn a_library_beside_the_searched_directories_wants_a_run_path() {
        let mut after = Needs::default();
        after.closure.missing.insert(Missing {
            name: "libown.so.1".to_owned(),
            chain: Chain(["/lib/own.so", "libown.so.1"].map(str::to_owned).to_vec()),
            unfit: Vec::new(),
        });
        after
            .elsewhere
            .insert("libown.so.1".to_owned(), "/usr/lib/own/libown.so.1".to_owned());
        let error = check(&Needs::default(), &after).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().map(str::trim).collect();
        assert_eq!(
            lines[1..],
            [
                "/lib/own.so -> libown.so.1: not found; /usr/lib/own/libown.so.1 has that name, but the dynamic linker does not look \
                 there: link /lib/own.so with `-Wl,-rpath,/usr/lib/own`, which makes it a run path"
            ]
        );
    }
}
