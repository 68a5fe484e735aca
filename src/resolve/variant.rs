//! What of a manifest counts on a target: its own values, and those of its variants that are for the target.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::Located;
use crate::manifest::problem::Problem;
use crate::manifest::variant::Varied;
use crate::target::Target;

/// A manifest with the values of its variants that are for `target` added: lists become longer, and what is single is
/// replaced.
pub fn varied<T: Varied + Serialize + DeserializeOwned>(manifest: T, target: &Target) -> T {
    let counts: Vec<bool> = manifest
        .extents()
        .iter()
        .map(|extent| extent.has(target))
        .collect();
    if counts.is_empty() {
        return manifest;
    }
    let mut whole = serde_json::to_value(&manifest).expect("a manifest is made of texts, numbers and lists");
    let variants = whole["variants"].take();
    let variants = variants.as_array().into_iter().flatten().zip(counts);
    for (variant, _) in variants.filter(|(_, counts)| *counts) {
        let values = variant.as_object().into_iter().flatten();
        for (key, value) in values.filter(|(key, _)| !matches!(key.as_str(), "bases" | "architectures")) {
            add(&mut whole[key.as_str()], value);
        }
    }
    whole["variants"] = Value::Array(Vec::new());
    serde_json::from_value(whole).expect("a variant has the types of its manifest")
}

fn add(own: &mut Value, more: &Value) {
    match (own, more) {
        (_, Value::Null) => {}
        (Value::Object(own), Value::Object(more)) => {
            for (key, value) in more {
                add(own.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(own), Value::Array(more)) => own.extend(more.iter().cloned()),
        (own, more) => *own = more.clone(),
    }
}

/// A problem for each value that variants give for other bases only. Those that `is_wanted` rejects by their path do not
/// matter.
pub fn missing<T: Varied>(
    manifest: &Located<T>,
    target: &Target,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Problem> {
    let base = &target.distribution;
    let extents = manifest.value.extents();
    let given: Vec<Vec<String>> = (0..extents.len())
        .map(|position| manifest.given(&format!("variants[{position}]")))
        .collect();
    let covers = |given: &String, path: &str| {
        path.strip_prefix(given.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_given = |path: &str| {
        let mut those = extents.iter().zip(&given);
        those.any(|(extent, given)| extent.has_base(base) && given.iter().any(|one| covers(one, path)))
    };
    let mut problems = Vec::new();
    let mut reported: Vec<&str> = Vec::new();
    for (position, paths) in given.iter().enumerate() {
        for path in paths {
            let is_selector = matches!(path.as_str(), "bases" | "architectures");
            if is_selector || !is_wanted(path) || is_given(path) || reported.contains(&path.as_str()) {
                continue;
            }
            reported.push(path);
            let mut bases: Vec<&str> = Vec::new();
            for (extent, given) in extents.iter().zip(&given) {
                if given.contains(path) {
                    bases.extend(extent.bases.iter().map(String::as_str));
                }
            }
            let message = format!("`{path}` is given for {}, but not for {base}", bases.join(", "));
            let help = format!(
                "add it to an entry of `variants` with `bases: [{base}]`; an empty list where there is nothing to add"
            );
            let place = format!("variants[{position}].{path}");
            problems.push(manifest.problem(&place, message).help(help));
        }
    }
    problems
}
