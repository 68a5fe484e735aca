//! Hints about the cause of a failed build: the Debian package with a missing header, library or program, a directory that a
//! compiler or the dynamic linker is not told of, a git submodule that the archive lacks, exhausted memory or disk, or an
//! unsuitable compiler.
//!
//! Hints are derived from the errors that ended the command, and from what the machine has: a package that is installed is
//! never named. What is not certain begins with "perhaps".
//!
//! `debian::development` has the packages that database extensions build with. For anything else, the hint only names what
//! is missing.

use crate::archive::submodules::Submodule;
use crate::debian::development::package_of;

/// Headers of PostgreSQL's server that not every major version has.
const SERVER_HEADERS: &str = include_str!("hint/postgresql.tsv");
/// The hint about more jobs than there are tokens.
pub const FORCED: &str = "a makefile says how many jobs run: override that by a variable of `make`, or take `-j` out of it in \
                      a step of `build.steps`";
/// How many hints are given. Faults that follow from the first one do not help.
const MAX_HINTS: usize = 3;
/// Directories in which the compiler and the linker look without being told.
const SEARCHED: [&str; 6] = [
    "/usr/include",
    "/usr/local/include",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include/aarch64-linux-gnu",
];

/// What a hint may know of the machine.
pub struct Machine<'a> {
    /// Whether a Debian package is installed.
    pub has_package: &'a dyn Fn(&str) -> bool,
    /// The paths of packages, components, the stage and the source tree that end with a slash and a name.
    pub ending: &'a dyn Fn(&str) -> Vec<String>,
    /// The git submodules that the archive lacks.
    pub submodules: &'a [Submodule],
}

/// The hints for the lines of errors, the first fault first.
pub fn hints(lines: &[String], machine: &Machine<'_>) -> Vec<String> {
    let is_missing = lines
        .iter()
        .any(|line| OF_MISSING.iter().any(|text| line.contains(text)));
    let mut hints = Vec::new();
    for line in lines {
        let hint = submodule(line, machine)
            .filter(|_| is_missing)
            .or_else(|| exhaustion(line))
            .or_else(|| wrong_compiler(line))
            .or_else(|| missing(line, machine));
        if let Some(hint) = hint
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    // Every missing file may be the submodule's.
    if hints.is_empty() && is_missing {
        let of = |submodule: &Submodule| format!("perhaps {}", lacks(submodule));
        hints.extend(machine.submodules.iter().map(of));
    }
    hints.truncate(MAX_HINTS);
    hints
}

/// What errors about files say that do not exist.
const OF_MISSING: [&str; 6] = [
    "No such file or directory",
    "No rule to make target",
    "does not exist",
    "not an existing directory",
    "does not contain a CMakeLists.txt",
    "not found",
];

fn lacks(submodule: &Submodule) -> String {
    let Submodule { path, url } = submodule;
    format!(
        "the archive lacks the git submodule `{path}` ({url}): name its archive as a further source, with `into: {path}`"
    )
}

/// The hint about a submodule whose directory an error names.
fn submodule(line: &str, machine: &Machine<'_>) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let names = |path: &str| {
        line.match_indices(path).any(|(at, _)| {
            !line[..at].ends_with(is_part)
                && !line[at + path.len()..].starts_with(|c: char| c != '.' && is_part(c))
        })
    };
    // `#include "foo/x.h"` with the submodule `vendor/foo`.
    let header = line.split_once("fatal error: ").map_or("", |(_, rest)| rest);
    let missing = machine.submodules.iter().find(|submodule| {
        let name = submodule.path.rsplit('/').next().unwrap_or_default();
        names(&submodule.path)
            || header
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('/'))
    })?;
    Some(lacks(missing))
}

/// The line in which a `make` below a jobserver reports that its number of jobs was forced, by its command line or by
/// `MAKEFLAGS` in a makefile (GNU make 4.2 to 4.4, main.c). A forced single job does not count, as it takes no token.
pub fn forced_jobs(output: &str) -> Option<&str> {
    output.lines().find(|line| {
        line.contains(": warning: -j")
            && !line.contains(": warning: -j1 ")
            && [" forced in submake: ", " forced in makefile: "]
                .iter()
                .any(|words| line.contains(words))
    })
}

