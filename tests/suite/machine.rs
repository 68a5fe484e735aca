//! A machine in a directory: `pgsetup install --root DIR` with stub tools on PATH and archives from a loopback server.
//!
//! pgsetup looks up `chroot` and `apt-get` on PATH like every program. The stubs of `tests/stubs` change the root like the
//! real tools, as far as an installation can see. `make`, the compiler and the shell are real.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};

use crate::loopback::{Act, Server};
use crate::support::{Ran, command, project, wait_for, wait_for_none};

/// Files of an archive: name, text, and whether it is a program.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A directory that pgsetup takes for a machine.
pub struct Machine {
    /// `root`, `trace`, `bin`, `manifests`, `cache`.
    directory: tempfile::TempDir,
    /// The server with its sources.
    pub server: Server,
    /// The server's address.
    address: String,
    /// The archives of extensions, by their names.
    archives: RefCell<BTreeMap<String, Archive>>,
}

/// An archive on the server.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Its path there.
    pub path: String,
    /// Its address.
    pub url: String,
    /// Its digest, which the manifests have.
    pub sha256: String,
    /// Its digest with one bit flipped.
    pub sha256_with_flipped_bit: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// How an extension is published and built.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct Recipe<'a> {
    /// Lines that `make` runs for the target `all`.
    make: &'a [&'a str],
    /// More rules of its makefile.
    rules: &'a str,
    /// More files of its archive.
    files: Files<'a>,
    /// A command to run instead of `make`.
    run: Option<&'a [&'a str]>,
    /// Its build packages.
    packages: &'a [&'a str],
    /// The majors that it supports; empty for 17 and 18.
    majors: &'a [u16],
    /// Further addresses of its archive.
    mirrors: &'a [&'a str],
    /// What the server does when it is asked for the archive.
    acts: &'a [Act],
}

impl<'a> Recipe<'a> {
    /// An extension of a control file and a script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the lines that `make` runs for the target `all`.
    pub fn make(self, make: &'a [&'a str]) -> Self {
        Self { make, ..self }
    }

    /// Adds rules to its makefile.
    pub fn rules(self, rules: &'a str) -> Self {
        Self { rules, ..self }
    }

    /// Adds files to its archive.
    pub fn files(self, files: Files<'a>) -> Self {
        Self { files, ..self }
    }

    /// Sets a command to run instead of `make`.
    pub fn run(self, run: &'a [&'a str]) -> Self {
        Self {
            run: Some(run),
            ..self
        }
    }

    /// Sets its build packages.
    pub fn packages(self, packages: &'a [&'a str]) -> Self {
        Self { packages, ..self }
    }

    /// Sets the majors that it supports.
    pub fn majors(self, majors: &'a [u16]) -> Self {
        Self { majors, ..self }
    }

    /// Adds addresses of its archive.
    pub fn mirrors(self, mirrors: &'a [&'a str]) -> Self {
        Self { mirrors, ..self }
    }

    /// Sets what the server does when it is asked for the archive.
    pub fn acts(self, acts: &'a [Act]) -> Self {
        Self { acts, ..self }
    }
}

/// An extension whose library links another one, which none of its build packages brings.
pub fn linking_a_stray() -> Recipe<'static> {
    Recipe::new()
        .make(&[
            "@echo alpha >>$(TRACE)/compiled; mkdir -p $(ROOT)/usr/lib",
            "@cc -shared -nostdlib -Wl,-soname,libstray.so.1 -o $(ROOT)/usr/lib/libstray.so.1 stray.c",
            "@cc -shared -nostdlib -Wl,--no-as-needed -o alpha.so alpha.c $(ROOT)/usr/lib/libstray.so.1",
        ])
        .rules("\tinstall -D --target-directory=$(ROOT)$(DESTDIR)/usr/lib/postgresql/18/lib alpha.so\n")
        .files(&[
            ("stray.c", "int stray(void) { return 1; }\n"),
            (
                "alpha.c",
                "extern int stray(void); int alpha(void) { return stray(); }\n",
            ),
        ])
}

