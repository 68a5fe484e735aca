//! `pgsetup update`: writes a newer version into a manifest and says what its author should check.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::manifests::{self, Usage};
use super::outdated;
use super::workspace::{Archive, Workspace};
use crate::archive::unpack;
use crate::cli::UpdateArgs;
use crate::failure::{Cause, Failure, WithCause};
use crate::host;
use crate::manifest::source::Source;
use crate::manifest::{self, ManifestFile, nearest, problem};
use crate::report::Reporter;
use crate::resolve::{self, Selection};
use crate::upstream::changes;
use crate::upstream::edit::{self, Edit};
use crate::upstream::subject::{Subject, subjects};
use crate::upstream::survey::Survey;
use crate::upstream::versions::{self, Spelling};

/// Updates one manifest, or checks all of them.
///
/// # Errors
/// The arguments select no release, the new archive is not available or not readable, or the manifest would be wrong
/// with it.
pub fn update(args: &UpdateArgs, reporter: &Reporter) -> Result<(), Failure> {
    if args.check {
        return outdated::outdated(args, reporter);
    }
    let words: Vec<String> = args.name.iter().chain(&args.version).cloned().collect();
    let usage = Usage {
        command: "update",
        option: None,
        words: &words,
    };
    let files = manifests::read(&args.place, usage)?.own;
    let Some(name) = &args.name else {
        return Err(Failure::new(
            Cause::Usage,
            "the manifest to update is not named: pgsetup update MANIFESTS NAME",
        ));
    };
    let (manifests, problems) = manifest::parse(&files);
    let subjects = subjects(&manifests);
    if let Some(draft) = manifests.draft(name) {
        reporter.line(problem::render(&draft.problems, reporter.is_styled()).trim_end());
        let message = format!("the manifest `{name}` is still a draft");
        return Err(Failure::new(Cause::Manifest, message));
    }
    if !problems.is_empty() && subjects.iter().all(|subject| subject.name != *name) {
        reporter.line(problem::render(&problems, reporter.is_styled()).trim_end());
        let message = format!("a manifest `{name}` with an archive could not be read");
        return Err(Failure::new(Cause::Manifest, message));
    }
    let subject = chosen(&subjects, name, args)?;
    let workspace = Workspace::new(&args.sources, args.cache.as_deref(), reporter)?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => newest(&subject, &workspace)?,
    };
    if version == subject.version {
        return reporter
            .result(&format!("{} is already in its manifest\n", subject.title()))
            .cause(Cause::Internal);
    }
    let file = subject.file.clone();
    let written = host::local::read_text(&file).cause(Cause::Manifest)?;
    // Positions count from behind a byte order mark.
    let (mark, text) = match written.strip_prefix('\u{feff}') {
        Some(text) => ("\u{feff}", text),
        None => ("", written.as_str()),
    };
    let mut page = format!("{}: {} -> {version}\n", file.display(), subject.title());
    let mut edits = vec![Edit {
        path: subject.version_path.clone(),
        value: version.clone(),
    }];
    for (position, (path, source)) in subject.sources.iter().enumerate() {
        let is_first = position == 0;
        let release = Release {
            subject: &subject,
            version: &version,
            path,
            source,
        };
        release.replace(is_first, args, &workspace, &mut edits, &mut page)?;
    }
    let edited = edit::apply(text, &edits)
        .with_context(|| format!("{} was not changed", file.display()))
        .cause(Cause::Manifest)?;
    no_worse(&files, &file, &edited, reporter)?;
    host::local::replace_text(&file, &format!("{mark}{edited}"))?;
    let lines = edit::lines_with(&edited, &subject.version);
    if !lines.is_empty() {
        let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
        let _ = writeln!(
            page,
            "not changed\n  {} is still in line {}",
            subject.version,
            lines.join(", ")
        );
    }
    reporter.result(&page).cause(Cause::Internal)
}

