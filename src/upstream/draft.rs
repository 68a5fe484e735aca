//! Drafts the first manifest of an extension from the files of its archive. Pure.
//!
//! Each known value has a comment with its origin. An unknown value is marked `TODO`, which `plan` reports as a
//! problem. Nothing is guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::rust::{self, Project};
use super::survey::{Control, Makefile, Survey};
use crate::archive::submodules::Submodule;
use crate::debian::development::package_of;
use crate::digest::Sha256;
use crate::resolve::MAJORS;

/// What is known beyond the archive's files.
#[derive(Debug)]
pub struct DraftFacts<'a> {
    /// The manifest's name.
    pub name: &'a str,
    /// The address of the archive; `None` for a local file.
    pub url: Option<&'a str>,
    /// The archive's file name.
    pub file_name: &'a str,
    /// The archive's SHA-256.
    pub sha256: Sha256,
    /// Further archives, which are unpacked into directories of the first.
    pub further: &'a [Further],
    /// The manifests that provide an extension, by its name in SQL.
    pub providers: &'a BTreeMap<String, String>,
}

/// An archive beside the first.
#[derive(Debug)]
pub struct Further {
    /// Its address; `None` for a local file.
    pub url: Option<String>,
    /// Its file name.
    pub file_name: String,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Whether everything in it is below one directory.
    pub has_one_top: bool,
}

/// A drafted manifest.
#[derive(Debug, PartialEq, Eq)]
pub struct Draft {
    /// The manifest's text.
    pub text: String,
    /// What its author has to decide, one line each.
    pub decisions: Vec<String>,
}

/// Debian's development packages of libraries that extensions link with. The draft marks a library that is missing
/// here.
const LIBRARIES: [(&str, &str); 17] = [
    ("crypto", "libssl-dev"),
    ("curl", "libcurl4-openssl-dev"),
    ("gmp", "libgmp-dev"),
    ("h3", "libh3-dev"),
    ("icui18n", "libicu-dev"),
    ("icuuc", "libicu-dev"),
    ("json-c", "libjson-c-dev"),
    ("lz4", "liblz4-dev"),
    ("pcre", "libpcre3-dev"),
    ("pcre2-8", "libpcre2-dev"),
    ("protobuf-c", "libprotobuf-c-dev"),
    ("readline", "libreadline-dev"),
    ("ssl", "libssl-dev"),
    ("sybdb", "freetds-dev"),
    ("xml2", "libxml2-dev"),
    ("z", "zlib1g-dev"),
    ("zstd", "libzstd-dev"),
];

/// Libraries of Windows, which a makefile names for that system only.
const OF_WINDOWS: [&str; 30] = [
    "advapi32", "bcrypt", "cfgmgr32", "comctl32", "comdlg32", "crypt32", "dbghelp", "dnsapi", "gdi32",
    "imagehlp", "imm32", "iphlpapi", "kernel32", "mingw32", "mswsock", "msvcrt", "ncrypt", "netapi32",
    "ntdll", "ole32", "oleaut32", "psapi", "rpcrt4", "secur32", "setupapi", "shell32", "shlwapi", "user32",
    "ws2_32", "wsock32",
];

/// Libraries of libc, the compiler, and PostgreSQL itself, which need no package.
const AT_HAND: [&str; 11] = [
    "c", "dl", "ecpg", "gcc", "m", "pgcommon", "pgport", "pgtypes", "pq", "pthread", "rt",
];

/// Licences as PGXN's META.json names them, if the name means one licence only. `gpl_3` does not say whether later
/// versions are meant.
const PGXN_LICENSES: [(&str, &str); 5] = [
    ("apache_2_0", "Apache-2.0"),
    ("bsd", "BSD-3-Clause"),
    ("freebsd", "BSD-2-Clause"),
    ("mit", "MIT"),
    ("postgresql", "PostgreSQL"),
];

/// Drafts the manifest of the extension that `survey` describes.
pub fn draft(known: &DraftFacts<'_>, survey: &Survey) -> Draft {
    let mut draft = Writer {
        known,
        survey,
        page: String::new(),
        decisions: Vec::new(),
    };
    draft.head();
    draft.release();
    draft.build();
    draft.packages();
    draft.requires();
    draft.rest();
    Draft {
        text: draft.page,
        decisions: draft.decisions,
    }
}

struct Writer<'a> {
    known: &'a DraftFacts<'a>,
    survey: &'a Survey,
    page: String,
    decisions: Vec<String>,
}

