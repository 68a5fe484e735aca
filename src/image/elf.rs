//! What the dynamic linker reads of an ELF file: machine, interpreter, needed libraries, search paths.
//!
//! Only the headers, the dynamic segment and the dynamic symbols are read. `strip` keeps them, so a
//! stripped file works too. Module `closure` finds the libraries.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache};

use crate::digest::to_hexadecimal;
use crate::host::Host;
use crate::host::entry::leads_nowhere;

/// The machine that code is built for. Two files can be in one process only if all three are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// True for 64 bits.
    pub is_64: bool,
    /// True if the lowest byte comes first.
    pub is_little_endian: bool,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = [
            (3, "i386"),
            (21, "ppc64"),
            (22, "s390x"),
            (40, "arm"),
            (62, "x86-64"),
            (183, "aarch64"),
            (243, "riscv"),
        ];
        let name = known.iter().find(|(number, _)| *number == self.number);
        match name {
            Some((_, name)) => f.write_str(name)?,
            None => write!(f, "machine {}", self.number)?,
        }
        let bits = if self.is_64 { 64 } else { 32 };
        let order = if self.is_little_endian { "little" } else { "big" };
        write!(f, " ({bits} bit, {order} endian)")
    }
}

/// What an ELF file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfKind {
    /// A program: it has an entry of its own.
    Program,
    /// A shared library or a module.
    Library,
    /// An object file, or anything else that is not loaded.
    Object,
}

/// The facts of one ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The machine it is for.
    pub machine: Machine,
    /// What it is for.
    pub kind: ElfKind,
    /// The dynamic linker it asks for (`PT_INTERP`).
    pub interpreter: Option<String>,
    /// Its own name (`DT_SONAME`).
    pub soname: Option<String>,
    /// Libraries it needs (`DT_NEEDED`), in order.
    pub needed: Vec<String>,
    /// Directories of `DT_RPATH`, as written. Empty if there is a `DT_RUNPATH`, which overrides it.
    pub rpath: Vec<String>,
    /// Directories of `DT_RUNPATH`, as written.
    pub runpath: Vec<String>,
    /// Whether it calls `dlopen` (3).
    pub opens_libraries: bool,
}

impl Elf {
    /// A file that needs nothing.
    pub fn alone(machine: Machine, kind: ElfKind) -> Self {
        Self {
            machine,
            kind,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            opens_libraries: false,
        }
    }
}

impl Host {
    /// The facts of the ELF file at a path inside the root. `None` if the path is not a regular file or the
    /// file is not an ELF file.
    ///
    /// # Errors
    /// The file cannot be read, or begins like an ELF file and is damaged.
    pub fn elf(&self, inside: &str) -> Result<Option<Elf>> {
        let facts = self.remembered(&[inside], || match self.open(inside) {
            Ok(file) => read(file, &self.path(inside)),
            Err(error) if leads_nowhere(&error) || error.kind() == ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path(inside).display())),
        })?;
        Ok((*facts).clone())
    }

    /// The identifier of the build that the linker wrote into the ELF file (`--build-id`), in hexadecimal digits.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn build_id(&self, inside: &str) -> Result<Option<String>> {
        let context = || format!("cannot read {}", self.path(inside).display());
        let bytes = self.open(inside).and_then(whole);
        let bytes = bytes.with_context(context)?;
        let id = match bytes.get(4) {
            Some(class) if *class == elf::ELFCLASS64.0 => build_id::<FileHeader64<Endianness>>(&bytes),
            _ => build_id::<FileHeader32<Endianness>>(&bytes),
        };
        id.with_context(context)
    }

    /// The names of shared libraries in the text of a file: those it links, and those it may open with `dlopen`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn library_names(&self, inside: &str) -> Result<BTreeSet<String>> {
        let read = || {
            let bytes = self.open(inside).and_then(whole);
            let bytes = bytes.with_context(|| format!("cannot read {}", self.path(inside).display()))?;
            Ok(LibraryNames(library_names(&bytes)))
        };
        Ok(self.remembered(&[inside], read)?.0.clone())
    }
}

