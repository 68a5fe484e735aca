//! Archives: what is unpacked is a source or a stage, what is packed a stage or the symbols for debuggers.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "archives are files"
)]

pub mod pack;
pub mod symbols;
mod tar;
pub mod tree;
pub mod unpack;
