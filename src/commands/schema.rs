//! `pgsetup schema` and `pgsetup completions`: what other programs read about pgsetup.

use serde_json::Value;

use super::{available, cache, command, doctor, fetch, outdated, print};
use crate::cli::DocumentName;
use crate::failure::Failure;
use crate::record::{diff, receipt, why};
use crate::report::{Reporter, json};
use crate::{locked, manifest, plan, verify};

/// Prints the JSON schema of a document.
///
/// # Errors
/// Standard output cannot be written.
pub fn schema(document: DocumentName, reporter: &Reporter) -> Result<(), Failure> {
    print(reporter, &format!("{:#}\n", schema_of(document)))
}

pub fn schema_of(document: DocumentName) -> Value {
    match document {
        DocumentName::Manifest => return manifest::schema(),
        DocumentName::Plan => schemars::schema_for!(plan::json::PlanDocument),
        DocumentName::Receipt => schemars::schema_for!(receipt::Receipt),
        DocumentName::Verification => schemars::schema_for!(verify::Verification),
        DocumentName::Tests => schemars::schema_for!(json::TestsDocument),
        DocumentName::Downloads => schemars::schema_for!(fetch::Downloads),
        DocumentName::Cache => schemars::schema_for!(cache::Cache),
        DocumentName::Available => schemars::schema_for!(available::Available),
        DocumentName::Info => schemars::schema_for!(available::Info),
        DocumentName::Why => schemars::schema_for!(why::Why),
        DocumentName::Diff => schemars::schema_for!(diff::Diff),
        DocumentName::Doctor => schemars::schema_for!(doctor::Report),
        DocumentName::Lock => schemars::schema_for!(locked::Lock),
        DocumentName::Updates => schemars::schema_for!(outdated::Updates),
    }
    .to_value()
}

/// Prints completions for a shell.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(shell: clap_complete::Shell, reporter: &Reporter) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "pgsetup", &mut script);
    print(reporter, &String::from_utf8_lossy(&script))
}
