//! Follows installed ELF files to every shared library they need, as the dynamic linker would (ld.so(8)).
//!
//! It does not open files. Functions of the caller return the file at a path and the package that owns it, so the same code
//! works for a machine, for an unpacked image, and for the table of a test.
//!
//! It is stricter than ld.so on purpose: a library must be found even if a program has already loaded one of the same name,
//! and `LD_LIBRARY_PATH` is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Result;

use super::elf::{Elf, ElfKind, Machine};

/// A library that was found at a path.
#[derive(Debug, Clone)]
pub struct Library {
    /// The file itself, after all links.
    pub real_path: String,
    /// What it is.
    pub elf: Elf,
}

/// How one file came to need something: the installed file first, then each library on the way, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain(pub Vec<String>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" -> "))
    }
}

/// A library or dynamic linker that is needed and exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The path where it was found, before links are followed.
    pub path: String,
    /// The Debian package that has it; `None` for what a component installed.
    pub package: Option<String>,
    /// The first chain that leads to it. Its own name is last.
    pub chain: Chain,
}

/// Something that is needed and missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The name as it is needed.
    pub name: String,
    /// The chain that leads to it. `name` is last.
    pub chain: Chain,
    /// Files of that name that are for another machine, with that machine's name.
    pub unfit: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not found", self.chain)?;
        match self.unfit.as_slice() {
            [] => Ok(()),
            unfit => write!(f, " (for another machine: {})", unfit.join(", ")),
        }
    }
}

/// Everything that a set of files needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// What is needed and exists, by the needed name and then by real path.
    pub found: BTreeMap<(String, String), Needed>,
    /// What is needed and missing.
    pub missing: BTreeSet<Missing>,
}

/// How the closure reads the machine.
pub struct Machinery<'a> {
    /// Directories that are searched when no file says where, in order: those of ld.so.conf.
    pub directories: &'a [String],
    /// The ELF file at a path. `None` if there is no ELF file.
    pub look: &'a mut dyn FnMut(&str) -> Result<Option<Library>>,
    /// The package that has a path.
    pub owner: &'a dyn Fn(&str) -> Option<String>,
}

/// A file whose needs are still to be followed.
struct Ahead {
    path: String,
    elf: Elf,
    /// Directories of `DT_RPATH` that were handed down, `$ORIGIN` replaced.
    inherited: Vec<String>,
    /// The dynamic linker of the program that everything is loaded into. It is loaded first, so a library that
    /// needs it by name (libc does) has it, wherever it is.
    linker: Option<String>,
    chain: Vec<String>,
}

impl Closure {
    /// Follows the libraries of `files` (path after all links, and facts) to the end.
    ///
    /// # Errors
    /// A library cannot be read or is damaged.
    pub fn follow(
        files: impl IntoIterator<Item = (String, Elf)>,
        machinery: &mut Machinery<'_>,
    ) -> Result<Self> {
        let mut closure = Self::default();
        let mut ahead: Vec<Ahead> = files
            .into_iter()
            .filter(|(_, elf)| elf.kind != ElfKind::Object)
            .map(|(path, elf)| Ahead {
                chain: vec![path.clone()],
                linker: elf.interpreter.clone(),
                path,
                elf,
                inherited: Vec::new(),
            })
            .collect();
        ahead.reverse();
        let mut seen = BTreeSet::new();
        while let Some(file) = ahead.pop() {
            if !seen.insert((file.path.clone(), file.inherited.clone(), file.linker.clone())) {
                continue;
            }
            closure.step(&file, machinery, &mut ahead)?;
        }
        Ok(closure)
    }

    fn step(&mut self, file: &Ahead, machinery: &mut Machinery<'_>, ahead: &mut Vec<Ahead>) -> Result<()> {
        let mut handed_down = file.expanded(&file.elf.rpath);
        handed_down.extend_from_slice(&file.inherited);
        let mut directories = file.expanded(&file.elf.runpath);
        // A file with DT_RUNPATH ignores every DT_RPATH, also those handed down; what it loads does not.
        if directories.is_empty() {
            directories.clone_from(&handed_down);
        }
        directories.extend_from_slice(machinery.directories);
        directories.extend(default_directories(file.elf.machine));
        for name in file.elf.interpreter.iter().chain(&file.elf.needed) {
            let mut chain = file.chain.clone();
            chain.push(name.clone());
            let (candidates, mut unfit) = (file.candidates(name, &directories), Vec::new());
            let library = first_fit(candidates, file.elf.machine, machinery, &mut unfit)?;
            let Some((path, library)) = library else {
                self.missing.insert(Missing {
                    name: name.clone(),
                    chain: Chain(chain),
                    unfit,
                });
                continue;
            };
            ahead.push(Ahead {
                path: library.real_path.clone(),
                elf: library.elf,
                inherited: handed_down.clone(),
                linker: file.linker.clone(),
                chain: chain.clone(),
            });
            let needed = Needed {
                package: (machinery.owner)(&path).or_else(|| (machinery.owner)(&library.real_path)),
                path,
                chain: Chain(chain),
            };
            self.keep((name.clone(), library.real_path), needed);
        }
        Ok(())
    }

