//! The system user that runs PostgreSQL.

use crate::command::Command;
use crate::failure::{Cause, Failure};
use crate::host::{Host, Log};
use crate::manifest::image::User;

/// Whether the user and its group exist already, each with the right id.
///
/// # Errors
/// The name or an id belongs to another account.
pub fn exist(host: &Host, user: &User) -> Result<(bool, bool), Failure> {
    let passwd = host.read("/etc/passwd")?.unwrap_or_default();
    let group = host.read("/etc/group")?.unwrap_or_default();
    Ok((
        belongs(&passwd, "/etc/passwd", &user.name, user.uid)?,
        belongs(&group, "/etc/group", &user.name, user.gid)?,
    ))
}

/// Creates the user and its group by `commands`, unless both exist already with the right ids.
///
/// # Errors
/// The name or an id belongs to another account, and nothing is changed. Or a command fails.
pub fn create(host: &Host, user: &User, commands: &[Command], log: &Log) -> Result<String, Failure> {
    let (has_user, has_group) = exist(host, user)?;
    if has_user && has_group {
        return Ok("is there already".to_owned());
    }
    for command in commands {
        let is_for_group = command.program == "groupadd";
        if !(is_for_group && has_group || !is_for_group && has_user) {
            host.run(command, log)?;
        }
    }
    Ok(String::new())
}

/// Whether `name` has the id `id` in a file like passwd(5) or group(5); false if neither is taken.
fn belongs(text: &str, file: &str, name: &str, id: u32) -> Result<bool, Failure> {
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [its_name, _, its_id, ..] = fields.as_slice() else {
            continue;
        };
        match (*its_name == name, its_id.parse() == Ok(id)) {
            (true, true) => return Ok(true),
            (false, false) => {}
            _ => {
                let message = format!(
                    "the image defines {name} as {id}, but {file} has {its_name} as {its_id}; \
                     choose another name or number in the image's `user`"
                );
                return Err(Failure::new(Cause::Manifest, message));
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_id_of_another_account_is_rejected() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:999:999::/x:/bin/sh\n";
        assert!(belongs(passwd, "/etc/passwd", "postgres", 999).unwrap());
        assert!(!belongs(passwd, "/etc/passwd", "other", 5).unwrap());
        let error = belongs(passwd, "/etc/passwd", "other", 999)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/etc/passwd has postgres as 999"), "{error}");
        assert!(belongs(passwd, "/etc/passwd", "postgres", 26).is_err());
    }
}