/// The release that the command line selects.
fn chosen(subjects: &[Subject], name: &str, args: &UpdateArgs) -> Result<Subject, Failure> {
    let named: Vec<&Subject> = subjects.iter().filter(|subject| subject.name == name).collect();
    if named.is_empty() {
        let message = match nearest(name, subjects.iter().map(|subject| subject.name.as_str())) {
            Some(near) => format!("there is no manifest `{name}` with an archive; did you mean `{near}`?"),
            None => format!("there is no manifest `{name}` with an archive"),
        };
        return Err(Failure::new(Cause::Usage, message));
    }
    let versions: Vec<&str> = named.iter().map(|subject| subject.version.as_str()).collect();
    let is_meant = |subject: &&&Subject| {
        args.release
            .as_ref()
            .is_none_or(|release| subject.version == *release)
    };
    match named.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
        [subject] => Ok((**subject).clone()),
        [] => Err(Failure::new(
            Cause::Usage,
            format_args!(
                "`{name}` has no release {}: it has {}",
                args.release.as_deref().unwrap_or_default(),
                versions.join(", ")
            ),
        )),
        _ => Err(Failure::new(
            Cause::Usage,
            format_args!(
                "`{name}` has several releases; name the one to replace: --release {}",
                versions.join(" or --release ")
            ),
        )),
    }
}

/// The newest version of the subject's release line that upstream has.
fn newest(subject: &Subject, workspace: &Workspace<'_>) -> Result<String, Failure> {
    let asked = subject.upstream().and_then(|upstream| {
        let answer = workspace.page(&upstream.url, subject.is_insecure())?;
        upstream
            .versions(&answer)
            .map_err(|why| format!("{}: {why}", upstream.what))
    });
    let versions = asked.map_err(|why| {
        let message = format!(
            "could not look up the versions of {}: {why}\n  name the version: pgsetup update MANIFESTS {} VERSION",
            subject.name, subject.name
        );
        Failure::new(Cause::Network, message)
    })?;
    match versions::newest(&versions, &subject.version, subject.line) {
        Some(version) if versions::compare(version, &subject.version).is_gt() => Ok(version.clone()),
        _ => Ok(subject.version.clone()),
    }
}

/// One source that is changed to another version.
struct Release<'a> {
    subject: &'a Subject,
    version: &'a str,
    path: &'a str,
    source: &'a Source,
}

