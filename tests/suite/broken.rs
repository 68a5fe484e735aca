//! Broken extensions on Debian's server, in a container of the base.
//!
//! `pgsetup test` names the fault of each within its time limit, tests the others as well, and leaves no process, directory
//! or shared memory. One container runs everything once; each test reads its part of the outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use crate::harness::skip;
use crate::in_base::{self, InBase};
use crate::machine::archive_of;
use crate::support::project;

/// An extension, version 1.0, and its fault.
#[derive(Clone, Copy)]
struct Broken {
    name: &'static str,
    /// The version in its control file.
    default_version: &'static str,
    /// Its script.
    script: &'static str,
    /// The functions of its library in C; empty if it has no library.
    code: &'static str,
    /// More lines of its manifest.
    manifest: &'static str,
}

/// An extension without a fault.
const SOUND: Broken = Broken {
    name: "sound",
    default_version: "1.0",
    script: "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    code: "",
    manifest: "tests: [{description: it is one, query: SELECT one(), expected: '1'}]",
};

/// Makes `call()` a function of the library.
const FUNCTION: &str = "CREATE FUNCTION call() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE c;";
const CALLED: &str = "tests: [{description: it is called, query: SELECT call(), expected: '1'}]";

const EXTENSIONS: [Broken; 13] = [
    SOUND,
    Broken {
        name: "wrong_version",
        default_version: "1.1",
        ..SOUND
    },
    Broken {
        name: "missing_library",
        script: "CREATE FUNCTION one() RETURNS int AS '$libdir/nowhere' LANGUAGE c;",
        ..SOUND
    },
    Broken {
        name: "missing_symbol",
        script: FUNCTION,
        code: "extern int removed_in_this_major(void);\nPG_FUNCTION_INFO_V1(call);\n\
               Datum call(PG_FUNCTION_ARGS) { PG_RETURN_INT32(removed_in_this_major()); }\n",
        manifest: CALLED,
        ..SOUND
    },
    Broken {
        name: "sql_error",
        script: "CREATE TABLE fine (i int);\nSELECT 1 / 0;",
        ..SOUND
    },
    Broken {
        name: "wrong_answer",
        manifest: "tests: [{description: it is one, setup: CREATE TABLE seen (i int), query: SELECT one() + 1, expected: '1'}]",
        ..SOUND
    },
    Broken {
        name: "aborts",
        script: FUNCTION,
        code: "PG_FUNCTION_INFO_V1(call);\nDatum call(PG_FUNCTION_ARGS) { abort(); }\n",
        manifest: "tests: [{description: it is called, query: SELECT call(), expected: '1'}, \
                   {description: the server is there again, query: SELECT 1, expected: '1'}]",
        ..SOUND
    },
    Broken {
        name: "endless",
        manifest: "tests: [{description: it sleeps, query: SELECT pg_sleep(1000), expected: ''}]",
        ..SOUND
    },
    Broken {
        name: "deaf",
        script: FUNCTION,
        code: "#include <unistd.h>\nPG_FUNCTION_INFO_V1(call);\n\
               Datum call(PG_FUNCTION_ARGS) { for (;;) usleep(1000); }\n",
        manifest: "tests: [{description: it is called, query: SELECT call(), expected: '1'}, \
                   {description: it cannot be asked, query: SELECT 1, expected: '1'}]",
        ..SOUND
    },
    Broken {
        name: "endless_script",
        script: "SELECT pg_sleep(1000);",
        ..SOUND
    },
    Broken {
        name: "refuses_to_load",
        script: FUNCTION,
        code: "void _PG_init(void);\nvoid _PG_init(void) { elog(FATAL, \"no licence was found\"); }\n\
               PG_FUNCTION_INFO_V1(call);\nDatum call(PG_FUNCTION_ARGS) { PG_RETURN_INT32(1); }\n",
        manifest: "preload: {libraries: [refuses_to_load]}\n\
                   tests: [{description: it is called, query: SELECT call(), expected: '1'}]",
        ..SOUND
    },
    Broken {
        name: "hangs_at_start",
        script: FUNCTION,
        code: "#include <unistd.h>\nvoid _PG_init(void);\nvoid _PG_init(void) { for (;;) usleep(1000); }\n\
               PG_FUNCTION_INFO_V1(call);\nDatum call(PG_FUNCTION_ARGS) { PG_RETURN_INT32(1); }\n",
        manifest: "preload: {libraries: [hangs_at_start]}\n\
                   tests: [{description: it is called, query: SELECT call(), expected: '1'}]",
        ..SOUND
    },
    Broken {
        name: "leaves_processes",
        manifest: "tests: [{description: it starts what does not end, \
                   query: COPY (SELECT 1) TO PROGRAM 'setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 &', expected: ''}]",
        ..SOUND
    },
];

