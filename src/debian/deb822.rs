//! The syntax of control files (deb822(5)) and of the relations in them (deb-control(5)).

use std::collections::BTreeMap;

/// The fields of each paragraph, continuation lines joined by newlines. Lines that begin with `#` are comments.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = BTreeMap<String, String>> {
    let (mut paragraphs, mut fields, mut last) =
        (Vec::new(), BTreeMap::<String, String>::new(), String::new());
    for line in text.lines().filter(|line| !line.starts_with('#')).chain([""]) {
        if line.trim().is_empty() {
            paragraphs.extend(Some(std::mem::take(&mut fields)).filter(|fields| !fields.is_empty()));
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = fields.get_mut(&last) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            name.trim().clone_into(&mut last);
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    paragraphs.into_iter()
}

pub fn field(fields: &BTreeMap<String, String>, name: &str) -> String {
    fields.get(name).cloned().unwrap_or_default()
}

/// The groups of alternatives of a relationship field. Versions are left out: what is installed satisfies them, for
/// dpkg saw to that. Architecture qualifiers (`:any`) are left out too.
pub fn relation(field: &str) -> Vec<Vec<String>> {
    let name = |alternative: &str| -> Option<String> {
        let word = alternative
            .split([' ', '(', '\n'])
            .find(|word| !word.is_empty())?;
        Some(word.split(':').next().unwrap_or(word).to_owned())
    };
    field
        .split(',')
        .map(|group| group.split('|').filter_map(name).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect()
}