impl Release<'_> {
    /// Adds the changes to `edits`, and what the author should know to `page`.
    fn replace(
        &self,
        is_first: bool,
        args: &UpdateArgs,
        workspace: &Workspace<'_>,
        edits: &mut Vec<Edit>,
        page: &mut String,
    ) -> Result<(), Failure> {
        let Self {
            subject,
            version,
            path,
            source,
        } = *self;
        let old_url = subject.interpolate(&source.url, &subject.version);
        let spelling = Spelling::of(&source.url, &subject.version);
        let written = match spelling {
            Some(spelling) => source
                .url
                .replace(&spelling.write(&subject.version), &spelling.write(version)),
            None => source.url.clone(),
        };
        let url = subject.interpolate(&written, version);
        let local = args.archive.as_ref().filter(|_| is_first);
        if url == old_url && local.is_none() {
            if is_first {
                let message = format!(
                    "{path}.url does not name the version: {url}\n  write ${{version}} into it, or give the archive: --archive FILE"
                );
                return Err(Failure::new(Cause::Manifest, message));
            }
            let _ = writeln!(page, "  {path} has a version of its own and was not changed");
            return Ok(());
        }
        if !source.accepted.is_empty() {
            let message = format!(
                "{path}.accepted lists digests of {}: remove them from {} first",
                subject.version,
                subject.file.display()
            );
            return Err(Failure::new(Cause::Manifest, message));
        }
        let (new, from) = match local {
            Some(file) => (Workspace::local(file)?, file.display().to_string()),
            None => (workspace.download(&url, source.insecure.is_some())?, url.clone()),
        };
        // An archive that cannot be read fails here, before anything is written.
        let survey = workspace.survey(&new.path, source.strip, &from)?;
        if written != source.url {
            edits.push(self.edit("url", written));
        }
        self.digests(&new, &from, edits, page)?;
        self.mirrors(edits, page);
        if is_first {
            self.provides(&survey, edits, page);
        }
        self.compare(workspace, &survey, page);
        Ok(())
    }

    fn edit(&self, key: &str, value: String) -> Edit {
        Edit {
            path: format!("{}.{key}", self.path),
            value,
        }
    }

    fn digests(
        &self,
        new: &Archive,
        from: &str,
        edits: &mut Vec<Edit>,
        page: &mut String,
    ) -> Result<(), Failure> {
        let digest = new.hashes.sha256().to_string();
        let _ = writeln!(
            page,
            "  sha256 {digest}\n    computed from {from}, which is not verified:\n    compare it with a digest that upstream publishes"
        );
        edits.push(self.edit("sha256", digest));
        if self.source.sha512.is_some() {
            let digest = new.hashes.sha512().context("no SHA-512 was computed")?;
            edits.push(self.edit("sha512", digest.to_string()));
        }
        if self.source.tar_sha256.is_some() {
            let digest = unpack::tar_digest(&new.path)
                .context("its tar cannot be read")
                .cause(Cause::Checksum)?;
            edits.push(self.edit("tar_sha256", digest.to_string()));
        }
        Ok(())
    }

    /// Writes the new version into mirrors that spell out the old one. The new addresses are not checked.
    fn mirrors(&self, edits: &mut Vec<Edit>, page: &mut String) {
        for (position, mirror) in self.source.mirrors.iter().enumerate() {
            for (key, place) in [("url", &mirror.url), ("debian", &mirror.debian)] {
                let Some(place) = place.as_ref().filter(|place| !place.contains("${version}")) else {
                    continue;
                };
                if place.contains(&self.subject.version) {
                    let new = place.replace(&self.subject.version, self.version);
                    let _ = writeln!(
                        page,
                        "  mirror {new}\n    not checked whether it exists; remove it if it does not"
                    );
                    edits.push(self.edit(&format!("mirrors[{position}].{key}"), new));
                } else {
                    let _ = writeln!(
                        page,
                        "  mirror {place} does not name the version: is it still right?"
                    );
                }
            }
        }
    }

    /// Takes `default_version` from the new control files.
    fn provides(&self, survey: &Survey, edits: &mut Vec<Edit>, page: &mut String) {
        let subject = self.subject;
        for (path, sql) in &subject.provides {
            let name = &sql.name;
            let Some(control) = survey.controls.iter().find(|control| control.name == *name) else {
                let _ = writeln!(
                    page,
                    "  provides {name} {}: the archive has no {name}.control; is that still right?",
                    sql.default_version
                );
                continue;
            };
            match control.default_version() {
                Some(version) if version == sql.default_version => {}
                Some(version) => {
                    let _ = writeln!(
                        page,
                        "  provides {name} {version}, was {} ({})",
                        sql.default_version, control.path
                    );
                    edits.push(Edit {
                        path: format!("{path}.default_version"),
                        value: version.to_owned(),
                    });
                }
                None => {
                    let said = control
                        .values
                        .get("default_version")
                        .map_or("nothing", String::as_str);
                    let _ = writeln!(
                        page,
                        "  provides {name} {}: {} leaves it to the build ({said}); is that still right?",
                        sql.default_version, control.path
                    );
                }
            }
        }
    }

    fn compare(&self, workspace: &Workspace<'_>, new: &Survey, page: &mut String) {
        let title = self.subject.title();
        let old = self
            .subject
            .request(self.source)
            .ok_or_else(|| "its digest cannot be read".to_owned());
        let old = old.and_then(|wanted| workspace.known(&wanted)).and_then(|path| {
            workspace
                .survey(&path, self.source.strip, &title)
                .map_err(|failure| failure.to_string())
        });
        match old {
            Err(why) => {
                let _ = writeln!(
                    page,
                    "not compared with {title}, which could not be fetched: {why}"
                );
            }
            Ok(old) => {
                let lines = changes::changes(&old, new);
                let head = if lines.is_empty() {
                    "nothing else that concerns the manifest"
                } else {
                    "what else"
                };
                let _ = writeln!(page, "{head} changed since {}", self.subject.version);
                for line in lines {
                    let _ = writeln!(page, "  {line}");
                }
            }
        }
    }
}

/// Checks that the edit adds no problem that the manifests did not have before.
fn no_worse(files: &[ManifestFile], file: &Path, edited: &str, reporter: &Reporter) -> Result<(), Failure> {
    let problems = |files: &[ManifestFile]| {
        let (manifests, mut problems) = manifest::parse(files);
        problems.extend(
            resolve::resolve(&manifests, &Selection::default())
                .err()
                .unwrap_or_default(),
        );
        problems
    };
    let shown = file.display().to_string();
    let mut after = files.to_vec();
    for file in after.iter_mut().filter(|file| file.name == shown) {
        edited.clone_into(&mut file.text);
    }
    let before: Vec<(String, String)> = problems(files)
        .into_iter()
        .map(|p| (p.source.file.clone(), p.message))
        .collect();
    let is_new = |p: &problem::Problem| !before.contains(&(p.source.file.clone(), p.message.clone()));
    let new: Vec<problem::Problem> = problems(&after).into_iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    reporter.line(problem::render(&new, reporter.is_styled()).trim_end());
    Err(Failure::new(
        Cause::Manifest,
        format_args!("{shown} would have problems with the new version; it was not changed"),
    ))
}
