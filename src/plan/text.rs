//! The plan for people.

use std::fmt::Write;

use super::{Phase, Plan};
use crate::resolve::{CatalogueUse, Place};

/// Renders the plan as text. `verbose` adds every command line.
pub fn render(plan: &Plan, verbose: bool) -> String {
    let mut page = String::new();
    write_page(plan, verbose, &mut page).expect("writing to a string cannot fail");
    page
}

fn write_page(plan: &Plan, verbose: bool, page: &mut String) -> std::fmt::Result {
    writeln!(page, "{} for {}", plan.image, plan.target)?;

    write_catalogue(plan, page)?;

    writeln!(page, "\nDownloads")?;
    write_downloads(plan, page)?;

    writeln!(page, "\nSteps")?;
    write_steps(plan, verbose, page)?;

    writeln!(
        page,
        "\nRecipe keys (on the machine, the versions of build packages complete them)"
    )?;
    for recipe in &plan.recipes {
        writeln!(page, "  {}  {}", recipe.inputs.key(), recipe.inputs.component)?;
    }

    writeln!(page, "\nLeft in the image")?;
    write_leaves(plan, page)
}

/// Where manifests come from, if not all from the user.
fn write_catalogue(plan: &Plan, page: &mut String) -> std::fmt::Result {
    let Some(CatalogueUse {
        edition,
        taken,
        replaced,
    }) = &plan.catalogue
    else {
        return Ok(());
    };
    writeln!(page, "\nCatalogue")?;
    writeln!(page, "  of {}, sha256 {}", edition.name, edition.sha256)?;
    if !taken.is_empty() {
        writeln!(page, "  its manifests: {}", taken.join(", "))?;
    }
    for (name, file) in replaced {
        writeln!(page, "  not its {name}: {file} replaces it")?;
    }
    Ok(())
}

fn write_downloads(plan: &Plan, page: &mut String) -> std::fmt::Result {
    for source in plan.sources() {
        writeln!(page, "  {}", source.title)?;
        let digests: Vec<String> = source.accepted.iter().map(ToString::to_string).collect();
        writeln!(page, "      sha256 {}", digests.join(" or "))?;
        for (position, place) in source.places.iter().enumerate() {
            let word = if position == 0 { "from" } else { "or" };
            match place {
                Place::Url(url) => writeln!(page, "      {word} {url}")?,
                Place::Debian(path) => {
                    writeln!(page, "      {word} the Debian archive that apt uses: {path}")?;
                }
                Place::Crate(name, version) => {
                    writeln!(
                        page,
                        "      {word} the index of crates that Cargo uses: {name} {version}"
                    )?;
                }
            }
        }
    }
    for lock in plan.locks() {
        writeln!(page, "  the crates of {}", lock.title)?;
        writeln!(
            page,
            "      each with its sha256 in Cargo.lock, sha256 {}",
            lock.lock
        )?;
        writeln!(page, "      from the index of crates that Cargo uses")?;
    }
    for distribution in plan.distributions() {
        writeln!(page, "  {} {}", distribution.name, distribution.version)?;
        writeln!(page, "      sha256 {}", distribution.sha256)?;
        writeln!(
            page,
            "      from the package index that pip uses: {}",
            distribution.file
        )?;
    }
    Ok(())
}

fn write_steps(plan: &Plan, verbose: bool, page: &mut String) -> std::fmt::Result {
    let width = plan.steps.len().to_string().len();
    for (position, step) in plan.steps.iter().enumerate() {
        write!(
            page,
            "  {:>width$}  {:<5}  {}",
            position + 1,
            step.lane.name(),
            step.name
        )?;
        if !step.needs.is_empty() {
            let needs: Vec<String> = step.needs.iter().map(|need| (need + 1).to_string()).collect();
            write!(page, "  (after {})", needs.join(", "))?;
        }
        writeln!(page)?;
        for why in &step.why {
            writeln!(page, "  {:>width$}           {why}", "")?;
        }
        if verbose {
            for command in step.action.commands() {
                writeln!(page, "  {:>width$}         + {command}", "")?;
            }
        }
    }
    Ok(())
}

fn write_leaves(plan: &Plan, page: &mut String) -> std::fmt::Result {
    for line in &plan.leaves {
        writeln!(page, "  {line}")?;
    }
    let runtime: Vec<&str> = plan
        .packages
        .iter()
        .filter(|package| package.phase == Phase::Runtime)
        .map(|package| package.name.as_str())
        .collect();
    let list = if runtime.is_empty() {
        "none".to_owned()
    } else {
        runtime.join(", ")
    };
    writeln!(
        page,
        "  packages: {list}, and those that hold a shared library which is in use"
    )
}
