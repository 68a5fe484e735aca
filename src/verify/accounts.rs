//! Verifies accounts: the image's user is unchanged, no account has a password, and only root has user id 0.

use super::Verifier;
use super::document::Aspect;
use crate::image::accounts::{PASSWD, account};

const SHADOW: &str = "/etc/shadow";

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

    /// Compares home, shell and groups of the image's user.
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
