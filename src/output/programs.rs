//! The forms in which programs report errors: compilers and linkers, make, ninja, `CMake`, meson, cargo and rustc, pip,
//! Python, Perl, psql and PostgreSQL's log, configure and autotools, patch, the shell.

/// What a line of output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An error of this kind of program.
    Error(&'static str),
    /// A line that is an error if the command failed right after it.
    Perhaps(&'static str),
    /// A program says that one that it called exited with a status.
    Exit,
    /// make says that it ignores the status of a command.
    Ignored,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Error(program) | Self::Perhaps(program) => program,
            _ => "output",
        }
    }
}

/// Parts of lines without which a line is not looked at any further. Most lines of a build have none of them.
const MARKS: [&str; 25] = [
    "rror",
    "RROR",
    "atal",
    "ATAL",
    "PANIC",
    "anic",
    "***",
    "FAILED",
    "annot",
    "an't",
    "not found",
    "undefined",
    "multiple definition",
    "Traceback",
    "No such",
    "denied",
    "not permitted",
    " line ",
    "ignored)",
    "o space left",
    "failed",
    "E: ",
    "memory exhausted",
    "Killed",
    "unable to",
];

/// Errors of the system that a command reports at the end of a line.
const OF_SYSTEM: [&str; 16] = [
    "No such file or directory",
    "Permission denied",
    "Operation not permitted",
    "Not a directory",
    "Is a directory",
    "File exists",
    "Read-only file system",
    "Directory not empty",
    "Connection refused",
    "Network is unreachable",
    "Cannot allocate memory",
    "Exec format error",
    "Argument list too long",
    "not found",
    "Segmentation fault",
    "Killed",
];

/// What a line is.
pub fn kind(line: &str) -> Kind {
    if !MARKS.iter().any(|mark| line.contains(mark)) {
        return Kind::Other;
    }
    // pip shows the output of what it calls in a frame.
    let line = line.trim_start_matches([' ', '│', '╰', '─', '>', '×']);
    make(line)
        .or_else(|| ninja(line))
        .or_else(|| sql(line))
        .or_else(|| cmake_or_meson(line))
        .or_else(|| python(line))
        .or_else(|| linker(line))
        .or_else(|| rust(line))
        .or_else(|| compiler(line))
        .or_else(|| perl(line))
        .or_else(|| others(line))
        .unwrap_or(Kind::Other)
}

/// What `make`, `make[1]` or `gmake` says.
fn by_make(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('g').unwrap_or(line).strip_prefix("make")?;
    let rest = match rest.strip_prefix('[') {
        Some(level) => level.split_once(']')?.1,
        None => rest,
    };
    rest.strip_prefix(": ")
}

fn make(line: &str) -> Option<Kind> {
    let Some(said) = by_make(line) else {
        // `Makefile:3: *** too old.  Stop.`
        let (place, _) = line.split_once(": *** ")?;
        return is_place(place).then_some(Kind::Error("make"));
    };
    if let Some(message) = said.strip_prefix("*** ") {
        return Some(match message.strip_prefix('[') {
            _ if message.starts_with("Waiting for ") || message.starts_with("Deleting ") => Kind::Other,
            Some(target) if target.contains("] ") => Kind::Exit,
            _ => Kind::Error("make"),
        });
    }
    if said.starts_with('[') && said.ends_with("(ignored)") {
        return Some(Kind::Ignored);
    }
    let ends = |text: &str| said.ends_with(text);
    (ends("No such file or directory") || ends("Permission denied")).then_some(Kind::Perhaps("make"))
}

fn ninja(line: &str) -> Option<Kind> {
    if line.starts_with("FAILED: ") {
        return Some(Kind::Exit);
    }
    let said = line.strip_prefix("ninja: ")?;
    let is_error = said.starts_with("error: ") || said.starts_with("fatal: ");
    Some(if is_error {
        Kind::Error("ninja")
    } else {
        Kind::Other
    })
}

