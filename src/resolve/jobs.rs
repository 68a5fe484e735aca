//! Finds numbers of jobs in a manifest, which the jobserver must set.
//!
//! The rule depends on the program of a word: `-j8` is a number of jobs for make, but not for tar or in a script of sed. The
//! first word of a command is its program. After a program that runs another one, and after keywords of a shell, it is the
//! last program of the table. A shell script is split into its commands. Variables that set a number of jobs, and `-flto=8`
//! of GCC, count everywhere. One job is always allowed.
//!
//! Words that are expanded at run time (`make $FLAGS`) are not seen. For make, its own warning reveals them
//! (`hint::forced_jobs`).

use crate::manifest::build::NINJA;

/// Variables by which make, cmake, ninja, cargo and setuptools are told how many jobs to run.
const VARIABLES: [&str; 8] = [
    "CARGO_BUILD_JOBS",
    "CMAKE_BUILD_PARALLEL_LEVEL",
    "GNUMAKEFLAGS",
    "MAKEFLAGS",
    "MAX_JOBS",
    "MFLAGS",
    "NINJAFLAGS",
    "NINJA_FLAGS",
];

/// Words that a command begins with and whose program comes after them: of a shell, and programs that run another one.
const BEFORE_A_PROGRAM: [&str; 27] = [
    "!", "bash", "busybox", "ccache", "chroot", "command", "dash", "do", "elif", "else", "env", "exec",
    "fakeroot", "find", "if", "ionice", "nice", "nohup", "setarch", "setpriv", "sh", "stdbuf", "then",
    "time", "timeout", "until", "while",
];

/// A program that is told by options how many jobs it runs.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    names: &'static [&'static str],
    /// Letters of options without an argument: the one that counts may be bundled after them.
    plain: &'static str,
    /// The letter of the option that counts.
    letter: char,
    /// Its long names, which make and xargs let one shorten.
    long: &'static [&'static str],
    /// Whether pgsetup tells it how many, so that it may not even be told one.
    is_told: bool,
}

const PROGRAMS: [Program; 6] = [
    Program {
        names: &["make", "gmake", "MAKE"],
        plain: "BLRSbdehikmnpqrstvw",
        letter: 'j',
        long: &["--jobs", "--load-average", "--max-load"],
        is_told: false,
    },
    Program {
        names: &NINJA,
        plain: "nv",
        letter: 'j',
        long: &[],
        is_told: true,
    },
    Program {
        names: &["meson"],
        plain: "v",
        letter: 'j',
        long: &["--jobs", "--num-processes"],
        is_told: true,
    },
    Program {
        names: &["cmake", "ctest"],
        plain: "VQv",
        letter: 'j',
        long: &["--parallel"],
        is_told: false,
    },
    Program {
        names: &["cargo"],
        plain: "qv",
        letter: 'j',
        long: &["--jobs"],
        is_told: false,
    },
    Program {
        names: &["xargs"],
        plain: "0oprtx",
        letter: 'P',
        long: &["--max-procs"],
        is_told: false,
    },
];

/// What is wrong with the arguments of `program`, or with a command whose first argument is its program: by the position of
/// each argument.
pub fn problems(program: Option<&str>, arguments: &[String]) -> Vec<(usize, String)> {
    let mut reader = Reader {
        commands: vec![program.and_then(known).map_or(Command::Begins, Command::Is)],
        in_backticks: false,
    };
    let mut problems = Vec::new();
    for (position, argument) in arguments.iter().enumerate() {
        let next = arguments.get(position + 1).map(String::as_str);
        problems.extend(reader.argument(argument, next).map(|wrong| (position, wrong)));
    }
    problems
}

/// What is wrong with the name of an environment variable.
pub fn of_name(name: &str) -> Option<String> {
    VARIABLES.contains(&name).then(|| takes(name))
}

/// What is wrong with the value of an environment variable.
pub fn of_value(value: &str) -> Option<String> {
    let problems = problems(None, &[value.to_owned()]);
    problems.into_iter().next().map(|(_, wrong)| wrong)
}

fn takes(what: &str) -> String {
    format!("`{what}` takes processors away from other builds")
}

fn known(word: &str) -> Option<&'static Program> {
    let name = word.trim_matches(['$', '{', '}']).rsplit('/').next()?;
    PROGRAMS.iter().find(|program| program.names.contains(&name))
}

