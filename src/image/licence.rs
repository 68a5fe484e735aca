//! Identifies licence texts by what they say, as askalono does: by the pairs of neighbouring words that a text shares with
//! the texts of the SPDX list.
//!
//! Those are in `licences/`, the long ones with their first 450 words only, which no two of them share. Why there is no
//! crate for it is in docs/explanation/decisions/licence-texts.md.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The licences of extensions: the name in the SPDX list, without `-only` and `-or-later`, and the beginning of the text.
const TEXTS: [(&str, &str); 23] = [
    ("0BSD", include_str!("licences/0BSD.txt")),
    ("AGPL-3.0", include_str!("licences/AGPL-3.0.txt")),
    ("Apache-2.0", include_str!("licences/Apache-2.0.txt")),
    ("Artistic-1.0", include_str!("licences/Artistic-1.0.txt")),
    ("Artistic-2.0", include_str!("licences/Artistic-2.0.txt")),
    ("BSD-2-Clause", include_str!("licences/BSD-2-Clause.txt")),
    ("BSD-3-Clause", include_str!("licences/BSD-3-Clause.txt")),
    ("BSD-4-Clause", include_str!("licences/BSD-4-Clause.txt")),
    ("BSL-1.0", include_str!("licences/BSL-1.0.txt")),
    ("CC0-1.0", include_str!("licences/CC0-1.0.txt")),
    ("CDDL-1.0", include_str!("licences/CDDL-1.0.txt")),
    ("EPL-2.0", include_str!("licences/EPL-2.0.txt")),
    ("GPL-2.0", include_str!("licences/GPL-2.0.txt")),
    ("GPL-3.0", include_str!("licences/GPL-3.0.txt")),
    ("ISC", include_str!("licences/ISC.txt")),
    ("LGPL-2.1", include_str!("licences/LGPL-2.1.txt")),
    ("LGPL-3.0", include_str!("licences/LGPL-3.0.txt")),
    ("MIT", include_str!("licences/MIT.txt")),
    ("MIT-0", include_str!("licences/MIT-0.txt")),
    ("MPL-2.0", include_str!("licences/MPL-2.0.txt")),
    ("PostgreSQL", include_str!("licences/PostgreSQL.txt")),
    ("Unlicense", include_str!("licences/Unlicense.txt")),
    ("Zlib", include_str!("licences/Zlib.txt")),
];

/// The part of a licence's pairs that a text must have. Of 34 texts that were measured, each has 0.84 or more of its own
/// licence, whose names of holders it replaces, and 0.52 or less of one of another family.
const THRESHOLD: f64 = 0.75;
/// How much less of a longer licence than of a shorter one a text may have to be the longer: the three clauses of BSD
/// contain the two.
const LONGER: f64 = 0.04;
/// Two licences are variants of one if they share this part of the pairs of the shorter. A text has only one of them.
const VARIANTS: f64 = 0.55;

/// Pairs of neighbouring words.
type Pairs = HashSet<(String, String)>;

static KNOWN: LazyLock<Vec<(&str, Pairs)>> =
    LazyLock::new(|| TEXTS.iter().map(|(name, text)| (*name, pairs(text))).collect());

