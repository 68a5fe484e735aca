//! Reads the files of an extension's archive: control files, makefiles, META.json, the licence, build options. This
//! module reports what they say; `draft` and `changes` decide what that means for a manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rust::{self, Project};
use crate::archive::submodules::{Submodule, submodules};
use crate::control;

/// What the files of an archive say.
#[derive(Debug, Default)]
pub struct Survey {
    /// Control files, in the order of paths.
    pub controls: Vec<Control>,
    /// Makefiles that use PGXS and those that call others, nearest to the top first.
    pub makefiles: Vec<Makefile>,
    /// PGXN's META.json.
    pub meta: Option<Meta>,
    /// Which of `configure`, `CMakeLists.txt`, `meson.build` and `Cargo.toml` are at the top.
    pub build_files: BTreeSet<String>,
    /// Build options: `--with-…` and `--enable-…` of configure, options of `cmake` and of `meson`.
    pub options: BTreeSet<String>,
    /// The licence's file.
    pub licence: Option<Licence>,
    /// Lines of sources that mention preloading, as `path:line`.
    pub preloading: Vec<String>,
    /// Whether there are C++ files.
    pub has_cplusplus: bool,
    /// Whether a source says that a later version of its licence may be chosen.
    pub allows_later_versions: bool,
    /// The git submodules.
    pub submodules: Vec<Submodule>,
    /// What Cargo builds.
    pub rust: Option<Project>,
    /// Every file of the archive.
    pub paths: BTreeSet<String>,
}

/// A control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its path in the archive.
    pub path: String,
    /// The extension's name in SQL.
    pub name: String,
    /// Its settings.
    pub values: BTreeMap<String, String>,
}

/// A makefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Makefile {
    /// Its path in the archive.
    pub path: String,
    /// Its variables as written, including appended values.
    pub variables: BTreeMap<String, String>,
    /// Lines about the version of PostgreSQL, trimmed.
    pub conditions: BTreeSet<String>,
}

/// The fields of META.json that a manifest uses (PGXN Meta Spec 1.0).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// `version`.
    pub version: Option<String>,
    /// `abstract`.
    pub summary: Option<String>,
    /// `license`, if it is one word.
    pub license: Option<String>,
    /// `resources.homepage`, or the page of the repository.
    pub homepage: Option<String>,
    /// The PostgreSQL requirement in `prereqs.runtime.requires`.
    pub postgresql: Option<String>,
}

/// The file with the licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// Its path in the archive.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The longest file that is read, in bytes.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Whether the survey reads the file at `path`.
pub fn is_of_interest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let at_top = !path.contains('/');
    is_control(path)
        || is_makefile(name)
        || is_source(suffix)
        || is_licence_path(path)
        || rust::is_of_interest(path)
        || (at_top
            && (is_build_file(name) || is_options(name) || matches!(name, "META.json" | ".gitmodules")))
}

fn is_control(path: &str) -> bool {
    let is_test = path
        .split('/')
        .any(|part| matches!(part, "test" | "tests" | "debian" | "expected"));
    !is_test && (path.ends_with(".control") || path.ends_with(".control.in"))
}

fn is_makefile(name: &str) -> bool {
    matches!(
        name,
        "Makefile" | "GNUmakefile" | "makefile" | "Makefile.in" | "GNUmakefile.in"
    )
}

fn is_source(suffix: &str) -> bool {
    matches!(suffix, "c" | "cc" | "cpp" | "cxx")
}

fn is_build_file(name: &str) -> bool {
    matches!(
        name,
        "configure" | "CMakeLists.txt" | "meson.build" | "Cargo.toml"
    )
}

fn is_options(name: &str) -> bool {
    matches!(name, "meson_options.txt" | "meson.options")
}

/// Whether a file may have the licence: at the top, or in a directory of licences or documents there.
fn is_licence_path(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = name.to_ascii_uppercase();
    let is_named = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE", "LEGAL"]
        .iter()
        .any(|word| name.starts_with(word));
    match directory {
        "" => is_named || name.starts_with("README"),
        "LICENSES" | "licenses" | "LICENSE" => true,
        "doc" | "docs" | "debian" => is_named,
        _ => false,
    }
}

