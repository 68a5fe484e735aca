//! The finished image, examined with dpkg, find and ldd: nothing is left over, libraries are complete, and the receipt
//! agrees.

use std::collections::BTreeSet;

use crate::container::{Image, the_image};
use crate::contract::container::{Container, PASSWORD, docker};
use crate::harness::skip;
use crate::support::project;

/// Extensions whose archives have no licence text, only a line in their documentation.
const WITHOUT_TEXT: [&str; 3] = ["first_last_agg", "pgtap", "pldebugger"];

/// World-writable paths of the base and of the image's manifest.
const OPEN_TO_ALL: [&str; 6] = [
    "/run/lock",
    "/run/postgresql",
    "/tmp",
    // For a tmpfs and for any user, as in the official image; the first start makes it 0700.
    "/var/lib/postgresql/data",
    "/var/log/postgresql",
    "/var/tmp",
];

/// The lines that a shell script prints as root in a container of the image.
#[track_caller]
fn said(image: &Image, script: &str) -> Vec<String> {
    let options = [
        "run",
        "--rm",
        "--network=none",
        "--user=root",
        "--entrypoint=bash",
    ];
    let script = format!("set -eo pipefail; {script}");
    let ran = docker([&options[..], &[image.name, "-c", &script]].concat());
    assert_eq!(ran.status, 0, "{}", ran.text());
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn the_image_has_no_static_libraries_or_stray_byte_code() {
    let image = the_image();
    let script = "find / -xdev -type f \\( -name '*.a' -o -name '*.la' \\); \
                  find / -xdev -type f -name '*.pyc' | while read -r path; do \
                    dpkg-query --search \"$path\" >/dev/null 2>&1 || echo \"$path\"; done; \
                  find / -xdev -type f | wc --lines";
    let mut lines = said(image, script);
    let count: usize = lines.pop().expect("a number").parse().expect("a number");
    assert!(count > 1000, "{count} files");
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn the_dynamic_linker_finds_every_library_of_every_file() {
    let image = the_image();
    let script = "count=0; while read -r -d '' path; do \
                    [[ \"$(head --bytes=4 \"$path\" | tr --delete '\\0')\" == $'\\x7fELF' ]] || continue; \
                    count=$((count + 1)); \
                    { ldd \"$path\" 2>&1 || true; } | { grep 'not found' || true; } | sed \"s|^|$path: |\"; \
                  done < <(find / -xdev -type f \\( -perm /111 -o -name '*.so*' \\) -print0); echo \"$count\"";
    let mut lines = said(image, script);
    let count: usize = lines.pop().expect("a number").parse().expect("a number");
    // The server alone has a hundred.
    assert!(count > 100, "{count} ELF files");
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn dpkg_and_the_receipt_agree() {
    let image = the_image();
    let format = "${db:Status-Abbrev}|${Package} ${Version}\\n";
    let installed: BTreeSet<String> = said(image, &format!("dpkg-query --show --showformat '{format}'"))
        .into_iter()
        .map(|line| {
            let (status, package) = line.split_once('|').expect("a state and a package");
            assert_eq!(status.trim(), "ii", "{package}");
            package.to_owned()
        })
        .collect();
    let lists = [
        &image.receipt["base"]["packages"],
        &image.receipt["packages_kept"],
    ];
    let recorded: BTreeSet<String> = lists
        .iter()
        .flat_map(|list| list.as_array().expect("packages"))
        .map(|package| {
            let text = |key: &str| package[key].as_str().expect("a text");
            let (name, _) = text("name").split_once(':').unwrap_or((text("name"), ""));
            format!("{name} {}", text("version"))
        })
        .collect();
    assert!(!recorded.is_empty());
    assert_eq!(installed, recorded);
}

#[test]
fn no_password_is_set_and_little_is_world_writable() {
    let image = the_image();
    let users = said(image, "cut --delimiter=: --fields=1,2 /etc/shadow");
    assert!(
        users.iter().any(|line| line.starts_with("postgres:")),
        "{users:?}"
    );
    for line in users {
        let (name, password) = line.split_once(':').expect("a name and a password");
        assert!(password.starts_with(['!', '*']), "{name}: {password}");
    }
    assert_eq!(
        said(image, "getent passwd 0 | cut --delimiter=: --fields=1"),
        ["root"]
    );
    let open = said(
        image,
        "find / -xdev \\( -type f -o -type d \\) -perm -0002 | sort",
    );
    assert!(open.contains(&"/tmp".to_owned()), "{open:?}");
    let unexpected: Vec<&String> = open
        .iter()
        .filter(|path| !OPEN_TO_ALL.contains(&path.as_str()))
        .collect();
    assert_eq!(unexpected, Vec::<&String>::new());
}

#[test]
fn every_compiled_component_has_its_licence_text() {
    let image = the_image();
    let components = image.receipt["components"].as_array().expect("components");
    let is_compiled = |kind: &str| ["postgresql", "extension"].contains(&kind);
    let mut count = 0;
    for component in components
        .iter()
        .filter(|one| is_compiled(one["kind"].as_str().expect("a kind")))
    {
        let name = component["name"].as_str().expect("a name");
        let id = match component["older_major"].as_u64() {
            None => name.to_owned(),
            Some(major) => format!("{name}-pg{major}"),
        };
        let script = format!("find /usr/share/doc/{id} -type f -size +0 2>/dev/null || true");
        let texts = said(image, &script);
        assert!(
            !texts.is_empty() || WITHOUT_TEXT.contains(&name),
            "{id} has no licence text"
        );
        count += usize::from(!texts.is_empty());
    }
    assert!(count > 0);
}

#[test]
fn a_serving_container_still_matches_its_receipt() {
    the_image();
    // The static program: the one of the tests needs the C library of this machine.
    let program = project().join("dist/pgsetup");
    if !program.exists() {
        skip("there is no dist/pgsetup: make pgsetup");
    }
    let container = Container::serving(&["-e", PASSWORD], &[]);
    let to = format!("{}:/tmp/pgsetup", container.name);
    docker(["cp", program.to_str().expect("UTF-8"), &to]).ok();
    for user in ["--user=root", "--user=postgres"] {
        let ran = docker(["exec", user, &container.name, "/tmp/pgsetup", "verify"]);
        assert_eq!(ran.status, 0, "{user}: {}", ran.text());
    }
}
