//! The command line as a page, and as a manual page.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::environment;
use crate::commands;
use crate::failure::Cause;
use crate::host::environment::variables;

/// The command line, with the names that clap gives to its parts when it has read them all.
fn built() -> Command {
    let mut command = commands::command().disable_help_subcommand(true);
    command.build();
    command
}

/// `cache list` and its like are commands of their own; the path is without the program's name.
fn leaves(command: &Command, path: &str) -> Vec<(String, Command)> {
    let below = command.get_subcommands().flat_map(|below| {
        let path = format!("{path} {}", below.get_name());
        if below.has_subcommands() {
            leaves(below, &path)
        } else {
            vec![(path.trim_start().to_owned(), below.clone())]
        }
    });
    below.collect()
}

fn is_shown(arg: &Arg) -> bool {
    // Those that clap adds to every command. `update` has an argument of the same name.
    let is_of_clap = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    !arg.is_hide_set() && !is_of_clap
}

/// `cli.md`.
pub fn markdown() -> String {
    let command = built();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = super::page(
        "Command line",
        &format!(
            "{about}.\n\nOne grammar holds for every command:\n\n    pgsetup COMMAND [MANIFESTS] [NAME...] [OPTIONS]\n\n\
             MANIFESTS is one word, and it comes first. An option that is given wins over its environment variable. The \
             [exit status](exit-status.md) tells the kinds of failure apart. The source of this page is `src/cli.rs`.\n\n\
             | command | what it does |\n| --- | --- |",
        ),
    );
    let leaves = leaves(&command, "");
    for (path, leaf) in &leaves {
        let about = leaf.get_about().map(ToString::to_string).unwrap_or_default();
        let anchor = format!("pgsetup-{}", path.replace(' ', "-"));
        let _ = writeln!(text, "| [`{path}`](#{anchor}) | {} |", super::cell(&about));
    }
    for (path, leaf) in leaves {
        section(&path, leaf, &mut text);
    }
    text
}

fn section(path: &str, mut leaf: Command, text: &mut String) {
    let about = leaf.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = leaf.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = writeln!(text, "\n## pgsetup {path}\n\n{about}.\n\n    {usage}\n");
    let row = |arg: &Arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let (meaning, default) = match help.split_once(" [default: ") {
            Some((meaning, default)) => (meaning.to_owned(), default.trim_end_matches(']').to_owned()),
            None => (help, default(arg)),
        };
        [
            format!("`{}`", name(arg)),
            meaning + &values(arg),
            default,
            arg.get_env()
                .map(|name| format!("`{}`", name.to_string_lossy()))
                .unwrap_or_default(),
        ]
    };
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = leaf
        .get_arguments()
        .filter(|arg| is_shown(arg))
        .partition(|arg| arg.is_positional());
    for (head, args) in [("argument", positional), ("option", options)] {
        if !args.is_empty() {
            let heads = [head, "meaning", "default", "environment"];
            let _ = writeln!(text, "{}", super::table(heads, args.into_iter().map(row)));
        }
    }
    if let Some(after) = leaf.get_after_help() {
        let after = after.to_string().replace('\n', "\n    ");
        let _ = writeln!(text, "    {after}");
    }
    let trimmed = text.trim_end().len();
    text.truncate(trimmed);
    text.push('\n');
}

