//! `pgsetup why` and `pgsetup diff`: explain images from their receipts.

use std::path::Path;

use anyhow::Context as _;

use super::{json, manifests, print, receipts, resolved_by};
use crate::cli::{DiffArgs, Format, WhyArgs};
use crate::command::Command;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host, Log};
use crate::layout;
use crate::plan::{self, Phase, Plan};
use crate::record::diff;
use crate::record::receipt::Receipt;
use crate::record::why::{self, Link, LinkKind, Why};
use crate::report::{Reporter, bytes};
use crate::resolve::{Resolved, Selection};

/// Prints why something is in an image, or would be in one.
///
/// # Errors
/// There is no receipt, or it does not know the thing.
pub fn why(args: &WhyArgs, reporter: &Reporter) -> Result<(), Failure> {
    let why = if args.plan {
        let files = manifests::read_by_option(&args.place, "why")?;
        let resolved = resolved_by(&files, &Selection::default(), reporter)?;
        of_plan(&resolved, &plan::build(&resolved), &args.what)
    } else {
        of_receipt(args)?
    };
    let Some(why) = why else {
        let place = if args.plan { "the plan" } else { "the receipt" };
        let message = format!(
            "{place} does not know `{}`: name a Debian package, an absolute path, a library such as libicuuc.so.72, \
             a program or an extension",
            args.what
        );
        return Err(Failure::new(Cause::Usage, message));
    };
    match args.format {
        Format::Text => print(reporter, &why.text()),
        Format::Json => print(reporter, &json(&why)?),
    }
}

fn of_receipt(args: &WhyArgs) -> Result<Option<Why>, Failure> {
    let receipt = match &args.receipt {
        Some(place) => receipts::read(place)?,
        None => receipts::read(&args.root)?,
    };
    // Only the machine itself knows the owner of a path of a package.
    let owner = match &args.receipt {
        None if args.what.starts_with('/') => {
            let dpkg = Host::new(&args.root).dpkg()?;
            dpkg.owner(&args.what).map(str::to_owned)
        }
        _ => None,
    };
    Ok(why::why(&receipt, &args.what, owner.as_deref()))
}

/// Why a package or a component is in a plan.
fn of_plan(resolved: &Resolved, plan: &Plan, what: &str) -> Option<Why> {
    let link = |kind, name: &str, because: String| Link {
        kind,
        name: name.to_owned(),
        because,
    };
    let mut chain = Vec::new();
    let mut wanted_by: Vec<String> = Vec::new();
    if let Some(package) = plan.packages.iter().find(|package| package.name == what) {
        let phase = match package.phase {
            Phase::Runtime => "is a Debian package that stays in the image",
            Phase::Build => "is a Debian package that is only there while something is built",
        };
        chain.push(link(LinkKind::Package, what, phase.to_owned()));
        wanted_by.clone_from(&package.wanted_by);
    } else if resolved.components().any(|one| one.id() == what) {
        wanted_by.push(what.to_owned());
    } else {
        return None;
    }
    for id in &wanted_by {
        let names = !chain.is_empty();
        let Some(component) = resolved.components().find(|one| one.id() == *id) else {
            let because = "the image's own manifest names it".to_owned();
            chain.push(link(LinkKind::Image, &resolved.name, because));
            continue;
        };
        let title = component.title();
        let because = if names {
            format!("the manifest of {title} names it")
        } else {
            "is installed".to_owned()
        };
        chain.push(link(LinkKind::Component, &title, because));
        let by = resolved.required_by(&component.name);
        let because = match by.as_slice() {
            [] => format!("the image {} selects {id}", resolved.name),
            by => format!(
                "{} requires {id}, and the image {} selects that",
                by.join(" and "),
                resolved.name
            ),
        };
        chain.push(link(LinkKind::Image, &resolved.name, because));
    }
    Some(Why {
        schema_version: why::VERSION,
        subject: what.to_owned(),
        chain,
    })
}

/// Prints what changed between two images.
///
/// # Errors
/// One of them has no receipt.
pub fn diff(args: &DiffArgs, reporter: &Reporter) -> Result<(), Failure> {
    let diff = diff::diff(&receipt_of(&args.from)?, &receipt_of(&args.to)?);
    match args.format {
        Format::Text => print(reporter, &diff.text(bytes)),
        Format::Json => print(reporter, &json(&diff)?),
    }
}

/// The receipt of a file, of a root directory, or of an image of the container engine.
fn receipt_of(place: &str) -> Result<Receipt, Failure> {
    let path = Path::new(place);
    if host::local::exists(path) {
        return receipts::read(path);
    }
    let engine = ["docker", "podman"]
        .into_iter()
        .find(|name| host::program(name).is_some());
    let Some(engine) = engine else {
        let message = format!(
            "{place} is neither a receipt nor a directory, and there is no docker or podman to ask for an image"
        );
        return Err(Failure::new(Cause::Usage, message));
    };
    let file = format!("{}/receipt.json", layout::RECORDS);
    let command = Command::new(
        engine,
        [
            "run",
            "--rm",
            "--network",
            "none",
            "--entrypoint",
            "cat",
            place,
            &file,
        ],
    );
    let log = Log::none().cause(Cause::Internal)?;
    let text = Host::new(Path::new("/"))
        .capture(&command, &log)
        .with_context(|| {
            format!("{place} is neither a file nor a directory, and as an image it gives no receipt")
        })
        .cause(Cause::Usage)?;
    Receipt::from_json(&text)
        .map_err(|error| error.context(format!("{file} of the image {place}")))
        .cause(Cause::Usage)
}
