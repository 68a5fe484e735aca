//! Confines the commands of a build: what they may write to, as whom they run, and what they leave.
//!
//! The source tree, the stage and a directory of temporary files belong to the user of the build while it runs. The stage is
//! root's again before anything is done with it, so that nothing of the user remains.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLockReadGuard};

use anyhow::{Context as _, Result};

use super::super::context::Context;
use super::super::install::files::ROOT_DIRECTORY;
use super::environment::VARIABLES;
use super::refusal::{self, MAX_NOTES, MAX_SHOWN};
use crate::command::Command;
use crate::failure::{Cause, Failure};
use crate::host::cmd::{CommandError, CommandOptions, Confined};
use crate::host::entry::FileKind;
use crate::host::{Host, Log};
use crate::image::outside::{self, Before};
use crate::layout;
use crate::lock::lock;
use crate::plan::Build;

/// Variables by which build systems show the compilers' command lines: automake's, `CMake`'s and pip's.
const SHOWN: [(&str, &str); 3] = [("PIP_VERBOSE", "1"), ("V", "1"), ("VERBOSE", "1")];
/// Directories of a stage that pgsetup itself writes into. A link in their place would lead it out of the stage.
const DIRECTORIES: [&str; 6] = ["/etc", "/opt", "/usr", "/usr/lib", "/usr/share", "/usr/share/doc"];

/// The confinement of one build.
pub struct Confinement<'a, 'c> {
    build: &'a Build,
    context: &'a Context<'c>,
    /// The source tree, the stage, the directory of temporary files, and others that the build writes to.
    own: Vec<String>,
    /// `None` where the command line turned the sandbox off.
    confined: Option<Confined<'a>>,
    /// Whether the directories belong to the build's user at present.
    is_given: bool,
    /// The root before the build, where the kernel does not enforce everything. Nothing else changes it meanwhile.
    before: Option<(Before, RwLockReadGuard<'a, ()>)>,
}

impl<'a, 'c> Confinement<'a, 'c> {
    /// Prepares the directories of a build. Its stage has to be there.
    ///
    /// # Errors
    /// A directory cannot be made or looked at.
    pub fn begin(build: &'a Build, context: &'a Context<'c>) -> Result<Self> {
        let host = context.host;
        let temporary = layout::temporary(&build.component);
        host.empty_directory(&temporary)?;
        let mut own = vec![layout::stage(&build.component), temporary.clone()];
        own.extend(build.writable.iter().cloned());
        for directory in build
            .writable
            .iter()
            .cloned()
            .chain([home(&temporary), scratch(&temporary)])
        {
            host.make_directory(&directory, ROOT_DIRECTORY)?;
        }
        let source = layout::source(&build.component);
        if host.exists(&source) {
            own.push(source);
        }
        let (mut confined, mut before) = (None, None);
        if let Some(sandbox) = context.sandbox {
            let writable: Result<Vec<PathBuf>> = own.iter().map(|path| host.reach(path)).collect();
            let number = context.state.number_of_build(&build.component);
            confined = Some(Confined {
                sandbox,
                writable: writable?,
                user: sandbox.user(number).filter(|_| !build.needs_root),
                left: Mutex::default(),
            });
            if build.needs_root || !sandbox.gaps().is_empty() {
                let guard = context.state.root.read().unwrap_or_else(PoisonError::into_inner);
                before = Some((Before::look(host, &build.places)?, guard));
            }
        }
        Ok(Self {
            build,
            context,
            own,
            confined,
            is_given: false,
            before,
        })
    }

    /// What the build is done with.
    pub fn context(&self) -> &'a Context<'c> {
        self.context
    }

    /// Gives the directories to the user of the build before a command of it.
    ///
    /// # Errors
    /// An owner cannot be set.
    pub fn prepare(&mut self, command: &Command) -> Result<()> {
        let user = self.confined.as_ref().and_then(|confined| confined.user);
        if command.is_own {
            self.is_given = false;
        } else if let (Some(user), false) = (user, self.is_given) {
            self.own
                .iter()
                .try_for_each(|tree| self.context.host.give_tree(tree, user))?;
            self.is_given = true;
        }
        Ok(())
    }

    /// Runs a command of the build.
    ///
    /// # Errors
    /// The command failed.
    pub fn run(&self, command: &Command, log: &Log) -> Result<(), CommandError> {
        let host = self.context.host;
        let temporary = layout::temporary(&self.build.component);
        let (home, scratch) = (home(&temporary), scratch(&temporary));
        let mut variables = [&VARIABLES[..], &SHOWN[..]].concat();
        // pip trusts nothing else than this file, so it has all certificates.
        variables.extend(self.context.ca_bundle.as_deref().map(|file| ("PIP_CERT", file)));
        let confined = self.confined.as_ref().filter(|_| !command.is_own);
        if confined.is_some() {
            variables.extend([("HOME", home.as_str()), ("TMPDIR", scratch.as_str())]);
        }
        let settings = CommandOptions {
            jobserver: Some(self.context.tokens.client()),
            variables: &variables,
            confined,
            ..CommandOptions::default()
        };
        host.run_with(command, log, settings)
    }