/// The licences whose text is in `text`, the most certain first, by their names in the SPDX list without `-only` and
/// `-or-later`. Empty if it is none of the known ones.
pub fn identify(text: &str) -> Vec<&'static str> {
    let text = pairs(text);
    let mut candidates: Vec<(f64, usize, &(&'static str, Pairs))> = Vec::new();
    for known in KNOWN.iter() {
        let shared = known.1.intersection(&text).count();
        let part = part(shared, known.1.len());
        if part >= THRESHOLD {
            candidates.push((part, shared, known));
        }
    }
    let mut found = Vec::new();
    while !candidates.is_empty() {
        let most = candidates.iter().map(|(part, ..)| *part).fold(0.0, f64::max);
        let near = candidates.iter().filter(|(part, ..)| *part >= most - LONGER);
        let Some((_, _, best)) = near.max_by_key(|(_, shared, _)| *shared).copied() else {
            break;
        };
        found.push(best.0);
        candidates.retain(|(_, _, other)| {
            let shared = other.1.intersection(&best.1).count();
            part(shared, other.1.len().min(best.1.len())) < VARIANTS
        });
    }
    found
}

/// Whether an SPDX expression names a licence that [`identify`] has found. The texts of a licence are the same with
/// `-only` and `-or-later`, and LGPL 3.0 comes with the text of GPL 3.0, which it amends.
pub fn declares(expression: &str, found: &str) -> bool {
    let words = expression.split(|c: char| c.is_whitespace() || "()".contains(c));
    let mut names = words.map(|word| {
        let word = word.trim_end_matches('+');
        ["-only", "-or-later", "-Perl", "-cl8"]
            .iter()
            .find_map(|suffix| word.strip_suffix(suffix))
            .unwrap_or(word)
    });
    names.any(|name| name == found || name == "LGPL-3.0" && found == "GPL-3.0")
}

#[allow(clippy::cast_precision_loss, reason = "numbers of words")]
fn part(shared: usize, all: usize) -> f64 {
    shared as f64 / all as f64
}

/// The pairs of a text without its lines about copyright, which name holders.
fn pairs(text: &str) -> Pairs {
    let mut pairs = Pairs::new();
    let mut before: Option<String> = None;
    for line in text
        .to_lowercase()
        .lines()
        .filter(|line| !is_about_copyright(line))
    {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric());
        for word in words.filter(|word| !word.is_empty()) {
            let word = word.replace("licence", "license");
            if let Some(before) = before.replace(word.clone()) {
                pairs.insert((before, word));
            }
        }
    }
    pairs
}

/// Whether a line names a holder. A sentence of a licence may begin a line with the same word.
fn is_about_copyright(line: &str) -> bool {
    let line = line.trim_matches(|c: char| c.is_whitespace() || "*/#;-".contains(c));
    let line = line.strip_prefix("portions ").unwrap_or(line);
    let is_year = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    if let Some(rest) = line.strip_prefix("copyright") {
        let rest = rest.trim_start();
        let marks = ["(c)", "©", "<", "[", "by ", ":"];
        is_year(rest) || marks.iter().any(|mark| rest.starts_with(mark))
    } else {
        let has_year = line.contains(|c: char| c.is_ascii_digit());
        line.starts_with('©')
            || line.starts_with("(c)") && has_year
            || line.starts_with("all rights reserved")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_text_is_its_own_licence_only() {
        for (name, text) in TEXTS {
            assert_eq!(identify(text), [name], "{name}");
            assert!(spdx::license_id(name).is_some(), "{name} is not on the SPDX list");
        }
    }

    #[test]
    fn holders_layout_and_spelling_do_not_matter() {
        let text = TEXTS.iter().find(|(name, _)| *name == "PostgreSQL").unwrap().1;
        let other = text
            .replace("UNIVERSITY OF CALIFORNIA", "GLOBEX CORPORATION")
            .replace("University of California", "Globex")
            .replace('\n', "\n * ");
        assert_ne!(text, other);
        assert_eq!(
            identify(&format!(
                "Some extension\n\nCopyright (c) 2020-2026, Globex\n{other}"
            )),
            ["PostgreSQL"]
        );
    }

    #[test]
    fn a_file_may_have_the_texts_of_several_licences() {
        let text = |wanted: &str| TEXTS.iter().find(|(name, _)| *name == wanted).unwrap().1;
        let mut found = identify(&format!("{}\n{}", text("BSD-3-Clause"), text("PostgreSQL")));
        found.sort_unstable();
        assert_eq!(found, ["BSD-3-Clause", "PostgreSQL"]);
        for nothing in ["", "Do as you like.", "This is PostgreSQL licensed; see the web."] {
            assert!(identify(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn an_expression_declares_what_it_names() {
        for (expression, found, declared) in [
            ("PostgreSQL", "PostgreSQL", true),
            ("ISC", "PostgreSQL", false),
            ("GPL-2.0-or-later", "GPL-2.0", true),
            ("GPL-3.0-only", "GPL-2.0", false),
            ("(MIT OR Apache-2.0) AND BSD-3-Clause", "Apache-2.0", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0", true),
            ("LGPL-3.0-or-later", "GPL-3.0", true),
            ("LGPL-2.1-only", "GPL-3.0", false),
            ("MIT-0", "MIT", false),
        ] {
            assert_eq!(declares(expression, found), declared, "{expression}: {found}");
        }
    }
}
