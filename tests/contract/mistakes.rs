//! Lines 9, 25 and 30: what can be known to be wrong before initdb is found before it, and what fails after it leaves nothing behind.

use super::container::{Container, DATA, PASSWORD, Volume};
use super::needs_image;

/// A start with these files, options and arguments must be refused for each of the reasons, and the data directory must stay empty.
#[track_caller]
fn refused_untouched(files: &[(&str, &str)], options: &[&str], command: &[&str], reasons: &[&str]) {
    let volume = Volume::new();
    let data = volume.as_data();
    let all = [&[&data, "--env", PASSWORD], options].concat();
    let container = Container::create(&all, command);
    for (path, text) in files {
        container.copy(path, 0o644, text);
    }
    let ran = container.run();
    assert_eq!(ran.status, 1, "{ran:?}");
    for reason in reasons {
        assert!(ran.err.contains(reason), "{reason}: {ran:?}");
    }
    assert!(!ran.text().contains("creating the cluster"), "{ran:?}");
    assert_eq!(volume.shell(&format!("ls -A {DATA}")), "");
}

#[test]
fn line_31_a_library_may_be_named_as_postgresql_names_its_own() {
    needs_image!();
    let libraries = "--env=POSTGRES_PRELOAD_LIBRARIES=$libdir/auto_explain,$libdir/pgaudit";
    let container = Container::serving(&["--env", PASSWORD, libraries], &[]);
    let preloaded = container.sql("SHOW shared_preload_libraries");
    assert!(preloaded.ends_with(",$libdir/auto_explain"), "{preloaded}");
    assert_eq!(preloaded.matches("pgaudit").count(), 1, "{preloaded}");
    drop(container);
    let missing = "--env=POSTGRES_PRELOAD_LIBRARIES=$libdir/none_such";
    refused_untouched(
        &[],
        &[missing],
        &[],
        &["'$libdir/none_such' is not in this image"],
    );
}