/// psql, and the server, whose messages have two spaces after the severity.
fn sql(line: &str) -> Option<Kind> {
    let severe = ["ERROR:  ", "FATAL:  ", "PANIC:  "];
    let begins = |text: &str| severe.iter().any(|word| text.starts_with(word));
    if begins(line) || severe.iter().any(|word| line.contains(&format!(" {word}"))) {
        return Some(Kind::Error("psql"));
    }
    line.starts_with("psql: error: ").then_some(Kind::Error("psql"))
}

fn cmake_or_meson(line: &str) -> Option<Kind> {
    if line.starts_with("CMake Error") {
        return Some(Kind::Error("cmake"));
    }
    // `meson.build:3:0: ERROR: Dependency "x" not found`
    let (place, said) = line.split_once("ERROR: ")?;
    let of_pip = [
        "requirement",
        "distribution",
        "wheel",
        "hash",
        "HASHES",
        "pip ",
        "package",
        "pyproject",
    ];
    let is_pip = of_pip.iter().any(|word| said.contains(word));
    let follows = [
        "Failed building wheel",
        "Could not build wheels",
        "Failed to build",
        "failed to build",
    ];
    if place.is_empty() && is_pip {
        // Such a line only counts what was reported before.
        let is_sum = follows.iter().any(|text| said.contains(text));
        return Some(if is_sum {
            Kind::Perhaps("pip")
        } else {
            Kind::Error("pip")
        });
    }
    let is_meson = place.is_empty() || place.contains("meson");
    is_meson.then_some(Kind::Error(if place.is_empty() { "output" } else { "meson" }))
}

fn python(line: &str) -> Option<Kind> {
    let begins = |texts: &[&str]| texts.iter().any(|text| line.starts_with(text));
    if begins(&["Traceback (most recent call last):"]) {
        return Some(Kind::Error("python"));
    }
    if begins(&["SyntaxError: ", "IndentationError: ", "TabError: "]) {
        return Some(Kind::Error("python"));
    }
    let (program, said) = line.split_once(": ")?;
    let is_python = base(program).starts_with("python");
    (is_python && (said.starts_with("No module named") || said.starts_with("can't open file")))
        .then_some(Kind::Perhaps("python"))
}

fn linker(line: &str) -> Option<Kind> {
    if line.contains("undefined reference to ") || line.contains("undefined symbol: ") && line.contains("ld")
    {
        return Some(Kind::Error("linker"));
    }
    if line.contains(": error while loading shared libraries: ") || line.contains("could not load library \"")
    {
        return Some(Kind::Error("dynamic linker"));
    }
    if line.contains(": multiple definition of ") {
        return Some(Kind::Error("linker"));
    }
    let (program, said) = line.split_once(": ")?;
    let name = base(program);
    if name == "collect2" || said.starts_with("error: linker command failed") {
        return Some(Kind::Other);
    }
    let is_linker = matches!(name, "ld" | "gold" | "lld" | "mold" | "ld64.lld")
        || name.starts_with("ld.")
        || name.ends_with("-ld")
        || name.contains("-ld.");
    if !is_linker || program.contains(' ') {
        return None;
    }
    let is_harmless = said.contains("warning: ")
        || said.contains(": in function ")
        || said.contains("skipping incompatible");
    Some(if is_harmless {
        Kind::Other
    } else {
        Kind::Error("linker")
    })
}

fn rust(line: &str) -> Option<Kind> {
    if line.starts_with("error[E") {
        return Some(Kind::Error("rustc"));
    }
    if line.starts_with("thread '") && line.contains("' panicked at ")
        || line.starts_with("thread '") && line.contains(") panicked at ")
    {
        return Some(Kind::Error("rust"));
    }
    let said = line.strip_prefix("error: ")?;
    let begins = |texts: &[&str]| texts.iter().any(|text| said.starts_with(text));
    if begins(&[
        "could not compile ",
        "aborting due to ",
        "metadata-generation-failed",
        "legacy-install-failure",
    ]) {
        return Some(Kind::Other);
    }
    if begins(&["subprocess-exited-with-error", "externally-managed-environment"]) {
        return Some(Kind::Error("pip"));
    }
    // setuptools: error: command '/usr/bin/gcc' failed with exit code 1
    if said.starts_with("command '") && said.contains(" failed with exit ") {
        return Some(Kind::Exit);
    }
    if begins(&[
        "failed to run custom build command",
        "linking with ",
        "no matching package",
        "failed to ",
    ]) {
        return Some(Kind::Error("cargo"));
    }
    Some(Kind::Error("output"))
}

