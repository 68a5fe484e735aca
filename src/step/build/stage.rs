//! The directories that a stage begins with.
//!
//! A makefile may copy a file into a directory of the server without making the directory, because every real root has
//! it: `cp tool $(DESTDIR)$(bindir)`. In an empty stage, this makes a file of that name.

use anyhow::Result;

use crate::host::Host;
use crate::host::entry::FileKind;

/// Makes `directories`, paths inside a real root, in `stage`.
///
/// # Errors
/// A directory cannot be made.
pub fn begin(host: &Host, stage: &str, directories: &[String]) -> Result<()> {
    for directory in directories {
        for above in ancestors(directory) {
            host.install_directory(&format!("{stage}{above}"))?;
        }
    }
    Ok(())
}

/// Removes those of `directories`, and of their parents, in which nothing was installed. So what was built does not
/// depend on them.
///
/// # Errors
/// A directory cannot be read or removed.
pub fn end(host: &Host, stage: &str, directories: &[String]) -> Result<()> {
    for directory in directories {
        for path in ancestors(directory).into_iter().rev() {
            let path = format!("{stage}{path}");
            let found = host.look(&path)?;
            if found.is_some_and(|found| found.kind == FileKind::Directory) {
                host.remove_empty_directory(&path)?;
            }
        }
    }
    Ok(())
}

/// A path and every path above it but the root, the shortest first: `/usr`, `/usr/lib`.
pub fn ancestors(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').map(|(position, _)| position).skip(1);
    ends.chain([path.len()]).map(|end| &path[..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_begins_with_directories_and_ends_with_those_in_use() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let directories = ["/usr/lib/postgresql/18/bin", "/usr/share/postgresql/18/extension"];
        let directories = directories.map(str::to_owned);
        host.install_directory("/stage").unwrap();
        begin(&host, "/stage", &directories).unwrap();
        for directory in &directories {
            assert!(host.path(format!("/stage{directory}")).is_dir(), "{directory}");
        }
        std::fs::write(host.path("/stage/usr/lib/postgresql/18/bin/tool"), "").unwrap();
        end(&host, "/stage", &directories).unwrap();
        assert!(host.path("/stage/usr/lib/postgresql/18/bin/tool").exists());
        assert!(!host.path("/stage/usr/share").exists());
        // What a makefile has made of them stays for the checks of the stage.
        std::fs::write(host.path("/stage/usr/share"), "").unwrap();
        end(&host, "/stage", &directories).unwrap();
        assert!(host.path("/stage/usr/share").is_file());
    }
}
