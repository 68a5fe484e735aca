//! Certificates that are replaced while the server runs.

use std::time::{Duration, Instant};

use super::container::{Container, DATA, PASSWORD, Volume, docker};
use super::needs::needs_image;
use super::patroni::{Cluster, REPLICATES};

/// A directory of certificates as Kubernetes mounts a secret: links to a directory behind a link, all of it root's.
struct Secret(Volume);

impl Secret {
    fn new() -> Self {
        Self(Volume::new())
    }

    /// The option that mounts it at /tls.
    fn mounted(&self) -> String {
        format!("--volume={}:/tls:ro", self.0.0)
    }

    /// Replaces both files at once.
    fn exchange(&self, name: &str) {
        self.make(name, &format!("..{name}"));
        self.0.shell(&format!(
            "cd {DATA}; ln -s ..{name} ..new; mv --no-target-directory ..new ..data; \
             for part in crt key; do ln -sf ..data/tls.$part tls.$part; done"
        ));
    }

    /// Makes a certificate and its key in a directory of the secret.
    fn make(&self, name: &str, directory: &str) {
        self.0.shell(&format!(
            "chmod 755 {DATA}; mkdir -p {DATA}/{directory}; cd {DATA}/{directory}; chmod 755 .; \
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout tls.key -out tls.crt \
             2>/dev/null; chmod 644 tls.key tls.crt"
        ));
    }
}

/// A shell condition: this certificate is served by PostgreSQL, or by Patroni's REST interface.
fn is_served(name: &str, by_patroni: bool) -> String {
    let target = if by_patroni {
        "-connect 127.0.0.1:8008"
    } else {
        "-starttls postgres -connect 127.0.0.1:5432"
    };
    format!(
        "openssl s_client {target} </dev/null 2>/dev/null | openssl x509 -noout -subject | grep -qw {name}"
    )
}

#[test(line_54)]
fn replaced_certificates_are_served() {
    needs_image();
    let secret = Secret::new();
    secret.exchange("first");
    let container = Container::serving(
        &[
            &secret.mounted(),
            "--env",
            PASSWORD,
            "--env=POSTGRES_TLS_CERT_FILE=/tls/tls.crt",
            "--env=POSTGRES_TLS_KEY_FILE=/tls/tls.key",
        ],
        &[],
    );
    container.wait_for(&is_served("first", false));
    secret.exchange("second");
    docker(["kill", "--signal=HUP", &container.name]).ok();
    container.wait_for(&is_served("second", false));
    secret.exchange("third");
    container.wait_for(&is_served("third", false));

    // In place, and one file after the other.
    secret.make("fourth", "made");
    secret
        .0
        .shell(&format!("cat {DATA}/made/tls.crt >{DATA}/tls.crt"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !container.log().contains("do not belong together") {
        assert!(Instant::now() < deadline, "{}", container.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    container.sql("SELECT pg_reload_conf()");
    container.shell(&is_served("third", false)).ok();
    secret
        .0
        .shell(&format!("cat {DATA}/made/tls.key >{DATA}/tls.key"));
    container.wait_for(&is_served("fourth", false));
    assert!(
        !container.log().contains("could not load private key"),
        "{}",
        container.log()
    );
}

#[test(line_54)]
fn replaced_certificates_are_served_under_patroni() {
    let mut cluster = Cluster::new();
    let secret = Secret::new();
    secret.exchange("first");
    let member = cluster.add(&[
        &secret.mounted(),
        REPLICATES,
        "--env=POSTGRES_TLS_CERT_FILE=/tls/tls.crt",
        "--env=POSTGRES_TLS_KEY_FILE=/tls/tls.key",
        "--env=PATRONI_RESTAPI_CERTFILE=/tls/tls.crt",
        "--env=PATRONI_RESTAPI_KEYFILE=/tls/tls.key",
    ]);
    cluster.wait_for(member, "Leader\trunning");
    let member = &cluster.members[member];
    for name in ["first", "second"] {
        if name == "second" {
            secret.exchange(name);
        }
        member.wait_for(&is_served(name, false));
        member.wait_for(&is_served(name, true));
    }
    assert_eq!(member.health().status, 0, "{:?}", member.health());
}
