//! One grammar for every command: `pgsetup COMMAND [MANIFESTS] [NAME...] [OPTIONS]`, with its defaults, its variables and its
//! JSON documents.

use std::path::Path;

use crate::remote::free_port;
use crate::support::{Ran, command, manifests, pgsetup, project};

/// Runs pgsetup in this directory.
fn run_in(directory: &Path, args: &[&str]) -> Ran {
    let mut command = command(args.iter().copied());
    command.current_dir(directory).output().unwrap().into()
}

/// Every command that reads manifests, with what it needs besides them.
const READERS: [&[&str]; 6] = [
    &["plan"],
    &["install", "--root", "/nowhere"],
    &["fetch", "--to", "/nowhere"],
    &["test"],
    &["update"],
    &["update", "--check", "--offline"],
];

/// The manifests of the project, as a directory called `name` below another one.
fn project_with(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(project().join("manifests"), directory.path().join(name)).unwrap();
    directory
}

#[test]
fn without_manifests_the_directory_is_read() {
    let directory = project_with("manifests");
    let ran = run_in(directory.path(), &["plan"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.out, run_in(directory.path(), &["plan", "manifests"]).out);
    // Also where there is an image.yaml beside it.
    std::fs::write(directory.path().join("image.yaml"), "kind: image\n").unwrap();
    assert_eq!(run_in(directory.path(), &["plan"]).status, 0);
}

#[test]
fn without_a_directory_image_yaml_is_read() {
    let directory = manifests(&[("image.yaml", "kind: image\n")]);
    let ran = run_in(directory.path(), &["plan"]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(ran.err.contains("--> image.yaml:1:1"), "{}", ran.err);
    let inside = project().join("manifests");
    assert_eq!(
        run_in(&inside, &["plan", "--target", "debian:bookworm/arm64"]).out,
        pgsetup(["plan", "manifests", "--target", "debian:bookworm/arm64"]).out
    );
}

#[test]
fn an_image_manifest_is_read_with_what_is_beside_it() {
    let directory = manifests(&[]);
    let copy = |from: &Path, to: &Path| {
        let status = std::process::Command::new("cp")
            .arg("-R")
            .args([from, to])
            .status();
        assert!(status.unwrap().success());
    };
    let all = directory.path().join("all");
    copy(&project().join("manifests"), &all);
    let image = std::fs::read_to_string(all.join("image.yaml")).unwrap();
    let small = image.replace("patroni: true", "patroni: false");
    assert_ne!(small, image);
    std::fs::write(all.join("small.yaml"), small).unwrap();
    let plan = |place: &str| run_in(directory.path(), &["plan", place]);
    let two = plan("all");
    assert_eq!(two.status, 3);
    assert!(two.err.contains("a second image"), "{}", two.err);
    let (one, other) = (plan("all/image.yaml"), plan("all/small.yaml"));
    assert_eq!((one.status, other.status), (0, 0), "{}{}", one.err, other.err);
    assert!(
        one.out.contains("install patroni") || one.out.contains("patroni "),
        "{}",
        one.out
    );
    assert!(!other.out.contains("patroni "), "{}", other.out);
}

#[test]
fn where_nothing_is_to_be_read_the_error_says_what_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    for args in READERS {
        let ran = run_in(directory.path(), args);
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.err);
        let names = args
            .iter()
            .take_while(|word| **word != "--root" && **word != "--to" && **word != "--offline");
        let shown = format!(
            "pgsetup {} MANIFESTS\n  `pgsetup init` writes an image.yaml to begin with\n",
            names.copied().collect::<Vec<_>>().join(" ")
        );
        assert!(
            ran.err
                .contains("there is neither a directory `manifests` nor a file `image.yaml` here")
                && ran.err.contains(&shown),
            "{args:?}: {}",
            ran.err
        );
    }
}