/// An argument as it is written: `--cache DIR`, `NAME...`.
fn name(arg: &Arg) -> String {
    let value = || {
        let names = arg.get_value_names().unwrap_or_default();
        names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let repeated = if matches!(arg.get_action(), ArgAction::Append) {
        "..."
    } else {
        ""
    };
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    match (arg.get_long(), arg.get_short()) {
        (None, None) => format!("{}{repeated}", value()),
        (Some(long), _) if takes_value => format!("--{long} {}{repeated}", value()),
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
    }
}

fn values(arg: &Arg) -> String {
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values = if takes_value {
        arg.get_possible_values()
    } else {
        Vec::new()
    };
    let one = |value: &clap::builder::PossibleValue| match value.get_help() {
        Some(help) => format!("`{}` ({help})", value.get_name()),
        None => format!("`{}`", value.get_name()),
    };
    if values.is_empty() {
        return String::new();
    }
    format!(
        ". One of: {}",
        values.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

fn default(arg: &Arg) -> String {
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let defaults = arg.get_default_values().iter().filter(|_| takes_value);
    let defaults: Vec<String> = defaults
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if arg.is_required_set() {
        return "required".to_owned();
    }
    defaults.join(", ")
}

/// `exit-status.md`.
pub fn exit_statuses() -> String {
    let mut text = super::page(
        "Exit status",
        "Each kind of failure has an exit status of its own. The source of this page is `src/failure.rs`.\n",
    );
    let done = [["0".to_owned(), "done".to_owned()]];
    let failures = Cause::ALL
        .into_iter()
        .map(|cause| [cause.exit_status().to_string(), cause.meaning().to_owned()]);
    text.push_str(&super::table(
        ["status", "meaning"],
        done.into_iter().chain(failures),
    ));
    text.push_str(
        "\nWhere several things fail for different reasons, a wrong digest (5) comes before a network failure (4), and a \
         fault of the machine (1) before both.\n\
         `pgsetup shell` ends with the status of the shell or of the command that it ran. `update --check` ends with 7 if \
         a version is outdated, and with 4 if none is known to be, but some could not be looked up.\n",
    );
    text
}

/// `pgsetup.1`.
pub fn manual() -> String {
    let command = built();
    let version = command.get_version().unwrap_or_default().to_owned();
    // The day of a page would make it another page every day.
    let main = Man::new(command.clone())
        .title("PGSETUP")
        .date("")
        .source(format!("pgsetup {version}"))
        .manual("pgsetup");
    let mut page = Vec::new();
    main.render_title(&mut page).expect("writing to a vector");
    main.render_name_section(&mut page).expect("writing to a vector");
    let mut roff = Roff::default();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman("pgsetup COMMAND [MANIFESTS] [NAME...] [OPTIONS]")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "pgsetup reads manifests, downloads what they select and verifies it, compiles it, installs it, tests it, and removes \
         what only building needs. MANIFESTS is a directory of manifests or the manifest of an image; where it is not given, \
         it is the directory manifests, or the file image.yaml.",
    )]);
    roff.to_writer(&mut page).expect("writing to a vector");
    for (path, mut leaf) in leaves(&command, "") {
        let usage = leaf.render_usage().to_string();
        let mut roff = Roff::default();
        roff.control("SH", [format!("PGSETUP {}", path.to_uppercase()).as_str()]);
        for line in leaf
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
            .lines()
        {
            roff.text([roman(format!("{line}."))]);
        }
        roff.control("PP", []);
        roff.text([roman(usage.trim_start_matches("Usage: "))]);
        roff.to_writer(&mut page).expect("writing to a vector");
        page.extend(options(leaf).into_bytes());
    }
    page.extend(tables().into_bytes());
    String::from_utf8(page).expect("roff of texts is text")
}

/// The arguments of a command, as a subsection.
fn options(leaf: Command) -> String {
    let leaf = leaf.mut_args(|arg| {
        let is_shown = is_shown(&arg);
        arg.hide(!is_shown)
    });
    let mut page = Vec::new();
    Man::new(leaf)
        .render_options_section(&mut page)
        .expect("writing to a vector");
    let page = String::from_utf8(page).expect("roff of texts is text");
    page.replacen(".SH OPTIONS", ".SS Arguments", 1)
}

/// What holds for every command.
fn tables() -> String {
    let mut roff = Roff::default();
    let item = |roff: &mut Roff, name: &str, meaning: &str| {
        roff.control("TP", []);
        roff.text([clap_mangen::roff::bold(name)]);
        roff.text([roman(meaning)]);
    };
    roff.control("SH", ["EXIT STATUS"]);
    item(&mut roff, "0", "done");
    for cause in Cause::ALL {
        item(&mut roff, &cause.exit_status().to_string(), cause.meaning());
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, option) in environment::of_options() {
        item(&mut roff, &name, &format!("the value of {option}"));
    }
    for variable in variables() {
        item(&mut roff, &variable.names.join(", "), variable.meaning);
    }
    roff.render()
}
