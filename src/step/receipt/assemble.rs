//! Assembles the receipt from the resolved manifests and the facts of the installation. It does no IO and reads no clock:
//! the same installation gives the same bytes.

use std::collections::BTreeMap;

use crate::artifact::Inputs;
use crate::crates::CompiledCrate;
use crate::debian::dpkg::Package;
use crate::image::accounts::Account;
use crate::image::base::{FilesBefore, PackagesBefore, Purged};
use crate::plan::locale;
use crate::record::inventory::{InstalledFile, Inventory};
use crate::record::receipt::{
    Altered, Base, Catalogue, Component, ComponentKind, DebugSymbols, Declared, DeclaredName, Directory,
    File, IMAGE, KeptPackage, OlderServer, PackageRecord, PackageVersion, Postgresql, Privileged, Receipt,
    SCHEMA_VERSION, Setting, Source, SqlExtension, UpgradedPackage, User, octal,
};
use crate::resolve::{self, Place, Resolved};

/// The facts of an installation that the resolved manifests do not have.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Every path that was installed.
    pub inventory: &'a Inventory,
    /// The packages of the base.
    pub before: &'a PackagesBefore,
    /// The files of the base.
    pub files_before: &'a FilesBefore,
    /// The packages that are installed now.
    pub packages: &'a BTreeMap<String, Package>,
    /// The result of the purge.
    pub purged: &'a Purged,
    /// Set-id files, files with capabilities, and world-writable paths.
    pub privileged: Vec<Privileged>,
    /// Files that belong neither to a component nor to a package.
    pub unpackaged: &'a [InstalledFile],
    /// Facts about files of packages that dpkg does not record.
    pub package_record: PackageRecord,
    /// The user's account; `None` if it does not exist.
    pub account: Option<Account>,
    /// The inputs of builds, by the component's slug.
    pub inputs: &'a BTreeMap<String, Inputs>,
    /// The crates of extensions, by their ids.
    pub crates: &'a BTreeMap<String, Vec<CompiledCrate>>,
    /// The archive of debug symbols.
    pub debug_symbols: Option<DebugSymbols>,
    /// The number of the distribution's release; empty if it has none.
    pub distribution_version: String,
    /// The time of the image in seconds since 1970.
    pub created: u64,
    /// What confined the builds.
    pub sandbox: String,
}

/// The receipt of an installation of `resolved`.
pub fn build(resolved: &Resolved, facts: Facts<'_>) -> Receipt {
    let target = &resolved.target;
    let base = facts
        .before
        .packages
        .keys()
        .filter_map(|name| facts.packages.get(name));
    let kept: Vec<KeptPackage> = facts
        .purged
        .kept
        .values()
        .map(|kept| KeptPackage {
            package: package_version(&kept.package),
            reason: kept.reason.clone(),
            size: kept.package.size,
        })
        .collect();
    let names = names(resolved);
    let files: Vec<File> = facts.inventory.iter().map(|one| file(one, &names)).collect();
    Receipt {
        schema_version: SCHEMA_VERSION,
        tool: concat!("pgsetup ", env!("CARGO_PKG_VERSION")).to_owned(),
        image: resolved.name.clone(),
        created: facts.created,
        catalogue: resolved.catalogue.as_ref().map(catalogue),
        base: Base {
            distribution: target.distribution.clone(),
            version: facts.distribution_version,
            architecture: target.architecture.name().to_owned(),
            packages: base.map(package_version).collect(),
            unpackaged: facts.files_before.unpackaged.iter().cloned().collect(),
            altered: altered(facts.files_before),
        },
        components: components(resolved, facts.inputs, facts.crates),
        packages_size: kept.iter().map(|kept| kept.size).sum(),
        packages_kept: kept,
        packages_removed: facts.purged.removed.values().map(package_version).collect(),
        packages_upgraded: facts
            .purged
            .upgraded
            .iter()
            .map(|(name, from, to)| UpgradedPackage {
                name: name.clone(),
                from: from.clone(),
                to: to.clone(),
            })
            .collect(),
        postgresql: postgresql(resolved),
        previous: resolved.previous.iter().map(older_server).collect(),
        user: user(resolved, facts.account),
        directories: resolved
            .directories
            .iter()
            .map(|directory| directory_of(directory, resolved))
            .collect(),
        privileged: facts.privileged,
        declared: declared(&resolved.declared()),
        debug_symbols: facts.debug_symbols,
        files_size: facts.inventory.size(),
        files,
        unpackaged: Some(facts.unpackaged.iter().map(Into::into).collect()),
        documents: None,
        package_record: Some(facts.package_record),
        sandbox: Some(facts.sandbox),
    }
}

fn catalogue(catalogue_use: &resolve::CatalogueUse) -> Catalogue {
    Catalogue {
        name: catalogue_use.edition.name.clone(),
        sha256: catalogue_use.edition.sha256,
        taken: catalogue_use.taken.clone(),
        replaced: catalogue_use.replaced.clone(),
    }
}

