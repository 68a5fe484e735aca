//! Accounts: the image's user is as it was made, nobody has a password, and nobody but root is root.

use anyhow::Result;

use super::Verifier;
use super::document::Aspect;
use crate::host::Host;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";

/// What passwd(5) and group(5) say of a user besides its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// The groups that name it as a member, sorted.
    pub groups: Vec<String>,
}

/// The account of this name; `None` where there is none.
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
fn groups(text: &str, name: &str) -> Vec<String> {
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

impl Verifier<'_> {
    pub(super) fn accounts(&mut self) {
        let user = &self.receipt.user;
        let accounts = self.host.read(PASSWD);
        let accounts = self.take(PASSWD, accounts).flatten().unwrap_or_default();
        for line in accounts.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, password, uid, gid, ..] = fields.as_slice() else {
                continue;
            };
            if *name == user.name
                && (*uid, *gid) != (user.uid.to_string().as_str(), user.gid.to_string().as_str())
            {
                let explanation = format!("has ids {uid}:{gid}, the receipt says {}:{}", user.uid, user.gid);
                self.differs(Aspect::Account, name, explanation);
            }
            if *uid == "0" && *name != "root" {
                self.differs(Aspect::Account, name, "has user id 0");
            }
            if !matches!(*password, "x" | "*" | "!") {
                self.differs(Aspect::Account, name, "has a password in /etc/passwd");
            }
        }
        self.user();
        let passwords = self.host.read(SHADOW);
        let passwords = self.take(SHADOW, passwords).flatten();
        for line in passwords.unwrap_or_default().lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(password)) = (fields.next(), fields.next()) else {
                continue;
            };
            if !password.starts_with(['!', '*']) {
                self.differs(Aspect::Account, name, "has a password, or none is needed");
            }
        }
    }

    /// Home, shell and groups of the image's user.
    fn user(&mut self) {
        let user = &self.receipt.user;
        let account = account(self.host, &user.name);
        let Some(account) = self.take(&user.name, account) else {
            return;
        };
        let Some(account) = account else {
            return self.differs(Aspect::Account, &user.name, "does not exist");
        };
        for (what, is, should) in [
            ("home", &account.home, &user.home),
            ("shell", &account.shell, &user.shell),
        ] {
            if is != should {
                let explanation = format!("has the {what} {is}, the receipt says {should}");
                self.differs(Aspect::Account, &user.name, explanation);
            }
        }
        let Some(groups) = &user.groups else {
            return self.unrecorded("groups of the user");
        };
        if account.groups != *groups {
            let word = |groups: &[String]| match groups {
                [] => "none".to_owned(),
                groups => groups.join(", "),
            };
            let explanation = format!(
                "is in the groups: {}; the receipt says: {}",
                word(&account.groups),
                word(groups)
            );
            self.differs(Aspect::Account, &user.name, explanation);
        }
    }
}