/// Compilers, and every program that reports errors as they do: `file:line:column: error: what`, `program: error: what`.
fn compiler(line: &str) -> Option<Kind> {
    const WORDS: [&str; 7] = [
        ": error: ",
        ": fatal error: ",
        ": Error: ",
        ": Fatal error: ",
        ": internal compiler error: ",
        ": sorry, unimplemented: ",
        ": error #",
    ];
    let found = WORDS.iter().filter_map(|word| line.find(word)).min();
    if let Some(at) = found {
        let before = &line[..at];
        if base(before) == "collect2" || line[at..].starts_with(": error: linker command failed") {
            return Some(Kind::Other);
        }
        return Some(Kind::Error(match before {
            "configure" => "configure",
            _ if before.ends_with("configure") => "configure",
            _ if is_autotool(before) => "autotools",
            _ if is_place(before) || is_compiler(before) => "compiler",
            _ if !before.contains(' ') => "output",
            _ => return None,
        }));
    }
    // `scan.l:12: unrecognized rule`, of a program that does not say how serious it is.
    let (place, said) = line.split_once(": ")?;
    let is_harmless =
        said.starts_with("warning") || said.starts_with("note") || said.starts_with("required ");
    (is_place(place) && !is_harmless).then_some(Kind::Perhaps("output"))
}

fn is_autotool(before: &str) -> bool {
    let name = base(before);
    before.starts_with("configure.ac:")
        || before.starts_with("configure.in:")
        || ["auto", "aclocal", "libtool"]
            .iter()
            .any(|start| name.starts_with(start))
}

