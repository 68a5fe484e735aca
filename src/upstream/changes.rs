//! Differences between two archives of one extension that may concern its manifest. Pure.

use std::collections::BTreeSet;

use super::survey::{Control, Makefile, Survey};

/// Makefile variables that a manifest depends on.
const VARIABLES: [&str; 10] = [
    "EXTENSION",
    "LIBS",
    "MODULES",
    "MODULE_big",
    "OPTFLAGS",
    "PGFILEDESC",
    "PG_CPPFLAGS",
    "PROGRAM",
    "SCRIPTS",
    "SHLIB_LINK",
];

/// One line for each relevant difference.
pub fn changes(old: &Survey, new: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    controls(&old.controls, &new.controls, &mut lines);
    makefiles(&old.makefiles, &new.makefiles, &mut lines);
    added_and_removed("build file", &old.build_files, &new.build_files, &mut lines);
    added_and_removed("option", &old.options, &new.options, &mut lines);
    let wanted = |survey: &Survey| {
        survey
            .meta
            .as_ref()
            .and_then(|meta| meta.postgresql.clone())
            .unwrap_or_default()
    };
    differ("META.json: PostgreSQL", &wanted(old), &wanted(new), &mut lines);
    licence(old, new, &mut lines);
    if old.preloading.is_empty() && !new.preloading.is_empty() {
        lines.push(format!(
            "its sources now name shared_preload_libraries: {}",
            new.preloading[0]
        ));
    }
    if !old.has_cplusplus && new.has_cplusplus {
        lines.push("it now has C++ (packages.build: g++)".to_owned());
    }
    lines
}

fn controls(old: &[Control], new: &[Control], lines: &mut Vec<String>) {
    let names = |controls: &[Control]| {
        controls
            .iter()
            .map(|control| control.name.clone())
            .collect::<BTreeSet<_>>()
    };
    let (before, after) = (names(old), names(new));
    added_and_removed("SQL extension", &before, &after, lines);
    for control in new {
        let Some(previous) = old.iter().find(|previous| previous.name == control.name) else {
            continue;
        };
        let mut keys: BTreeSet<&String> = previous.values.keys().chain(control.values.keys()).collect();
        // `default_version` is written in the manifest itself.
        keys.retain(|key| *key != "default_version");
        for key in keys {
            let value = |control: &Control| control.values.get(key).cloned().unwrap_or_default();
            differ(
                &format!("{}: {key}", control.path),
                &value(previous),
                &value(control),
                lines,
            );
        }
    }
}

fn makefiles(old: &[Makefile], new: &[Makefile], lines: &mut Vec<String>) {
    for makefile in new {
        let Some(previous) = old.iter().find(|previous| previous.path == makefile.path) else {
            lines.push(format!("{}: new", makefile.path));
            continue;
        };
        for name in VARIABLES {
            let value = |makefile: &Makefile| makefile.variables.get(name).cloned().unwrap_or_default();
            differ(
                &format!("{}: {name}", makefile.path),
                &value(previous),
                &value(makefile),
                lines,
            );
        }
        let path = &makefile.path;
        added_and_removed(
            &format!("{path}: line"),
            &previous.conditions,
            &makefile.conditions,
            lines,
        );
    }
    for previous in old {
        if !new.iter().any(|makefile| makefile.path == previous.path) {
            lines.push(format!("{}: gone", previous.path));
        }
    }
}

fn licence(old: &Survey, new: &Survey, lines: &mut Vec<String>) {
    match (&old.licence, &new.licence) {
        (Some(before), Some(after)) => {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let name = |spdx: Option<&str>| spdx.unwrap_or("not recognised").to_owned();
            if words(&before.text) != words(&after.text) {
                lines.push(format!(
                    "{}: another text ({}; was {})",
                    after.path,
                    name(after.spdx()),
                    name(before.spdx())
                ));
            }
        }
        (None, Some(after)) => lines.push(format!("{}: new", after.path)),
        (Some(before), None) => lines.push(format!("{}: gone", before.path)),
        (None, None) => {}
    }
}

fn added_and_removed(what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>, lines: &mut Vec<String>) {
    lines.extend(new.difference(old).map(|name| format!("new {what}: {name}")));
    lines.extend(old.difference(new).map(|name| format!("{what} gone: {name}")));
}

fn differ(what: &str, old: &str, new: &str, lines: &mut Vec<String>) {
    let shown = |value: &str| {
        if value.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{value}`")
        }
    };
    if old != new {
        lines.push(format!("{what}: {}, was {}", shown(new), shown(old)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::survey::survey;
    use super::*;

    #[test]
    fn what_a_manifest_has_to_do_with_is_named_and_nothing_else() {
        let of = |files: &[(&str, &str)]| {
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect();
            survey(&files)
        };
        let old = of(&[
            ("a.control", "default_version = '1'\nrequires = 'x'\n"),
            ("Makefile", "OBJS = a.o\nSHLIB_LINK = -lcurl\ninclude $(PGXS)\n"),
            ("configure", "  --with-one\n"),
            ("LICENSE", "one  two"),
        ]);
        let new = of(&[
            ("a.control", "default_version = '2'\ntrusted = true\n"),
            ("b.control", "default_version = '1'\n"),
            (
                "Makefile",
                "OBJS = a.o b.o\nSHLIB_LINK = -lcurl -lssl\ninclude $(PGXS)\n",
            ),
            ("configure", "  --with-two\n"),
            ("LICENSE", "one\ntwo"),
        ]);
        assert_eq!(
            changes(&old, &new),
            [
                "new SQL extension: b",
                "a.control: requires: nothing, was `x`",
                "a.control: trusted: `true`, was nothing",
                "Makefile: SHLIB_LINK: `-lcurl -lssl`, was `-lcurl`",
                "new option: --with-two",
                "option gone: --with-one",
            ]
        );
        assert!(changes(&new, &new).is_empty());
    }
}
