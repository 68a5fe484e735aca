//! Unpacks a component's sources, compiles them, and puts the result into its stage and into the store. A component that
//! is in the store already is restored from there.

pub mod artifacts;
pub mod compiled;
pub mod confinement;
pub mod crates;
pub mod environment;
pub mod failed;
pub mod hint;
pub mod known;
pub mod licence;
pub mod refusal;
pub mod stage;
pub mod strip;
pub mod tokens;
mod unknown;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, ensure};

use super::context::{Context, Done};
use super::install::files::ROOT_FILE;
use crate::archive::graft::graft;
use crate::archive::submodules;
use crate::archive::tree::Limits;
use crate::archive::unpack;
use crate::command::Command;
use crate::debian::dpkg::Dpkg;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::cmd::{CommandError, Confined};
use crate::host::entry::{FileKind, is_below, utf8};
use crate::host::{Host, Log, local};
use crate::image::needs;
use crate::layout;
use crate::lock::lock;
use crate::output;
use crate::plan::{Build, Part};
use crate::report::bytes;
use crate::resolve::Source;
use crate::store::Artifact;
use compiled::Compiled;
use confinement::Confinement;
use environment::VARIABLES;
use failed::FailedBuild;
use hint::Machine;
use known::Known;
use tokens::Tokens;

/// The largest file of a failed build that is read for the reason of its failure.
const MAX_TEXT_BYTES: u64 = 16 * 1024 * 1024;

/// Unpacks what a component's build begins with: its artifact if that is at hand, and its archives otherwise.
///
/// # Errors
/// An archive or the artifact is damaged, or has paths or sizes that are not allowed.
pub fn begin(component: &str, archives: &[Source], context: &Context<'_>) -> Result<Done, Failure> {
    let _token = context.tokens.of_build().cause(Cause::Internal)?;
    let known = context.state.artifacts().of(component);
    if let Some((known, artifact)) = known.and_then(|known| Some((known, known.at_hand()?))) {
        restore(component, known, &artifact, context)?;
        return Ok(Done::cached(format!(
            "the artifact, {}",
            bytes(artifact.entry.bytes)
        )));
    }
    if !archives.is_empty() {
        unpack(&layout::source(component), archives, context)?;
    }
    Ok(String::new().into())
}

/// Fills the stage from the artifact, once.
fn restore(
    component: &str,
    known: &Known<'_>,
    artifact: &Artifact,
    context: &Context<'_>,
) -> anyhow::Result<()> {
    if !known.is_first_restore() {
        return Ok(());
    }
    context.host.remove(layout::stage(component))?;
    let stage = context.host.reach(layout::stage(component))?;
    context.store()?.restore(artifact, &stage)
}

/// Builds a component, or restores it from the store. A build holds one token of the jobserver, which is the job that a
/// `make` runs without asking for a token. Returns `None` while another pgsetup builds the same artifact.
///
/// # Errors
/// A command failed, or used more jobs than it was given. The result links a library that no build package brings. The
/// stage or the store cannot be read or written.
pub fn build(build: &Build, context: &Context<'_>, log: &Log) -> Result<Option<Done>, Failure> {
    let unknown = context.state.unknown_packages.get();
    if let Some(problem) = unknown.and_then(|unknown| unknown.problems.get(&build.component)) {
        return Err(Failure::new(Cause::Manifest, problem));
    }
    let artifacts = context.state.artifacts();
    let known = artifacts
        .of(&build.component)
        .with_context(|| format!("{} was not looked up", build.name))?;
    if build.part != Part::Second && known.at_hand().is_none() && !is_our_turn(build, known, context)? {
        return Ok(None);
    }
    let result = make(build, known, context, log);
    if result.is_err() {
        // Let another pgsetup that waits for the artifact build it now.
        drop(known.pending());
    }
    result.map(Some)
}

