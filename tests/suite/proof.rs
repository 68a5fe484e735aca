//! `pgsetup test` and `pgsetup install` prove the same, on real input: small extensions that use every key of a manifest, on
//! Debian's server in containers of the base.
//!
//! Each directory of `tests/fixtures/proof` is an extension with its archives. One container tests all of them, and
//! another one installs them; each test reads its part of the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::skip;
use crate::in_base::{self, InBase};
use crate::machine::{archive_of, files_below};
use crate::support::{pgsetup, project};

/// The extensions with a fault: the check that names it, and a part of what it says.
const FAULTY: [(&str, &str, &str); 6] = [
    (
        "borrowed_interpreter",
        "what it needs",
        "/usr/lib/postgresql/15/bin/borrowed_interpreter-tool is run by /usr/bin/gawk, which does not exist; the package gawk had it",
    ),
    (
        "no_interpreter",
        "what it needs",
        "/usr/lib/postgresql/15/bin/no_interpreter-tool is run by python3, which does not exist",
    ),
    (
        "loads_nothing",
        "files",
        "it provides no SQL extension, and it installed no module that the server can load in /usr/lib/postgresql/15/lib",
    ),
    ("prints_another", "it answers", "it prints something else"),
    ("no_drop", "drop no_drop", "call no_drop_remove() instead"),
    (
        "wrong_license",
        "license",
        "its manifest says `license: BSD-3-Clause`, but LICENSE of its archive is the text of MIT",
    ),
];

/// Those of them that fail before anything is started.
const AT_THE_GATE: [&str; 2] = ["borrowed_interpreter", "no_interpreter"];

const TEST: &str = r"
part test pgsetup test /proof/manifests --no-catalogue --all --vendor /proof/vendor --offline --format tap
part upstream pgsetup test /proof/manifests --no-catalogue own_targets own_steps --upstream --vendor /proof/vendor --offline --format tap
";

const INSTALL: &str = r#"
install() { pgsetup install /proof/manifests --no-catalogue --vendor /proof/vendor --offline --extensions "$1"; }
part gate install "$GATE"
part faulty install "$FAULTY"
part sound install "$SOUND"
part verify pgsetup verify
part installed pgsetup test /proof/manifests --no-catalogue ${SOUND//,/ } --installed --format tap
"#;

const PART: &str = r#"
part() {
  local name="$1" status=0
  shift
  "$@" >"/proof/$name.out" 2>"/proof/$name.err" || status=$?
  printf '%s\n' "$status" >"/proof/$name.status"
}
"#;

/// The outcome of one command.
#[derive(Debug)]
struct Part {
    status: String,
    out: String,
    err: String,
}

/// The directories of `tests/fixtures/proof`.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(project().join("tests/fixtures/proof")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn is_faulty(name: &str) -> bool {
    FAULTY.iter().any(|(faulty, ..)| *faulty == name)
}

/// The manifest of a fixture.
fn manifest_of(name: &str) -> String {
    let file = format!("tests/fixtures/proof/{name}/manifest.yaml");
    std::fs::read_to_string(project().join(file)).unwrap()
}

/// Packs the archives of an extension, and writes its manifest with their digests.
fn write(directory: &Path, name: &str) {
    let fixture = project().join("tests/fixtures/proof").join(name);
    let mut manifest = manifest_of(name);
    let license = std::fs::read_to_string(project().join("src/image/licences/MIT.txt")).unwrap();
    for top in std::fs::read_dir(fixture.join("archives")).unwrap() {
        let top = top.unwrap();
        let read = |file: String| {
            let text = std::fs::read_to_string(top.path().join(&file)).unwrap();
            (file, text)
        };
        let mut files: Vec<(String, String)> = files_below(&top.path()).into_iter().map(read).collect();
        let top = top.file_name().into_string().unwrap();
        if top.starts_with(&format!("{name}-")) {
            files.push(("LICENSE".to_owned(), license.clone()));
        }
        let (bytes, digest) = archive_of(&top, &files);
        std::fs::write(directory.join(format!("vendor/{top}.tar.gz")), bytes).unwrap();
        manifest = manifest.replace(&format!("DIGEST({top})"), &digest);
    }
    assert!(!manifest.contains("DIGEST("), "{manifest}");
    std::fs::write(directory.join(format!("manifests/{name}.yaml")), manifest).unwrap();
}

