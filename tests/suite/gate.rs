//! The gate at the end of an installation, in a container of the base with real packages: compiled files need libraries
//! and programs in every possible way, the build packages are removed, and each missing file is named.
//!
//! The server is a program of three lines, because a real one takes minutes to compile and the gate does not start it.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::skip;
use crate::in_base::{self, InBase};

/// A compiled file of an extension, and the manifest's entries for it.
struct Case {
    name: &'static str,
    /// Its source.
    code: &'static str,
    /// More arguments for the compiler.
    link: &'static str,
    /// The first line of a script that is installed beside it; empty if there is no script.
    script: &'static str,
    /// `packages` of the manifest.
    packages: &'static str,
    /// The gate's finding; empty if there is no finding.
    finding: &'static str,
}

const DIRECTORY: &str = "/usr/lib/postgresql/18/lib";

const CASES: [Case; 9] = [
    Case {
        name: "linked",
        code: "void *yaml_get_version_string(void); void *f(void) { return yaml_get_version_string(); }",
        link: "-lyaml",
        script: "",
        packages: "build: [libyaml-dev]",
        finding: "",
    },
    Case {
        name: "declared",
        code: "void *dlopen(const char *, int); void *f(void) { return dlopen(\"libnpth.so.0\", 1); }",
        link: "",
        script: "",
        packages: "build: [libnpth0-dev], dlopen: [libnpth.so.0]",
        finding: "",
    },
    Case {
        name: "purged",
        code: "void *dlopen(const char *, int); void *f(void) { return dlopen(\"libjansson.so.4\", 1); }",
        link: "",
        script: "",
        packages: "build: [libjansson-dev]",
        finding: "[DIR]/purged.so opens libjansson.so.4; the package libjansson4 had it",
    },
    Case {
        name: "undeclared",
        code: "void *dlopen(const char *, int); void *f(void) { return dlopen(\"libtensor.so.1\", 1); }",
        link: "",
        script: "",
        packages: "dlopen_optional: [libcuda.so.1]",
        finding: "[DIR]/undeclared.so opens libtensor.so.1, which neither exists nor is declared; no installed package had it",
    },
    // The linker writes neither the symbol nor the name a second time where a longer text ends so.
    Case {
        name: "merged",
        code: "void *dlopen(const char *, int); void *my_dlopen(const char **said) \
               { *said = \"preloadlibmerged.so.1\"; return dlopen(\"libmerged.so.1\", 1); }",
        link: "-O2",
        script: "",
        packages: "dlopen_optional: [libcuda.so.1]",
        finding: "[DIR]/merged.so opens libmerged.so.1, which neither exists nor is declared; no installed package had it",
    },
    Case {
        name: "promised",
        code: "int f(void) { return 0; }",
        link: "",
        script: "",
        packages: "dlopen: [plugins/libpromised.so.2], programs: [frobnicate]",
        finding: "promised (`packages.dlopen`) -> plugins/libpromised.so.2: not found; no installed package had it\n\
                  promised calls the program frobnicate, which does not exist; no installed package had it",
    },
    Case {
        name: "private",
        code: "int g(void); int f(void) { return g(); }",
        link: "-L. -lprivate",
        script: "",
        packages: "build: []",
        finding: "[DIR]/private.so -> libprivate.so: not found; no installed package had it",
    },
    Case {
        name: "orphaned",
        code: "int orphaned(void) { return 0; }",
        link: "",
        script: "#!/usr/bin/gawk -f",
        packages: "build: [gawk]",
        finding: "[DIR]/orphaned.sh is run by /usr/bin/gawk, which does not exist; the package gawk had it",
    },
    Case {
        name: "run",
        code: "int run(void) { return 0; }",
        link: "",
        script: "#!/usr/bin/env m4",
        packages: "build: [m4], runtime: [m4]",
        finding: "",
    },
];

