//! The state of every artifact during an installation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::artifact::{Inputs, Key};
use crate::lock::lock;
use crate::store::{Artifact, ArtifactRequest, Pending};

/// The artifacts of an installation, by component slug.
#[derive(Debug, Default)]
pub struct Artifacts<'a> {
    pub(super) known: BTreeMap<String, Known<'a>>,
    /// Packages of the base that installing every package of the plan would upgrade. They are upgraded even if nothing is
    /// built, so that the versions in an image do not depend on the cache.
    pub upgraded: BTreeSet<String>,
    /// The slugs of tools that nothing is built with.
    pub unneeded: BTreeSet<String>,
}

/// The state of one artifact.
#[derive(Debug)]
pub struct Known<'a> {
    /// The complete inputs.
    pub inputs: Inputs,
    /// Their key.
    pub key: Key,
    pub(super) state: Mutex<State<'a>>,
    /// Whether this process has reported that it waits for another one.
    pub(super) waited: AtomicBool,
    /// Whether its tree is in the stage.
    pub(super) restored: AtomicBool,
}

/// The progress of an artifact.
#[derive(Debug, Default)]
pub enum State<'a> {
    /// It is not in the store, and no build of it has begun.
    #[default]
    Missing,
    /// This process builds it.
    Pending(Box<Pending<'a>>),
    /// It is in the store.
    AtHand(Artifact),
}

impl<'a> Known<'a> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<'a>> {
        lock(&self.state)
    }

    /// The request for it.
    pub fn request(&self) -> ArtifactRequest<'_> {
        ArtifactRequest {
            key: self.key,
            inputs: &self.inputs,
        }
    }

    /// The artifact, if it is in the store.
    pub fn at_hand(&self) -> Option<Artifact> {
        match &*self.state() {
            State::AtHand(artifact) => Some(artifact.clone()),
            _ => None,
        }
    }

    /// Records that another process builds it. Returns true the first time.
    pub fn is_first_wait(&self) -> bool {
        !self.waited.swap(true, Ordering::SeqCst)
    }

    /// Records that its tree is in the stage. Returns false if that was recorded before.
    pub fn is_first_restore(&self) -> bool {
        !self.restored.swap(true, Ordering::SeqCst)
    }

    /// Records that it is in the store.
    pub fn found(&self, artifact: Artifact) {
        *self.state() = State::AtHand(artifact);
    }

    /// Records that this process builds it.
    pub fn begun(&self, pending: Pending<'a>) {
        *self.state() = State::Pending(Box::new(pending));
    }

    /// Takes the right to publish it, which is granted once.
    pub fn pending(&self) -> Option<Pending<'a>> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Pending(pending) => Some(*pending),
            other => {
                *state = other;
                None
            }
        }
    }
}

impl<'a> Artifacts<'a> {
    /// The artifact of a component.
    pub fn of(&self, slug: &str) -> Option<&Known<'a>> {
        self.known.get(slug)
    }

    /// Whether the artifact of a component is in the store or is not needed, so that it is not built.
    pub fn is_at_hand(&self, slug: &str) -> bool {
        self.unneeded.contains(slug) || self.of(slug).is_some_and(|known| known.at_hand().is_some())
    }

    /// The packages with the libraries that artifacts of the store link.
    pub fn libraries(&self) -> BTreeSet<String> {
        let at_hand = self.known.values().filter_map(Known::at_hand);
        at_hand.flat_map(|artifact| artifact.entry.libraries).collect()
    }

    /// The inputs of every component, by its slug.
    pub fn inputs(&self) -> BTreeMap<String, Inputs> {
        let inputs = |(slug, known): (&String, &Known<'_>)| (slug.clone(), known.inputs.clone());
        self.known.iter().map(inputs).collect()
    }
}