/// What [`Host::library_names`] remembers.
struct LibraryNames(BTreeSet<String>);

/// The names of libraries with which C strings in `bytes` end, with or without a directory before them.
fn library_names(bytes: &[u8]) -> BTreeSet<String> {
    bytes
        .split(|byte| *byte == 0)
        .filter_map(name_at_end)
        .map(str::to_owned)
        .collect()
}

/// The longest end of a text that is `libNAME.so` or `libNAME.so.1`. A linker writes `libfoo.so` only once where another
/// text ends so (`ld`, of sections with `SHF_MERGE` and `SHF_STRINGS`), and what stands before a text may be no text at
/// all. One name is enough: the end of another library's name is hardly ever one that is opened, too.
fn name_at_end(text: &[u8]) -> Option<&str> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(byte);
    let word = text.rsplit(|byte| !fits(byte)).next()?;
    let word = std::str::from_utf8(word).ok()?;
    let is_apart = |at: usize| {
        let after = &word[at + "lib".len()..];
        // `libglib-2.0.so` does not contain the name `lib-2.0.so`.
        at == 0 || after.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    word.match_indices("lib")
        .filter(|(at, _)| is_apart(*at))
        .map(|(at, _)| &word[at..])
        .find(|name| is_library_name(name))
}

/// Whether a name that begins with `lib` is that of a shared library.
fn is_library_name(name: &str) -> bool {
    let is_version = |version: &str| {
        version.is_empty()
            || version
                .strip_prefix('.')
                .is_some_and(|rest| rest.split('.').all(|part| part.parse::<u32>().is_ok()))
    };
    // The longest name that a file may have (NAME_MAX).
    let fits = name.len() > "lib.so".len() && name.len() < 256;
    fits && name.rsplit_once(".so").is_some_and(|(_, rest)| is_version(rest))
}

/// All bytes of a file.
fn whole(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The facts of an ELF file, which messages call `path`.
fn read(mut file: File, path: &Path) -> Result<Option<Elf>> {
    let context = || format!("cannot read {}", path.display());
    let mut identification = [0; 6];
    match file.read_exact(&mut identification) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error).with_context(context),
    }
    if identification[..4] != *b"\x7fELF" {
        return Ok(None);
    }
    let data = ReadCache::new(file);
    let facts = if identification[4] == elf::ELFCLASS64.0 {
        facts::<FileHeader64<Endianness>>(&data)
    } else {
        facts::<FileHeader32<Endianness>>(&data)
    };
    facts
        .map(Some)
        .with_context(|| format!("{} is a broken ELF file", path.display()))
}

fn build_id<H: FileHeader<Endian = Endianness>>(data: &[u8]) -> object::Result<Option<String>> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, data)? {
        let Some(mut notes) = segment.notes(endian, data)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() == b"GNU" && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Ok(Some(to_hexadecimal(note.desc())));
            }
        }
    }
    Ok(None)
}

fn facts<H: FileHeader<Endian = Endianness>>(data: &ReadCache<File>) -> object::Result<Elf> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let machine = Machine {
        number: header.e_machine(endian).0,
        is_64: header.is_class_64(),
        is_little_endian: header.is_little_endian(),
    };
    // A file of debug symbols has the headers of the program, but not the segments.
    let has_no_code = |section: &H::SectionHeader| {
        let is_code = section.sh_flags(endian).0 & elf::SHF_EXECINSTR.0 != 0;
        section.sh_type(endian) == elf::SHT_NOBITS && is_code
    };
    if let Ok(sections) = header.section_headers(endian, data)
        && sections.iter().any(has_no_code)
    {
        return Ok(Elf::alone(machine, ElfKind::Object));
    }
    let segments = header.program_headers(endian, data)?;
    let mut interpreter = None;
    let mut dynamic: &[H::Dyn] = &[];
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(text(path));
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            dynamic = entries;
        }
    }
    let dynamic = Dynamic::<H>::new(endian, dynamic, segments, data);
    let runpath = dynamic.directories(elf::DT_RUNPATH);
    let is_pie = dynamic
        .value(elf::DT_FLAGS_1)
        .is_some_and(|flags| flags & 0x0800_0000 != 0);
    let kind = match header.e_type(endian) {
        elf::ET_EXEC => ElfKind::Program,
        elf::ET_DYN if is_pie => ElfKind::Program,
        elf::ET_DYN => ElfKind::Library,
        _ => ElfKind::Object,
    };
    Ok(Elf {
        machine,
        kind,
        interpreter,
        soname: dynamic.texts(elf::DT_SONAME).into_iter().next(),
        needed: dynamic.texts(elf::DT_NEEDED),
        rpath: if runpath.is_empty() {
            dynamic.directories(elf::DT_RPATH)
        } else {
            Vec::new()
        },
        runpath,
        opens_libraries: opens_libraries::<H>(header, endian, data, dynamic.strings),
    })
}