/// Fills the stage: from the artifact if there is one by now, otherwise by compiling.
fn make(build: &Build, known: &Known<'_>, context: &Context<'_>, log: &Log) -> Result<Done, Failure> {
    match (known.at_hand(), build.part) {
        (Some(_), Part::Second) => Ok(Done::cached("restored with the first part".to_owned())),
        (Some(artifact), _) => {
            restore(&build.component, known, &artifact, context)?;
            // The libraries of a server may be installed later, and the last tests cover them.
            if artifact.entry.fetched && build.part == Part::Whole {
                has_its_libraries(build, context)
                    .map_err(|error| artifacts::reject(&build.component, context, error))
                    .cause(Cause::Build)?;
            }
            Ok(Done::cached(format!("cached, {}", bytes(artifact.entry.bytes))))
        }
        (None, Part::First) => {
            compile(build, context, log)?;
            Ok(Done::built(String::new()))
        }
        (None, Part::Whole | Part::Second) => {
            let staged = compile(build, context, log)?;
            let kept = finish(build, known, context)?;
            Ok(Done::built(format!("{} staged{kept}", bytes(staged))))
        }
    }
}

/// Takes the right to build an artifact, unless it is in the store by now. Returns false while another process has that
/// right.
fn is_our_turn<'a>(build: &Build, known: &Known<'a>, context: &Context<'a>) -> Result<bool, Failure> {
    let Some(pending) = context.store()?.begin(known.key)? else {
        if known.is_first_wait() {
            let name = &build.name;
            let line = format!("       {name}: another pgsetup builds the same; waiting for it");
            context.reporter.line(&line);
        }
        return Ok(false);
    };
    match context.store()?.look_up(known.request(), |_| ()) {
        Some(artifact) => known.found(artifact),
        None => known.begun(pending),
    }
    Ok(true)
}

/// Compiles a component. Returns the size of its stage in bytes.
fn compile(build: &Build, context: &Context<'_>, log: &Log) -> Result<u64, Failure> {
    let host = context.host;
    host.remove(layout::failed(&build.component))?;
    let stage = layout::stage(&build.component);
    // The second part adds to the stage of the first, unless that was installed already.
    if build.part != Part::Second || !host.exists(&stage) {
        host.empty_directory(&stage)?;
        stage::begin(host, &stage, &build.directories)?;
    }
    let _token = context.tokens.of_build().cause(Cause::Internal)?;
    let source = layout::source(&build.component);
    // Before anything is compiled, because a build may create files with such names. Python distributions contain their own.
    if host.exists(&source) {
        licence::keep(host, &source, &stage, &build.name)?;
    }
    if build.has_crates {
        crates::check_flags(host, build)?;
        crates::keep(host, build, &stage)?;
        crates::prepare(host, build)?;
    }
    for (path, text) in &build.files {
        host.write(path, text, ROOT_FILE)?;
    }
    context.state.note_trees(host, &build.places)?;
    run(build, context, log)?;
    stage::end(host, &stage, &build.directories)?;
    let debug = build
        .prune
        .keep_debug_symbols
        .then(|| format!("{stage}{}", strip::DEBUG_DIRECTORY));
    let confined = context.sandbox.map(|sandbox| -> anyhow::Result<Confined<'_>> {
        Ok(Confined {
            sandbox,
            writable: vec![host.reach(&stage)?],
            user: None,
            left: Mutex::default(),
        })
    });
    let confined = confined.transpose()?;
    let removals = &build.prune.remove;
    let stripped = strip::strip(host, log, &stage, removals, debug.as_deref(), confined.as_ref())?;
    Ok(stripped.after)
}

/// Runs the commands of a build, confined.
fn run(build: &Build, context: &Context<'_>, log: &Log) -> Result<(), Failure> {
    let mut confinement = Confinement::begin(build, context)?;
    let mut compiled = Compiled::default();
    let mut run = |command| run_one(build, command, &mut confinement, log, &mut compiled);
    if let Err(failure) = build.commands.iter().try_for_each(&mut run) {
        return Err(match confinement.changes() {
            Ok(()) => failure,
            Err(more) => Failure::new(failure.cause, format_args!("{failure}\n  {more}")),
        });
    }
    confinement.end(log)?;
    let note = compiled.check(context.host, &layout::source(&build.component), build)?;
    if !note.is_empty() {
        context.reporter.line(&format!("       {}{note}", build.name));
    }
    Ok(())
}