fn is_compiler(before: &str) -> bool {
    let name = base(before);
    [
        "gcc", "g++", "cc", "c++", "clang", "x86_64-", "aarch64-", "nvcc", "ld", "as", "ar",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

fn perl(line: &str) -> Option<Kind> {
    if line.starts_with("Can't locate ") && line.contains("@INC") {
        return Some(Kind::Error("perl"));
    }
    let (before, number) = line.rsplit_once(" line ")?;
    let number = number.trim_end_matches('.');
    let number = number.split([',', ' ']).next().unwrap_or_default();
    let is_place = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_place
        || !before.contains(" at ")
        || line.starts_with("BEGIN failed")
        || line.starts_with("Compilation failed")
    {
        return None;
    }
    let is_error = line.starts_with("syntax error at ") || line.starts_with("Can't ");
    Some(if is_error {
        Kind::Error("perl")
    } else {
        Kind::Perhaps("perl")
    })
}

fn others(line: &str) -> Option<Kind> {
    let begins = |texts: &[&str]| texts.iter().any(|text| line.starts_with(text));
    let has = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
    if has(&[
        "No space left on device",
        "Disk quota exceeded",
        "virtual memory exhausted",
        "memory exhausted",
        "out of memory allocating",
    ]) {
        return Some(Kind::Error("system"));
    }
    if begins(&["patch: ****"])
        || line.contains("FAILED") && (line.contains(" hunk") || line.starts_with("Hunk "))
    {
        return Some(Kind::Error("patch"));
    }
    if begins(&["Error: ", "Fatal error: "])
        || has(&[
            "Killed signal terminated program",
            ": Syntax error: ",
            ": syntax error near ",
            " parser error : ",
        ])
    {
        return Some(Kind::Error("output"));
    }
    if begins(&["E: "]) {
        return Some(Kind::Error("apt"));
    }
    if begins(&["dpkg: error"]) {
        return Some(Kind::Error("dpkg"));
    }
    // pkg-config, and its macro in configure scripts.
    if begins(&["No package '"])
        || line.starts_with("Package ") && has(&[" was not found in the pkg-config search path"])
    {
        return Some(Kind::Perhaps("pkg-config"));
    }
    if begins(&["fatal: "]) {
        return Some(Kind::Perhaps("git"));
    }
    let of_system = OF_SYSTEM.iter().any(|text| line.ends_with(text));
    let of_program = has(&[
        ": cannot ",
        ": can't ",
        ": unable to ",
        ": failed to ",
        "Could not resolve host",
        ": No such file or directory",
        ": Permission denied",
    ]);
    let shell = ["/bin/sh: ", "sh: ", "bash: ", "/bin/bash: ", "dash: "];
    let program = if begins(&shell) { "shell" } else { "output" };
    (of_system || of_program).then_some(Kind::Perhaps(program))
}

/// Whether a text is a place in a file: `dir/file.c:12` or `file.c:12:3`.
fn is_place(text: &str) -> bool {
    let mut parts = text.rsplitn(3, ':');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| {
            let part = part.split(['.', '-', ',']).next().unwrap_or_default();
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    is_number(parts.next()) && parts.next().is_some_and(|rest| !rest.is_empty()) && !text.starts_with(' ')
}

/// The place in a file that a compiler's error begins with.
pub fn place(line: &str) -> Option<&str> {
    let (place, _) = line.split_once(": ")?;
    is_place(place).then_some(place)
}

/// The last component of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a line before an error says where it is: `In file included from x.h:3`, `x.c: In function ‘f’:`.
pub fn introduces(line: &str, error: &str) -> bool {
    let has = |texts: &[&str]| texts.iter().any(|text| line.contains(text));
    let is_of_file = || {
        let file = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        !file(line).is_empty() && file(line) == file(error)
    };
    if line.starts_with("In file included from ") || line.starts_with("                 from ") {
        return true;
    }
    has(&[
        ": In function ",
        ": In member function ",
        ": At top level:",
        ": Assembler messages:",
        ": In static ",
    ]) && is_of_file()
        || line.contains(": in function ") && error.contains("undefined reference")
        || line.starts_with("Package ") && error.starts_with("No package '")
}

/// Whether `line` belongs to the error of a kind of program, whose lines so far are `error`.
pub fn continues(program: &str, error: &[&str], line: &str) -> bool {
    let is_indented = line.starts_with([' ', '\t']);
    let last = error[error.len() - 1];
    if error.len() > 400 {
        return false;
    }
    match program {
        "compiler" | "autotools" => {
            let is_source = line
                .trim_start()
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start()
                .starts_with('|');
            error.len() < 10
                && (is_source && is_indented || line.contains(": note: ") || line.starts_with("  "))
        }
        "cmake" => error.len() < 60 && (is_indented || line.is_empty() && !last.is_empty()),
        "python" => {
            // Indented lines, the exception, and what it says in further lines.
            let is_open = is_indented || error.iter().skip(1).all(|line| line.starts_with([' ', '\t']));
            error[0].trim_start().starts_with("Traceback") && is_open && !line.is_empty()
        }
        "rustc" | "cargo" | "rust" => error.len() < 40 && !line.is_empty() && !line.starts_with("error"),
        "psql" => {
            const PARTS: [&str; 8] = [
                "LINE ",
                "DETAIL:  ",
                "HINT:  ",
                "QUERY:  ",
                "CONTEXT:  ",
                "STATEMENT:  ",
                "LOCATION:  ",
                "TIP:  ",
            ];
            let is_part = PARTS.iter().any(|part| line.contains(part)) && begins_part(line);
            let is_new = [
                "ERROR:  ",
                "FATAL:  ",
                "PANIC:  ",
                "NOTICE:  ",
                "WARNING:  ",
                "LOG:  ",
                "INFO:  ",
                "DEBUG:  ",
            ];
            let is_other = is_new.iter().any(|word| line.contains(word))
                || line.starts_with("make")
                || line.starts_with("+ ");
            !is_other && (is_part || !line.is_empty())
        }
        "pip" => error.len() < 12 && (line.trim_start().starts_with(['│', '╰', '×']) || is_indented),
        "configure" => {
            let is_other = line.starts_with("make") || line.starts_with("checking ");
            error.len() < 8
                && !is_other
                && (is_indented
                    || line.is_empty()
                    || line.starts_with("No package")
                    || line.starts_with("See "))
        }
        "patch" | "make" | "ninja" | "linker" | "dynamic linker" | "system" => false,
        _ => error.len() < 5 && is_indented && !line.trim().is_empty(),
    }
}

/// Whether a line of a long error begins a part of it.
pub fn begins_part(line: &str) -> bool {
    let word = line
        .trim_start_matches("psql:")
        .split(':')
        .next()
        .unwrap_or_default();
    let word = word.rsplit(' ').next().unwrap_or_default();
    let is_word = matches!(
        word,
        "DETAIL" | "HINT" | "QUERY" | "CONTEXT" | "STATEMENT" | "LOCATION"
    );
    let of_line = line
        .strip_prefix("LINE ")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_word || of_line
}

/// Programs that makefiles and scripts call.
const PROGRAMS: [&str; 64] = [
    "ar",
    "autoreconf",
    "awk",
    "bash",
    "bison",
    "c++",
    "cargo",
    "cat",
    "cc",
    "cd",
    "chmod",
    "clang",
    "clang++",
    "cmake",
    "cp",
    "curl",
    "diff",
    "echo",
    "false",
    "find",
    "flex",
    "g++",
    "gcc",
    "gfortran",
    "git",
    "go",
    "grep",
    "gzip",
    "install",
    "ld",
    "libtool",
    "ln",
    "ls",
    "make",
    "meson",
    "mkdir",
    "msgfmt",
    "mv",
    "ninja",
    "node",
    "npm",
    "objcopy",
    "patch",
    "perl",
    "pg_config",
    "pg_ctl",
    "pip",
    "pip3",
    "prove",
    "psql",
    "python",
    "python3",
    "ranlib",
    "rm",
    "rustc",
    "sed",
    "sh",
    "strip",
    "tar",
    "test",
    "touch",
    "unzip",
    "wget",
    "xsltproc",
];

/// Whether a line looks like a command that make or a shell printed before it ran it.
pub fn is_command(line: &str) -> bool {
    let line = line
        .strip_prefix("+ ")
        .unwrap_or(line)
        .trim_start_matches(['(', '\t']);
    // CMake and meson number the jobs: `[3/7] cc …`.
    let line = match line.strip_prefix('[') {
        Some(numbered) => numbered.split_once("] ").map_or(line, |(_, rest)| rest),
        None => line,
    };
    let mut words = line.split(' ').skip_while(|word| {
        let name = word.split('=').next().unwrap_or_default();
        word.contains('=') && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    let Some(program) = words.next() else { return false };
    let program = program.trim_matches(['\'', '"']);
    if program.is_empty() || program.ends_with(':') || program.contains(':') {
        return false;
    }
    let name = base(program);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let is_known = PROGRAMS.contains(&name) || PROGRAMS.contains(&base(program));
    let is_cross = name.ends_with("-gcc") || name.ends_with("-g++") || name.ends_with("-clang");
    let is_path = program.starts_with('/') || program.starts_with("./") || program.starts_with("../");
    (is_known || is_cross || is_path && words.next().is_some()) && kind(line) == Kind::Other
}

/// The target that make could not make: `make: *** [Makefile:4: x.o] Error 1`.
pub fn target(line: &str) -> Option<&str> {
    let said = by_make(line.trim_start())?.strip_prefix("*** [")?;
    let (place, _) = said.split_once("] ")?;
    Some(place.rsplit_once(": ").map_or(place, |(_, target)| target))
}

/// The command in a line about its exit: of ninja, in the line below; of setuptools, in quotes.
pub fn command_in(line: &str, below: Option<&str>) -> Option<String> {
    let line = line.trim_start_matches([' ', '│']);
    if line.starts_with("FAILED: ") {
        return below.map(|line| line.trim().to_owned());
    }
    let (_, rest) = line.split_once("command '")?;
    Some(rest.split_once('\'')?.0.to_owned())
}
