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
        let (replaced, unknown) = replace(text, variables);
        *text = replaced;
        for name in unknown {
            let known: Vec<String> = variables.keys().map(|name| format!("${{{name}}}")).collect();
            let help = match nearest(&name, variables.keys().copied()) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => format!("the variables are: {}", known.join(", ")),
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
    fn known_variables_are_replaced_and_unknown_ones_are_named() {
        let variables = Variables::from([("version", "14.0.1".to_owned()), ("arch", "arm64".to_owned())]);
        let replaced = replace("v${version}/${version}-${arch} $x ${", &variables);
        assert_eq!(replaced, ("v14.0.1/14.0.1-arm64 $x ${".to_owned(), Vec::new()));
        let replaced = replace("v${verison}.gz", &variables);
        assert_eq!(replaced, ("v0.gz".to_owned(), vec!["verison".to_owned()]));
    }
}