fn declared(declared: &resolve::Declared) -> Declared {
    let names = |names: &BTreeMap<String, Vec<String>>| {
        names
            .iter()
            .map(|(name, wanted_by)| DeclaredName {
                name: name.clone(),
                wanted_by: wanted_by.clone(),
            })
            .collect()
    };
    Declared {
        libraries: names(&declared.libraries),
        optional_libraries: names(&declared.optional_libraries),
        programs: names(&declared.programs),
    }
}

fn altered(before: &FilesBefore) -> Vec<Altered> {
    let one = |(path, found): (&String, &String)| Altered {
        path: path.clone(),
        found: found.clone(),
    };
    before.altered.iter().map(one).collect()
}

fn package_version(package: &Package) -> PackageVersion {
    PackageVersion {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        source: package.source.clone(),
        source_version: (package.source_version != package.version).then(|| package.source_version.clone()),
    }
}

/// The components' ids by slug. The inventory has slugs. Compiled locales are the image's.
fn names(resolved: &Resolved) -> BTreeMap<String, String> {
    let names = resolved
        .components()
        .map(|component| (component.slug(), component.id()));
    names
        .chain([(locale::SLUG.to_owned(), IMAGE.to_owned())])
        .collect()
}

fn file(installed: &InstalledFile, names: &BTreeMap<String, String>) -> File {
    let mut file: File = installed.into();
    if let Some(name) = names.get(&file.component) {
        file.component.clone_from(name);
    }
    file
}

/// The user's account in the root. If it existed before, it may have another home than the manifest says.
fn user(resolved: &Resolved, account: Option<Account>) -> User {
    let user = &resolved.user;
    let (home, shell, groups) = match account {
        Some(account) => (account.home, account.shell, Some(account.groups)),
        None => (user.home.clone(), user.shell.clone(), None),
    };
    User {
        name: user.name.clone(),
        uid: user.uid,
        gid: user.gid,
        home,
        shell,
        groups,
    }
}

fn components(
    resolved: &Resolved,
    inputs: &BTreeMap<String, Inputs>,
    crates: &BTreeMap<String, Vec<CompiledCrate>>,
) -> Vec<Component> {
    let component = |component: &resolve::Component, kind, sources| Component {
        name: component.name.clone(),
        older_major: component.older_major,
        kind,
        version: component.version.clone(),
        license: component.license.clone(),
        homepage: component.homepage.clone(),
        sources,
        key: inputs
            .get(&component.slug())
            .map(|inputs| inputs.key().to_string()),
        inputs: inputs.get(&component.slug()).cloned(),
        provides: Vec::new(),
        part_of: None,
        required_by: Vec::new(),
    };
    let mut components = Vec::new();
    for (server, extensions) in resolved.servers() {
        // A server of the distribution is among the packages.
        if let Some(archive) = &server.source {
            components.push(component(
                &server.component,
                ComponentKind::Postgresql,
                vec![source(archive)],
            ));
        }
        // Extensions that come with the server belong to its component or to its packages.
        let compiled = extensions.iter().filter(|one| !one.comes_with_postgresql());
        for extension in compiled {
            let sources = extension.sources.iter().map(source).collect();
            let provides = extension.provides.iter().map(|sql| SqlExtension {
                name: sql.name.clone(),
                default_version: sql.default_version.clone(),
            });
            let kind = if extension.is_program {
                ComponentKind::Program
            } else {
                ComponentKind::Extension
            };
            components.push(Component {
                provides: provides.collect(),
                required_by: resolved.required_by(&extension.component.name),
                ..component(&extension.component, kind, sources)
            });
            let id = extension.component.id();
            let compiled = crates.get(&id).into_iter().flatten();
            components.extend(compiled.map(|one| of_crate(one, &id)));
        }
    }
    let Some(patroni) = &resolved.patroni else {
        return components;
    };
    let (own, others): (Vec<_>, Vec<_>) = patroni
        .distributions
        .iter()
        .partition(|distribution| distribution.name == patroni.component.name);
    let archive = |distribution: &&resolve::Distribution| Source {
        url: String::new(),
        file: distribution.file.clone(),
        mirrors: Vec::new(),
        sha256: distribution.sha256,
        accepted: Vec::new(),
    };
    let sources = own.iter().map(archive).collect();
    components.push(component(&patroni.component, ComponentKind::Patroni, sources));
    components.extend(others.iter().map(|distribution| Component {
        name: distribution.name.clone(),
        older_major: None,
        kind: ComponentKind::PythonDistribution,
        version: distribution.version.clone(),
        license: distribution.license.clone(),
        homepage: String::new(),
        sources: vec![archive(distribution)],
        key: None,
        inputs: None,
        provides: Vec::new(),
        part_of: Some(patroni.component.name.clone()),
        required_by: Vec::new(),
    }));
    components
}

fn of_crate(one: &CompiledCrate, extension: &str) -> Component {
    Component {
        name: one.name.clone(),
        older_major: None,
        kind: ComponentKind::Crate,
        version: one.version.clone(),
        license: one.license.clone(),
        homepage: String::new(),
        sources: vec![Source {
            url: String::new(),
            file: format!("{}-{}.crate", one.name, one.version),
            mirrors: Vec::new(),
            sha256: one.sha256,
            accepted: Vec::new(),
        }],
        key: None,
        inputs: None,
        provides: Vec::new(),
        part_of: Some(extension.to_owned()),
        required_by: Vec::new(),
    }
}

