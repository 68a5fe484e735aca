//! What every build is told.

/// What builds are told instead of what pgsetup was told, so that nothing of its caller is in an artifact.
///
/// The date is always the same: 2020-01-01; the archives of Python wheels know no year before 1980. Programs are those of
/// the distribution: what an administrator has below /usr/local is in no key. A key's recipe version covers all of it.
pub const VARIABLES: [(&str, &str); 3] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("SOURCE_DATE_EPOCH", "1577836800"),
    ("TMPDIR", "/tmp"),
];