impl Machine {
    /// A bare Debian bookworm, with the manifests of a server and of an image without extensions.
    pub fn new() -> Self {
        let server = Server::start();
        let machine = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            address: server.put("", b"", &[]),
            server,
            archives: RefCell::default(),
        };
        for name in ["bin", "manifests", "versions"] {
            std::fs::create_dir(machine.path(name)).expect("a directory of the test");
        }
        machine.bare("");
        machine.stubs("machine");
        machine.image(&[], "");
        machine.postgresql(&[]);
        machine
    }

    /// The files of a bare machine, in the directory `above`.
    fn bare(&self, above: &str) {
        let directory = self.path(above);
        std::fs::create_dir_all(directory.join("trace")).expect("a directory of the test");
        let write = |inside: &str, text: &str| {
            let path = directory.join("root").join(inside.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("a path with a directory"))
                .expect("a directory of the root");
            std::fs::write(path, text).expect("a file of the root");
        };
        write("/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
        write(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\n",
        );
        write("/etc/group", "root:x:0:\nssh:x:101:\n");
        write("/etc/shadow", "root:*:1::::::\nsync:*:1::::::\n");
        write(
            "/var/lib/dpkg/status",
            "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\n\n",
        );
        write("/var/lib/dpkg/info/dpkg.list", "/.\n/usr/bin/dpkg\n");
        write("/usr/bin/dpkg", "");
        // The interpreter of the stubs: scripts without one are removed at the end.
        write("/usr/bin/bash", "");
        write("/tmp/of-the-base", "");
    }

    /// Another bare machine, with the same manifests, archives and cache; returns its root.
    pub fn other(&self) -> PathBuf {
        self.bare("other");
        self.path("other/root")
    }

    /// A path of the test: `root`, `trace/sql`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path on this machine of a path in the root.
    pub fn root(&self, inside: &str) -> PathBuf {
        self.path("root").join(inside.trim_start_matches('/'))
    }

    /// Writes a file of the root.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.root(inside);
        std::fs::create_dir_all(path.parent().expect("a path with a directory"))
            .expect("a directory of the root");
        std::fs::write(path, text).expect("a file of the root");
    }

    /// What stubs and makefiles wrote to `$(TRACE)/NAME`; empty if there is no such file.
    pub fn trace(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("trace").join(name)).unwrap_or_default()
    }

    /// Puts the scripts below `tests/stubs/KIND` on PATH, without their suffix.
    pub fn stubs(&self, kind: &str) {
        for (name, text) in stubs(kind) {
            let path = self.path("bin").join(name);
            std::fs::write(&path, text).expect("a stub is written");
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
                .expect("a stub is made executable");
        }
    }

    /// Writes a manifest.
    pub fn manifest(&self, name: &str, text: &str) {
        std::fs::write(self.path("manifests").join(name), text).expect("a manifest is written");
    }

    /// Writes the image's manifest with these extensions and more lines.
    pub fn image(&self, extensions: &[&str], more: &str) {
        let (uid, gid) = ids();
        let text = format!(
            "kind: image\nname: example\nbase: debian:bookworm\npostgresql: \"18\"\nextensions: [{}]\n\
             user: {{name: postgres, uid: {uid}, gid: {gid}, home: /var/lib/postgresql, shell: /bin/bash}}\n\
             locale: C.UTF-8\nconfiguration: /etc/postgresql/image.conf\n\
             directories: [{{path: /var/lib/postgresql/data, mode: \"0700\"}}]\nprune: {{remove: [package-lists]}}\n{more}",
            extensions.join(", ")
        );
        self.manifest("image.yaml", &text);
    }

    /// Publishes PostgreSQL 18: its archive and its manifest.
    pub fn postgresql(&self, acts: &[Act]) -> Archive {
        self.postgresql_of("18", "18.6", acts)
    }

    /// Publishes another major.
    pub fn postgresql_of(&self, major: &str, version: &str, acts: &[Act]) -> Archive {
        // What extensions need is built first, by targets of PostgreSQL's own makefiles.
        let part = "%:\n\t@true\n\ninstall-local:\n\
                    \tinstall -D --mode=644 Makefile $(ROOT)$(DESTDIR)/usr/include/postgresql/MAJOR/server/Makefile\n";
        let part = part.replace("MAJOR", major);
        let makefile = "world-bin:\n\t@echo compiled\ninstall-world-bin:\n\
                        \tinstall -D --target-directory=$(ROOT)$(DESTDIR)/usr/lib/postgresql/MAJOR/bin \
                        initdb pg_isready postgres psql\n";
        let makefile = makefile.replace("MAJOR", major);
        let mut files = vec![("configure".to_owned(), "echo configured\n".to_owned())];
        files.push(("Makefile".to_owned(), makefile));
        for directory in [
            "src",
            "src/backend",
            "src/include",
            "src/interfaces",
            "src/bin",
            "src/pl/plpgsql/src",
            "config",
        ] {
            files.push((format!("{directory}/Makefile"), part.clone()));
        }
        files.extend(stubs("server"));
        let archive = self.publish(&format!("postgresql-{version}"), &files, acts);
        let text = format!(
            "kind: postgresql\nname: \"{major}\"\nmajor: {major}\nversion: \"{version}\"\nlicense: PostgreSQL\n\
             homepage: https://www.postgresql.org/\nsource: archive\npackages: {{build: [make]}}\n\
             archive:\n  url: {}\n  sha256: {}\n  insecure: this machine's own server\n",
            archive.url, archive.sha256
        );
        self.manifest(&format!("postgresql-{major}.yaml"), &text);
        archive
    }

    /// Publishes version 1.0 of an extension, which installs a control file and a script.
    pub fn extension(&self, name: &str, recipe: Recipe<'_>) -> Archive {
        let mut makefile = "all:\n\t@echo compiling $(notdir $(CURDIR))\n".to_owned();
        for line in recipe.make {
            let _ = writeln!(makefile, "\t{line}");
        }
        let _ = write!(
            makefile,
            "install:\n\tinstall -D --mode=644 --target-directory=$(ROOT)$(DESTDIR)/usr/share/postgresql/$(word 4,$(subst /, ,$(PG_CONFIG)))/extension \
             {name}.control {name}--1.0.sql\n{}",
            recipe.rules
        );
        let mut files = vec![
            ("Makefile".to_owned(), makefile),
            (format!("{name}.control"), "default_version = '1.0'\n".to_owned()),
            (format!("{name}--1.0.sql"), "SELECT 1;\n".to_owned()),
        ];
        let more = recipe.files.iter();
        files.extend(more.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        let archive = self.publish(&format!("{name}-1.0"), &files, recipe.acts);
        let mirrors: Vec<String> = recipe
            .mirrors
            .iter()
            .map(|url| format!("{{url: \"{url}\"}}"))
            .collect();
        let build = match recipe.run {
            Some(words) => format!("{{steps: [{{name: build, run: {words:?}}}]}}"),
            None => "{pgxs: {}}".to_owned(),
        };
        let majors = if recipe.majors.is_empty() {
            &[17, 18]
        } else {
            recipe.majors
        };
        let text = format!(
            "kind: extension\nname: {name}\nsummary: an example\nlicense: PostgreSQL\nhomepage: https://example.org/\n\
             releases:\n  - version: \"1.0\"\n    postgresql: {majors:?}\n    provides: [{{name: {name}, default_version: \"1.0\"}}]\n\
             \x20   sources:\n      - url: {}\n        sha256: {}\n        insecure: this machine's own server\n\
             \x20       mirrors: [{}]\nbuild: {build}\npackages: {{build: {:?}}}\n",
            archive.url,
            archive.sha256,
            mirrors.join(", "),
            recipe.packages,
        );
        self.manifest(&format!("{name}.yaml"), &text);
        self.archives
            .borrow_mut()
            .insert(name.to_owned(), archive.clone());
        archive
    }

    /// The archive of an extension that [`Machine::extension`] published.
    #[track_caller]
    pub fn archive(&self, name: &str) -> Archive {
        self.archives.borrow()[name].clone()
    }

    fn publish(&self, top: &str, files: &[(String, String)], acts: &[Act]) -> Archive {
        let bytes = tar_gz(top, files);
        let path = format!("/{top}.tar.gz");
        Archive {
            url: self.server.put(&path, &bytes, acts),
            path,
            sha256: digest(&bytes),
            sha256_with_flipped_bit: digest(&with_flipped_bit(&bytes)),
            content: bytes,
        }
    }

    /// The command `pgsetup install` with more arguments, and with two jobs unless they say otherwise.
    pub fn command(&self, more: &[&str]) -> Command {
        self.command_in("root", more)
    }

    /// The command for another root.
    pub fn command_in(&self, root: &str, more: &[&str]) -> Command {
        let [manifests, root, cache] =
            ["manifests", root, "cache"].map(|name| self.path(name).to_str().expect("UTF-8").to_owned());
        let mut command = self.command_of(&["install", &manifests, "--root", &root, "--cache", &cache]);
        if !more.contains(&"--jobs") {
            command.args(["--jobs", "2"]);
        }
        command.args(more);
        command
    }

    /// Any command of pgsetup with the machine's programs.
    pub fn command_of(&self, words: &[&str]) -> Command {
        let mut command = command(words.iter().copied());
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        // A test sets these itself.
        for name in [
            "http_proxy",
            "https_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "MAKEFLAGS",
            "SOURCE_DATE_EPOCH",
        ] {
            command.env_remove(name);
        }
        command.env("no_proxy", "127.0.0.1");
        // The stub of chroot changes no root, so makefiles write to paths that are outside of their stage.
        command.env("PGSETUP_SANDBOX", "off");
        command
    }

    /// Runs `pgsetup install` with more arguments, and waits until no process of it is left.
    pub fn install(&self, more: &[&str]) -> Ran {
        let ran = self.command(more).output().expect("pgsetup starts").into();
        self.is_quiet();
        ran
    }

    /// Waits until nothing runs in the root: a killed process may take a moment to end.
    #[track_caller]
    pub fn is_quiet(&self) {
        wait_for_none("processes run in the root", || self.processes());
    }

    /// Starts `pgsetup install`, and waits until something has written `$(TRACE)/NAME`.
    pub fn start_until(&self, more: &[&str], name: &str) -> Child {
        let mut command = self.command(more);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgsetup starts");
        wait_for(name, || self.path("trace").join(name).exists());
        child
    }

    /// The processes that run in the root, with their command lines. They inherit a variable that the stub of `chroot` sets.
    fn processes(&self) -> Vec<(String, String)> {
        let marker = format!("ROOT={}", self.path("root").display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            // Ended processes, zombies and those of other users have no readable environment.
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == marker.as_bytes())
            {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                found.push((entry.file_name().to_string_lossy().into_owned(), line));
            }
        }
        found
    }

    /// Makes the machine bare again, with the same manifests, archives and cache.
    pub fn fresh(&self) {
        for name in ["root", "trace"] {
            std::fs::remove_dir_all(self.path(name)).expect("what an installation left is removed");
        }
        self.bare("");
    }

    /// Every file of the cache, by its path there.
    pub fn cached(&self) -> Vec<String> {
        files_below(&self.path("cache"))
    }

    /// Names of the unpacked sources and stages of a failed installation.
    pub fn unpacked(&self) -> Vec<String> {
        let mut names = Vec::new();
        for kind in ["source", "stage"] {
            let directory = self.root(&format!("/var/tmp/pgsetup/{kind}"));
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            names.extend(entries.map(|entry| format!("{kind}/{}", entry.file_name().to_string_lossy())));
        }
        names.sort();
        names
    }

    /// Replaces the directory of the test by `[TEST]` and the server by `[SERVER]`.
    pub fn neutral(&self, text: &str) -> String {
        text.replace(&self.directory.path().display().to_string(), "[TEST]")
            .replace(&self.address, "[SERVER]")
    }
}

