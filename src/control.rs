//! What `CREATE EXTENSION` needs: the control file, and the scripts and libraries that it refers to.
//!
//! The rules are those of `CREATE EXTENSION` (PostgreSQL's manual, "Packaging Related Objects into an Extension").
//! Pure: the caller reads the files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The values of a control file, which is written like postgresql.conf: `name = 'value'` with `''` for a quote, the
/// equals sign may be left out, and of two values of one name the later counts.
pub fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = line.find(|c| !is_of_name(c)).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        if name.is_empty() || rest.is_empty() {
            continue;
        }
        let value = match rest.strip_prefix('\'') {
            Some(quoted) => until_quote(quoted),
            None => rest.split(['#', ' ', '\t']).next().unwrap_or_default().to_owned(),
        };
        values.insert(name.to_owned(), value);
    }
    values
}

/// The text before the closing quote.
fn until_quote(text: &str) -> String {
    let mut value = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\'' && characters.next_if_eq(&'\'').is_none() {
            break;
        }
        value.push(c);
    }
    value
}

/// The text of a script as `CREATE EXTENSION` reads it into a database in UTF-8: in the encoding that its control file names.
/// Names of libraries are ASCII, so that any other encoding need not be told apart.
///
/// # Errors
/// The position of the first byte that is not UTF-8, where that is the encoding.
pub fn script(bytes: &[u8], encoding: Option<&str>) -> Result<String, usize> {
    let plain = |name: &str| name.to_ascii_uppercase().replace(['-', '_'], "");
    let is_utf8 = encoding.is_none_or(|name| matches!(plain(name).as_str(), "UTF8" | "UNICODE"));
    if is_utf8 {
        let text = std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?;
        return Ok(text.to_owned());
    }
    Ok(bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// One value of a control file.
pub fn value(text: &str, name: &str) -> Option<String> {
    values(text).remove(name)
}

/// The scripts that create `name` at `version`, in order: one `name--version.sql`, then as few updates
/// `name--from--to.sql` as possible. `None` if no scripts lead there.
pub fn scripts(name: &str, version: &str, files: &[String]) -> Option<Vec<String>> {
    let mut ahead: VecDeque<&str> = VecDeque::new();
    let mut updates: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // By each reachable version: the version before it, or `None` if one script creates it.
    let mut before: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for file in files {
        let rest = file
            .strip_suffix(".sql")
            .and_then(|file| file.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix("--"));
        match rest.map(|rest| rest.split_once("--").ok_or(rest)) {
            Some(Ok((from, to))) => updates.entry(from).or_default().push(to),
            Some(Err(version)) => {
                before.insert(version, None);
                ahead.push_back(version);
            }
            None => {}
        }
    }
    while let Some(from) = ahead.pop_front() {
        for to in updates.get(from).into_iter().flatten() {
            if !before.contains_key(to) {
                before.insert(to, Some(from));
                ahead.push_back(to);
            }
        }
    }
    let mut at = version;
    let mut scripts = Vec::new();
    while let Some(from) = before.get(at)? {
        scripts.push(format!("{name}--{from}--{at}.sql"));
        at = from;
    }
    scripts.push(format!("{name}--{at}.sql"));
    scripts.reverse();
    Some(scripts)
}

/// The libraries that a script names as texts of SQL: `$libdir/…`, and the control file's `module_pathname` where the
/// script says `MODULE_PATHNAME`. Comments are skipped.
pub fn libraries(script: &str, module_pathname: Option<&str>) -> BTreeSet<String> {
    let mut libraries = BTreeSet::new();
    for line in script.lines() {
        let line = line.split("--").next().unwrap_or_default();
        for text in line.split('\'') {
            if text == "MODULE_PATHNAME" {
                libraries.extend(module_pathname.map(str::to_owned));
            } else if text.starts_with("$libdir/") {
                libraries.insert(text.to_owned());
            }
        }
    }
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_created_by_a_script_or_by_the_shortest_chain_of_updates() {
        let files = [
            "a--1.0.sql",
            "a--1.0--1.1.sql",
            "a--1.1--1.2.sql",
            "a--1.0--1.2.sql",
            "a--9--10.sql",
            "b--1.3.sql",
        ];
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let found = |version| scripts("a", version, &files).map(|scripts| scripts.join(" "));
        assert_eq!(found("1.0"), Some("a--1.0.sql".into()));
        assert_eq!(found("1.1"), Some("a--1.0.sql a--1.0--1.1.sql".into()));
        assert_eq!(found("1.2"), Some("a--1.0.sql a--1.0--1.2.sql".into()));
        assert_eq!(found("1.3"), None);
        assert_eq!(found("10"), None);
    }

    #[test]
    fn control_files_are_read_with_and_without_quotes() {
        let text = "# default_version = '9'\ncomment = 'x'\n default_version = '1.0' # y\nrelocatable=true\n";
        assert_eq!(value(text, "default_version"), Some("1.0".into()));
        assert_eq!(value(text, "relocatable"), Some("true".into()));
        assert_eq!(value(text, "directory"), None);
        assert_eq!(value("schematic = x\n", "schema"), None);
        assert_eq!(
            value("comment 'it''s # one' # two", "comment"),
            Some("it's # one".into())
        );
        let twice = "default_version = '1.0'\ndefault_version = '1.1'\n";
        assert_eq!(value(twice, "default_version"), Some("1.1".into()));
    }

    #[test]
    fn a_script_is_read_in_the_encoding_of_its_control_file() {
        let latin = b"COMMENT ON EXTENSION x IS 'caf\xe9'; AS '$libdir/x'";
        assert_eq!(script(latin, None), Err(30));
        assert_eq!(script(latin, Some("utf-8")), Err(30));
        let text = script(latin, Some("LATIN1")).unwrap();
        assert!(text.contains("café"), "{text}");
        assert_eq!(
            libraries(&text, None).into_iter().collect::<Vec<_>>(),
            ["$libdir/x"]
        );
        assert_eq!(script("é".as_bytes(), Some("UTF8")), Ok("é".to_owned()));
    }

    #[test]
    fn the_libraries_of_a_script_are_those_outside_of_its_comments() {
        let script = "CREATE FUNCTION f() RETURNS int AS 'MODULE_PATHNAME', 'f' LANGUAGE C;\n\
                      -- AS '$libdir/old'\nCREATE FUNCTION g() RETURNS int AS '$libdir/other' LANGUAGE C;\n";
        let found: Vec<String> = libraries(script, Some("$libdir/own")).into_iter().collect();
        assert_eq!(found, ["$libdir/other", "$libdir/own"]);
        assert!(libraries("AS 'MODULE_PATHNAME'", None).is_empty());
    }
}
