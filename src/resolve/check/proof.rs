//! Checks of how an extension proves itself: its tests, the error it gives unloaded, upgrades, upstream's tests.

use std::collections::BTreeSet;

use super::Checks;
use crate::manifest::extension::{Check, Extension, KnownCheck, Release, Test, Upgrade, Upstream};
use crate::resolve::value;

impl<T> Checks<'_, T> {
    /// How upstream's tests are run, at `path`.
    pub fn upstream(&mut self, path: &str, upstream: &Upstream, majors: &[u16], names: &[&str]) {
        self.arguments(&format!("{path}.targets"), Some("make"), &upstream.targets);
        self.arguments(&format!("{path}.make"), Some("make"), &upstream.make);
        let is_make = !upstream.targets.is_empty() || !upstream.make.is_empty();
        if is_make && !upstream.steps.is_empty() {
            let message = "`steps` are run instead of `make`, which then takes neither `targets` nor `make`";
            self.wrong(&format!("{path}.steps"), message);
        }
        self.directory(path, upstream.directory.as_ref());
        self.steps(&format!("{path}.steps"), &upstream.steps);
        self.package_names(&format!("{path}.packages"), &upstream.packages);
        self.names(
            &format!("{path}.requires"),
            &upstream.requires,
            names,
            "extension",
        );
        self.settings(&format!("{path}.settings"), &upstream.settings);
        for (position, known) in upstream.known_failures.iter().enumerate() {
            let path = format!("{path}.known_failures[{position}]");
            self.says_something(&format!("{path}.name"), &known.name);
            self.says_something(&format!("{path}.reason"), &known.reason);
            self.served(&format!("{path}.postgresql"), &known.postgresql, majors);
        }
    }

    /// Majors in a list must be among those that the manifest is for.
    fn served(&mut self, path: &str, listed: &[u16], majors: &[u16]) {
        for (position, major) in listed.iter().enumerate() {
            if !majors.contains(major) {
                let majors: Vec<String> = majors.iter().map(ToString::to_string).collect();
                let message = format!(
                    "the manifest is not for PostgreSQL {major}, only for {}",
                    majors.join(", ")
                );
                self.wrong(&format!("{path}[{position}]"), message);
            }
        }
    }

    pub(super) fn says_something(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.wrong(path, format!("`{path}` is empty"));
        }
    }
}

impl Checks<'_, Extension> {
    /// All that the extension says about its tests.
    pub fn proof(&mut self, extension: &Extension, names: &[&str]) {
        let majors: Vec<u16> = extension
            .releases
            .iter()
            .flat_map(|release| release.postgresql.iter().copied())
            .collect();
        self.settings("test_settings", &extension.test_settings);
        self.tests("tests", &extension.tests, &majors);
        self.known_checks(extension, &majors);
        if let Some(required) = extension.preload.as_ref().and_then(|p| p.required.as_ref()) {
            self.says_something("preload.required.error", &required.error);
        }
        for (position, upgrade) in extension.upgrades.iter().enumerate() {
            self.upgrade(&format!("upgrades[{position}]"), upgrade, extension, &majors);
        }
        if let Some(upstream) = &extension.upstream {
            self.upstream("upstream", upstream, &majors, names);
        }
    }

    /// Each built-in check is excused once for a major, and only where it is run.
    fn known_checks(&mut self, extension: &Extension, majors: &[u16]) {
        let provides = |release: &Release| !release.provides.is_empty();
        let has_sql = extension.releases.iter().any(provides);
        let mut seen: BTreeSet<(Check, u16)> = BTreeSet::new();
        for (position, known) in extension.known_failures.iter().enumerate() {
            let path = format!("known_failures[{position}]");
            let KnownCheck {
                name,
                postgresql,
                reason,
            } = known;
            self.says_something(&format!("{path}.reason"), reason);
            self.served(&format!("{path}.postgresql"), postgresql, majors);
            let is_run = match name {
                Check::Symbols | Check::License => true,
                Check::Load => !has_sql,
                Check::Create | Check::Drop | Check::Recreate => has_sql,
            };
            if !is_run {
                let message = format!("`{}` is not run here", name.name());
                let help =
                    "what provides SQL is created, dropped and created again; what provides none is loaded";
                self.wrong_with_help(&format!("{path}.name"), message, help.to_owned());
            }
            let of = if postgresql.is_empty() { majors } else { postgresql };
            let new = of.iter().filter(|major| seen.insert((*name, **major))).count();
            if new < of.len() {
                let message = format!("`{}` is excused twice", name.name());
                self.at(&format!("{path}.name"), Err(message));
            }
        }
    }

    fn tests(&mut self, path: &str, tests: &[Test], majors: &[u16]) {
        for (position, test) in tests.iter().enumerate() {
            let path = format!("{path}[{position}]");
            self.says_something(&format!("{path}.description"), &test.description);
            self.says_something(&format!("{path}.query"), &test.query);
            self.served(&format!("{path}.postgresql"), &test.postgresql, majors);
            match (&test.expected, &test.error) {
                (Some(_), None) => {}
                (None, Some(error)) => self.says_something(&format!("{path}.error"), error),
                (None, None) => {
                    let help = "write `expected: \"\"` where the query has no answer".to_owned();
                    self.wrong_with_help(&path, format!("`{path}` lacks `expected` or `error`"), help);
                }
                (Some(_), Some(_)) => {
                    let message =
                        "a query that ends with an error has no answer: either `expected` or `error`";
                    self.wrong(&format!("{path}.error"), message);
                }
            }
        }
    }

    fn upgrade(&mut self, path: &str, upgrade: &Upgrade, extension: &Extension, majors: &[u16]) {
        self.at(&format!("{path}.from"), value::version(&upgrade.from));
        self.served(&format!("{path}.postgresql"), &upgrade.postgresql, majors);
        let is_release = |major: &u16| {
            let mut releases = extension.releases.iter();
            releases.any(|release| release.version == upgrade.from && release.postgresql.contains(major))
        };
        if upgrade.postgresql.iter().any(is_release) {
            let message = format!("{} is the release that it would be updated to", upgrade.from);
            self.wrong(&format!("{path}.from"), message);
        }
        self.sources(path, &upgrade.sources);
        self.provides(path, &upgrade.provides);
        if let Some(build) = &upgrade.build {
            self.build(&format!("{path}.build"), build);
        }
        self.tests(&format!("{path}.tests"), &upgrade.tests, majors);
    }
}
