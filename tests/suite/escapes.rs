//! Attempts of a makefile to get out of its build, in a container of the base: by the kernel's rules, and as on a kernel
//! without Landlock, whose system calls the engine then denies. `tests/fixtures/escapes` has the makefile.

use std::path::Path;

use crate::gate::{archive, server};
use crate::harness::skip;
use crate::in_base::{self, InBase};
use crate::support::project;

const FILES: [&str; 5] = [
    "Makefile",
    "capabilities.pl",
    "connect.pl",
    "outside.pl",
    "trace.pl",
];

/// What is reported of each attempt.
const REPORTED: [(&str, &str); 26] = [
    ("write-usr", "refused to change /usr/share/escaped\n"),
    ("write-etc", "refused to change /etc/escaped\n"),
    ("write-dpkg", "refused to change /var/lib/dpkg/status\n"),
    ("write-root", "refused to change /root/escaped\n"),
    ("write-tmp", "/tmp/escaped"),
    (
        "write-stage",
        "refused to change /var/tmp/pgsetup/stage/escaped-1.0\n",
    ),
    ("write-cache", "refused to change /var/cache/pgsetup/escaped\n"),
    (
        "write-manifests",
        "refused to change /escapes/manifests/image.yaml\n",
    ),
    ("remove-program", "refused to change /usr/bin/make\n    by: rm"),
    (
        "rename-program",
        "refused to change /usr/bin/make\n    by: echo escaped >own; mv",
    ),
    ("hard-link", "refused to change /etc/passwd\n    by: mkdir"),
    ("change-mode", "refused to change /etc/passwd\n    by: chmod"),
    ("change-time", "refused to change /etc/passwd\n    by: touch"),
    (
        "change-owner",
        "refused to set the owner of a file\n    by: chown",
    ),
    ("memory", "/mem: Permission denied"),
    ("trace", "it said: trace process"),
    ("signal", "kill: Operation not permitted"),
    ("connect-ipv4", "refused to connect to 127.0.0.1 port 4001\n"),
    ("connect-ipv6", "refused to connect to ::1 port 4002\n"),
    ("connect-unix", "refused to connect to /run/escapes.socket\n"),
    ("connect-proxy", "refused to connect to 127.0.0.1 port 4003\n"),
    (
        "dns-tcp",
        "refused to connect to 127.0.0.1 port 53\n    by: perl connect.pl inet",
    ),
    (
        "dns-udp",
        "refused to connect to 127.0.0.1 port 53\n    by: perl connect.pl udp",
    ),
    (
        "capabilities",
        "it said: capabilities of own: Operation not permitted",
    ),
    (
        "change-root",
        "cannot change root directory to '/': Operation not permitted",
    ),
    (
        "set-user-id",
        "/usr/bin/escaped: is set-user-id or set-group-id (mode 4755)",
    ),
];
/// The attempt that is reported apart.
const DAEMON: (&str, &str) = (
    "leave-daemon",
    "left a process running, which was ended: sleep 4321",
);

/// Runs the attempts, says what has changed outside, and whether the daemon is left.
const SCRIPT: &str =
    "sum() { cat /etc/hosts /etc/debian_version /escapes/manifests/*.yaml /usr/bin/make | md5sum; \
    stat --format=%a:%U:%h /etc/passwd /usr/bin/make; }
