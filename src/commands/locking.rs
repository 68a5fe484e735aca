//! `pgsetup lock`, and the lock in other commands: `--locked` of `plan` and `install`, the packages that `fetch` downloads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{files, manifests, print, resolved, setup};
use crate::cli::{LockArgs, PlaceArgs};
use crate::debian::apt_sources::DebianArchive;
use crate::debian::dpkg;
use crate::failure::{Cause, Failure, WithCause};
use crate::host::{self, Host, Log};
use crate::layout;
use crate::locked::{
    self, Base, Lock, LockedCatalogue, LockedPackage, LockedSource, MachinePackages, SourceKind, TargetLock,
    Wants,
};
use crate::plan::{self, Plan, apt};
use crate::report::{Reporter, bytes};
use crate::resolve::Resolved;
use crate::step::build::artifacts;

/// Writes the lock of the target that this machine is.
///
/// # Errors
/// A manifest is wrong, apt cannot be asked or does not know a package, or the lock cannot be written.
pub fn lock(args: &LockArgs, reporter: &Reporter) -> Result<(), Failure> {
    let host = Host::new(&args.root);
    let files = files(&args.manifests, "lock")?;
    let target = setup::target(&host)?;
    let resolved = resolved(&files, &args.manifests, Some(target), reporter)?;
    if host.is_system() && !host::is_root() {
        let message =
            "apt lets only root update its lists; run `pgsetup lock` in a container of the image's base";
        return Err(Failure::new(Cause::Permission, message));
    }
    if has_installed(&host) {
        let message = format!(
            "there is an installation below {} already; run `pgsetup lock` in a fresh container of the image's base",
            args.root.display()
        );
        return Err(Failure::new(Cause::Usage, message));
    }
    let plan = plan::build(&resolved);
    let path = path(&args.manifests.place);
    let mut lock = match read(&path)? {
        Some(lock) => lock,
        None => Lock::empty(),
    };
    let name = resolved.target.to_string();
    let before = lock.of(&name).cloned();
    let known = before.as_ref().and_then(|before| before.base.digest.clone());
    reporter.line("asking apt which packages it has");
    let (packages, upgraded) = packages(&plan, &host)?;
    let now = TargetLock {
        target: name,
        base: Base {
            digest: args.base_digest.clone().or(known),
            packages: installed(&host)?,
        },
        wants: wants(&resolved, &plan),
        archives: archives(&host),
        packages,
    };
    let page = page(&path, &now, before.as_ref(), upgraded);
    lock.set(now);
    if host::local::exists(&path) {
        host::local::replace_text(&path, &lock.to_json())?;
    } else {
        host::local::create_text(&path, &lock.to_json())?;
    }
    print(reporter, &page)
}

/// Asks apt for the files of the packages that `plan` would install on this machine. Returns with them how many are newer
/// versions of the base's own.
fn packages(plan: &Plan, host: &Host) -> Result<(Vec<LockedPackage>, usize), Failure> {
    let directory = host::local::temporary_directory(None).cause(Cause::Internal)?;
    let log = Log::open(&directory.path().join("apt.log")).cause(Cause::Internal)?;
    host.run(&apt::update_package_lists(), &log).map_err(|error| {
        Failure::new(
            Cause::Network,
            format_args!("apt cannot update its lists: {error}"),
        )
    })?;
    let Some((_, simulation)) = plan.look_up() else {
        return Ok((Vec::new(), 0));
    };
    let coming = dpkg::parse_simulation(&host.capture(simulation, &log)?);
    if coming.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let names = coming.iter().map(|(name, version)| format!("{name}={version}"));
    let records = host.capture(&artifacts::show(simulation, names), &log)?;
    let files = dpkg::parse_files(&records).map_err(|faults| {
        let message = format!("not locked:\n  {}", faults.join("\n  "));
        Failure::new(Cause::Manifest, message)
    })?;
    let before = host.dpkg()?;
    let upgraded = coming.keys().filter(|name| before.packages.contains_key(*name));
    let upgraded = upgraded.count();
    let file = |(name, version): (&String, &String)| {
        let found = files.get(name).filter(|package| package.version == *version);
        found.cloned().ok_or_else(|| {
            let message = format!("apt would install {name} {version} and has no record of it");
            Failure::new(Cause::Internal, message)
        })
    };
    let packages: Result<Vec<LockedPackage>, Failure> = coming.iter().map(file).collect();
    Ok((packages?, upgraded))
}

/// The machine's packages with their versions.
fn installed(host: &Host) -> Result<BTreeMap<String, String>, Failure> {
    let dpkg = host.dpkg()?;
    let version = |(name, package): (&String, &dpkg::Package)| (name.clone(), package.version.clone());
    Ok(dpkg.packages.iter().map(version).collect())
}

/// The archives that apt uses, but for those whose address has a password in it.
fn archives(host: &Host) -> Vec<String> {
    let mut bases = DebianArchive::read(host).bases;
    bases.retain(|base| !base.contains('@'));
    bases
}

/// What the manifests want of the world outside.
fn wants(resolved: &Resolved, plan: &Plan) -> Wants {
    let source = |(kind, title, sha256): (SourceKind, String, Vec<String>)| {
        let (name, version) = title.rsplit_once(' ').unwrap_or((&title, ""));
        LockedSource {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            sha256,
        }
    };
    let archives = plan.sources().map(|archive| {
        let digests = archive.accepted.iter().chain(&archive.tar_sha256);
        let digests = digests.map(ToString::to_string).collect();
        (SourceKind::Archive, archive.title.clone(), digests)
    });
    let distributions = plan.distributions().map(|one| {
        let title = format!("{} {}", one.name, one.version);
        (SourceKind::Python, title, vec![one.sha256.to_string()])
    });
    Wants {
        catalogue: resolved.catalogue.as_ref().map(|one| LockedCatalogue {
            name: one.edition.name.clone(),
            sha256: one.edition.sha256.to_string(),
        }),
        sources: archives.chain(distributions).map(source).collect(),
        packages: plan.packages.iter().map(|package| package.name.clone()).collect(),
    }
}