/// A part of a script for a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    /// A command ends.
    End,
    /// Commands inside of a command begin, and end.
    Open,
    Close,
    Backtick,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_whitespace() || ";|&()\"'`".contains(c)) {
        let (word, after) = rest.split_at(at);
        tokens.extend((!word.is_empty()).then_some(Token::Word(word)));
        let mark = after.chars().next().unwrap_or_default();
        tokens.extend(match mark {
            ';' | '|' | '&' | '\n' => Some(Token::End),
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '`' => Some(Token::Backtick),
            _ => None,
        });
        rest = &after[mark.len_utf8()..];
    }
    tokens.extend((!rest.is_empty()).then_some(Token::Word(rest)));
    tokens
}

/// The name and the value of an assignment in a shell, in make, or on make's command line.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let name = name.trim_end_matches([':', '+', '?', '!']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// What is known of a command after some of its words.
#[derive(Debug, Clone, Copy, Default)]
enum Command {
    /// Its program comes next.
    #[default]
    Begins,
    /// Its program comes somewhere.
    Leads,
    /// Its program is this one, or one that this one runs.
    Is(&'static Program),
    /// Its program is not in the table, and its words are its own.
    IsOther,
}

impl Command {
    /// The command after one more word that is not an assignment.
    fn after(self, word: &str) -> Self {
        let name = word.rsplit('/').next().unwrap_or(word);
        if matches!(self, Self::IsOther) {
            return self;
        }
        match (self, known(word)) {
            (_, Some(program)) => Self::Is(program),
            (Self::Begins, None) if BEFORE_A_PROGRAM.contains(&name) => Self::Leads,
            (Self::Begins, None) => Self::IsOther,
            (command, None) => command,
        }
    }
}

/// Follows words, and knows whose they are.
struct Reader {
    /// The command that is read, below it those around it. Never empty.
    commands: Vec<Command>,
    in_backticks: bool,
}

impl Reader {
    fn command(&mut self) -> &mut Command {
        if self.commands.is_empty() {
            self.commands.push(Command::Begins);
        }
        let last = self.commands.len() - 1;
        &mut self.commands[last]
    }

    /// Reads one argument, which may be a script; `next` comes after it.
    fn argument(&mut self, argument: &str, next: Option<&str>) -> Option<String> {
        // A program all the same, and no command inside of another one.
        let argument = argument.replace("$(MAKE)", "${MAKE}");
        let tokens = tokens(&argument);
        // All of it is the variable's value then, and not the program's options.
        let is_variable = matches!(tokens.first(), Some(Token::Word(word)) if assignment(word).is_some());
        // And commands of its own, where a shell is told them.
        let is_script = tokens.len() > 1 && matches!(self.command(), Command::Leads);
        let outer = (is_variable || is_script).then(|| std::mem::take(self.command()));
        let mut wrong = None;
        for (position, token) in tokens.iter().enumerate() {
            let next = match tokens.get(position + 1) {
                Some(Token::Word(word)) => Some(*word),
                Some(_) => None,
                None => next,
            };
            let found = self.token(*token, next);
            wrong = wrong.or(found);
        }
        if let Some(outer) = outer {
            *self.command() = outer;
        }
        wrong
    }

    fn token(&mut self, token: Token<'_>, next: Option<&str>) -> Option<String> {
        match token {
            Token::Word(word) => return self.word(word, next),
            Token::End => *self.command() = Command::Begins,
            Token::Close => drop(self.commands.pop()),
            Token::Backtick if self.in_backticks => drop(self.commands.pop()),
            Token::Open | Token::Backtick => self.commands.push(Command::Begins),
        }
        self.in_backticks ^= token == Token::Backtick;
        None
    }

    fn word(&mut self, word: &str, next: Option<&str>) -> Option<String> {
        if let Some((name, value)) = assignment(word) {
            if let Some(program) = known(value) {
                *self.command() = Command::Is(program);
            }
            return (VARIABLES.contains(&name) || uses_threads(value)).then(|| takes(word));
        }
        let command = self.command();
        *command = command.after(word);
        if uses_threads(word) {
            return Some(takes(word));
        }
        let Command::Is(program) = *command else {
            return None;
        };
        if word.starts_with("--") {
            return self.long(program, word, next);
        }
        program
            .short(word.strip_prefix('-')?, next)
            .map(|reason| match reason {
                Reason::Counts => takes(word),
                Reason::Unknown => {
                    format!("`{word}` is an option whose value is known only when it runs: write the value")
                }
            })
    }