/// The manifests and archives for the containers.
fn input() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["manifests", "vendor"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    for name in names() {
        write(directory.path(), &name);
    }
    let is_program = |name: &String| manifest_of(name).starts_with("kind: program");
    let (programs, extensions): (Vec<String>, Vec<String>) = names().into_iter().partition(is_program);
    let image = format!(
        "kind: image\nname: proof\nbase: debian:bookworm\npostgresql: 15-apt\nextensions: [{}]\nprograms: [{}]\n\
         user: {{name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash}}\nlocale: C.UTF-8\n\
         configuration: /etc/postgresql/image.conf\nprune: {{remove: [logs]}}\n",
        extensions.join(", "),
        programs.join(", ")
    );
    std::fs::write(directory.path().join("manifests/image.yaml"), image).unwrap();
    let server = std::fs::read_to_string(project().join("manifests/postgresql/15-apt.yaml")).unwrap();
    // It names an extension that is not among these.
    let (before, rest) = server.split_once("conflicts:").expect("a list of conflicts");
    let (_, after) = rest.split_once("\n\n").expect("something after it");
    let server = format!("{before}{after}");
    std::fs::write(directory.path().join("manifests/server.yaml"), server).unwrap();
    directory
}

/// All parts by name, run once.
fn parts() -> &'static BTreeMap<&'static str, Part> {
    static PARTS: OnceLock<Result<BTreeMap<&'static str, Part>, String>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        in_base::available()?;
        let input = input();
        let mut parts = run(input.path(), "test", TEST, &["test", "upstream"]);
        let names = ["gate", "faulty", "sound", "verify", "installed"];
        parts.extend(run(input.path(), "install", INSTALL, &names));
        Ok(parts)
    });
    parts.as_ref().unwrap_or_else(|why| skip(why))
}

