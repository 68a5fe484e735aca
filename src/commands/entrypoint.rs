//! `pgsetup entrypoint`: writes what starts PostgreSQL in a container, which the binary carries.

use std::path::Path;

use anyhow::Context as _;

use crate::catalogue::start;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host};
use crate::layout;
use crate::report::Reporter;

/// The program.
const PGSTART: &str = "/opt/container/bin/pgstart";
/// The links that the entrypoint and the official image's users expect, with their targets.
const LINKS: [(&str, &str); 6] = [
    ("/opt/container/bin/postgres", "pgstart"),
    ("/usr/local/bin/backup", PGSTART),
    ("/usr/local/bin/restore", PGSTART),
    ("/usr/local/bin/restore-point", PGSTART),
    ("/usr/local/bin/docker-entrypoint.sh", layout::ENTRYPOINT),
    (
        "/usr/local/bin/gosu",
        "/opt/container/entrypoint.d/scripts/gosu.sh",
    ),
];

/// Writes the scripts, the program and the links below a root.
///
/// # Errors
/// This binary was compiled without the program, the user is not permitted to write here, or a file cannot be written.
pub fn entrypoint(root: &Path, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(root);
    let (scripts, pgstart) = start::files();
    let Some(pgstart) = pgstart else {
        let message = "this pgsetup was compiled without pgstart, which the entrypoint calls: compile it with `make pgsetup`, \
                       or take the binary of a release";
        return Err(Failure::new(Cause::Usage, message));
    };
    if host.is_system() && !host::is_root() {
        let message = "only root can write the entrypoint into the running system; `--root DIR` writes below a directory";
        return Err(Failure::new(Cause::Permission, message));
    }
    host::set_usual_umask();
    let mut files = Vec::new();
    for script in scripts {
        let path = format!("{}/{}", layout::CONTAINER, script.path);
        if script.path == "entrypoint.d/entrypoint.sh" {
            files.push((
                layout::ENTRYPOINT.to_owned(),
                script.is_program,
                script.bytes.clone(),
            ));
        }
        files.push((path, script.is_program, script.bytes));
    }
    let program = format!("{}/bin/pgstart", layout::CONTAINER);
    files.push((program, true, pgstart.bytes));
    let count = files.len();
    // Files are copied from a temporary directory, so that none is ever there in part.
    let directory = host::local::temporary_directory(None).cause(Cause::Internal)?;
    for (number, (path, is_program, bytes)) in files.into_iter().enumerate() {
        let from = directory.path().join(number.to_string());
        let mode = if is_program { 0o755 } else { 0o644 };
        host::local::create_file(&from, &bytes, mode)?;
        make_directories_of(&host, &path)?;
        host.install_file(&from, &path, mode)?;
    }
    for (path, target) in LINKS {
        make_directories_of(&host, path)?;
        host.install_link(Path::new(target), path)?;
    }
    let page = format!(
        "wrote {} and {} files below {}\n",
        layout::ENTRYPOINT,
        count - 1,
        layout::CONTAINER
    );
    reporter.result(&page).cause(Cause::Internal)
}

/// Makes the directories above a path that do not exist yet.
fn make_directories_of(host: &Host, path: &str) -> Result<(), Failure> {
    let above = Path::new(path).ancestors().skip(1);
    let mut above: Vec<&str> = above
        .filter_map(Path::to_str)
        .filter(|path| *path != "/")
        .collect();
    above.reverse();
    for directory in above {
        host.install_directory(directory)
            .with_context(|| format!("for {path}"))?;
    }
    Ok(())
}