perl /escapes/outside.pl /root/arrived &
until [ -S /run/escapes.socket ]; do read -t 0.1 <> <(:) || true; done
apt-get -qq update >/dev/null; apt-get -qq install --no-install-recommends make gcc libc6-dev >/dev/null 2>&1
sum >/root/before
[ -z \"${REQUIRE:-}\" ] || /escapes/pgsetup install /escapes/manifests --no-catalogue --sandbox require --offline --vendor /escapes/vendor
/escapes/pgsetup install /escapes/manifests --no-catalogue --vendor /escapes/vendor --offline --keep-going
sum >/root/after; cmp /root/before /root/after && echo unchanged
grep --count escaped /var/lib/dpkg/status
find / -xdev -name 'escaped*' -not -path '/escapes/*' -not -path '/var/tmp/pgsetup/s*/escapes-1.0/*'
echo \"arrived: $(cat /root/arrived)\"
cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep --count '[s]leep 4321'
echo end";

/// A manifest of an extension with these commands.
fn manifest(directory: &Path, name: &str, digest: &str, steps: &str, more: &str) {
    let text = format!(
        "kind: extension\nname: {name}\nsummary: A case\nlicense: MIT\nhomepage: https://example.org/\nreleases:\n\
         \x20 - {{version: '1.0', postgresql: [18], sources: [{{url: 'https://example.org/{name}.tar.gz', sha256: {digest}}}]}}\n\
         build:\n  steps: [{steps}]\n{more}tests: [{{description: it is there, query: SELECT 1, expected: '1'}}]\n"
    );
    std::fs::write(directory.join(format!("manifests/{name}.yaml")), text).unwrap();
}

/// Archives and manifests: the attempts, and two that are compiled for more than every processor has.
fn write(directory: &Path) {
    std::fs::create_dir(directory.join("manifests")).unwrap();
    server(directory);
    let texts = FILES.map(|name| {
        let text = std::fs::read_to_string(project().join("tests/fixtures/escapes").join(name)).unwrap();
        std::fs::write(directory.join(name), &text).unwrap();
        (name, text)
    });
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let digest = archive(directory, "escapes", &files);
    manifest(
        directory,
        "escapes",
        &digest,
        "{name: all, run: [make, 'DESTDIR=${stage}']}",
        "",
    );
    for (name, flag, declared) in [
        ("native", "-march=native", ""),
        (
            "dispatched",
            "-mavx2",
            "cpu_flags: [{architecture: amd64, flags: [-mavx2], reason: chosen at run time}]\n",
        ),
    ] {
        let rule = format!(
            "all:\n\tmkdir -p $(DESTDIR)/usr/lib\n\tgcc {flag} -shared -o $(DESTDIR)/usr/lib/{name}.so it.c\n"
        );
        let files = [
            ("Makefile", rule.as_str()),
            ("it.c", "int f(void) { return 0; }\n"),
        ];
        let digest = archive(directory, name, &files);
        manifest(
            directory,
            name,
            &digest,
            "{name: all, run: [make, 'DESTDIR=${stage}']}",
            declared,
        );
    }
    let image = "kind: image\nname: escapes\nbase: debian:bookworm\npostgresql: '18'\nextensions: [escapes, native, dispatched]\n\
                 user: {name: postgres, uid: 999, gid: 999, home: /var/lib/postgresql, shell: /bin/bash}\nlocale: C.UTF-8\n\
                 configuration: /etc/postgresql/image.conf\nprune: {remove: [debug-symbols]}\n";
    std::fs::write(directory.join("manifests/image.yaml"), image).unwrap();
}

/// Runs the attempts in a container with more options.
fn run(kind: &str, options: &[&str]) -> String {
    if let Err(why) = in_base::available() {
        skip(&why);
    }
    let directory = tempfile::tempdir().unwrap();
    write(directory.path());
    let name = format!("escapes-{kind}");
    let input = (directory.path(), "/escapes");
    let container = InBase::create(&name, options, SCRIPT, input, "/escapes/pgsetup");
    let ran = container.run(900);
    format!("{}{}", ran.out, ran.err)
}

/// Every attempt is reported, and none has changed anything.
#[track_caller]
fn nothing_escapes(text: &str) {
    for (attempt, reported) in REPORTED.into_iter().chain([DAEMON]) {
        assert!(text.contains(reported), "{attempt}: {reported} is not in\n{text}");
    }
    assert!(text.contains("\nunchanged\n0\narrived: \n0\nend\n"), "{text}");
}

#[test]
fn a_makefile_changes_nothing_outside_of_its_build() {
    let text = run("landlock", &[]);
    if text.contains("the kernel does not confine builds completely") {
        skip("this kernel does not confine builds completely");
    }
    nothing_escapes(&text);
    assert!(text.contains("refused to change /tmp/escaped\n"), "{text}");
    assert!(
        text.contains("-march=native in: gcc -march=native -shared"),
        "{text}"
    );
    assert!(text.contains("done   build dispatched 1.0"), "{text}");
}

#[test]
fn without_landlock_a_comparison_finds_what_escaped() {
    let profile = tempfile::tempdir().unwrap();
    let profile = profile.path().join("seccomp.json");
    let calls = "[\"landlock_create_ruleset\", \"landlock_add_rule\", \"landlock_restrict_self\"]";
    let text = format!(
        "{{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{{\"names\": {calls}, \"action\": \"SCMP_ACT_ERRNO\", \
         \"errnoRet\": 38}}]}}"
    );
    std::fs::write(&profile, text).unwrap();
    let security = format!("seccomp={}", profile.display());
    let text = run("comparison", &["--env=REQUIRE=1", "--security-opt", &security]);
    let refused = "the kernel cannot confine builds as --sandbox require demands: there is no Landlock\n";
    assert!(text.contains(refused), "{text}");
    assert!(
        text.contains("there is no Landlock; the root is compared"),
        "{text}"
    );
    nothing_escapes(&text);
    assert!(
        text.contains("/tmp/escaped belongs to the user of the build"),
        "{text}"
    );
}
