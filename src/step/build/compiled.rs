//! What the compilers of a build were told about processors: the words of their command lines that ask for more than every
//! processor of the architecture has.
//!
//! `make` prints command lines. Build systems that print none leave them in files of the source tree: `compile_commands.json`
//! (Meson, `CMake`), `build.ninja` (Ninja) and `flags.make` (`CMake`).

use std::collections::BTreeMap;

use anyhow::Result;

use crate::crates::of_processor;
use crate::failure::{Cause, Failure};
use crate::host::entry::{FileKind, utf8};
use crate::host::{Host, local};
use crate::plan::Build;
use crate::target::Architecture;

/// Files that hold compilers' command lines.
const FILES: [&str; 3] = ["build.ninja", "compile_commands.json", "flags.make"];
/// The largest such file that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// What to do about a flag.
const REMEDY: &str = "take it out, often by a variable of `make` (`OPTFLAGS=`); or declare it in `cpu_flags` with the reason, \
                      if the sources choose such code at run time";

/// What a build has shown of its compilers so far.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Flags beyond the baseline, each with the command line or the file it was found in.
    flags: BTreeMap<String, String>,
    /// Whether a compiler's command line was seen.
    is_seen: bool,
}

impl Compiled {
    /// Reads the output of a command.
    pub fn output(&mut self, architecture: Architecture, output: &str) {
        let joined = output.replace("\\\n", " ");
        for line in joined.lines().filter(|line| is_compilation(line)) {
            self.is_seen = true;
            self.words(architecture, line, line.trim());
        }
    }

    fn words(&mut self, architecture: Architecture, text: &str, found_in: &str) {
        let is_apart = |c: char| c.is_whitespace() || "\"'`;()[],".contains(c);
        let of_rust = text
            .split_whitespace()
            .flat_map(|word| of_processor(word.trim_matches(['"', '\'', '`'])));
        let of_rust: Vec<String> = of_rust.collect();
        let others = text.split(is_apart).filter(|word| of_processor(word).is_empty());
        for word in others.chain(of_rust.iter().map(String::as_str)) {
            if architecture.is_beyond_baseline(word) {
                self.flags
                    .entry(word.to_owned())
                    .or_insert_with(|| found_in.to_owned());
            }
        }
    }

    /// Reads the files of a source tree that hold command lines. Returns how many object files the tree has.
    fn tree(&mut self, host: &Host, source: &str, architecture: Architecture) -> Result<usize> {
        let mut objects = 0;
        let top = host.reach(source)?;
        for entry in host.tree(source)? {
            if entry.kind != FileKind::File {
                continue;
            }
            let suffix = entry.path.extension().unwrap_or_default();
            objects += usize::from(suffix == "o" || suffix == "os");
            let name = entry.path.file_name().unwrap_or_default();
            if FILES.iter().any(|file| name == *file)
                && let Some(text) = local::read_foreign_below(&top, &entry.path, MAX_BYTES)
            {
                self.is_seen = true;
                let path = format!("{source}/{}", utf8(&entry.path)?);
                self.words(architecture, &text, &path);
            }
        }
        Ok(objects)
    }

    /// Fails if a flag beyond the baseline was seen that the manifest does not declare. Returns a note for the report if
    /// object files were made and no command line was seen.
    ///
    /// # Errors
    /// There is such a flag, or the source tree cannot be read.
    pub fn check(mut self, host: &Host, source: &str, build: &Build) -> Result<String, Failure> {
        let architecture = build.architecture;
        let objects = if host.exists(source) {
            self.tree(host, source, architecture)?
        } else {
            0
        };
        self.flags.retain(|flag, _| !build.cpu_flags.contains(flag));
        if self.flags.is_empty() {
            let is_blind = objects > 0 && !self.is_seen;
            let note =
                ", its compilers' command lines were not shown, so that CPU flags could not be checked";
            return Ok(if is_blind { note.to_owned() } else { String::new() });
        }
        let flags: Vec<&str> = self.flags.keys().map(String::as_str).collect();
        let found: String = self
            .flags
            .iter()
            .map(|(flag, found)| format!("\n  {flag} in: {found}"))
            .collect();
        let message = format!(
            "{}: compiled for more than every {architecture} has ({}): {}{found}\n  hint: {REMEDY}",
            build.name,
            architecture.baseline(),
            flags.join(", ")
        );
        Err(Failure::new(Cause::Manifest, message))
    }
}

/// Whether a line of output is a compiler's command line. Those of `configure` only say what is tried.
fn is_compilation(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("checking ") || line.starts_with("-- ") {
        return false;
    }
    let mut words = line.split_whitespace();
    let has_compiler = words.by_ref().any(is_compiler);
    has_compiler && words.any(|word| matches!(word, "-c" | "-o" | "-S" | "-shared" | "--crate-name"))
}

/// Whether a word names a compiler: `gcc`, `/usr/bin/x86_64-linux-gnu-g++-12`, `clang-14`.
fn is_compiler(word: &str) -> bool {
    let name = word
        .rsplit('/')
        .next()
        .unwrap_or(word)
        .trim_matches(['`', '"', '\'', '(']);
    let is_version = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    let name = name.trim_end_matches(is_version);
    let name = name.rsplit("-gnu-").next().unwrap_or(name);
    matches!(
        name,
        "cc" | "gcc" | "c++" | "g++" | "clang" | "clang++" | "gfortran" | "rustc" | "c99" | "c11"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(output: &str) -> Vec<String> {
        let mut compiled = Compiled::default();
        compiled.output(Architecture::Amd64, output);
        compiled.flags.into_keys().collect()
    }

    #[test]
    fn flags_are_read_from_compilers_command_lines_only() {
        for (output, expected) in [
            ("gcc -O2 -march=native -c -o a.o a.c", vec!["-march=native"]),
            ("/usr/bin/x86_64-linux-gnu-g++-12 -mavx2 -c a.cc", vec!["-mavx2"]),
            ("gcc -Wall \\\n  -msse4.2 \\\n  -c a.c -o a.o", vec!["-msse4.2"]),
            ("/bin/sh ./libtool --mode=compile gcc -mbmi -c a.c", vec!["-mbmi"]),
            (
                "Running `rustc --crate-name a -C target-cpu=native -Ctarget-feature=+avx2,-sse3,+fma`",
                vec!["target-cpu=native", "target-feature=+avx2", "target-feature=+fma"],
            ),
            ("checking whether gcc -c supports -msse4.2... yes", vec![]),
            ("-- Performing Test gcc -c -mavx2", vec![]),
            ("echo use -march=native for speed", vec![]),
            ("gcc --help=target -march=native", vec![]),
            ("gcc -O2 -c -o a.o a.c", vec![]),
        ] {
            assert_eq!(flags(output), expected, "{output}");
        }
    }
}
