//! Whether the licence texts of an extension's archives are those of the licences that its manifest declares.

use super::Proof;
use crate::failure::{Cause, Failure};
use crate::host::local;
use crate::image::licence::{declares, identify};
use crate::manifest::extension::Check;
use crate::step::build::licence::{MAX_BYTES, directory};

/// The beginnings of names under which an archive has the text of its own licence. A notice is about what it bundles.
const OWN: [&str; 6] = [
    "copying",
    "copyright",
    "licence",
    "license",
    "unlicence",
    "unlicense",
];

/// Compares the texts at the top of the extension's archives with its manifest. A text that is not recognised says nothing.
///
/// # Errors
/// pgsetup was interrupted. A contradiction is an outcome.
pub fn check(proof: &Proof<'_, '_, '_>) -> Result<(), Failure> {
    if proof.extension.comes_with_postgresql() {
        return Ok(());
    }
    let component = &proof.extension.component;
    let texts = texts(proof);
    let recognised: Vec<(&String, Vec<&str>)> = texts
        .iter()
        .map(|(name, text)| (name, identify(text)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    if recognised.is_empty() {
        let why = match texts.first() {
            None => "its archive has no licence text".to_owned(),
            Some((name, _)) => format!("{name} is not the text of a known licence"),
        };
        proof.recorder.skip(NAME, &why);
        return Ok(());
    }
    proof
        .built_in(Check::License, NAME, || {
            contradictions(&component.license, &recognised)
        })
        .map(drop)
}

/// The name of the check.
const NAME: &str = "license";

fn contradictions(declared: &str, recognised: &[(&String, Vec<&str>)]) -> Result<(), Failure> {
    let is_wrong = |found: &&str| !declares(declared, found);
    let lines: Vec<String> = recognised
        .iter()
        .filter(|(_, found)| found.iter().all(&is_wrong))
        .map(|(name, found)| format!("{name} of its archive is the text of {}", found.join(" and ")))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Cause::Test,
        format_args!(
            "its manifest says `license: {declared}`, but {}\nhint: write the SPDX expression of what upstream says; if its \
             text is not what counts, excuse `license` in `known_failures`",
            lines.join(", and ")
        ),
    ))
}

/// The licence texts at the top of the archives, as they are kept in the image: name and text.
fn texts(proof: &Proof<'_, '_, '_>) -> Vec<(String, String)> {
    let (host, extension) = (proof.context().host, proof.extension);
    let below = format!("{}/", directory(&extension.component.id()));
    let paths: Vec<String> = proof
        .context()
        .state
        .inventory()
        .iter()
        .filter(|file| file.is_of(&extension.component))
        .map(|file| file.path.clone())
        .collect();
    let mut texts = Vec::new();
    for path in paths {
        let Some(name) = path.strip_prefix(&below).filter(|name| !name.contains('/')) else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if !OWN.iter().any(|start| lower.starts_with(start)) {
            continue;
        }
        let text = host
            .reach(&path)
            .ok()
            .and_then(|path| local::read_foreign(&path, MAX_BYTES));
        texts.extend(text.map(|text| (name.to_owned(), text)));
    }
    texts
}