/// Seconds that one test may take. A sound extension needs less, also on a machine under load.
const LIMIT: u32 = 15;

/// The script of the container. Each part ends with a list of what it left.
const SCRIPT: &str = r#"
cd /
left() {
  for directory in /proc/[0-9]*; do
    IFS= read -r -d '' command <"$directory/cmdline" || true
    [[ "${directory#/proc/}" == "$$" || -z "$command" ]] || printf 'process %s\n' "$command"
  done
  for path in /tmp/* /dev/shm/* /var/tmp/pgsetup/*; do
    [[ ! -e "$path" ]] || printf 'path %s\n' "$path"
  done
  while read -r key _; do
    [[ "$key" == key ]] || printf 'shared memory %s\n' "$key"
  done </proc/sysvipc/shm
}
part() {
  local name="$1" status=0
  shift
  "$@" >"/broken/$name.out" 2>"/broken/$name.err" || status=$?
  printf '%s\n' "$status" >"/broken/$name.status"
  left >"/broken/$name.left"
}
# What a signal does while a query of this database runs.
stopped() {
  local name="$1" pid
  pgsetup test /broken/manifests --no-catalogue "$name" --installed --timeout 600 &
  pid=$!
  until grep --quiet --text "postgres: postgres $name \[local\] SELECT" /proc/[0-9]*/cmdline 2>/dev/null; do
    kill -0 "$pid" || return 99
    sleep 0.05
  done
  kill -s TERM "$pid"
  wait "$pid"
}
part all pgsetup test /broken/manifests --no-catalogue --all --vendor /broken/vendor --offline --timeout "$LIMIT" --format tap
part kept pgsetup test /broken/manifests --no-catalogue wrong_answer --installed --keep
rm -r /var/tmp/pgsetup
for name in endless deaf; do
  part "stopped-$name" stopped "$name"
done
"#;

/// The outcome of one part.
#[derive(Debug, Default)]
struct Part {
    status: String,
    out: String,
    err: String,
    left: String,
}

impl Part {
    fn read(directory: &Path, name: &str) -> Self {
        let text = |suffix: &str| {
            std::fs::read_to_string(directory.join(format!("{name}.{suffix}"))).unwrap_or_default()
        };
        Self {
            status: text("status").trim().to_owned(),
            out: text("out"),
            err: text("err"),
            left: text("left"),
        }
    }
}