fn page(path: &Path, now: &TargetLock, before: Option<&TargetLock>, upgraded: usize) -> String {
    let size: u64 = now.packages.iter().map(|package| package.bytes).sum();
    let mut page = format!("{}\n", path.display());
    let _ = writeln!(
        page,
        "  {}: {} sources, {} Debian packages ({}), on a base of {} packages",
        now.target,
        now.wants.sources.len(),
        now.packages.len(),
        bytes(size),
        now.base.packages.len()
    );
    if upgraded > 0 {
        let _ = writeln!(
            page,
            "  {upgraded} of them replace older ones of the base, which is not the newest"
        );
    }
    if now.base.digest.is_none() {
        page.push_str("  the digest of the base image is not known; --base-digest records it\n");
    }
    let Some(before) = before else { return page };
    for line in changes(before, now) {
        let _ = writeln!(page, "  {line}");
    }
    page
}

/// What a new lock changes.
fn changes(before: &TargetLock, now: &TargetLock) -> Vec<String> {
    let mut lines = before.wants.moved(&now.wants);
    let base = MachinePackages {
        installed: &now.base.packages,
        is_changed: false,
    };
    lines.extend(locked::base_moved(before, base));
    for package in &now.packages {
        match before.package(&package.name) {
            Some(old) if old.version != package.version => lines.push(format!(
                "package {}: {} -> {}",
                package.name, old.version, package.version
            )),
            Some(old) if old.sha256 != package.sha256 => lines.push(format!(
                "package {}: another file with the same version",
                package.title()
            )),
            Some(_) => {}
            None => lines.push(format!("package {}: added", package.title())),
        }
    }
    let gone = before
        .packages
        .iter()
        .filter(|old| now.package(&old.name).is_none());
    lines.extend(gone.map(|old| format!("package {}: removed", old.title())));
    lines
}

/// The lock of the image that a command names: beside its manifest.
fn path(place: &PlaceArgs) -> PathBuf {
    manifests::directory_of(place.manifests.as_deref()).join(locked::FILE)
}

fn read(path: &Path) -> Result<Option<Lock>, Failure> {
    if !host::local::exists(path) {
        return Ok(None);
    }
    let text = host::local::read_text(path).cause(Cause::Manifest)?;
    let lock = Lock::parse(&text);
    let wrong = |error| Failure::new(Cause::Manifest, format_args!("{}: {error}", path.display()));
    lock.map(Some).map_err(wrong)
}

/// Whether pgsetup has begun to install something here, or has finished.
fn has_installed(host: &Host) -> bool {
    host.exists(layout::UNFINISHED) || host.exists(format!("{}/receipt.json", layout::RECORDS))
}

/// Has an installation use exactly the files of the lock. `host` is the machine that is installed on, if it is this one.
///
/// # Errors
/// There is no lock, it does not have the target, or something has moved since it was written: all of that is listed.
pub fn use_lock(resolved: &mut Resolved, place: &PlaceArgs, host: Option<&Host>) -> Result<(), Failure> {
    let path = path(place);
    let target = resolved.target.to_string();
    let shown = path.display();
    let missing = |what: &str| {
        let message =
            format!("{shown} {what}; `pgsetup lock`, run in a container of the image's base, writes it");
        Failure::new(Cause::Manifest, message)
    };
    let lock = read(&path)?.ok_or_else(|| missing("does not exist"))?;
    let mut lock = lock
        .of(&target)
        .cloned()
        .ok_or_else(|| missing(&format!("has nothing for {target}")))?;
    let mut moved = lock.wants.moved(&wants(resolved, &plan::build(resolved)));
    if let Some(host) = host {
        moved.extend(locked::base_moved(
            &lock,
            MachinePackages {
                installed: &installed(host)?,
                is_changed: has_installed(host),
            },
        ));
    }
    if !moved.is_empty() {
        let message = format!(
            "what {shown} has for {target} has moved; nothing was done\n  {}\n  `pgsetup lock` writes what there is now",
            moved.join("\n  ")
        );
        return Err(Failure::new(Cause::Manifest, message));
    }
    lock.archives.extend(resolved.snapshots.iter().cloned());
    resolved.locked = Some(Arc::new(lock));
    Ok(())
}

/// What the lock has for the targets that are fetched for. Without a lock, nothing.
///
/// # Errors
/// The lock cannot be read.
pub fn targets(place: &PlaceArgs, selected: &[Resolved], all: bool) -> Result<Vec<TargetLock>, Failure> {
    let Some(lock) = read(&path(place))? else {
        return Ok(Vec::new());
    };
    let is_wanted = |target: &str| {
        all || selected
            .iter()
            .any(|resolved| resolved.target.to_string() == target)
    };
    let snapshots = selected.first().map(|resolved| resolved.snapshots.clone());
    let snapshots = snapshots.unwrap_or_default();
    let targets = lock.targets.into_iter().filter(|one| is_wanted(&one.target));
    Ok(targets
        .map(|mut target| {
            target.archives.extend(snapshots.iter().cloned());
            target
        })
        .collect())
}