/// Runs one command of a build, and reads its output.
fn run_one(
    build: &Build,
    command: &Command,
    confinement: &mut Confinement<'_, '_>,
    log: &Log,
    compiled: &mut Compiled,
) -> Result<(), Failure> {
    let (context, from) = (confinement.context(), log.length());
    let (run, _share) = with_share(command, context.tokens).cause(Cause::Internal)?;
    confinement.prepare(command)?;
    confinement.run(&run, log).map_err(|error| {
        let failure = explained(error, build, command, context.host);
        let refusals = confinement.refusals(&log.since(from));
        let failure = Failure::new(failure.cause, format_args!("{failure}{refusals}"));
        left_open(build, command, context, failure, log)
    })?;
    let output = log.all_since(from).cause(Cause::Internal)?;
    within_its_jobs(build, command, log, &output)?;
    confinement.report_refusals(&output);
    compiled.output(build.architecture, &output);
    Ok(())
}

/// Fails if a `make` of the command reported that its number of jobs was forced: then more jobs run than there are tokens.
/// The cause is in the archive's makefiles, where no check of the manifest finds it.
fn within_its_jobs(build: &Build, command: &Command, log: &Log, output: &str) -> Result<(), Failure> {
    let Some(line) = hint::forced_jobs(output) else {
        return Ok(());
    };
    let message = format!(
        "{}: a makefile of its archive says how many jobs run, which takes processors away from other builds\n  it said: {line}\n  \
         command: {command}\n  log: {}\n  hint: {}",
        build.name,
        log.path().display(),
        hint::FORCED
    );
    Err(Failure::new(Cause::Manifest, message))
}

/// The command to run. One without jobserver support also gets a share of the tokens, which it holds until they are
/// dropped.
fn with_share<'c>(
    command: &'c Command,
    tokens: &Tokens,
) -> std::io::Result<(Cow<'c, Command>, Vec<jobserver::Acquired>)> {
    if !command.told_jobs {
        return Ok((Cow::Borrowed(command), Vec::new()));
    }
    let share = tokens.share()?;
    let run = Command {
        told_jobs: false,
        ..command.clone().arg(format!("-j{}", 1 + share.len()))
    };
    Ok((Cow::Owned(run), share))
}

/// Unpacks fetched archives: the first into an empty directory, the others into that tree.
///
/// # Errors
/// An archive was not fetched, is damaged, or has paths or sizes that are not allowed.
pub fn unpack(directory: &str, archives: &[Source], context: &Context<'_>) -> Result<(), Failure> {
    let source = context.host.empty_directory(directory)?;
    for (position, archive) in archives.iter().enumerate() {
        let path = {
            let fetched = lock(&context.state.archives);
            archive
                .accepted
                .iter()
                .find_map(|digest| fetched.get(digest).cloned())
        };
        let path = path.ok_or_else(|| anyhow::anyhow!("{} was not fetched", archive.title))?;
        let (strip, limits) = (archive.strip, Limits::default());
        let unpack = || {
            if position == 0 {
                unpack::unpack(&path, &source, strip, &limits)
            } else {
                graft(&path, &source, Path::new(&archive.into), strip, &limits)
            }
        };
        // A tree is made beside its place and moved there when it is whole.
        let above: Vec<PathBuf> = source.parent().map(Path::to_owned).into_iter().collect();
        let unpacked = match context.sandbox {
            Some(sandbox) => sandbox
                .confine(&above, || Ok(unpack()))
                .context("cannot enter the sandbox")?,
            None => unpack(),
        };
        unpacked
            .with_context(|| format!("cannot unpack {}", archive.title))
            .cause(Cause::Build)?;
    }
    Ok(())
}

/// Verifies that the key covers everything the build linked, and publishes the stage to the store. Returns a note for the
/// report; empty if the artifact was kept.
fn finish(build: &Build, known: &Known<'_>, context: &Context<'_>) -> Result<String, Failure> {
    let host = context.host;
    // Dropped on every path, so that another pgsetup builds an artifact that is not kept here.
    let pending = known.pending();
    let stage = layout::stage(&build.component);
    let dpkg = host.dpkg()?;
    let linked = Linked::of(host, &dpkg, &stage, &is_installed(context))?;
    let seen = &known.inputs.packages;
    linked.is_known_to(seen, &build.name).cause(Cause::Build)?;
    // The key would be wrong if a package has another version than was computed.
    let other = seen.iter().find(|(name, version)| {
        dpkg.packages
            .get(*name)
            .is_none_or(|package| package.version != **version)
    });
    if let Some((name, version)) = other {
        return Ok(format!(", not kept: it was not built with {name} {version}"));
    }
    // A build that restores the artifact has to find every library.
    if let Some(missing) = linked.missing.first() {
        return Ok(format!(", not kept: {missing}"));
    }
    let Some(pending) = pending else {
        return Ok(String::new());
    };
    let libraries: BTreeSet<String> = linked.packages.into_keys().collect();
    let component = &known.inputs.component;
    match context
        .store()?
        .publish(pending, component, libraries, &host.reach(&stage)?)
    {
        Ok(_) => Ok(String::new()),
        // The build itself succeeded.
        Err(error) => Ok(format!(", not kept: {error:#}")),
    }
}