/// The hint about exhausted memory or disk.
fn exhaustion(line: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if has(&["No space left on device", "Disk quota exceeded"]) {
        return Some("the disk is full".to_owned());
    }
    // From GCC's driver, or from make.
    let killed = line.contains("Killed signal terminated program") || line.ends_with("] Killed");
    let refused = has(&[
        "virtual memory exhausted",
        ": out of memory allocating ",
        "ld: memory exhausted",
        ": Cannot allocate memory",
    ]);
    (killed || refused).then(|| {
        "perhaps memory ran out: give the build more of it, or run fewer jobs at the same time (--jobs)"
            .to_owned()
    })
}

/// The hint about an unsuitable compiler or tool.
fn wrong_compiler(line: &str) -> Option<String> {
    if let Some(needed) = between(
        line,
        "CMake ",
        " or higher is required.  You are running version ",
    ) {
        return Some(format!(
            "the sources want CMake {needed}, and the distribution's is older: choose a release of the extension that accepts it"
        ));
    }
    // PGXS calls llvm-lto and clang if PostgreSQL was configured with LLVM.
    let program = missing_program(line)?;
    let is_llvm = program == "clang" || program.starts_with("clang-") || program == "llvm-lto";
    is_llvm.then(|| {
        format!(
            "PostgreSQL was compiled with LLVM, so its makefiles call {program} for bitcode: `make: [with_llvm=no]` builds \
             without, or name the package clang in `packages.build`"
        )
    })
}

/// The hint about a missing header, library, module or program.
fn missing(line: &str, machine: &Machine<'_>) -> Option<String> {
    if let Some((_, header)) = line.split_once("fatal error: ") {
        let header = header
            .strip_suffix(": No such file or directory")
            .or_else(|| header.strip_prefix('\'')?.strip_suffix("' file not found"))?;
        return missing_header(header, machine);
    }
    let linked = line
        .split_once("cannot find -l")
        .or_else(|| line.split_once("unable to find library -l"));
    if let Some((_, library)) = linked {
        let library = library.split([':', ' ']).next()?.trim();
        return missing_library(library, machine);
    }
    if let Some(library) = missing_shared_library(line) {
        return run_path(library, machine);
    }
    // From pkg-config itself, or from its macro in configure scripts; then CMake's and meson's words.
    let module = between(line, "Package ", " was not found in the pkg-config search path")
        .or_else(|| between(line, "No package '", "' found"))
        .or_else(|| between(line, "ERROR: Dependency \"", "\" not found"));
    if let Some(module) = module {
        let module = module.trim_matches(['\'', ',']);
        let file = format!("{module}.pc");
        if let Some(path) = (machine.ending)(&format!("pkgconfig/{file}")).first() {
            let directory = parent(path);
            return Some(format!(
                "perhaps pkg-config does not look in {directory}, which has {file}: set PKG_CONFIG_PATH in the build's `environment`"
            ));
        }
        return in_package(
            &format!("pkg-config needs {file}"),
            &format!("pc:{module}"),
            machine,
        );
    }
    let program = missing_program(line)?;
    // Only known programs: a script may call one of its own that Debian does not have.
    let (package, _) = package_of(&format!("run:{program}"))?;
    if (machine.has_package)(package) {
        return None;
    }
    Some(format!(
        "{program} comes with Debian's {package}: name it in the manifest's `packages.build`"
    ))
}

/// The library that the dynamic linker does not find: `x: error while loading shared libraries: libx.so.1: cannot open …`.
fn missing_shared_library(line: &str) -> Option<&str> {
    let before = line.split_once(": cannot open shared object file")?.0;
    before.rsplit_once(": ").map(|(_, library)| library)
}

/// The hint about a shared library that is not found at run time: a run path where it is on the machine.
fn run_path(library: &str, machine: &Machine<'_>) -> Option<String> {
    if let Some(path) = (machine.ending)(library).first() {
        let directory = parent(path);
        return Some(format!(
            "{library} is in {directory}, where the dynamic linker does not look: link what needs it with `-Wl,-rpath,{directory}`"
        ));
    }
    let name = library.strip_prefix("lib")?.split(".so").next()?;
    in_package(
        &format!("the dynamic linker needs {library}"),
        &format!("-l{name}"),
        machine,
    )
}