fn source(source: &resolve::Source) -> Source {
    let mut places = source.places.iter().map(|place| match place {
        Place::Url(url) => url.clone(),
        Place::Debian(path) => format!("debian:{path}"),
        Place::Crate(name, version) => format!("cargo:{name}-{version}.crate"),
    });
    let url = places.next().unwrap_or_default();
    Source {
        url,
        file: String::new(),
        mirrors: places.collect(),
        sha256: source.accepted[0],
        accepted: source.accepted.iter().skip(1).copied().collect(),
    }
}

fn postgresql(resolved: &Resolved) -> Postgresql {
    let server = &resolved.postgresql;
    Postgresql {
        major: server.major,
        prefix: server.prefix(),
        library_directory: server.library_directory(),
        share_directory: server.share(),
        configuration: resolved.configuration.clone(),
        locale: resolved.locale.clone(),
        preload: resolved.preload.clone(),
        settings: resolved
            .settings
            .iter()
            .map(|setting| Setting {
                name: setting.name.clone(),
                value: setting.value.clone(),
                wanted_by: setting.wanted_by.clone(),
            })
            .collect(),
    }
}

fn older_server(previous: &resolve::Previous) -> OlderServer {
    let server = &previous.postgresql;
    OlderServer {
        major: server.major,
        prefix: server.prefix(),
        library_directory: server.library_directory(),
        share_directory: server.share(),
    }
}

fn directory_of(directory: &resolve::Directory, resolved: &Resolved) -> Directory {
    let (uid, gid) = if directory.of_user {
        (resolved.user.uid, resolved.user.gid)
    } else {
        (0, 0)
    };
    Directory {
        path: directory.path.clone(),
        mode: octal(directory.mode),
        uid,
        gid,
    }
}

#[cfg(test)]
pub mod tests {
    use std::path::Path;

    use super::*;
    use crate::debian::dpkg::Package;
    use crate::digest::Sha256;
    use crate::image::base::{Kept, PackageState};
    use crate::record::inventory::Content;
    use crate::resolve::Selection;
    use crate::{host, manifest};

    /// The receipt of the project's own image with one installed file and two packages.
    pub fn example() -> Receipt {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        let (manifests, problems) = manifest::parse(&host::local::manifests(&directory).unwrap());
        assert!(problems.is_empty());
        let target = Some("debian:bookworm/amd64".parse().unwrap());
        let selection = Selection {
            target,
            previous: Some(vec!["17".to_owned()]),
            ..Selection::default()
        };
        let Ok(resolved) = resolve::resolve(&manifests, &selection) else {
            panic!("the project's manifests have problems");
        };
        let mut inventory = Inventory::default();
        inventory.insert(InstalledFile {
            path: "/usr/lib/postgresql/18/lib/citus.so".to_owned(),
            component: "citus".to_owned(),
            content: Content::File {
                sha256: Sha256::of(b"citus"),
                size: 5,
            },
            mode: 0o644,
            uid: 0,
            gid: 0,
        });
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            source: name.to_owned(),
            source_version: version.to_owned(),
            size: 1024,
            ..Package::default()
        };
        let packages = BTreeMap::from([
            ("libc6".to_owned(), package("libc6", "2.36-9+deb12u13")),
            ("libicu72".to_owned(), package("libicu72", "72.1-3")),
        ]);
        let state = PackageState {
            version: "2.36-9+deb12u13".to_owned(),
            automatic: false,
        };
        let kept = Kept {
            package: packages["libicu72"].clone(),
            reason: "/usr/lib/postgresql/18/bin/postgres -> libicuuc.so.72".to_owned(),
        };
        let facts = Facts {
            inventory: &inventory,
            before: &PackagesBefore {
                packages: BTreeMap::from([("libc6".to_owned(), state)]),
                ..PackagesBefore::default()
            },
            files_before: &FilesBefore::default(),
            packages: &packages,
            purged: &Purged {
                kept: BTreeMap::from([("libicu72".to_owned(), kept)]),
                ..Purged::default()
            },
            privileged: Vec::new(),
            unpackaged: &[],
            package_record: PackageRecord::default(),
            sandbox: "landlock 7".to_owned(),
            account: None,
            inputs: &BTreeMap::new(),
            crates: &BTreeMap::new(),
            debug_symbols: None,
            distribution_version: "12".to_owned(),
            created: 1_767_225_600,
        };
        build(&resolved, facts)
    }

    #[test]
    fn every_component_has_a_source() {
        let receipt = example();
        for component in &receipt.components {
            assert!(!component.sources.is_empty(), "{} has no source", component.name);
        }
        let patroni: Vec<&Component> = receipt
            .components
            .iter()
            .filter(|one| one.name == "patroni")
            .collect();
        assert_eq!(patroni.len(), 1);
        assert_eq!(patroni[0].kind, ComponentKind::Patroni);
    }
}
