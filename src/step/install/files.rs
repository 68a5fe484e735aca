//! Creates directories with their owners and modes.

use crate::failure::Failure;
use crate::host::Host;
use crate::host::entry::Ownership;
use crate::manifest::image::User;
use crate::resolve::Directory;

/// The rights of a file that everyone may read and only root may write.
pub const ROOT_FILE: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o644,
};

/// The rights of a directory that everyone may read and only root may write.
pub const ROOT_DIRECTORY: Ownership = Ownership {
    uid: 0,
    gid: 0,
    mode: 0o755,
};

/// Creates directories, each with its owner and mode.
///
/// # Errors
/// A directory cannot be created, or its path is not a directory.
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
