//! Unpacks a component's sources, compiles them, and leaves the result in its stage.

use anyhow::Context as _;

use super::{Context, Done, licence, lock, strip};
use crate::failure::{Because, Cause, Failure};
use crate::host::Log;
use crate::host::archive::{self, Limits};
use crate::host::cmd::Settings;
use crate::layout;
use crate::plan::Build;
use crate::report::bytes;

/// Builds a component. It holds one token of the jobserver throughout, which is the job that a `make` runs
/// without asking for one.
pub fn build(build: &Build, context: &Context<'_>, log: &Log) -> Result<Done, Failure> {
    let host = context.host;
    let source = host.empty_directory(&layout::source(&build.component))?;
    let stage = layout::stage(&build.component);
    host.empty_directory(&stage)?;
    let _token = context.jobserver.acquire().because(Cause::Internal)?;
    for archive in &build.sources {
        let path = {
            let archives = lock(&context.state.archives);
            archive
                .accepted
                .iter()
                .find_map(|digest| archives.get(digest).cloned())
        };
        let path = path.ok_or_else(|| anyhow::anyhow!("{} was not fetched", archive.title))?;
        archive::unpack(&path, &source, archive.strip, &Limits::default())
            .with_context(|| format!("cannot unpack {}", archive.title))
            .because(Cause::Build)?;
    }
    let settings = Settings {
        jobserver: Some(context.jobserver),
        ..Settings::default()
    };
    for command in &build.commands {
        host.run_with(command, log, settings)
            .map_err(|error| explained(error.into(), log))?;
    }
    licence::keep(host, &layout::source(&build.component), &stage, &build.name)?;
    let debug = build
        .prune
        .keep_debug_symbols
        .then(|| format!("{stage}{}", strip::DEBUG_DIRECTORY));
    let stripped = strip::strip(host, log, &stage, &build.prune.remove, debug.as_deref())?;
    Ok(Done::built(format!("{} staged", bytes(stripped.after))))
}

/// Adds a hint to a failed build where its output tells what is missing.
fn explained(failure: Failure, log: &Log) -> Failure {
    match hint(&log.text()) {
        Some(hint) if failure.cause == Cause::Build => {
            Failure::new(failure.cause, format_args!("{failure}\n  hint: {hint}"))
        }
        _ => failure,
    }
}

/// What a well-known complaint of a compiler or linker means. Only where it is certain.
fn hint(output: &str) -> Option<String> {
    output.lines().rev().take(400).find_map(|line| {
        let (_, header) = line.split_once("fatal error: ")?;
        let header = header.strip_suffix(": No such file or directory")?;
        Some(format!("`{header}` belongs to a development package that is not in the manifest's `packages.build`"))
    })
    .or_else(|| {
        output.lines().rev().take(400).find_map(|line| {
            let (_, library) = line.split_once("cannot find -l")?;
            let library = library.split(':').next()?;
            Some(format!("the linker wants lib{library}.so, of a development package that is not in `packages.build`"))
        })
    })
    .or_else(|| {
        let full = output.contains("No space left on device");
        full.then(|| "the disk is full".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn hints_are_given_for_what_is_certain_only() {
        let output =
            "x.c:3:10: fatal error: curl/curl.h: No such file or directory\ncompilation terminated.\n";
        assert!(hint(output).unwrap().contains("`curl/curl.h`"));
        let output = "/usr/bin/ld: cannot find -lssl: No such file or directory\n";
        assert!(hint(output).unwrap().contains("libssl.so"));
        assert_eq!(hint("error: expected ';' before '}' token\n"), None);
    }
}
