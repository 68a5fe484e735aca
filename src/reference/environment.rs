//! The environment variables of the program, and those of the image.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Command;

use crate::commands;
use crate::host::environment::variables;

/// The variables of the image, in columns that are separated by tabs: name, default, file, meaning. The first line has the
/// heads. `tests/suite/reference.rs` compares the names with what the scripts read.
const OF_THE_IMAGE: &str = include_str!("variables.tsv");

/// `environment.md`.
pub fn page() -> String {
    let mut text = super::page(
        "Environment variables",
        "A variable that is empty counts as not set. An option that is given wins over its variable.\n\n\
         ## pgsetup\n\nThe sources are `src/cli.rs` and `src/host/variables.tsv`.\n",
    );
    let options = of_options().into_iter().map(|(name, option)| {
        [
            format!("`{name}`"),
            format!("the value of {option}"),
            String::new(),
        ]
    });
    let others = variables().map(|variable| {
        let names = variable.names.map_code();
        let passed = if variable.is_passed_on { "yes" } else { "" };
        [names, variable.meaning.to_owned(), passed.to_owned()]
    });
    text.push_str(&super::table(
        ["variable", "meaning", "passed on to commands"],
        options.chain(others),
    ));
    let _ = write!(
        text,
        "\nA build sees even less of the environment: see \
         [builds have their own environment](../explanation/decisions/builds-have-their-own-environment.md).\n\
         \n## The image\n\nThe source is `src/reference/variables.tsv`. Where the column *file* says yes, the variable can be \
         given as `NAME_FILE` instead: the path of a file with the value.\n\n"
    );
    let rows = OF_THE_IMAGE.lines().skip(1);
    text.push_str(&super::table(
        ["variable", "default", "file", "meaning"],
        rows.map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut next = || columns.next().expect("four columns, separated by tabs");
            [format!("`{}`", next()), next(), next(), next()]
        }),
    ));
    text
}

/// Names as code, separated by commas.
trait MapCode {
    fn map_code(&self) -> String;
}

impl MapCode for Vec<&str> {
    fn map_code(&self) -> String {
        let code: Vec<String> = self.iter().map(|name| format!("`{name}`")).collect();
        code.join(", ")
    }
}

/// The variables that options read, with the options.
pub fn of_options() -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    collect(&commands::command(), &mut variables);
    variables
}

fn collect(command: &Command, variables: &mut BTreeMap<String, String>) {
    for arg in command.get_arguments() {
        if let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) {
            variables.insert(name.to_string_lossy().into_owned(), format!("`--{long}`"));
        }
    }
    command
        .get_subcommands()
        .for_each(|below| collect(below, variables));
}
