//! Debian's databases and formats, read from their files. Nothing is written here.

pub mod apt_sources;
pub mod deb822;
pub mod development;
pub mod dpkg;
pub mod md5sums;
pub mod states;