#[test]
fn a_first_word_that_is_no_path_gets_the_right_command_line() {
    for (args, right) in [
        (
            &["plan", "citus"][..],
            "pgsetup plan manifests --extensions citus",
        ),
        (
            &["install", "citus"],
            "pgsetup install manifests --extensions citus",
        ),
        (
            &["fetch", "citus", "--to", "/nowhere"],
            "pgsetup fetch manifests --extensions citus",
        ),
        (&["test", "citus", "hll"], "pgsetup test manifests citus hll"),
        (&["test", "citus", "manifests"], "pgsetup test manifests citus"),
        (&["update", "citus"], "pgsetup update manifests citus"),
        (
            &["update", "citus", "14.0.2"],
            "pgsetup update manifests citus 14.0.2",
        ),
        (
            &["update", "--check", "citus"],
            "pgsetup update --check manifests citus",
        ),
    ] {
        let ran = pgsetup(args.iter().copied());
        assert_eq!(ran.status, 2, "{args:?}: {}", ran.err);
        let expected = format!(
            "pgsetup: `citus` is neither a directory nor a file; the manifests come first: {right}\n"
        );
        assert_eq!(ran.err, expected, "{args:?}");
    }
    let ran = pgsetup(["new", "citus", "https://example.org/citus.tar.gz", "manifests"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(
        ran.err.contains("pgsetup new MANIFESTS NAME ARCHIVE"),
        "{}",
        ran.err
    );
    let ran = pgsetup(["update", "manifests"]);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("pgsetup update MANIFESTS NAME"), "{}", ran.err);
    // One word, and no more, says where manifests are.
    assert_eq!(pgsetup(["plan", "manifests", "manifests"]).status, 2);
}

#[test]
fn help_names_the_variable_of_an_option_but_not_its_value() {
    for (name, option, commands) in [
        (
            "PGSETUP_CACHE",
            "--cache <DIR>",
            &["install", "fetch", "test", "update", "cache"][..],
        ),
        (
            "PGSETUP_VENDOR",
            "--vendor <DIR>",
            &["install", "fetch", "test", "update", "new"],
        ),
        ("PGSETUP_JOBS", "--jobs <N>", &["install", "test"]),
        (
            "PGSETUP_MIRROR",
            "--mirror <URL>",
            &["install", "fetch", "test", "update", "new"],
        ),
        (
            "SSL_CERT_FILE",
            "--ca-bundle <FILE>",
            &["install", "fetch", "test", "update", "new"],
        ),
    ] {
        for subcommand in commands {
            let output = command([*subcommand, "--help"])
                .env(name, "7654321")
                .output()
                .unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            let (_, rest) = words
                .split_once(option)
                .unwrap_or_else(|| panic!("{subcommand}: {help}"));
            let (section, _) = rest.split_once(" --").unwrap_or((rest, ""));
            assert!(
                section.contains(&format!("[env: {name}]")),
                "{subcommand}: {section}"
            );
            assert!(!help.contains("7654321"), "{subcommand}: {help}");
        }
    }
}

#[test]
fn a_variable_stands_for_its_option_and_an_empty_one_for_none() {
    let cache = tempfile::tempdir().unwrap();
    let list = |variable: &str, args: &[&str]| -> Ran {
        let mut command = command(["cache", "list", "--format", "json"]);
        command
            .args(args)
            .env("PGSETUP_CACHE", variable)
            .output()
            .unwrap()
            .into()
    };
    let directory = |ran: Ran| {
        let document: serde_json::Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
        document["directory"].as_str().unwrap().to_owned()
    };
    let path = cache.path().to_str().unwrap();
    assert_eq!(directory(list(path, &[])), path);
    assert_eq!(directory(list(path, &["--cache", "/nowhere"])), "/nowhere");
    assert_eq!(directory(list("", &[])), "/var/cache/pgsetup");
    let jobs = |value: &str| -> Ran {
        let mut command = command(["install", "manifests", "--root", path, "--help"]);
        command.env("PGSETUP_JOBS", value).output().unwrap().into()
    };
    assert_eq!(jobs("").status, 0);
    for (name, value, says) in [
        ("PGSETUP_JOBS", "0", "--jobs"),
        ("PGSETUP_VENDOR", "/nowhere", "/nowhere"),
        (
            "SSL_CERT_FILE",
            "/nowhere",
            "cannot read the certificates in /nowhere",
        ),
    ] {
        let to = cache.path().join("to");
        let args = match name {
            "PGSETUP_JOBS" => vec!["install", "manifests", "--root", path],
            _ => vec!["fetch", "manifests", "--to", to.to_str().unwrap(), "--offline"],
        };
        let output = command(args).env(name, value).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!(ran.status, 2, "{name}: {}", ran.err);
        assert!(ran.err.contains(says), "{name}: {}", ran.err);
    }
}

#[test]
fn usage_has_no_option_that_only_the_environment_gives() {
    for (words, usage) in [
        (
            &["fetch"][..],
            "Usage: pgsetup fetch [OPTIONS] --to <DIR> [MANIFESTS]",
        ),
        (
            &["cache", "prune", "--never"],
            "Usage: pgsetup cache prune [OPTIONS]",
        ),
        (&["--never"], "Usage: pgsetup <COMMAND>"),
    ] {
        let output = command(words.iter().copied())
            .env("SSL_CERT_FILE", "/etc/passwd")
            .env("PGSETUP_CACHE", "/nowhere")
            .output();
        let ran = Ran::from(output.unwrap());
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(&format!("\n{usage}\n")), "{}", ran.err);
    }
}

