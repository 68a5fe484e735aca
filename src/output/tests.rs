//! Outputs of programs, as they are in a build's log, and what is found in them.

use super::*;

/// Outputs, each with the error that is shown first, the kind of program, and how the command that ended it begins.
struct Case {
    output: &'static str,
    first: &'static str,
    program: &'static str,
    ended: &'static str,
}

const CASES: &[Case] = &[
    Case {
        output: "make: git: No such file or directory\ngcc -Wall -c -o a.o a.c\nIn file included from a.c:1:\na.h:3:2: error: #error \"not for \
                 this PostgreSQL\"\n    3 | #error \"not for this PostgreSQL\"\n      |  ^~~~~\nmake: *** [<builtin>: a.o] Error 1\n",
        first: "a.h:3:2: error: #error \"not for this PostgreSQL\"",
        program: "compiler",
        ended: "gcc -Wall -c -o a.o a.c",
    },
    Case {
        output: "gcc -shared -o x.so a.o -lfoo\n/usr/bin/ld: cannot find -lfoo: No such file or directory\ncollect2: error: ld returned 1 \
                 exit status\nmake: *** [Makefile.shlib:261: x.so] Error 1\n",
        first: "/usr/bin/ld: cannot find -lfoo: No such file or directory",
        program: "linker",
        ended: "gcc -shared -o x.so a.o -lfoo",
    },
    Case {
        output: "/usr/bin/ld: a.o: in function `f':\na.c:(.text+0x9): undefined reference to `g'\ncollect2: error: ld returned 1 exit status\n",
        first: "a.c:(.text+0x9): undefined reference to `g'",
        program: "linker",
        ended: "",
    },
    Case {
        output: "clang-14 -c a.c -o a.bc\nerror: unable to open output file 'a.bc': 'No space left on device'\n1 error generated.\n",
        first: "error: unable to open output file 'a.bc': 'No space left on device'",
        program: "output",
        ended: "",
    },
    Case {
        output: "make[1]: Entering directory '/x'\nmake[1]: *** No rule to make target 'vendor/lib.a', needed by 'all'.  Stop.\nmake[1]: \
                 Leaving directory '/x'\nmake: *** [Makefile:3: all] Error 2\n",
        first: "make[1]: *** No rule to make target 'vendor/lib.a', needed by 'all'.  Stop.",
        program: "make",
        ended: "make: *** [Makefile:3: all] Error 2",
    },
    Case {
        output: "Makefile:3: *** PostgreSQL 19 or later is needed.  Stop.\n",
        first: "Makefile:3: *** PostgreSQL 19 or later is needed.  Stop.",
        program: "make",
        ended: "",
    },
    Case {
        output: "/bin/sh: 1: flex: not found\nmake: *** [Makefile:9: scan.c] Error 127\n",
        first: "/bin/sh: 1: flex: not found",
        program: "shell",
        ended: "make: *** [Makefile:9: scan.c] Error 127",
    },
    Case {
        output: "rm x\nrm: cannot remove 'x': No such file or directory\nmake: [Makefile:2: clean] Error 1 (ignored)\ncp y /z\ncp: cannot \
                 stat 'y': No such file or directory\nmake: *** [Makefile:7: install] Error 1\n",
        first: "cp: cannot stat 'y': No such file or directory",
        program: "output",
        ended: "cp y /z",
    },
    Case {
        output: "[1/9] cc -c a.c\nFAILED: b.o \ncc -MD -c b.c -o b.o\nb.c:1:1: error: unknown type name ‘foo’\nninja: build stopped: \
                 subcommand failed.\n",
        first: "b.c:1:1: error: unknown type name ‘foo’",
        program: "compiler",
        ended: "cc -MD -c b.c -o b.o",
    },
    Case {
        output: "-- Looking for x - not found\nCMake Error at CMakeLists.txt:12 (find_package):\n  By not providing \"FindH3.cmake\" this \
                 project has asked CMake to find\n\n  a package configuration file\n\n-- Configuring incomplete, errors occurred!\n",
        first: "CMake Error at CMakeLists.txt:12 (find_package):",
        program: "cmake",
        ended: "",
    },
    Case {
        output: "Run-time dependency icu found: NO\n\nmeson.build:30:0: ERROR: Dependency \"icu-uc\" not found, tried pkgconfig\n\nA full log can \
                 be found at /b/meson-logs/meson-log.txt\n",
        first: "meson.build:30:0: ERROR: Dependency \"icu-uc\" not found, tried pkgconfig",
        program: "meson",
        ended: "",
    },
    Case {
        output: "   Compiling x v0.1.0\nerror[E0432]: unresolved import `pgrx::foo`\n --> src/lib.rs:3:5\n  |\n3 | use pgrx::foo;\n  |     \
                 ^^^^^^^^^ no `foo` in the root\n\nerror: aborting due to 1 previous error\n\nerror: could not compile `x` (lib)\n",
        first: "error[E0432]: unresolved import `pgrx::foo`",
        program: "rustc",
        ended: "",
    },
    Case {
        output: "ERROR: Could not find a version that satisfies the requirement orjson (from versions: none)\nERROR: No matching distribution \
                 found for orjson\n",
        first: "ERROR: Could not find a version that satisfies the requirement orjson (from versions: none)",
        program: "pip",
        ended: "",
    },
    Case {
        output: "  error: subprocess-exited-with-error\n  \n  × Building wheel for x (pyproject.toml) did not run successfully.\n  │ exit code: 1\n  \
                 ╰─> [12 lines of output]\n      gcc -c x.c\n      x.c:4:10: fatal error: Python.h: No such file or directory\n      compilation \
                 terminated.\n      error: command '/usr/bin/gcc' failed with exit code 1\n      [end of output]\n",
        first: "error: subprocess-exited-with-error",
        program: "pip",
        ended: "/usr/bin/gcc",
    },
    Case {
        output: "python3 setup.py build\nTraceback (most recent call last):\n  File \"setup.py\", line 3, in <module>\n    import \
                 setuptools\nModuleNotFoundError: No module named 'setuptools'\nmake: *** [Makefile:5: all] Error 1\n",
        first: "Traceback (most recent call last):",
        program: "python",
        ended: "python3 setup.py build",
    },
    Case {
        output: "perl gen.pl >x.h\nCan't locate JSON.pm in @INC (you may need to install the JSON module) at gen.pl line 4.\nBEGIN failed--\
                 compilation aborted at gen.pl line 4.\nmake: *** [Makefile:5: x.h] Error 2\n",
        first: "Can't locate JSON.pm in @INC (you may need to install the JSON module) at gen.pl line 4.",
        program: "perl",
        ended: "perl gen.pl >x.h",
    },
    Case {
        output: "checking for foo.h... no\nconfigure: error: foo.h is needed\nSee `config.log' for more details\n",
        first: "configure: error: foo.h is needed",
        program: "configure",
        ended: "",
    },
    Case {
        output: "configure.ac:12: error: possibly undefined macro: AC_PROG_LIBTOOL\n      If this token and others are legitimate, please use \
                 m4_pattern_allow.\nautoreconf: error: /usr/bin/autoconf failed with exit status: 1\n",
        first: "configure.ac:12: error: possibly undefined macro: AC_PROG_LIBTOOL",
        program: "autotools",
        ended: "",
    },
    Case {
        output: "patching file Makefile\nHunk #1 FAILED at 3.\n1 out of 1 hunk FAILED -- saving rejects to file Makefile.rej\n",
        first: "Hunk #1 FAILED at 3.",
        program: "patch",
        ended: "",
    },
    Case {
        output: "psql:x.sql:3: NOTICE:  nothing\npsql:x.sql:4: ERROR:  relation \"t\" does not exist\nLINE 1: SELECT * FROM t\n                      ^\n",
        first: "psql:x.sql:4: ERROR:  relation \"t\" does not exist",
        program: "psql",
        ended: "",
    },
    Case {
        output: "./gen: error while loading shared libraries: libgen.so.1: cannot open shared object file: No such file or directory\nmake: *** \
                 [Makefile:8: table.h] Error 127\n",
        first: "./gen: error while loading shared libraries: libgen.so.1: cannot open shared object file: No such file or directory",
        program: "dynamic linker",
        ended: "make: *** [Makefile:8: table.h] Error 127",
    },
    Case {
        output: "\u{1b}[0m\u{1b}[1m\u{1b}[38;5;9merror[E0308]\u{1b}[0m\u{1b}[1m: mismatched types\u{1b}[0m\n --> a.rs:1:1\n",
        first: "error[E0308]: mismatched types",
        program: "rustc",
        ended: "",
    },
];

