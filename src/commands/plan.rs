//! `pgsetup plan`: prints what an installation would do.

use super::{explain, files, locking, print, resolved};
use crate::cli::{PlanArgs, PlanFormat};
use crate::failure::Failure;
use crate::plan::{self, Plan};
use crate::report::Reporter;

/// Prints the plan, or explains one key of it.
///
/// # Errors
/// A manifest is wrong, or there is nothing to explain.
pub fn plan(args: &PlanArgs, reporter: &Reporter) -> Result<(), Failure> {
    let files = files(&args.manifests, "plan")?;
    let mut resolved = resolved(&files, &args.manifests, args.target.clone(), reporter)?;
    if args.lock.locked {
        locking::use_lock(&mut resolved, &args.manifests.place, None)?;
    }
    let plan: Plan = plan::build(&resolved);
    if let Some(name) = &args.explain {
        return print(reporter, &explain::explain(&plan, name, &args.against)?);
    }
    print(
        reporter,
        &match args.format {
            PlanFormat::Text => plan::text::render(&plan, args.verbose),
            PlanFormat::Json => plan::json::render(&plan),
            PlanFormat::Dot => plan::dot::render(&plan),
        },
    )
}