fn missing_library(library: &str, machine: &Machine<'_>) -> Option<String> {
    let file = format!("lib{library}.so");
    let found = (machine.ending)(&file)
        .into_iter()
        .find(|path| !is_searched(&parent(path)));
    if let Some(path) = found {
        let directory = parent(&path);
        return Some(format!(
            "{file} is in {directory}, where the linker does not look: give it `-L{directory}`, and `-Wl,-rpath,{directory}` as run path"
        ));
    }
    in_package(
        &format!("the linker needs {file}"),
        &format!("-l{library}"),
        machine,
    )
}

fn missing_header(header: &str, machine: &Machine<'_>) -> Option<String> {
    let mut server = rows(SERVER_HEADERS).filter_map(|row| row.split_once('\t'));
    if let Some((_, majors)) = server.find(|(name, _)| *name == header) {
        let majors: Vec<&str> = majors.split(' ').collect();
        return Some(format!(
            "`{header}` is a header of PostgreSQL {}, but not of every major: the sources do not support the installed \
             one",
            majors.join(" and ")
        ));
    }
    if header == "postgres.h" {
        return Some(
            "`postgres.h` is PostgreSQL's own: the build did not take its path from pg_config".to_owned(),
        );
    }
    let places = (machine.ending)(header);
    let directories = places
        .iter()
        .map(|path| path[..path.len() - header.len()].trim_end_matches('/'));
    if let Some(directory) = directories.into_iter().find(|directory| !is_searched(directory)) {
        return Some(format!(
            "`{header}` is in {directory}, where the compiler does not look: give it `-I{directory}`"
        ));
    }
    if !places.is_empty() {
        return None;
    }
    in_package(&format!("`{header}`"), header, machine)
}

/// Whether compiler and linker look in a directory; those of the machine's architecture are below `/usr/lib`.
fn is_searched(directory: &str) -> bool {
    SEARCHED.contains(&directory) || directory.starts_with("/usr/lib/") && directory.ends_with("-linux-gnu")
}

fn parent(path: &str) -> String {
    path.rsplit_once('/')
        .map_or("", |(directory, _)| directory)
        .to_owned()
}