/// Writes manifests and archives for the container.
fn write(directory: &Path) {
    for name in ["manifests", "vendor"] {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    let names: Vec<&str> = EXTENSIONS.iter().map(|one| one.name).collect();
    let image = format!(
        "kind: image\nname: broken\nbase: debian:bookworm\npostgresql: 15-apt\nextensions: [{}]\n\
         user: {{name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash}}\nlocale: C.UTF-8\n\
         configuration: /etc/postgresql/image.conf\nprune: {{remove: [logs]}}\n",
        names.join(", ")
    );
    std::fs::write(directory.join("manifests/image.yaml"), image).unwrap();
    let server = std::fs::read_to_string(project().join("manifests/postgresql/15-apt.yaml")).unwrap();
    // It names an extension that is not among these.
    let (before, rest) = server.split_once("conflicts:").expect("a list of conflicts");
    let (_, after) = rest.split_once("\n\n").expect("something after it");
    std::fs::write(
        directory.join("manifests/server.yaml"),
        format!("{before}{after}"),
    )
    .unwrap();
    for extension in &EXTENSIONS {
        extension.write(directory);
    }
}

impl Broken {
    fn write(&self, directory: &Path) {
        let Self {
            name,
            default_version,
            script,
            code,
            manifest,
        } = self;
        let module = if code.is_empty() { "" } else { name };
        let makefile = format!(
            "MODULES = {module}\nEXTENSION = {name}\nDATA = {name}--{default_version}.sql\n\
             PG_CONFIG = pg_config\nPGXS := $(shell $(PG_CONFIG) --pgxs)\ninclude $(PGXS)\n"
        );
        let control = format!("default_version = '{default_version}'\nmodule_pathname = '$libdir/{name}'\n");
        let code = format!("#include \"postgres.h\"\n#include \"fmgr.h\"\nPG_MODULE_MAGIC;\n{code}");
        let files = [
            ("Makefile".to_owned(), makefile),
            (format!("{name}.control"), control),
            (format!("{name}--{default_version}.sql"), (*script).to_owned()),
            (format!("{name}.c"), code),
        ];
        let (bytes, digest) = archive_of(&format!("{name}-1.0"), &files);
        std::fs::write(directory.join(format!("vendor/{name}.tar.gz")), bytes).unwrap();
        let text = format!(
            "kind: extension\nname: {name}\nsummary: A case\nlicense: MIT\nhomepage: https://example.org/\n\
             releases:\n  - version: '1.0'\n    postgresql: [15]\n    provides: [{{name: {name}, default_version: '1.0'}}]\n\
             \x20   sources: [{{url: 'https://example.org/{name}.tar.gz', sha256: {digest}}}]\n\
             build: {{pgxs: {{}}}}\n{manifest}\n"
        );
        std::fs::write(directory.join(format!("manifests/{name}.yaml")), text).unwrap();
    }
}

/// All parts by name, run once.
fn parts() -> &'static BTreeMap<&'static str, Part> {
    static PARTS: OnceLock<Result<BTreeMap<&'static str, Part>, String>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        in_base::available()?;
        Ok(run())
    });
    parts.as_ref().unwrap_or_else(|why| skip(why))
}

fn run() -> BTreeMap<&'static str, Part> {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path());
    let limit = format!("--env=LIMIT={LIMIT}");
    let input = (directory.path(), "/broken");
    let container = InBase::create("broken", &[&limit], SCRIPT, input, "/usr/local/bin/pgsetup");
    let ran = container.run(900);
    let taken = container.copy(&["/broken/."]);
    let names = ["all", "kept", "stopped-endless", "stopped-deaf"];
    let parts: BTreeMap<_, _> = names.map(|name| (name, Part::read(taken.path(), name))).into();
    assert!(
        parts.values().all(|part| !part.status.is_empty()),
        "the container did not come to its end: {ran:?}\n{parts:#?}"
    );
    parts
}

/// The TAP lines of one extension by test: whether it passed, its milliseconds, and its text.
fn tests_of(part: &Part, extension: &str) -> BTreeMap<String, (bool, u32, String)> {
    let mut found = BTreeMap::new();
    let mut current = None;
    for line in part.out.lines() {
        let head = line.strip_prefix("not ok ").or_else(|| line.strip_prefix("ok "));
        if let Some((_, about)) = head.and_then(|head| head.split_once(" - ")) {
            let name = about.strip_prefix(&format!("{extension} 1.0: "));
            current = name.map(str::to_owned);
            if let Some(name) = &current {
                found.insert(name.clone(), (line.starts_with("ok "), 0, String::new()));
            }
        } else if let Some((_, duration, said)) = current.as_ref().and_then(|name| found.get_mut(name)) {
            if let Some(number) = line.strip_prefix("  duration_ms: ") {
                *duration = number.parse().unwrap();
            } else if let Some(text) = line.strip_prefix("    ") {
                let _ = writeln!(said, "{text}");
            }
        }
    }
    found
}

/// One test of the extension fails with this text and within the limit; its others pass.
#[track_caller]
fn fails(extension: &str, failing: &str, said: &[&str]) {
    let parts = parts();
    let all = &parts["all"];
    let tests = tests_of(all, extension);
    let failed: Vec<&String> = tests
        .iter()
        .filter(|(_, (passed, ..))| !passed)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(failed, [failing], "{}{}", all.out, all.err);
    let (_, duration, text) = &tests[failing];
    for part in said {
        assert!(text.contains(part), "{text}\nshould have\n{part}");
    }
    // A minute more for a machine under load; what never ends by itself sleeps for a quarter of an hour.
    let most = (LIMIT + 60) * 1000;
    assert!(*duration < most, "{failing} took {duration} ms");
}

