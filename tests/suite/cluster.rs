//! The files of the example cluster, without starting it.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::harness::skip;
use crate::support::project;

/// What Compose makes of `cluster/compose.yaml`, or why there is no Compose.
fn compose(images: &str, args: &[&str]) -> Result<Output, String> {
    let plug_in = Command::new("docker").args(["compose", "version"]).output();
    let mut command = if plug_in.is_ok_and(|ran| ran.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    } else {
        Command::new("docker-compose")
    };
    command
        .current_dir(project())
        .arg(format!("--env-file=cluster/images/{images}.env"))
        .arg("--file=cluster/compose.yaml")
        .args(args)
        .output()
        .map_err(|error| format!("there is no Compose: {error}"))
}

#[test]
fn compose_accepts_the_cluster_with_either_kind_of_images() {
    for images in ["debian", "upstream"] {
        let ran = match compose(images, &["config"]) {
            Ok(ran) => ran,
            Err(why) => skip(&why),
        };
        assert!(ran.status.success(), "{images}: {ran:?}");
        // All variables are replaced.
        let text = String::from_utf8_lossy(&ran.stdout);
        let file = std::fs::read_to_string(project().join(format!("cluster/images/{images}.env"))).unwrap();
        let values = file.lines().filter_map(|line| line.split_once('='));
        for (name, value) in values.filter(|(name, _)| name.ends_with("_IMAGE")) {
            assert!(
                text.contains(&format!("image: {value}\n")),
                "{images}: {name}: {text}"
            );
        }
        assert!(!text.contains("${"), "{text}");
    }
}

#[test]
fn the_compose_file_has_every_member_of_the_scripts() {
    let listed = Command::new("bash")
        .args([
            "-c",
            "source cluster/lib.sh; printf '%s\\n' \"${cluster_members[@]}\"",
        ])
        .current_dir(project())
        .output()
        .expect("bash starts");
    let members: BTreeSet<String> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(members.len(), 7, "{listed:?}");
    let services = match compose("debian", &["config", "--services"]) {
        Ok(ran) => String::from_utf8_lossy(&ran.stdout).into_owned(),
        Err(why) => skip(&why),
    };
    let others = ["etcd1", "etcd2", "etcd3", "haproxy"].map(str::to_owned);
    let expected: BTreeSet<String> = members.into_iter().chain(others).collect();
    assert_eq!(
        services.lines().map(str::to_owned).collect::<BTreeSet<_>>(),
        expected
    );
}

#[test]
fn the_kubernetes_example_fits_the_published_schemas() {
    let ran = Command::new(project().join("tools/kubernetes.sh"))
        .output()
        .expect("the check starts");
    let err = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() == Some(75) {
        skip(err.lines().last().unwrap_or_default());
    }
    assert!(ran.status.success(), "{ran:?}");
}