#[test]
fn each_program_is_recognised_by_its_form() {
    for case in CASES {
        let found = errors(case.output);
        let first = found.first.as_ref().expect(case.output);
        assert!(
            first.lines.iter().any(|line| line.trim() == case.first),
            "{}\n{found:#?}",
            case.output
        );
        assert_eq!(first.program, case.program, "{}\n{found:#?}", case.output);
        let ended = found
            .exited
            .as_ref()
            .map(|exited| exited.command.clone().unwrap_or(exited.said.clone()));
        assert_eq!(
            ended.unwrap_or_default(),
            case.ended,
            "{}\n{found:#?}",
            case.output
        );
    }
}

#[test]
fn an_output_without_an_error_has_none() {
    for output in [
        "",
        "checking for strerror_r... error\ngcc -Werror=vla -c error.c\nall is well\n",
        "a.c:3:1: warning: unused variable ‘error’\n",
        "compiling alpha\nalpha broke\n",
        "make: warning: jobserver unavailable: using -j1.\n",
    ] {
        let found = errors(output);
        assert_eq!((found.first, found.exited), (None, None), "{output}");
    }
}

#[test]
fn what_follows_from_the_first_error_is_not_another_one() {
    for output in [
        "/bin/sh: 1: xxd: not found\nmake: *** [Makefile:12: gen] Error 127\nmake: *** Deleting file 'gen'\n",
        "a.c:6:2: error: #error \"no\"\n    6 | #error \"no\"\n      |  ^~~~~\nclang -c a.c\na.c:6:2: error: \"no\"\n",
        "a.c:1:1: error: one\nmake[1]: *** [Makefile:3: a.o] Error 1\nmake[1]: Leaving directory '/x'\nmake: *** [all] Error 2\n",
    ] {
        assert_eq!(errors(output).last, None, "{output}");
    }
}