/// Fails if a restored file links a library that does not exist: the cache entry does not name every package.
fn has_its_libraries(build: &Build, context: &Context<'_>) -> anyhow::Result<()> {
    let (host, stage) = (context.host, layout::stage(&build.component));
    let dpkg = host.dpkg()?;
    let linked = Linked::of(host, &dpkg, &stage, &is_installed(context))?;
    ensure!(
        linked.missing.is_empty(),
        "{}: the artifact does not declare all that it needs:\n  {}",
        build.name,
        linked.missing.join("\n  ")
    );
    Ok(())
}

/// Whether a path belongs to an installed component.
fn is_installed(context: &Context<'_>) -> impl Fn(&str) -> bool {
    |path| context.state.inventory().find(path).is_some()
}

/// The direct libraries of a stage's ELF files. The dependencies of those libraries are up to their packages.
#[derive(Debug, Default)]
struct Linked {
    /// One file and its library for each Debian package.
    packages: BTreeMap<String, (String, String)>,
    /// A line for each library that belongs neither to a package nor to a component.
    unowned: Vec<String>,
    /// A line for each library that is neither on the machine nor in the stage.
    missing: Vec<String>,
}

impl Linked {
    /// The libraries of the files in `stage`. `is_installed` knows the paths of components.
    fn of(
        host: &Host,
        dpkg: &Dpkg,
        stage: &str,
        is_installed: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let (mut files, mut staged) = (Vec::new(), BTreeSet::new());
        for entry in host.tree(stage)? {
            let path = format!("{stage}/{}", utf8(&entry.path)?);
            staged.extend(path.rsplit('/').next().map(str::to_owned));
            if entry.kind == FileKind::File
                && let Some(elf) = host.elf(&path)?
            {
                files.push((path, elf));
            }
        }
        let in_root = |path: &String| path.strip_prefix(stage).unwrap_or(path).to_owned();
        let closure = needs::follow(host, dpkg, files)?;
        let mut linked = Self::default();
        for ((library, real_path), needed) in closure.found {
            let [file, _] = needed.chain.0.as_slice() else {
                continue;
            };
            let is_component =
                || is_below(&real_path, stage) || is_installed(&real_path) || is_installed(&needed.path);
            match needed.package {
                Some(package) => {
                    linked.packages.entry(package).or_insert((in_root(file), library));
                }
                None if is_component() => {}
                None => linked
                    .unowned
                    .push(format!("{} links {}", in_root(file), needed.path)),
            }
        }
        for missing in closure.missing {
            if let [file, library] = missing.chain.0.as_slice()
                && !staged.contains(library)
            {
                linked
                    .missing
                    .push(format!("{} links {library}, which does not exist", in_root(file)));
            }
        }
        Ok(linked)
    }

    /// Fails if a linked library is in no key, because neither a package of `seen` nor a component brings it.
    fn is_known_to(&self, seen: &BTreeMap<String, String>, name: &str) -> anyhow::Result<()> {
        let undeclared: Vec<String> = self
            .packages
            .iter()
            .filter(|(package, _)| !seen.contains_key(*package))
            .map(|(package, (file, library))| {
                format!("\n  {file} links {library} of {package}, which none of its build packages brings")
            })
            .collect();
        let unowned = self.unowned.iter();
        let unowned: Vec<String> = unowned
            .map(|link| format!("\n  {link}, which no package and no component has"))
            .collect();
        let hints = [
            (
                &undeclared,
                "\n  hint: add the development package of each to `packages.build`",
            ),
            (
                &unowned,
                "\n  hint: a file that no package has is not part of the key: install it as a Debian package that `packages.build` names, or \
                 take it out of the base image",
            ),
        ];
        let hints = hints.iter().filter(|(findings, _)| !findings.is_empty());
        let hints: String = hints.map(|(_, hint)| *hint).collect();
        let findings = [undeclared, unowned].concat().concat();
        ensure!(
            findings.is_empty(),
            "{name} was compiled with files that its manifest does not name:{findings}{hints}"
        );
        Ok(())
    }
}