    /// Keeps the shortest chain to something that is needed, which explains best.
    fn keep(&mut self, key: (String, String), needed: Needed) {
        let known = self.found.get(&key);
        if known.is_none_or(|known| needed.chain.0.len() < known.chain.0.len()) {
            self.found.insert(key, needed);
        }
    }

    /// The Debian packages that have what was found, each with its reason: `file -> library`.
    pub fn packages(&self) -> BTreeMap<String, String> {
        let mut packages: BTreeMap<String, &Chain> = BTreeMap::new();
        for needed in self.found.values() {
            let Some(package) = &needed.package else {
                continue;
            };
            match packages.get(package) {
                Some(known) if (known.0.len(), known) <= (needed.chain.0.len(), &&needed.chain) => {}
                _ => {
                    packages.insert(package.clone(), &needed.chain);
                }
            }
        }
        packages
            .into_iter()
            .map(|(package, chain)| (package, chain.to_string()))
            .collect()
    }

    /// The package that had the library or program interpreter of this name.
    pub fn package_of(&self, name: &str) -> Option<&str> {
        self.found
            .iter()
            .filter(|((known, _), _)| known == name)
            .find_map(|(_, needed)| needed.package.as_deref())
    }
}

impl Ahead {
    /// The directories of one of its search paths.
    fn expanded(&self, directories: &[String]) -> Vec<String> {
        directories.iter().filter_map(|one| expand(one, self)).collect()
    }

    /// The paths where a library of this name may be, in the order of ld.so.
    fn candidates(&self, name: &str, directories: &[String]) -> Vec<String> {
        let is_named = |linker: &&String| linker.rsplit('/').next() == Some(name);
        if name.contains('/') {
            expand(name, self).into_iter().collect()
        } else if let Some(linker) = self.linker.as_ref().filter(is_named) {
            vec![linker.clone()]
        } else {
            let path = |directory: &String| format!("{}/{name}", directory.trim_end_matches('/'));
            directories.iter().map(path).collect()
        }
    }
}

/// The first library for this machine with its path. `unfit` gets what is at the paths before it for other machines.
fn first_fit(
    candidates: Vec<String>,
    machine: Machine,
    machinery: &mut Machinery<'_>,
    unfit: &mut Vec<String>,
) -> Result<Option<(String, Library)>> {
    for path in candidates {
        match (machinery.look)(&path)? {
            Some(library) if library.elf.machine == machine => return Ok(Some((path, library))),
            Some(library) => unfit.push(format!("{path} for {}", library.elf.machine)),
            None => {}
        }
    }
    Ok(None)
}

/// A directory of a search path, or a needed name with a slash, as ld.so expands it. What is empty or relative
/// means the current directory, which no installed file can count on, so it finds nothing.
fn expand(text: &str, file: &Ahead) -> Option<String> {
    let origin = match file.path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((directory, _)) => directory,
    };
    let lib = triplet(file.elf.machine).map_or_else(|| "lib".to_owned(), |triplet| format!("lib/{triplet}"));
    let mut expanded = text.to_owned();
    let platform = triplet(file.elf.machine)
        .and_then(|triplet| triplet.split('-').next())
        .unwrap_or_default();
    for (token, value) in [("ORIGIN", origin), ("LIB", lib.as_str()), ("PLATFORM", platform)] {
        expanded = expanded.replace(&format!("${{{token}}}"), value);
        expanded = expanded.replace(&format!("${token}"), value);
    }
    expanded.starts_with('/').then_some(expanded)
}

/// Debian's multiarch name of a machine.
fn triplet(machine: Machine) -> Option<&'static str> {
    Some(match (machine.number, machine.is_64, machine.is_little_endian) {
        (3, false, true) => "i386-linux-gnu",
        (21, true, true) => "powerpc64le-linux-gnu",
        (22, true, false) => "s390x-linux-gnu",
        (40, false, true) => "arm-linux-gnueabihf",
        (62, true, true) => "x86_64-linux-gnu",
        (183, true, true) => "aarch64-linux-gnu",
        (243, true, true) => "riscv64-linux-gnu",
        _ => return None,
    })
}

