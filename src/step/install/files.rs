//! Directories and their owners.

use crate::failure::Failure;
use crate::host::Host;
use crate::host::entry::Ownership;
use crate::manifest::image::User;
use crate::resolve::Directory;

/// A file that everybody may read and root may write.
pub const ROOT_FILE: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o644,
};

/// A directory that everybody may enter and root may fill.
pub const ROOT_DIRECTORY: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// Makes directories, each with its owner and mode.
pub fn directories(host: &Host, directories: &[Directory], user: &User) -> Result<String, Failure> {
    for directory in directories {
        let (uid, gid) = if directory.of_user {
            (user.uid, user.gid)
        } else {
            (0, 0)
        };
        host.make_directory(
            &directory.path,
            Ownership {
                uid,
                gid,
                mode: directory.mode,
            },
        )?;
    }
    Ok(String::new())
}
