//! `pgsetup verify` of an image in a directory, which is made of this machine's ELF files and tampered with.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Ran, pgsetup};

const PROGRAM: &str = "/usr/lib/postgresql/18/bin/postgres";
/// Where dpkg lists the files of libc6.
const LIBC_LIST: &str = "/var/lib/dpkg/info/libc6.list";
/// A file of libc6 whose content dpkg knows.
const LIBC_TEXT: &str = "/usr/share/libc/text";
const LIBRARY: &str = "/usr/lib/postgresql/18/lib/citus.so";
const CONTROL: &str = "/usr/share/postgresql/18/extension/citus.control";
const RECEIPT: &str = "/usr/share/pgsetup/receipt.json";
const BILL: &str = "/usr/share/pgsetup/sbom.spdx.json";
/// A link of libc6, beside the file that it leads to.
const LIBC_LINK: &str = "/usr/share/libc/link";
const LIBC_SUMS: &str = "/var/lib/dpkg/info/libc6.md5sums";
/// Configuration files of libc6.
const LIBC_CONFIGURATION: [&str; 2] = ["/etc/gai.conf", "/etc/ld.so.conf.d/libc.conf"];
/// Unowned links, as update-alternatives(1) makes them.
const ALTERNATIVE: [(&str, &str); 2] = [
    ("/usr/bin/awk", "/etc/alternatives/awk"),
    ("/etc/alternatives/awk", "/usr/bin/mawk"),
];
/// An unowned script of the base.
const SCRIPT: &str = "/usr/local/bin/of-the-base";