#[test]
fn each_option_of_a_format_names_its_schema() {
    for (subcommand, document) in [
        (&["plan"][..], "plan"),
        (&["verify"], "verification"),
        (&["test"], "tests"),
        (&["fetch"], "downloads"),
        (&["cache", "list"], "cache"),
        (&["update"], "updates"),
        (&["list"], "available"),
        (&["search"], "available"),
        (&["info"], "info"),
        (&["why"], "why"),
        (&["diff"], "diff"),
        (&["doctor"], "doctor"),
    ] {
        let help = pgsetup(subcommand.iter().copied().chain(["--help"])).out;
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains(&format!("`pgsetup schema {document}`")),
            "{subcommand:?}: {help}"
        );
    }
}

#[test]
fn what_fails_for_one_reason_is_one_line() {
    let (port, directory) = (free_port(), manifests(&[]));
    std::fs::create_dir(directory.path().join("manifests")).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join("manifests").join(name), text).unwrap();
    };
    write("image.yaml", crate::upkeep::IMAGE);
    write("server.yaml", crate::upkeep::SERVER);
    let names: Vec<String> = (0..20).map(|number| format!("thing{number:02}")).collect();
    for (number, name) in names.iter().enumerate() {
        let manifest = format!(
            "kind: extension\nname: {name}\nsummary: A thing\nlicense: PostgreSQL\nhomepage: https://example.org\nreleases:\n  \
             - version: \"1.0\"\n    postgresql: [15]\n    sources:\n      - url: \
             http://127.0.0.1:{port}/o/{name}/archive/refs/tags/v${{version}}.tar.gz\n        sha256: {digest}\n        \
             insecure: a server on the loopback interface\n    provides: [{{ name: {name}, default_version: \"1.0\" }}]\n\
             build: {{ pgxs: {{}} }}\n",
            digest = format_args!("{number:064}"),
        );
        write(&format!("{name}.yaml"), &manifest);
    }
    let run = |args: &[&str]| run_in(directory.path(), args);
    let ran = run(&["update", "--check"]);
    assert_eq!(ran.status, 4, "{}", ran.err);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert!(
        ran.out
            .starts_with("could not look up 20 versions: no connection: ")
            && ran.out.ends_with("and 8 more\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.err
            .ends_with("pgsetup: 20 of 20 versions could not be looked up\n"),
        "{}",
        ran.err
    );
    let all = names.join(",");
    let ran = run(&["fetch", "--to", "to", "--extensions", &all]);
    assert_eq!(ran.status, 4, "{}", ran.err);
    let told = ran
        .err
        .lines()
        .filter(|line| line.contains("no connection: ") && !line.contains("again in"));
    let told: Vec<&str> = told.collect();
    // Nothing else is said of each file.
    assert!(ran.err.lines().count() < 8, "{}", ran.err);
    // Once while it happens, and once at the end, with every name.
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[1].starts_with("could not fetch 20 files: no connection: "),
        "{told:#?}"
    );
    assert!(
        names.iter().all(|name| told[1].contains(&format!("{name} 1.0"))),
        "{told:#?}"
    );
}
