//! Patterns of paths as shells know them: `*`, `?` and `[…]` stand for something in one name. They are matched
//! against text. No file is read here.

use glob::Pattern;

/// What shells know besides, and what to write here.
const UNKNOWN: [(&str, &str); 4] = [
    (
        "**",
        "a directory stands for all that is below it, and `*` for a part of one name",
    ),
    ("{", "write a path for each"),
    ("[^", "write `[!…]` for any other character"),
    ("\\", "write `[*]` for a literal star"),
];

/// Paths that are named at once, each with all that is below it.
#[derive(Debug)]
pub struct PathPattern {
    names: Vec<Pattern>,
}

impl PathPattern {
    /// Reads a pattern of absolute paths.
    ///
    /// # Errors
    /// What is wrong with it, as half a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        if let Some((word, instead)) = UNKNOWN.iter().find(|(word, _)| text.contains(word)) {
            return Err(format!(
                "`{text}` contains `{word}`, which patterns do not support: {instead}"
            ));
        }
        let names = text.split('/').filter(|name| !name.is_empty());
        let names: Result<Vec<Pattern>, _> = names.map(Pattern::new).collect();
        match names {
            Ok(names) => Ok(Self { names }),
            Err(error) => Err(format!("`{text}` is not a pattern of paths: {}", error.msg)),
        }
    }

    /// What each name on the way must be, from the root on.
    pub fn names(&self) -> &[Pattern] {
        &self.names
    }

    /// True where `path` is what the pattern names, or lies below it.
    pub fn takes(&self, path: &str) -> bool {
        let names: Vec<&str> = names(path).collect();
        self.names.len() <= names.len() && self.fits(names)
    }

    /// True where the pattern takes `directory`, or names something that is in it.
    pub fn reaches(&self, directory: &str) -> bool {
        self.fits(names(directory))
    }

    /// Whether names are as they must be, as far as both go.
    fn fits<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let mut pairs = self.names.iter().zip(names);
        pairs.all(|(wanted, name)| wanted.matches(name))
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_it_names_and_what_is_below() {
        for (pattern, path, expected) in [
            ("/opt/x", "/opt/x/y/z", true),
            ("/opt/x", "/opt/xy", false),
            ("/opt/x/y", "/opt/x", false),
            ("/opt/*.py", "/opt/a.py", true),
            ("/opt/*.py", "/opt/sub/a.py", false),
            ("/opt/lib*-*.so", "/opt/liba-1.so", true),
            ("/opt/lib*-*.so", "/opt/liba.so", false),
            ("/opt/?", "/opt/a", true),
            ("/opt/?", "/opt/ab", false),
            ("/opt/[ab]*", "/opt/bin", true),
            ("/opt/[!ab]*", "/opt/bin", false),
            ("/opt/[*]", "/opt/a", false),
            ("/", "/opt", true),
        ] {
            let takes = PathPattern::new(pattern).unwrap().takes(path);
            assert_eq!(takes, expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_reaches_a_directory_from_above_and_from_within() {
        for (pattern, expected) in [
            ("/var", true),
            ("/var/lib/dpkg", true),
            ("/var/*/dpkg/status*", true),
            ("/var/lib/dpkg-x", false),
            ("/usr/lib", false),
        ] {
            let reaches = PathPattern::new(pattern).unwrap().reaches("/var/lib/dpkg");
            assert_eq!(reaches, expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (text, expected) in [
            (
                "/opt/**/x",
                "`**`, which patterns do not support: a directory stands for",
            ),
            (
                "/opt/{a,b}",
                "`{`, which patterns do not support: write a path for each",
            ),
            ("/opt/[^a]", "`[^`, which patterns do not support: write `[!…]`"),
            ("/opt/\\*", "`\\`, which patterns do not support: write `[*]`"),
            ("/opt/[a", "`/opt/[a` is not a pattern of paths: "),
        ] {
            let error = PathPattern::new(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
