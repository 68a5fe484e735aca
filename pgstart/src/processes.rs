//! Which servers this process namespace shows: `/proc` and nothing else.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process id of a `postgres` other than this process that works in the data directory; every server and each of its processes does.
pub fn server_in(data: &Path) -> Option<u32> {
    let place = place_of(data)?;
    let entries = std::fs::read_dir("/proc").ok()?;
    let mut pids = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&pid| pid != std::process::id());
    pids.find(|&pid| is_postgres(pid) && place_of(Path::new(&format!("/proc/{pid}/cwd"))) == Some(place))
}

/// Whether a process is there and is called `postgres`.
pub fn is_postgres(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "postgres")
}

/// Device and inode, which two paths to the same directory share.
fn place_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
