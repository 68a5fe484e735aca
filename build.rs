//! Packs what the binary carries beside its code: the manifests that it is released with, what was tested of them, and what
//! starts PostgreSQL in a container.
//!
//! A pack is xz of one stream: for each file a line `x PATH BYTES` (`-` in place of `x` if it is not executable), and then the
//! bytes. `src/catalogue` reads it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use lzma_rust2::{XzOptions, XzWriter};

/// Which release passed its tests on which PostgreSQL. `make catalogue` writes it.
const TESTED: &str = "docs/results/extensions.md";
/// The path of the compiled pgstart (`make pgsetup`). Without it, `pgsetup entrypoint` says that this binary has none.
const PGSTART: &str = "PGSETUP_PGSTART";

fn main() -> io::Result<()> {
    let mut catalogue = Vec::new();
    below(Path::new("manifests"), &mut catalogue)?;
    catalogue.retain(|path| path.extension().is_some_and(|suffix| suffix == "yaml"));
    catalogue.push(PathBuf::from(TESTED));
    pack(
        "catalogue.xz",
        catalogue.into_iter().map(|path| (path.clone(), path)).collect(),
    )?;

    let mut start = Vec::new();
    below(Path::new("entrypoint.d"), &mut start)?;
    let mut start: Vec<_> = start.into_iter().map(|path| (path.clone(), path)).collect();
    println!("cargo::rerun-if-env-changed={PGSTART}");
    if let Some(path) = env::var_os(PGSTART).filter(|path| !path.is_empty()) {
        start.push((PathBuf::from("pgstart"), PathBuf::from(path)));
    }
    pack("start.xz", start)
}

/// Packs files, each under a name.
fn pack(name: &str, mut files: Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    files.sort();
    let mut stream = Vec::new();
    for (name, path) in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes = fs::read(path)?;
        let is_program = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
        let mark = if is_program { 'x' } else { '-' };
        writeln!(stream, "{mark} {} {}", name.display(), bytes.len())?;
        stream.extend(bytes);
    }
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(9))?;
    writer.write_all(&stream)?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join(name), writer.finish()?)
}

/// The files below a directory. A new one changes the directory, which cargo watches as well.
fn below(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", directory.display());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
