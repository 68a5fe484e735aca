//! Runs the guides as a reader would, and compares what is printed with what they show.
//!
//! A comment before a block says what is done with it:
//!
//! - `<!-- run -->`: the commands are run, with pgsetup on PATH, in a directory that has `manifests/` and `dist/pgsetup`;
//! - `<!-- run: image -->`: the same with an engine and the image under test, which stands for `pgsetup/postgresql:18`;
//! - `<!-- run: build -->`: the commands install packages or compile; only `make guides` runs them;
//! - `<!-- file: PATH -->`: the block is written to that file.
//!
//! Further comments are invisible steps: `setup`, followed by commands, and `names`, followed by the names of containers,
//! volumes and networks, which get a prefix of their own and are removed at the end. In the output,
//! `…` stands for any text of a line, and a line `...` for any number of lines.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::contract::container::{docker, image};
use crate::contract::needs::{has_citus, has_pgbackrest};
use crate::harness::{report, skip};
use crate::markdown::{Page, Part, Shown, commands, pages};
use crate::support::project;

/// The binary under test: in the directory of a page it is `dist/pgsetup`, as `make pgsetup` makes it.
const BINARY: &str = env!("CARGO_BIN_EXE_pgsetup");

/// What a block needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Needs {
    Nothing,
    Image,
    Network,
}

/// A page that is being followed.
struct Reader<'a> {
    page: &'a Page,
    directory: tempfile::TempDir,
    names: Vec<String>,
    prefix: String,
    can: Needs,
    image: &'a str,
    ran: usize,
    wrong: Vec<String>,
    has_failed: bool,
}

impl<'a> Reader<'a> {
    fn new(page: &'a Page, can: Needs, image: &'a str) -> Self {
        let directory = tempfile::tempdir().expect("a directory to work in");
        let copied = Command::new("cp")
            .arg("--recursive")
            .args(["manifests", "LICENSE", "README.md"])
            .arg(directory.path())
            .current_dir(project())
            .status();
        assert!(copied.expect("cp of coreutils").success());
        // Containers look into it, whose user is another one.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).expect("the directory's mode");
        let copy = directory.path().join("dist/pgsetup");
        std::fs::create_dir(directory.path().join("dist")).expect("a directory for the binary");
        std::fs::hard_link(BINARY, &copy)
            .or_else(|_| std::fs::copy(BINARY, &copy).map(drop))
            .expect("the binary is copied");
        let stem = page
            .path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("page");
        Self {
            page,
            directory,
            names: Vec::new(),
            prefix: format!("guide-{}-{stem}-", std::process::id()),
            can,
            image,
            ran: 0,
            wrong: Vec::new(),
            has_failed: false,
        }
    }

