//! The manifest of the image: what is selected, and how the machine is laid out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Packages;
use super::variant::PackageVariant;

/// What the image holds. Exactly one of the manifests is of this kind.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// `image`.
    pub kind: String,
    /// The image's name.
    pub name: String,
    /// The distribution it is built on, `debian:bookworm`. `--base` chooses another one.
    pub base: String,
    /// How the machine is laid out where this manifest does not say it. Without it, `user`, `locale`, `configuration` and
    /// `prune` must be given.
    pub layout: Option<Layout>,
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
    /// The program manifests to install beside the server, by name.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Extension manifests whose libraries are loaded when the server starts.
    #[serde(default)]
    pub preload: Vec<String>,
    /// The system user that runs PostgreSQL.
    #[serde(default)]
    pub user: User,
    /// The locale of new clusters. Another than `C.UTF-8` or `C` is compiled into the image.
    #[serde(default)]
    pub locale: String,
    /// Further locales that are compiled into the image, for databases that name them.
    #[serde(default)]
    pub locales: Vec<String>,
    /// Directories to make.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// The file that holds the settings of this image, below /etc/postgresql.
    #[serde(default)]
    pub configuration: String,
    /// PostgreSQL settings of the image.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Debian packages that the image has for its own sake.
    #[serde(default)]
    pub packages: Packages,
    /// What is removed when everything is installed.
    #[serde(default)]
    pub prune: Prune,
    /// Values that count on some bases or architectures only, besides those above. A value that one base has must be
    /// given for every other that is built on, if only as an empty list.
    #[serde(default)]
    pub variants: Vec<PackageVariant>,
    /// Addresses of dated copies of Debian's archive, which have the packages of a lock that the archive itself has dropped.
    /// They are asked after it.
    #[serde(default)]
    pub snapshot: Vec<String>,
}

/// How the machine is laid out where an image's manifest does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// As the catalogue's own image, in which the entrypoint runs: its user, locales, directories, settings, packages and what
    /// it removes. A setting of the manifest replaces the one of the same name; packages, and what is removed, are added.
    Standard,
}

/// The keys that a manifest without a layout must give.
pub const LAID_OUT: [&str; 4] = ["user", "locale", "configuration", "prune"];

impl Image {
    /// Takes from `standard` what this manifest leaves out; `is_absent` tells of a key whether it does.
    pub fn lay_out(&mut self, standard: &Self, is_absent: impl Fn(&str) -> bool) {
        if is_absent("user") {
            self.user.clone_from(&standard.user);
        }
        if is_absent("locale") {
            self.locale.clone_from(&standard.locale);
        }
        if is_absent("locales") {
            self.locales.clone_from(&standard.locales);
        }
        if is_absent("configuration") {
            self.configuration.clone_from(&standard.configuration);
        }
        if is_absent("directories") {
            self.directories.clone_from(&standard.directories);
        }
        for (name, value) in &standard.settings {
            self.settings.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let (own, others) = (&mut self.packages, &standard.packages);
        add(&mut own.build, &others.build);
        add(&mut own.runtime, &others.runtime);
        add(&mut own.dlopen, &others.dlopen);
        add(&mut own.dlopen_optional, &others.dlopen_optional);
        add(&mut own.programs, &others.programs);
        self.variants.extend(standard.variants.iter().cloned());
        let (own, others) = (&mut self.prune, &standard.prune);
        add(&mut own.remove, &others.remove);
        add(&mut own.paths, &others.paths);
        add(&mut own.package_paths, &others.package_paths);
    }
}

/// Puts those of `others` in front that are not in `own`.
fn add<T: Clone + PartialEq>(own: &mut Vec<T>, others: &[T]) {
    let missing = others.iter().filter(|one| !own.contains(one));
    let missing: Vec<T> = missing.cloned().collect();
    own.splice(0..0, missing);
}

/// The system user.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
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
