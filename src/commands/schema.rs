//! `pgsetup schema` and `pgsetup completions`: what other programs read about pgsetup.

use clap::CommandFactory as _;

use super::print;
use crate::cli::{Cli, SchemaOf};
use crate::failure::Failure;
use crate::record::receipt;
use crate::report::Reporter;
use crate::{manifest, plan, verify};

/// `pgsetup schema`.
pub fn schema(document: SchemaOf, reporter: &Reporter) -> Result<(), Failure> {
    let schema = match document {
        SchemaOf::Manifest => manifest::schema(),
        SchemaOf::Plan => schemars::schema_for!(plan::json::Document).to_value(),
        SchemaOf::Receipt => schemars::schema_for!(receipt::Receipt).to_value(),
        SchemaOf::Verification => schemars::schema_for!(verify::Verification).to_value(),
    };
    print(reporter, &format!("{schema:#}\n"))
}

/// `pgsetup completions`.
pub fn completions(shell: clap_complete::Shell, reporter: &Reporter) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pgsetup", &mut script);
    print(reporter, &String::from_utf8_lossy(&script))
}