#[test]
fn a_sound_extension_passes_beside_broken_ones() {
    let parts = parts();
    let all = &parts["all"];
    assert_eq!(all.status, "7", "{}{}", all.out, all.err);
    let tests = tests_of(all, "sound");
    assert!(
        tests.len() >= 6 && tests.values().all(|(passed, ..)| *passed),
        "{tests:?}"
    );
}

#[test]
fn another_default_version_is_named_with_both() {
    let said = "wrong_version has default_version 1.1 in its control file, and 1.0 in the manifest";
    fails("wrong_version", "files", &[said]);
}

#[test]
fn a_missing_library_of_a_script_is_named() {
    let said = "/usr/lib/postgresql/15/lib/nowhere.so does not exist; the script of missing_library names it";
    fails("missing_library", "files", &[said]);
}

#[test]
fn a_missing_symbol_is_named() {
    let said = "/usr/lib/postgresql/15/lib/missing_symbol.so cannot be loaded: undefined symbol `removed_in_this_major`, \
                which neither postgresql 15.";
    fails("missing_symbol", "symbols", &[said]);
}

#[test]
fn an_error_of_the_script_is_shown_as_the_server_says_it() {
    let said = [
        "ERROR:  division by zero",
        "end of the server's log:",
        "STATEMENT:  CREATE EXTENSION",
    ];
    fails("sql_error", "create sql_error 1.0", &said);
}

#[test]
fn another_answer_is_shown_with_the_sql_and_both_answers() {
    let said = "the answer differs\nSQL:\n    CREATE TABLE seen (i int)\n    SELECT one() + 1\n\
                expected:\n    1\nactual:\n    2\n";
    fails("wrong_answer", "it is one", &[said]);
}

#[test]
fn a_crash_is_shown_with_signal_and_statement() {
    // The next test has a server again.
    let said = "was terminated by signal 6: Aborted; it was running: SELECT call()";
    fails(
        "aborts",
        "it is called",
        &["the server crashed: server process", said],
    );
}

#[test]
fn a_query_without_end_is_cancelled_at_its_time_limit() {
    fails(
        "endless",
        "it sleeps",
        &[
            "it takes longer than its time limit of 15 s\n",
            "SELECT pg_sleep(1000)",
        ],
    );
    fails(
        "endless_script",
        "create endless_script 1.0",
        &["it takes longer than its time limit of 15 s\n"],
    );
}

#[test]
fn a_function_that_cannot_be_cancelled_is_killed() {
    let said = "it takes longer than its time limit of 15 s, and the server does not let it be cancelled";
    fails("deaf", "it is called", &[said]);
    let parts = parts();
    let skipped = "deaf 1.0: it cannot be asked # SKIP an earlier test has not come to an end\n";
    assert!(parts["all"].out.contains(skipped), "{}", parts["all"].out);
}

#[test]
fn a_server_that_does_not_start_is_shown_with_its_log() {
    let said = ["the server does not start", "FATAL:  no licence was found"];
    fails("refuses_to_load", "the server starts", &said);
    fails(
        "hangs_at_start",
        "the server starts",
        &["the server is not ready after 15 s"],
    );
}

#[test]
fn failed_tests_leave_only_logs() {
    let parts = parts();
    let all = &parts["all"];
    assert_eq!(all.left, "path /var/tmp/pgsetup/log\n", "{}{}", all.out, all.err);
}

#[test]
fn keep_keeps_a_stopped_cluster_and_names_it() {
    let parts = parts();
    let kept = &parts["kept"];
    assert_eq!(kept.status, "7", "{kept:?}");
    assert!(
        kept.err.contains("kept /var/tmp/pgsetup/try/wrong_answer"),
        "{kept:?}"
    );
    assert_eq!(
        kept.left, "path /var/tmp/pgsetup/log\npath /var/tmp/pgsetup/try\n",
        "{kept:?}"
    );
}

#[test]
fn a_signal_ends_a_test_that_ignores_it() {
    let parts = parts();
    for name in ["stopped-endless", "stopped-deaf"] {
        let part = &parts[name];
        assert_eq!(part.status, "130", "{name}: {part:?}");
        let said = "\npgsetup: not tested; stopped because pgsetup was told to stop\n";
        assert!(part.err.contains(said), "{name}: {part:?}");
        assert_eq!(part.left, "path /var/tmp/pgsetup/log\n", "{name}: {part:?}");
    }
}
