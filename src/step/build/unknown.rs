//! Debian packages that apt does not know: each is a problem of the manifest that names it.
//!
//! apt is asked before anything is downloaded or installed. With `--keep-going`, an extension that names such a package fails
//! for itself, and the others go on without the package.

use std::collections::{BTreeMap, BTreeSet};

use super::artifacts::Future;
use crate::command::Command;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::Log;
use crate::manifest::problem::{self, Problem};
use crate::resolve::NamedPackage;
use crate::step::context::{Context, UnknownPackages};

/// What apt says of a package that it cannot install, before and after its name.
const COMPLAINTS: [(&str, &str); 4] = [
    ("E: Unable to locate package ", ""),
    ("E: Package '", "' has no installation candidate"),
    ("E: Couldn't find any package by glob '", "'"),
    ("E: Couldn't find any package by regex '", "'"),
];
/// How often apt is asked again: it may report some of the packages first.
const MAX_QUESTIONS: usize = 4;
/// How many letters of a name may be other ones in the name that was meant.
const MAX_SLIPS: usize = 2;

/// Asks apt what `simulation` would install.
///
/// # Errors
/// apt does not know a package that the image needs, or that any component needs unless the run keeps going; or it cannot be
/// run.
pub fn ask(simulation: &Command, context: &Context<'_>, log: &Log) -> Result<Future, Failure> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for _ in 0..MAX_QUESTIONS {
        let from = log.length();
        let mut question = simulation.clone();
        question.args.retain(|word| !names.contains(word));
        let failure = match Future::ask(context.host, &question, log) {
            Ok(future) => {
                let unknown = unknown_to(&future, &question);
                if unknown.is_empty() {
                    if !names.is_empty() {
                        let problems = problems(&names, context, log);
                        note(names, problems, context);
                    }
                    return Ok(future);
                }
                names.extend(unknown);
                Failure::new(Cause::Manifest, "apt takes a name for a pattern")
            }
            Err(failure) if failure.cause == Cause::Build => {
                let said = log.all_since(from).cause(Cause::Internal)?;
                let refused = refused(&said);
                if refused.is_subset(&names) {
                    return Err(failure);
                }
                names.extend(refused);
                failure
            }
            Err(failure) => return Err(failure),
        };
        let is_of_extension = |name: &String| {
            let mut places = context
                .named_packages
                .iter()
                .filter(|named| named.package == *name)
                .peekable();
            places.peek().is_some() && places.all(|named| named.slug.is_some())
        };
        if !context.keep_going || !names.iter().all(is_of_extension) {
            let problems = problems(&names, context, log);
            // A name that no manifest writes as it is has no problem.
            return Err(if problems.is_empty() {
                failure
            } else {
                wrong(
                    problems.into_iter().map(|(_, problem)| problem).collect(),
                    context,
                )
            });
        }
    }
    Err(Failure::new(
        Cause::Manifest,
        "apt refuses one package after the other",
    ))
}

/// Records packages that the run does without, and the extensions that fail because of them.
fn note(names: BTreeSet<String>, problems: Vec<(String, Problem)>, context: &Context<'_>) {
    let mut of_each: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for (slug, problem) in problems {
        of_each.entry(slug).or_default().push(problem);
    }
    let all = of_each.values().flatten().cloned().collect();
    context
        .reporter
        .line(&format!("\npgsetup: {}\n", wrong(all, context)));
    let text = |problems: Vec<Problem>| wrong(problems, context).to_string();
    let unknown = UnknownPackages {
        names,
        problems: of_each
            .into_iter()
            .map(|(slug, problems)| (slug, text(problems)))
            .collect(),
    };
    // apt is asked once in a run.
    let _ = context.state.unknown_packages.set(unknown);
}

fn wrong(mut problems: Vec<Problem>, context: &Context<'_>) -> Failure {
    problems.sort_by_key(|problem| (problem.source.file.clone(), problem.span.start));
    problems.dedup_by_key(|problem| (problem.source.file.clone(), problem.span.start));
    let page = problem::render(&problems, context.reporter.is_styled());
    // A paragraph, as every explanation is.
    let lines: Vec<&str> = page.lines().filter(|line| !line.trim().is_empty()).collect();
    Failure::new(
        Cause::Manifest,
        format_args!(
            "apt does not know a package that a manifest names\n{}",
            lines.join("\n")
        ),
    )
}

/// The places that name packages, with the slugs of extensions.
fn problems(names: &BTreeSet<String>, context: &Context<'_>, log: &Log) -> Vec<(String, Problem)> {
    let all = context
        .host
        .capture(&Command::new("apt-cache", ["pkgnames"]), log);
    // Without the list there is only no proposal.
    let all = all.unwrap_or_default();
    let help = |named: &NamedPackage| {
        let near = all.lines().filter(|name| *name != named.package);
        let near = near
            .map(|name| (strsim::damerau_levenshtein(name, &named.package), name))
            .min();
        // Among so many names, only one that differs by a slip of the finger was meant.
        let near = near
            .filter(|(distance, _)| *distance <= MAX_SLIPS)
            .map(|(_, name)| name);
        match near {
            Some(near) => named.problem.clone().help(format!("did you mean `{near}`?")),
            None => named.problem.clone(),
        }
    };
    let places = context
        .named_packages
        .iter()
        .filter(|named| names.contains(&named.package));
    places
        .map(|named| (named.slug.clone().unwrap_or_default(), help(named)))
        .collect()
}

/// The names in what apt says that it cannot install. An architecture is not part of a name.
fn refused(said: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        COMPLAINTS.iter().find_map(|(before, after)| {
            let rest = line.trim().strip_prefix(before)?;
            let name = if after.is_empty() {
                rest
            } else {
                rest.split_once(after)?.0
            };
            Some(name.split(':').next().unwrap_or(name).trim().to_owned())
        })
    };
    said.lines().filter_map(name).collect()
}

/// Names that apt took for patterns: they are neither installed, nor would they be, nor are they provided.
fn unknown_to(future: &Future, question: &Command) -> BTreeSet<String> {
    let names = question.args.iter().skip_while(|word| *word != "--").skip(1);
    names.filter(|name| !future.has(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_apt_refuses_is_read_once() {
        let said = "+ apt-get install --simulate -- a b\nE: Unable to locate package libnowhere-dev\nE: Unable to locate package x.y\n\
                    E: Couldn't find any package by glob 'x.y'\nE: Couldn't find any package by regex 'x.y'\n\
                    E: Package 'python' has no installation candidate\nE: Unable to locate package a:arm64\n";
        let names: Vec<String> = refused(said).into_iter().collect();
        assert_eq!(names, ["a", "libnowhere-dev", "python", "x.y"]);
        assert!(refused("E: Could not get lock /var/lib/apt/lists/lock\n").is_empty());
    }
}