/// The dynamic segment: its entries, and the texts that they point to.
struct Dynamic<'d, H: FileHeader<Endian = Endianness>> {
    endian: Endianness,
    entries: &'d [H::Dyn],
    strings: &'d [u8],
}

impl<'d, H: FileHeader<Endian = Endianness>> Dynamic<'d, H> {
    fn new(
        endian: Endianness,
        entries: &'d [H::Dyn],
        segments: &[H::ProgramHeader],
        data: &'d ReadCache<File>,
    ) -> Self {
        let end = entries.iter().position(|entry| entry.tag(endian) == elf::DT_NULL);
        let mut dynamic = Self {
            endian,
            entries: &entries[..end.unwrap_or(entries.len())],
            strings: &[],
        };
        if let (Some(address), Some(size)) = (dynamic.value(elf::DT_STRTAB), dynamic.value(elf::DT_STRSZ)) {
            for segment in segments {
                if segment.p_type(endian) == elf::PT_LOAD
                    && let Ok(Some(bytes)) = segment.data_range(endian, data, address, size)
                {
                    dynamic.strings = bytes;
                }
            }
        }
        dynamic
    }

    /// The values of all entries with this tag.
    fn values(&self, tag: elf::DynamicTag) -> impl Iterator<Item = u64> {
        let entries = self.entries.iter();
        entries
            .filter(move |entry| entry.tag(self.endian) == tag)
            .map(|entry| entry.val(self.endian))
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.values(tag).next()
    }

    /// The texts of all entries with this tag.
    fn texts(&self, tag: elf::DynamicTag) -> Vec<String> {
        let string = |offset: u64| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = self.strings.get(from..).unwrap_or_default();
            text(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
        };
        self.values(tag).map(string).collect()
    }

    /// The directories of all entries with this tag, which are lists with colons.
    fn directories(&self, tag: elf::DynamicTag) -> Vec<String> {
        let lists = self.texts(tag);
        let parts = lists.iter().flat_map(|list| list.split(':'));
        parts.map(str::to_owned).collect()
    }
}