impl Drop for Machine {
    /// What a test that failed has left running ends with it.
    fn drop(&mut self) {
        for (id, _) in self.processes() {
            let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
        }
    }
}

/// User and group id of the image's user. An ordinary user cannot give files away, so they are the own ones then.
pub fn ids() -> (u32, u32) {
    match rustix::process::geteuid() {
        root if root.is_root() => (999, 998),
        user => (user.as_raw(), rustix::process::getegid().as_raw()),
    }
}

/// Names and texts of the scripts below `tests/stubs/KIND`.
fn stubs(kind: &str) -> Vec<(String, String)> {
    let directory = project().join("tests/stubs").join(kind);
    let entries = std::fs::read_dir(directory).expect("the stubs").flatten();
    let mut stubs: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("UTF-8");
            let text = std::fs::read_to_string(entry.path()).expect("a stub");
            (name.trim_end_matches(".sh").to_owned(), text)
        })
        .collect();
    stubs.sort();
    stubs
}

/// An archive with everything below one directory, and its digest.
pub fn archive_of(top: &str, files: &[(String, String)]) -> (Vec<u8>, String) {
    let bytes = tar_gz(top, files);
    let digest = digest(&bytes);
    (bytes, digest)
}

/// An archive with everything below one directory.
fn tar_gz(top: &str, files: &[(String, String)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = tar::Builder::new(encoder);
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
        builder
            .append_data(&mut header, format!("{top}/{name}"), text.as_bytes())
            .expect("a file of an archive");
    }
    let encoder = builder.into_inner().expect("an archive");
    encoder.finish().expect("a compressed archive")
}

/// A file as [`Act::FlippedBit`] serves it.
fn with_flipped_bit(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_owned();
    *bytes.last_mut().expect("an archive is not empty") ^= 1;
    bytes
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Every file below a directory, by its path there, in order.
pub fn files_below(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(here) = ahead.pop() {
        for entry in std::fs::read_dir(here).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ahead.push(entry.path());
            } else {
                let path = entry.path();
                let below = path.strip_prefix(directory).expect("a path below");
                files.push(below.display().to_string());
            }
        }
    }
    files.sort();
    files
}