/// How likely a file is to have the licence: less is better.
fn licence_rank(path: &str) -> (usize, bool) {
    (
        path.matches('/').count(),
        path.to_ascii_uppercase().starts_with("README"),
    )
}

/// Surveys `files`: paths below the top of the archive, with their texts.
pub fn survey(files: &[(String, String)]) -> Survey {
    let mut survey = Survey {
        rust: rust::project(files),
        ..Survey::default()
    };
    for (path, text) in files {
        let name = path.rsplit('/').next().unwrap_or(path);
        let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        let at_top = !path.contains('/');
        if is_control(path) {
            survey.controls.extend(control(path, name, text));
        } else if is_makefile(name) {
            survey.makefiles.extend(makefile(path, text));
        } else if is_source(suffix) {
            survey.has_cplusplus |= suffix != "c";
            survey.allows_later_versions |= says_any_later_version(text);
            let speaks = text
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains("shared_preload_libraries") && line.contains('"'));
            survey
                .preloading
                .extend(speaks.map(|(number, _)| format!("{path}:{}", number + 1)));
        } else if at_top && name == "META.json" {
            survey.meta = meta(text);
        } else if at_top && is_build_file(name) {
            survey.build_files.insert(name.to_owned());
            survey.options.extend(options(name, text));
        } else if at_top && is_options(name) {
            survey.options.extend(options(name, text));
        } else if path == ".gitmodules" {
            survey.submodules = submodules(text);
        } else if is_licence_path(path) {
            let licence = Licence {
                path: path.clone(),
                text: text.clone(),
            };
            if is_readme(path) {
                survey.allows_later_versions |= says_any_later_version(text);
            }
            // A text that is known is better than one that is only called so.
            let rank = |one: &Licence| (one.family().is_none(), licence_rank(&one.path));
            let is_better = survey
                .licence
                .as_ref()
                .is_none_or(|other| rank(&licence) < rank(other));
            let is_readable = !is_readme(path) || licence.family().is_some();
            if is_better && is_readable {
                survey.licence = Some(licence);
            }
        }
    }
    survey.paths.extend(files.iter().map(|(path, _)| path.clone()));
    survey
        .makefiles
        .sort_by_key(|makefile| (makefile.path.matches('/').count(), makefile.path.clone()));
    survey
}

fn is_readme(path: &str) -> bool {
    path.to_ascii_uppercase().starts_with("README")
}

/// Whether the head of a source allows any later version of its licence, as the texts of the GPL suggest.
fn says_any_later_version(text: &str) -> bool {
    let head: String = text.chars().take(4096).collect();
    let words: Vec<&str> = head
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").to_ascii_lowercase().contains("any later version")
}

impl Survey {
    /// Whether every file is below one directory.
    pub fn has_one_top(&self) -> bool {
        let tops: BTreeSet<Option<&str>> = self
            .paths
            .iter()
            .map(|path| path.split_once('/').map(|(top, _)| top))
            .collect();
        tops.len() == 1 && !tops.contains(&None)
    }

    /// The submodules whose directories the archive leaves empty.
    pub fn missing_submodules(&self) -> impl Iterator<Item = &Submodule> {
        let has_file = |directory: &str| {
            self.paths
                .iter()
                .any(|path| path.starts_with(&format!("{directory}/")))
        };
        self.submodules
            .iter()
            .filter(move |submodule| !has_file(&submodule.path))
    }

