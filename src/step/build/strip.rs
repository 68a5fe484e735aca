//! Reduces a staged tree before it is merged: removes debug symbols, and the kinds of files that no later build needs.
//!
//! Headers, PGXS and static libraries stay, because other builds need them. `prune` removes them at the end.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::environment::VARIABLES;
use crate::command::Command;
use crate::host::cmd::{CommandOptions, Confined};
use crate::host::entry::{FileKind, utf8};
use crate::host::{Host, Log};
use crate::image::elf::ElfKind;
use crate::image::kind;
use crate::manifest::image::Removal;
use crate::step::install::files::ROOT_DIRECTORY;

/// How many files one call of `strip` gets. This is far below the limits of a command line.
const BATCH: usize = 200;
/// The option for programs. Debian's `dh_strip` uses the same: only what the dynamic linker reads is left.
pub const OF_PROGRAMS: &str = "--strip-all";
/// The option for libraries.
pub const OF_LIBRARIES: &str = "--strip-unneeded";
/// The options for both.
pub const OF_BOTH: [&str; 3] = [
    "--preserve-dates",
    "--remove-section=.comment",
    "--remove-section=.note",
];
/// The options of `objcopy` that extract debug symbols.
pub const OF_SYMBOLS: [&str; 2] = ["--only-keep-debug", "--compress-debug-sections"];

/// Where debuggers look for separate debug files.
pub const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// The result of stripping a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stripped {
    /// How many ELF files were stripped.
    pub elf_files: usize,
    /// How many files and links were removed.
    pub removed: usize,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// Strips the ELF files of `stage`, a directory inside the root, and removes files of the kinds in `removals` from it. If
/// `debug` is given, the debug symbols are first copied below that directory. The tools are confined as `confined` says,
/// because they read what a build has written.
///
/// # Errors
/// The stage cannot be read or changed, or `strip` or `objcopy` fails.
pub fn strip(
    host: &Host,
    log: &Log,
    stage: &str,
    removals: &[Removal],
    debug: Option<&str>,
    confined: Option<&Confined<'_>>,
) -> Result<Stripped> {
    // The PATH of builds, because no artifact key covers the caller's.
    let options = CommandOptions {
        variables: &VARIABLES,
        confined,
        ..CommandOptions::default()
    };
    let mut result = Stripped::default();
    let mut programs = Vec::new();
    let mut libraries = Vec::new();
    let strips_symbols = removals.contains(&Removal::DebugSymbols);
    let mut emptied = BTreeSet::new();
    for entry in host.tree(stage)? {
        if entry.kind == FileKind::Directory {
            continue;
        }
        let path = format!("/{}", utf8(&entry.path)?);
        let inside = format!("{stage}{path}");
        if entry.kind == FileKind::File {
            result.before += entry.size;
        }
        if kind::kind(&path)
            .is_some_and(|kind| Removal::FROM_STAGES.contains(&kind) && removals.contains(&kind))
        {
            host.remove(&inside)?;
            result.removed += 1;
            emptied.extend(inside.rsplit_once('/').map(|(directory, _)| directory.to_owned()));
            continue;
        }
        if entry.kind != FileKind::File || !strips_symbols {
            continue;
        }
        match host.elf(&inside)?.map(|elf| elf.kind) {
            Some(ElfKind::Program) => programs.push(inside),
            Some(ElfKind::Library) => libraries.push(inside),
            Some(ElfKind::Object) | None => {}
        }
    }
    remove_emptied(host, stage, emptied)?;
    result.elf_files = programs.len() + libraries.len();
    if let Some(debug) = debug {
        for file in programs.iter().chain(&libraries) {
            separate(host, log, file, debug, options)?;
        }
    }
    run(host, log, OF_PROGRAMS, &programs, options)?;
    run(host, log, OF_LIBRARIES, &libraries, options)?;
    for entry in host.tree(stage)? {
        if entry.kind == FileKind::File {
            result.after += entry.size;
        }
    }
    Ok(result)
}

