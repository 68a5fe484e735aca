//! What is proved of every extension. `pgsetup test` and `pgsetup install` run these checks and no others, so that one
//! command accepts what the other accepts.
//!
//! Only the surroundings differ. A test gives each extension a cluster of its own, and the build packages are still there; an
//! installation has one cluster with the image's settings, and the packages are gone. What a test adds are older versions
//! and upstream's own tests, which need builds that no image has.

use super::cluster::Running;
use super::extension::{
    TestPart, create, create_database, drop_extension, fails_unloaded, load, runs, tests, with_log,
};
use super::{Passage, Recorder, files, gate, licence, verify};
use crate::failure::Failure;
use crate::manifest::extension::{Check, Required};
use crate::plan::{Gate, Server};
use crate::resolve::Extension;
use crate::step::context::Context;

/// The proof of one extension.
#[derive(Clone, Copy)]
pub struct Proof<'a, 'r, 'c> {
    pub server: &'a Server,
    pub extension: &'a Extension,
    /// The extensions whose libraries are loaded as well.
    pub others: &'a [&'a Extension],
    pub gate: &'a Gate,
    pub recorder: &'a Recorder<'r, 'c>,
}

impl<'r, 'c> Proof<'_, 'r, 'c> {
    /// The context of the command.
    pub fn context(&self) -> &'r Context<'c> {
        self.recorder.context
    }

    /// The checks that need no server. Returns whether the extension can be tried in one.
    ///
    /// # Errors
    /// pgsetup was interrupted. A failed check is an outcome.
    pub fn at_rest(&self) -> Result<bool, Failure> {
        let Self {
            server,
            extension,
            recorder,
            ..
        } = *self;
        let context = self.context();
        let are_there = recorder.test("files", || files::check(context, server, extension))?;
        let fit = self.built_in(Check::Symbols, "symbols", || {
            files::check_symbols(context, server, extension, self.others)
        })?;
        recorder.test("what it needs", || gate::check(context, self.gate, extension))?;
        licence::check(self)?;
        Ok(are_there && fit != Passage::Failed)
    }

    /// The error without the libraries that it requires, in a server that has not loaded them.
    ///
    /// # Errors
    /// pgsetup was interrupted. A failed check is an outcome.
    pub fn unloaded(&self, running: &Running<'_>, required: &Required) -> Result<(), Failure> {
        let check = || with_log(running, fails_unloaded(running, self, required));
        self.recorder.test(UNLOADED, check).map(drop)
    }

    /// The check after all others: what was installed is as it was, whatever ran.
    ///
    /// # Errors
    /// pgsetup was interrupted. A failed check is an outcome.
    pub fn at_the_end(&self) -> Result<(), Failure> {
        let check = || verify::check(self.context(), self.extension);
        self.recorder
            .test("what was installed is unchanged", check)
            .map(drop)
    }

    /// The checks in a server with every library loaded, in a database of the extension's own. The commands of a program run
    /// beside it.
    ///
    /// # Errors
    /// pgsetup was interrupted. A failed check is an outcome.
    pub fn in_server(&self, running: &Running<'_>) -> Result<(), Failure> {
        let Self {
            extension, recorder, ..
        } = *self;
        if extension.is_program {
            return runs(running, &extension.runs, recorder);
        }
        let database = extension.component.name.as_str();
        if let Err(failure) = running.sql("postgres", &create_database(database)) {
            return recorder.test("create its database", || Err(failure)).map(drop);
        }
        let works = if extension.provides.is_empty() {
            let check = || with_log(running, load(running, self));
            self.built_in(Check::Load, "load", check)? != Passage::Failed
        } else {
            self.life(running, database)?
        };
        if works {
            tests(running, database, &extension.tests, &TestPart::All, recorder)?;
        }
        Ok(())
    }

    /// Creates what the extension provides, drops it, and creates it again. Returns whether its tests can run.
    fn life(&self, running: &Running<'_>, database: &str) -> Result<bool, Failure> {
        let (extension, recorder) = (self.extension, self.recorder);
        for provided in &extension.provides {
            let name = format!("create {} {}", provided.name, provided.default_version);
            let check = || with_log(running, create(running, database, provided));
            match self.built_in(Check::Create, &name, check)? {
                Passage::Passed => {}
                Passage::Failed => return Ok(false),
                Passage::Excused => {
                    recorder.skip("drop", "it could not be created");
                    return Ok(true);
                }
            }
        }
        let mut is_dropped = true;
        for provided in extension.provides.iter().rev() {
            let name = format!("drop {}", provided.name);
            let check = || with_log(running, drop_extension(running, database, provided));
            is_dropped &= self.built_in(Check::Drop, &name, check)? == Passage::Passed;
        }
        if is_dropped {
            self.built_in(Check::Recreate, "create again", || {
                let mut all = extension.provides.iter();
                let again = all.try_for_each(|provided| create(running, database, provided));
                with_log(running, again)
            })?;
        } else {
            // Creating what exists proves nothing.
            recorder.skip("create again", "it could not be dropped");
        }
        Ok(true)
    }

    /// Runs a check that the manifest may excuse.
    ///
    /// # Errors
    /// pgsetup was interrupted.
    pub fn built_in(
        &self,
        check: Check,
        name: &str,
        test: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Passage, Failure> {
        let mut known = self.extension.known_failures.iter();
        let known = known.find(|known| known.name == check);
        self.recorder
            .excusable(name, known.map(|known| known.reason.as_str()), test)
    }
}

/// The name of the test of an extension's error without its libraries.
pub const UNLOADED: &str = "without being preloaded it says so";