    /// The refusals in the output of a command, for its error; empty if it was not confined.
    pub fn refusals(&self, output: &str) -> String {
        let mut text = String::new();
        if self.confined.is_some() {
            let mut remedies = Vec::new();
            for refusal in refusal::refusals(output, &self.own).iter().take(MAX_SHOWN) {
                text.push_str(&format!("\n  {refusal}"));
                if !remedies.contains(&refusal.remedy()) {
                    remedies.push(refusal.remedy());
                }
            }
            for remedy in remedies {
                text.push_str(&format!("\n  hint: {remedy}"));
            }
        }
        text
    }

    /// Reports what a command was refused that succeeded all the same.
    pub fn report_refusals(&self, output: &str) {
        if self.confined.is_none() {
            return;
        }
        let refusals = refusal::refusals(output, &self.own);
        let name = &self.build.name;
        for refusal in refusals.iter().take(MAX_NOTES) {
            self.context
                .reporter
                .line(&format!("       {name}: its build was {refusal}"));
        }
        if let Some(more) = refusals.len().checked_sub(MAX_NOTES).filter(|more| *more > 0) {
            self.context.reporter.line(&format!(
                "       {name}: its build was refused {more} more; its log has them"
            ));
        }
    }

    /// Takes the stage back, and looks for what the build left or changed elsewhere.
    ///
    /// # Errors
    /// The stage has files with rights of their own or links that lead out of it. Something outside was changed.
    pub fn end(self, log: &Log) -> Result<(), Failure> {
        let (host, name) = (self.context.host, &self.build.name);
        let stage = layout::stage(&self.build.component);
        let left = self
            .confined
            .as_ref()
            .map(|confined| std::mem::take(&mut *lock(&confined.left)));
        for process in left.iter().flatten() {
            let line = format!("       {name}: its build left a process running, which was ended: {process}");
            self.context.reporter.line(&line);
            log.line(line.trim_start()).context("the log")?;
        }
        let mut findings = Vec::new();
        if self
            .confined
            .as_ref()
            .is_some_and(|confined| confined.user.is_some() || self.build.needs_root)
        {
            findings.extend(host.take_tree(&stage)?);
        }
        findings.extend(links(host, &stage, &self.build.directories)?);
        host.remove(layout::temporary(&self.build.component))?;
        if findings.is_empty() {
            return self.changes();
        }
        let message = format!(
            "{name}: what was built cannot be installed\n  {}",
            findings.join("\n  ")
        );
        let changed = self.changes().err().map(|failure| format!("\n  {failure}"));
        let message = format!("{message}{}", changed.unwrap_or_default());
        Err(Failure::new(Cause::Build, message))
    }

    /// Fails if the build changed what is installed. What is new is removed.
    ///
    /// # Errors
    /// There is such a change, or the root cannot be looked at.
    pub fn changes(self) -> Result<(), Failure> {
        let Some((before, _guard)) = self.before else {
            return Ok(());
        };
        let (host, state) = (self.context.host, &self.context.state);
        let user = self.confined.as_ref().and_then(|confined| confined.user);
        let is_known = |path: &str| state.inventory().find(path).is_some();
        let changes = before.changes(host, &*host.dpkg()?, user, &is_known)?;
        if changes.is_empty() {
            return Ok(());
        }
        outside::remove_new(host, &changes)?;
        let lines: String = changes.iter().map(|change| format!("\n  {change}")).collect();
        let message = format!(
            "{}: its build changed what is outside of its stage:{lines}\n  hint: {}",
            self.build.name,
            refusal::STAGE
        );
        Err(Failure::new(Cause::Build, message))
    }
}

fn home(temporary: &str) -> String {
    format!("{temporary}/home")
}

fn scratch(temporary: &str) -> String {
    format!("{temporary}/tmp")
}

/// A line for each directory of a stage that has to be one and is a link: those of `directories`, and above them.
fn links(host: &Host, stage: &str, directories: &[String]) -> Result<Vec<String>> {
    let begun = directories
        .iter()
        .flat_map(|directory| super::stage::ancestors(directory));
    let paths: BTreeSet<&str> = DIRECTORIES.into_iter().chain(begun).collect();
    let mut findings = Vec::new();
    for path in paths {
        let found = host.look(&format!("{stage}{path}"))?;
        if let Some(FileKind::Link(target)) = found.map(|found| found.kind) {
            let target = target.display();
            findings.push(format!(
                "{path}: is a link to {target}, and has to be a directory"
            ));
        }
    }
    Ok(findings)
}
