//! Hints about the cause of a failed build: the Debian package with a missing header, library or program, exhausted memory
//! or disk, or an unsuitable compiler. A hint is given only if the cause is certain. It is derived from the output alone;
//! nothing here reads the machine.
//!
//! `hint/packages.tsv` has the packages that database extensions build with. For anything else, the hint only names what
//! is missing.

/// Packages and the names that each provides. The first lines of the file say where the table comes from.
const PACKAGES: &str = include_str!("hint/packages.tsv");
/// Headers of PostgreSQL's server that not every major version has.
const SERVER_HEADERS: &str = include_str!("hint/postgresql.tsv");
/// How many of the last lines of the output are read.
const MAX_LINES: usize = 400;
/// The hint about more jobs than there are tokens.
pub const FORCED: &str = "a makefile says how many jobs run: override that by a variable of `make`, or take `-j` out of it in \
                      a step of `build.steps`";
/// How many hints are given. Faults that follow from the first one do not help.
const MAX_HINTS: usize = 3;

/// The hints for an output, the first fault first.
pub fn hints(output: &str) -> Vec<String> {
    let lines: Vec<&str> = output.lines().collect();
    let mut hints = Vec::new();
    for line in &lines[lines.len().saturating_sub(MAX_LINES)..] {
        let forced = forced_jobs(line).map(|_| FORCED.to_owned());
        let hint = forced
            .or_else(|| exhaustion(line))
            .or_else(|| wrong_compiler(line))
            .or_else(|| missing(line));
        if let Some(hint) = hint
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    hints.truncate(MAX_HINTS);
    hints
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
        "memory probably ran out: give the build more of it, or run fewer jobs at the same time (--jobs)"
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
fn missing(line: &str) -> Option<String> {
    if let Some((_, header)) = line.split_once("fatal error: ") {
        let header = header.strip_suffix(": No such file or directory")?;
        return Some(missing_header(header));
    }
    if let Some((_, library)) = line.split_once("cannot find -l") {
        let library = library.split(':').next()?.trim();
        let what = format!("the linker needs lib{library}.so");
        return Some(in_package(&what, &format!("-l{library}")));
    }
    // From pkg-config itself, or from its macro in configure scripts.
    let module = between(line, "Package ", " was not found in the pkg-config search path")
        .or_else(|| between(line, "No package '", "' found"));
    if let Some(module) = module {
        let module = module.trim_matches(['\'', ',']);
        return Some(in_package(
            &format!("pkg-config needs {module}.pc"),
            &format!("pc:{module}"),
        ));
    }
    let program = missing_program(line)?;
    // Only known programs: a script may call one of its own that Debian does not have.
    let (package, _) = package_of(&format!("run:{program}"))?;
    Some(format!(
        "{program} comes with Debian's {package}: name it in the manifest's `packages.build`"
    ))
}

fn missing_header(header: &str) -> String {
    let mut server = rows(SERVER_HEADERS).filter_map(|row| row.split_once('\t'));
    if let Some((_, majors)) = server.find(|(name, _)| *name == header) {
        let majors: Vec<&str> = majors.split(' ').collect();
        return format!(
            "`{header}` is a header of PostgreSQL {}, but not of every major: the sources do not support the installed \
             one",
            majors.join(" and ")
        );
    }
    if header == "postgres.h" {
        return "`postgres.h` is PostgreSQL's own: the build did not take its path from pg_config".to_owned();
    }
    in_package(&format!("`{header}`"), header)
}

/// A sentence about what is missing, with its package if that is known.
fn in_package(what: &str, name: &str) -> String {
    match package_of(name) {
        Some((package, "-")) => {
            format!("{what}, which is in Debian's {package}: name it in the manifest's `packages.build`")
        }
        Some((package, below)) => format!(
            "{what}, which is in Debian's {package}, below /usr/include/{below}: name the package in the manifest's \
             `packages.build`, and the directory to the compiler"
        ),
        None => format!("{what}, of a development package that is not in the manifest's `packages.build`"),
    }
}

/// The package of a header, `-llibrary`, `pc:module` or `run:program`, and the directory to name to the compiler, or `-`.
fn package_of(name: &str) -> Option<(&'static str, &'static str)> {
    rows(PACKAGES).find_map(|row| {
        let mut columns = row.split('\t');
        let (package, below, names) = (columns.next()?, columns.next()?, columns.next()?);
        let is_it = |known: &str| known == name || known.ends_with('/') && name.starts_with(known);
        names.split(' ').any(is_it).then_some((package, below))
    })
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
            "`nosuch/header.h`, of a development package that is not in",
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
            "the linker needs libnosuch.so, of a development package",
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
            "memory probably ran out",
        ),
        ("make: *** [Makefile:7: all] Killed", "memory probably ran out"),
        (
            "virtual memory exhausted: Cannot allocate memory",
            "memory probably ran out",
        ),
        (
            "cc1plus: out of memory allocating 65536 bytes after a total of 12345 bytes",
            "memory probably ran out",
        ),
        (
            "/tmp/ccXYZ.s: Fatal error: can't write 4096 bytes to section .text of a.o: 'No space left on device'",
            "the disk is full",
        ),
        ("x.c:3:5: error: expected ';' before '}' token", ""),
        ("checking for library containing crypt... -lcrypt", ""),
    ];

    #[test]
    fn hints_are_given_only_for_certain_causes() {
        for (output, expected) in CASES {
            let hints = hints(output);
            if expected.is_empty() {
                assert_eq!(hints, Vec::<String>::new(), "{output}");
            } else {
                assert_eq!(hints.len(), 1, "{output}\n{hints:?}");
                assert!(hints[0].starts_with(expected), "{output}\n{}", hints[0]);
            }
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
        let hints = hints(&output);
        assert_eq!(hints.len(), 3);
        assert!(
            hints[0].contains("zlib1g-dev") && hints[1].contains("liblz4-dev"),
            "{hints:?}"
        );
    }

    #[test]
    fn every_row_of_the_tables_has_its_columns() {
        for row in rows(PACKAGES) {
            let columns: Vec<&str> = row.split('\t').collect();
            assert_eq!(columns.len(), 3, "{row}");
            assert!(columns.iter().all(|column| !column.is_empty()), "{row}");
        }
        for row in rows(SERVER_HEADERS) {
            let (header, majors) = row.split_once('\t').expect(row);
            assert!(
                !header.is_empty() && majors.split(' ').all(|major| major.parse::<u8>().is_ok()),
                "{row}"
            );
        }
    }
}