    /// Whether the archive has a script that creates the extension, or one that a makefile makes it of.
    pub fn has_script(&self, name: &str) -> bool {
        self.paths.iter().any(|path| {
            let file = path.rsplit('/').next().unwrap_or(path);
            let file = file.trim_end_matches(".in").trim_end_matches(".m4");
            let stem = file.strip_suffix(".sql");
            stem.is_some_and(|stem| {
                stem == name || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with("--"))
            })
        })
    }

    /// Whether scripts of the archive lead to this version of an extension. True where none of its scripts has a version.
    pub fn has_version(&self, name: &str, version: &str) -> bool {
        let files: Vec<String> = self
            .paths
            .iter()
            .map(|path| path.rsplit('/').next().unwrap_or(path).to_owned())
            .filter(|file| file.starts_with(&format!("{name}--")))
            .collect();
        let is_made = self
            .paths
            .iter()
            .any(|path| path.ends_with(&format!("{name}.sql")) || path.ends_with(".sql.in"));
        files.is_empty() || is_made || control::scripts(name, version, &files).is_some()
    }

    /// The library of the extension, as its makefile or control file names it.
    pub fn library(&self, control: Option<&Control>) -> Option<String> {
        let makefiles = self.makefiles.iter();
        let named = makefiles.filter_map(|makefile| {
            let value = |name: &str| makefile.variables.get(name).map(|value| makefile.expanded(value));
            let is_one = |value: &String| !value.is_empty() && !value.contains([' ', '$']);
            value("MODULE_big")
                .filter(is_one)
                .or_else(|| value("MODULES").filter(is_one))
        });
        let of_control = || {
            let path = control?.values.get("module_pathname")?;
            Some(path.strip_prefix("$libdir/").unwrap_or(path).to_owned())
        };
        let named = named
            .map(|name| name.rsplit('/').next().unwrap_or(&name).to_owned())
            .next();
        named.or_else(of_control)
    }
}

fn control(path: &str, name: &str, text: &str) -> Option<Control> {
    let name = name
        .strip_suffix(".in")
        .unwrap_or(name)
        .strip_suffix(".control")?;
    // A secondary control file (name--1.0.control) describes one version only.
    // A template's name is filled in by the build.
    let is_template = name.contains(['@', '$', '%', '{', '<']);
    (!name.contains("--") && !is_template).then(|| Control {
        path: path.to_owned(),
        name: name.to_owned(),
        values: control::values(text),
    })
}

impl Control {
    /// `default_version`, if the file states it and does not leave it to the build.
    pub fn default_version(&self) -> Option<&str> {
        let version = self.values.get("default_version")?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(is_word);
        is_version.then_some(version)
    }

    /// The extensions that `CREATE EXTENSION` requires.
    pub fn requires(&self) -> Vec<&str> {
        let list = self.values.get("requires").map_or("", String::as_str);
        list.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// What makefiles call other systems.
const OTHER_SYSTEMS: [&str; 8] = [
    "win32",
    "WIN32",
    "Windows_NT",
    "mingw",
    "MINGW",
    "cygwin",
    "arwin",
    "solaris",
];

fn makefile(path: &str, text: &str) -> Option<Makefile> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let is_pgxs = ["$(PGXS)", "${PGXS}", "pgxs.mk"]
        .iter()
        .any(|word| joined.contains(word));
    let (mut variables, mut conditions) = (BTreeMap::<String, String>::new(), BTreeSet::new());
    // For each open condition, whether its present branch is for another system than Linux.
    let mut branches: Vec<bool> = Vec::new();
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let statement = line.trim_start();
        if statement.starts_with("if") {
            let names_other = OTHER_SYSTEMS.iter().any(|word| statement.contains(word));
            branches.push(names_other && !statement.starts_with("ifneq") && !statement.starts_with("ifndef"));
        } else if statement.starts_with("else") {
            let names_other = OTHER_SYSTEMS.iter().any(|word| statement.contains(word));
            branches
                .last_mut()
                .into_iter()
                .for_each(|branch| *branch = names_other);
        } else if statement.starts_with("endif") {
            branches.pop();
        }
        if ["ifeq", "ifneq", "$(error"]
            .iter()
            .any(|word| statement.starts_with(word))
            && ["MAJORVERSION", "VERSION_NUM", "PG_VERSION", "PGVER", "$(error"]
                .iter()
                .any(|word| line.contains(word))
        {
            conditions.insert(statement.trim().to_owned());
        }
        if line.starts_with('\t') || statement.starts_with('#') || branches.contains(&true) {
            continue;
        }
        if let Some((name, value)) = statement.split_once('=') {
            let appends = name.ends_with('+');
            let name = name.trim_end_matches([':', '?', '+']).trim();
            let name = name.strip_prefix("override ").unwrap_or(name).trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                continue;
            }
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            let variable = variables.entry(name.to_owned()).or_default();
            if appends && !variable.is_empty() {
                variable.push(' ');
                variable.push_str(&value);
            } else if variable.is_empty() || !statement.contains("?=") {
                *variable = value;
            }
        }
    }
    // A makefile that only calls those of its directories counts with them.
    (is_pgxs || variables.contains_key("SUBDIRS")).then(|| Makefile {
        path: path.to_owned(),
        variables,
        conditions,
    })
}