/// A small image with its receipt. Its server is this machine's `/bin/sh`, which needs libc and the dynamic linker.
struct Image {
    root: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        let image = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let shell = std::fs::read("/bin/sh").unwrap();
        image.write(PROGRAM, &shell, 0o755);
        image.write(LIBRARY, b"citus", 0o644);
        image.write(CONTROL, b"default_version = '14.0-1'\n", 0o644);
        image.write(
            "/usr/share/postgresql/18/extension/citus--14.0-1.sql",
            b"--",
            0o644,
        );
        image.write(
            "/etc/postgresql/image.conf",
            b"shared_preload_libraries = 'citus'\n",
            0o644,
        );
        image.write(
            "/etc/passwd",
            b"root:x:0:0::/root:/bin/bash\npostgres:x:999:999::/:/bin/sh\n",
            0o644,
        );
        image.write("/etc/group", b"root:x:0:\nssl-cert:x:101:postgres\n", 0o644);
        image.write("/etc/shadow", b"root:*:1::::::\npostgres:!:1::::::\n", 0o644);
        symlink("citus.so", image.path("/usr/lib/postgresql/18/lib/link.so")).unwrap();
        image.copy_libraries();
        image.write(LIBC_TEXT, b"abc", 0o644);
        let digests = b"900150983cd24fb0d6963f7d28e17f72  usr/share/libc/text\n";
        image.write(LIBC_SUMS, digests, 0o644);
        symlink("text", image.path(LIBC_LINK)).unwrap();
        for path in LIBC_CONFIGURATION {
            image.write(path, b"/usr/local/lib\n", 0o644);
        }
        let configuration = LIBC_CONFIGURATION.join("\n");
        image.write(
            "/var/lib/dpkg/info/libc6.conffiles",
            configuration.as_bytes(),
            0o644,
        );
        image.write(SCRIPT, b"#!/bin/sh\n", 0o755);
        std::fs::create_dir(image.path("/etc/alternatives")).unwrap();
        std::fs::create_dir_all(image.path("/usr/bin")).unwrap();
        for (link, target) in ALTERNATIVE {
            symlink(target, image.path(link)).unwrap();
        }
        image.write(BILL, b"{}", 0o644);
        image.install_packages(&[("dpkg", "1.21"), ("libc6", "2.36")]);
        image.write_receipt();
        image
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    fn write(&self, inside: &str, bytes: &[u8], mode: u32) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.change_mode(inside, mode);
    }

    fn change_mode(&self, inside: &str, mode: u32) {
        std::fs::set_permissions(self.path(inside), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Writes dpkg's database. The architecture is that of the package dpkg.
    fn install_packages(&self, packages: &[(&str, &str)]) {
        let paragraph = |(name, version): &(&str, &str)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            )
        };
        let status: String = packages.iter().map(paragraph).collect();
        self.write("/var/lib/dpkg/status", status.as_bytes(), 0o644);
    }

    /// Copies the libraries of `/bin/sh` to the paths that they have on this machine, as files of libc6.
    fn copy_libraries(&self) {
        let output = std::process::Command::new("ldd").arg("/bin/sh").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut list = format!("/.\n/usr/share/libc\n{LIBC_TEXT}\n{LIBC_LINK}\n");
        list.extend(LIBC_CONFIGURATION.map(|path| format!("{path}\n")));
        for word in text.split_whitespace().filter(|word| word.starts_with('/')) {
            self.write(word, &std::fs::read(word).unwrap(), 0o755);
            list.push_str(&format!("{word}\n"));
        }
        self.write(LIBC_LIST, list.as_bytes(), 0o644);
    }

    /// Writes the receipt of the current tree.
    fn write_receipt(&self) {
        let installed = [
            ("/usr/lib/postgresql/18", "postgresql"),
            ("/usr/lib/postgresql/18/bin", "postgresql"),
            (PROGRAM, "postgresql"),
            ("/usr/lib/postgresql/18/lib", "postgresql"),
            (LIBRARY, "citus"),
            ("/usr/lib/postgresql/18/lib/link.so", "citus"),
            (CONTROL, "citus"),
            ("/usr/share/postgresql/18/extension/citus--14.0-1.sql", "citus"),
            ("/etc/postgresql/image.conf", "image"),
        ];
        let files = installed.map(|(path, component)| self.record(path, component));
        let alternatives = ALTERNATIVE.map(|(link, _)| link);
        let unpackaged = alternatives.iter().chain([&SCRIPT]);
        let receipt = json!({
            "schema_version": 1,
            "tool": "pgsetup 0",
            "image": "example",
            "base": {"distribution": "debian:bookworm", "architecture": "amd64", "packages": [
                {"name": "dpkg", "version": "1.21", "architecture": "amd64", "source": "dpkg"},
                {"name": "libc6", "version": "2.36", "architecture": "amd64", "source": "glibc"},
            ]},
            "components": [{
                "name": "citus", "kind": "extension", "version": "14.0.1", "license": "AGPL-3.0-only", "sources": [],
                "provides": [{"name": "citus", "default_version": "14.0-1"}],
            }],
            "packages_kept": [],
            "packages_removed": [],
            "packages_upgraded": [],
            "postgresql": {
                "major": 18,
                "prefix": "/usr/lib/postgresql/18",
                "library_directory": "/usr/lib/postgresql/18/lib",
                "share_directory": "/usr/share/postgresql/18",
                "configuration": "/etc/postgresql/image.conf",
                "locale": "C.UTF-8",
                "preload": ["citus"],
                "settings": [],
            },
            "user": {"name": "postgres", "uid": 999, "gid": 999, "home": "/", "shell": "/bin/sh", "groups": ["ssl-cert"]},
            "directories": [],
            "privileged": [],
            "files_size": 0,
            "packages_size": 0,
            "files": files,
            "unpackaged": unpackaged.map(|path| self.record(path, "image")).collect::<Vec<_>>(),
            "documents": [self.record(BILL, "image")],
            "package_record": self.package_record(),
        });
        self.write(RECEIPT, receipt.to_string().as_bytes(), 0o644);
    }

    /// A path as a receipt records it.
    fn record(&self, path: &str, component: &str) -> Value {
        let metadata = self.path(path).symlink_metadata().unwrap();
        let mut file = json!({
            "path": path,
            "component": component,
            "uid": metadata.uid(),
            "gid": metadata.gid(),
        });
        if metadata.is_symlink() {
            file["target"] = json!(std::fs::read_link(self.path(path)).unwrap());
        } else {
            file["mode"] = json!(format!("{:04o}", metadata.mode() & 0o7777));
        }
        if metadata.is_file() {
            let bytes = std::fs::read(self.path(path)).unwrap();
            file["sha256"] = self.digest(path);
            file["size"] = json!(bytes.len());
        }
        file
    }

    fn digest(&self, path: &str) -> Value {
        let bytes = std::fs::read(self.path(path)).unwrap();
        json!(hexadecimal(&Sha256::digest(&bytes)))
    }

    fn package_record(&self) -> Value {
        let list = std::fs::read_to_string(self.path(LIBC_LIST)).unwrap();
        let rights = |path: &str| {
            let metadata = self.path(path).symlink_metadata().unwrap();
            format!(
                "{:04o} {}:{}",
                metadata.mode() & 0o7777,
                metadata.uid(),
                metadata.gid()
            )
        };
        let files = list.lines().filter(|path| ![LIBC_LINK, "/."].contains(path));
        let rights: Map<String, Value> = files.map(|path| (path.to_owned(), json!(rights(path)))).collect();
        let lists = ["list", "md5sums", "conffiles"].map(|kind| format!("/var/lib/dpkg/info/libc6.{kind}"));
        let digests = |paths: &[&str]| -> Map<String, Value> {
            paths
                .iter()
                .map(|path| ((*path).to_owned(), self.digest(path)))
                .collect()
        };
        json!({
            "links": {LIBC_LINK: "text"},
            "rights": rights,
            "lists": digests(&lists.each_ref().map(String::as_str)),
            "configuration": digests(&LIBC_CONFIGURATION),
        })
    }

    /// Changes the receipt.
    fn change_receipt(&self, change: impl FnOnce(&mut Value)) {
        let text = std::fs::read(self.path(RECEIPT)).unwrap();
        let mut document: Value = serde_json::from_slice(&text).unwrap();
        change(&mut document);
        self.write(RECEIPT, document.to_string().as_bytes(), 0o644);
    }

    /// Replaces the path by a link.
    fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.path(path);
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).unwrap();
        }
        symlink(target, path).unwrap();
    }

    /// Records that the base had changed a file of a package to this MD5.
    fn write_altered(&self, path: &str, md5: &str) {
        self.change_receipt(|receipt| receipt["base"]["altered"] = json!([{"path": path, "found": md5}]));
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let root = self.root.path().to_str().unwrap();
        pgsetup(["verify", "--root", root].into_iter().chain(more.iter().copied()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// The differences that verify names after a change.
fn differences_after(change: impl FnOnce(&Image)) -> Vec<String> {
    let image = Image::new();
    change(&image);
    let ran = image.verify(&[]);
    assert_eq!(ran.status, 7, "{}{}", ran.out, ran.err);
    let lines = ran.out.lines().filter(|line| !line.starts_with("not checked"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    // The last line is the sum.
    lines.pop();
    lines
}

fn only_difference_after(change: impl FnOnce(&Image), expected: &str) {
    let differences = differences_after(change);
    assert_eq!(differences.len(), 1, "{differences:#?}");
    assert!(differences[0].starts_with(expected), "{differences:#?}");
}

#[test]
fn an_untouched_image_has_no_difference() {
    let ran = Image::new().verify(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out
            .contains("example: 13 files, 2 packages with 1 files, 1 programs and libraries, 1 extensions"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("no difference\n"), "{}", ran.out);
}

#[test]
fn a_changed_byte_is_named() {
    let digest = |text: &[u8]| hexadecimal(&Sha256::digest(text));
    let expected = format!(
        "{LIBRARY}: has the digest {}, the receipt says {}",
        digest(b"cjtus"),
        digest(b"citus")
    );
    only_difference_after(|image| image.write(LIBRARY, b"cjtus", 0o644), &expected);
}

#[test]
fn a_changed_byte_in_a_file_of_a_package_is_named() {
    only_difference_after(
        |image| image.write(LIBC_TEXT, b"abd", 0o644),
        &format!("{LIBC_TEXT}: differs from the file of the package libc6"),
    );
}

#[test]
fn a_change_by_the_base_is_not_a_difference() {
    let image = Image::new();
    image.write(LIBC_TEXT, b"abd", 0o644);
    image.write_altered(LIBC_TEXT, "4911e516e5aa21d327512e0c8b197616");
    let ran = image.verify(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    image.write(LIBC_TEXT, b"abe", 0o644);
    assert_eq!(image.verify(&[]).status, 7);
}

/// A change of an image, and the beginning of the line that names it.
type Tampering<'a> = (&'a dyn Fn(&Image), String);

/// Fails unless all of these changes to one image are named.
fn named_together(tamperings: &[Tampering<'_>]) {
    let image = Image::new();
    for (tampering, _) in tamperings {
        tampering(&image);
    }
    let (text, json) = (image.verify(&[]), image.verify(&["--format", "json"]));
    assert_eq!((text.status, json.status), (7, 7), "{}{}", text.out, text.err);
    let document: Value = serde_json::from_str(&json.out).unwrap();
    let listed = document["differences"].as_array().unwrap();
    for (_, line) in tamperings {
        assert!(
            text.out.lines().any(|found| found.starts_with(line)),
            "nothing begins with `{line}`:\n{}",
            text.out
        );
        let (subject, explanation) = line.split_once(": ").unwrap();
        let is_it = |one: &Value| {
            one["subject"] == subject && one["explanation"].as_str().unwrap().starts_with(explanation)
        };
        assert!(listed.iter().any(is_it), "{line}: {listed:#?}");
    }
}

#[test]
fn an_unreadable_file_is_named_beside_all_others() {
    let remove = |image: &Image, path: &str| std::fs::remove_file(image.path(path)).unwrap();
    named_together(&[
        // By its mode in the receipt, the missing program could be a script.
        (
            &|image| remove(image, PROGRAM),
            format!("{PROGRAM}: is missing; postgresql brought it"),
        ),
        (
            &|image| image.write(LIBRARY, b"\x7fELF\x02\x01\x01 cut off", 0o644),
            format!("{LIBRARY}: is a broken ELF file: "),
        ),
        (
            &|image| {
                remove(image, "/usr/lib/postgresql/18/lib/link.so");
                symlink("link.so", image.path("/usr/lib/postgresql/18/lib/link.so")).unwrap();
            },
            "/usr/lib/postgresql/18/lib/link.so: links to link.so, the receipt says citus.so".to_owned(),
        ),
        (
            &|image| {
                remove(image, "/etc/passwd");
                std::fs::create_dir(image.path("/etc/passwd")).unwrap();
            },
            "/etc/passwd: cannot read ".to_owned(),
        ),
        (
            &|image| {
                remove(image, CONTROL);
                std::fs::create_dir(image.path(CONTROL)).unwrap();
            },
            format!("{CONTROL}: is a directory, the receipt says a file"),
        ),
        (
            &|image| image.write("/tmp/su", b"", 0o4755),
            "/tmp/su: has mode and owner 4755 ".to_owned(),
        ),
    ]);
}

#[test]
fn a_library_of_a_package_that_was_cut_off_is_named() {
    let list = std::fs::read_to_string(Image::new().path(LIBC_LIST)).unwrap();
    let libc = list.lines().find(|path| path.contains("libc.so.6")).unwrap();
    named_together(&[
        (
            &|image| image.write(libc, b"\x7fELF\x02\x01\x01 cut off", 0o755),
            format!("{libc}: is a broken ELF file: "),
        ),
        (
            &|_| (),
            format!("libc.so.6: does not exist; needed by {PROGRAM} -> libc.so.6"),
        ),
    ]);
}

#[test]
fn a_directory_replaced_by_a_file_is_named() {
    let extensions = "/usr/share/postgresql/18/extension";
    let gone = format!("{CONTROL}: is missing; citus brought it");
    named_together(&[
        (
            &|image| {
                std::fs::remove_dir_all(image.path(extensions)).unwrap();
                image.write(extensions, b"", 0o644);
            },
            gone,
        ),
        (&|_| (), "citus: has no control file; citus brought it".to_owned()),
    ]);
}

#[test]
fn a_file_the_user_may_not_read_is_not_checked() {
    use std::os::unix::process::CommandExt;
    let image = Image::new();
    image.change_mode(LIBRARY, 0o600);
    image.write_receipt();
    let hidden = "/var/lib/hidden";
    image.write(&format!("{hidden}/shell"), b"", 0o755);
    image.change_mode(hidden, 0o700);
    // An ordinary user may read all of their own files.
    if !rustix::process::geteuid().is_root() {
        crate::harness::skip("only root can own files that no other user may read");
    }
    let root = image.root.path();
    std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
    let program = tempfile::tempdir().unwrap();
    std::fs::set_permissions(program.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // Other users may not reach the target directory.
    let copy = program.path().join("pgsetup");
    std::fs::copy(env!("CARGO_BIN_EXE_pgsetup"), &copy).unwrap();
    let output = std::process::Command::new(&copy)
        .args(["verify", "--root", root.to_str().unwrap()])
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    for path in [LIBRARY, hidden] {
        let line = format!("not checked: {path}: ");
        assert!(ran.out.contains(&line), "{line}: {}", ran.out);
    }
}

#[test]
fn a_changed_mode_is_named() {
    let expected = format!("{LIBRARY}: has mode 0664, the receipt says 0644");
    only_difference_after(|image| image.change_mode(LIBRARY, 0o664), &expected);
}

#[test]
fn a_set_user_id_file_is_named_wherever_it_is() {
    only_difference_after(
        |image| image.write("/var/lib/hidden/shell", b"", 0o4755),
        "/var/lib/hidden/shell: has mode and owner 4755 ",
    );
}

#[test]
fn an_added_file_is_named() {
    let added = "/usr/lib/postgresql/18/lib/more.so";
    only_difference_after(
        |image| image.write(added, b"", 0o644),
        &format!("{added}: exists, but is not in the receipt"),
    );
}

#[test]
fn an_added_program_is_named_with_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let built = directory.path().join("built");
    std::fs::create_dir(&built).unwrap();
    let compile = |more: &[&str]| {
        let mut command = std::process::Command::new("gcc");
        let status = command.args(more).current_dir(&built).status().unwrap();
        assert!(status.success());
    };
    std::fs::write(built.join("gone.c"), "int gone(void) { return 0; }").unwrap();
    std::fs::write(
        built.join("main.c"),
        "int gone(void); int main(void) { return gone(); }",
    )
    .unwrap();
    compile(&["-shared", "-o", "libgone.so", "gone.c"]);
    compile(&["-o", "program", "main.c", "-L.", "-lgone"]);
    let program = std::fs::read(built.join("program")).unwrap();
    let differences = differences_after(|image| image.write("/usr/local/sbin/program", &program, 0o755));
    assert_eq!(
        differences,
        [
            "/usr/local/sbin/program: is a program or library that neither the receipt nor a package has",
            "libgone.so: does not exist; needed by /usr/local/sbin/program -> libgone.so",
        ]
    );
}

#[test]
fn a_changed_link_and_a_file_that_became_a_link_are_named() {
    let differences = differences_after(|image| {
        let link = image.path("/usr/lib/postgresql/18/lib/link.so");
        std::fs::remove_file(&link).unwrap();
        symlink("../lib/citus.so", link).unwrap();
        let script = image.path("/usr/share/postgresql/18/extension/citus--14.0-1.sql");
        std::fs::remove_file(&script).unwrap();
        symlink("citus.control", script).unwrap();
    });
    assert_eq!(
        differences[0],
        "/usr/lib/postgresql/18/lib/link.so: links to ../lib/citus.so, the receipt says citus.so"
    );
    let script = "/usr/share/postgresql/18/extension/citus--14.0-1.sql: is a link, the receipt says a file";
    assert!(differences.iter().any(|line| line == script), "{differences:#?}");
}

#[test]
fn a_removed_library_is_named_with_what_needs_it() {
    let differences = differences_after(|image| {
        let find = std::process::Command::new("find")
            .arg(image.root.path())
            .args(["-name", "libc.so.6"])
            .output();
        let found = String::from_utf8(find.unwrap().stdout).unwrap();
        assert!(!found.is_empty());
        for path in found.lines() {
            std::fs::remove_file(Path::new(path)).unwrap();
        }
    });
    let expected = format!("libc.so.6: does not exist; needed by {PROGRAM} -> libc.so.6");
    assert!(differences.contains(&expected), "{differences:#?}");
}

#[test]
fn a_file_that_a_package_lost_is_named() {
    only_difference_after(
        |image| {
            let list = std::fs::read_to_string(image.path(LIBC_LIST)).unwrap();
            image.write(LIBC_LIST, format!("{list}/usr/lib/gone.so\n").as_bytes(), 0o644);
            image.change_receipt(|receipt| {
                receipt["package_record"]["lists"][LIBC_LIST] = image.digest(LIBC_LIST);
            });
        },
        "/usr/lib/gone.so: is missing; the package libc6 has it",
    );
}

#[test]
fn an_added_or_changed_package_is_named() {
    let differences = differences_after(|image| {
        image.install_packages(&[("dpkg", "1.21"), ("gcc", "12"), ("libc6", "2.37")]);
        // The package stands for its files.
        image.write("/usr/share/gcc/run", b"x", 0o755);
        image.link("/usr/share/gcc/link", "run");
        let list = b"/.\n/usr/share/gcc\n/usr/share/gcc/run\n/usr/share/gcc/link\n";
        image.write("/var/lib/dpkg/info/gcc.list", list, 0o644);
        image.write("/var/lib/dpkg/info/gcc:amd64.postinst", b"#!/bin/sh\n", 0o755);
        image.link(LIBC_LINK, "other");
        image.change_mode(LIBC_TEXT, 0o755);
    });
    assert_eq!(
        differences,
        [
            "gcc: is installed (12), but is not in the receipt",
            "libc6: has version 2.37, the receipt says 2.36",
        ]
    );
}

#[test]
fn a_missing_script_or_preload_library_is_named() {
    let differences = differences_after(|image| {
        std::fs::remove_file(image.path("/usr/share/postgresql/18/extension/citus--14.0-1.sql")).unwrap();
        std::fs::remove_file(image.path(LIBRARY)).unwrap();
    });
    for expected in [
        "citus: no script leads to its default version 14.0-1",
        "citus: is loaded when the server starts, and /usr/lib/postgresql/18/lib/citus.so does not exist",
        "/usr/lib/postgresql/18/lib/citus.so: is missing; citus brought it",
        "/usr/lib/postgresql/18/lib/link.so: leads to citus.so, which does not exist",
    ] {
        assert!(
            differences.iter().any(|line| line == expected),
            "{expected}\n{differences:#?}"
        );
    }
}

#[test]
fn a_password_and_a_second_root_are_named() {
    let differences = differences_after(|image| {
        image.write(
            "/etc/shadow",
            b"root:$y$j9T$x:1::::::\npostgres:!:1::::::\n",
            0o644,
        );
        image.write(
            "/etc/passwd",
            b"root:x:0:0::/root:/bin/bash\npostgres:x:998:999::/tmp:/bin/bash\ntoor:x:0:0::/:/bin/sh\n",
            0o644,
        );
        let groups = b"root:x:0:\nshadow:x:42:other,postgres\nssl-cert:x:101:postgres\n";
        image.write("/etc/group", groups, 0o644);
    });
    assert_eq!(
        differences,
        [
            "postgres: has ids 998:999, the receipt says 999:999",
            "postgres: has the home /tmp, the receipt says /",
            "postgres: has the shell /bin/bash, the receipt says /bin/sh",
            "postgres: is in the groups: shadow, ssl-cert; the receipt says: ssl-cert",
            "root: has a password, or none is needed",
            "toor: has user id 0",
        ]
    );
}

#[test]
fn the_json_form_has_the_same_and_says_its_version() {
    let image = Image::new();
    image.change_mode(LIBRARY, 0o600);
    let ran = image.verify(&["--format", "json"]);
    assert_eq!(ran.status, 7);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(
        document["differences"],
        json!([{
            "subject": LIBRARY,
            "aspect": "rights",
            "explanation": "has mode 0600, the receipt says 0644",
        }])
    );
}

#[test]
fn an_image_without_a_receipt_cannot_be_verified() {
    let cases: [Tampering<'_>; 3] = [
        (
            &|image| std::fs::remove_file(image.path(RECEIPT)).unwrap(),
            "there is no receipt to compare with".to_owned(),
        ),
        (
            &|image| image.write(RECEIPT, b"{", 0o644),
            "this is not a receipt of pgsetup".to_owned(),
        ),
        (
            &|image| std::fs::remove_dir_all(image.root.path()).unwrap(),
            "there is no such directory".to_owned(),
        ),
    ];
    for (tampering, expected) in cases {
        let image = Image::new();
        tampering(&image);
        let ran = image.verify(&[]);
        // 7 is for differences, which are unknown here.
        assert_eq!(ran.status, 2, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(&expected), "{}", ran.err);
    }
}

#[test]
fn changed_links_and_rights_in_packages_are_named() {
    named_together(&[
        (
            &|image| image.link(LIBC_LINK, "evil"),
            format!("{LIBC_LINK}: links to evil, the receipt says text"),
        ),
        (
            &|image| image.link("/etc/alternatives/awk", "/tmp/evil"),
            "/etc/alternatives/awk: links to /tmp/evil, the receipt says /usr/bin/mawk".to_owned(),
        ),
        (
            &|image| image.change_mode(LIBC_TEXT, 0o664),
            format!("{LIBC_TEXT}: has mode and owner 0664 "),
        ),
        (
            &|image| image.change_mode("/etc/passwd", 0o666),
            "/etc/passwd: has mode and owner 0666 ".to_owned(),
        ),
        (
            &|image| image.change_mode("/usr/share/libc", 0o775),
            "/usr/share/libc: has mode and owner 0775 ".to_owned(),
        ),
    ]);
    only_difference_after(
        |image| std::fs::remove_file(image.path(LIBC_LINK)).unwrap(),
        &format!("{LIBC_LINK}: is missing, the receipt says a link to text"),
    );
    only_difference_after(
        |image| image.link(LIBC_TEXT, "/tmp/evil"),
        &format!("{LIBC_TEXT}: is a link to /tmp/evil, and not a link in the receipt"),
    );
    only_difference_after(
        |image| {
            std::fs::rename(image.path("/usr/share/libc"), image.path("/usr/share/other")).unwrap();
            image.link("/usr/share/libc", "other");
        },
        "/usr/share/libc: is a link to other, and not a link in the receipt",
    );
}

#[test]
fn the_lists_of_dpkg_are_compared() {
    named_together(&[
        (
            &|image| {
                image.write(LIBC_TEXT, b"abd", 0o644);
                let digests = b"4911e516e5aa21d327512e0c8b197616  usr/share/libc/text\n";
                image.write(LIBC_SUMS, digests, 0o644);
            },
            format!("{LIBC_SUMS}: differs from the receipt; packages are compared by it"),
        ),
        (
            &|image| image.write("/var/lib/dpkg/info/libc6.postinst", b"#!/bin/sh\n", 0o755),
            "/var/lib/dpkg/info/libc6.postinst: exists, but is not in the receipt".to_owned(),
        ),
    ]);
    only_difference_after(
        |image| std::fs::remove_file(image.path(LIBC_SUMS)).unwrap(),
        &format!("{LIBC_SUMS}: is missing, the receipt has it"),
    );
}

#[test]
fn the_documents_beside_the_receipt_are_compared() {
    named_together(&[
        (
            &|image| image.write(BILL, b"[]", 0o644),
            format!("{BILL}: has the digest "),
        ),
        (
            &|image| image.write("/usr/share/pgsetup/more.json", b"{}", 0o644),
            "/usr/share/pgsetup/more.json: exists, but is not in the receipt".to_owned(),
        ),
    ]);
    only_difference_after(
        |image| std::fs::remove_file(image.path(BILL)).unwrap(),
        &format!("{BILL}: is missing"),
    );
}

#[test]
fn unowned_programs_and_libraries_are_named() {
    let unowned =
        "is found where programs or libraries are searched for, and neither the receipt nor a package has it";
    let linker = LIBC_CONFIGURATION[1];
    named_together(&[
        (
            &|image| image.write("/usr/local/bin/ls", b"#!/bin/sh\n", 0o755),
            format!("/usr/local/bin/ls: {unowned}"),
        ),
        (
            &|image| image.link("/usr/bin/cat", "/tmp/evil"),
            format!("/usr/bin/cat: {unowned}"),
        ),
        (
            &|image| image.link("/usr/lib/libz.so.1", "/tmp/evil"),
            format!("/usr/lib/libz.so.1: {unowned}"),
        ),
        (
            &|image| image.write("/etc/ld.so.preload", b"/tmp/evil\n", 0o644),
            format!("/etc/ld.so.preload: {unowned}"),
        ),
        (
            &|image| image.write("/etc/ld.so.conf.d/evil.conf", b"/tmp\n", 0o644),
            format!("/etc/ld.so.conf.d/evil.conf: {unowned}"),
        ),
        (
            &|image| image.write(linker, b"/tmp\n", 0o644),
            format!("{linker}: differs from the receipt; the dynamic linker reads it"),
        ),
        (
            &|image| image.write(SCRIPT, b"#!/bin/false\n", 0o755),
            format!("{SCRIPT}: has the digest "),
        ),
        // It would precede Patroni's own modules.
        (
            &|image| image.write("/usr/lib/python3.11/dateutil.py", b"print()\n", 0o644),
            format!("/usr/lib/python3.11/dateutil.py: {unowned}"),
        ),
    ]);
}

#[test]
fn a_pipe_in_place_of_a_file_is_named_and_not_read() {
    let pipe = |image: &Image, inside: &str| {
        let path = image.path(inside);
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
    };
    named_together(&[
        (
            &|image| pipe(image, "/etc/passwd"),
            "/etc/passwd: cannot read ".to_owned(),
        ),
        (
            &|image| pipe(image, "/usr/share/postgresql/18/extension/citus.control"),
            "/usr/share/postgresql/18/extension/citus.control: is a device, a pipe or a socket".to_owned(),
        ),
        (&|image| pipe(image, LIBC_TEXT), format!("{LIBC_TEXT}: ")),
    ]);
    let image = Image::new();
    pipe(&image, "/usr/share/pgsetup/receipt.json");
    let ran = image.verify(&[]);
    assert!(ran.err.contains("it is not a regular file"), "{}", ran.err);
}

#[test]
fn a_link_to_a_recorded_program_of_its_name_is_no_difference() {
    let image = Image::new();
    image.link("/usr/bin/postgres", PROGRAM);
    let ran = image.verify(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    image.link("/usr/bin/cat", PROGRAM);
    let ran = image.verify(&[]);
    assert!(
        ran.status != 0 && ran.out.contains("/usr/bin/cat: is found where programs"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn names_are_escaped_in_the_output() {
    let differences = differences_after(|image| {
        image.write("/usr/local/bin/x\nexample: no difference\x1b[1A", b"", 0o755);
    });
    assert_eq!(differences.len(), 1, "{differences:#?}");
    let name = r"/usr/local/bin/x\nexample: no difference\u{1b}[1A: is found";
    assert!(differences[0].starts_with(name), "{differences:#?}");
}

#[test]
fn what_the_receipt_cannot_know_is_not_checked() {
    let image = Image::new();
    image.write(LIBC_CONFIGURATION[0], b"changed\n", 0o644);
    image.write("/entrypoint.sh", b"#!/bin/sh\n", 0o755);
    image.write("/opt/container/entrypoint.d/run.sh", b"#!/bin/sh\n", 0o755);
    // A file of the administrator that is not a program.
    image.write("/usr/local/bin/README", b"text\n", 0o644);
    std::fs::create_dir(image.path("/srv")).unwrap();
    let ran = image.verify(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    for expected in [
        "not checked: /etc/gai.conf: differs from the receipt: configuration is the administrator's\n",
        "not checked: /entrypoint.sh: neither the receipt nor a package has it\n",
        "not checked: /opt/container: neither the receipt nor a package has it\n",
    ] {
        assert!(ran.out.contains(expected), "{expected}{}", ran.out);
    }
    for other in ["README", "/srv", "/opt:"] {
        assert!(!ran.out.contains(other), "{other}: {}", ran.out);
    }
}

#[test]
fn what_an_older_receipt_does_not_have_is_not_checked() {
    let image = Image::new();
    image.change_receipt(|receipt| {
        for key in ["unpackaged", "documents", "package_record"] {
            receipt.as_object_mut().unwrap().remove(key);
        }
        receipt["user"].as_object_mut().unwrap().remove("groups");
    });
    let ran = image.verify(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    for subject in [
        "bills of materials",
        "groups of the user",
        "links, owners, modes and lists of packages",
        "scripts and links where programs and libraries are searched for",
    ] {
        let line = format!("not checked: {subject}: the receipt does not record it; pgsetup 0 wrote it\n");
        assert!(ran.out.contains(&line), "{line}{}", ran.out);
    }
}

#[test]
fn a_file_without_a_mode_in_the_receipt_is_named() {
    let without = |receipt: &mut Value| {
        let files = receipt["files"].as_array_mut().unwrap();
        let file = files.iter_mut().find(|file| file["path"] == LIBRARY).unwrap();
        file.as_object_mut().unwrap().remove("mode");
    };
    only_difference_after(
        |image| image.change_receipt(without),
        &format!("{LIBRARY}: has mode 0644, but the receipt says none"),
    );
}

#[test]
fn a_name_like_that_of_documentation_is_not_left_out() {
    let added = "/usr/share/docker-evil/text";
    only_difference_after(
        |image| {
            let list = std::fs::read_to_string(image.path(LIBC_LIST)).unwrap();
            image.write(
                LIBC_LIST,
                format!("{list}{added}\n/usr/share/doc/libc6\n").as_bytes(),
                0o644,
            );
            image.change_receipt(|receipt| {
                receipt["package_record"]["lists"][LIBC_LIST] = image.digest(LIBC_LIST);
            });
        },
        &format!("{added}: is missing; the package libc6 has it"),
    );
}

#[test]
fn a_link_out_of_the_root_leads_to_what_is_in_the_root() {
    let outside = tempfile::tempdir().unwrap();
    named_together(&[(
        &|image| {
            let place = outside.path().join("postgresql");
            let copied = std::process::Command::new("cp")
                .args(["--archive", "--force", "--no-target-directory"])
                .args([image.path("/usr/lib/postgresql"), place.clone()])
                .status();
            assert!(copied.unwrap().success());
            std::fs::remove_dir_all(image.path("/usr/lib/postgresql")).unwrap();
            image.link("/usr/lib/postgresql", &place);
        },
        // Outside of the root, the target matches the receipt.
        format!("{PROGRAM}: is missing; postgresql brought it"),
    )]);
}
