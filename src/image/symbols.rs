//! The names that an ELF file brings and wants when it is loaded: its dynamic symbols.
//!
//! Versions of symbols are left aside: what matters here is whether anybody has the name at all.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, Result};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, ReadCache};

use crate::host::Host;

/// The dynamic symbols of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Names that it has for others.
    pub defined: BTreeSet<String>,
    /// Names that it cannot be loaded without. Weak ones are not among them.
    pub wanted: BTreeSet<String>,
}

impl Host {
    /// The dynamic symbols of the ELF file at a path inside the root. Links are followed.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn symbols(&self, inside: &str) -> Result<Arc<Symbols>> {
        self.remembered(&[inside], || self.symbols_now(inside))
    }

    fn symbols_now(&self, inside: &str) -> Result<Symbols> {
        let context = || format!("cannot read the symbols of {}", self.path(inside).display());
        let file = self.open(inside);
        let data = ReadCache::new(file.with_context(context)?);
        let is_64 = object::ReadRef::read_bytes_at(&data, 4, 1) == Ok(&[elf::ELFCLASS64.0]);
        let symbols = if is_64 {
            symbols::<FileHeader64<Endianness>>(&data)
        } else {
            symbols::<FileHeader32<Endianness>>(&data)
        };
        symbols.with_context(context)
    }
}

fn symbols<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> object::Result<Symbols> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let table = header
        .sections(endian, data)?
        .symbols(endian, data, elf::SHT_DYNSYM)?;
    let mut symbols = Symbols::default();
    for symbol in table.iter() {
        let name = String::from_utf8_lossy(table.symbol_name(endian, symbol)?).into_owned();
        let is_global = symbol.st_bind() == elf::STB_GLOBAL;
        if name.is_empty() {
            continue;
        }
        if !symbol.is_undefined(endian) {
            symbols.defined.insert(name);
        } else if is_global {
            symbols.wanted.insert(name);
        }
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_wants_what_the_c_library_has() {
        let path = std::env::current_exe().unwrap();
        let host = Host::new(std::path::Path::new("/"));
        let symbols = host.symbols(path.to_str().unwrap()).unwrap();
        if host
            .elf(path.to_str().unwrap())
            .unwrap()
            .unwrap()
            .interpreter
            .is_some()
        {
            assert!(symbols.wanted.contains("malloc"), "{symbols:?}");
        }
        assert!(!symbols.wanted.contains(""));
    }
}