    fn long(&mut self, program: &Program, word: &str, next: Option<&str>) -> Option<String> {
        let (option, value) = word.split_once('=').map_or((word, None), |(o, v)| (o, Some(v)));
        // Shorter ones are not unambiguous.
        let is_it = |long: &&str| option.len() > 3 && long.starts_with(option);
        if program.long.iter().any(is_it) {
            return (!program.is_one(value.unwrap_or_default(), next)).then(|| takes(word));
        }
        // Options for a program behind it, or a line of a makefile.
        self.word(value?, next).map(|_| takes(word))
    }
}

/// Why an option may not be there.
enum Reason {
    Counts,
    Unknown,
}

impl Program {
    /// What is wrong with an option of letters, without its dash.
    fn short(&self, letters: &str, next: Option<&str>) -> Option<Reason> {
        let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let rest = letters.trim_start_matches(|c| self.plain.contains(c));
        let letter = rest.chars().next()?;
        let value = &rest[letter.len_utf8()..];
        match letter {
            '$' => Some(Reason::Unknown),
            letter if letter == self.letter => (!self.is_one(value, next)).then_some(Reason::Counts),
            // The load up to which more jobs are begun.
            'l' if self.letter == 'j' && !value.is_empty() && is_number(value) => Some(Reason::Counts),
            _ => None,
        }
    }

