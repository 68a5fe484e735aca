//! The manifest of the image: what is selected, and how the machine is laid out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Packages;

/// What the image holds. Exactly one of the manifests is of this kind.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// `image`.
    pub kind: String,
    /// The image's name.
    pub name: String,
    /// The distribution it is built on, `debian:bookworm`.
    pub base: String,
    /// The PostgreSQL manifest to install, by name.
    pub postgresql: String,
    /// PostgreSQL manifests of older majors, by name: their servers are installed as well, with those of the image's
    /// extensions that are for them, so that data of these majors can be upgraded. Where the command line chooses an
    /// older PostgreSQL, those count that are older still.
    #[serde(default)]
    pub previous: Vec<String>,
    /// Just-in-time compilation, which adds LLVM (about 120 MB) to the image, and for which bitcode stays whatever `prune`
    /// says; not of the servers of older majors.
    #[serde(default)]
    pub jit: bool,
    /// Whether Patroni is installed.
    #[serde(default)]
    pub patroni: bool,
    /// The extension manifests to install, by name. One that does not exist for the selected PostgreSQL is a problem.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// Extension manifests whose libraries are loaded when the server starts.
    #[serde(default)]
    pub preload: Vec<String>,
    /// The system user that runs PostgreSQL.
    pub user: User,
    /// The locale of new clusters. Another than `C.UTF-8` or `C` is compiled into the image.
    pub locale: String,
    /// Further locales that are compiled into the image, for databases that name them.
    #[serde(default)]
    pub locales: Vec<String>,
    /// Directories to make.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// The file that holds the settings of this image, below /etc/postgresql.
    pub configuration: String,
    /// PostgreSQL settings of the image.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Debian packages that the image has for its own sake.
    #[serde(default)]
    pub packages: Packages,
    /// What is removed when everything is installed.
    pub prune: Prune,
}

/// The system user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name of the user and of its group.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A directory of the image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permissions in octal, `"0700"`.
    pub mode: String,
    /// `root` or the image's user; the user where it is not given.
    pub owner: Option<String>,
}

/// What is removed at the end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Kinds of files to remove from what was compiled.
    #[serde(default)]
    pub remove: Vec<Removal>,
    /// Kinds that stay although `remove` names them; `development` for an image that others extend.
    #[serde(default)]
    pub keep: Vec<Removal>,
    /// Whether symbols for debuggers, which `remove` takes from what is compiled, are kept in an archive outside of the
    /// image: `usr/lib/debug/.build-id/…`, where a debugger looks when it is unpacked into the root. PostgreSQL and
    /// extensions are compiled with them then.
    #[serde(default)]
    pub keep_debug_symbols: bool,
    /// Whether pgsetup itself stays, as /usr/local/bin/pgsetup; the image can then be verified from within.
    #[serde(default)]
    pub keep_pgsetup: bool,
    /// Files and directories to remove besides; absolute paths, in whose names `*`, `?` and `[…]` are what they are to a
    /// shell, and `*` hidden names as well. What Debian packages own stays.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Files of Debian packages that are never unpacked, as patterns of dpkg's `path-exclude` (dpkg(1)). dpkg is told
    /// in its own configuration, before the first package is installed and for good. Copyright files always stay.
    #[serde(default)]
    pub package_paths: Vec<String>,
}

/// A kind of files that a running server does not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// Symbols for debuggers in programs and libraries.
    DebugSymbols,
    /// Static libraries and libtool files.
    StaticLibraries,
    /// Headers, PGXS makefiles, pkg-config files and `pg_config`'s build information: what compiling another
    /// extension against this PostgreSQL needs.
    Development,
    /// LLVM bitcode of the server and of extensions.
    Bitcode,
    /// Manual pages and other documentation of what was compiled.
    Documentation,
    /// Translations of messages.
    Translations,
    /// Python byte code.
    ByteCode,
    /// apt's package lists and archives.
    PackageLists,
    /// Logs written during the installation.
    Logs,
}

impl Removal {
    /// What is taken from a stage before it is packed, besides symbols. The others are needed until everything is built.
    pub const FROM_STAGES: [Self; 4] = [
        Self::Bitcode,
        Self::ByteCode,
        Self::Documentation,
        Self::Translations,
    ];

    /// The word for it in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::DebugSymbols => "debug-symbols",
            Self::StaticLibraries => "static-libraries",
            Self::Development => "development",
            Self::Bitcode => "bitcode",
            Self::Documentation => "documentation",
            Self::Translations => "translations",
            Self::ByteCode => "byte-code",
            Self::PackageLists => "package-lists",
            Self::Logs => "logs",
        }
    }
}