impl Makefile {
    /// Its directory below the top; empty at the top.
    pub fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// A value with the variables of this makefile in it replaced, once.
    pub fn expanded(&self, value: &str) -> String {
        let mut expanded = value.to_owned();
        for (name, value) in &self.variables {
            for form in [format!("$({name})"), format!("${{{name}}}")] {
                expanded = expanded.replace(&form, value);
            }
        }
        expanded
    }

    /// The programs called `…-config` that it asks, except PostgreSQL's own and pkg-config; and the modules that pkg-config is
    /// asked for, as `pc:module`.
    pub fn asked(&self) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        for value in self.variables.values() {
            let words: Vec<&str> = value
                .split(|c: char| !is_part(c))
                .filter(|word| !word.is_empty())
                .collect();
            for (position, word) in words.iter().enumerate() {
                if *word == "pkg-config" {
                    let modules = words[position + 1..]
                        .iter()
                        .take_while(|word| !word.ends_with("-config"));
                    let modules = modules.filter(|word| {
                        !word.starts_with('-') && word.starts_with(|c: char| c.is_ascii_alphabetic())
                    });
                    asked.extend(modules.map(|module| format!("pc:{module}")));
                } else if (word.ends_with("-config") || word.ends_with("_config")) && *word != "pg_config" {
                    asked.insert((*word).to_owned());
                }
            }
        }
        asked
    }

    /// The libraries it links with: the names after `-l`.
    pub fn libraries(&self) -> BTreeSet<&str> {
        let linking = [
            "SHLIB_LINK",
            "SHLIB_LINK_INTERNAL",
            "LIBS",
            "PG_LIBS",
            "PG_LDFLAGS",
            "LDFLAGS",
        ];
        let values = linking.iter().filter_map(|name| self.variables.get(*name));
        let words = values.flat_map(|value| outside_of_calls(value));
        let names = words.filter_map(|word| word.strip_prefix("-l"));
        let is_name = |name: &&str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c))
        };
        names.filter(is_name).collect()
    }
}

/// The words of a value outside of `$(…)`, whose words are filtered or computed.
fn outside_of_calls(value: &str) -> Vec<&str> {
    let (mut depth, mut start, mut words) = (0_usize, 0, Vec::new());
    for (at, c) in value.char_indices() {
        if matches!(c, '(' | ')') {
            if depth == 0 {
                words.extend(value[start..at].split(' '));
            }
            depth = if c == '(' {
                depth + 1
            } else {
                depth.saturating_sub(1)
            };
            start = at + 1;
        }
    }
    if depth == 0 {
        words.extend(value[start..].split(' '));
    }
    words
}

fn meta(text: &str) -> Option<Meta> {
    let value: Value = serde_json::from_str(text).ok()?;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let resources = &value["resources"];
    let requires = &value["prereqs"]["runtime"]["requires"]["PostgreSQL"];
    Some(Meta {
        version: text(&value["version"]),
        summary: text(&value["abstract"]),
        license: text(&value["license"]),
        homepage: text(&resources["homepage"]).or_else(|| text(&resources["repository"]["web"])),
        postgresql: text(requires).or_else(|| requires.as_number().map(ToString::to_string)),
    })
}

