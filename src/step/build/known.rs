//! What is known of every artifact of an installation while it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::artifact::{Inputs, Key};
use crate::lock::lock;
use crate::store::{Artifact, ArtifactRequest, Pending};

/// What is known of every artifact of an installation, by the component's slug.
#[derive(Debug, Default)]
pub struct Artifacts<'a> {
    pub(super) known: BTreeMap<String, Known<'a>>,
    /// Packages of the base that installing all that the plan names would upgrade. They are upgraded also where nothing is
    /// built, so that the versions in an image do not depend on what was at hand; what its receipt lists as removed does.
    pub upgraded: BTreeSet<String>,
}

/// What is known of one artifact.
#[derive(Debug)]
pub struct Known<'a> {
    /// The complete inputs.
    pub inputs: Inputs,
    /// Their key.
    pub key: Key,
    pub(super) state: Mutex<State<'a>>,
    /// Whether it was waited for.
    pub(super) waited: AtomicBool,
}

/// Where an artifact is on its way.
#[derive(Debug, Default)]
pub enum State<'a> {
    /// Nothing has been done about it.
    #[default]
    Missing,
    /// This process makes it.
    Pending(Box<Pending<'a>>),
    /// It is there.
    AtHand(Artifact),
}

impl<'a> Known<'a> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<'a>> {
        lock(&self.state)
    }

    /// What is looked for.
    pub fn request(&self) -> ArtifactRequest<'_> {
        ArtifactRequest {
            key: self.key,
            inputs: &self.inputs,
        }
    }

    /// The artifact, where it is there.
    pub fn at_hand(&self) -> Option<Artifact> {
        match &*self.state() {
            State::AtHand(artifact) => Some(artifact.clone()),
            _ => None,
        }
    }

    /// Notes that another process makes it; true the first time.
    pub fn is_first_wait(&self) -> bool {
        !self.waited.swap(true, Ordering::SeqCst)
    }

    /// Notes that it is there.
    pub fn found(&self, artifact: Artifact) {
        *self.state() = State::AtHand(artifact);
    }

    /// Notes that this process makes it.
    pub fn begun(&self, pending: Pending<'a>) {
        *self.state() = State::Pending(Box::new(pending));
    }

    /// The right to publish it, which is handed out once.
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
    /// What is known of the artifact of a component.
    pub fn of(&self, slug: &str) -> Option<&Known<'a>> {
        self.known.get(slug)
    }

    /// True where a component need not be built.
    pub fn is_at_hand(&self, slug: &str) -> bool {
        self.of(slug).is_some_and(|known| known.at_hand().is_some())
    }

    /// The packages with the libraries of what need not be built.
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