fn run(input: &Path, what: &str, script: &str, names: &[&'static str]) -> BTreeMap<&'static str, Part> {
    let list = |is_wanted: &dyn Fn(&str) -> bool| {
        let all = self::names().into_iter().filter(|name| is_wanted(name));
        all.collect::<Vec<_>>().join(",")
    };
    let lists = [
        format!("--env=GATE={}", AT_THE_GATE.join(",")),
        format!(
            "--env=FAULTY={}",
            list(&|name| is_faulty(name) && !AT_THE_GATE.contains(&name))
        ),
        format!("--env=SOUND={}", list(&|name| !is_faulty(name))),
    ];
    let script = format!("{PART}{script}");
    let options = lists.each_ref().map(String::as_str);
    let name = format!("proof-{what}");
    let container = InBase::create(
        &name,
        &options,
        &script,
        (input, "/proof"),
        "/usr/local/bin/pgsetup",
    );
    let ran = container.run(1500);
    let taken = container.copy(&["/proof/."]);
    let read = |name: &&'static str| {
        let text = |suffix: &str| {
            std::fs::read_to_string(taken.path().join(format!("{name}.{suffix}"))).unwrap_or_default()
        };
        let part = Part {
            status: text("status").trim().to_owned(),
            out: text("out"),
            err: text("err"),
        };
        (*name, part)
    };
    let parts: BTreeMap<_, _> = names.iter().map(read).collect();
    assert!(
        parts.values().all(|part| !part.status.is_empty()),
        "the container did not come to its end: {ran:?}\n{parts:#?}"
    );
    parts
}

/// The failed tests of an extension in TAP, and how many passed.
fn outcomes(part: &Part, extension: &str) -> (Vec<String>, usize) {
    let prefix = format!("{extension} 1.0: ");
    let (mut failed, mut passed) = (Vec::new(), 0);
    for line in part.out.lines() {
        let is_ok = line.starts_with("ok ");
        let Some((_, about)) = line
            .split_once(" - ")
            .filter(|_| is_ok || line.starts_with("not ok "))
        else {
            continue;
        };
        match about.strip_prefix(&prefix) {
            None => {}
            Some(name) if !is_ok && !name.contains(" # TODO ") => failed.push(name.to_owned()),
            Some(_) => passed += 1,
        }
    }
    (failed, passed)
}

#[test]
fn every_sound_extension_passes_its_test() {
    let test = &parts()["test"];
    for name in names().iter().filter(|name| !is_faulty(name)) {
        let (failed, passed) = outcomes(test, name);
        assert!(
            failed.is_empty() && passed >= 5,
            "{name}: {failed:?}\n{}{}",
            test.out,
            test.err
        );
    }
}

#[test]
fn every_sound_extension_is_installed_and_verified() {
    let parts = parts();
    for name in ["sound", "verify", "installed"] {
        let part = &parts[name];
        assert_eq!(part.status, "0", "{name}: {}{}", part.out, part.err);
    }
    for name in names().iter().filter(|name| !is_faulty(name)) {
        let (failed, passed) = outcomes(&parts["installed"], name);
        assert!(
            failed.is_empty() && passed >= 5,
            "{name}: {failed:?}\n{:#?}",
            parts["installed"]
        );
    }
}

#[test]
fn a_fault_is_refused_by_test_and_install_alike() {
    let parts = parts();
    let test = &parts["test"];
    assert_eq!(test.status, "7", "{}{}", test.out, test.err);
    for (name, check, said) in FAULTY {
        assert_eq!(
            outcomes(test, name).0,
            [check],
            "{name}: {}{}",
            test.out,
            test.err
        );
        assert!(test.out.contains(said), "{name}: {}", test.out);
        let is_at_the_gate = AT_THE_GATE.contains(&name);
        let part = &parts[if is_at_the_gate { "gate" } else { "faulty" }];
        assert_eq!(part.status, "7", "{name}: {}", part.err);
        assert!(part.err.contains(said), "{name}: {}", part.err);
        if !is_at_the_gate {
            let line = format!("{name} 1.0: {check}: ");
            assert!(part.err.contains(&line), "{name}: {}", part.err);
        }
    }
}

#[test]
fn an_excused_check_is_run_and_told_with_its_reason() {
    let parts = parts();
    for part in [&parts["test"], &parts["installed"]] {
        for line in [
            "excused 1.0: drop excused # TODO it is removed by a function of its own",
            "excused 1.0: create again # SKIP it could not be dropped",
            "excused_license 1.0: license # TODO upstream has changed its licence, and forgot the file",
        ] {
            assert!(part.out.contains(line), "{line}\n{}", part.out);
        }
    }
    let directory = input();
    let manifests = directory.path().join("manifests");
    let plan = pgsetup(["plan", manifests.to_str().unwrap(), "--extensions", "excused"]);
    let said = "excused: `drop` may fail: it is removed by a function of its own";
    assert!(plan.out.contains(said), "{}{}", plan.out, plan.err);
}

#[test]
fn a_library_alone_is_loaded_and_its_refusal_is_proved() {
    let parts = parts();
    for part in [&parts["test"], &parts["installed"]] {
        for line in [
            "- only_library 1.0: load",
            "- only_preloaded 1.0: load",
            "- only_preloaded 1.0: without being preloaded it says so",
        ] {
            let is_it = |text: &str| text.starts_with("ok ") && text.ends_with(line);
            assert!(part.out.lines().any(is_it), "{line}\n{}", part.out);
        }
    }
}

#[test]
fn an_older_version_is_updated_with_its_data() {
    let test = &parts()["test"];
    for line in [
        "- upgraded 1.0: from 0.9: before: what was stored stays",
        "- upgraded 1.0: from 0.9: update",
        "- upgraded 1.0: from 0.9: after: what was stored stays",
    ] {
        let is_it = |text: &str| text.starts_with("ok ") && text.ends_with(line);
        assert!(test.out.lines().any(is_it), "{line}\n{}", test.out);
    }
}

#[test]
fn tests_of_upstream_run_as_the_manifest_says() {
    let upstream = &parts()["upstream"];
    assert_eq!(upstream.status, "0", "{}{}", upstream.out, upstream.err);
    for line in [
        "own_targets 1.0: upstream: answers\n",
        "own_steps 1.0: upstream: first\n",
        "own_steps 1.0: upstream: second # TODO it needs another clock\n",
    ] {
        assert!(upstream.out.contains(line), "{line}{}", upstream.out);
    }
}

/// Keys that no manifest here uses, with the test that exercises each.
const ELSEWHERE: [(&str, &str); 18] = [
    (
        "build.cargo",
        "an_extension_is_compiled_with_the_crates_of_its_lock",
    ),
    (
        "build.pgrx",
        "problems_are_reported_all_at_once_and_word_for_word",
    ),
    (
        "releases.crates",
        "an_extension_is_compiled_with_the_crates_of_its_lock",
    ),
    ("variants", "problems_are_reported_all_at_once_and_word_for_word"),
    ("cpu_flags", "a_makefile_changes_nothing_outside_of_its_build"),
    (
        "cpu_flags.architecture",
        "a_makefile_changes_nothing_outside_of_its_build",
    ),
    (
        "cpu_flags.flags",
        "a_makefile_changes_nothing_outside_of_its_build",
    ),
    (
        "cpu_flags.reason",
        "a_makefile_changes_nothing_outside_of_its_build",
    ),
    ("root", "problems_are_reported_all_at_once_and_word_for_word"),
    (
        "architectures",
        "problems_are_reported_all_at_once_and_word_for_word",
    ),
    (
        "packages.dlopen",
        "what_goes_with_build_packages_but_is_needed_is_named",
    ),
    (
        "packages.dlopen_optional",
        "what_goes_with_build_packages_but_is_needed_is_named",
    ),
    (
        "releases.sources.accepted.sha512",
        "sha512_has_to_be_right_as_well",
    ),
    (
        "releases.sources.insecure",
        "plain_http_is_asked_only_with_a_reason_or_in_the_debian_archive",
    ),
    (
        "releases.sources.max_bytes",
        "what_is_too_large_is_not_downloaded",
    ),
    (
        "releases.sources.mirrors.url",
        "the_order_of_supply_is_vendor_cache_url_mirrors_content_mirrors",
    ),
    ("releases.sources.sha512", "sha512_has_to_be_right_as_well"),
    (
        "releases.sources.tar_sha256",
        "a_tar_that_was_compressed_anew_is_right_by_its_own_digest",
    ),
];

/// Every key below `schema`, with dots between the levels and without the positions of lists.
fn keys(schema: &Value, at: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    let at = resolved(schema, at);
    if let Some(properties) = at["properties"].as_object() {
        for (name, property) in properties {
            let path = format!("{prefix}{name}");
            found.insert(path.clone());
            keys(schema, property, &format!("{path}."), found);
        }
    }
    if at["items"].is_object() {
        keys(schema, &at["items"], prefix, found);
    }
}

/// Follows a reference, also where null is allowed besides.
fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    let branches = at["anyOf"].as_array();
    let branch = branches.and_then(|all| all.iter().find(|one| one["type"] != "null"));
    let at = branch.unwrap_or(at);
    match at["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => &schema["$defs"][name],
        None => at,
    }
}

