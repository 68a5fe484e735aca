//! `pgsetup plan --explain NAME`: why a key differs from the one in the receipt.

use std::fmt::Write as _;

use super::receipts;
use crate::artifact::{Inputs, Key, Recipe};
use crate::cli::ExplainArgs;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{Host, Log};
use crate::plan::Plan;
use crate::step::build::artifacts::Future;

/// Explains the key of the component `name`, as text.
///
/// # Errors
/// The plan builds no component of that name, or there is no receipt to compare with.
pub fn explain(plan: &Plan, name: &str, args: &ExplainArgs) -> Result<String, Failure> {
    let named = |component: &str| id(component) == name;
    let Some(recipe) = plan.recipes.iter().find(|recipe| named(&recipe.inputs.component)) else {
        let all = plan.recipes.iter().map(|recipe| &recipe.inputs.component[..]);
        let all: Vec<&str> = all.map(id).collect();
        let all = all.join(", ");
        let message = format!("--explain {name}: the plan does not build it; it builds {all}");
        return Err(Failure::new(Cause::Usage, message));
    };
    let receipt = receipts::read(args.receipt.as_deref().unwrap_or(&args.root))?;
    let before: Vec<Inputs> = receipt
        .components
        .into_iter()
        .filter_map(|one| one.inputs)
        .collect();
    let component = &recipe.inputs.component;
    if !before.iter().any(|inputs| named(&inputs.component)) {
        return Ok(format!("{component}: the receipt has no build of {name}\n"));
    }
    let (now, before, note) = match complete(plan, args) {
        Ok(now) => (now, before, String::new()),
        // Without the machine, only recipes are compared.
        Err(why) => (
            plan.recipes.iter().map(|recipe| recipe.inputs.clone()).collect(),
            recipes_of(&before),
            format!("the versions of packages are not compared: {why}\n"),
        ),
    };
    let server = recipe.against.as_ref();
    let server = server.and_then(|slug| plan.recipes.iter().find(|recipe| recipe.slug == *slug));
    let server = server.map(|recipe| id(&recipe.inputs.component));
    let mut text = String::new();
    let comparison = Comparison {
        now: &now,
        before: &before,
    };
    comparison.write(name, server, "", &mut text);
    text.push_str(&note);
    Ok(text)
}

/// The id in a title: `citus-pg17` of `citus-pg17 14.0.1`.
fn id(title: &str) -> &str {
    title.split(' ').next().unwrap_or(title)
}

/// The inputs of the plan and of the receipt.
struct Comparison<'a> {
    now: &'a [Inputs],
    before: &'a [Inputs],
}

impl Comparison<'_> {
    /// Writes how the component `name` differs. If the key of its `server` differs, the server's differences follow.
    fn write(&self, name: &str, server: Option<&str>, indent: &str, text: &mut String) {
        let is_it = |inputs: &&Inputs| id(&inputs.component) == name;
        let of = |list: &[Inputs]| list.iter().find(is_it).cloned();
        let (Some(now_it_is), Some(it_was)) = (of(self.now), of(self.before)) else {
            return;
        };
        let lines = now_it_is.differences(&it_was);
        let component = &now_it_is.component;
        let _ = if lines.is_empty() {
            writeln!(text, "{indent}{component}: the same key, {}", now_it_is.key())
        } else {
            writeln!(
                text,
                "{indent}{component}: {} -> {}",
                it_was.key(),
                now_it_is.key()
            )
        };
        for line in &lines {
            let _ = writeln!(text, "{indent}  {line}");
        }
        if let Some(server) = server.filter(|_| now_it_is.postgresql != it_was.postgresql) {
            self.write(server, None, &format!("{indent}  "), text);
        }
    }
}

/// The inputs of every recipe, completed with the package versions of the machine that has the receipt.
fn complete(plan: &Plan, args: &ExplainArgs) -> Result<Vec<Inputs>, String> {
    if args.receipt.is_some() {
        return Err("a receipt does not say which versions apt has".to_owned());
    }
    let host = Host::new(&args.root);
    let Some((recipes, simulation)) = plan.look_up() else {
        return Ok(Vec::new());
    };
    let ask = || -> Result<Future, Failure> {
        let log = Log::none().cause(Cause::Internal)?;
        Future::ask(&host, simulation, &log)
    };
    let future = ask().map_err(|failure| failure.to_string())?;
    Ok(future
        .complete(recipes)
        .into_iter()
        .map(|(_, inputs)| inputs)
        .collect())
}

/// Complete inputs without their package versions, with the keys of recipes again.
fn recipes_of(complete: &[Inputs]) -> Vec<Inputs> {
    let recipe = |inputs: &Inputs| Inputs {
        packages: std::collections::BTreeMap::new(),
        ..inputs.clone()
    };
    let keys: Vec<(Key, Key)> = complete
        .iter()
        .map(|inputs| (inputs.key(), recipe(inputs).key()))
        .collect();
    let recipe_key = |key: Key| {
        keys.iter()
            .find(|(complete, _)| *complete == key)
            .map(|(_, recipe)| *recipe)
    };
    let of = |inputs: &Inputs| Inputs {
        postgresql: inputs.postgresql.and_then(recipe_key),
        ..recipe(inputs)
    };
    complete.iter().map(of).collect()
}

impl Plan {
    /// The recipes in build order, and the command that asks apt for the package versions that complete them.
    pub fn look_up(&self) -> Option<(&[Recipe], &crate::command::Command)> {
        self.steps.iter().find_map(|step| match &step.action {
            crate::plan::Action::LookUpArtifacts { recipes, simulation } => Some((&recipes[..], simulation)),
            _ => None,
        })
    }
}