/// An archive with these files, and its digest.
pub fn archive(directory: &Path, name: &str, files: &[(&str, &str)]) -> String {
    let tree = directory.join("trees").join(format!("{name}-1.0"));
    std::fs::create_dir_all(&tree).unwrap();
    for (file, text) in files {
        let file = tree.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let path = directory.join(format!("vendor/{name}-1.0.tar.gz"));
    std::fs::create_dir_all(directory.join("vendor")).unwrap();
    let packed = Command::new("tar")
        .args(["--create", "--gzip", "--file"])
        .arg(&path)
        .arg("--directory")
        .arg(directory.join("trees"))
        .arg(format!("{name}-1.0"))
        .status();
    assert!(packed.unwrap().success());
    let digest = Command::new("sha256sum").arg(&path).output().unwrap();
    String::from_utf8(digest.stdout).unwrap()[..64].to_owned()
}

fn extension(directory: &Path, case: &Case) {
    let Case {
        name,
        code,
        link,
        script,
        packages,
        ..
    } = case;
    let library = "int g(void) { return 1; }";
    let script_text = format!("{script}\n");
    let files = [("it.c", *code), ("private.c", library), ("script", &script_text)];
    let digest = archive(directory, name, &files);
    let installed = format!("'${{stage}}{DIRECTORY}/{name}.sh'");
    // A script without a first line is not checked.
    let mode = if script.is_empty() { "0644" } else { "0755" };
    let compile = |words: &str| format!("[gcc, -shared, -fPIC, {words}]");
    let manifest = format!(
        "kind: extension\nname: {name}\nsummary: A case\nlicense: MIT\nhomepage: https://example.org/\nreleases:\n\
         \x20 - {{version: '1.0', postgresql: [18], sources: [{{url: 'https://example.org/{name}.tar.gz', sha256: {digest}}}]}}\n\
         build:\n  steps:\n\
         \x20   - {{name: a library, run: {private}}}\n\
         \x20   - {{name: a directory, run: [mkdir, -p, '${{stage}}{DIRECTORY}']}}\n\
         \x20   - {{name: a script, run: [install, --mode={mode}, script, {installed}]}}\n\
         \x20   - {{name: it, run: {it}}}\n\
         packages: {{{packages}}}\n\
         tests: [{{description: it is there, query: SELECT 1, expected: '1'}}]\n",
        private = compile("private.c, -o, libprivate.so"),
        it = compile(&format!(
            "it.c, -o, '${{stage}}{DIRECTORY}/{name}.so'{}",
            link.split_whitespace()
                .map(|word| format!(", {word}"))
                .collect::<String>()
        )),
    );
    std::fs::write(directory.join(format!("manifests/{name}.yaml")), manifest).unwrap();
}

/// The manifest of the small server, and its archive.
pub fn server(directory: &Path) {
    let makefile = "world-bin:\n\tgcc -g -o postgres it.c\ninstall-world-bin:\n\
                    \tinstall -D postgres $(DESTDIR)/usr/lib/postgresql/18/bin/postgres\n";
    // What extensions need is built first, by targets of PostgreSQL's own makefiles.
    let part = "%:\n\t@true\ninstall-local:\n\tinstall -D --mode=644 Makefile $(DESTDIR)/usr/include/postgresql/Makefile\n";
    let files = [
        ("configure", "#!/bin/sh\n"),
        ("Makefile", makefile),
        ("it.c", "int main(void) { return 0; }"),
        ("src/Makefile", part),
        ("src/backend/Makefile", part),
        ("src/include/Makefile", part),
        ("src/interfaces/Makefile", part),
        ("src/bin/Makefile", part),
        ("src/pl/plpgsql/src/Makefile", part),
        ("config/Makefile", part),
    ];
    let digest = archive(directory, "postgresql", &files);
    let server = format!(
        "kind: postgresql\nname: '18'\nmajor: 18\nversion: '18.0'\nlicense: PostgreSQL\n\
         homepage: https://www.postgresql.org/\nsource: archive\n\
         archive: {{url: 'https://example.org/postgresql.tar.gz', sha256: {digest}}}\n\
         packages: {{build: [gcc, libc6-dev, make]}}\n"
    );
    std::fs::write(directory.join("manifests/server.yaml"), server).unwrap();
}

/// The image's manifest.
fn image(directory: &Path) {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let image = format!(
        "kind: image\nname: gate\nbase: debian:bookworm\npostgresql: '18'\nextensions: [{}]\n\
         user: {{name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash}}\nlocale: C.UTF-8\n\
         configuration: /etc/postgresql/image.conf\nprune: {{remove: [debug-symbols], keep_debug_symbols: true, package_paths: [/usr/share/doc/*]}}\n",
        names.join(", ")
    );
    std::fs::write(directory.join("manifests/image.yaml"), image).unwrap();
}

/// The outcome of the installation.
struct Installation {
    out: String,
    text: String,
    /// The archive with debug symbols, and their program.
    taken: tempfile::TempDir,
}

/// The installation, run once for all tests.
fn installation() -> &'static Installation {
    static INSTALLATION: OnceLock<Result<Installation, String>> = OnceLock::new();
    let installation = INSTALLATION.get_or_init(|| {
        in_base::available()?;
        Ok(install())
    });
    installation.as_ref().unwrap_or_else(|why| skip(why))
}

