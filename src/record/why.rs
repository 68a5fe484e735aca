//! Why something is in an image: the chain from a package, a file or a library to what the image selects.

use schemars::JsonSchema;
use serde::Serialize;

use super::receipt::{Component, ComponentKind, File, KeptPackage, Receipt};

/// The version of the document.
pub const VERSION: u32 = 1;
/// Chains end; a circle of dependencies between packages would not.
const MAX_LINKS: usize = 32;

/// Why something is in an image (`pgsetup schema why`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Why {
    /// The version of this schema.
    pub schema_version: u32,
    /// What was asked for.
    pub subject: String,
    /// The chain from it to what the image selects; each link is the reason for the one before it.
    pub chain: Vec<Link>,
}

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Link {
    /// What it is: a package, a file, a library, a component, the image.
    pub kind: LinkKind,
    /// Its name.
    pub name: String,
    /// What it has to do with the link before it, as the end of a sentence that begins with that one.
    pub because: String,
}

/// The kind of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Kind")]
pub enum LinkKind {
    /// A Debian package.
    Package,
    /// A path.
    File,
    /// A shared library, by its name.
    Library,
    /// A program, by its name.
    Program,
    /// PostgreSQL, an extension, Patroni, or a Python distribution.
    Component,
    /// The image itself.
    Image,
    /// What the image is built on.
    Base,
}

/// The chain of `what`: a package, an absolute path, the name of a library or a program, or a component. `owner` is the
/// package that dpkg gives a path to, where the image can be asked.
pub fn why(receipt: &Receipt, what: &str, owner: Option<&str>) -> Option<Why> {
    let mut chain = Chain {
        receipt,
        links: Vec::new(),
    };
    let is_found = chain.file(what)
        || chain.owned(what, owner)
        || chain.package(what, "")
        || chain.component(what, "")
        || chain.library(what)
        || chain.program(what);
    is_found.then(|| Why {
        schema_version: VERSION,
        subject: what.to_owned(),
        chain: chain.links,
    })
}

impl Why {
    /// The chain for people: a line for each link.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (position, link) in self.chain.iter().enumerate() {
            let indent = "  ".repeat(position.min(1));
            let line = match (position, link.because.as_str()) {
                (0, "") => link.name.clone(),
                (0, what) => format!("{} {what}", link.name),
                (_, because) => because.to_owned(),
            };
            text.push_str(&format!("{indent}{line}\n"));
        }
        text
    }
}

struct Chain<'r> {
    receipt: &'r Receipt,
    links: Vec<Link>,
}