#[test]
fn the_first_error_is_found_however_much_follows() {
    let mut output =
        "gcc -c -o a.o a.c\na.c:1:1: error: one\ngcc -c -o b.o b.c\nmake: *** [<builtin>: a.o] Error 1\n"
            .to_owned();
    for number in 0..200 {
        output.push_str(&format!("gcc -c -o {number}.o {number}.c\n"));
    }
    output.push_str("b.c:9:9: error: last\nmake: *** [<builtin>: b.o] Error 1\nmake: *** Waiting for unfinished jobs....\n");
    let found = errors(&output);
    assert_eq!(found.first.unwrap().lines, ["a.c:1:1: error: one"]);
    assert_eq!(found.last.unwrap().lines, ["b.c:9:9: error: last"]);
    let exited = found.exited.unwrap();
    assert_eq!(exited.command.as_deref(), Some("gcc -c -o a.o a.c"));
    assert_eq!(exited.said, "make: *** [<builtin>: a.o] Error 1");
}

#[test]
fn a_long_statement_does_not_hide_its_error() {
    let statement = (0..60).map(|_| "  1,\n").collect::<String>();
    let output = format!(
        "ERROR:  column \"nowhere\" does not exist\nLINE 1: SELECT nowhere,\n               ^\nQUERY:  SELECT nowhere,\n{statement}CONTEXT:  \
         PL/pgSQL function inline_code_block line 1 at EXECUTE\n"
    );
    let lines = errors(&output).first.unwrap().lines;
    assert!(lines.len() < 14, "{lines:#?}");
    assert_eq!(lines[0], "ERROR:  column \"nowhere\" does not exist");
    assert!(lines.iter().any(|line| line == "… 57 more lines"), "{lines:#?}");
    assert!(
        lines.last().unwrap().starts_with("CONTEXT:  PL/pgSQL"),
        "{lines:#?}"
    );

    let log = format!(
        "db ERROR:  column\ndb STATEMENT:  SELECT nowhere,\n{}db LOG:  more\n",
        "\t1,\n".repeat(60)
    );
    let lines = log_lines(&log);
    assert_eq!(lines.len(), 7, "{lines:#?}");
    assert_eq!(lines[5], "\t… 57 more lines");
}

#[test]
fn config_log_says_why_configure_failed() {
    let log = "configure:1: checking for gcc\nconfigure:2: result: gcc\nconfigure:3124: checking for foo.h\nconfigure:3124: gcc -c conftest.c >&5\n\
               conftest.c:29:10: fatal error: foo.h: No such file or directory\n   29 | #include <foo.h>\n      |          ^~~~~~~\ncompilation \
               terminated.\nconfigure:3124: $? = 1\nconfigure: failed program was:\n| #error x.c:1:1: error: y\nconfigure:3126: error: foo.h is needed\n";
    let lines = of_configure(log, "foo.h is needed").unwrap();
    assert_eq!(lines[0], "checking for foo.h");
    assert_eq!(
        lines[1],
        "conftest.c:29:10: fatal error: foo.h: No such file or directory"
    );
    assert_eq!(of_configure(log, "another"), None);
}