    /// Reads the page from top to bottom.
    fn follow(&mut self) {
        let mut comment: Option<&str> = None;
        for part in &self.page.parts {
            match part {
                Part::Comment(text) => {
                    let (kind, rest) = text.split_once(['\n', ':']).unwrap_or((text, ""));
                    match kind.trim() {
                        "setup" => self.prepare(rest),
                        "names" => self.names = rest.split_whitespace().map(str::to_owned).collect(),
                        "run" | "file" => comment = Some(text),
                        other => panic!("{}: the comment `{other}` is unknown", self.page.path.display()),
                    }
                }
                Part::Code { text, .. } => {
                    let Some(comment) = comment.take() else {
                        continue;
                    };
                    match comment.split_once(':').map(|(kind, rest)| (kind, rest.trim())) {
                        Some(("file", path)) => self.write(path, text),
                        Some((_, "image")) => self.try_out(Needs::Image, text),
                        Some((_, "build")) => self.try_out(Needs::Network, text),
                        None => self.try_out(Needs::Nothing, text),
                        Some(_) => panic!("{}: {comment} is unknown", self.page.path.display()),
                    }
                }
            }
        }
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.directory.path().join(path), text).expect("a file of the guide is written");
    }

    fn prepare(&self, script: &str) {
        let (status, output) = self.shell(script);
        assert_eq!(
            status,
            0,
            "{}: the setup failed: {output}",
            self.page.path.display()
        );
    }

    fn try_out(&mut self, needs: Needs, block: &str) {
        if needs > self.can || self.has_failed {
            return;
        }
        for Shown {
            command,
            output,
            status,
        } in commands(block)
        {
            self.ran += 1;
            let (ended, printed) = self.shell(&command);
            let expected = output.replace('…', "[..]");
            let compared = snapbox::Assert::new()
                .action(snapbox::assert::Action::Verify)
                .try_eq(Some(&"what it prints"), printed.clone().into(), expected.into());
            if ended != status {
                self.wrong.push(format!(
                    "$ {command}\nended with {ended}, not {status}:\n{printed}"
                ));
                // What follows builds on it, and may wait for it.
                self.has_failed = true;
                return;
            } else if let (false, Err(difference)) = (output.is_empty(), compared) {
                self.wrong.push(format!("$ {command}\n{difference}"));
            }
        }
    }

    /// Runs commands as a reader would; gives the exit status and what appears in the terminal.
    fn shell(&self, script: &str) -> (i32, String) {
        let programs = Path::new(BINARY)
            .parent()
            .expect("its directory")
            .display()
            .to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut script = script
            .replace("pgsetup/postgresql:18", self.image)
            // The machine may have a server of its own.
            .replace("--publish 5432:5432", "--publish 127.0.0.1::5432");
        for name in &self.names {
            script = rename(&script, name, &format!("{}{name}", self.prefix));
        }
        // A guide may wait for a server that never comes.
        let output = Command::new("timeout")
            .args(["600", "bash", "-c", &format!("exec 2>&1\n{script}")])
            .current_dir(self.directory.path())
            .env("PATH", format!("{programs}:{path}"))
            .env("NO_COLOR", "1")
            .env_remove("PGSETUP_CACHE")
            .stdin(Stdio::null())
            .output()
            .expect("timeout of coreutils starts");
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        for name in &self.names {
            printed = printed.replace(&format!("{}{name}", self.prefix), name);
        }
        let printed = printed.replace(&format!("{}/", self.directory.path().display()), "");
        (output.status.code().unwrap_or(-1), printed)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // A reader without the image starts nothing, and may follow the page while another one does.
        if self.can < Needs::Image {
            return;
        }
        for name in &self.names {
            let name = format!("{}{name}", self.prefix);
            docker(["rm", "--force", "--volumes", &name]);
            docker(["volume", "rm", "--force", &name]);
            docker(["network", "rm", &name]);
        }
    }
}

/// The text with a word replaced where it stands alone, as a name on a command line does.
fn rename(text: &str, word: &str, new: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || ['_', '-', '/', '.'].contains(&c);
    let (mut renamed, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let after = &rest[at + word.len()..];
        let joined = rest[..at].chars().next_back().is_some_and(is_part) || after.starts_with(is_part);
        renamed.push_str(&rest[..at]);
        renamed.push_str(if joined { word } else { new });
        rest = after;
    }
    renamed + rest
}

/// The pages that tell a reader what to type.
fn is_guide(page: &Page) -> bool {
    page.path.starts_with("docs/guides")
        || page.path == Path::new("docs/getting-started.md")
        || page.path == Path::new("README.md")
}

/// Follows every guide; gives how many commands were run.
fn follow(can: Needs, image: &str) -> usize {
    let pages = pages();
    let (mut ran, mut failed) = (0, 0);
    for page in pages.iter().filter(|page| is_guide(page)) {
        let is_of_backups = page.path.ends_with("back-up-and-restore.md");
        let can = if is_of_backups && can > Needs::Nothing && !has_pgbackrest() {
            Needs::Nothing
        } else {
            can
        };
        let mut reader = Reader::new(page, can, image);
        reader.follow();
        ran += reader.ran;
        failed += reader.wrong.len();
        for wrong in &reader.wrong {
            report(&format!("{}: {wrong}", page.path.display())).expect("a test runs");
        }
    }
    assert_eq!(failed, 0, "a guide shows something else than its commands print");
    ran
}

#[test]
fn commands_without_an_image_print_what_the_guides_show() {
    let ran = follow(Needs::Nothing, "");
    assert!(ran > 15, "only {ran} commands were found");
}

#[test]
fn commands_with_the_image_print_what_the_guides_show() {
    let image = image().unwrap_or_else(|why| skip(&why));
    if !has_citus() {
        skip("the guides show the whole image, and this one has no Citus");
    }
    let can = match std::env::var("PGSETUP_GUIDES").as_deref() {
        Ok("all") => Needs::Network,
        _ => Needs::Image,
    };
    follow(can, image);
}

#[test]
fn names_are_replaced_where_they_stand_alone() {
    let renamed = rename("docker exec db psql --dbname=db.x db", "db", "x-db");
    assert_eq!(renamed, "docker exec x-db psql --dbname=db.x x-db");
}
