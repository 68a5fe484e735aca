//! Normalises files of package tools whose text differs between equal installations.
//!
//! debconf keeps the values that were substituted into questions (debconf-devel(7)). ucf substitutes random names of
//! temporary files that are gone. apt lists automatically installed packages in the order in which it learned of them.

use anyhow::Result;

use crate::host::Host;
use crate::step::install::files::ROOT_FILE;

const ANSWERS: &str = "/var/cache/debconf/config.dat";
const CHOSEN: &str = "/var/lib/apt/extended_states";
const TEMPORARY: [&str; 2] = ["/tmp/", "/var/tmp/"];

/// Removes the names of temporary files from debconf's database, and sorts apt's list of packages.
///
/// # Errors
/// One of the two files cannot be read or written.
pub fn remove(host: &Host) -> Result<()> {
    rewrite(host, ANSWERS, without_temporary_files)?;
    rewrite(host, CHOSEN, sorted)
}

fn rewrite(host: &Host, path: &str, change: fn(&str) -> String) -> Result<()> {
    if let Some(before) = host.read(path)? {
        let after = change(&before);
        if after != before {
            host.write(path, &after, ROOT_FILE)?;
        }
    }
    Ok(())
}

/// A question of debconf is a paragraph. Its variables are indented lines ` NAME = VALUE` below a line `Variables:`.
fn without_temporary_files(text: &str) -> String {
    let names_temporary = |line: &str| {
        line.starts_with(' ')
            && line
                .split_once(" = ")
                .is_some_and(|(_, value)| TEMPORARY.iter().any(|directory| value.starts_with(directory)))
    };
    let mut left: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !names_temporary(line)) {
        if !line.starts_with(' ') && left.last() == Some(&"Variables:") {
            left.pop();
        }
        left.push(line);
    }
    left.iter().map(|line| format!("{line}\n")).collect()
}

/// The paragraphs of a text, sorted. Empty lines separate them.
fn sorted(text: &str) -> String {
    let mut paragraphs: Vec<&str> = text.split("\n\n").map(str::trim).collect();
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.sort_unstable();
    paragraphs
        .iter()
        .map(|paragraph| format!("{paragraph}\n\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(path: &str, before: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        remove(&host).unwrap();
        assert!(!host.exists(path));
        host.write(path, before, ROOT_FILE).unwrap();
        remove(&host).unwrap();
        let once = host.read(path).unwrap().unwrap();
        remove(&host).unwrap();
        assert_eq!(host.read(path).unwrap().unwrap(), once);
        once
    }

    #[test]
    fn debconf_loses_only_the_names_of_temporary_files() {
        let before = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                      Variables:\n BASENAME = createcluster.conf\n NEW = /tmp/postgresql-common.0FVQuG\n\n\
                      Name: ucf/title\nTemplate: ucf/title\nOwners: ucf\nVariables:\n NEW = /var/tmp/x\n\n";
        let after = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                     Variables:\n BASENAME = createcluster.conf\n\n\
                     Name: ucf/title\nTemplate: ucf/title\nOwners: ucf\n\n";
        assert_eq!(rewritten(ANSWERS, before), after);
    }

    #[test]
    fn packages_that_apt_installed_automatically_are_sorted() {
        let package = |name: &str| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        let before = ["python3.11", "libpq5", "libxml2"].map(package).concat();
        let after = ["libpq5", "libxml2", "python3.11"].map(package).concat();
        assert_eq!(rewritten(CHOSEN, &before), after);
    }
}
