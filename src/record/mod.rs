//! The documents that an image carries. Pure: no IO here, no clock.

pub mod cyclonedx;
pub mod diff;
pub mod inventory;
pub mod purl;
pub mod receipt;
pub mod sbom;
pub mod spdx;
pub mod why;
