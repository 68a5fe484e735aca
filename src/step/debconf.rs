//! What debconf remembers of an installation (debconf-devel(7)): the answers to questions, and what was put into their texts.
//!
//! ucf puts the names of its temporary files into them. These are drawn by lot, and the files are gone.

use anyhow::Result;

use super::files::ROOT_FILE;
use crate::host::Host;

const DATABASE: &str = "/var/cache/debconf/config.dat";
const TEMPORARY: [&str; 2] = ["/tmp/", "/var/tmp/"];

/// Makes debconf forget the names of temporary files. Returns how many it had.
pub fn forget_temporary_files(host: &Host) -> Result<usize> {
    let Some(text) = host.read(DATABASE)? else {
        return Ok(0);
    };
    let (text, forgotten) = without_temporary_files(&text);
    if forgotten > 0 {
        host.write(DATABASE, &text, ROOT_FILE)?;
    }
    Ok(forgotten)
}

/// A question is a paragraph; its variables are indented lines ` NAME = VALUE` below a line `Variables:`.
fn without_temporary_files(text: &str) -> (String, usize) {
    let names_temporary = |line: &&str| {
        line.starts_with(' ')
            && line
                .split_once(" = ")
                .is_some_and(|(_, value)| TEMPORARY.iter().any(|directory| value.starts_with(directory)))
    };
    let forgotten = text.lines().filter(names_temporary).count();
    let mut left: Vec<&str> = Vec::new();
    let close = |left: &mut Vec<&str>| {
        if left.last() == Some(&"Variables:") {
            left.pop();
        }
    };
    for line in text.lines().filter(|line| !names_temporary(line)) {
        if !line.starts_with(' ') {
            close(&mut left);
        }
        left.push(line);
    }
    close(&mut left);
    let mut text = left.join("\n");
    text.push('\n');
    (text, forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_temporary_files_are_forgotten_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let before = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                      Variables:\n BASENAME = createcluster.conf\n NEW = /tmp/postgresql-common.0FVQuG\n\n\
                      Name: ucf/title\nTemplate: ucf/title\nVariables:\n NEW = /var/tmp/x\nOwners: ucf\n\n";
        let after = "Name: ucf/changeprompt\nTemplate: ucf/changeprompt\nValue: /tmp/is/an/answer\nOwners: ucf\n\
                     Variables:\n BASENAME = createcluster.conf\n\n\
                     Name: ucf/title\nTemplate: ucf/title\nOwners: ucf\n\n";
        assert_eq!(forget_temporary_files(&host).unwrap(), 0);
        std::fs::create_dir_all(host.path("/var/cache/debconf")).unwrap();
        host.write(DATABASE, before, ROOT_FILE).unwrap();
        assert_eq!(forget_temporary_files(&host).unwrap(), 2);
        assert_eq!(host.read(DATABASE).unwrap().as_deref(), Some(after));
        assert_eq!(forget_temporary_files(&host).unwrap(), 0);
        assert_eq!(host.read(DATABASE).unwrap().as_deref(), Some(after));
    }
}
