//! Where things are while an image is made, and where its own records are. Paths inside the root.

/// Everything that is needed only while pgsetup runs; removed at the end. The Dockerfile mounts memory or a
/// cache here, because compiling on an overlay file system is slow.
pub const WORK: &str = "/var/tmp/pgsetup";

/// The directory of pgsetup's own records in the image.
pub const RECORDS: &str = "/usr/share/pgsetup";

/// The record of what the root held before an installation. An installation that resumes an interrupted one needs it, and
/// removes it at its end.
pub const UNFINISHED: &str = "/var/lib/pgsetup";

/// The part of dpkg's configuration that says which files of packages are not unpacked.
pub const DPKG_CONFIGURATION: &str = "/etc/dpkg/dpkg.cfg.d/pgsetup";

/// Where pgsetup itself is in an image that keeps it.
pub const PROGRAM: &str = "/usr/local/bin/pgsetup";

/// Where the entrypoint's scripts and its program are in an image.
pub const CONTAINER: &str = "/opt/container";

/// The entrypoint of an image.
pub const ENTRYPOINT: &str = "/entrypoint.sh";

/// Where Debian packages have what only people read (Debian policy 12); base images often do without.
pub const DOCUMENTATION: [&str; 7] = [
    "/usr/share/doc",
    "/usr/share/doc-base",
    "/usr/share/groff",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
];

/// The archive of locked packages that apt is given, and apt's configuration and lists for it.
pub const LOCKED: &str = "/var/tmp/pgsetup/locked";

/// The unpacked sources of a component.
pub fn source(slug: &str) -> String {
    format!("{WORK}/source/{slug}")
}

/// The unpacked sources of a component in which upstream's own tests are run.
pub fn upstream(slug: &str) -> String {
    format!("{WORK}/upstream/{slug}")
}

/// The crates that a component is compiled with, and the home of Cargo in its build.
pub fn crates(slug: &str) -> String {
    format!("{WORK}/crates/{slug}")
}

/// The home of Cargo in a component's build. Its `bin` is on PATH.
pub fn cargo_home(slug: &str) -> String {
    format!("{}/home", crates(slug))
}

/// The unpacked crates of a component.
pub fn vendored(slug: &str) -> String {
    format!("{}/vendor", crates(slug))
}

/// The directory of temporary files of a component's build.
pub fn temporary(slug: &str) -> String {
    format!("{WORK}/tmp/{slug}")
}

/// The staging tree (`DESTDIR`) of a component.
pub fn stage(slug: &str) -> String {
    format!("{WORK}/stage/{slug}")
}

/// What is kept of a component whose build failed.
pub fn failed(slug: &str) -> String {
    format!("{WORK}/failed/{slug}")
}

/// The directory of the logs of steps.
pub fn logs() -> String {
    format!("{WORK}/log")
}

/// The log of a step, in a directory of logs.
pub fn log(logs: &str, step: &str) -> String {
    let name: String = step
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    format!("{logs}/{name}.log")
}
