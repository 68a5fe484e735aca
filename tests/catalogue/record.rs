//! The record of what was tested and when: `docs/results/extensions.tsv`, which only trials that passed write; and the table of supported
//! extensions, `docs/results/extensions.md`, which is made of it and of the manifests. Both are for bookworm; those of another base
//! have its name in theirs (`extensions-trixie.md`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;

use crate::manifest::{Catalogue, Extension};
use crate::{Outcome, plan, project};

/// The bases that have a record.
const BASES: [&str; 2] = [BOOKWORM, "debian:trixie"];
const BOOKWORM: &str = "debian:bookworm";
/// The first line of `docs/results/not-run.tsv`: why a supported extension was not tested, when that was tried.
const HEAD_OF_NOT_RUN: &str = "name\tpostgresql\tdate\treason";
/// The majors that have a column.
const MAJORS: [u16; 4] = [15, 16, 17, 18];
/// The first line of the record.
const HEAD: &str = "name\tversion\tpostgresql\tsha256\trecipe\tdate\tpgsetup\ttests";

/// A test that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: String,
    version: String,
    /// The server's version: `18.6`.
    postgresql: String,
    /// The digest of the archive that was built.
    sha256: String,
    /// Digest of everything else that decides what was built and how it was tested.
    recipe: String,
    date: String,
    pgsetup: String,
    tests: String,
}

/// Trials run at the same time.
static LOCK: Mutex<()> = Mutex::new(());

/// Why extensions were not tested: date and reason, by name and major.
type NotRun = BTreeMap<(String, u16), (String, String)>;

/// The base that is tested on: BASE.
pub fn base() -> String {
    let base = std::env::var("BASE").ok().filter(|base| !base.is_empty());
    base.unwrap_or_else(|| BOOKWORM.to_owned())
}

/// Records why an extension could not be tested on a major.
pub fn not_run(name: &str, major: u16, reason: &str) -> Outcome {
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows = read_not_run(&base())?;
    let date = said_by("date", &["--utc", "+%F"])?;
    rows.insert((name.to_owned(), major), (date, reason.to_owned()));
    let mut text = format!("{HEAD_OF_NOT_RUN}\n");
    for ((name, major), (date, reason)) in rows {
        writeln!(text, "{name}\t{major}\t{date}\t{reason}")?;
    }
    Ok(std::fs::write(path(&base(), "not-run", "tsv"), text)?)
}

fn read_not_run(base: &str) -> Result<NotRun, Failed> {
    let file = path(base, "not-run", "tsv");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, major, date, reason] = fields.try_into().ok()?;
        Some((
            (name.to_owned(), major.parse().ok()?),
            (date.to_owned(), reason.to_owned()),
        ))
    };
    let lines = text.lines().skip(1);
    lines
        .map(|line| row(line).ok_or_else(|| format!("{}: {line:?}", file.display()).into()))
        .collect()
}

/// Records a test in place of an older one on the same major.
pub fn add(name: &str, subject: &plan::Subject, major: u16, tests: usize) -> Outcome {
    let subject = subject.clone();
    let row = Row {
        name: name.to_owned(),
        version: subject.version,
        postgresql: subject.postgresql,
        sha256: subject.sha256,
        recipe: subject.recipe,
        date: said_by("date", &["--utc", "+%F"])?,
        pgsetup: said_by("git", &["describe", "--always", "--dirty"])?,
        tests: tests.to_string(),
    };
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows = read(&base())?;
    rows.insert((row.name.clone(), major), row);
    let mut text = format!("{HEAD}\n");
    for row in rows.values() {
        let Row {
            name,
            version,
            postgresql,
            sha256,
            recipe,
            date,
            pgsetup,
            tests,
        } = row;
        writeln!(
            text,
            "{name}\t{version}\t{postgresql}\t{sha256}\t{recipe}\t{date}\t{pgsetup}\t{tests}"
        )?;
    }
    // The file is replaced as a whole.
    let partial = path(&base(), "extensions", "tsv.partial");
    std::fs::write(&partial, text)?;
    Ok(std::fs::rename(partial, path(&base(), "extensions", "tsv"))?)
}

/// Whether the record has a passed test of what would be built today.
pub fn is_tested(catalogue: &Catalogue, extension: &Extension, major: u16) -> bool {
    let base = base();
    let rows = read(&base).unwrap_or_default();
    let row = rows.get(&(extension.name.clone(), major));
    row.is_some_and(|row| {
        plan::subject(catalogue, extension, major, &base).is_ok_and(|today| row.is_of(&today))
    })
}

impl Row {
    /// Whether what was tested is this.
    fn is_of(&self, today: &plan::Subject) -> bool {
        (&self.version, &self.sha256, &self.recipe) == (&today.version, &today.sha256, &today.recipe)
    }
}

