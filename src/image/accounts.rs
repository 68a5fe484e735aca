//! Accounts of passwd(5) and group(5).

use anyhow::Result;

use crate::host::Host;

pub const PASSWD: &str = "/etc/passwd";

const GROUP: &str = "/etc/group";

/// A user in passwd(5) and group(5), without its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// The groups that name it as a member, sorted.
    pub groups: Vec<String>,
}

/// The account of this name. `None` if it does not exist.
///
/// # Errors
/// A file of accounts cannot be read.
pub fn account(host: &Host, name: &str) -> Result<Option<Account>> {
    let passwd = host.read(PASSWD)?.unwrap_or_default();
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let Some(fields) = fields.into_iter().find(|fields| fields[0] == name) else {
        return Ok(None);
    };
    let field = |at: usize| fields.get(at).copied().unwrap_or_default().to_owned();
    Ok(Some(Account {
        home: field(5),
        shell: field(6),
        groups: groups(&host.read(GROUP)?.unwrap_or_default(), name),
    }))
}

/// The groups that have `name` as a member, by the text of group(5).
pub fn groups(text: &str, name: &str) -> Vec<String> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let group = fields.next()?;
        let is_member = fields.nth(2)?.split(',').any(|member| member == name);
        is_member.then(|| group.to_owned())
    };
    let mut groups: Vec<String> = text.lines().filter_map(of).collect();
    groups.sort();
    groups
}
