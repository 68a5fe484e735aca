//! A command line as data: built by pure functions, printed in plans and errors, run only by `host`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A program with its arguments. No shell interprets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program: a name looked up on PATH, or a path.
    pub program: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables besides those that every command gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The directory it runs in, inside the root; `/` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Text for its standard input. Empty by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether `-jN` is added, because the program does not know the jobserver. N is the number of job tokens that it holds
    /// until it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_jobs: bool,
    /// Whether it is pgsetup's own and runs nothing of a component. It is not confined.
    #[serde(skip)]
    pub is_own: bool,
}

impl Command {
    /// A command without further settings.
    pub fn new<A: Into<String>>(program: &str, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            directory: None,
            input: None,
            told_jobs: false,
            is_own: false,
        }
    }

    /// Marks it as pgsetup's own.
    #[must_use]
    pub fn own(mut self) -> Self {
        self.is_own = true;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Adds environment variables.
    #[must_use]
    pub fn envs(mut self, variables: &BTreeMap<String, String>) -> Self {
        self.environment.extend(variables.clone());
        self
    }

    /// Sets the directory it runs in.
    #[must_use]
    pub fn dir(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets the text of its standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Adds the number of jobs when it runs.
    #[must_use]
    pub fn told_jobs(mut self) -> Self {
        self.told_jobs = true;
        self
    }

    /// Runs it as another user, by `setpriv` of util-linux.
    #[must_use]
    pub fn with_user(self, uid: u32, gid: u32) -> Self {
        let args = [
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".into(),
            "--".into(),
        ];
        let args = args.into_iter().chain([self.program]).chain(self.args).collect();
        Self {
            program: "setpriv".to_owned(),
            args,
            ..self
        }
    }
}

/// As you would type it into a shell.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "cd {} && ", quote(directory))?;
        }
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quote(value))?;
        }
        write!(f, "{}", quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quote(arg))?;
        }
        if self.told_jobs {
            write!(f, " -j<free jobs>")?;
        }
        Ok(())
    }
}

/// `word`, in single quotes if a shell would change it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_it_would_be_typed() {
        let command = Command::new("make", ["OPTFLAGS=", "a b", "it's", ""])
            .env("CC", "gcc -g")
            .dir("/src");
        assert_eq!(
            command.to_string(),
            r"cd /src && CC='gcc -g' make OPTFLAGS= 'a b' 'it'\''s' ''"
        );
        let command = Command::new("initdb", ["-D", "x"]).with_user(999, 998);
        assert_eq!(
            command.to_string(),
            "setpriv --reuid=999 --regid=998 --clear-groups -- initdb -D x"
        );
    }
}
