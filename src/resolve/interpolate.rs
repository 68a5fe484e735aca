//! Replaces `${version}` and its like in every text of a manifest.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::problem::Problem;
use crate::manifest::{Located, nearest};

/// The variables of a manifest with their values.
pub type Variables = BTreeMap<&'static str, String>;

/// The manifest with every variable replaced, and a problem for each that does not exist.
pub fn interpolate<T: Serialize + DeserializeOwned>(
    manifest: &Located<T>,
    variables: &Variables,
) -> (T, Vec<Problem>) {
    let mut value =
        serde_json::to_value(&manifest.value).expect("a manifest is made of texts, numbers and lists");
    let mut problems = Vec::new();
    walk(&mut value, &mut String::new(), &mut |text, path| {
        if let Some(wrong) = malformed(text, path, variables) {
            let help = format!("the variables are: {}", braced(variables).join(", "));
            problems.push(manifest.problem(path, wrong).help(help));
        }
        let (replaced, unknown) = replace(text, variables);
        *text = replaced;
        for name in unknown {
            let help = match nearest(&name, variables.keys().copied()) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => format!("the variables are: {}", braced(variables).join(", ")),
            };
            problems.push(
                manifest
                    .problem(path, format!("there is no variable `${{{name}}}`"))
                    .help(help),
            );
        }
    });
    let value = serde_json::from_value(value).expect("replacing text in a manifest keeps its shape");
    (value, problems)
}

fn braced(variables: &Variables) -> Vec<String> {
    variables.keys().map(|name| format!("${{{name}}}")).collect()
}

/// Keys whose texts are for people or for PostgreSQL, where a `$` means something else.
const FREE: [&str; 9] = [
    "description",
    "error",
    "expected",
    "query",
    "reason",
    "session",
    "settings",
    "setup",
    "summary",
];

/// What looks like a variable in `text`, the value at `path`, and would stay as it is. An address has neither a `$` nor
/// braces of its own. In scripts for a shell, `$version` may be a variable of the shell.
fn malformed(text: &str, path: &str, variables: &Variables) -> Option<String> {
    let has_key = |key: &str| path.split(['.', '[']).any(|part| part == key);
    let is_script = path.contains(".run[") && text.contains(char::is_whitespace);
    if is_script || FREE.iter().any(|key| has_key(key)) {
        return None;
    }
    let rest = replace(text, variables).0;
    let last = path.rsplit('.').next().unwrap_or(path);
    if matches!(last, "url" | "debian" | "homepage") {
        let at = rest.find(['$', '{', '}'])?;
        let shown: String = rest[at..].chars().take_while(|c| !"/?#".contains(*c)).collect();
        return Some(format!(
            "`{shown}` is not a variable: one is written `${{version}}`"
        ));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    rest.match_indices('$').find_map(|(at, _)| {
        let after = &rest[at + 1..];
        if rest[..at].ends_with('$') {
            return None;
        }
        let (name, what) = match after.strip_prefix('{') {
            Some(open) => (open, "is not closed"),
            None => (after, "has no braces"),
        };
        let name = &name[..name.find(|c| !is_word(c)).unwrap_or(name.len())];
        let shown = format!("${}{name}", if after.starts_with('{') { "{" } else { "" });
        variables
            .contains_key(name)
            .then(|| format!("`{shown}` {what}: a variable is written `${{{name}}}`"))
    })
}

fn walk(value: &mut Value, path: &mut String, visit: &mut impl FnMut(&mut String, &str)) {
    let length = path.len();
    match value {
        Value::String(text) => visit(text, path),
        Value::Array(items) => {
            for (position, item) in items.iter_mut().enumerate() {
                path.push_str(&format!("[{position}]"));
                walk(item, path, visit);
                path.truncate(length);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                walk(item, path, visit);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `text` with its variables replaced, and the names of those that do not exist. Such a one is replaced by `0`,
/// which may stand anywhere, so that what is around it can still be checked.
fn replace(text: &str, variables: &Variables) -> (String, Vec<String>) {
    let mut replaced = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let name = &rest[start + 2..start + length];
        replaced.push_str(&rest[..start]);
        if let Some(value) = variables.get(name) {
            replaced.push_str(value);
        } else {
            replaced.push('0');
            unknown.push(name.to_owned());
        }
        rest = &rest[start + length + 1..];
    }
    replaced.push_str(rest);
    (replaced, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_a_variable_is_told_by_its_place() {
        let variables = Variables::from([("version", "1.0".to_owned()), ("pg_config", "/p".to_owned())]);
        for (text, path, wrong) in [
            (
                "https://h/x-$version.gz",
                "releases[0].sources[0].url",
                "`$version.gz` is not",
            ),
            (
                "https://h/$(version)/x.gz",
                "sources[0].mirrors[0].url",
                "`$(version)` is not",
            ),
            ("https://h/x-{version}.gz", "archive.url", "`{version}.gz` is not"),
            ("https://h/x-${version.gz", "archive.url", "`${version.gz` is not"),
            ("pool/x_$version.gz", "mirrors[1].debian", "`$version.gz` is not"),
            (
                "VERSION=$version",
                "build.pgxs.make[0]",
                "`$version` has no braces",
            ),
            (
                "--with-pg=${pg_config",
                "build.autoconf.configure[0]",
                "`${pg_config` is not closed",
            ),
            ("X=$(version)", "build.pgxs.make[0]", ""),
            ("X=$$version", "build.pgxs.make[0]", ""),
            ("$versions", "build.pgxs.make[0]", ""),
            (
                "for version in 1; do echo $version; done",
                "build.steps[0].run[2]",
                "",
            ),
            ("SELECT $version$x$version$", "tests[0].query", ""),
            ("https://h/x-${version}.gz", "archive.url", ""),
        ] {
            let found = malformed(text, path, &variables).unwrap_or_default();
            assert!(
                found.starts_with(wrong) && found.is_empty() == wrong.is_empty(),
                "{text}: {found}"
            );
        }
    }

    #[test]
    fn known_variables_are_replaced_and_unknown_ones_are_named() {
        let variables = Variables::from([("version", "14.0.1".to_owned()), ("arch", "arm64".to_owned())]);
        let replaced = replace("v${version}/${version}-${arch} $x ${", &variables);
        assert_eq!(replaced, ("v14.0.1/14.0.1-arm64 $x ${".to_owned(), Vec::new()));
        let replaced = replace("v${verison}.gz", &variables);
        assert_eq!(replaced, ("v0.gz".to_owned(), vec!["verison".to_owned()]));
    }
}
