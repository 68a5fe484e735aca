//! Over all builds and their makes, as many compilers run at the same time as there are jobs.

use std::process::Stdio;

use crate::machine::{Machine, Recipe};
use crate::support::{Ran, wait_for};

/// Rules of a makefile that compile `objects` in its directory and, by other makes, in two directories below it; and their
/// files. All objects are independent.
fn nested(objects: usize) -> (String, Vec<(String, String)>) {
    let names: Vec<String> = (0..objects).map(|number| format!("part{number}.o")).collect();
    let names = names.join(" ");
    let rule = "%.o: %.c\n\t$(TRACE)/../bin/cc -c -o $@ $<\n";
    let rules = format!("all: {names} below one\nbelow one:\n\t$(MAKE) -C $@\n.PHONY: below one\n{rule}");
    let mut files = Vec::new();
    for directory in ["", "below/", "one/"] {
        for number in 0..objects {
            files.push((
                format!("{directory}part{number}.c"),
                format!("int part{number};\n"),
            ));
        }
        if !directory.is_empty() {
            files.push((format!("{directory}Makefile"), format!("all: {names}\n{rule}")));
        }
    }
    (rules, files)
}

#[test]
fn as_many_compilers_run_as_there_are_jobs() {
    for jobs in [2, 3] {
        let machine = Machine::new();
        machine.stubs("compiler");
        let names = ["alpha", "beta", "gamma"];
        machine.image(&names, "");
        let (rules, files) = nested(3);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let recipe = Recipe::new().rules(&rules).files(&files);
        for name in names {
            machine.extension(name, recipe);
        }
        let total = names.len() * 9;
        for (name, number) in [("jobs", jobs), ("total", total)] {
            std::fs::write(machine.path("trace").join(name), number.to_string()).unwrap();
        }
        // The compilers wait until all jobs are in use, so an idle job would stop the installation.
        let mut child = machine
            .command(&["--jobs", &jobs.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("everything is compiled", || child.try_wait().unwrap().is_some());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.status, 0, "{}", ran.err);
        let finished = std::fs::read_dir(machine.path("trace/finished")).unwrap().count();
        assert_eq!(finished, total);
        assert!(!machine.path("trace/too-many").exists(), "{jobs} jobs");
    }
}

#[test]
fn a_makefile_that_sets_the_number_of_jobs_is_rejected() {
    let in_a_recipe = ["@$(MAKE) -j8 other"];
    for (make, rules, said) in [
        (
            &in_a_recipe[..],
            "other:\n\t@true\n",
            "warning: -j8 forced in submake",
        ),
        (&[], "MAKEFLAGS += -j8\n", "warning: -j8 forced in makefile"),
    ] {
        let machine = Machine::new();
        machine.image(&["alpha"], "");
        machine.extension("alpha", Recipe::new().make(make).rules(rules));
        let ran = machine.install(&[]);
        assert_eq!(ran.status, 3, "{said}\n{}", ran.err);
        for words in [
            "alpha: a makefile of its archive says how many jobs run",
            said,
            "command: cd /var/tmp/pgsetup/source/alpha-1.0 && ",
            "hint: a makefile says how many jobs run: override that by a variable of `make`",
        ] {
            assert!(ran.err.contains(words), "{words}\n{}", ran.err);
        }
        // Nothing of it is kept.
        assert_eq!(
            crate::machine::files_below(&machine.path("cache/artifact")).len(),
            1
        );
    }
}