/// Copies the debug symbols of an ELF file to the path where a debugger looks for its build id (GDB's manual, "Debugging
/// Information in Separate Files").
fn separate(host: &Host, log: &Log, file: &str, debug: &str, options: CommandOptions<'_>) -> Result<()> {
    let id = host.build_id(file)?;
    let Some((first, rest)) = id.as_deref().and_then(|id| id.split_at_checked(2)) else {
        return Ok(());
    };
    let directory = format!("{debug}/.build-id/{first}");
    host.make_directory(&directory, ROOT_DIRECTORY)?;
    let command = Command::new("objcopy", OF_SYMBOLS)
        .arg("--")
        .arg(file)
        .arg(format!("{directory}/{rest}.debug"));
    host.run_with(&command, log, options)
        .context("objcopy failed")
        .map(drop)
}

fn run(host: &Host, log: &Log, option: &str, files: &[String], options: CommandOptions<'_>) -> Result<()> {
    for batch in files.chunks(BATCH) {
        let command = Command::new("strip", [option])
            .args(OF_BOTH)
            .arg("--")
            .args(batch.iter().cloned());
        host.run_with(&command, log, options).context("strip failed")?;
    }
    Ok(())
}

/// Removes the directories that are empty now, and their parents that become empty, up to `top`.
fn remove_emptied(host: &Host, top: &str, directories: BTreeSet<String>) -> Result<()> {
    // In reverse order, so that children come before their parents.
    for directory in directories.into_iter().rev() {
        let mut directory = directory.as_str();
        while directory.len() > top.len()
            && host.exists(directory)
            && host.names(directory)?.is_empty()
            && host.remove_empty_directory(directory)?
        {
            directory = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sandbox::Sandbox;

    #[test]
    fn a_stage_loses_the_kinds_of_files_that_no_build_needs() {
        let root = tempfile::tempdir().unwrap();
        // The running system is the root, because `strip` is the machine's own.
        let host = Host::new(std::path::Path::new("/"));
        let stage = root.path().join("stage");
        let stage = stage.to_str().unwrap();
        let write = |path: &str| {
            let path = host.path(format!("{stage}{path}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        write("/usr/lib/postgresql/18/lib/bitcode/vector/vector.bc");
        write("/usr/share/man/man1/psql.1");
        write("/usr/share/locale/de/LC_MESSAGES/psql-18.mo");
        write("/usr/lib/postgresql/18/lib/libpgcommon.a");
        write("/usr/include/postgresql/pg_config.h");
        let log = Log::open(&root.path().join("log")).unwrap();
        let removals = [Removal::Bitcode, Removal::Documentation, Removal::Translations];
        let result = strip(&host, &log, stage, &removals, None, None).unwrap();
        assert_eq!((result.removed, result.before, result.after), (3, 5, 2));
        let left: Vec<String> = host
            .tree(stage)
            .unwrap()
            .iter()
            .filter(|entry| entry.kind == FileKind::File)
            .map(|entry| entry.path.display().to_string())
            .collect();
        assert_eq!(
            left,
            [
                "usr/include/postgresql/pg_config.h",
                "usr/lib/postgresql/18/lib/libpgcommon.a"
            ]
        );
        assert!(!host.exists(format!("{stage}/usr/share")));
    }

    #[test]
    fn tools_may_change_the_stage_only() {
        let root = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::of_this_kernel();
        if !sandbox.gaps().is_empty() {
            eprintln!("not run: {}", sandbox.gaps().join("; "));
            return;
        }
        let host = Host::new(std::path::Path::new("/"));
        let log = Log::open(&root.path().join("log")).unwrap();
        for (writable, succeeds) in [("stage", true), ("other", false)] {
            for directory in ["stage/usr/bin", "other"] {
                std::fs::create_dir_all(root.path().join(directory)).unwrap();
            }
            std::fs::copy("/bin/true", root.path().join("stage/usr/bin/tool")).unwrap();
            let confined = Confined {
                sandbox: &sandbox,
                writable: vec![root.path().join(writable)],
                user: None,
                left: std::sync::Mutex::default(),
            };
            let stage = root.path().join("stage");
            let removals = [Removal::DebugSymbols];
            let result = strip(
                &host,
                &log,
                stage.to_str().unwrap(),
                &removals,
                None,
                Some(&confined),
            );
            assert_eq!(result.is_ok(), succeeds, "{writable}: {}", log.text());
        }
    }
}
