//! `pgsetup init`: writes the files of a new image into a directory. The manifests are the catalogue's, which the binary
//! carries, so that nothing else is needed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::manifests::{self, Files};
use super::{print, schema};
use crate::catalogue::Catalogue;
use crate::cli::{DocumentName, InitArgs};
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::manifest::ManifestFile;
use crate::report::Reporter;
use crate::resolve::{self, Resolved, Selection};

/// The file that editors take the keys of manifests from.
const SCHEMA: &str = "pgsetup.schema.json";
/// The binary beside the Dockerfile.
const BINARY: &str = "pgsetup";

/// What the image is to hold.
struct Answers {
    name: String,
    base: String,
    postgresql: String,
    patroni: bool,
    extensions: Vec<String>,
}

/// Writes `image.yaml`, `Dockerfile`, `.dockerignore` and the schema, and puts the binary beside them.
///
/// # Errors
/// One of the files exists already, the image does not resolve, or a file cannot be written.
pub fn init(args: &InitArgs, reporter: &Reporter) -> Result<(), Failure> {
    if let Some(image) = &args.pgsetup {
        pinned(image)?;
    }
    let directory = &args.directory;
    let catalogue = Catalogue::embedded();
    let mut answers = answers(args, &catalogue)?;
    if is_to_ask(args) {
        ask(&mut answers, reporter)?;
    }
    let image = image_yaml(&answers);
    let resolved = check(&image, catalogue, reporter)?;
    let texts = [
        ("image.yaml", image),
        (
            "Dockerfile",
            dockerfile(&answers, &resolved, args.pgsetup.as_deref()),
        ),
        (".dockerignore", DOCKERIGNORE.to_owned()),
        (
            SCHEMA,
            format!("{:#}\n", schema::schema_of(DocumentName::Manifest)),
        ),
    ];
    let existing: Vec<&str> = texts
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| host::local::exists(&directory.join(name)))
        .collect();
    if !existing.is_empty() {
        let message = format!(
            "{} already has {}; nothing was written",
            directory.display(),
            existing.join(", ")
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    host::local::make_directories(directory)?;
    for (name, text) in &texts {
        host::local::create_text(&directory.join(name), text)?;
    }
    let names: Vec<&str> = texts.iter().map(|(name, _)| *name).collect();
    let mut page = format!("wrote {}\n", names.join(", "));
    if args.pgsetup.is_none() {
        page.push_str(&binary(directory)?);
    }
    page.push_str(&next(args, &answers.name));
    print(reporter, &page)
}

/// Without a digest, the same Dockerfile would take another binary tomorrow.
fn pinned(image: &str) -> Result<(), Failure> {
    let digest = image.rsplit_once("@sha256:").map(|(_, digest)| digest);
    let is_digest = |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    if digest.is_some_and(is_digest) {
        return Ok(());
    }
    let message = format!(
        "--from {image}: an image is named with its digest, such as registry/pgsetup:{}@sha256:…",
        env!("CARGO_PKG_VERSION")
    );
    Err(Failure::new(Cause::Usage, message))
}

fn answers(args: &InitArgs, catalogue: &Catalogue) -> Result<Answers, Failure> {
    let separators = |c: char| c == ',' || c.is_whitespace();
    let names = args.extensions.iter().flat_map(|text| text.split(separators));
    let mut seen = BTreeSet::new();
    let extensions = names.filter(|name| !name.is_empty() && seen.insert((*name).to_owned()));
    let postgresql = match &args.pg {
        Some(name) => name.clone(),
        None => newest(catalogue),
    };
    Ok(Answers {
        name: match &args.name {
            Some(name) => name.clone(),
            None => name_of(&args.directory)?,
        },
        base: args.base.clone(),
        postgresql,
        patroni: args.patroni,
        extensions: extensions.map(str::to_owned).collect(),
    })
}

/// The catalogue's server of the newest major that is compiled.
fn newest(catalogue: &Catalogue) -> String {
    let files = Files {
        own: Vec::new(),
        catalogue: Some(catalogue.clone()),
    };
    let (manifests, _) = files.parse();
    let servers = manifests.postgresql.iter().map(|one| &one.value);
    let compiled = servers.filter(|server| server.archive.is_some());
    let newest = compiled.max_by_key(|server| server.major);
    newest.map(|server| server.name.clone()).unwrap_or_default()
}

/// A name for the image: that of the directory, with what names may not have replaced.
fn name_of(directory: &Path) -> Result<String, Failure> {
    host::local::make_directories(directory)?;
    let path = host::local::canonical(directory)?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name.unwrap_or_default().chars().map(allowed).collect();
    let name = name.trim_matches(['-', '_']);
    Ok(match resolve::name(name) {
        Ok(()) => name.to_owned(),
        Err(_) => "postgresql".to_owned(),
    })
}

/// A person is asked only where no option answers a question.
fn is_to_ask(args: &InitArgs) -> bool {
    let is_told = args.pg.is_some() || !args.extensions.is_empty() || args.patroni;
    !is_told && host::terminal::is_interactive()
}

fn ask(answers: &mut Answers, reporter: &Reporter) -> Result<(), Failure> {
    let question = |text: &str, default: &str| -> Result<String, Failure> {
        reporter.line(&format!("{text} [{default}]"));
        let answer = host::terminal::answer().cause(Cause::Internal)?;
        Ok(answer
            .filter(|answer| !answer.is_empty())
            .unwrap_or(default.to_owned()))
    };
    answers.postgresql = question("PostgreSQL", &answers.postgresql)?;
    let extensions = question("Extensions, separated by spaces", "none")?;
    if extensions != "none" {
        let names = extensions.split(|c: char| c == ',' || c.is_whitespace());
        let names = names.filter(|name| !name.is_empty());
        answers.extensions = names.map(str::to_owned).collect();
    }
    answers.patroni = matches!(question("Patroni", "no")?.as_str(), "y" | "yes");
    Ok(())
}

/// Resolves the manifest that is about to be written.
fn check(image: &str, catalogue: Catalogue, reporter: &Reporter) -> Result<Resolved, Failure> {
    let files = Files {
        own: vec![ManifestFile::new("image.yaml", image)],
        catalogue: Some(catalogue),
    };
    super::resolved_by(&files, &Selection::default(), reporter)
}

/// Names of extensions that do not work unless their libraries are preloaded, what they require included.
fn preloads(answers: &Answers) -> Vec<String> {
    let files = Files {
        own: Vec::new(),
        catalogue: Some(Catalogue::embedded()),
    };
    let (manifests, _) = files.parse();
    manifests::with_required(&manifests, &answers.extensions)
        .into_iter()
        .filter(|name| manifests::is_preload_required(&manifests, name))
        .collect()
}

fn image_yaml(answers: &Answers) -> String {
    let Answers {
        name,
        base,
        postgresql,
        patroni,
        extensions,
    } = answers;
    let mut text = format!(
        "# yaml-language-server: $schema={SCHEMA}\n\
         # What the image holds. `pgsetup list` shows what there is, `pgsetup plan` what follows from this file.\n\
         kind: image\n\
         name: {name}\n\
         base: {base}\n\
         postgresql: \"{postgresql}\"\n\
         patroni: {patroni}\n\
         # User, directories, locale, packages and settings as the entrypoint needs them; what is written here comes first.\n\
         layout: standard\n\
         \n\
         # `pgsetup add NAME` and `pgsetup remove NAME` edit this list. What an extension requires comes with it.\n",
    );
    text.push_str(&list("extensions", extensions));
    text.push_str("\n# Those of them that PostgreSQL loads when it starts.\n");
    text.push_str(&list("preload", &preloads(answers)));
    text.push_str("\n# Settings of PostgreSQL, such as `work_mem: 64MB`; numbers in quotes.\nsettings: {}\n");
    text
}

fn list(key: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("{key}: []\n");
    }
    let mut text = format!("{key}:\n");
    for name in names {
        let _ = writeln!(text, "  - {name}");
    }
    text
}

