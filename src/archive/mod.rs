//! Archives. Sources and stages are unpacked; stages and debug symbols are packed.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "archives are files"
)]

pub mod graft;
pub mod pack;
pub mod submodules;
pub mod symbols;
mod tar;
pub mod tree;
pub mod unpack;
