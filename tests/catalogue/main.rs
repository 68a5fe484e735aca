//! Tests of the catalogue: several for each extension manifest and each contrib module, found in the directory at the
//! start. A new file in `manifests/extensions` is a new set of tests without any Rust.
//!
//! The agreed plans are in `tests/golden/extensions`; `SNAPSHOTS=overwrite cargo test --test catalogue` writes them
//! again.

mod coherent;
mod manifest;
mod plan;
mod record;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use manifest::Catalogue;

type Outcome = Result<(), Failed>;

/// The project's directory.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Trials outlive this function.
    let catalogue: &Catalogue = Box::leak(Box::new(Catalogue::read()));
    let mut trials = vec![
        Trial::test("catalogue::the_manifests_were_found", || {
            let found = catalogue.extensions.len();
            check(found >= 8, || format!("there are {found} extension manifests"))
        }),
        Trial::test("catalogue::every_manifest_can_be_read", || {
            check(catalogue.unreadable.is_empty(), || {
                catalogue.unreadable.join("\n")
            })
        }),
        Trial::test("catalogue::every_agreed_plan_has_its_manifest", || {
            plan::no_orphans(catalogue)
        }),
        Trial::test("catalogue::no_two_archives_have_the_same_digest", || {
            digests_differ(catalogue)
        }),
    ];
    for extension in &catalogue.extensions {
        let mut add = |what: &str, test: fn(&Catalogue, &manifest::Extension) -> Outcome| {
            let name = format!("extension::{}::{what}", extension.name);
            trials.push(Trial::test(name, move || test(catalogue, extension)));
        };
        add("resolves_on_every_major_it_claims", plan::resolves);
        add("its_plan_is_as_agreed", plan::as_agreed);
        add(
            "its_names_urls_and_digests_are_coherent",
            coherent::names_urls_digests,
        );
        add("what_it_requires_exists", coherent::requirements);
        add("its_licence_is_an_spdx_expression", coherent::licence);
        add("it_proves_what_it_is_for", coherent::tests);
    }
    for program in &catalogue.programs {
        let mut add = |what: &str, test: fn(&Catalogue, &manifest::Extension) -> Outcome| {
            let name = format!("program::{}::{what}", program.name);
            trials.push(Trial::test(name, move || test(catalogue, program)));
        };
        add("resolves_on_every_major_it_claims", plan::resolves);
        add("its_plan_is_as_agreed", plan::as_agreed);
        add(
            "its_names_urls_and_digests_are_coherent",
            coherent::names_urls_digests,
        );
        add("its_licence_is_an_spdx_expression", coherent::licence);
        add("it_proves_what_it_is_for", coherent::runs);
    }
    for module in &catalogue.modules {
        let mut add = |what: &str, test: fn(&Catalogue, &manifest::Extension) -> Outcome| {
            let name = format!("contrib::{}::{what}", module.name);
            trials.push(Trial::test(name, move || test(catalogue, module)));
        };
        add("resolves_on_every_major_it_claims", plan::resolves);
        add("what_it_requires_exists", coherent::requirements);
        add("it_proves_what_it_is_for", coherent::tests);
    }
    trials.push(Trial::test("catalogue::the_table_says_what_was_tested", || {
        record::tables_are_right(catalogue)
    }));
    trials.extend(trial::trials(catalogue));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(why().into()) }
}

/// A digest that occurs twice was copied, unless it is of the same archive.
fn digests_differ(catalogue: &Catalogue) -> Outcome {
    let mut seen: BTreeMap<&str, (String, String)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for extension in catalogue.extensions.iter().chain(&catalogue.programs) {
        for (version, source) in extension.sources() {
            let url = source.url.replace("${version}", version);
            let title = format!("{} {version}", extension.name);
            match seen.get(source.sha256.as_str()) {
                Some((first, at)) if *at != url => wrong.push(format!(
                    "{title} has the digest of {first}: {}\n  {url}\n  {at}",
                    source.sha256
                )),
                Some(_) => {}
                None => drop(seen.insert(&source.sha256, (title, url))),
            }
        }
    }
    check(wrong.is_empty(), || wrong.join("\n"))
}