/// The directories that Debian's glibc searches last.
pub fn default_directories(machine: Machine) -> Vec<String> {
    let multiarch = triplet(machine).into_iter();
    multiarch
        .flat_map(|triplet| [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")])
        .chain(["/lib".to_owned(), "/usr/lib".to_owned()])
        .collect()
}

/// The directories named by the text of ld.so.conf, and the patterns it includes, in order.
pub fn parse_ld_so_conf(text: &str) -> Vec<LdSoConf> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(patterns) = line
            .strip_prefix("include")
            .filter(|rest| rest.starts_with([' ', '\t']))
        {
            entries.extend(
                patterns
                    .split_whitespace()
                    .map(|pattern| LdSoConf::Include(pattern.to_owned())),
            );
        } else if !line.starts_with("hwcap ") {
            let directories = line
                .split([' ', '\t', ':', ','])
                .filter(|word| word.starts_with('/'));
            entries.extend(directories.map(|directory| LdSoConf::Directory(directory.to_owned())));
        }
    }
    entries
}

/// One entry of ld.so.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LdSoConf {
    /// A directory with libraries.
    Directory(String),
    /// Other files to read, a pattern as glob(7) has it.
    Include(String),
}

/// The interpreter of a script that begins with these bytes: the program, and what it is given as first argument.
pub fn shebang(head: &[u8]) -> Option<(String, Option<String>)> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let (program, argument) = match line.trim().split_once([' ', '\t']) {
        Some((program, argument)) => (program, Some(argument.trim().to_owned())),
        None => (line.trim(), None),
    };
    (!program.is_empty()).then(|| (program.to_owned(), argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMD64: Machine = Machine {
        number: 62,
        is_64: true,
        is_little_endian: true,
    };
    const ARM64: Machine = Machine { number: 183, ..AMD64 };

    fn library(needed: &[&str]) -> Elf {
        Elf {
            machine: AMD64,
            kind: ElfKind::Library,
            interpreter: None,
            soname: None,
            needed: needed.iter().map(|name| (*name).to_owned()).collect(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            opens_libraries: false,
        }
    }

    /// A machine as a table: path, and the file that stands there.
    type Table<'a> = &'a [(&'a str, Elf)];

    fn follow(start: &str, table: Table<'_>) -> Closure {
        let look = |path: &str| -> Option<Library> {
            let (path, elf) = table.iter().find(|(known, _)| *known == path)?;
            Some(Library {
                real_path: (*path).to_owned(),
                elf: elf.clone(),
            })
        };
        let file = look(start).expect("the start is in the table");
        Closure::follow(
            [(file.real_path, file.elf)],
            &mut Machinery {
                directories: &["/conf".to_owned()],
                look: &mut |path| Ok(look(path)),
                owner: &|path| {
                    path.strip_prefix("/usr/lib/")
                        .map(|name| format!("package of {name}"))
                },
            },
        )
        .unwrap()
    }

    fn paths(closure: &Closure) -> Vec<&str> {
        closure.found.keys().map(|(_, path)| path.as_str()).collect()
    }

    #[test]
    fn libraries_are_followed_to_the_end_and_each_package_has_its_reason() {
        let closure = follow(
            "/bin/postgres",
            &[
                ("/bin/postgres", library(&["libldap.so"])),
                ("/usr/lib/libldap.so", library(&["libsasl.so", "libldap.so"])),
                ("/usr/lib/libsasl.so", library(&[])),
            ],
        );
        assert!(closure.missing.is_empty());
        let packages: Vec<(String, String)> = closure.packages().into_iter().collect();
        assert_eq!(
            packages,
            [
                (
                    "package of libldap.so".to_owned(),
                    "/bin/postgres -> libldap.so".to_owned()
                ),
                (
                    "package of libsasl.so".to_owned(),
                    "/bin/postgres -> libldap.so -> libsasl.so".to_owned()
                ),
            ]
        );
        assert_eq!(closure.package_of("libsasl.so"), Some("package of libsasl.so"));
    }

    #[test]
    fn a_missing_library_is_named_with_the_way_to_it() {
        let closure = follow(
            "/a.so",
            &[("/a.so", library(&["b.so"])), ("/lib/b.so", library(&["c.so"]))],
        );
        let texts: Vec<String> = closure.missing.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["/a.so -> b.so -> c.so: not found"]);
    }

    #[test]
    fn a_missing_dynamic_linker_is_a_miss() {
        let program = Elf {
            interpreter: Some("/lib64/ld.so".to_owned()),
            kind: ElfKind::Program,
            ..library(&[])
        };
        let closure = follow("/a", &[("/a", program)]);
        assert_eq!(closure.missing.len(), 1);
    }

    #[test]
    fn the_dynamic_linker_is_loaded_already_when_a_library_asks_for_it() {
        let program = Elf {
            interpreter: Some("/lib64/ld.so".to_owned()),
            kind: ElfKind::Program,
            ..library(&["libc.so"])
        };
        let table = [
            ("/a", program),
            ("/lib/libc.so", library(&["ld.so"])),
            ("/lib64/ld.so", library(&[])),
        ];
        assert!(follow("/a", &table).missing.is_empty());
    }

    #[test]
    fn a_library_for_another_machine_is_passed_over() {
        let foreign = Elf {
            machine: ARM64,
            ..library(&[])
        };
        let table = [
            ("/a.so", library(&["b.so"])),
            ("/conf/b.so", foreign.clone()),
            ("/usr/lib/x86_64-linux-gnu/b.so", library(&[])),
        ];
        assert_eq!(
            paths(&follow("/a.so", &table)),
            ["/usr/lib/x86_64-linux-gnu/b.so"]
        );
        let closure = follow("/a.so", &table[..2]);
        assert_eq!(
            closure.missing.first().unwrap().to_string(),
            "/a.so -> b.so: not found (for another machine: /conf/b.so for aarch64 (64 bit, little endian))"
        );
    }

    #[test]
    fn runpath_is_for_the_file_itself_and_rpath_also_for_what_it_loads() {
        let origin = vec!["${ORIGIN}/../own".to_owned()];
        let needs_b = |rpath: &[String], runpath: &[String]| Elf {
            rpath: rpath.to_vec(),
            runpath: runpath.to_vec(),
            ..library(&["b.so"])
        };
        // The linker does not tidy the path; the table has it as it is asked for.
        let table = |start: Elf| {
            [
                ("/opt/x/bin/a", start),
                ("/opt/x/bin/../own/b.so", library(&["c.so"])),
                ("/opt/x/bin/../own/c.so", library(&[])),
            ]
        };
        let by_rpath = follow("/opt/x/bin/a", &table(needs_b(&origin, &[])));
        assert!(by_rpath.missing.is_empty(), "{by_rpath:?}");
        let by_runpath = follow("/opt/x/bin/a", &table(needs_b(&[], &origin)));
        let missing: Vec<&str> = by_runpath
            .missing
            .iter()
            .map(|missing| missing.name.as_str())
            .collect();
        assert_eq!(missing, ["c.so"]);
    }

    #[test]
    fn directories_come_in_the_order_of_the_linker() {
        let start = Elf {
            runpath: vec!["relative".into(), String::new(), "/own".into()],
            ..library(&["b.so"])
        };
        let table = [
            ("/a.so", start),
            ("relative/b.so", library(&[])),
            ("/own/b.so", library(&[])),
            ("/conf/b.so", library(&[])),
            ("/lib/x86_64-linux-gnu/b.so", library(&[])),
        ];
        assert_eq!(paths(&follow("/a.so", &table)), ["/own/b.so"]);
        let mut table = table.to_vec();
        table.remove(2);
        assert_eq!(paths(&follow("/a.so", &table)), ["/conf/b.so"]);
        table.remove(2);
        assert_eq!(paths(&follow("/a.so", &table)), ["/lib/x86_64-linux-gnu/b.so"]);
    }

    #[test]
    fn ld_so_conf_is_read_with_its_comments_and_includes() {
        assert_eq!(
            parse_ld_so_conf("# c\ninclude /etc/ld.so.conf.d/*.conf\n/a:/b, /c # d\nhwcap 0 /no\n"),
            [
                LdSoConf::Include("/etc/ld.so.conf.d/*.conf".into()),
                LdSoConf::Directory("/a".into()),
                LdSoConf::Directory("/b".into()),
                LdSoConf::Directory("/c".into()),
            ]
        );
    }

    #[test]
    fn the_interpreter_of_a_script_is_read_as_the_kernel_reads_it() {
        assert_eq!(
            shebang(b"#! /usr/bin/env python3\nx"),
            Some(("/usr/bin/env".into(), Some("python3".into())))
        );
        assert_eq!(shebang(b"#!/bin/sh"), Some(("/bin/sh".into(), None)));
        assert_eq!(shebang(b"#!\n"), None);
        assert_eq!(shebang(b"\x7fELF"), None);
    }
}
