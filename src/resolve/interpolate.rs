//! Replaces `${version}` and its like in every text of a manifest.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::problem::Problem;
use crate::manifest::{Located, nearest};

/// The variables of a manifest with their values.
pub type Variables = BTreeMap<&'static str, String>;

/// The manifest with every variable replaced, or a problem for each that does not exist.
pub fn interpolate<T: Serialize + DeserializeOwned>(
    manifest: &Located<T>,
    variables: &Variables,
) -> Result<T, Vec<Problem>> {
    let mut value =
        serde_json::to_value(&manifest.value).expect("a manifest is made of texts, numbers and lists");
    let mut problems = Vec::new();
    walk(
        &mut value,
        &mut String::new(),
        &mut |text, path| match replace(text, variables) {
            Ok(replaced) => *text = replaced,
            Err(unknown) => {
                let known: Vec<String> = variables.keys().map(|name| format!("${{{name}}}")).collect();
                let help = match nearest(&unknown, variables.keys().copied()) {
                    Some(near) => format!("did you mean `${{{near}}}`?"),
                    None => format!("the variables are: {}", known.join(", ")),
                };
                problems.push(
                    manifest
                        .problem(path, format!("there is no variable `${{{unknown}}}`"))
                        .help(help),
                );
            }
        },
    );
    if problems.is_empty() {
        Ok(serde_json::from_value(value).expect("replacing text in a manifest keeps its shape"))
    } else {
        Err(problems)
    }
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

/// `text` with its variables replaced, or the name of the first unknown one.
fn replace(text: &str, variables: &Variables) -> Result<String, String> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let name = &rest[start + 2..start + length];
        let value = variables.get(name).ok_or_else(|| name.to_owned())?;
        replaced.push_str(&rest[..start]);
        replaced.push_str(value);
        rest = &rest[start + length + 1..];
    }
    replaced.push_str(rest);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_variables_are_replaced_and_unknown_ones_are_named() {
        let variables = Variables::from([("version", "14.0.1".to_owned()), ("arch", "arm64".to_owned())]);
        let replaced = replace("v${version}/${version}-${arch} $x ${", &variables);
        assert_eq!(replaced.unwrap(), "v14.0.1/14.0.1-arm64 $x ${");
        assert_eq!(replace("${verison}", &variables).unwrap_err(), "verison");
    }
}