/// Every key that a manifest has.
fn used(value: &serde_yaml::Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_yaml::Value::Mapping(map) => {
            for (name, value) in map {
                let path = format!("{prefix}{}", name.as_str().unwrap_or_default());
                used(value, &format!("{path}."), found);
                found.insert(path);
            }
        }
        serde_yaml::Value::Sequence(list) => list.iter().for_each(|one| used(one, prefix, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_an_extension_is_exercised() {
    let schema: Value = serde_json::from_str(&pgsetup(["schema", "manifest"]).out).unwrap();
    let mut all = BTreeSet::new();
    keys(&schema, &schema["$defs"]["extension"], "", &mut all);
    assert!(all.contains("releases.sources.into"), "{all:?}");
    let mut exercised = BTreeSet::new();
    let tested = std::fs::read_to_string(project().join("docs/results/extensions.tsv")).unwrap();
    let tested = tested.lines().filter_map(|line| line.split('\t').next());
    let catalogue = tested.map(|name| project().join(format!("manifests/extensions/{name}.yaml")));
    let fixtures = names()
        .into_iter()
        .map(|name| project().join(format!("tests/fixtures/proof/{name}/manifest.yaml")));
    // Modules share a file that has no key of its own.
    for file in catalogue.chain(fixtures).filter(|file| file.exists()) {
        let text = std::fs::read_to_string(file).unwrap();
        used(&serde_yaml::from_str(&text).unwrap(), "", &mut exercised);
    }
    // An older version is described as a release is.
    let plain = |key: &str| match key.strip_prefix("upgrades.") {
        Some(below)
            if ["sources", "provides", "crates"]
                .iter()
                .any(|part| below.starts_with(part)) =>
        {
            format!("releases.{below}")
        }
        Some(below) if below.starts_with("build.") || below.starts_with("tests.") => below.to_owned(),
        _ => key.to_owned(),
    };
    // A key stands for those below it.
    let is_elsewhere = |key: &str| {
        let is_below = |other: &str| {
            key.strip_prefix(other)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        ELSEWHERE.iter().any(|(other, _)| is_below(other))
    };
    let missing: Vec<&String> = all
        .iter()
        .filter(|key| !exercised.contains(*key))
        .filter(|key| !exercised.contains(&plain(key)) && !is_elsewhere(&plain(key)))
        .collect();
    assert!(missing.is_empty(), "no real input uses {missing:?}");
    let directories = ["src", "tests"].map(|name| project().join(name));
    let sources: String = directories
        .iter()
        .flat_map(|directory| {
            files_below(directory)
                .into_iter()
                .map(|file| directory.join(file))
        })
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for (key, test) in ELSEWHERE {
        assert!(
            sources.contains(&format!("fn {test}()")),
            "{key}: there is no test {test}"
        );
    }
}