    /// Whether a count, which may be the next word, is of one job.
    fn is_one(&self, value: &str, next: Option<&str>) -> bool {
        let count = if value.is_empty() { next } else { Some(value) };
        count == Some("1") && !self.is_told
    }
}

/// Whether a word is GCC's option that compiles a program in several threads at its end: both `auto` and `jobserver` take one for
/// each processor where the makefile does not hand the jobserver on.
fn uses_threads(word: &str) -> bool {
    word.strip_prefix("-flto=").is_some_and(|count| {
        ["auto", "jobserver"].contains(&count)
            || count != "1" && !count.is_empty() && count.chars().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands, a word for each argument, that run as many jobs as they are given tokens.
    const HARMLESS: [&[&str]; 26] = [
        &["make", "all"],
        &["make", "-j1"],
        &["make", "-j", "1", "install"],
        &["make", "--jobs=1"],
        &["make", "-C", "src", "-kL"],
        &["make", "SHLIB_LINK=-lpq -l4", "COPT=-j8 is not an option here"],
        &["sh", "-c", "make all && make -s install"],
        &["sh", "-c", "make; tar -xjf a.tar.bz2"],
        &["tar", "-tvj"],
        &["unzip", "-j", "a.zip"],
        &["sort", "--parallel=4"],
        &["ls", "-l"],
        &["cc", "-lz", "-flto", "-obj8"],
        &["cc", "-flto=1"],
        &["clang", "-flto=thin"],
        &["xargs", "-0n1", "-P1"],
        &["xargs", "-I{}", "-P", "1"],
        &["cmake", "-S", ".", "-DX=1"],
        &["ninja", "-C", "build"],
        &["meson", "setup", "build"],
        // Words of others that only look like programs.
        &["sed", "-i", "s/make -j8/make/", "Makefile"],
        &["unzip", "-d", "third_party/cmake", "-j", "a.zip"],
        &["git", "-C", "deps/meson", "log", "-j"],
        &["sh", "-c", "sed -i 's,make -j ,make ,' Makefile && make"],
        &["sh", "-c", "for d in make cmake; do tar -xjf $d; done"],
        &["sh", "-c", "cp a.h include/ninja -l4; make"],
    ];

    /// Commands that run more, with the word that is told.
    const GREEDY: [(&[&str], &str); 39] = [
        (&["make", "-j8"], "-j8"),
        (&["make", "-j"], "-j"),
        (&["make", "-j", "8"], "-j"),
        (&["make", "-j", "all"], "-j"),
        (&["make", "-Lj8"], "-Lj8"),
        (&["make", "-kj"], "-kj"),
        (&["make", "-l4"], "-l4"),
        (&["make", "--jobs=2"], "--jobs=2"),
        (&["make", "--jo", "2"], "--jo"),
        (&["make", "--max-load=2"], "--max-load=2"),
        (&["make", "MAKEFLAGS=-j3"], "MAKEFLAGS=-j3"),
        (&["make", "MAKEFLAGS+=-j3"], "MAKEFLAGS+=-j3"),
        (&["make", "MAKEFLAGS:=-j3"], "MAKEFLAGS:=-j3"),
        (&["make", "MAKEFLAGS?=-j3"], "MAKEFLAGS?=-j3"),
        (&["make", "MAKEFLAGS::=-j3"], "MAKEFLAGS::=-j3"),
        (&["make", "--eval=MAKEFLAGS+=-j8"], "--eval=MAKEFLAGS+=-j8"),
        (&["make", "--eval", "MAKEFLAGS += -j8"], "-j8"),
        (&["make", "MAKE=make -j8"], "-j8"),
        (&["/usr/bin/gmake", "-j8"], "-j8"),
        (&["env", "V=1", "make", "-j8"], "-j8"),
        (&["sh", "-c", "make -j\"$(nproc)\" all"], "-j"),
        (&["sh", "-c", "set -e; make -j$JOBS"], "-j$JOBS"),
        (&["sh", "-c", "make -C $(pwd)/src -j8"], "-j8"),
        (&["sh", "-c", "make -C `pwd` -j8"], "-j8"),
        (&["sh", "-c", "tar -xj; (make -j8)"], "-j8"),
        (&["sh", "-c", "$(MAKE) -j8"], "-j8"),
        (&["sh", "-c", "for d in a b; do make -C $d -j8; done"], "-j8"),
        (&["sh", "-c", "if test -f x; then CC=gcc make -j8; fi"], "-j8"),
        (&["/usr/bin/nice", "-n", "5", "make", "-j8"], "-j8"),
        (&["sh", "-c", "MAKEFLAGS=-j8 make"], "MAKEFLAGS=-j8"),
        (&["xargs", "-P8", "cc"], "-P8"),
        (&["xargs", "-0P", "0"], "-0P"),
        (&["xargs", "make", "-j8"], "-j8"),
        (&["ninja", "-j1"], "-j1"),
        (&["meson", "compile", "--ninja-args=-j8"], "--ninja-args=-j8"),
        (&["cmake", "--build", ".", "--parallel"], "--parallel"),
        (&["cargo", "build", "-j", "4"], "-j"),
        (&["cc", "-flto=8"], "-flto=8"),
        (&["make", "CFLAGS=-flto=auto"], "CFLAGS=-flto=auto"),
    ];

    fn found(program: Option<&str>, words: &[&str]) -> Vec<(usize, String)> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        problems(program, &words)
    }

    #[test]
    fn whose_word_it_is_decides_whether_it_counts_jobs() {
        for command in HARMLESS {
            assert_eq!(found(None, command), [], "{command:?}");
        }
        for (command, word) in GREEDY {
            let problems = found(None, command);
            assert_eq!(problems.len(), 1, "{command:?}: {problems:?}");
            assert_eq!(problems[0].1, takes(word), "{command:?}");
        }
        let hidden = found(None, &["sh", "-c", "make -$(echo j8)"]);
        assert_eq!((hidden.len(), hidden[0].0), (1, 2), "{hidden:?}");
        let wrong = &hidden[0].1;
        assert!(
            wrong.starts_with("`-$` is an option whose value is known only"),
            "{wrong}"
        );
    }

    #[test]
    fn arguments_belong_to_the_program_that_they_are_for() {
        assert_eq!(found(Some("make"), &["all", "-j8"]), [(1, takes("-j8"))]);
        // Those of configure.
        assert_eq!(found(None, &["-j8", "--jobs=3"]), []);
        assert_eq!(found(None, &["MAKE=make -j8"]), [(0, takes("-j8"))]);
        assert_eq!(
            found(None, &["LDFLAGS=-flto=jobserver"]),
            [(0, takes("LDFLAGS=-flto=jobserver"))]
        );
    }

    #[test]
    fn a_variable_may_tell_jobs_by_its_name_or_by_its_value() {
        for name in ["MAKEFLAGS", "CMAKE_BUILD_PARALLEL_LEVEL", "NINJAFLAGS"] {
            assert_eq!(of_name(name), Some(takes(name)));
        }
        for name in ["CFLAGS", "MAKE"] {
            assert_eq!(of_name(name), None, "{name}");
        }
        for (value, word) in [
            ("make -j8", "-j8"),
            ("-O2 -flto=4", "-flto=4"),
            ("cargo build --jobs 3", "--jobs"),
        ] {
            assert_eq!(of_value(value), Some(takes(word)), "{value}");
        }
        for value in ["-O2", "make", "-j"] {
            assert_eq!(of_value(value), None, "{value}");
        }
    }
}
