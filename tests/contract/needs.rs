//! What tests need of this machine and of the image under test. A test that asks for what is not there is ignored, with the
//! reason; each question is asked once.

use std::sync::OnceLock;

use super::container::{Container, build_image, docker, image};
use crate::harness::skip;

/// The image under test; gives its name.
pub fn needs_image() -> &'static str {
    image().unwrap_or_else(|why| skip(&why))
}

/// Patroni in the image under test.
pub fn needs_patroni() {
    static PRESENT: OnceLock<Result<(), String>> = OnceLock::new();
    needs_image();
    let present = PRESENT.get_or_init(|| {
        let asked = Container::to_the_end(&[], &["patroni", "--version"]);
        if asked.status == 0 {
            return Ok(());
        }
        Err(format!("the image has no Patroni: {}", asked.err.trim()))
    });
    present.as_ref().unwrap_or_else(|why| skip(why));
}

/// Patroni in the image under test, and an image with `etcd` in it; gives the latter's name.
///
/// It holds Debian's etcd and is built once; `PGSETUP_TEST_ETCD_IMAGE` names another.
pub fn needs_store() -> &'static str {
    static STORE: OnceLock<Result<String, String>> = OnceLock::new();
    needs_patroni();
    let store = STORE.get_or_init(|| {
        if let Ok(name) = std::env::var("PGSETUP_TEST_ETCD_IMAGE") {
            return Ok(name);
        }
        let name = "pgsetup/test-etcd:bookworm";
        if docker(["image", "inspect", name]).status == 0 {
            return Ok(name.to_owned());
        }
        let recipe = "FROM debian:bookworm\n\
                      RUN apt-get update -q && apt-get install -qy --no-install-recommends etcd-server && rm -rf /var/lib/apt/lists/*\n\
                      ENTRYPOINT [\"etcd\"]\n";
        build_image(name, recipe).map(|()| name.to_owned())
    });
    store.as_ref().unwrap_or_else(|why| skip(why))
}

/// Whether the image under test has Citus.
pub fn has_citus() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let script = ["bash", "-c", "ls /usr/lib/postgresql/*/lib/citus.so"];
    *PRESENT.get_or_init(|| Container::to_the_end(&[], &script).status == 0)
}

/// Whether the image under test has pgBackRest, whose archive this machine may not reach.
pub fn has_pgbackrest() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let script = ["bash", "-c", "type -P pgbackrest"];
    *PRESENT.get_or_init(|| Container::to_the_end(&[], &script).status == 0)
}

/// pgBackRest in the image under test.
pub fn needs_pgbackrest() {
    needs_image();
    if !has_pgbackrest() {
        skip("the image has no pgBackRest");
    }
}

/// Citus in the image under test.
pub fn needs_citus() {
    needs_image();
    if !has_citus() {
        skip("the image has no Citus");
    }
}
