//! The environment of every build.

/// The variables that replace those of pgsetup's caller, so that no artifact depends on the caller.
///
/// The date is always 2020-01-01, because the archives of Python wheels cannot hold a year before 1980. PATH has only the
/// distribution's programs, because no artifact key covers /usr/local. The recipe version in a key covers these values.
pub const VARIABLES: [(&str, &str); 3] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("SOURCE_DATE_EPOCH", "1577836800"),
    ("TMPDIR", "/tmp"),
];
