//! Removes what a running server does not need, as the image manifest says, after everything is built and installed.
//!
//! Compiled files are removed by kind, also from the inventory. Files of Debian packages stay, because dpkg owns them.
//! Apart from that, only caches, lists and logs at known paths are removed.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::host::entry::{FileKind, is_below, utf8};
use crate::image::base::{self, PackagesBefore};
use crate::image::kind::kind;
use crate::layout;
use crate::manifest::image::{Prune, Removal};
use crate::manifest::pattern::PathPattern;
use crate::record::inventory::{Content, InstalledFile, Inventory};

/// Logs that package tools write, as patterns of paths.
const LOGS: [&str; 6] = [
    "/var/log/alternatives.log*",
    "/var/log/apt/*",
    "/var/log/dpkg.log*",
    "/var/log/fontconfig.log",
    "/var/cache/debconf/*-old",
    "/var/lib/dpkg/*-old",
];
/// Files that apt downloads, and its caches of them.
const PACKAGE_LISTS: [&str; 5] = [
    "/var/lib/apt/lists/*",
    "/var/cache/apt/archives/*.deb",
    "/var/cache/apt/archives/partial/*",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
];
/// Caches of other programs.
const CACHES: [&str; 1] = ["/var/cache/ldconfig/aux-cache"];

/// A key pair that the package ssl-cert generates on installation. In an image, every user of it would share the private
/// key, and each build would have another one.
const SNAKEOIL: [&str; 2] = [
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
];
const CERTIFICATES: &str = "/etc/ssl/certs";

/// The result of pruning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many files and links were removed.
    pub removed: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Paths of the policy that stay because a Debian package owns them: path and package.
    pub owned: Vec<(String, String)>,
}

/// Removes the files of `inventory` that `policy` names. This comes before the packages to keep are determined, so that
/// no package is kept for a removed file.
///
/// # Errors
/// A pattern of the policy is not valid, or a file cannot be removed.
pub fn files(host: &Host, policy: &Prune, inventory: &mut Inventory) -> Result<Pruned> {
    let paths = names(policy, inventory)?;
    let mut pruned = Pruned::default();
    pruned.take_from(host, inventory, &paths)?;
    Ok(pruned)
}

/// The files of `inventory` that `policy` names.
///
/// # Errors
/// A pattern of the policy is not valid.
pub fn names(policy: &Prune, inventory: &Inventory) -> Result<Vec<String>> {
    let patterns = patterns(policy.paths.iter().map(String::as_str))?;
    let pruned = inventory.iter().filter(|file| {
        let by_kind = kind(&file.path).is_some_and(|kind| policy.remove.contains(&kind));
        let by_path = patterns.iter().any(|pattern| pattern.takes(&file.path));
        let is_build_link = policy.remove.contains(&Removal::Development) && is_linker_name(file);
        file.content != Content::Directory && (by_kind || by_path || is_build_link)
    });
    Ok(pruned.map(|file| file.path.clone()).collect())
}

/// Removes caches, lists and logs after the build packages were removed. Temporary files that `before` found stay, and so
/// do mounted directories.
///
/// # Errors
/// A pattern of the policy is not valid, or a file cannot be removed.
pub fn leftovers(host: &Host, policy: &Prune, before: &PackagesBefore) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    pruned.sweep(host, policy, before)?;
    Ok(pruned)
}

impl Pruned {
    fn take(&mut self, host: &Host, path: &str) -> Result<()> {
        if let Some(found) = host.look(path)? {
            self.removed += 1;
            if found.kind == FileKind::File {
                self.bytes += found.size;
            }
            host.remove(path)?;
        }
        Ok(())
    }