/// Whether a file asks others for `dlopen` or `dlmopen`. `strings` are its dynamic ones: without a table of sections, which
/// has the symbols, one that ends so is enough, because linkers merge ends.
fn opens_libraries<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    data: &ReadCache<File>,
    strings: &[u8],
) -> bool {
    let openers = [&b"dlopen"[..], b"dlmopen"];
    let symbols = header
        .sections(endian, data)
        .and_then(|sections| sections.symbols(endian, data, elf::SHT_DYNSYM))
        .unwrap_or_default();
    if symbols.is_empty() {
        let mut texts = strings.split(|byte| *byte == 0);
        return texts.any(|text| openers.iter().any(|opener| text.ends_with(opener)));
    }
    let asks = |symbol: &H::Sym| {
        let name = symbols.symbol_name(endian, symbol);
        symbol.is_undefined(endian) && name.is_ok_and(|name| openers.contains(&name))
    };
    symbols.iter().any(asks)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facts of a file of this machine.
    fn read(path: &Path) -> Result<Option<Elf>> {
        Host::new(Path::new("/")).elf(path.to_str().unwrap())
    }

    #[test]
    fn this_test_program_is_read_as_a_program_that_needs_libc() {
        let path = std::env::current_exe().unwrap();
        let elf = read(&path).unwrap().unwrap();
        assert_eq!(elf.kind, ElfKind::Program);
        if elf.interpreter.is_some() {
            assert!(elf.needed.contains(&"libc.so.6".to_owned()), "{elf:?}");
        }
        assert_eq!(elf.machine.is_64, cfg!(target_pointer_width = "64"));
    }

    #[test]
    fn names_of_libraries_are_found_among_other_texts() {
        let found = |bytes: &[u8]| -> Vec<String> { library_names(bytes).into_iter().collect() };
        let bytes =
            b"\x01\0libcurl.so.4\0libcurl.so.4\0/opt/x/libtensor.so\0use libz.so.1 here\0libm.so.6x\0lib.so\0";
        assert_eq!(found(bytes), ["libcurl.so.4", "libtensor.so"]);
        for (text, expected) in [
            (&b"preloadlibfoo.so"[..], &["libfoo.so"][..]),
            (b"cannot open libfoo.so.1.2", &["libfoo.so.1.2"]),
            (b"/usr/lib/x86_64-linux-gnu/libfoo.so", &["libfoo.so"]),
            // Bytes that are not text may precede it.
            (b"J\xff\xff\x01libfoo.so", &["libfoo.so"]),
            (b"libedit.so:libreadline.so.8", &["libreadline.so.8"]),
            // Names of libraries count as wholes.
            (b"libglib-2.0.so.0", &["libglib-2.0.so.0"]),
            (b"libcalibrate.so", &["libcalibrate.so"]),
            (b"libpackagekit-glib2.so.18", &["libpackagekit-glib2.so.18"]),
            (b"libmylibfoo.so", &["libmylibfoo.so"]),
            (b"lib_x.so", &["lib_x.so"]),
            (b"module-glib-2.0.so", &[]),
            (b"plpgsql.so", &[]),
        ] {
            assert_eq!(found(text), expected, "{}", text.escape_ascii());
        }
    }

    /// What is read of a library that is compiled of `code`, without its table of sections where `is_bare`.
    fn compiled(code: &str, is_bare: bool) -> (Elf, BTreeSet<String>) {
        let directory = tempfile::tempdir().unwrap();
        let (source, library) = (directory.path().join("it.c"), directory.path().join("it.so"));
        std::fs::write(&source, code).unwrap();
        let compiler = std::process::Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-s", "-o"])
            .args([&library, &source])
            .output()
            .unwrap();
        assert!(compiler.status.success(), "{compiler:?}");
        let mut bytes = std::fs::read(&library).unwrap();
        if is_bare {
            // e_shoff, and from e_shentsize on all that speaks of sections.
            bytes[0x28..0x30].fill(0);
            bytes[0x3a..0x40].fill(0);
            std::fs::write(&library, &bytes).unwrap();
        }
        (read(&library).unwrap().unwrap(), library_names(&bytes))
    }

    #[test]
    fn what_a_linker_has_merged_into_longer_texts_is_found() {
        let code = "void *dlopen(const char *, int);\n\
                    void *my_dlopen(const char **said) { *said = \"preloadlibtensor.so.1\"; return dlopen(\"libtensor.so.1\", 1); }";
        for is_bare in [false, true] {
            let (elf, names) = compiled(code, is_bare);
            assert!(elf.opens_libraries, "bare: {is_bare}");
            assert!(names.contains("libtensor.so.1"), "{names:?}");
        }
        let (elf, _) = compiled("int my_dlopen(void) { return 0; }", false);
        assert!(!elf.opens_libraries);
        let (elf, _) = compiled("int dlopen(void) { return 0; }", false);
        assert!(!elf.opens_libraries);
    }

    #[test]
    fn a_broken_elf_file_is_an_error_and_text_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "\x7fELF\x02\x01 and no more").unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("is a broken ELF file")
        );
        std::fs::write(&path, "#!/bin/sh").unwrap();
        assert_eq!(read(&path).unwrap(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(read(&directory.path().join("none")).unwrap(), None);
        assert_eq!(read(directory.path()).unwrap(), None);
    }
}