const DOCKERIGNORE: &str = "# Only what the Dockerfile mounts: the binary, the manifests, the lock, and what `fetch --to vendor` has downloaded.\n*\n!pgsetup\n!pgsetup.lock\n!**/*.yaml\n!vendor/**\n";

/// The Dockerfile, whose base, major and binary are those of this image.
fn dockerfile(answers: &Answers, resolved: &Resolved, pgsetup: Option<&str>) -> String {
    let origin = match pgsetup {
        Some(image) => format!("FROM {image} AS pgsetup\n"),
        None => format!("FROM scratch AS pgsetup\nCOPY {BINARY} /pgsetup\n"),
    };
    let patroni = match &resolved.patroni {
        Some(patroni) => format!("{}/bin:", patroni.directory),
        None => String::new(),
    };
    include_str!("init.Dockerfile")
        .replace("@PGSETUP@", &origin)
        .replace("@BASE@", &answers.base)
        .replace("@MAJOR@", &resolved.postgresql.major.to_string())
        .replace("@PATRONI@", &patroni)
}

/// Puts this binary beside the Dockerfile, unless one is there.
fn binary(directory: &Path) -> Result<String, Failure> {
    let place = directory.join(BINARY);
    if host::local::exists(&place) {
        return Ok(format!("{} is already there\n", place.display()));
    }
    let own = host::own_program()
        .ok_or_else(|| Failure::new(Cause::Internal, "the path of the running pgsetup is not known"))?;
    host::local::place(&own, &place, false)?;
    Ok(format!("copied this pgsetup to {}\n", place.display()))
}

/// The two commands that follow.
fn next(args: &InitArgs, name: &str) -> String {
    let context = args.directory.display();
    let mut page = format!("next\n  DOCKER_BUILDKIT=1 docker build --tag {name} {context}\n");
    let _ = writeln!(
        page,
        "  docker run --rm --env POSTGRES_PASSWORD=secret --publish 5432:5432 {name}"
    );
    page
}