    /// Removes files of components, and their directories that become empty.
    fn take_from(&mut self, host: &Host, inventory: &mut Inventory, paths: &[String]) -> Result<()> {
        let mut emptied = BTreeSet::new();
        for path in paths {
            self.take(host, path)?;
            inventory.remove(path);
            let ours = |directory: &&str| inventory.find(directory).is_some();
            let directory = path.rsplit_once('/').map(|(directory, _)| directory);
            emptied.extend(directory.filter(ours).map(str::to_owned));
        }
        for directory in emptied.into_iter().rev() {
            let mut directory = directory.as_str();
            while inventory.find(directory).is_some()
                && host.names(directory)?.is_empty()
                && host.remove_empty_directory(directory)?
            {
                inventory.remove(directory);
                directory = directory.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        Ok(())
    }

    /// Removes everything at and below a path, except for files of Debian packages.
    fn take_unowned(&mut self, host: &Host, dpkg: &Dpkg, path: &str) -> Result<()> {
        let Some(found) = host.look(path)? else {
            return Ok(());
        };
        let mut inside = vec![(path.to_owned(), found.kind == FileKind::Directory)];
        if found.kind == FileKind::Directory {
            for entry in host.tree(path)? {
                let is_directory = entry.kind == FileKind::Directory;
                inside.push((format!("{path}/{}", utf8(&entry.path)?), is_directory));
            }
        }
        // Children before parents.
        for (path, is_directory) in inside.into_iter().rev() {
            match (dpkg.owner(&path), is_directory) {
                (None, true) => {
                    host.remove_empty_directory(&path)?;
                }
                (None, false) => self.take(host, &path)?,
                (Some(_), true) => {}
                (Some(package), false) => self.owned.push((path.clone(), package.to_owned())),
            }
        }
        Ok(())
    }

    /// Removes what is outside the inventory.
    fn sweep(&mut self, host: &Host, policy: &Prune, before: &PackagesBefore) -> Result<()> {
        let dpkg = host.dpkg()?;
        let has = |removal: Removal| policy.remove.contains(&removal);
        let mut wanted: Vec<&str> = CACHES.to_vec();
        if has(Removal::Logs) {
            wanted.extend(LOGS);
        }
        if has(Removal::PackageLists) {
            wanted.extend(PACKAGE_LISTS);
        }
        wanted.extend(policy.paths.iter().map(String::as_str));
        let mut paths: BTreeSet<String> = base::temporary(host)?
            .difference(&before.temporary)
            .cloned()
            .collect();
        for pattern in patterns(wanted)? {
            paths.extend(expand(host, &pattern)?);
        }
        if has(Removal::ByteCode) {
            paths.extend(byte_code(host)?);
        }
        if !before.packages.contains_key("ssl-cert") {
            paths.extend(snakeoil(host)?);
        }
        // A mounted directory is not in the image, and the installation still uses its work directory.
        let mut untouchable = host.mount_points()?;
        untouchable.retain(|mounted| mounted != "/");
        untouchable.push(layout::WORK.to_owned());
        for path in paths {
            if untouchable
                .iter()
                .any(|place| is_below(&path, place) || is_below(place, &path))
            {
                continue;
            }
            self.take_unowned(host, &dpkg, &path)?;
        }
        Ok(())
    }
}

/// Whether a link has a name that only a linker uses, such as `libpq.so` beside `libpq.so.5`.
fn is_linker_name(file: &InstalledFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let Content::Link { target } = &file.content else {
        return false;
    };
    let target = target.rsplit('/').next().unwrap_or_default();
    name.starts_with("lib") && name.strip_suffix(".so").is_some() && target.starts_with(&format!("{name}."))
}

fn patterns<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<PathPattern>> {
    let patterns = texts.into_iter().map(PathPattern::new);
    patterns.collect::<Result<_, _>>().map_err(anyhow::Error::msg)
}

/// The existing paths that match a pattern.
fn expand(host: &Host, pattern: &PathPattern) -> Result<Vec<String>> {
    let mut paths = vec![String::new()];
    for wanted in pattern.names() {
        let mut next = Vec::new();
        for path in paths {
            let name = wanted.as_str();
            if name.contains(['*', '?', '[']) {
                let directory = if path.is_empty() { "/" } else { &path };
                let names = host.names(directory)?;
                next.extend(
                    names
                        .iter()
                        .filter(|name| wanted.matches(name))
                        .map(|name| format!("{path}/{name}")),
                );
            } else if host.exists(format!("{path}/{name}")) {
                next.push(format!("{path}/{name}"));
            }
        }
        paths = next;
    }
    Ok(paths)
}

/// The paths of the key pair of ssl-cert, and of the links to it.
fn snakeoil(host: &Host) -> Result<Vec<String>> {
    let mut paths: Vec<String> = SNAKEOIL.iter().map(|path| (*path).to_owned()).collect();
    for name in host.names(CERTIFICATES)? {
        let path = format!("{CERTIFICATES}/{name}");
        if let Some(FileKind::Link(target)) = host.look(&path)?.map(|found| found.kind)
            && target.ends_with("ssl-cert-snakeoil.pem")
        {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The directories of Python byte code, including those of packages.
fn byte_code(host: &Host) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for top in ["/usr/lib", "/usr/share", "/opt"] {
        if !host.exists(top) {
            continue;
        }
        for entry in host.tree(top)? {
            let is_directory = entry.kind == FileKind::Directory;
            if is_directory && entry.path.ends_with("__pycache__") {
                paths.push(format!("{top}/{}", utf8(&entry.path)?));
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::install::merge;

    fn write(host: &Host, path: &str, text: &str) {
        let path = host.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A root with a merged component, files of packages, logs and lists; and the component's inventory.
    fn root(host: &Host) -> Inventory {
        let write = |path: &str, text: &str| write(host, path, text);
        write(
            "/var/lib/dpkg/status",
            "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
        );
        write(
            "/var/lib/dpkg/info/dpkg.list",
            "/.\n/usr/lib/python3/__pycache__/owned.pyc\n",
        );
        write("/usr/lib/python3/__pycache__/owned.pyc", "x");
        write("/usr/lib/python3.11/__pycache__/stray.pyc", "x");
        write("/var/log/dpkg.log", "x");
        write("/var/log/bootstrap.log", "x");
        write("/var/lib/apt/lists/archive.example_Packages", "x");
        write("/stage/usr/include/pg/postgres.h", "x");
        write("/stage/usr/lib/pg/lib/libpq.so.5.18", "x");
        write("/stage/usr/lib/pg/bin/ecpg", "x");
        std::os::unix::fs::symlink("libpq.so.5.18", host.path("/stage/usr/lib/pg/lib/libpq.so")).unwrap();
        let mut inventory = Inventory::default();
        merge::merge(host, "/stage", "postgresql", &mut inventory, &|_| Ok(())).unwrap();
        inventory
    }

    #[test]
    fn files_of_the_policy_are_removed_unless_dpkg_owns_them() {
        let root_directory = tempfile::tempdir().unwrap();
        let host = Host::new(root_directory.path());
        let write = |path: &str, text: &str| write(&host, path, text);
        let mut inventory = root(&host);
        let policy = Prune {
            remove: vec![
                Removal::Development,
                Removal::ByteCode,
                Removal::Logs,
                Removal::PackageLists,
            ],
            paths: vec!["/opt/x/*-[0-9]*.t?t".to_owned()],
            ..Prune::default()
        };
        for name in ["notes-1.2.txt", "notes-x.txt"] {
            write(&format!("/opt/x/{name}"), "x");
        }
        write("/etc/ssl/private/ssl-cert-snakeoil.key", "x");
        write("/etc/ssl/certs/ssl-cert-snakeoil.pem", "x");
        std::os::unix::fs::symlink("ssl-cert-snakeoil.pem", host.path("/etc/ssl/certs/6d238aa3.0")).unwrap();
        write("/tmp/theirs", "x");
        let before = PackagesBefore::take(&host, None).unwrap();
        write("/tmp/ours/deep", "x");
        write(&format!("{}/log/purge.log", layout::WORK), "x");
        files(&host, &policy, &mut inventory).unwrap();
        let pruned = leftovers(&host, &policy, &before).unwrap();
        assert_eq!(
            pruned.owned,
            [(
                "/usr/lib/python3/__pycache__/owned.pyc".to_owned(),
                "dpkg".to_owned()
            )]
        );
        let left: Vec<&str> = inventory.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            left,
            ["/usr/lib/pg", "/usr/lib/pg/lib", "/usr/lib/pg/lib/libpq.so.5.18"]
        );
        for (path, expected) in [
            ("/usr/include", false),
            ("/usr/lib/pg/bin", false),
            ("/usr/lib/python3.11/__pycache__", false),
            ("/usr/lib/python3/__pycache__/owned.pyc", true),
            ("/var/log/dpkg.log", false),
            ("/var/log/bootstrap.log", true),
            ("/var/lib/apt/lists/archive.example_Packages", false),
            ("/var/lib/apt/lists", true),
            ("/etc/ssl/private/ssl-cert-snakeoil.key", false),
            ("/etc/ssl/certs/ssl-cert-snakeoil.pem", false),
            ("/etc/ssl/certs/6d238aa3.0", false),
            ("/opt/x/notes-1.2.txt", false),
            ("/opt/x/notes-x.txt", true),
            ("/tmp/theirs", true),
            ("/tmp/ours", false),
            ("/var/tmp/pgsetup/log/purge.log", true),
        ] {
            assert_eq!(host.exists(path), expected, "{path}");
        }
    }
}