/// Keeps a failed build for `pgsetup shell`. Returns the failure with a line about that.
fn left_open(
    build: &Build,
    command: &Command,
    context: &Context<'_>,
    failure: Failure,
    log: &Log,
) -> Failure {
    if failure.cause != Cause::Build {
        return failure;
    }
    // The command's own variables take precedence over those of every build.
    let mut command = command.clone();
    for (name, value) in VARIABLES {
        let value = || value.to_owned();
        command.environment.entry(name.to_owned()).or_insert_with(value);
    }
    let kept = FailedBuild {
        name: build.name.clone(),
        slug: build.component.clone(),
        command,
        log: log.path().display().to_string(),
    };
    let directory = layout::source(&build.component);
    match kept.keep(context.host) {
        Ok(()) => Failure::new(
            failure.cause,
            format_args!(
                "{failure}\n  pgsetup shell {} opens {directory} with the variables of this command, as long as that is there",
                build.name
            ),
        ),
        // The failure of the build matters more than that of the record.
        Err(_) => failure,
    }
}

/// A failed command as the failure of a build, with the reason of a configure script and with hints.
fn explained(error: CommandError, build: &Build, command: &Command, host: &Host) -> Failure {
    let mut lines = error.errors.lines.clone();
    lines.extend(error.errors.exited.iter().map(|exited| exited.said.clone()));
    let failure = Failure::from(error);
    if failure.cause != Cause::Build {
        return failure;
    }
    let reason = of_configure(&lines, build, command, host).unwrap_or_default();
    let mut shown = String::new();
    if !reason.is_empty() {
        shown.push_str("\n  config.log:");
        shown.extend(reason.iter().map(|line| format!("\n    {line}")));
        lines.extend(reason);
    }
    let hints = hints(&lines, build, host).unwrap_or_default();
    shown.extend(hints.iter().map(|hint| format!("\n  hint: {hint}")));
    Failure::new(failure.cause, format_args!("{failure}{shown}"))
}

/// What the `config.log` of a configure script says of its error.
fn of_configure(lines: &[String], build: &Build, command: &Command, host: &Host) -> Option<Vec<String>> {
    const ERROR: &str = "configure: error: ";
    let says = |line: &String| Some(line[line.find(ERROR)? + ERROR.len()..].to_owned());
    let message = lines.iter().find_map(says)?;
    // The script may run in a directory below.
    let source = layout::source(&build.component);
    let top = host.reach(&source).ok()?;
    let directory = command.directory.as_deref().unwrap_or(&source);
    let own = Path::new(directory).strip_prefix(&source).ok();
    let entries = host.tree(&source).unwrap_or_default().into_iter();
    let logs = entries
        .map(|entry| entry.path)
        .filter(|path| path.ends_with("config.log"));
    let places = own.map(|below| below.join("config.log")).into_iter().chain(logs);
    places.into_iter().find_map(|place| {
        let log = local::read_foreign_below(&top, &place, MAX_TEXT_BYTES)?;
        output::of_configure(&log, &message)
    })
}

