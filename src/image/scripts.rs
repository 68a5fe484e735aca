//! Scripts among the installed files, and the programs that run them: the first line as execve(2) reads it.

use anyhow::Result;

use super::closure;
use super::programs::on_path;
use crate::debian::dpkg::Dpkg;
use crate::host::Host;
use crate::record::inventory::{InstalledFile, Inventory};

/// The program that a script's first line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// As the script names it.
    pub name: String,
    /// Where it is. `None` if it is missing.
    pub path: Option<String>,
    /// The Debian package that has it.
    pub package: Option<String>,
}

/// The interpreter of an executable file. `None` if it does not name one.
///
/// # Errors
/// The file cannot be read.
pub fn interpreter(
    host: &Host,
    dpkg: &Dpkg,
    file: &InstalledFile,
    inventory: &Inventory,
) -> Result<Option<Interpreter>> {
    let Some((program, argument)) = closure::shebang(&host.head(&file.path, 256)?) else {
        return Ok(None);
    };
    // `#!/usr/bin/env python3` means python3.
    let name = if program.ends_with("/env") {
        let words = argument.unwrap_or_default();
        run_by_env(&words).unwrap_or(&program).to_owned()
    } else {
        program
    };
    let path = if name.contains('/') {
        host.real_path(&name)?
    } else {
        on_path(host, &name, inventory)?
    };
    let package = path
        .as_deref()
        .and_then(|path| dpkg.owner(path))
        .map(str::to_owned);
    Ok(Some(Interpreter { name, path, package }))
}

/// The program that env(1) runs for these words: the first after its options and the variables that it sets.
fn run_by_env(words: &str) -> Option<&str> {
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        // What `-S` is to split may begin in the same word.
        let word = word.strip_prefix("--split-string=").unwrap_or(word);
        let word = match word.strip_prefix('-') {
            None => word,
            Some("-argv0" | "-chdir" | "-unset") => {
                words.next();
                continue;
            }
            Some(long) if long.starts_with('-') => continue,
            Some(letters) => match letters.split_once(['S', 'C', 'a', 'u']) {
                Some((before, rest)) if letters[before.len()..].starts_with('S') => rest,
                // The option's own value.
                Some((_, "")) => {
                    words.next();
                    continue;
                }
                _ => continue,
            },
        };
        if !word.is_empty() && !word.contains('=') {
            return Some(word);
        }
    }
    None
}

/// What can be done about a script without its interpreter.
pub const HINT: &str = "\nhint: the package of a script's interpreter belongs in `packages.runtime` of its manifest, \
     such as `runtime: [perl]`; a script that the image does not need, in `prune.paths` of the image's";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::needs::tests::root;
    use crate::image::needs::{Named, Needs};
    use crate::image::needs::{check, needs};
    use crate::resolve::Declared;

    #[test]
    fn a_script_whose_interpreter_went_is_named_with_the_interpreter_and_its_package() {
        let interpreter = |path: Option<&str>, package: Option<&str>| Interpreter {
            name: "/usr/bin/perl5".to_owned(),
            path: path.map(str::to_owned),
            package: package.map(str::to_owned),
        };
        let script = "/usr/lib/postgresql/18/bin/tidy".to_owned();
        let (mut before, mut after) = (Needs::default(), Needs::default());
        let there = interpreter(Some("/usr/bin/perl5"), Some("perl"));
        before.scripts.insert(script.clone(), there);
        assert!(check(&before, &before).is_ok());
        after.scripts.insert(script, interpreter(None, None));
        let error = check(&before, &after).unwrap_err().to_string();
        let expected = "installed files need what does not exist\n  \
             /usr/lib/postgresql/18/bin/tidy is run by /usr/bin/perl5, which does not exist; the package perl had it";
        assert_eq!(error, format!("{expected}{HINT}"));
    }

    #[test]
    fn what_a_package_will_take_with_it_is_found_before_it_is_removed() {
        let mut now = Needs::default();
        for (script, package) in [("/usr/bin/tidy", "perl"), ("/usr/bin/ask", "base")] {
            let interpreter = Interpreter {
                name: package.to_owned(),
                path: Some(format!("/usr/bin/{package}")),
                package: Some(package.to_owned()),
            };
            now.scripts.insert(script.to_owned(), interpreter);
        }
        let named = Named {
            file: "/usr/lib/a.so".to_owned(),
            package: Some("libx1".to_owned()),
        };
        now.named.insert("libx.so.1".to_owned(), named);
        assert!(check(&now, &now.without(&|package| package == "gcc")).is_ok());
        let after = now.without(&|package| ["perl", "libx1"].contains(&package));
        let error = check(&now, &after).unwrap_err().to_string();
        let expected = "installed files need what does not exist\n  \
             /usr/lib/a.so opens libx.so.1; the package libx1 had it\n  \
             /usr/bin/tidy is run by perl, which does not exist; the package perl had it";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn env_runs_what_comes_after_its_options_and_variables() {
        for (words, expected) in [
            ("python3", Some("python3")),
            ("-S python3 -u", Some("python3")),
            ("-Sperl -w", Some("perl")),
            ("-iS A=1 B=2 perl", Some("perl")),
            ("-S -u HOME -C /tmp perl -u", Some("perl")),
            ("-S -uHOME --chdir /tmp --unset=X -- perl", Some("perl")),
            ("--split-string=A=1 perl", Some("perl")),
            ("-S A=1", None),
        ] {
            assert_eq!(run_by_env(words), expected, "{words}");
        }
    }

    #[test]
    fn env_finds_the_programs_of_components() {
        let (_directory, host, inventory) = root(&[
            ("/opt/x/bin/python", 0o755, b"x"),
            ("/opt/x/bin/tool", 0o755, b"#!/usr/bin/env python\n"),
        ]);
        let needs = needs(&host, &inventory, &Declared::default()).unwrap();
        let python = needs.scripts["/opt/x/bin/tool"].path.as_deref();
        assert_eq!(python, Some("/opt/x/bin/python"));
    }
}
