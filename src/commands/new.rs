//! `pgsetup new`: writes the first manifest of an extension from its archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::workspace::Workspace;
use crate::cli::NewArgs;
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::manifest::{self, secret};
use crate::report::Reporter;
use crate::resolve;
use crate::upstream::draft::{self, DraftFacts, Further};

/// Writes the manifest and lists what is left to decide.
///
/// # Errors
/// The archive cannot be downloaded or read, or the manifest exists already or cannot be written.
pub fn new(args: &NewArgs, reporter: &Reporter) -> Result<(), Failure> {
    if !host::local::is_directory(&args.manifests) {
        let message = format!(
            "`{}` is not a directory; the manifests come first: pgsetup new MANIFESTS NAME ARCHIVE",
            args.manifests.display()
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    resolve::name(&args.name).map_err(|why| Failure::new(Cause::Usage, why))?;
    let file = file(args);
    if host::local::exists(&file) {
        let message = format!("{} already exists; pgsetup update changes it", file.display());
        return Err(Failure::new(Cause::Usage, message));
    }
    let addresses = || std::iter::once(&args.archive).chain(&args.further);
    if addresses().any(|address| secret::find(address).is_some()) {
        let message =
            "an address with credentials cannot be in a manifest: download the archive and name the file";
        return Err(Failure::new(Cause::Usage, message));
    }
    // The extensions that other manifests provide. It is fine if there are no other manifests.
    let files = host::local::manifests(&args.manifests).unwrap_or_default();
    let (manifests, _) = manifest::parse(&files);
    let mut providers = BTreeMap::new();
    for extension in &manifests.extensions {
        for sql in extension
            .value
            .releases
            .iter()
            .flat_map(|release| &release.provides)
        {
            providers.insert(sql.name.clone(), extension.value.name.clone());
        }
    }
    for draft in &manifests.drafts {
        let drafted = draft.provides.iter().cloned();
        providers.extend(drafted.map(|sql| (sql, draft.name.clone())));
    }
    if manifests.extension_names().contains(&args.name.as_str()) {
        let message = format!(
            "a manifest `{}` already exists; pgsetup update changes it",
            args.name
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    let workspace = Workspace::new(&args.sources, None, reporter)?;
    let is_url = args.archive.contains("://");
    let archive = if is_url {
        // For plain http, a mark in the manifest asks for the reason.
        workspace.download(&args.archive, true)?
    } else {
        Workspace::local(Path::new(&args.archive))?
    };
    let survey = workspace.survey(&archive.path, 1, &args.archive)?;
    let mut further = Vec::new();
    for address in &args.further {
        let is_url = address.contains("://");
        let archive = if is_url {
            workspace.download(address, true)?
        } else {
            Workspace::local(Path::new(address))?
        };
        further.push(Further {
            url: is_url.then(|| address.clone()),
            file_name: address.rsplit('/').next().unwrap_or_default().to_owned(),
            sha256: archive.hashes.sha256(),
            has_one_top: workspace.survey(&archive.path, 0, address)?.has_one_top(),
        });
    }
    let draft = draft::draft(
        &DraftFacts {
            name: &args.name,
            url: is_url.then_some(args.archive.as_str()),
            file_name: args.archive.rsplit('/').next().unwrap_or_default(),
            sha256: archive.hashes.sha256(),
            further: &further,
            providers: &providers,
        },
        &survey,
    );
    host::local::create_text(&file, &draft.text)?;
    let mut page = format!("{}\nto decide:\n", file.display());
    for decision in &draft.decisions {
        let _ = writeln!(page, "  {decision}");
    }
    let _ = writeln!(
        page,
        "pgsetup plan {} --with {} reports what is wrong with it",
        args.manifests.display(),
        args.name
    );
    reporter.result(&page).cause(Cause::Internal)
}

/// Where the manifest goes: the directory for extensions if there is one.
fn file(args: &NewArgs) -> PathBuf {
    let extensions = args.manifests.join("extensions");
    let directory = if host::local::is_directory(&extensions) {
        extensions
    } else {
        args.manifests.clone()
    };
    directory.join(format!("{}.yaml", args.name))
}