fn said_by(program: &str, args: &[&str]) -> Result<String, Failed> {
    let output = Command::new(program).args(args).current_dir(project()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn path(base: &str, stem: &str, suffix: &str) -> PathBuf {
    let of_base = match base.rsplit(':').next() {
        Some(release) if base != BOOKWORM => format!("-{release}"),
        _ => String::new(),
    };
    project().join(format!("docs/results/{stem}{of_base}.{suffix}"))
}

fn read(base: &str) -> Result<BTreeMap<(String, u16), Row>, Failed> {
    let file = path(base, "extensions", "tsv");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let row = |line: &str| {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [name, version, postgresql, sha256, recipe, date, pgsetup, tests] = fields.try_into().ok()?;
        let major = postgresql.split('.').next()?.parse().ok()?;
        let key = (name.clone(), major);
        Some((
            key,
            Row {
                name,
                version,
                postgresql,
                sha256,
                recipe,
                date,
                pgsetup,
                tests,
            },
        ))
    };
    let lines = text.lines().skip(1);
    lines
        .map(|line| row(line).ok_or_else(|| format!("{}: {line:?}", file.display()).into()))
        .collect()
}

/// The tables agree with the records and the manifests. A cell says tested only if the manifest would install today what
/// was tested.
pub fn tables_are_right(catalogue: &Catalogue) -> Outcome {
    BASES
        .into_iter()
        .try_for_each(|base| table_is_right(catalogue, base))
}

fn table_is_right(catalogue: &Catalogue, base: &str) -> Outcome {
    let (rows, not_run) = (read(base)?, read_not_run(base)?);
    let mut counts: BTreeMap<u16, [usize; 3]> = BTreeMap::new();
    let mut table = String::from("| extension |");
    for major in MAJORS {
        write!(table, " PostgreSQL {major} |")?;
    }
    table.push_str("\n|---|---|---|---|---|\n");
    for extension in catalogue.all() {
        let kind = if extension.is_module() { ", contrib" } else { "" };
        write!(table, "| [{}]({}){kind} |", extension.name, extension.homepage)?;
        for major in MAJORS {
            let key = (extension.name.clone(), major);
            let (kind, cell) = cell(
                catalogue,
                extension,
                (major, base),
                rows.get(&key),
                not_run.get(&key),
            )?;
            counts.entry(major).or_default()[kind] += 1;
            write!(table, " {cell} |")?;
        }
        table.push('\n');
    }
    let (title, head) = match base.rsplit(':').next() {
        Some(release) if base != BOOKWORM => (
            format!("# Extensions on {release}\n\n"),
            format!("BASE={base} make catalogue"),
        ),
        _ => ("# Extensions\n\n".to_owned(), "make catalogue".to_owned()),
    };
    let mut page = format!(
        "{title}Written by `{head}`. Edit the manifests instead.\n\n\
         - **tested**: built from the archive whose digest begins with these digits, on this server and day, and every test of its manifest passed. \
         A later change of the manifest, other than in comments, makes it *declared* again.\n\
         - *declared*: upstream or the manifest says that it works. It was not tested here, for the reason in the cell.\n\
         - no: not supported, with the reason.\n\n",
    );
    for (major, [tested, declared, no]) in counts {
        writeln!(
            page,
            "PostgreSQL {major}: {tested} tested, {declared} declared, {no} not supported."
        )?;
    }
    page.push('\n');
    page.push_str(&table);
    let agreed = snapbox::Data::read_from(
        &path(base, "extensions", "md"),
        Some(snapbox::data::DataFormat::Text),
    )
    .raw();
    snapbox::assert_data_eq!(page, agreed);
    Ok(())
}

/// What kind of cell it is (tested, declared, no), and its text.
fn cell(
    catalogue: &Catalogue,
    extension: &Extension,
    (major, base): (u16, &str),
    row: Option<&Row>,
    not_run: Option<&(String, String)>,
) -> Result<(usize, String), Failed> {
    if !extension.supports(major, base) {
        let reason = extension.why_not(major, base);
        let reason = reason.ok_or_else(|| {
            format!(
                "{} is not for {major}, and does not say why: `unsupported`",
                extension.name
            )
        })?;
        return Ok((2, format!("no: {reason}")));
    }
    let declared = |reason: &str| {
        let version = extension.version(major);
        let what = format!("*declared* {version}").trim_end().to_owned();
        (1, format!("{what}: {reason}"))
    };
    let reason = not_run.map(|(date, reason)| format!("{reason} ({date})"));
    let Some(row) = row else {
        let never = || "not run yet".to_owned();
        return Ok(declared(&reason.unwrap_or_else(never)));
    };
    let subject = plan::subject(catalogue, extension, major, base)?;
    if !row.is_of(&subject) {
        let changed = || format!("its manifest has changed since the test of {}", row.date);
        return Ok(declared(&reason.unwrap_or_else(changed)));
    }
    let Row {
        version,
        postgresql,
        sha256,
        date,
        ..
    } = row;
    let digest = sha256.get(..8).unwrap_or(sha256);
    let what = if extension.is_module() {
        format!("**tested** {postgresql}, {date}")
    } else {
        format!("**tested** {version} `{digest}` on {postgresql}, {date}")
    };
    Ok((0, what))
}
