//! The record of an installed path.

use anyhow::Result;

use crate::host::Host;
use crate::host::entry::{FileKind, utf8};
use crate::record::inventory::{Content, InstalledFile};

/// The record of what is at one path. `None` for nothing, and for anything but a file, directory or link.
///
/// # Errors
/// The path cannot be read.
pub fn record(host: &Host, component: &str, path: &str) -> Result<Option<InstalledFile>> {
    let Some(found) = host.look(path)? else {
        return Ok(None);
    };
    let content = match found.kind {
        FileKind::Directory => Content::Directory,
        FileKind::File => Content::File {
            sha256: host.sha256(path)?,
            size: found.size,
        },
        FileKind::Link(target) => Content::Link {
            target: utf8(&target)?.to_owned(),
        },
        FileKind::Other => return Ok(None),
    };
    Ok(Some(InstalledFile {
        path: path.to_owned(),
        component: component.to_owned(),
        content,
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
    }))
}