/// A sentence about what is missing, with its package if that is known. None if that package is installed: something else is
/// wrong then.
fn in_package(what: &str, name: &str, machine: &Machine<'_>) -> Option<String> {
    match package_of(name) {
        Some((package, _)) if (machine.has_package)(package) => None,
        Some((package, "-")) => Some(format!(
            "{what}, which is in Debian's {package}: name it in the manifest's `packages.build`"
        )),
        Some((package, below)) => Some(format!(
            "{what}, which is in Debian's {package}, below /usr/include/{below}: name the package in the manifest's \
             `packages.build`, and the directory to the compiler"
        )),
        None if !machine.submodules.is_empty() => None,
        None => Some(format!(
            "perhaps {what}, of a development package that is not in the manifest's `packages.build`"
        )),
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

/// The program that a shell or make did not find: `make: g++: No such file or directory`, `sh: 1: flex: not found`,
/// `./configure: line 9: cmake: command not found`.
fn missing_program(line: &str) -> Option<&str> {
    let before = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found"))
        .or_else(|| {
            let before = line.strip_suffix(": No such file or directory")?;
            before.starts_with("make").then_some(before)
        })?;
    let (_, program) = before.rsplit_once(": ")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    (!program.is_empty() && program.chars().all(is_name)).then_some(program)
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs of tools of Debian bookworm, each with the beginning of its hint; empty for no hint.
    const CASES: [(&str, &str); 24] = [
        (
            "src/remote.c:3:10: fatal error: curl/curl.h: No such file or directory\n    3 | #include <curl/curl.h>\n      \
             |          ^~~~~~~~~~~~~\ncompilation terminated.\nmake: *** [<builtin>: src/remote.o] Error 1",
            "`curl/curl.h`, which is in Debian's libcurl4-openssl-dev: name it",
        ),
        (
            "x.c:1:10: fatal error: libxml/parser.h: No such file or directory",
            "`libxml/parser.h`, which is in Debian's libxml2-dev, below /usr/include/libxml2: name the package",
        ),
        (
            "needy.c:1:10: fatal error: nosuch/header.h: No such file or directory",
            "perhaps `nosuch/header.h`, of a development package that is not in",
        ),
        (
            "vector.c:12:10: fatal error: varatt.h: No such file or directory",
            "`varatt.h` is a header of PostgreSQL 17 and 18, but not of every major",
        ),
        (
            "a.c:1:10: fatal error: postgres.h: No such file or directory",
            "`postgres.h` is PostgreSQL's own",
        ),
        (
            "a.c:1:10: fatal error: stdio.h: No such file or directory",
            "`stdio.h`, which is in Debian's libc6-dev",
        ),
        (
            "/usr/bin/ld: cannot find -lssl: No such file or directory\ncollect2: error: ld returned 1 exit status",
            "the linker needs libssl.so, which is in Debian's libssl-dev",
        ),
        (
            "/usr/bin/ld: cannot find -lnosuch",
            "perhaps the linker needs libnosuch.so, of a development package",
        ),
        (
            "Package libcurl was not found in the pkg-config search path.\nPerhaps you should add the directory containing \
             `libcurl.pc'",
            "pkg-config needs libcurl.pc, which is in Debian's libcurl4-openssl-dev",
        ),
        (
            "No package 'liburing' found",
            "pkg-config needs liburing.pc, which is in Debian's liburing-dev",
        ),
        (
            "make: g++: No such file or directory",
            "g++ comes with Debian's g++",
        ),
        ("/bin/sh: 1: flex: not found", "flex comes with Debian's flex"),
        (
            "./autogen.sh: line 5: autoreconf: command not found",
            "autoreconf comes with Debian's autoconf",
        ),
        ("/bin/sh: 1: my-own-script: not found", ""),
        (
            "make[1]: clang-14: No such file or directory",
            "PostgreSQL was compiled with LLVM, so its makefiles call clang-14 for bitcode",
        ),
        (
            "/bin/sh: 1: clang: not found",
            "PostgreSQL was compiled with LLVM",
        ),
        (
            "  CMake 3.28 or higher is required.  You are running version 3.25.1",
            "the sources want CMake 3.28",
        ),
        (
            "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.",
            "perhaps memory ran out",
        ),
        ("make: *** [Makefile:7: all] Killed", "perhaps memory ran out"),
        (
            "virtual memory exhausted: Cannot allocate memory",
            "perhaps memory ran out",
        ),
        (
            "cc1plus: out of memory allocating 65536 bytes after a total of 12345 bytes",
            "perhaps memory ran out",
        ),
        (
            "/tmp/ccXYZ.s: Fatal error: can't write 4096 bytes to section .text of a.o: 'No space left on device'",
            "the disk is full",
        ),
        ("x.c:3:5: error: expected ';' before '}' token", ""),
        ("checking for library containing crypt... -lcrypt", ""),
    ];

    fn lines(output: &str) -> Vec<String> {
        output.lines().map(str::to_owned).collect()
    }

    /// The hints on a machine with these packages and files.
    fn on(output: &str, packages: &[&str], files: &[&str], submodules: &[Submodule]) -> Vec<String> {
        let machine = Machine {
            has_package: &|name| packages.contains(&name),
            ending: &|name| {
                let end = format!("/{name}");
                files
                    .iter()
                    .filter(|path| path.ends_with(&end))
                    .map(|path| (*path).to_owned())
                    .collect()
            },
            submodules,
        };
        hints(&lines(output), &machine)
    }

    #[test]
    fn hints_are_given_only_for_certain_causes() {
        for (output, expected) in CASES {
            let hints = on(output, &[], &[], &[]);
            if expected.is_empty() {
                assert_eq!(hints, Vec::<String>::new(), "{output}");
            } else {
                assert_eq!(hints.len(), 1, "{output}\n{hints:?}");
                assert!(hints[0].starts_with(expected), "{output}\n{}", hints[0]);
            }
        }
    }

    #[test]
    fn a_package_that_is_installed_is_never_the_hint() {
        for (output, packages, files, expected) in [
            (
                "x.c:1:1: fatal error: zlib.h: No such file or directory",
                &["zlib1g-dev"][..],
                &[][..],
                "",
            ),
            ("/bin/sh: 1: git: not found", &["git"], &[], ""),
            ("ld: cannot find -lssl", &["libssl-dev"], &[], ""),
            ("No package 'libcurl' found", &["libcurl4-openssl-dev"], &[], ""),
            (
                "x.c:1:1: fatal error: libpq-fe.h: No such file or directory",
                &["libpq-dev"],
                &["/usr/include/postgresql/libpq-fe.h"],
                "`libpq-fe.h` is in /usr/include/postgresql, where the compiler does not look",
            ),
            (
                "/usr/bin/ld: cannot find -lown: No such file or directory",
                &[],
                &["/usr/lib/own/libown.so"],
                "libown.so is in /usr/lib/own, where the linker does not look: give it `-L/usr/lib/own`, and `-Wl,-rpath,",
            ),
            (
                "./gen: error while loading shared libraries: libown.so.1: cannot open shared object file: No such file or directory",
                &[],
                &["/usr/lib/own/libown.so.1"],
                "libown.so.1 is in /usr/lib/own, where the dynamic linker does not look: link what needs it with `-Wl,-rpath,/usr/lib/own`",
            ),
        ] {
            let hints = on(output, packages, files, &[]).join("\n");
            assert!(
                hints.starts_with(expected) && hints.is_empty() == expected.is_empty(),
                "{output}\n{hints}"
            );
        }
    }

    #[test]
    fn a_submodule_that_the_archive_lacks_is_the_hint() {
        let modules = "[submodule \"h3\"]\n\tpath = vendor/h3\n\turl = https://h/h3.git\n";
        let modules = crate::archive::submodules::submodules(modules);
        assert_eq!(modules.len(), 1);
        let sure = "the archive lacks the git submodule `vendor/h3` (https://h/h3.git): name its archive";
        for (output, expected) in [
            ("make: *** vendor/h3: No such file or directory.  Stop.", sure),
            (
                "make: *** No rule to make target 'vendor/h3/lib/a.c', needed by 'all'.  Stop.",
                sure,
            ),
            (
                "x.c:1:1: fatal error: h3/h3api.h: No such file or directory",
                sure,
            ),
            (
                "CMake Error at CMakeLists.txt:3 (add_subdirectory):\n  The source directory\n    /s/vendor/h3\n  does not contain a CMakeLists.txt file.",
                sure,
            ),
            (
                "x.c:1:1: fatal error: h3api.h: No such file or directory",
                "perhaps the archive lacks the git submodule `vendor/h3`",
            ),
            ("x.c:1:1: error: expected ';'", ""),
        ] {
            let hints = on(output, &[], &[], &modules).join("\n");
            assert!(hints.starts_with(expected), "{output}\n{hints}");
        }
    }

    #[test]
    fn a_make_with_forced_jobs_is_recognized_by_its_warning() {
        let line = "make[1]: warning: -j8 forced in submake: resetting jobserver mode.";
        assert_eq!(
            forced_jobs(&format!("cc -c a.c\n{line}\ncc -c b.c\n")),
            Some(line)
        );
        let line = "make: warning: -j8 forced in makefile: resetting jobserver mode.";
        assert_eq!(forced_jobs(line), Some(line));
        let unavailable = "make: warning: jobserver unavailable: using -j1.  Add '+' to parent make rule.";
        assert_eq!(forced_jobs(unavailable), None);
        let one = "make[1]: warning: -j1 forced in submake: resetting jobserver mode.";
        assert_eq!(forced_jobs(one), None);
        assert_eq!(
            forced_jobs(&one.replace("-j1", "-j16")),
            Some(one.replace("-j1", "-j16").as_str())
        );
    }

    #[test]
    fn a_header_missed_by_several_compilers_is_reported_once_in_order() {
        let line = |header: &str| format!("a.c:1:1: fatal error: {header}: No such file or directory\n");
        let output = ["zlib.h", "lz4.h", "zlib.h", "zstd.h", "yaml.h"]
            .map(line)
            .concat();
        let hints = on(&output, &[], &[], &[]);
        assert_eq!(hints.len(), 3);
        assert!(
            hints[0].contains("zlib1g-dev") && hints[1].contains("liblz4-dev"),
            "{hints:?}"
        );
    }

    #[test]
    fn every_row_of_the_table_has_its_columns() {
        for row in rows(SERVER_HEADERS) {
            let (header, majors) = row.split_once('\t').expect(row);
            assert!(
                !header.is_empty() && majors.split(' ').all(|major| major.parse::<u8>().is_ok()),
                "{row}"
            );
        }
    }
}
