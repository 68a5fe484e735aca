//! Facts about a root: its files, what they need, and their owners. Nothing is changed.

pub mod accounts;
pub mod altered;
pub mod base;
pub mod closure;
pub mod elf;
pub mod entry;
pub mod everywhere;
pub mod kind;
pub mod licence;
pub mod needs;
pub mod outside;
pub mod packages;
pub mod programs;
pub mod rights;
pub mod scripts;
pub mod stock;
pub mod symbols;
pub mod unpackaged;
