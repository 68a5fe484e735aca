//! `pgsetup add`, `remove` and `export`: change what an image selects, in the manifest as it is written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::available::unknown;
use super::manifests::{self, Files, is_preload_required, with_required};
use super::print;
use crate::cli::{ExportArgs, NamesArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::manifest::Manifests;
use crate::report::Reporter;
use crate::resolve::Selection;
use crate::upstream::edit::list;

/// The image's manifest on its way to another one.
struct Image {
    /// Its file.
    path: PathBuf,
    /// A byte order mark, if there is one.
    mark: &'static str,
    /// Its text.
    text: String,
    /// The extensions it lists.
    extensions: Vec<String>,
    /// Those it preloads.
    preload: Vec<String>,
}

/// Adds extensions to the image's manifest.
///
/// # Errors
/// A name is unknown or is listed already, or the image would not resolve; nothing is written then.
pub fn add(args: &NamesArgs, reporter: &Reporter) -> Result<(), Failure> {
    let files = manifests::read_by_option(&args.place, "add")?;
    let (manifests, problems) = files.parse();
    super::told(&problems, reporter)?;
    let mut image = image(&manifests)?;
    let mut page = format!("{}\n", image.path.display());
    for name in &args.names {
        if !manifests.extension_names().contains(&name.as_str()) {
            return Err(unknown(&manifests, name));
        }
        if image.extensions.contains(name) {
            let message = format!("`{name}` is in {} already", image.path.display());
            return Err(Failure::new(Cause::Usage, message));
        }
        image.change("extensions", name, list::add)?;
        image.extensions.push(name.clone());
        let _ = writeln!(page, "  added {name}");
    }
    let before: BTreeSet<String> = image.extensions.iter().cloned().collect();
    for name in with_required(&manifests, &args.names) {
        if !before.contains(&name) {
            let _ = writeln!(
                page,
                "  with it comes {name}, which {} requires",
                who(&manifests, &name, &image)
            );
        }
        if image.preload.contains(&name) {
            continue;
        }
        if is_preload_required(&manifests, &name) {
            image.change("preload", &name, list::add)?;
            image.preload.push(name.clone());
            let _ = writeln!(page, "  added {name} to `preload`: it does not work without");
        } else if has_preload(&manifests, &name) {
            let _ = writeln!(page, "  {name} does more if it is in `preload` as well");
        }
    }
    image.write(files, reporter)?;
    print(reporter, &page)
}

/// Removes extensions from the image's manifest.
///
/// # Errors
/// A name is not listed, or the image would not resolve; nothing is written then.
pub fn remove(args: &NamesArgs, reporter: &Reporter) -> Result<(), Failure> {
    let files = manifests::read_by_option(&args.place, "remove")?;
    let (manifests, problems) = files.parse();
    super::told(&problems, reporter)?;
    let mut image = image(&manifests)?;
    let mut page = format!("{}\n", image.path.display());
    for name in &args.names {
        if !image.extensions.contains(name) {
            let all = with_required(&manifests, &image.extensions);
            let why = if all.contains(name) {
                format!(
                    "it comes with {}, which requires it",
                    who(&manifests, name, &image)
                )
            } else {
                format!("it lists {}", image.extensions.join(", "))
            };
            let message = format!("`{name}` is not in {}: {why}", image.path.display());
            return Err(Failure::new(Cause::Usage, message));
        }
        image.change("extensions", name, list::remove)?;
        image.extensions.retain(|one| one != name);
        let _ = writeln!(page, "  removed {name}");
    }
    let still = with_required(&manifests, &image.extensions);
    for name in image.preload.clone() {
        if !still.contains(&name) {
            image.change("preload", &name, list::remove)?;
            let _ = writeln!(page, "  removed {name} from `preload`");
        }
    }
    for name in args.names.iter().filter(|name| still.contains(name)) {
        let _ = writeln!(
            page,
            "  {name} stays in the image: {} requires it",
            who(&manifests, name, &image)
        );
    }
    image.write(files, reporter)?;
    print(reporter, &page)
}

/// Writes manifests of the catalogue beside the user's own, to be changed.
///
/// # Errors
/// The catalogue has no manifest of the name, or the file exists already or cannot be written.
pub fn export(args: &ExportArgs, reporter: &Reporter) -> Result<(), Failure> {
    let catalogue = manifests::catalogue(&args.place.catalogue)?;
    let Some(catalogue) = catalogue else {
        return Err(Failure::new(
            Cause::Usage,
            "--no-catalogue leaves nothing to export",
        ));
    };
    let all = Files {
        own: Vec::new(),
        catalogue: Some(catalogue.clone()),
    };
    let (manifests, _) = all.parse();
    let directory = match (&args.to, &args.place.manifests) {
        (Some(directory), _) => directory.clone(),
        (None, given) => manifests::directory_of(given.as_deref()),
    };
    let mut page = String::new();
    for name in &args.names {
        let shown = manifests::file_of(&manifests, name).ok_or_else(|| unknown(&manifests, name))?;
        let inside = shown.split_once(':').map_or(shown, |(_, path)| path);
        let text = catalogue.manifests.iter().find(|(path, _)| path == inside);
        let (_, text) = text.with_context(|| format!("{shown} is not in the catalogue"))?;
        let path = directory.join(inside);
        if host::local::exists(&path) {
            let message = format!("{} exists already; it replaces the catalogue's", path.display());
            return Err(Failure::new(Cause::Usage, message));
        }
        host::local::make_directories(path.parent().unwrap_or(Path::new(".")))?;
        host::local::create_text(&path, text)?;
        let _ = writeln!(
            page,
            "{}\n  it replaces the catalogue's {name} from now on",
            path.display()
        );
    }
    print(reporter, &page)
}

/// The user's image.
fn image(manifests: &Manifests) -> Result<Image, Failure> {
    let mut images = manifests.images.iter();
    let (Some(found), None) = (images.next(), images.next()) else {
        let message = "there is not exactly one manifest of `kind: image`; name the file with --manifests";
        return Err(Failure::new(Cause::Usage, message));
    };
    let path = PathBuf::from(found.file());
    let written = host::local::read_text(&path).cause(Cause::Manifest)?;
    let (mark, text) = match written.strip_prefix('\u{feff}') {
        Some(text) => ("\u{feff}", text),
        None => ("", written.as_str()),
    };
    Ok(Image {
        mark,
        text: text.to_owned(),
        path,
        extensions: found.value.extensions.clone(),
        preload: found.value.preload.clone(),
    })
}

impl Image {
    fn change(
        &mut self,
        key: &str,
        name: &str,
        edit: fn(&str, &str, &str) -> anyhow::Result<String>,
    ) -> Result<(), Failure> {
        self.text = edit(&self.text, key, name)
            .with_context(|| format!("{} was not changed", self.path.display()))
            .cause(Cause::Manifest)?;
        Ok(())
    }

    /// Writes the manifest if the image resolves with it.
    fn write(&self, mut files: Files, reporter: &Reporter) -> Result<(), Failure> {
        let own = files.own.iter_mut();
        for file in own.filter(|file| Path::new(&file.name) == self.path) {
            file.text.clone_from(&self.text);
        }
        super::resolved_by(&files, &Selection::default(), reporter)?;
        let text = format!("{}{}", self.mark, self.text);
        Ok(host::local::replace_text(&self.path, &text)?)
    }
}

/// What of the image's extensions requires this one.
fn who(manifests: &Manifests, name: &String, image: &Image) -> String {
    let all = with_required(manifests, &image.extensions);
    let extensions = manifests.extensions.iter().map(|one| &one.value);
    let requiring = extensions.filter(|one| all.contains(&one.name) && one.requires.contains(name));
    let names: Vec<&str> = requiring.map(|one| one.name.as_str()).collect();
    names.join(" and ")
}

fn has_preload(manifests: &Manifests, name: &str) -> bool {
    let found = manifests.extensions.iter().find(|one| one.value.name == name);
    found.is_some_and(|one| one.value.preload.is_some())
}