fn install() -> Installation {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("manifests")).unwrap();
    server(path);
    image(path);
    for case in &CASES {
        extension(path, case);
    }
    let script = "/gate/pgsetup install /gate/manifests --no-catalogue --vendor /gate/vendor --offline; echo \"status $?\"; \
                  ls /usr/share/doc/libyaml-0-2; dpkg-query --show --showformat '${Package} '";
    let container = InBase::create("gate", &[], script, (path, "/gate"), "/gate/pgsetup");
    let ran = container.run(900);
    let taken = container.copy(&[
        "/var/cache/pgsetup/debug-symbols",
        "/usr/lib/postgresql/18/bin/postgres",
    ]);
    Installation {
        text: format!("{}{}", ran.out, ran.err),
        out: ran.out,
        taken,
    }
}

#[test]
fn what_goes_with_build_packages_but_is_needed_is_named() {
    let Installation { out, text, .. } = installation();
    assert!(text.contains("status 7\n"), "{text}");
    let (_, said) = text
        .split_once("installed files need what does not exist\n")
        .unwrap_or_else(|| panic!("{text}"));
    let mut said: Vec<&str> = said
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("hint:"))
        .collect();
    let expected = CASES
        .iter()
        .map(|case| case.finding.replace("[DIR]", DIRECTORY))
        .collect::<Vec<_>>()
        .join("\n");
    let mut expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
    said.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said, expected, "{text}");

    let packages: Vec<&str> = out.lines().last().unwrap_or_default().split(' ').collect();
    for (package, stays) in [
        ("libyaml-0-2", true),
        ("libnpth0", true),
        ("libjansson4", false),
        ("m4", true),
        ("gawk", false),
        ("libyaml-dev", false),
        ("gcc", false),
        ("make", false),
    ] {
        assert_eq!(packages.contains(&package), stays, "{package}: {packages:?}");
    }
}

#[test]
fn dpkg_unpacks_only_copyright_files_of_documentation() {
    let Installation { out, text, .. } = installation();
    assert!(out.contains("status 7\ncopyright\n"), "{text}");
}

#[test]
fn a_debugger_finds_symbols_kept_outside_the_image() {
    let Installation { taken, text, .. } = installation();
    let script = "cd \"$1\" && tar --extract --file debug-symbols/debug-symbols-*.tar.gz && \
                  gdb --batch -iex 'set debug-file-directory usr/lib/debug' -ex 'info line main' postgres";
    if Command::new("gdb").arg("--version").output().is_err() {
        skip("there is no gdb");
    }
    let ran = Command::new("bash")
        .args(["-c", script, "-"])
        .arg(taken.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complaints = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("Line 1 of \"it.c\""), "{said}{complaints}\n{text}");
    // Alone, the program has no symbols.
    let alone = Command::new("gdb")
        .args(["--batch", "-ex", "info line main"])
        .arg(taken.path().join("postgres"))
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&alone.stdout).contains("it.c"));
}