impl Chain<'_> {
    fn push(&mut self, kind: LinkKind, name: &str, because: String) {
        self.links.push(Link {
            kind,
            name: name.to_owned(),
            because,
        });
    }

    /// A path that the installation brought.
    fn file(&mut self, path: &str) -> bool {
        let files = &self.receipt.files;
        let Some(file) = files.iter().find(|file| file.path == path) else {
            return false;
        };
        let what = kind_of(file);
        self.push(LinkKind::File, path, what.to_owned());
        let component = file.component.clone();
        self.belongs(&component, "it");
        true
    }

    /// A path of a package, as dpkg says.
    fn owned(&mut self, path: &str, owner: Option<&str>) -> bool {
        let Some(owner) = owner else { return false };
        self.push(LinkKind::File, path, "is a file of a Debian package".to_owned());
        let name = owner.to_owned();
        if !self.package(&name, "it belongs to the package ") {
            self.push(
                LinkKind::Package,
                &name,
                format!("it belongs to the package {name}"),
            );
        }
        true
    }

    /// A Debian package. `before` begins the sentence if it is not the first link.
    fn package(&mut self, name: &str, before: &str) -> bool {
        if self.links.len() > MAX_LINKS {
            return true;
        }
        let (receipt, is_first) = (self.receipt, self.links.is_empty());
        if let Some(kept) = receipt
            .packages_kept
            .iter()
            .find(|kept| kept.package.name == name)
        {
            let what = if is_first {
                format!(
                    "{} is a Debian package that was installed and stays",
                    kept.package.version
                )
            } else {
                format!("{before}{name}")
            };
            self.push(LinkKind::Package, name, what);
            self.reason(kept);
            return true;
        }
        if let Some(package) = receipt.base.packages.iter().find(|package| package.name == name) {
            let what = if is_first {
                format!("{} is a Debian package", package.version)
            } else {
                format!("{before}{name}")
            };
            self.push(LinkKind::Package, name, what);
            let base = receipt.base.distribution.clone();
            self.push(LinkKind::Base, &base, format!("the base {base} has it"));
            return true;
        }
        if let Some(package) = receipt
            .packages_removed
            .iter()
            .find(|package| package.name == name)
        {
            let what = format!("{} is a Debian package that is not in the image", package.version);
            self.push(LinkKind::Package, name, what);
            let image = receipt.image.clone();
            self.push(
                LinkKind::Image,
                &image,
                "it was installed to build something, and removed again: nothing that stays needs it"
                    .to_owned(),
            );
            return true;
        }
        false
    }

    /// Why a package stays, as the receipt has it.
    fn reason(&mut self, kept: &KeptPackage) {
        let reason = kept.reason.clone();
        if let Some(package) = reason.strip_prefix("package ")
            && !package.contains(' ')
        {
            let package = package.to_owned();
            if !self.package(&package, "it is a dependency of the package ") {
                self.push(
                    LinkKind::Package,
                    &package,
                    format!("it is a dependency of the package {package}"),
                );
            }
            return;
        }
        if reason.contains(" -> ") {
            self.files(&reason);
            return;
        }
        if let Some(path) = reason.strip_prefix("link ") {
            self.push(
                LinkKind::File,
                path,
                format!("the link {path} leads to a file of it"),
            );
            self.component_of(path);
            return;
        }
        if let Some((program, callers)) = reason
            .strip_prefix("program ")
            .and_then(|rest| rest.split_once(", called by "))
        {
            let callers: Vec<String> = callers.split(", ").map(str::to_owned).collect();
            self.push(
                LinkKind::Program,
                program,
                format!("it has the program {program}"),
            );
            self.wanted(&callers, "calls the program");
            return;
        }
        let image = self.receipt.image.clone();
        let Some(names) = reason.strip_prefix("wanted by ") else {
            self.push(LinkKind::Image, &image, reason);
            return;
        };
        self.push(
            LinkKind::Component,
            names,
            format!("the manifest of {names} names it"),
        );
        self.push(
            LinkKind::Image,
            &image,
            format!("the image {image} selects {names}"),
        );
    }

    /// `FILE -> LIBRARY -> LIBRARY`: each needs the next one, and the package has the last one.
    fn files(&mut self, reason: &str) {
        let mut names: Vec<&str> = reason.split(" -> ").collect();
        names.reverse();
        for pair in names.windows(2) {
            let kind = if pair[1].starts_with('/') {
                LinkKind::File
            } else {
                LinkKind::Library
            };
            let what = match names.first() {
                Some(first) if *first == pair[0] => format!("its library {}", pair[0]),
                _ => pair[0].to_owned(),
            };
            self.push(kind, pair[1], format!("{} needs {what}", pair[1]));
        }
        if let Some(first) = names.last() {
            let path = (*first).to_owned();
            self.component_of(&path);
        }
    }

    fn component_of(&mut self, path: &str) {
        let files = &self.receipt.files;
        if let Some(file) = files.iter().find(|file| file.path == path) {
            let component = file.component.clone();
            self.belongs(&component, path);
        } else if let Some(name) = path.rsplit('/').next().filter(|name| !name.is_empty()) {
            // A declared library stands for a file that opens it.
            let declared = &self.receipt.declared.libraries;
            let wanted = declared.iter().find(|one| one.name == name || one.name == path);
            if let Some(wanted) = wanted {
                let by = wanted.wanted_by.clone();
                self.wanted(&by, "opens it");
            }
        }
    }

    fn belongs(&mut self, component: &str, what: &str) {
        let before = format!("{what} belongs to ");
        if !self.component(component, &before) {
            let image = self.receipt.image.clone();
            self.push(
                LinkKind::Image,
                &image,
                format!("{what} belongs to the image itself: its manifest asks for it"),
            );
        }
    }

    fn wanted(&mut self, components: &[String], what: &str) {
        for id in components {
            if !self.component(id, "") {
                let image = self.receipt.image.clone();
                let because = format!("the image's own manifest says that it {what}");
                self.push(LinkKind::Image, &image, because);
                continue;
            }
            // What the component does comes before where the component is from.
            if let Some(link) = self
                .links
                .iter_mut()
                .rev()
                .find(|link| link.kind == LinkKind::Component)
            {
                link.because = format!("{} {what}, as its manifest says", link.name);
            }
        }
    }

    /// A component of the image. `before` begins the sentence if it is not the first link.
    fn component(&mut self, id: &str, before: &str) -> bool {
        let receipt = self.receipt;
        let Some(component) = receipt.components.iter().find(|one| one.id() == id) else {
            return false;
        };
        let title = format!("{} {}", component.id(), component.version);
        let what = if self.links.is_empty() {
            format!("is {}", described(component))
        } else if before.is_empty() {
            title.clone()
        } else {
            match component.kind {
                ComponentKind::Patroni => format!("{before}{title}"),
                _ => format!("{before}{title}, {}", described(component)),
            }
        };
        self.push(LinkKind::Component, &title, what);
        let (image, because) = (receipt.image.clone(), because(receipt, component));
        match &component.part_of {
            Some(whole) => {
                let whole = whole.clone();
                self.component(&whole, "it is a part of ");
            }
            None => self.push(LinkKind::Image, &image, because),
        }
        true
    }

    /// A library by its name.
    fn library(&mut self, name: &str) -> bool {
        if !name.contains(".so") {
            return false;
        }
        let receipt = self.receipt;
        let end = format!("/{name}");
        if let Some(file) = receipt.files.iter().find(|file| file.path.ends_with(&end)) {
            return self.file(&file.path.clone());
        }
        let ends = |kept: &&KeptPackage| {
            kept.reason
                .split(" -> ")
                .any(|part| part == name || part.ends_with(&end))
        };
        if let Some(kept) = receipt.packages_kept.iter().find(ends) {
            let package = kept.package.name.clone();
            self.push(
                LinkKind::Library,
                name,
                "is a shared library of a Debian package".to_owned(),
            );
            return self.package(&package, "it leads to the package ");
        }
        let declared = receipt.declared.libraries.iter();
        let mut declared = declared.chain(&receipt.declared.optional_libraries);
        if let Some(one) = declared.find(|one| one.name.ends_with(name)) {
            self.push(
                LinkKind::Library,
                name,
                "is a shared library that is opened at run time".to_owned(),
            );
            let by = one.wanted_by.clone();
            self.wanted(&by, "opens it");
            return true;
        }
        false
    }

    /// A program by its name.
    fn program(&mut self, name: &str) -> bool {
        let receipt = self.receipt;
        let end = format!("/bin/{name}");
        if let Some(file) = receipt.files.iter().find(|file| file.path.ends_with(&end)) {
            return self.file(&file.path.clone());
        }
        let mut programs = receipt.declared.programs.iter();
        let Some(one) = programs.find(|one| one.name == name) else {
            return false;
        };
        self.push(
            LinkKind::Program,
            name,
            "is a program that is called at run time".to_owned(),
        );
        let by = one.wanted_by.clone();
        self.wanted(&by, "calls it");
        true
    }
}

fn kind_of(file: &File) -> &'static str {
    match (&file.sha256, &file.target) {
        (Some(_), _) => "is a file that was installed",
        (None, Some(_)) => "is a link that was installed",
        (None, None) => "is a directory that was made",
    }
}

fn described(component: &Component) -> String {
    let kind = match component.kind {
        ComponentKind::Postgresql => "a PostgreSQL server",
        ComponentKind::Extension => "an extension",
        ComponentKind::Program => "a program beside the server",
        ComponentKind::Patroni => "Patroni",
        ComponentKind::PythonDistribution => "a Python distribution",
        ComponentKind::Crate => "a crate",
    };
    match component.older_major {
        Some(major) => format!("{kind} for data of PostgreSQL {major}"),
        None => kind.to_owned(),
    }
}

fn because(receipt: &Receipt, component: &Component) -> String {
    let image = &receipt.image;
    if component.older_major.is_some() {
        return format!("the image {image} reads data of that major, to upgrade them");
    }
    match component.required_by.as_slice() {
        [] => format!("the image {image} selects it"),
        names => format!(
            "{} requires it, and the image {image} selects that",
            names.join(" and ")
        ),
    }
}
