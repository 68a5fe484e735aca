//! The parts of a manifest agree: names, versions, addresses, digests.

use std::collections::BTreeSet;

use crate::manifest::{Catalogue, Extension, Source, Test};
use crate::{Outcome, check};

/// The file has the extension's name; every address is https and has the version; every digest is well-formed.
pub fn names_urls_digests(catalogue: &Catalogue, extension: &Extension) -> Outcome {
    let mut wrong = Vec::new();
    let stem = extension.file.file_stem().unwrap_or_default();
    if stem != extension.name.as_str() {
        wrong.push(format!(
            "the manifest `{}` is in {}",
            extension.name,
            extension.file.display()
        ));
    }
    let namesakes = catalogue
        .all()
        .chain(&catalogue.programs)
        .filter(|other| other.name == extension.name);
    if namesakes.count() > 1 {
        wrong.push(format!("two manifests are named `{}`", extension.name));
    }
    for release in &extension.releases {
        for (position, source) in release.sources.iter().enumerate() {
            // Further archives have their own versions.
            let is_named_for_version = position == 0;
            let about = |what: String| format!("{} {}: {what}", extension.name, release.version);
            wrong.extend(wrong_url(&release.version, source, is_named_for_version).map(about));
        }
    }
    for (version, source) in extension.sources() {
        wrong.extend(wrong_digests(source).map(|what| format!("{} {version}: {what}", extension.name)));
    }
    check(wrong.is_empty(), || wrong.join("\n"))
}

fn wrong_url(version: &str, source: &Source, is_named_for_version: bool) -> Option<String> {
    let url = source.url.as_str();
    if !url.starts_with("https://") && source.insecure.is_none() {
        return Some(format!("{url} is not https"));
    }
    if !is_named_for_version || url.contains("${version}") {
        return None;
    }
    if url.contains(version) {
        return Some(format!("{url} has the version in it; write ${{version}}"));
    }
    // Tags such as REL18_1_8_0, and commits where upstream makes no tags.
    let as_words = version.replace(['.', '-'], "_");
    let has_commit = url
        .split(['/', '.', '-'])
        .any(|word| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_named = url.contains(&as_words) || has_commit;
    (!is_named).then(|| format!("{url} names neither version nor commit"))
}

fn wrong_digests(source: &Source) -> Option<String> {
    let accepted = source.accepted.iter().map(|accepted| &accepted.sha256);
    let digests: Vec<&String> = std::iter::once(&source.sha256).chain(accepted).collect();
    let is_digest = |digest: &str| {
        digest.len() == 64
            && digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some(wrong) = digests.iter().find(|digest| !is_digest(digest)) {
        return Some(format!(
            "{wrong} is not the 64 small hexadecimal digits of a SHA-256"
        ));
    }
    let different: BTreeSet<&&String> = digests.iter().collect();
    (different.len() != digests.len()).then(|| format!("{} stands twice", source.sha256))
}

/// All extensions that it requires, conflicts with or is loaded after are in the catalogue.
pub fn requirements(catalogue: &Catalogue, extension: &Extension) -> Outcome {
    let conflicts = extension.conflicts.iter().map(|conflict| &conflict.extension);
    let after = extension.preload.iter().flat_map(|preload| &preload.after);
    let named = extension.requires.iter().chain(conflicts).chain(after);
    let missing: Vec<&str> = named
        .map(String::as_str)
        .filter(|name| catalogue.extension(name).is_none())
        .collect();
    check(missing.is_empty(), || {
        format!("there is no manifest of {}", missing.join(", "))
    })
}

/// The licence is an SPDX expression of known licences.
pub fn licence(_: &Catalogue, extension: &Extension) -> Outcome {
    spdx::Expression::parse(&extension.license)
        .map(drop)
        .map_err(|error| format!("`{}`: {error}", extension.license).into())
}

/// It has a command that can fail: what it prints is not among its words.
pub fn runs(_: &Catalogue, program: &Extension) -> Outcome {
    let mut described = BTreeSet::new();
    for run in &program.runs {
        check(described.insert(&run.description), || {
            format!("two commands say `{}`", run.description)
        })?;
        let asserts = !run.prints.trim().is_empty() && run.run.iter().all(|word| *word != run.prints);
        check(asserts, || {
            format!("`{}` is right whatever the program does", run.description)
        })?;
    }
    check(!described.is_empty(), || {
        "it has no command that says what it prints".to_owned()
    })
}

/// It has a test that can fail: the expected answer is an error, or is not in the query.
pub fn tests(_: &Catalogue, extension: &Extension) -> Outcome {
    let asserts = |test: &Test| {
        let query = test.query.trim().trim_end_matches(';').to_ascii_lowercase();
        let repeats = |expected: &String| query == format!("select {}", expected.trim().to_ascii_lowercase());
        let answer = test.expected.as_ref().or(test.error.as_ref());
        !query.is_empty() && answer.is_some() && !test.expected.as_ref().is_some_and(repeats)
    };
    let mut described = BTreeSet::new();
    for test in &extension.tests {
        check(described.insert(&test.description), || {
            format!("two tests say `{}`", test.description)
        })?;
        check(asserts(test), || {
            format!(
                "the test `{}` is right whatever the extension does",
                test.description
            )
        })?;
    }
    check(!described.is_empty(), || {
        "it has no test that says what its SQL answers".to_owned()
    })
}