/// The hints for the errors of a build, from what this machine has.
fn hints(lines: &[String], build: &Build, host: &Host) -> anyhow::Result<Vec<String>> {
    let dpkg = host.dpkg()?;
    let source = layout::source(&build.component);
    let modules = local::read_foreign_below(&host.reach(&source)?, Path::new(".gitmodules"), MAX_TEXT_BYTES);
    let modules = modules.unwrap_or_default();
    let mut submodules = submodules::submodules(&modules);
    submodules.retain(|submodule| {
        let names = host.names(&format!("{source}/{}", submodule.path));
        names.is_ok_and(|names| names.is_empty())
    });
    let below = |top: &str| -> Vec<String> {
        let entries = host.tree(top).unwrap_or_default().into_iter();
        entries
            .map(|entry| format!("{top}/{}", entry.path.display()))
            .collect()
    };
    let own = [below(&source), below(&layout::stage(&build.component))].concat();
    let stage = layout::stage(&build.component);
    let ending = |name: &str| {
        let end = format!("/{name}");
        let installed = dpkg.files().map(|(path, _)| path);
        let own = own.iter().map(|path| path.strip_prefix(&stage).unwrap_or(path));
        let mut found: Vec<String> = installed
            .chain(own)
            .filter(|path| path.ends_with(&end))
            .map(str::to_owned)
            .collect();
        found.sort();
        found
    };
    Ok(hint::hints(
        lines,
        &Machine {
            has_package: &|name| dpkg.packages.contains_key(name),
            ending: &ending,
            submodules: &submodules,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::RECIPES_VERSION;
    use crate::host::cmd::FIXED_VARIABLES;
    use crate::image::kind::is_text;
    use crate::manifest::image::Removal;

    #[test]
    fn a_command_without_a_jobserver_gets_its_share_and_a_make_gets_none() {
        let tokens = Tokens::new(4).unwrap();
        let _own = tokens.of_build().unwrap();
        let ninja = Command::new("ninja", ["-C", "build"]).told_jobs();
        let (run, share) = with_share(&ninja, &tokens).unwrap();
        assert_eq!((run.to_string().as_str(), share.len()), ("ninja -C build -j4", 3));

        let make = Command::new("make", ["all"]);
        let (run, share) = with_share(&make, &tokens).unwrap();
        assert_eq!((run.to_string().as_str(), share.len()), ("make all", 0));
    }

    /// The inputs of every build that no command line of a recipe shows. Caches hold artifacts of the same version, so a
    /// change of a line here needs a higher version.
    const RECIPES: (u32, &str) = (
        2,
        "DEBIAN_FRONTEND=noninteractive\n\
         HOME=/root\n\
         LC_ALL=C.UTF-8\n\
         PIP_DISABLE_PIP_VERSION_CHECK=1\n\
         PYTHONDONTWRITEBYTECODE=1\n\
         TZ=UTC\n\
         PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         SOURCE_DATE_EPOCH=1577836800\n\
         TMPDIR=/tmp\n\
         removed at once: bitcode, byte-code, documentation, translations\n\
         strip --strip-all | --strip-unneeded, --preserve-dates --remove-section=.comment --remove-section=.note\n\
         symbols in /usr/lib/debug by --only-keep-debug --compress-debug-sections\n\
         licences: COPYING COPYRIGHT-x LICENCE.rst LICENSE.txt NOTICE notice.md\n\
         packed: 3afc51f743c38e0090a6c58cfab2befd85fe288cbf50cfa528cccf591aa7fa02\n",
    );

    /// The digest of a small packed tree.
    fn packed() -> String {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("usr/lib")).unwrap();
        std::fs::write(top.path().join("usr/lib/a.so"), "library".repeat(100)).unwrap();
        std::os::unix::fs::symlink("a.so", top.path().join("usr/lib/b.so")).unwrap();
        for (name, mode) in [("usr", 0o755), ("usr/lib", 0o755), ("usr/lib/a.so", 0o644)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(top.path().join(name), mode).unwrap();
        }
        let mut bytes = Vec::new();
        crate::archive::pack::pack(top.path(), &mut bytes).unwrap();
        crate::digest::Sha256::of(&bytes).to_string()
    }

    #[test]
    fn the_recipe_version_stands_for_the_inputs_of_every_build() {
        let variables = FIXED_VARIABLES.iter().chain(&VARIABLES);
        let variables: String = variables
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let early = Removal::FROM_STAGES.map(Removal::name).join(", ");
        let names = [
            "COPYING",
            "COPYRIGHT-x",
            "LICENCE.rst",
            "LICENSE.txt",
            "NOTICE",
            "notice.md",
            "license.c",
            "README",
        ];
        let licences: Vec<&str> = names.into_iter().filter(|name| is_text(name)).collect();
        let facts = format!(
            "{variables}removed at once: {early}\nstrip {} | {}, {}\nsymbols in {} by {}\nlicences: {}\npacked: {}\n",
            strip::OF_PROGRAMS,
            strip::OF_LIBRARIES,
            strip::OF_BOTH.join(" "),
            strip::DEBUG_DIRECTORY,
            strip::OF_SYMBOLS.join(" "),
            licences.join(" "),
            packed()
        );
        assert_eq!(
            (RECIPES_VERSION, facts.as_str()),
            RECIPES,
            "a build is made in another way: raise artifact::RECIPES_VERSION, and write both here"
        );
    }
}
