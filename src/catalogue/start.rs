//! What starts PostgreSQL in a container: the scripts of `entrypoint.d`, and the program `pgstart`.

use super::pack::{self, File};

static PACK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/start.xz"));
/// The program's name in the pack.
const PGSTART: &str = "pgstart";

/// The scripts, with their paths from `entrypoint.d`, and pgstart; `None` for pgstart if this binary was compiled without it.
pub fn files() -> (Vec<File>, Option<File>) {
    let files = pack::unpack(PACK).expect("the program carries what build.rs has packed");
    let (programs, scripts): (Vec<File>, Vec<File>) =
        files.into_iter().partition(|file| file.path == PGSTART);
    (scripts, programs.into_iter().next())
}
