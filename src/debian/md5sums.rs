//! The expected content of files of Debian packages: `md5sums` of dpkg's database (deb-md5sums(5)).
//!
//! Debian records only MD5, which detects damage and clumsy tampering. Other installed files have SHA-256.

use std::collections::BTreeSet;
use std::io::{self, Read};

use anyhow::{Context, Result};
use md5::{Digest as _, Md5};

use super::dpkg::{DATABASE, Dpkg};
use crate::digest::{each_piece, to_hexadecimal};
use crate::host::Host;

/// A file as its package has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packaged {
    /// Where it is.
    pub path: String,
    /// The package.
    pub package: String,
    /// MD5 of its content, in hexadecimal digits.
    pub md5: String,
}

impl Host {
    /// The files of installed packages with their digests. Configuration files, which the administrator may change, and files
    /// that another package has replaced are left out.
    ///
    /// # Errors
    /// A file of the database cannot be read.
    pub fn packaged(&self, dpkg: &Dpkg) -> Result<Vec<Packaged>> {
        let mut packaged = Vec::new();
        for name in self.names(&format!("{DATABASE}/info"))? {
            let Some(stem) = name.strip_suffix(".md5sums") else {
                continue;
            };
            let package = dpkg.plain_name(stem);
            let read = |suffix: &str| self.read(&format!("{DATABASE}/info/{stem}.{suffix}"));
            let conffiles = read("conffiles")?.unwrap_or_default();
            let conffiles: BTreeSet<&str> = conffiles.lines().map(str::trim).collect();
            for line in read("md5sums")?.unwrap_or_default().lines() {
                let Some((md5, path)) = line.split_once("  ") else {
                    continue;
                };
                let path = format!("/{path}");
                let place = dpkg.place(&package, &path);
                if !conffiles.contains(path.as_str()) && dpkg.owner(&place) == Some(package.as_str()) {
                    packaged.push(Packaged {
                        path: place,
                        package: package.clone(),
                        md5: md5.to_owned(),
                    });
                }
            }
        }
        packaged.sort();
        Ok(packaged)
    }

    /// The files that dpkg relies on: the lists of files, the maintainer scripts and the diversions.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn package_lists(&self) -> Result<BTreeSet<String>> {
        let directory = format!("{DATABASE}/info");
        let names = self.names(&directory)?;
        let lists = names.iter().map(|name| format!("{directory}/{name}"));
        Ok(lists.chain([format!("{DATABASE}/diversions")]).collect())
    }

    /// The configuration files of installed packages, which an administrator may change (deb-conffiles(5)).
    ///
    /// # Errors
    /// A file of the database cannot be read.
    pub fn configuration_files(&self, dpkg: &Dpkg) -> Result<BTreeSet<String>> {
        let mut paths = BTreeSet::new();
        for name in self.names(&format!("{DATABASE}/info"))? {
            let Some(stem) = name.strip_suffix(".conffiles") else {
                continue;
            };
            let package = dpkg.plain_name(stem);
            let text = self.read(&format!("{DATABASE}/info/{name}"))?.unwrap_or_default();
            // Some have a flag before the path.
            let listed = text.lines().filter_map(|line| line.split_whitespace().last());
            paths.extend(listed.map(|path| dpkg.place(&package, path)));
        }
        Ok(paths)
    }

    /// The MD5 of a file, in hexadecimal digits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn md5(&self, inside: &str) -> Result<String> {
        let read = || {
            let digest = self.open(inside).and_then(md5);
            let digest = digest.with_context(|| format!("cannot read {}", self.path(inside).display()));
            Ok(Digits(digest?))
        };
        Ok(self.remembered(&[inside], read)?.0.clone())
    }
}

/// The MD5 of a file, in hexadecimal digits.
struct Digits(String);

fn md5(reader: impl Read) -> io::Result<String> {
    let mut hash = Md5::new();
    each_piece(reader, |piece| hash.update(piece))?;
    Ok(to_hexadecimal(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_where_they_are_without_configuration_and_what_another_package_took_over() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let write = |path: &str, text: &str| {
            let path = host.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let paragraph = |name: &str| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n")
        };
        let status: String = ["dpkg", "bash", "dash"].map(paragraph).concat();
        write("/var/lib/dpkg/status", &status);
        write("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n");
        write(
            "/var/lib/dpkg/info/bash:amd64.list",
            "/.\n/bin/bash\n/bin/sh\n/etc/bash.bashrc\n",
        );
        write("/var/lib/dpkg/info/bash:amd64.conffiles", "/etc/bash.bashrc\n");
        write(
            "/var/lib/dpkg/info/bash:amd64.md5sums",
            "900150983cd24fb0d6963f7d28e17f72  bin/bash\n0  bin/sh\n1  etc/bash.bashrc\n2  bin/taken\n",
        );
        write("/var/lib/dpkg/info/dash.list", "/.\n/bin/taken\n");
        std::fs::create_dir_all(host.path("/usr/bin")).unwrap();
        std::os::unix::fs::symlink("usr/bin", host.path("/bin")).unwrap();
        write("/usr/bin/bash", "abc");
        let packaged = host.packaged(&host.dpkg().unwrap()).unwrap();
        let lines: Vec<String> = packaged
            .iter()
            .map(|file| format!("{} {} {}", file.path, file.package, file.md5))
            .collect();
        assert_eq!(
            lines,
            [
                "/usr/bin/bash bash 900150983cd24fb0d6963f7d28e17f72",
                "/usr/bin/sh.distrib bash 0",
            ]
        );
        assert_eq!(host.md5("/usr/bin/bash").unwrap(), packaged[0].md5);
    }
}
