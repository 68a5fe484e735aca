//! The plan for programs: a document with a schema and a version of its own.
//!
//! These types are the schema (`pgsetup schema plan`). A field is never renamed or given another meaning within
//! a version; fields may be added.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Phase, Plan, Step};
use crate::command::Command;
use crate::resolve::{Place, Source};

/// The version of this document.
pub const VERSION: u32 = 1;

/// A plan.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub struct PlanDocument {
    /// The version of this document's schema: 1.
    pub schema_version: u32,
    /// The image's name.
    pub image: String,
    /// Distribution and architecture, `debian:bookworm/amd64`.
    pub target: String,
    /// What of it the catalogue's manifests say; absent where everything is said by the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Catalogue>,
    /// What is downloaded.
    pub downloads: Vec<Download>,
    /// Debian packages with what wants them.
    pub packages: Vec<Package>,
    /// What is built. On a machine that has it in its cache, it is not built again.
    pub artifacts: Vec<Artifact>,
    /// Steps, each after those it needs.
    pub steps: Vec<StepDocument>,
    /// What is in the image when it is done, for people.
    pub leaves: Vec<String>,
}

/// The catalogue that completes the user's manifests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Catalogue {
    /// Which one: `pgsetup 0.2.0`, or a directory.
    pub name: String,
    /// SHA-256 of its manifests.
    pub sha256: String,
    /// What is selected from it.
    pub taken: Vec<String>,
    /// What a manifest of the user's replaces: name and file.
    pub replaced: BTreeMap<String, String>,
}

/// A file that is downloaded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Download {
    /// What it is: `citus 14.0.1`.
    pub title: String,
    /// Digests it may have.
    pub sha256: Vec<String>,
    /// Where it may come from, in this order: `url:…`, `debian:` and a path below the configured Debian archive, or
    /// `pip:` or `cargo:` and a file name in the configured index.
    pub places: Vec<String>,
}

/// A Debian package.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// `runtime` or `build`.
    pub phase: String,
    /// What wants it.
    pub wanted_by: Vec<String>,
}

/// Something that is built.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Artifact {
    /// Its name and release.
    pub component: String,
    /// The digest of everything that manifests decide about it. The key of its artifact covers the versions of
    /// `packages` and of what these depend on as well, which only the machine knows.
    pub recipe_key: String,
    /// The Debian packages that its build needs.
    pub packages: Vec<String>,
}

/// A step.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StepDocument {
    /// Its name, unique in the plan.
    pub name: String,
    /// What it competes for: `dpkg`, `net`, `cpu` or `files`.
    pub lane: String,
    /// Names of the steps before it.
    pub needs: Vec<String>,
    /// Why it is there.
    pub why: Vec<String>,
    /// The command lines it runs, as one would type them into a shell.
    pub commands: Vec<String>,
}

/// The document of `plan`.
pub fn document(plan: &Plan) -> PlanDocument {
    let sources = plan.sources().map(download);
    let distributions = plan.distributions().map(|distribution| Download {
        title: format!("{} {}", distribution.name, distribution.version),
        sha256: vec![distribution.sha256.to_string()],
        places: vec![format!("pip:{}", distribution.file)],
    });
    PlanDocument {
        schema_version: VERSION,
        image: plan.image.clone(),
        target: plan.target.to_string(),
        catalogue: plan.catalogue.as_ref().map(|one| Catalogue {
            name: one.edition.name.clone(),
            sha256: one.edition.sha256.to_string(),
            taken: one.taken.clone(),
            replaced: one.replaced.clone(),
        }),
        downloads: sources.chain(distributions).collect(),
        packages: plan
            .packages
            .iter()
            .map(|package| Package {
                name: package.name.clone(),
                phase: match package.phase {
                    Phase::Runtime => "runtime".to_owned(),
                    Phase::Build => "build".to_owned(),
                },
                wanted_by: package.wanted_by.clone(),
            })
            .collect(),
        artifacts: plan
            .recipes
            .iter()
            .map(|recipe| Artifact {
                component: recipe.inputs.component.clone(),
                recipe_key: recipe.inputs.key().to_string(),
                packages: recipe.packages.clone(),
            })
            .collect(),
        steps: plan.steps.iter().map(|step| step_document(plan, step)).collect(),
        leaves: plan.leaves.clone(),
    }
}

/// The plan as JSON text.
pub fn render(plan: &Plan) -> String {
    let text = serde_json::to_string_pretty(&document(plan)).expect("a document of texts and lists");
    text + "\n"
}

fn download(source: &Source) -> Download {
    Download {
        title: source.title.clone(),
        sha256: source.accepted.iter().map(ToString::to_string).collect(),
        places: source
            .places
            .iter()
            .map(|place| match place {
                Place::Url(url) => format!("url:{url}"),
                Place::Debian(path) => format!("debian:{path}"),
                Place::Crate(name, version) => format!("cargo:{name}-{version}.crate"),
            })
            .collect(),
    }
}

fn step_document(plan: &Plan, step: &Step) -> StepDocument {
    StepDocument {
        name: step.name.clone(),
        lane: step.lane.name().to_owned(),
        needs: step
            .needs
            .iter()
            .map(|need| plan.steps[*need].name.clone())
            .collect(),
        why: step.why.clone(),
        commands: step.action.commands().iter().map(Command::to_string).collect(),
    }
}
