//! What package tools write by chance: other text in each installation that means the same.
//!
//! debconf remembers what was put into the texts of questions (debconf-devel(7)), and ucf puts the names of its temporary
//! files there, which are drawn by lot and gone. apt writes which packages it has chosen by itself in the order it
//! learned of them, which is another one where packages were installed in between.

use anyhow::Result;

use crate::host::Host;
use crate::step::install::files::ROOT_FILE;

const ANSWERS: &str = "/var/cache/debconf/config.dat";
const CHOSEN: &str = "/var/lib/apt/extended_states";
const TEMPORARY: [&str; 2] = ["/tmp/", "/var/tmp/"];

/// Makes debconf forget the names of temporary files, and sorts what apt knows of packages.
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

/// A question is a paragraph; its variables are indented lines ` NAME = VALUE` below a line `Variables:`.
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

/// The paragraphs of a text, which empty lines part, in the order of their first lines.
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
    fn debconf_forgets_names_of_temporary_files_and_nothing_else() {
        let before = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                      Variables:\n BASENAME = createcluster.conf\n NEW = /tmp/postgresql-common.0FVQuG\n\n\
                      Name: ucf/title\nTemplate: ucf/title\nOwners: ucf\nVariables:\n NEW = /var/tmp/x\n\n";
        let after = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                     Variables:\n BASENAME = createcluster.conf\n\n\
                     Name: ucf/title\nTemplate: ucf/title\nOwners: ucf\n\n";
        assert_eq!(rewritten(ANSWERS, before), after);
    }

    #[test]
    fn what_apt_has_chosen_by_itself_is_sorted_by_package() {
        let package = |name: &str| format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        let before = ["python3.11", "libpq5", "libxml2"].map(package).concat();
        let after = ["libpq5", "libxml2", "python3.11"].map(package).concat();
        assert_eq!(rewritten(CHOSEN, &before), after);
    }
}