impl Meta {
    /// The lowest PostgreSQL major it supports, if it says `>= …` or a bare version.
    pub fn lowest_major(&self) -> Option<u16> {
        let wanted = self.postgresql.as_ref()?;
        let first = wanted
            .split(',')
            .find(|part| !part.trim_start().starts_with(['<', '!']))?;
        let number = first.trim().trim_start_matches(['>', '=', ' ']);
        number.split('.').next()?.parse().ok()
    }
}

/// The options that a build file offers.
fn options(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start);
    let word = |rest: &str| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    match name {
        // The script contains the text of `./configure --help`. Options that every configure has are left out.
        "configure" => lines
            .filter(|line| {
                line.starts_with("--with-")
                    || line.starts_with("--without-")
                    || line.starts_with("--enable-")
                    || line.starts_with("--disable-")
            })
            .map(word)
            .filter(|option| {
                !matches!(
                    option.as_str(),
                    "--enable-FEATURE"
                        | "--disable-FEATURE"
                        | "--with-PACKAGE"
                        | "--without-PACKAGE"
                        | "--disable-option-checking"
                )
            })
            .collect(),
        "CMakeLists.txt" => lines
            .filter_map(|line| {
                line.strip_prefix("option(")
                    .or_else(|| line.strip_prefix("OPTION("))
            })
            .map(|rest| word(rest.trim_start()))
            .filter(|name| !name.is_empty())
            .map(|name| format!("-D{name}"))
            .collect(),
        "meson_options.txt" | "meson.options" => lines
            .filter_map(|line| {
                line.strip_prefix("option(")?
                    .trim_start()
                    .strip_prefix(['\'', '"'])
            })
            .map(|rest| format!("-D{}", word(rest)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The licences of the GPL's family, each with words of its text's title. Other files say whether later versions are
/// meant.
const GNU: [(&str, &str); 6] = [
    ("gnu affero general public license version 3", "AGPL-3.0"),
    ("gnu lesser general public license version 3", "LGPL-3.0"),
    ("gnu lesser general public license version 2.1", "LGPL-2.1"),
    ("gnu library general public license version 2", "LGPL-2.0"),
    ("gnu general public license version 3", "GPL-3.0"),
    ("gnu general public license version 2", "GPL-2.0"),
];

/// Words of other licences, each with its SPDX name.
const TEXTS: [(&str, &str); 11] = [
    ("without a written agreement is hereby granted", "PostgreSQL"),
    ("apache license version 2.0", "Apache-2.0"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("mozilla public license, version 2.0", "MPL-2.0"),
    ("boost software license - version 1.0", "BSL-1.0"),
    (
        "this is free and unencumbered software released into the public domain",
        "Unlicense",
    ),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("eclipse public license - v 2.0", "EPL-2.0"),
    (
        "this software is provided 'as-is', without any express or implied warranty",
        "Zlib",
    ),
    (
        "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee",
        "ISC",
    ),
    (
        "permission to use, copy, modify, and distribute this software for any purpose with or without fee",
        "ISC",
    ),
];

impl Licence {
    /// The SPDX name, if the text identifies one licence. The GPL's does not: it has no word on later versions.
    pub fn spdx(&self) -> Option<&'static str> {
        self.family()
            .filter(|name| !GNU.iter().any(|(_, gnu)| gnu == name))
    }

    /// The licence that the text is of; `GPL-3.0` where `GPL-3.0-only` or `GPL-3.0-or-later` may be meant.
    pub fn family(&self) -> Option<&'static str> {
        let words = self
            .text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_ascii_lowercase();
        let has = |text: &str| words.contains(text);
        // The title of the text, before the licences that it speaks of.
        let head: String = words.chars().take(600).collect();
        if let Some((_, name)) = GNU.iter().find(|(title, _)| head.contains(title)) {
            return Some(name);
        }
        if let Some((_, name)) = TEXTS.iter().find(|(text, _)| has(text)) {
            return Some(name);
        }
        if has("permission is hereby granted, free of charge") && has("the software is provided \"as is\"") {
            return Some("MIT");
        }
        if !has("redistributions of source code must retain the above copyright") {
            return None;
        }
        let clauses_of_names =
            has("neither the name") || has("may not be used to endorse") || has("may be used to endorse");
        match (clauses_of_names, has("all advertising materials")) {
            (_, true) => None,
            (true, false) => Some("BSD-3-Clause"),
            (false, false) => Some("BSD-2-Clause"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Survey {
        let files: Vec<_> = files
            .iter()
            .filter(|(path, _)| is_of_interest(path))
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        survey(&files)
    }

    #[test]
    fn control_files_are_read_wherever_they_are_but_for_tests() {
        let found = of(&[
            (
                "src/b.control.in",
                "default_version = 'REPACK_VERSION'\nrequires='a, plpgsql' # x\n",
            ),
            (
                "a.control",
                "# default_version = '9'\ncomment = 'it''s # one'\ndefault_version='1.0'\nrelocatable = true # y\n",
            ),
            ("test/c.control", "default_version = '1'\n"),
            ("a--1.0.control", "requires = 'x'\n"),
        ]);
        let [b, a] = found.controls.as_slice() else {
            panic!("{:?}", found.controls)
        };
        assert_eq!(
            (b.name.as_str(), b.default_version(), b.requires()),
            ("b", None, vec!["a", "plpgsql"])
        );
        assert_eq!(a.default_version(), Some("1.0"));
        assert_eq!(a.values["comment"], "it's # one");
        assert_eq!(a.values["relocatable"], "true");
    }

    #[test]
    fn makefiles_tell_variables_libraries_and_conditions() {
        let text = "MODULE_big = x\nOBJS = a.o \\\n  b.o\nOPTFLAGS ?= -march=native # fast\nSHLIB_LINK = -lcurl\nSHLIB_LINK += $(filter -lz, $(LIBS)) -lssl\n\
                    ifeq ($(shell test $(MAJORVERSION) -lt 13; echo $$?),0)\n$(error too old)\nendif\ninstall: all\n\tFOO=bar true\ninclude $(PGXS)\n";
        let found = of(&[("Makefile", text), ("doc/Makefile", "all:\n\ttrue\n")]);
        let [makefile] = found.makefiles.as_slice() else {
            panic!("{:?}", found.makefiles)
        };
        assert_eq!(makefile.variables["OBJS"], "a.o b.o");
        assert_eq!(makefile.variables["OPTFLAGS"], "-march=native");
        assert!(!makefile.variables.contains_key("FOO"));
        assert_eq!(
            makefile.libraries().into_iter().collect::<Vec<_>>(),
            ["curl", "ssl"]
        );
        assert_eq!(makefile.conditions.len(), 2);
    }

    #[test]
    fn meta_licence_and_options_are_found_at_the_top() {
        let found = of(&[
            (
                "META.json",
                r#"{"version": "1.2.0", "abstract": "x", "license": "postgresql", "prereqs": {"runtime": {"requires": {"PostgreSQL": ">= 9.2.0"}}}}"#,
            ),
            (
                "configure",
                "  --with-curl             x\n  --without-libcurl  y\n  --enable-FEATURE[=ARG]\n",
            ),
            ("CMakeLists.txt", "option(APACHE_ONLY \"x\" OFF)\n"),
            (
                "LICENSE.md",
                "Permission to use, copy, … without fee, and\nwithout a written agreement is hereby granted",
            ),
            (
                "src/x.cpp",
                "elog(ERROR, \"add x to shared_preload_libraries\");\n",
            ),
        ]);
        assert_eq!(found.meta.unwrap().lowest_major(), Some(9));
        assert_eq!(
            found.options.into_iter().collect::<Vec<_>>(),
            ["--with-curl", "--without-libcurl", "-DAPACHE_ONLY"]
        );
        assert_eq!(found.licence.unwrap().spdx(), Some("PostgreSQL"));
        assert_eq!(found.preloading, ["src/x.cpp:1"]);
        assert!(found.has_cplusplus);
    }
}