impl Writer<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.page.push_str(text.as_ref());
        self.page.push('\n');
    }

    /// Writes `key: value  # origin`, or a mark if the value is unknown.
    fn value(&mut self, indent: &str, key: &str, found: Option<(String, &str)>, todo: &str) {
        match found {
            Some((value, "")) => {
                self.line(format!("{indent}{key}: {}", scalar(&value)));
            }
            Some((value, from)) => self.line(format!("{indent}{key}: {} # {from}", scalar(&value))),
            None => {
                self.line(format!("{indent}{key}: {}", marked(todo)));
                self.decisions.push(format!("`{key}`: {todo}"));
            }
        }
    }

    fn decide(&mut self, what: impl Into<String>) {
        self.decisions.push(what.into());
    }

    fn head(&mut self) {
        let (known, survey) = (self.known, self.survey);
        self.line("kind: extension");
        self.line(format!("name: {}", scalar(known.name)));
        let meta = survey.meta.clone().unwrap_or_default();
        let mut own = controls(survey);
        own.sort_by_key(|control| control.name != known.name);
        let comment = own.iter().find_map(|control| {
            let comment = control.values.get("comment")?;
            Some((comment.clone(), control.path.as_str()))
        });
        let summary = meta.summary.map(|text| (text, "META.json")).or(comment);
        let summary =
            summary.map(|(text, from)| (text.split_whitespace().collect::<Vec<_>>().join(" "), from));
        self.value(
            "",
            "summary",
            summary.filter(|(text, _)| !text.is_empty()),
            "what it is for, in one line",
        );
        let by_text = survey.licence.as_ref().and_then(|licence| {
            let later = licence.family().filter(|_| survey.allows_later_versions);
            let spdx = licence.spdx().map(str::to_owned);
            let spdx = spdx.or_else(|| later.map(|family| format!("{family}-or-later")))?;
            Some((spdx, format!("recognised in {}", licence.path)))
        });
        let todo = match survey
            .licence
            .as_ref()
            .and_then(|licence| Some((licence, licence.family()?)))
        {
            Some((licence, family)) if by_text.is_none() => format!(
                "{family}-only or {family}-or-later; {} has the text, and no source says which",
                licence.path
            ),
            _ => "the licence as SPDX names it".to_owned(),
        };
        let by_name = meta.license.as_ref().and_then(|word| {
            let (_, spdx) = PGXN_LICENSES.iter().find(|(name, _)| name == word)?;
            Some(((*spdx).to_owned(), "META.json".to_owned()))
        });
        if let (Some((text, _)), Some((name, _))) = (&by_text, &by_name)
            && text != name
        {
            self.decide(format!(
                "`license`: META.json says {name}, the text is that of {text}"
            ));
        }
        let license = by_text.or_else(|| by_name.filter(|_| !todo.contains("-only or ")));
        let license = license.as_ref().map(|(spdx, from)| (spdx.clone(), from.as_str()));
        self.value("", "license", license, &todo);
        let page = self.known.url.and_then(repository);
        let homepage = page
            .map(|page| (page, ""))
            .or(meta.homepage.map(|page| (page, "META.json")));
        self.value("", "homepage", homepage, "the project's page");
    }

    fn release(&mut self) {
        let known = self.known;
        let in_url = version_in(known.url.unwrap_or(known.file_name));
        let in_meta = self.survey.meta.as_ref().and_then(|meta| meta.version.clone());
        self.contradictions(in_url.as_deref(), in_meta.as_deref());
        let from_meta = in_url.is_none();
        let version = in_url.or(in_meta);
        self.line("\nreleases:");
        let found = version
            .clone()
            .map(|version| (version, if from_meta { "META.json" } else { "" }));
        match found {
            Some((version, "")) => self.line(format!("  - version: {}", quoted(&version))),
            Some((version, from)) => self.line(format!("  - version: {} # {from}", quoted(&version))),
            None => {
                self.line(format!(
                    "  - version: {}",
                    marked("the release as upstream numbers it")
                ));
                self.decide("`version`: the release as upstream numbers it");
            }
        }
        self.majors();
        self.line("    sources:");
        let url = known.url.map(|url| match &version {
            Some(version) => (url.replace(version.as_str(), "${version}"), ""),
            None => (url.to_owned(), ""),
        });
        let is_plain_http = known.url.is_some_and(|url| url.starts_with("http://"));
        self.value(
            "      - ",
            "url",
            url,
            "where upstream publishes it, with ${version}",
        );
        self.line("        # Computed from the archive that this manifest was written from.");
        self.line(format!("        sha256: {}", known.sha256));
        if is_plain_http {
            self.value(
                "        ",
                "insecure",
                None,
                "why plain http is good enough, or an https address",
            );
        }
        self.decide("`sha256` was computed from this one archive: compare it with what upstream publishes");
        self.further(version.as_deref());
        self.crates();
        self.provides();
    }

    /// Versions that the archive, META.json and control files state, where they differ.
    fn contradictions(&mut self, in_name: Option<&str>, in_meta: Option<&str>) {
        let mut said: Vec<(String, String)> = Vec::new();
        let mut add = |place: &str, version: Option<&str>| {
            said.extend(version.map(|version| (place.to_owned(), version.to_owned())));
        };
        add("the archive's name", in_name);
        add("META.json", in_meta);
        for control in controls(self.survey) {
            add(&control.path, control.default_version());
        }
        let is_other = |(_, version): &(String, String)| *version != said[0].1;
        if said.iter().any(is_other) {
            let said: Vec<String> = said
                .iter()
                .map(|(place, version)| format!("{place} says {version}"))
                .collect();
            self.decide(format!("`version`: {}", said.join(", ")));
        }
        let survey = self.survey;
        for control in controls(survey) {
            if let Some(version) = control
                .default_version()
                .filter(|version| !survey.has_version(&control.name, version))
            {
                self.decide(format!(
                    "`provides`: no script of the archive leads to version {version} of {}, which {} names",
                    control.name, control.path
                ));
            }
        }
    }

    /// The further archives, and marks for those of submodules that are missing.
    fn further(&mut self, version: Option<&str>) {
        let mut missing: Vec<&Submodule> = self.survey.missing_submodules().collect();
        for archive in self.known.further {
            let address = archive.url.as_deref().unwrap_or(&archive.file_name);
            let of_archive = |submodule: &&Submodule| {
                let repository = submodule.url.trim_end_matches('/').trim_end_matches(".git");
                let name = repository.rsplit('/').next().unwrap_or_default();
                !name.is_empty()
                    && address
                        .split(['/', '_'])
                        .any(|part| part == name || part.starts_with(&format!("{name}-")))
            };
            let position = missing
                .iter()
                .position(of_archive)
                .or_else(|| (missing.len() == 1).then_some(0));
            let into = position.map(|position| missing.remove(position).path.clone());
            let url = archive.url.as_ref().map(|url| match version {
                Some(version) => (url.replace(version, "${version}"), ""),
                None => (url.clone(), ""),
            });
            self.value("      - ", "url", url, "where this archive is published");
            self.line(format!("        sha256: {}", archive.sha256));
            if !archive.has_one_top {
                self.line("        strip: 0 # it has several entries at its top");
            }
            let from = into.map(|into| (into, ".gitmodules"));
            self.value(
                "        ",
                "into",
                from,
                "the directory of the first archive that it belongs in",
            );
        }
        for Submodule { path, url } in missing {
            let todo = format!("an archive of {url} at the commit that upstream pins");
            self.value("      - ", "url", None, &todo);
            self.line(format!("        sha256: {}", marked("its SHA-256")));
            self.line(format!(
                "        into: {} # .gitmodules: the archive leaves it empty",
                scalar(path)
            ));
        }
    }

    /// The crates of an extension in Rust.
    fn crates(&mut self) {
        let Some(project) = &self.survey.rust else {
            return;
        };
        self.line("    crates:");
        if let Some((sha256, lock)) = &project.lock {
            self.line(format!(
                "      lock: {sha256} # Cargo.lock, {} crates",
                lock.crates.len()
            ));
            for refused in &lock.refused {
                self.decide(format!(
                    "`crates`: {refused}, which pgsetup refuses: no digest of an index verifies it"
                ));
            }
        } else {
            let todo = "the archive has no Cargo.lock at its top, and pgsetup compiles only crates of a lock";
            self.line(format!("      lock: {}", marked(todo)));
            self.decide(format!("`crates.lock`: {todo}"));
        }
        let Some(version) = project.pgrx().filter(|_| project.has_pgrx) else {
            return;
        };
        self.line("      cargo_pgrx:");
        self.line(format!(
            "        version: {} # pgrx in Cargo.lock",
            quoted(version)
        ));
        let known = rust::cargo_pgrx(version);
        for (key, digest, what) in [
            ("sha256", known.map(|(digest, _)| digest), "its crate"),
            (
                "lock",
                known.map(|(_, digest)| digest),
                "the Cargo.lock in its crate",
            ),
        ] {
            match digest {
                Some(digest) => self.line(format!("        {key}: {digest}")),
                None => self.value("        ", key, None, &format!("SHA-256 of {what}")),
            }
        }
    }

    fn majors(&mut self) {
        if let Some(project) = &self.survey.rust
            && !project.majors.is_empty()
        {
            let majors = MAJORS.iter().filter(|major| project.majors.contains(major));
            let list: Vec<String> = majors.map(u16::to_string).collect();
            self.line(format!(
                "    postgresql: [{}] # features of Cargo.toml",
                list.join(", ")
            ));
            return;
        }
        let lowest = self
            .survey
            .meta
            .as_ref()
            .and_then(|meta| Some((meta.lowest_major()?, meta.postgresql.clone()?)));
        let Some((lowest, wanted)) = lowest else {
            let todo = "the PostgreSQL majors it is for, such as 17, 18";
            self.line(format!("    postgresql: [{}]", marked(todo)));
            self.decide(format!("`postgresql`: {todo}"));
            return;
        };
        let majors: Vec<String> = MAJORS
            .iter()
            .filter(|major| **major >= lowest)
            .map(u16::to_string)
            .collect();
        let list = majors.join(", ");
        self.line(format!(
            "    postgresql: [{list}] # META.json: PostgreSQL {wanted}"
        ));
        self.decide(format!(
            "`postgresql`: META.json requires PostgreSQL {wanted} and does not mention newer ones; try each of {list}"
        ));
    }

    fn provides(&mut self) {
        let controls = controls(self.survey);
        for control in self
            .survey
            .controls
            .iter()
            .filter(|control| !controls.contains(control))
        {
            self.decisions.push(format!(
                "`provides`: {} has no script in the archive, so it is left out",
                control.path
            ));
        }
        if controls.is_empty() {
            self.decide("`provides`: the archive has no control file, so this is probably a library that is only loaded");
            return;
        }
        self.line("    provides:");
        for control in controls {
            let name = scalar(&control.name);
            let of_cargo = control
                .values
                .get("default_version")
                .filter(|value| *value == "@CARGO_VERSION@")
                .and_then(|_| self.survey.rust.as_ref()?.version.clone());
            if let Some(version) = of_cargo.as_deref().or(control.default_version()) {
                let version = quoted(version);
                self.line(format!(
                    "      - {{ name: {name}, default_version: {version} }} # {}",
                    control.path
                ));
            } else {
                let said = control
                    .values
                    .get("default_version")
                    .map_or("nothing", String::as_str);
                let todo = format!("{} leaves it to the build ({said})", control.path);
                self.line(format!(
                    "      - {{ name: {name}, default_version: {} }}",
                    marked(&todo)
                ));
                self.decide(format!("`default_version` of {name}: {todo}"));
            }
        }
    }

    fn build(&mut self) {
        let survey = self.survey;
        let at_top = survey
            .makefiles
            .iter()
            .find(|makefile| makefile.directory().is_empty());
        let others: Vec<&str> = survey.build_files.iter().map(String::as_str).collect();
        self.line("\nbuild:");
        if let Some(project) = &survey.rust
            && at_top.is_none()
        {
            self.cargo(project);
            return;
        }
        if let Some(makefile) = at_top {
            self.pgxs(makefile);
            if !others.is_empty() {
                self.decide(format!(
                    "`build`: its makefile is PGXS, and there is {} as well",
                    others.join(", ")
                ));
            }
            return;
        }
        match others.as_slice() {
            ["configure"] => self.line("  autoconf: {} # configure"),
            ["CMakeLists.txt"] => self.line("  cmake: {} # CMakeLists.txt"),
            ["meson.build"] => self.line("  meson: {} # meson.build"),
            [] if survey.makefiles.len() == 1 => self.pgxs(&survey.makefiles[0]),
            [] if !survey.makefiles.is_empty() => {
                let paths: Vec<&str> = survey
                    .makefiles
                    .iter()
                    .map(|makefile| makefile.path.as_str())
                    .collect();
                let todo = format!("which of {} builds it", paths.join(", "));
                self.line("  pgxs:");
                self.value("    ", "directory", None, &todo);
            }
            _ => {
                let what = if others.is_empty() {
                    "nothing that is known".to_owned()
                } else {
                    others.join(", ")
                };
                let todo = format!("pgxs, autoconf, cmake, meson or steps; the archive has {what}");
                self.line(format!("  steps: [{{ name: {}, run: [make] }}]", marked(&todo)));
                self.decide(format!("`build`: {todo}"));
            }
        }
        let options: Vec<&str> = survey.options.iter().map(String::as_str).collect();
        if !options.is_empty() {
            self.decide(format!("options of the build: {}", options.join(" ")));
        }
    }

    fn cargo(&mut self, project: &Project) {
        let beyond = |flag: &&String| flag.contains("target-cpu=") || flag.contains("target-feature=+");
        for flag in project.flags.iter().filter(beyond) {
            self.decide(format!(
                "`cpu_flags`: .cargo/config.toml says {flag}; declare it with the reason, or take it out"
            ));
        }
        if !project.has_pgrx {
            let todo = "the commands that build and install it into ${stage}";
            self.line("  cargo:");
            self.line(format!(
                "    steps: [{{ name: {}, run: [cargo, build, --release, --frozen] }}]",
                marked(todo)
            ));
            self.decide(format!("`build.cargo.steps`: {todo}"));
        } else if project.directory.is_empty() {
            self.line("  pgrx: {} # Cargo.toml");
        } else {
            let directory = scalar(&project.directory);
            self.line(format!(
                "  pgrx:\n    directory: {directory} # {directory}/Cargo.toml"
            ));
        }
    }

    fn pgxs(&mut self, makefile: &Makefile) {
        let mut lines = Vec::new();
        if !makefile.directory().is_empty() {
            lines.push(format!(
                "    directory: {} # {}",
                scalar(makefile.directory()),
                makefile.path
            ));
        }
        let mut native = makefile
            .variables
            .iter()
            .filter(|(_, value)| value.contains("-march=native"));
        if let Some((name, _)) = native.next() {
            // Only a variable of this name can be emptied without losing other options in it.
            if name == "OPTFLAGS" {
                lines.push("    make:".to_owned());
                lines.push("      # Its makefile says -march=native: what is built on one machine would end in SIGILL on another.".to_owned());
                lines.push("      - OPTFLAGS=".to_owned());
            } else {
                self.decide(format!(
                    "`build.pgxs.make`: {} says -march=native in {name}",
                    makefile.path
                ));
            }
        }
        if lines.is_empty() {
            self.line(format!("  pgxs: {{}} # {}", makefile.path));
        } else {
            self.line("  pgxs:");
            for line in &lines {
                self.line(line);
            }
        }
    }

    fn packages(&mut self) {
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut add = |package: &str, why: String| {
            packages.entry(package.to_owned()).or_default().insert(why);
        };
        if self.survey.has_cplusplus {
            add("g++", "C++".to_owned());
        }
        let (mut unknown, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for makefile in &self.survey.makefiles {
            for library in makefile.libraries().difference(&BTreeSet::from(AT_HAND)) {
                let known = LIBRARIES.iter().find(|(name, _)| name == library);
                let package = known.map(|(_, package)| *package);
                match package.or_else(|| package_of(&format!("-l{library}")).map(|(package, _)| package)) {
                    Some(package) => add(package, format!("-l{library}")),
                    None if *library == "stdc++" => add("g++", "-lstdc++".to_owned()),
                    None if OF_WINDOWS.contains(&library.to_ascii_lowercase().as_str()) => {}
                    None => drop(unknown.insert(format!("lib{library}.so"))),
                }
            }
            for program in makefile.asked() {
                let module = program.strip_prefix("pc:");
                if module.is_some() {
                    add("pkg-config", "its makefile asks it".to_owned());
                }
                let name = module.map_or_else(|| format!("run:{program}"), |module| format!("pc:{module}"));
                match (package_of(&name).map(|(package, _)| package), module) {
                    (Some(package), Some(module)) => add(package, format!("{module}.pc")),
                    (Some(package), None) => add(package, program.clone()),
                    (None, Some(module)) => drop(unknown.insert(format!("{module}.pc"))),
                    (None, None) => drop(asked.insert((program, makefile.path.clone()))),
                }
            }
        }
        for (program, path) in &asked {
            unknown.insert(format!("{program}, which {path} asks"));
        }
        if packages.is_empty() && unknown.is_empty() {
            return;
        }
        self.line("\npackages:\n  build:");
        for (package, why) in packages {
            let why: Vec<String> = why.into_iter().collect();
            self.line(format!("    - {package} # {}", why.join(", ")));
        }
        for library in unknown {
            let todo = format!("the Debian package with {library}");
            self.line(format!("    - {}", marked(&todo)));
            self.decide(format!("`packages.build`: {todo}"));
        }
    }

    fn requires(&mut self) {
        let own: BTreeSet<&str> = self
            .survey
            .controls
            .iter()
            .map(|control| control.name.as_str())
            .collect();
        let (mut manifests, mut others) = (BTreeSet::new(), BTreeSet::new());
        for control in &self.survey.controls {
            for name in control.requires() {
                match self.known.providers.get(name) {
                    _ if own.contains(name) || name == "plpgsql" => {}
                    Some(manifest) => drop(manifests.insert(manifest.clone())),
                    None => drop(others.insert(name.to_owned())),
                }
            }
        }
        if !manifests.is_empty() {
            let names: Vec<String> = manifests.iter().map(|name| scalar(name)).collect();
            self.line(format!("\nrequires: [{}] # its control file", names.join(", ")));
        }
        for name in others {
            self.decide(format!(
                "`requires`: its control file requires {name}, which no manifest provides; contrib modules are always there"
            ));
        }
    }

    fn rest(&mut self) {
        if let Some(line) = self.survey.preloading.first() {
            let mut own = controls(self.survey);
            own.sort_by_key(|control| control.name != self.known.name);
            let library = self.survey.library(own.first().copied());
            let library = library.unwrap_or_else(|| self.known.name.to_owned());
            self.decide(format!(
                "`preload`: its sources speak of shared_preload_libraries ({line}); if it must be loaded at server start: preload: {{ libraries: [{library}] }}"
            ));
        }
        // These are comments, not marks: the extension installs without them, and only its author knows their purpose.
        self.line("\n# SQL that proves what it is for, run at the end of every installation:");
        self.line("# tests:\n#   - description: what it does, as a sentence\n#     setup: CREATE TABLE …;\n#     query: SELECT …;\n#     expected: \"…\"");
        self.decide("`tests`: SQL that proves what it is for");
    }
}

