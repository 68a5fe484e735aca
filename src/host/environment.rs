//! The environment of pgsetup itself. One table (`variables.tsv`) lists what pgsetup and its commands read. It generates the
//! reference. Variables of options are declared by clap's `env` in `src/cli.rs`.

/// Every variable that pgsetup or one of its libraries reads and that does not belong to an option, a line each. The columns
/// are separated by tabs: its names (some are used in upper and in lower case), `yes` if commands that pgsetup starts see it,
/// and what it does.
const TABLE: &str = include_str!("variables.tsv");

/// An environment variable that does not belong to an option.
#[derive(Debug)]
pub struct Variable {
    /// Its names.
    pub names: Vec<&'static str>,
    /// True if commands that pgsetup starts see it.
    pub is_passed_on: bool,
    /// What it does.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the reference shows it"))]
    pub meaning: &'static str,
}

/// The variables of the table.
pub fn variables() -> impl Iterator<Item = Variable> {
    TABLE.lines().map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        Variable {
            names: next().split(' ').collect(),
            is_passed_on: next() == "yes",
            meaning: next(),
        }
    })
}

/// The value of a variable of the table; `None` when it is unset or empty.
pub fn variable(name: &str) -> Option<String> {
    debug_assert!(
        variables().any(|variable| variable.names.contains(&name)),
        "{name} is not in the table of variables"
    );
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of a variable whose name has a part that the user chooses. The table has it with `NAME` in this place.
pub fn variable_with(name: &str, own: &str) -> Option<String> {
    debug_assert!(
        variables().any(|variable| variable.names.contains(&name)),
        "{name} is not in the table of variables"
    );
    let name = name.replace("NAME", own);
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Every variable that commands see, with its value.
pub fn passed_on() -> impl Iterator<Item = (String, String)> {
    let variables = variables().filter(|variable| variable.is_passed_on);
    let names = variables.flat_map(|variable| variable.names);
    names.filter_map(|name| Some((name.to_owned(), variable(name)?)))
}

/// Whether a variable of an option is set, but empty.
pub fn is_empty(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}
