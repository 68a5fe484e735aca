//! Rights beyond those of the owner: set-id bits, capabilities, and world-writable files.

use crate::host::Host;
use crate::host::entry::{FileFacts, FileKind, is_below};
use crate::layout;
use crate::record::receipt::{Privileged, octal};

/// The special rights of what was found at a path; `None` if it has none.
pub fn privilege(host: &Host, path: &str, found: &FileFacts) -> Option<Privileged> {
    let is_file = found.kind == FileKind::File;
    let is_set_id = found.mode & 0o6000 != 0 && is_file;
    // A socket is there while something runs, and who may speak to that decides for itself.
    let may_be_open = is_file || found.kind == FileKind::Directory;
    let is_open = found.mode & 0o002 != 0 && may_be_open && !is_temporary(path);
    let is_program = is_file && found.mode & 0o111 != 0;
    let capabilities = if is_program { host.capabilities(path) } else { None };
    (is_set_id || is_open || capabilities.is_some()).then(|| Privileged {
        path: path.to_owned(),
        mode: octal(found.mode),
        uid: found.uid,
        gid: found.gid,
        capabilities,
    })
}

/// Whether a path lies in a directory for what does not last, where everybody may let others write.
pub fn is_temporary(path: &str) -> bool {
    ["/tmp", layout::WORK]
        .iter()
        .any(|place| path != *place && is_below(path, place))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::image::everywhere::everywhere;

    #[test]
    fn rights_are_seen_wherever_they_are_and_sockets_are_none() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        for directory in [
            "/tmp",
            "/run/postgresql",
            "/var/tmp/pgsetup",
            "/var/tmp/pgsetup-x",
        ] {
            std::fs::create_dir_all(host.path(directory)).unwrap();
        }
        let mode = |path: &str, mode: u32| {
            std::fs::set_permissions(host.path(path), PermissionsExt::from_mode(mode)).unwrap();
        };
        for (path, bits) in [
            ("/tmp/su", 0o4755),
            ("/tmp/open", 0o666),
            ("/var/tmp/pgsetup/su", 0o2755),
            ("/var/tmp/pgsetup/open", 0o666),
            ("/var/tmp/pgsetup-x/open", 0o666),
            ("/run/postgresql/.s.PGSQL.5432.lock", 0o600),
        ] {
            std::fs::write(host.path(path), "").unwrap();
            mode(path, bits);
        }
        let _socket = UnixListener::bind(host.path("/run/postgresql/.s.PGSQL.5432")).unwrap();
        mode("/run/postgresql/.s.PGSQL.5432", 0o777);
        mode("/tmp", 0o1777);
        let found = everywhere(&host, &host.dpkg().unwrap(), &[]).unwrap();
        assert_eq!(found.unreadable, Vec::<String>::new());
        let paths: Vec<&str> = found.privileged.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/tmp",
                "/tmp/su",
                "/var/tmp/pgsetup/su",
                "/var/tmp/pgsetup-x/open"
            ]
        );
    }
}