/// Control files of the extensions that SQL creates, each after those it requires.
fn controls(survey: &Survey) -> Vec<&Control> {
    // One without a script is a placeholder, unless the build makes the scripts of all of them.
    let has_script = |control: &&Control| survey.has_script(&control.name);
    let is_any = survey.controls.iter().any(|control| has_script(&control));
    let mut open: Vec<&Control> = survey
        .controls
        .iter()
        .filter(|control| !is_any || has_script(control))
        .collect();
    let mut ordered: Vec<&Control> = Vec::new();
    while !open.is_empty() {
        let is_ready = |control: &&Control| {
            let waits = |name: &str| {
                open.iter()
                    .any(|other| other.name == name && other.name != control.name)
            };
            !control.requires().into_iter().any(waits)
        };
        // In a circle none is ready, so the first goes first.
        let position = open.iter().position(is_ready).unwrap_or(0);
        ordered.push(open.remove(position));
    }
    ordered
}

/// The mark that `plan` reports: `TODO: what`.
fn marked(what: &str) -> String {
    quoted(&format!("TODO: {what}"))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` as a YAML scalar, plain if YAML reads it as the same text.
fn scalar(text: &str) -> String {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_harmless = |c: char| c.is_alphanumeric() || " ._-/+()$".contains(c);
    let is_address = text.starts_with("https://") || text.starts_with("http://");
    let is_url = is_address && !text.contains([' ', '#', '\'', '"']);
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if is_url || (starts_well && !is_word && text.chars().all(is_harmless) && text.trim() == text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// The page of the repository that an address belongs to.
fn repository(url: &str) -> Option<String> {
    let marks = ["/-/archive/", "/archive/", "/releases/download/"];
    let (repository, _) = marks.iter().find_map(|mark| url.split_once(mark))?;
    Some(repository.to_owned())
}

/// The version in an archive's name or address: the last group of numbers with full stops between them.
pub fn version_in(name: &str) -> Option<String> {
    let name = name.split(['?', '#']).next()?;
    let last = name.rsplit('/').next()?;
    let stem = [
        ".orig.tar.gz",
        ".orig.tar.bz2",
        ".orig.tar.xz",
        ".tar.gz",
        ".tgz",
        ".tar.bz2",
        ".tar.xz",
        ".tar.zst",
        ".tar",
        ".zip",
    ]
    .iter()
    .find_map(|suffix| last.strip_suffix(suffix))?;
    let words = stem.split(['-', '_']);
    words.rev().find_map(|word| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let is_version = word.contains('.')
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        is_version.then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::survey::survey;
    use super::*;

    fn of(url: &str, files: &[(&str, &str)]) -> Draft {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let providers = BTreeMap::from([("vector".to_owned(), "pgvector".to_owned())]);
        let known = DraftFacts {
            name: "x",
            url: Some(url),
            file_name: "x",
            sha256: Sha256::of(b""),
            further: &[],
            providers: &providers,
        };
        draft(&known, &survey(&files))
    }

    #[test]
    fn an_extension_in_rust_has_its_lock_and_its_tool() {
        let lock = "version = 4\n[[package]]\nname = \"pgrx\"\nversion = \"0.16.1\"\n\
                    source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
                    checksum = \"4d6c15f9fef6a2776c92eb62e3b16b09468c4eb157c4096f84986e230e0d9474\"\n\
                    [[package]]\nname = \"tantivy\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/t#1\"\n";
        let cargo = "[package]\nname = \"x\"\nversion = \"2.1.0\"\n[features]\ndefault = [\"pg17\"]\npg13 = []\npg17 = []\npg18 = []\n\
                     [dependencies]\npgrx = \"0.16.1\"\n";
        let control = "default_version = '@CARGO_VERSION@'\n";
        let configuration = "[build]\nrustflags = [\"-Ctarget-cpu=native\"]\n";
        let archive = [
            ("Cargo.toml", cargo),
            ("Cargo.lock", lock),
            ("x.control", control),
            (".cargo/config.toml", configuration),
        ];
        let draft = of("https://example.org/x/v2.1.0.tar.gz", &archive);
        for line in [
            "    postgresql: [17, 18] # features of Cargo.toml",
            "        version: \"0.16.1\" # pgrx in Cargo.lock",
            "        sha256: 4d6c15f9fef6a2776c92eb62e3b16b09468c4eb157c4096f84986e230e0d9474",
            "        lock: 691364144ebb1cf99014463612a375c5de52a72abe1e226d545393336f96e924",
            "      - { name: x, default_version: \"2.1.0\" } # x.control",
            "  pgrx: {} # Cargo.toml",
        ] {
            assert!(
                draft.text.lines().any(|one| one == line),
                "no `{line}` in\n{}",
                draft.text
            );
        }
        let decisions = draft.decisions.join("\n");
        for part in [
            "tantivy 1.0.0 from git+https://example.org/t#1",
            "says target-cpu=native",
        ] {
            assert!(decisions.contains(part), "{decisions}");
        }
        // A crate below the top, and no lock.
        let archive = [
            ("Cargo.toml", "[workspace]\nmembers = [\"extension\"]\n"),
            ("extension/Cargo.toml", cargo),
            ("extension/x.control", control),
        ];
        let draft = of("https://example.org/x/v2.1.0.tar.gz", &archive);
        assert!(
            draft
                .text
                .contains("  pgrx:\n    directory: extension # extension/Cargo.toml\n"),
            "{}",
            draft.text
        );
        assert!(draft.text.contains("      lock: \"TODO"), "{}", draft.text);
    }

    #[test]
    fn programs_that_are_asked_bring_their_packages_and_windows_brings_none() {
        let makefile = "MODULE_big = $(NAME)\nNAME = ogr_fdw\nGDAL_CONFIG = gdal-config\nSHLIB_LINK := $(shell $(GDAL_CONFIG) --libs)\n\
                        PG_CPPFLAGS = $(shell pkg-config --cflags libcurl) $(shell nosuch-config --x)\nSHLIB_LINK += -lws2_32\n\
                        ifeq ($(PORTNAME), win32)\nSHLIB_LINK += -lforeign\nendif\ninclude $(PGXS)\n";
        let draft = of(
            "https://h/ogr-1.1.tar.gz",
            &[
                ("Makefile", makefile),
                ("ogr_fdw.control", "default_version = '1.1'\n"),
                ("template.control", "default_version = '0'\n"),
                ("@NAME@.control.in", "default_version = '0'\n"),
                ("ogr_fdw--1.1.sql", ""),
                ("a.c", "elog(ERROR, \"add it to shared_preload_libraries\");\n"),
            ],
        );
        assert!(
            draft.text.contains("    - libgdal-dev # gdal-config\n"),
            "{}",
            draft.text
        );
        assert!(
            draft.text.contains("    - libcurl4-openssl-dev # libcurl.pc\n"),
            "{}",
            draft.text
        );
        assert!(
            draft
                .text
                .contains("TODO: the Debian package with nosuch-config, which Makefile asks"),
            "{}",
            draft.text
        );
        for absent in ["ws2_32", "foreign", "template", "@NAME@"] {
            assert!(!draft.text.contains(absent), "{absent}: {}", draft.text);
        }
        let decisions = draft.decisions.join("\n");
        assert!(
            decisions.contains("preload: { libraries: [ogr_fdw] }"),
            "{decisions}"
        );
        assert!(
            decisions.contains("template.control has no script in the archive"),
            "{decisions}"
        );
    }

    #[test]
    fn submodules_and_further_archives_have_their_places() {
        let files = [
            (
                ".gitmodules",
                "[submodule \"h3\"]\n\tpath = vendor/h3\n\turl = https://github.com/uber/h3.git\n[submodule \"m\"]\n\tpath = vendor/m\n\turl = https://h/m\n",
            ),
            ("Makefile", "include $(PGXS)\n"),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let further = [Further {
            url: Some("https://github.com/uber/h3/archive/refs/tags/v4.1.tar.gz".to_owned()),
            file_name: "v4.1.tar.gz".to_owned(),
            sha256: Sha256::of(b""),
            has_one_top: true,
        }];
        let known = DraftFacts {
            name: "x",
            url: Some("https://h/x-1.0.tar.gz"),
            file_name: "x",
            sha256: Sha256::of(b""),
            further: &further,
            providers: &BTreeMap::new(),
        };
        let text = draft(&known, &survey(&files)).text;
        assert!(
            text.contains("      - url: https://github.com/uber/h3/archive/refs/tags/v4.1.tar.gz\n"),
            "{text}"
        );
        assert!(text.contains("        into: vendor/h3 # .gitmodules\n"), "{text}");
        assert!(
            text.contains("TODO: an archive of https://h/m at the commit that upstream pins"),
            "{text}"
        );
        assert!(
            text.contains("        into: vendor/m # .gitmodules: the archive leaves it empty\n"),
            "{text}"
        );
    }

    #[test]
    fn versions_that_contradict_each_other_are_reported() {
        let draft = of(
            "https://h/x-1.2.tar.gz",
            &[
                ("x.control", "default_version = '1.3'\n"),
                ("x--1.2.sql", ""),
                ("META.json", r#"{"version": "1.1"}"#),
            ],
        );
        let decisions = draft.decisions.join("\n");
        assert!(
            decisions
                .contains("`version`: the archive's name says 1.2, META.json says 1.1, x.control says 1.3"),
            "{decisions}"
        );
        assert!(
            decisions.contains("no script of the archive leads to version 1.3 of x"),
            "{decisions}"
        );
    }

    #[test]
    fn the_text_of_the_gpl_leaves_its_versions_to_the_sources() {
        let gpl = "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007\n";
        let only = of("https://h/x-1.0.tar.gz", &[("LICENSE", gpl)]);
        assert!(
            only.text
                .contains("license: \"TODO: GPL-3.0-only or GPL-3.0-or-later; LICENSE has the text"),
            "{}",
            only.text
        );
        let source = "/* either version 3 of the License, or (at your option)\n * any later version. */\n";
        let later = of("https://h/x-1.0.tar.gz", &[("doc/COPYING", gpl), ("x.c", source)]);
        assert!(
            later
                .text
                .contains("license: GPL-3.0-or-later # recognised in doc/COPYING"),
            "{}",
            later.text
        );
    }

    #[test]
    fn what_is_known_stands_there_with_its_source_and_the_rest_is_marked() {
        let draft = of(
            "https://github.com/o/x/archive/refs/tags/v1.2.tar.gz",
            &[
                (
                    "x.control",
                    "comment = 'does: x'\ndefault_version = '1.2'\nrequires = 'vector, cube, plpgsql'\n",
                ),
                (
                    "META.json",
                    r#"{"version": "1.2", "license": "postgresql", "prereqs": {"runtime": {"requires": {"PostgreSQL": "17"}}}}"#,
                ),
                ("Makefile", "SHLIB_LINK = -lcurl -lfoo -lm\ninclude $(PGXS)\n"),
            ],
        );
        let expected = "kind: extension
name: x
summary: \"does: x\" # x.control
license: PostgreSQL # META.json
homepage: https://github.com/o/x

releases:
  - version: \"1.2\"
    postgresql: [17, 18] # META.json: PostgreSQL 17
    sources:
      - url: https://github.com/o/x/archive/refs/tags/v${version}.tar.gz
        # Computed from the archive that this manifest was written from.
        sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    provides:
      - { name: x, default_version: \"1.2\" } # x.control

build:
  pgxs: {} # Makefile

packages:
  build:
    - libcurl4-openssl-dev # -lcurl
    - \"TODO: the Debian package with libfoo.so\"

requires: [pgvector] # its control file
";
        assert!(draft.text.starts_with(expected), "{}", draft.text);
        assert!(
            draft.decisions.iter().any(|line| line.contains("requires cube")),
            "{:?}",
            draft.decisions
        );
    }

    #[test]
    fn an_archive_that_says_nothing_makes_marks_only() {
        let draft = of("http://h/x.tar.gz", &[]);
        assert_eq!(draft.text.matches("TODO: ").count(), 7, "{}", draft.text);
    }

    #[test]
    fn versions_are_found_in_names() {
        for (name, version) in [
            ("https://h/o/x/archive/refs/tags/v0.8.6.tar.gz", Some("0.8.6")),
            ("https://h/x/ver_1.5.3.tar.gz", Some("1.5.3")),
            ("pg-repack_1.5.3.orig.tar.gz", Some("1.5.3")),
            ("h3-pg-4.2.3.zip", Some("4.2.3")),
            ("https://h/x/REL18_1_8_0.tar.gz", None),
            ("https://h/18.0/main.tar.gz", None),
            ("x", None),
        ] {
            assert_eq!(version_in(name).as_deref(), version, "{name}");
        }
    }
}
